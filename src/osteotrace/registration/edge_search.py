"""Every translation at once for small turns, by the directions of edges.

Patient coordinates are anatomical: two scans of a trunk are turned by little against one another. Over these
few rotations finer voxels can be afforded, and the edges of bones, which mutual information of a narrow slab
in a whole trunk does not notice, can be laid over one another: the agreement of gradient directions at *all*
shifts follows from the cross-correlations of their tensors, by the fast Fourier transform.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from osteotrace.registration.coarse import Candidate, affordable_spacing, peaks, rotations, transform
from osteotrace.registration.edges import normals, reached
from osteotrace.registration.pyramid import Floats, Level, Prepared
from osteotrace.space import FloatArray, threads

_BUDGET = 1_500_000  # points of the Fourier transform above which the voxels are made larger
_PER_ROTATION = 4
_OVERLAP_POWER = 0.5
_COUPLES = ((0, 1), (0, 2), (1, 2))


@dataclass(frozen=True, slots=True, eq=False)
class _Directions:
    """Direction tensors of the edges of a turned image on an axis-aligned lattice.

    Attributes
    ----------
    tensors : ndarray, shape (6, i, j, k)
        Product of the gradient direction with itself less a third of its trace: without preference for a
        direction the products of two images have the mean 0. Zero outside the view.
    weight : ndarray, shape (i, j, k)
        Body inside the view.
    inside : ndarray, shape (i, j, k)
        1 inside the view.
    """

    tensors: Floats
    weight: Floats
    inside: Floats
    origin: FloatArray


def search_edges(
    probe: Prepared,
    field: Prepared,
    *,
    spacing_mm: float,
    limit_deg: float,
    step_deg: float,
    min_overlap: float,
) -> list[Candidate]:
    """Rank poses of a probe image in a field image by their edges, over all translations and small turns.

    Parameters
    ----------
    probe, field : Prepared
    spacing_mm : float
        Smallest voxel to use; a large field of view gets larger ones.
    limit_deg, step_deg : float
        Radius of the ball of rotation vectors and edge of its body-centred cubic lattice.
    min_overlap : float
        Least share of the probe's body inside the field of view.

    Returns
    -------
    list of Candidate
        Best first; the local maxima of every rotation.
    """
    spacing = affordable_spacing(probe, field, spacing_mm, _BUDGET)
    still, level = _directions(field.at(spacing), np.eye(3)), probe.at(spacing)
    turns = rotations(limit_deg, step_deg)
    with ThreadPoolExecutor(threads()) as pool:
        turned = list(pool.map(lambda rotation: _directions(level, rotation), turns))
        largest = np.max([t.inside.shape for t in turned], axis=0)
        shape = tuple(
            fft.next_fast_len(int(a + b) - 1, real=True)
            for a, b in zip(still.inside.shape, largest, strict=True)
        )
        lying = tuple(
            transform(x, shape) for x in (still.tensors, (still.tensors**2).sum(axis=0), still.inside)
        )

        def shifts(n: int) -> list[Candidate]:
            scores = _agreement(turned[n], lying, shape, min_overlap)
            offset = still.origin - turned[n].origin
            return peaks(scores, still.inside.shape, turns[n], offset, spacing, _PER_ROTATION)

        found = [c for some in pool.map(shifts, range(len(turns))) for c in some]
    return sorted(found, key=lambda c: -c.score)


def _directions(level: Level, rotation: FloatArray) -> _Directions:
    """Turn an image about the origin and take the directions of its edges."""
    corners = level.grid.corners @ rotation.T
    spacing = level.spacing_mm
    origin = corners.min(axis=0) + spacing / 2
    size = np.maximum(1, np.ceil((corners.max(axis=0) - corners.min(axis=0)) / spacing - 1e-6)).astype(int)
    shape = tuple(int(n) for n in size)
    lattice = np.eye(4)
    lattice[:3, :3] = rotation.T * spacing
    lattice[:3, 3] = rotation.T @ origin
    matrix = np.linalg.inv(level.grid.affine) @ lattice
    inside = reached(matrix, shape, level.grid.shape, 0.5).astype(np.float32)
    ranks, body = (
        ndimage.affine_transform(
            values, matrix[:3, :3], matrix[:3, 3], output_shape=shape, order=1, mode="nearest"
        )
        for values in (level.ranks, level.body)
    )
    weight = body * inside
    n = normals(ranks, np.asarray(weight, dtype=np.float64))
    own = n**2 - (n**2).mean(axis=0)
    mixed = np.stack([np.sqrt(2.0) * n[a] * n[b] for a, b in _COUPLES])
    tensors = np.concatenate([own, mixed]).astype(np.float32) * inside
    return _Directions(np.asarray(tensors), np.asarray(weight, dtype=np.float32), inside, origin)


def _agreement(
    probe: _Directions,
    lying: tuple[NDArray[np.complex64], ...],
    shape: tuple[int, ...],
    min_overlap: float,
) -> NDArray[np.float32]:
    """Correlation of the direction tensors times the root of the overlap at every cyclic shift; or -1."""
    tensors, lengths, inside = lying

    def moved(values: Floats) -> NDArray[np.complex64]:
        return np.asarray(np.conj(transform(values, shape)))

    weight = moved(probe.weight)
    share = fft.irfftn(inside * weight, shape) / max(float(probe.weight.sum()), 1e-6)
    enough = share >= min_overlap
    out = np.full(shape, -1.0, dtype=np.float32)
    if enough.any():
        product = fft.irfftn((tensors * moved(probe.tensors * probe.weight)).sum(axis=0), shape)[enough]
        own = fft.irfftn(inside * moved((probe.tensors**2).sum(axis=0) * probe.weight), shape)[enough]
        other = fft.irfftn(lengths * weight, shape)[enough]
        length = np.sqrt(np.maximum(own, 1e-3) * np.maximum(other, 1e-3))
        out[enough] = product / length * np.minimum(1.0, share[enough]) ** _OVERLAP_POWER
    return out
