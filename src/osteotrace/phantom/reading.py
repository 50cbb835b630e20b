"""Outlines as a physician would have drawn them: near the truth, not on it, with omissions and errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from osteotrace.phantom.field import Field
from osteotrace.phantom.lesions import effective, inside_points, seat
from osteotrace.phantom.posture import body_points, exam_points
from osteotrace.phantom.protocols import Acquisition
from osteotrace.phantom.records import Body, Insert, Posture
from osteotrace.phantom.shapes import blob
from osteotrace.space import FloatArray, Grid

_STEP = 0.5  # mm between the points on which an outline is traced
_REACH = 4.0  # mm that an outline can lie outside
_OFF = (1.0, 3.0)  # mm: SD of a reader's boundary is drawn so that it is 1 to 3 mm off
_RING = (2.0, 6.0)  # mm outside a lesion: what a reader compares it with
_SEEN_MM, _SEEN_CNR = 7.0, 3.0  # a lesion of this size and contrast is seen in two readings of three
_FALSE = (1, 2)
_POINTS = 6  # least number of points of an outline


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """One lesion as drawn.

    Attributes
    ----------
    lesion : str
        Which one it is in truth; empty for one that is none.
    contours : tuple of ndarray, shape (n, 3)
        Closed, each on one slice; exam frame, mm.
    """

    name: str
    lesion: str
    contours: tuple[FloatArray, ...]


def read_exam(
    acquisition: Acquisition,
    body: Body,
    inserts: Sequence[Insert],
    posture: Posture,
    rng: np.random.Generator,
) -> tuple[Drawing, ...]:
    """What a reader outlines on one series, numbered from head to feet."""
    grid = acquisition.grid
    if grid is None:
        return ()
    drawn = []
    for insert in inserts:
        shape = effective(insert, body)
        seen = _is_seen(acquisition, shape, insert.carrier, posture, rng)
        if seen:
            drawn.append((insert.id, _outline(shape, insert.carrier, posture, grid, rng)))
    for _ in range(int(rng.integers(_FALSE[0], _FALSE[1] + 1))):
        shape, carrier = _mistaken(body, posture, grid, rng)
        drawn.append(("", _outline(shape, carrier, posture, grid, rng)))
    kept = sorted((d for d in drawn if d[1]), key=lambda d: -float(np.concatenate(d[1])[:, 2].mean()))
    return tuple(Drawing(f"lesion {n}", lesion, c) for n, (lesion, c) in enumerate(kept, start=1))


def contrast_to_noise(acquisition: Acquisition, shape: Field, carrier: str, posture: Posture) -> float | None:
    """Difference of a lesion and its surroundings over their spread, measured on the image.

    Parameters
    ----------
    shape : Field
        What is shown of the lesion; body frame.

    Returns
    -------
    float or None
        None where the exam does not hold the lesion, or nothing of it on its own lattice.
    """
    if acquisition.grid is None:
        return None
    values = shape.values
    inside = _sampled(acquisition, shape, values < -0.5 * shape.step, carrier, posture)
    ring = _sampled(acquisition, shape, (values > _RING[0]) & (values < _RING[1]), carrier, posture)
    if len(inside) < 3 or len(ring) < 3:
        return None
    spread = float(np.subtract(*np.percentile(ring, (75, 25)))) / 1.349
    return abs(float(np.median(inside) - np.median(ring))) / max(spread, 1e-6)


def _sampled(
    acquisition: Acquisition, shape: Field, where: NDArray[np.bool_], carrier: str, posture: Posture
) -> FloatArray:
    """Image values at lattice points of a shape; only those inside the field of view."""
    assert acquisition.grid is not None
    chosen = np.argwhere(where)[:: max(1, int(where.sum()) // 4000)]
    if not len(chosen):
        return np.empty(0)
    points = exam_points(posture, carrier, chosen * shape.step + shape.origin)
    points = points[acquisition.grid.contains(points)]
    index = acquisition.grid.indices(points).T
    return np.asarray(map_coordinates(acquisition.values, index, order=0, mode="nearest"), dtype=np.float64)


def _is_seen(
    acquisition: Acquisition, shape: Field, carrier: str, posture: Posture, rng: np.random.Generator
) -> bool:
    luck = float(rng.random())  # drawn in any case, so that one lesion does not change the fate of the next
    inside = inside_points(shape)
    contrast = contrast_to_noise(acquisition, shape, carrier, posture)
    if contrast is None or len(inside) < 2:
        return False
    size = float(np.ptp(inside, axis=0).max())
    strength = (size / _SEEN_MM) ** 2 * min(contrast / _SEEN_CNR, 2.0)
    return bool(luck < 1 - np.exp(-strength))


def _mistaken(body: Body, posture: Posture, grid: Grid, rng: np.random.Generator) -> tuple[Field, str]:
    """A place in a bone inside the field of view where there is nothing."""
    bones = [b for b in body.bones if grid.contains(posture.to_exam(b.name, b.centroid[None]))[0]]
    bone = (bones or list(body.bones))[int(rng.integers(len(bones or body.bones)))]
    radius = float(rng.uniform(3.5, 7.0))
    return blob(seat(bone, "subcortical", radius, rng), (radius,) * 3, 0.1, rng), bone.name


def _outline(
    shape: Field, carrier: str, posture: Posture, grid: Grid, rng: np.random.Generator
) -> tuple[FloatArray, ...]:
    """Contours of a shape with a boundary that is 1 to 3 mm off, slice by slice."""
    inside = inside_points(shape)
    if not len(inside):
        return ()
    size = float(np.ptp(inside, axis=0).min())
    off = min(float(rng.uniform(*_OFF)), 0.25 * size)
    noise = gaussian_filter(rng.normal(size=shape.values.shape), 4.0 / shape.step)
    wobble = np.clip(noise / max(float(noise.std()), 1e-9), -2, 2) * off / 1.5
    drawn = Field((shape.values + wobble).astype(np.float32), shape.origin, shape.step)
    index = grid.indices(exam_points(posture, carrier, inside))
    low, high = index.min(axis=0), index.max(axis=0)
    first, last = max(0, int(np.floor(low[2]))), min(grid.shape[2] - 1, int(np.ceil(high[2])))
    box = (low[:2] - _REACH / grid.spacing[:2], high[:2] + _REACH / grid.spacing[:2])
    return tuple(
        path for k in range(first, last + 1) for path in _on_slice(drawn, carrier, posture, grid, k, box)
    )


def _on_slice(
    shape: Field, carrier: str, posture: Posture, grid: Grid, k: int, box: tuple[FloatArray, FloatArray]
) -> list[FloatArray]:
    start = np.maximum(box[0], -0.5)
    stop = np.minimum(box[1], np.array(grid.shape[:2]) - 0.5)
    counts = np.maximum(np.ceil((stop - start) * grid.spacing[:2] / _STEP), 2).astype(int)
    if (stop <= start).any():
        return []
    i, j = (np.linspace(a, b, n) for a, b, n in zip(start, stop, counts, strict=True))
    lattice = np.stack([*np.meshgrid(i, j, indexing="ij"), np.full((len(i), len(j)), float(k))], axis=-1)
    points = grid.points(lattice.reshape(-1, 3))
    level = shape.at(body_points(posture, carrier, points)).reshape(len(i), len(j))
    level[[0, -1], :] = 1.0  # closed at the edge of the field of view
    level[:, [0, -1]] = 1.0
    traced = contour_generator(x=j, y=i, z=level).lines(0.0)
    paths = [np.asarray(line)[:-1, ::-1] for line in traced]
    return [
        grid.points(np.column_stack([p[::2], np.full(len(p[::2]), float(k))]))
        for p in paths
        if len(p) >= 2 * _POINTS
    ]
