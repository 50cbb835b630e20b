"""Planar contours to voxels: which voxel centres lie inside what was drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from osteotrace.errors import RegionError
from osteotrace.space import FloatArray, Grid, Mask, bounding_box

# In units of the distance of two slices, unless said otherwise.
FLAT = 0.25  # a contour whose points stay this close to their mean lies on one slice
SAME_PLANE = 0.05  # contours this close lie on one plane
COINCIDES = 0.1  # planes this close to the slices were drawn on them
CONCENTRATED = 0.95  # mean resultant length (0 to 1) above which all planes are shifted by one amount
WIDE = 1.5  # planes further apart than this leave slices between them
REACH = 2.0  # contours may reach this many image widths beyond the image before they are refused
NESTED, APART = 0.95, 0.05  # shares of the smaller contour inside the other: hole or island, or separate


@dataclass(frozen=True, slots=True, eq=False)
class Contour:
    """A closed planar polygon.

    Attributes
    ----------
    points : ndarray of float64, shape (n, 3)
        LPS, mm; the last point is joined to the first.
    exclusive : bool
        Always combined by exclusive or (CLOSEDPLANAR_XOR, DICOM PS3.3 C.8.8.6.3).
    """

    points: FloatArray
    exclusive: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Filled:
    """What a set of contours encloses.

    Attributes
    ----------
    mask : Mask
        On the lattice of the image.
    lost : float
        Share of what was drawn that lies outside the image, 0 to 1.
    notes : tuple of str
        What was concluded on the way, in words.
    """

    mask: Mask
    lost: float
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Plane:
    """Contours of one plane in index space: points (n, 2) of each, and where the plane is."""

    w: float
    polygons: tuple[FloatArray, ...]
    exclusive: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Layers:
    """Pixels of every plane inside the image: arrays (u, v) from pixel ``start`` on, and pixels counted."""

    layers: list[NDArray[np.bool_]]
    start: NDArray[np.int64]
    total: int
    lost: int
    notes: list[str]


def fill(contours: Sequence[Contour], grid: Grid) -> Filled:
    """Voxels of a grid whose centre is inside the contours.

    On a plane, contours inside contours are holes (even-odd); contours that overlap in part are joined.
    Planes between two slices go to the nearest; slices between planes that are regularly further apart
    than the slices are filled by shape-based interpolation (Raya and Udupa 1990), and nothing is added
    beyond the first and the last plane.

    Parameters
    ----------
    contours : sequence of Contour
        At least one, in the frame of reference of ``grid``.

    Raises
    ------
    RegionError
        When contours are oblique to the slices, or outside the image.
    """
    index = [grid.indices(c.points) for c in contours]
    _refuse_far(index, grid)
    axis = _stacking_axis(contours, index, grid)
    others = [a for a in range(3) if a != axis]
    flat = [
        (float(p[:, axis].mean()), p[:, others], c.exclusive) for p, c in zip(index, contours, strict=True)
    ]
    planes, notes = _planes(flat)
    planes, moved = _onto_slices(planes, float(grid.spacing[axis]))
    drawn = _layers(planes, (grid.shape[others[0]], grid.shape[others[1]]), grid.shape[axis])
    values, gaps = _stack([p.w for p in planes], drawn.layers, grid.shape[axis])
    notes += [*drawn.notes, *moved, *gaps]
    if drawn.total and drawn.lost == drawn.total:
        raise outside_error()
    mask = _mask(np.moveaxis(values, -1, axis), np.insert(drawn.start, axis, 0), grid)
    if mask is None:
        mask = _kept(index, grid)
        notes.append("no voxel centre lies inside the contours: the voxels that hold their centres were kept")
    return Filled(mask, drawn.lost / drawn.total if drawn.total else 0.0, tuple(dict.fromkeys(notes)))


def plane_offsets(points: FloatArray, grid: Grid) -> tuple[float, float]:
    """How contour points lie to the slices of a grid.

    Parameters
    ----------
    points : ndarray, shape (n, 3)
        LPS, mm.

    Returns
    -------
    tuple of float
        Largest distance to the nearest slice in units of the slice spacing (0 to 0.5), and the share of
        the points inside the field of view (0 to 1).
    """
    k = grid.indices(points)[:, 2]
    return float(np.abs(k - np.round(k)).max()), float(grid.contains(points).mean())


def _area_vector(points: FloatArray) -> FloatArray:
    """Newell normal: direction of the plane, length the area in mm²."""
    p = points - points.mean(axis=0)
    return np.asarray(np.cross(p, np.roll(p, -1, axis=0)).sum(axis=0) / 2.0)


def _refuse_far(index: Sequence[FloatArray], grid: Grid) -> None:
    size = np.array(grid.shape, dtype=np.float64)
    low = np.min([p.min(axis=0) for p in index], axis=0)
    high = np.max([p.max(axis=0) for p in index], axis=0)
    if (low > size - 0.5).any() or (high < -0.5).any():
        raise outside_error()
    if (low < -REACH * size - 2).any() or (high > (1 + REACH) * size + 2).any():
        raise RegionError(
            "the contours reach far beyond the image", expected="contours inside the field of view"
        )


def _stacking_axis(contours: Sequence[Contour], index: Sequence[FloatArray], grid: Grid) -> int:
    """Grid axis along which every contour is flat; slices (2) before columns and rows."""
    spread = np.array([np.abs(p - p.mean(axis=0)).max(axis=0) for p in index])
    worst = spread.max(axis=0)
    for axis in (2, 1, 0):
        if worst[axis] <= FLAT:
            return axis
    tilted = contours[int(spread[:, 2].argmax())]
    raise RegionError(
        f"the contours are tilted by {_tilt_deg(tilted.points, grid):.1f} degrees to the slices",
        expected="contours on planes of the image",
        remedy="export the drawing as a segmentation on the image",
    )


def _tilt_deg(points: FloatArray, grid: Grid) -> float:
    normal = np.cross(grid.direction[:, 0], grid.direction[:, 1])
    area = _area_vector(points)
    length = float(np.linalg.norm(area) * np.linalg.norm(normal))
    cosine = abs(float(area @ normal)) / length if length > 0 else 0.0
    return float(np.degrees(np.arccos(min(1.0, cosine))))


def _planes(flat: Sequence[tuple[float, FloatArray, bool]]) -> tuple[list[_Plane], list[str]]:
    """Group contours by plane, in order; the same contour twice counts once."""
    groups: list[list[tuple[float, FloatArray, bool]]] = []
    for entry in sorted(flat, key=lambda e: e[0]):
        if groups and entry[0] - groups[-1][0][0] <= SAME_PLANE:
            groups[-1].append(entry)
        else:
            groups.append([entry])
    planes, repeated = [], 0
    for group in groups:
        polygons = _distinct([p for _, p, _ in group])
        repeated += len(group) - len(polygons)
        w = float(np.mean([e[0] for e in group]))
        planes.append(_Plane(w, tuple(polygons), any(e[2] for e in group)))
    return planes, [f"contours that are there twice ({repeated}) were counted once"] if repeated else []


def _distinct(polygons: Sequence[FloatArray]) -> list[FloatArray]:
    seen = {np.round(p, 6).tobytes(): p for p in polygons}
    return list(seen.values())


def _onto_slices(planes: list[_Plane], spacing_mm: float) -> tuple[list[_Plane], list[str]]:
    """Take off the common offset of a stack of planes that was drawn beside the slices."""
    turn = np.exp(2j * np.pi * np.array([p.w for p in planes])).mean()
    offset = float(np.angle(turn) / (2 * np.pi))
    if abs(turn) < CONCENTRATED:
        off = max(abs(p.w - round(p.w)) for p in planes) * spacing_mm
        return planes, [f"contours lie up to {off:.2f} mm off the slices"]
    moved = [_Plane(p.w - offset, p.polygons, p.exclusive) for p in planes]
    if abs(offset) <= COINCIDES:
        return moved, []
    return moved, [
        f"contours lie {abs(offset) * spacing_mm:.2f} mm off the slices: they were moved to the nearest"
    ]


def _layers(planes: Sequence[_Plane], size: tuple[int, int], n_slices: int) -> _Layers:
    """Scan every plane; keep what lies inside the image and count what does not."""
    box = _box(planes)
    start = np.clip(box[0], 0, np.array(size))
    stop = np.clip(box[0] + box[1], start, np.array(size))
    window = tuple(slice(a, b) for a, b in zip(start - box[0], stop - box[0], strict=True))
    layers, notes, total, kept = [], [], 0, 0
    for plane in planes:
        full, layer_notes = _combine(plane, box)
        layers.append(full[window])
        notes += layer_notes
        total += int(np.count_nonzero(full))
        kept += int(np.count_nonzero(layers[-1])) if -0.5 <= plane.w <= n_slices - 0.5 else 0
    return _Layers(layers, start, total, total - kept, notes)


def _box(planes: Sequence[_Plane]) -> tuple[NDArray[np.int64], tuple[int, int]]:
    """First pixel and size of the rectangle that holds all polygons."""
    points = np.concatenate([p for plane in planes for p in plane.polygons])
    start = np.floor(points.min(axis=0)).astype(np.int64)
    u, v = (np.ceil(points.max(axis=0)).astype(np.int64) + 1 - start).tolist()
    return start, (u, v)


def _combine(
    plane: _Plane, box: tuple[NDArray[np.int64], tuple[int, int]]
) -> tuple[NDArray[np.bool_], list[str]]:
    """Pixels of one plane, and a note when contours overlap in part."""
    start, size = box
    parts = sorted((scan(p - start, size) for p in plane.polygons), key=np.count_nonzero, reverse=True)
    out = np.zeros(size, dtype=bool)
    joined = False
    for number, part in enumerate(parts):
        if not plane.exclusive and any(_overlap_in_part(part, other) for other in parts[:number]):
            out |= part
            joined = True
        else:
            out ^= part
    return out, ["contours of one slice overlap in part and were joined"] if joined else []


def _overlap_in_part(small: NDArray[np.bool_], large: NDArray[np.bool_]) -> bool:
    n = np.count_nonzero(small)
    return bool(n > 0 and APART < np.count_nonzero(small & large) / n < NESTED)


def scan(polygon: FloatArray, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels of a rectangle whose centre is inside a polygon (even-odd rule).

    A centre exactly on an edge belongs to the polygon on one side of it only, so that neighbours share no
    pixel and leave none out.

    Parameters
    ----------
    polygon : ndarray, shape (n, 2)
        Vertices in pixels (u, v); pixel centres are whole numbers. The last is joined to the first.
    size : tuple of int
        Number of pixels along u and v.

    Returns
    -------
    ndarray of bool, shape size
    """
    a, b = polygon, np.roll(polygon, -1, axis=0)
    low, high = np.minimum(a[:, 1], b[:, 1]), np.maximum(a[:, 1], b[:, 1])
    top = np.clip(np.ceil(low), 0, size[1]).astype(np.int64)
    count = np.maximum(np.clip(np.ceil(high), 0, size[1]).astype(np.int64) - top, 0)
    edge = np.repeat(np.arange(len(a)), count)
    row = top[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    slope = (b[edge, 0] - a[edge, 0]) / (b[edge, 1] - a[edge, 1])
    crossing = a[edge, 0] + (row - a[edge, 1]) * slope
    flips = np.zeros((size[0] + 1, size[1]), dtype=np.int64)
    np.add.at(flips, (np.clip(np.ceil(crossing), 0, size[0]).astype(np.int64), row), 1)
    return np.asarray(np.cumsum(flips[:-1], axis=0) % 2 == 1)


def _stack(
    w: Sequence[float], layers: Sequence[NDArray[np.bool_]], n_slices: int
) -> tuple[NDArray[np.bool_], list[str]]:
    """Layers of all slices, shape (u, v, n_slices), and what was filled or left out between planes."""
    typical = float(np.median(np.diff(w))) if len(w) > 1 else 1.0
    reach = typical / 2 if typical <= WIDE else 0.5
    between = _filled_between(w, layers, typical) if typical > WIDE else {}
    slices: dict[int, NDArray[np.bool_]] = {}
    for s in range(int(np.ceil(w[0] - reach)), int(np.floor(w[-1] + reach)) + 1):
        distance = np.abs(np.array(w) - s)
        nearest = int(distance.argmin())
        if s in between:
            slices[s] = between[s]
        elif distance[nearest] <= reach:
            slices[s] = layers[nearest]
    values = np.zeros((*layers[0].shape, n_slices), dtype=bool)
    for s in slices.keys() & set(range(n_slices)):
        values[:, :, s] = slices[s]
    return values, _gap_notes(sorted(slices), len(between), typical)


def _gap_notes(slices: Sequence[int], n_between: int, typical: float) -> list[str]:
    notes = []
    if n_between:
        notes.append(
            f"slices between contours that are {typical:.1f} slices apart were filled by interpolation"
        )
    missing = sum(b - a - 1 for a, b in pairwise(slices))
    if missing:
        notes.append(f"slices between the contours that have none ({missing}) were left empty")
    return notes


def _filled_between(
    w: Sequence[float], layers: Sequence[NDArray[np.bool_]], typical: float
) -> dict[int, NDArray[np.bool_]]:
    """Shape-based interpolation over every gap that is not much wider than the others."""
    out: dict[int, NDArray[np.bool_]] = {}
    for (w0, a), (w1, b) in pairwise(zip(w, layers, strict=True)):
        if w1 - w0 > WIDE * typical or not (a.any() and b.any()):
            continue
        below, above = _depth(a), _depth(b)
        for s in range(int(np.ceil(w0)), int(np.floor(w1)) + 1):
            t = (s - w0) / (w1 - w0)
            out[s] = (1 - t) * below + t * above > 0
    return out


def _depth(layer: NDArray[np.bool_]) -> FloatArray:
    """Signed distance to the outline, pixels; positive inside."""
    padded = np.pad(layer, 1)
    inside, outside = distance_transform_edt(padded), distance_transform_edt(~padded)
    depth = np.where(padded, inside - 0.5, 0.5 - outside)
    return np.asarray(depth[1:-1, 1:-1], dtype=np.float64)


def _mask(values: NDArray[np.bool_], start: NDArray[np.int64], grid: Grid) -> Mask | None:
    box = bounding_box(values)
    if box is None:
        return None
    low, high = np.array(box[0]), np.array(box[1])
    cut = values[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return Mask(cut.copy(), grid.crop(start + low, start + high))


def _kept(index: Sequence[FloatArray], grid: Grid) -> Mask:
    """Voxels that hold the centres of contours too small to hold a voxel centre."""
    voxels = np.unique([np.round(p.mean(axis=0)).astype(np.int64) for p in index], axis=0)
    inside = voxels[((voxels >= 0) & (voxels < np.array(grid.shape))).all(axis=1)]
    if len(inside) == 0:
        raise outside_error()
    low, high = inside.min(axis=0), inside.max(axis=0) + 1
    values = np.zeros(tuple(high - low), dtype=bool)
    values[tuple((inside - low).T)] = True
    return Mask(values, grid.crop(low, high))


def outside_error() -> RegionError:
    """The refusal of a drawing that does not touch its image."""
    return RegionError(
        "the contours lie wholly outside the image",
        expected="contours inside the field of view",
        remedy="check that the drawing was made on this image",
    )
