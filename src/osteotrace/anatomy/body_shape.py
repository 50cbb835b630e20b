"""Size and orientation of vertebral bodies, from their voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from osteotrace.model.anatomy import BodySize, Orientation, Vector
from osteotrace.space import FloatArray, Grid

_COLUMN_MM = 6.0  # half width of the column in which the height is taken
_SLAB_MM = 4.0  # half height of the slab in which width and depth are taken
_RIM_SHARE = 0.7  # share of the half width and depth over which an endplate is taken as flat
_BIN_MM = 2.5


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Axes of a body: unit vectors towards head, back and left, and its centre; LPS, mm."""

    cranial: FloatArray
    back: FloatArray
    left: FloatArray
    centre: FloatArray


def frames(centres: FloatArray, lattice: Grid) -> list[Frame]:
    """Frame of each body of a row, along the row; centres from head to tail, shape (n, 3), LPS mm."""
    left = lattice.direction[:, 2]
    out = []
    for index, centre in enumerate(centres):
        above, below = centres[max(0, index - 1)], centres[min(len(centres) - 1, index + 1)]
        along = above - below
        along = along - (along @ left) * left
        norm = np.linalg.norm(along)
        cranial = along / norm if norm > 0 else -lattice.direction[:, 0]
        back = np.cross(left, cranial)
        back = back * np.sign(back @ lattice.direction[:, 1])
        out.append(Frame(cranial, back, left, centre))
    return out


def size_of(points: FloatArray, frame: Frame, spacing: FloatArray, *, cut: bool) -> BodySize | None:
    """Height, width and depth; None for a body that the field of view cuts.

    Parameters
    ----------
    points : ndarray, shape (n, 3)
        Centres of its voxels; LPS, mm.
    spacing : ndarray, shape (3,)
        Of the voxels, mm: what is added for the halves at both ends.
    """
    if cut:
        return None
    up, back, left = _local(points, frame)
    column = (np.abs(back) < _COLUMN_MM) & (np.abs(left) < _COLUMN_MM)
    slab = np.abs(up) < _SLAB_MM
    return BodySize(
        height_mm=_extent(up[column], spacing[0]),
        width_mm=_extent(left[slab], spacing[2]),
        depth_mm=_extent(back[slab & (np.abs(left) < _COLUMN_MM)], spacing[1]),
    )


def orientation_of(points: FloatArray, frame: Frame) -> Orientation:
    """Axis of a body and the normals of its endplates, all towards the head."""
    up, back, left = _local(points, frame)
    flat = (np.abs(back) < _RIM_SHARE * _half(back)) & (np.abs(left) < _RIM_SHARE * _half(left))
    return Orientation(
        cranial=_vector(frame.cranial),
        upper_endplate=_normal(up[flat], back[flat], left[flat], frame, upper=True),
        lower_endplate=_normal(up[flat], back[flat], left[flat], frame, upper=False),
    )


def _local(points: FloatArray, frame: Frame) -> tuple[FloatArray, FloatArray, FloatArray]:
    away = points - frame.centre
    return away @ frame.cranial, away @ frame.back, away @ frame.left


def _half(values: FloatArray) -> float:
    return float(np.percentile(np.abs(values), 98.0))


def _extent(values: FloatArray, step: float) -> float | None:
    if len(values) < 3:
        return None
    low, high = np.percentile(values, (2.0, 98.0))
    return round(float(high - low + step), 1)


def _normal(
    up: FloatArray, back: FloatArray, left: FloatArray, frame: Frame, *, upper: bool
) -> Vector | None:
    """Normal of the plane through the outermost voxels of each column; None when there are too few."""
    column = np.round(np.stack((back, left)) / _BIN_MM).astype(int)
    column -= column.min(axis=1, keepdims=True) if column.size else 0
    if column.shape[1] < 10:
        return None
    key = column[0] * (column[1].max() + 1) + column[1]
    order = np.lexsort((-up if upper else up, key))
    first = np.unique(key[order], return_index=True)[1]
    outer: NDArray[np.int_] = order[first]
    if len(outer) < 8:
        return None
    design = np.stack((np.ones(len(outer)), back[outer], left[outer]), axis=1)
    _, slope_back, slope_left = np.linalg.lstsq(design, up[outer], rcond=None)[0]
    normal = frame.cranial - slope_back * frame.back - slope_left * frame.left
    return _vector(normal / np.linalg.norm(normal))


def _vector(values: FloatArray) -> Vector:
    x, y, z = (float(v) for v in values)
    return (x, y, z)
