"""Outlines as a physician would have drawn them: near the truth, not on it, with omissions and errors."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from contourpy import contour_generator
from scipy.ndimage import gaussian_filter, map_coordinates

from osteotrace.phantom.field import Field
from osteotrace.phantom.lesions import effective, inside_points, seat
from osteotrace.phantom.posture import body_points, exam_points
from osteotrace.phantom.protocols import Acquisition, PetProtocol
from osteotrace.phantom.records import Body, Insert, Posture
from osteotrace.phantom.shapes import blob
from osteotrace.space import FloatArray, Grid

_STEP = 0.5  # mm between the points on which an outline is traced
_REACH = 4.0  # mm that an outline can lie outside
_OFF = (1.0, 3.0)  # mm: SD of a reader's boundary is drawn so that it is 1 to 3 mm off
_RING = (2.0, 6.0)  # mm outside a lesion: what a reader compares it with
_ENOUGH_MM3 = 300.0  # of marrow beside a lesion, to be compared with
_FEW, _MANY = 3, 4000  # points
_HOT = 1.3  # a reader of PET outlines what exceeds the marrow by so much
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
    known: Collection[str] = (),
) -> tuple[Drawing, ...]:
    """What a reader outlines on one series, numbered from head to feet.

    Parameters
    ----------
    inserts : sequence of Insert
        What could be outlined.
    known : collection of str
        Ids of those that the reader came for and outlines wherever they are in the field of view.
    """
    grid = acquisition.grid
    if grid is None:
        return ()
    drawn = []
    for insert in inserts:
        shape = effective(insert, body)
        seen = _is_seen(acquisition, body, shape, insert.carrier, posture, rng)
        if seen or insert.id in known:
            drawn.append((insert.id, _outline(shape, insert.carrier, posture, grid, rng)))
    for _ in range(int(rng.integers(_FALSE[0], _FALSE[1] + 1))):
        shape, carrier = _mistaken(body, posture, grid, rng)
        drawn.append(("", _outline(shape, carrier, posture, grid, rng)))
    kept = sorted((d for d in drawn if d[1]), key=lambda d: -float(np.concatenate(d[1])[:, 2].mean()))
    return tuple(Drawing(f"lesion {n}", lesion, c) for n, (lesion, c) in enumerate(kept, start=1))


@dataclass(frozen=True, slots=True)
class Contrast:
    """How a lesion stands out on an image.

    Attributes
    ----------
    ratio : float
        Median inside over median around.
    to_noise : float
        Difference of the medians over the spread around (interquartile range as SD); negative when darker.
    """

    ratio: float
    to_noise: float


def contrast(
    acquisition: Acquisition, body: Body, shape: Field, carrier: str, posture: Posture
) -> Contrast | None:
    """Contrast of a lesion with the marrow of its bone, or with all around it where little marrow is left.

    Parameters
    ----------
    shape : Field
        What is shown of the lesion; body frame.

    Returns
    -------
    Contrast or None
        None where the exam does not hold the lesion.
    """
    if acquisition.grid is None:
        return None
    inside = _sampled(acquisition, shape.lattice_points()[shape.values < -0.5 * shape.step], carrier, posture)
    around = _sampled(acquisition, _around(body, shape, carrier), carrier, posture)
    if len(inside) < _FEW or len(around) < _FEW:
        return None
    low, middle, high = np.percentile(around, (25, 50, 75))
    level = float(np.median(inside))
    return Contrast(
        level / max(float(middle), 1e-6), (level - float(middle)) / max(float(high - low) / 1.349, 1e-6)
    )


def _around(body: Body, shape: Field, carrier: str) -> FloatArray:
    """Body points a reader compares a lesion with, shape (n, 3)."""
    near = (shape.values > _RING[0]) & (shape.values < _RING[1])
    points = shape.lattice_points()
    bones = {bone.name: bone.part for bone in body.bones}
    if carrier in bones:
        part = bones[carrier]
        marrow = shape.values > _RING[0]
        marrow[marrow] = part.shape.at(points[marrow]) < -(part.shell_mm + _RING[0] / 2)
        if np.count_nonzero(marrow) * shape.step**3 >= _ENOUGH_MM3:
            return np.asarray(points[marrow])
    return np.asarray(points[near])


def _sampled(acquisition: Acquisition, points: FloatArray, carrier: str, posture: Posture) -> FloatArray:
    """Image values at body points; only those inside the field of view."""
    assert acquisition.grid is not None
    chosen = points[:: max(1, len(points) // _MANY)]
    if not len(chosen):
        return np.empty(0)
    places = exam_points(posture, carrier, chosen)
    places = places[acquisition.grid.contains(places)]
    index = acquisition.grid.indices(places).T
    return np.asarray(map_coordinates(acquisition.values, index, order=0, mode="nearest"), dtype=np.float64)


def _is_seen(
    acquisition: Acquisition,
    body: Body,
    shape: Field,
    carrier: str,
    posture: Posture,
    rng: np.random.Generator,
) -> bool:
    luck = float(rng.random())  # drawn in any case, so that one lesion does not change the fate of the next
    inside = inside_points(shape)
    found = contrast(acquisition, body, shape, carrier, posture)
    if found is None or len(inside) < 2:
        return False
    if isinstance(acquisition.protocol, PetProtocol) and found.ratio < _HOT:
        return False
    size = float(np.ptp(inside, axis=0).max())
    strength = (size / _SEEN_MM) ** 2 * min(abs(found.to_noise) / _SEEN_CNR, _SEEN_CNR) ** 2
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
