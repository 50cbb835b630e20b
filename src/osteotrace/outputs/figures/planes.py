"""Slices through a lesion, in the orientation in which radiologists look at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteotrace.model.imaging import Volume
from osteotrace.space import FloatArray, Grid, Mask, box_around, crop_values, resample


@dataclass(frozen=True, slots=True)
class View:
    """One of the three orthogonal views.

    Attributes
    ----------
    name : str
        axial, coronal or sagittal.
    right, down : tuple of float
        Direction of the columns and rows of the picture, LPS. Axial and coronal pictures have the patient's
        right on the left, sagittal ones the front on the left; the head is up, in axial pictures the front.
    letters : tuple of str
        At the left, right, upper and lower edge (DICOM PS3.3 C.7.6.1.1.1; H and F for head and feet).
    """

    name: str
    right: tuple[float, float, float]
    down: tuple[float, float, float]
    letters: tuple[str, str, str, str]


VIEWS = (
    View("axial", (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), ("R", "L", "A", "P")),
    View("coronal", (1.0, 0.0, 0.0), (0.0, 0.0, -1.0), ("R", "L", "H", "F")),
    View("sagittal", (0.0, 1.0, 0.0), (0.0, 0.0, -1.0), ("A", "P", "H", "F")),
)


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """A picture of one view.

    Attributes
    ----------
    values : ndarray of float32, shape (rows, columns)
        NaN outside the field of view.
    inside : ndarray of float32, shape (rows, columns)
        The mask, 0 to 1, to be outlined at one half.
    """

    view: View
    values: NDArray[np.float32]
    inside: NDArray[np.float32]


def slices_through(
    volume: Volume, mask: Mask, center: FloatArray, axes: FloatArray, side_mm: float, pixels: int
) -> tuple[Slice, ...]:
    """Axial, coronal and sagittal slice through a point.

    Parameters
    ----------
    volume : Volume
        The image; interpolated linearly onto isotropic pixels.
    mask : Mask
        In the frame of the volume.
    center : ndarray, shape (3,)
        Middle of the pictures, LPS mm in the frame of the volume.
    axes : ndarray, shape (3, 3)
        Columns: the directions called left, posterior and head, in the frame of the volume.
    side_mm : float
        Side of the square pictures.
    pixels : int
        Pixels along a side.

    Returns
    -------
    tuple of Slice
        In the order of :data:`VIEWS`.
    """
    frame = volume.grid.frame_of_reference_uid
    grids = [plane_grid(view, center, axes, side_mm, pixels, frame) for view in VIEWS]
    padded, around = _padded(mask)
    return tuple(
        Slice(view, _cut(volume, grid), _picture(padded, around, grid, 0.0))
        for view, grid in zip(VIEWS, grids, strict=True)
    )


def plane_grid(
    view: View, center: FloatArray, axes: FloatArray, side_mm: float, pixels: int, frame: str
) -> Grid:
    """Grid of one layer: i to the right of the picture, j down."""
    step = side_mm / pixels
    right, down = axes @ np.array(view.right), axes @ np.array(view.down)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([right, down, np.cross(right, down)], axis=1) * step
    affine[:3, 3] = center - (right + down) * step * (pixels - 1) / 2
    return Grid((pixels, pixels, 1), affine, frame)


def _cut(volume: Volume, plane: Grid) -> NDArray[np.float32]:
    """Values on a plane, from the part of the volume that it meets: whole volumes are slow to convert."""
    margin = 2.0 * float(volume.grid.spacing.max())  # linear interpolation needs the neighbours
    box = box_around(volume.grid, plane.corners, margin_mm=margin)
    if box is None:
        return np.full(plane.shape[:2], np.nan, dtype=np.float32).T
    return _picture(crop_values(volume.values, volume.grid, box), box, plane, np.nan)


def _picture(values: NDArray[Any], grid: Grid, plane: Grid, fill: float) -> NDArray[np.float32]:
    return resample(values, grid, plane, fill=fill)[:, :, 0].T


def _padded(mask: Mask) -> tuple[NDArray[np.float32], Grid]:
    """The mask with one empty voxel around, so that its outline closes."""
    grid = mask.grid
    affine = grid.affine.copy()
    affine[:3, 3] = grid.points((-1, -1, -1))
    i, j, k = (n + 2 for n in grid.shape)
    return np.pad(mask.values.astype(np.float32), 1), Grid((i, j, k), affine, grid.frame_of_reference_uid)
