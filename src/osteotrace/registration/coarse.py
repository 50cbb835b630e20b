"""Every translation at once, for a lattice of rotations.

The mutual information at *all* shifts of one image over another follows from the cross-correlations of the
indicator images of their classes, by the fast Fourier transform (Öfverstedt, Lindblad and Sladoje 2022).
The number of voxels that overlap is part of the same histograms, so small overlaps can be left out exactly.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy.spatial.transform import Rotation

from osteotrace.registration.pyramid import Floats, Level, Prepared
from osteotrace.space import FloatArray, threads

_BODY_CLASSES = 4
_OVERLAP_POWER = 0.5
# Points of the Fourier transform above which the voxels are made larger.
_BUDGET = 110_000
_LARGEST_STEP_DEG = 32.0
_PER_ROTATION = 4
_LEAST_VOXELS = 8.0
# Turns to all sides by one angle come one after the other, and need transforms of one shape.
_SHAPES_KEPT = 16


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A pose that the exhaustive search found.

    Attributes
    ----------
    pose : ndarray, shape (4, 4)
        Probe frame to field frame, LPS mm.
    score : float
        Mutual information (nats) or agreement of edges, times the root of the overlap.
    """

    pose: FloatArray
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class _Classes:
    """Indicator images of a level on an axis-aligned lattice; classes first."""

    images: Floats
    origin: FloatArray
    seen: float


def search(
    probe: Prepared,
    field: Prepared,
    *,
    spacing_mm: float,
    limit_deg: float,
    step_deg: float,
    min_overlap: float,
) -> list[Candidate]:
    """Rank poses of a probe image in a field image over all translations and a ball of rotations.

    Parameters
    ----------
    probe, field : Prepared
    spacing_mm : float
        Smallest voxel to use; a large field of view gets larger ones.
    limit_deg, step_deg : float
        Radius of the ball of rotation vectors and edge of its body-centred cubic lattice at that voxel size.
    min_overlap : float
        Least share of the smaller body's voxels inside both fields of view.

    Returns
    -------
    list of Candidate
        Best first; the local maxima of every rotation.
    """
    spacing = affordable_spacing(probe, field, spacing_mm, _BUDGET)
    step = min(_LARGEST_STEP_DEG, step_deg * spacing / spacing_mm)
    still, level = _classes(field.at(spacing), np.eye(3)), probe.at(spacing)

    @lru_cache(_SHAPES_KEPT)
    def lying(shape: tuple[int, ...]) -> NDArray[np.complex64]:
        return transform(still.images, shape)

    def shifts(rotation: FloatArray) -> list[Candidate]:
        moved = _classes(level, rotation)
        shape = tuple(
            fft.next_fast_len(a + b - 1, real=True)
            for a, b in zip(still.images.shape[1:], moved.images.shape[1:], strict=True)
        )
        scores = _information(moved, still, lying(shape), shape, min_overlap)
        offset = still.origin - moved.origin
        return peaks(scores, still.images.shape[1:], rotation, offset, spacing, _PER_ROTATION)

    with ThreadPoolExecutor(threads()) as pool:
        found = [c for some in pool.map(shifts, rotations(limit_deg, step)) for c in some]
    return sorted(found, key=lambda c: -c.score)


def affordable_spacing(probe: Prepared, field: Prepared, spacing_mm: float, budget: int) -> float:
    """Voxel size (mm) at which one transform has no more points than the budget."""
    size = np.array(field.base.grid.shape) * field.base.spacing_mm
    reach = 0.7 * float(np.linalg.norm(np.array(probe.base.grid.shape) * probe.base.spacing_mm))
    return max(spacing_mm, float((np.prod(size + reach) / budget) ** (1 / 3)))


