"""Pictures along the curve of a spine: the sagittal and the coronal surface through the vertebral bodies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.model.anatomy import Bone
from osteotrace.model.imaging import Volume
from osteotrace.model.label_schemes import structure
from osteotrace.model.skeleton import Skeleton
from osteotrace.outputs.figures.planes import VIEWS, View
from osteotrace.space import FloatArray, Grid

STEP_MM: Final = 1.0  # of the pictures
_SMOOTH_MM: Final = 12.0  # of the curve, standard deviation: half a vertebra
_BEYOND_MM: Final = 45.0  # shown above and below the row
_AHEAD_MM, _BEHIND_MM, _ASIDE_MM = 75.0, 85.0, 95.0  # shown around the row

SAGITTAL: Final = next(view for view in VIEWS if view.name == "sagittal")
CORONAL: Final = next(view for view in VIEWS if view.name == "coronal")


@dataclass(frozen=True, slots=True, eq=False)
class Curved:
    """A picture on a curved surface; rows go from head to feet, columns along one axis of the patient.

    Attributes
    ----------
    values : ndarray of float32, shape (rows, columns)
        NaN outside the field of view.
    labels : ndarray of uint16, shape (rows, columns)
        Of the skeleton.
    left_mm, top_mm : float
        Coordinate of the first column and row: P or L, and H, in LPS mm.
    """

    view: View
    values: NDArray[np.float32]
    labels: NDArray[np.uint16]
    left_mm: float
    top_mm: float

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top edge, mm."""
        rows, columns = self.values.shape
        left, top = self.left_mm - STEP_MM / 2, self.top_mm + STEP_MM / 2
        return left, left + columns * STEP_MM, top - rows * STEP_MM, top


def row_of(skeleton: Skeleton) -> tuple[Bone, ...]:
    """Vertebrae and sacrum from head to tail."""
    kept = [b for b in skeleton.bones if structure(b.name).kind == "vertebra" or b.name == "sacrum"]
    return tuple(sorted(kept, key=lambda bone: -bone.centroid_mm[2]))


def curved_pictures(volume: Volume, skeleton: Skeleton, row: Sequence[Bone]) -> tuple[Curved, ...]:
    """Sagittal and coronal picture through the bodies of a row; none where the row is empty.

    In the sagittal picture each row lies at the left-right place of the bodies at its height, in the coronal
    one at their front-back place. Heights and widths are true, only the depth is left out. Above and below
    the row of bodies the last place is kept.
    """
    if not row:
        return ()
    places = np.array([bone.centroid_mm for bone in row])
    field = volume.grid.corners[:, 2]
    top = min(float(field.max()), float(places[:, 2].max()) + _BEYOND_MM)
    bottom = max(float(field.min()), float(places[:, 2].min()) - _BEYOND_MM)
    z = np.arange(top, bottom, -STEP_MM)
    x, y = (_along(z, places, axis) for axis in (0, 1))
    across = np.arange(places[:, 1].min() - _AHEAD_MM, places[:, 1].max() + _BEHIND_MM, STEP_MM)
    aside = np.arange(places[:, 0].min() - _ASIDE_MM, places[:, 0].max() + _ASIDE_MM, STEP_MM)
    sagittal = _points(x[:, None], across[None], z[:, None])
    coronal = _points(aside[None], y[:, None], z[:, None])
    return (
        _picture(SAGITTAL, sagittal, volume, skeleton, float(across[0])),
        _picture(CORONAL, coronal, volume, skeleton, float(aside[0])),
    )


def _along(z: FloatArray, places: FloatArray, axis: int) -> FloatArray:
    """Smooth place of the bodies at each height, mm."""
    order = np.argsort(places[:, 2])
    straight = np.interp(z, places[order, 2], places[order, axis])
    return np.asarray(ndimage.gaussian_filter1d(straight, _SMOOTH_MM / STEP_MM, mode="nearest"))


def _points(x: FloatArray, y: FloatArray, z: FloatArray) -> FloatArray:
    return np.stack(np.broadcast_arrays(x, y, z), axis=-1)


def _picture(view: View, points: FloatArray, volume: Volume, skeleton: Skeleton, left_mm: float) -> Curved:
    labels = np.zeros(points.shape[:2], np.uint16)
    if skeleton.labels is not None:
        labels = _nearest(skeleton.labels.values, skeleton.labels.grid, points)
    return Curved(view, _linear(volume, points), labels, left_mm, float(points[0, 0, 2]))


def _linear(volume: Volume, points: FloatArray) -> NDArray[np.float32]:
    index = np.moveaxis(volume.grid.indices(points), -1, 0)
    values = ndimage.map_coordinates(volume.values, index, output=np.float32, order=1, mode="nearest")
    return np.where(volume.grid.contains(points), values, np.float32(np.nan))


def _nearest(labels: NDArray[np.uint16], grid: Grid, points: FloatArray) -> NDArray[np.uint16]:
    index = np.clip(np.rint(grid.indices(points)).astype(int), 0, np.array(grid.shape) - 1)
    i, j, k = np.moveaxis(index, -1, 0)
    return np.where(grid.contains(points), labels[i, j, k], np.uint16(0))
