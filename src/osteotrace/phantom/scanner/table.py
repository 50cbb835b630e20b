"""The couch under the patient on CT."""

from __future__ import annotations

import numpy as np

from osteotrace.phantom.field import Float32Array
from osteotrace.phantom.scanner.constants import number
from osteotrace.space import FloatArray, Grid

_AIR_HU = -1000.0
# Voxels above this are the patient, and where his back is looked for.
_BODY_HU = -300.0
_QUANTILE = 0.995


def add_table(values: Float32Array, grid: Grid) -> None:
    """Draw the couch into the air under the patient; in place.

    Nothing is drawn when nobody lies in the field of view.

    Parameters
    ----------
    values : ndarray of float32, shape grid.shape
        HU of an axial grid without a couch.
    """
    top = _back(values, grid)
    if top is None:
        return
    plane = grid.points(np.stack(np.meshgrid(*map(np.arange, grid.shape[:2]), [0], indexing="ij"), axis=-1))
    added: Float32Array = _profile(plane[:, :, 0], float(grid.spacing[:2].min()), top) - _AIR_HU
    rows = np.flatnonzero(added.any(axis=0))
    if rows.size:
        part = values[:, rows[0] : rows[-1] + 1]
        air = np.clip((_BODY_HU - part) / (_BODY_HU - _AIR_HU), 0, 1)
        part += added[:, rows[0] : rows[-1] + 1, None] * air


def _back(values: Float32Array, grid: Grid) -> float | None:
    """Height (y, LPS mm) at which the patient lies."""
    coarse = values[::4, :, ::4]
    found = np.any(coarse > _BODY_HU, axis=0)
    slices = np.flatnonzero(found.any(axis=0))
    if slices.size == 0:
        return None
    lowest = found.shape[0] - 1 - found[::-1, slices].argmax(axis=0)
    row = float(np.quantile(lowest, _QUANTILE))
    return float(grid.points((0, row, 0))[1] + grid.spacing[1])


def _profile(points: FloatArray, step: float, top: float) -> Float32Array:
    """HU of the couch at the points of one slice, shape (i, j, 3)."""
    x, y = points[..., 0] - points[..., 0].mean(), points[..., 1] - top
    half = number("ct.table_width_mm") / 2
    mattress, wall = number("ct.mattress_mm"), number("ct.table_wall_mm")
    sag = number("ct.table_sag_mm") * (x / half) ** 2
    upper, lower = mattress - sag, mattress + number("ct.table_depth_mm") - sag

    def between(first: FloatArray, last: FloatArray, width: float) -> FloatArray:
        """Share of each sample within two heights and so far to both sides."""
        depth = np.minimum(np.minimum(y - first, last - y), width - np.abs(x))
        return np.asarray(np.clip(depth / step + 0.5, 0, 1))

    couch = between(upper, lower, half)
    foam = between(upper + wall, lower - wall, half - wall)
    soft = between(-sag, upper, half)
    hu = soft * number("ct.mattress_hu") + (couch - foam) * number("ct.table_wall_hu")
    hu += foam * number("ct.table_foam_hu") + (1 - soft - couch) * _AIR_HU
    return np.asarray(hu, dtype=np.float32)