def rotations(limit_deg: float, step_deg: float) -> list[FloatArray]:
    """Rotations whose rotation vectors fill a ball on a body-centred cubic lattice; identity first."""
    n = int(np.ceil(limit_deg / step_deg)) + 1
    cube = np.stack(np.meshgrid(*[np.arange(-n, n + 1.0)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    nodes = np.concatenate([cube, cube + 0.5]) * step_deg
    length = np.linalg.norm(nodes, axis=1)
    inside = nodes[np.argsort(length, kind="stable")][: int((length <= limit_deg).sum())]
    return [Rotation.from_rotvec(v, degrees=True).as_matrix() for v in inside]


def _classes(level: Level, rotation: FloatArray) -> _Classes:
    """Turn an image about the origin and split it into air and tissues; nothing outside its view."""
    corners = level.grid.corners @ rotation.T
    spacing = level.spacing_mm
    origin = corners.min(axis=0) + spacing / 2
    shape = np.maximum(1, np.ceil((corners.max(axis=0) - corners.min(axis=0)) / spacing - 1e-6)).astype(int)
    lattice = np.eye(4)
    lattice[:3, :3] = rotation.T * spacing
    lattice[:3, 3] = rotation.T @ origin
    matrix = np.linalg.inv(level.grid.affine) @ lattice
    labels = np.digitize(level.ranks, np.arange(1, _BODY_CLASSES) / _BODY_CLASSES) + 1
    labels[level.body < 0.5] = 0
    turned = ndimage.affine_transform(
        labels.astype(np.int8) + np.int8(1), matrix[:3, :3], matrix[:3, 3], output_shape=tuple(shape), order=0
    )
    images = np.stack([turned == c + 1 for c in range(_BODY_CLASSES + 1)]).astype(np.float32)
    return _Classes(images, origin, float(images[1:].sum()))


def transform(images: Floats, shape: tuple[int, ...]) -> NDArray[np.complex64]:
    """Fourier transform of images, filled up with zeros to a shape.

    As ``rfftn``, axis by axis in its order, but without the lines that hold nothing but zeros.

    Parameters
    ----------
    images : ndarray, shape (..., i, j, k)
    shape : tuple of int
        Of the last three axes when filled up.
    """
    out = fft.rfft(images, shape[2], axis=-1)
    out = fft.fft(out, shape[0], axis=-3, overwrite_x=True)
    return np.asarray(fft.fft(out, shape[1], axis=-2, overwrite_x=True))


def peaks(
    scores: NDArray[np.float32],
    limits: tuple[int, ...],
    rotation: FloatArray,
    offset: FloatArray,
    spacing: float,
    n: int,
) -> list[Candidate]:
    """Local maxima of the scores of all cyclic shifts of a turned probe, best first.

    Parameters
    ----------
    scores : ndarray, shape of the transform
        Above 0 where the shift is allowed.
    limits : tuple of int
        Shape of the field image; larger shifts are negative ones.
    rotation, offset : ndarray, shapes (3, 3) and (3,)
        Rotation of the probe, and translation (mm) of the shift 0.
    spacing : float
        Length of a step, mm.
    n : int
        At most so many.
    """
    peak = (ndimage.maximum_filter(scores, 3, mode="wrap") == scores) & (scores > 0)
    places, values = np.argwhere(peak), scores[peak]
    out = []
    for best in np.argsort(-values, kind="stable")[:n]:
        shift = np.where(places[best] >= limits, places[best] - np.array(scores.shape), places[best])
        pose = np.eye(4)
        pose[:3, :3] = rotation
        pose[:3, 3] = offset + shift * spacing
        out.append(Candidate(pose, float(values[best])))
    return out


def _information(
    probe: _Classes,
    field: _Classes,
    still: NDArray[np.complex64],
    shape: tuple[int, ...],
    min_overlap: float,
) -> NDArray[np.float32]:
    """Mutual information times the root of the body overlap at every cyclic shift; -1 where that is small."""
    moved = np.conj(transform(probe.images, shape))
    least = min_overlap * min(probe.seen, field.seen)
    smaller = (slice(None), slice(1, None)) if probe.seen <= field.seen else (slice(1, None), slice(None))
    shared = fft.irfftn(still[smaller[0]].sum(axis=0) * moved[smaller[1]].sum(axis=0), shape)
    enough = shared >= max(least, _LEAST_VOXELS)
    out = np.full(shape, -1.0, dtype=np.float32)
    if enough.any():
        share = np.minimum(1.0, shared[enough] / min(probe.seen, field.seen))
        out[enough] = _mutual(still, moved, shape, enough) * share**_OVERLAP_POWER
    return out


def _mutual(
    still: NDArray[np.complex64],
    moved: NDArray[np.complex64],
    shape: tuple[int, ...],
    wanted: NDArray[np.bool_],
) -> Floats:
    n = int(wanted.sum())
    joint = np.zeros(n, dtype=np.float32)
    rows = np.zeros((len(still), n), dtype=np.float32)
    columns = np.zeros((len(moved), n), dtype=np.float32)
    for a, one in enumerate(still):
        for b, other in enumerate(moved):
            count = np.maximum(fft.irfftn(one * other, shape)[wanted], 0.0)
            rows[a] += count
            columns[b] += count
            joint += _xlogx(count)
    total = rows.sum(axis=0)
    return np.asarray((joint - _xlogx(rows).sum(0) - _xlogx(columns).sum(0) + _xlogx(total)) / total)


def _xlogx(x: Floats) -> Floats:
    return np.asarray(x * np.log(np.maximum(x, 0.5)), dtype=np.float32)
