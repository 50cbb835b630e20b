"""The slices that an MR was taken in, and the lattice on which the network reads them.

Outlines and anatomy jump from slice to slice where these are thick. So the network gets each slice as it is,
and one between each two, and never a mixture that depends on where a lattice happened to begin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from osteotrace.anatomy.network import canonical_axes, canonical_grid
from osteotrace.space import FloatArray, Grid

IN_PLANE_MM = 1.25  # the network was trained on these pixels
_THICK_MM = 2.75  # slices farther apart than this get others between them
_THIN_MM = 1.5  # slices nearer than this are read together,
_WANTED_MM = 2.0  # as many as come nearest to this
_STEPS = np.arange(2.5, 8.01, 0.05)  # voxels of the finer image in one slice
_PHASE = 0.25
_FEWEST = 16  # voxels along the axis
_LIKENESS = 0.8  # correlation with the pattern of linear interpolation from which on it is believed
_THIN = 3  # every so many voxels in the plane are looked at


@dataclass(frozen=True, slots=True)
class Slices:
    """Where slices lie along one axis of an array, in voxels.

    Attributes
    ----------
    first : float
        Index of the first slice.
    step : float
        From slice to slice.
    """

    first: float
    step: float

    def within(self, n: int) -> FloatArray:
        """Indices of all slices in an array of `n` voxels."""
        return np.arange(self.first, n - 1 + 1e-6, self.step)


def own_slices(values: NDArray[np.generic], grid: Grid) -> tuple[NDArray[np.generic], Grid]:
    """The image in the slices that it was taken in, and their lattice; itself where nothing was made finer.

    Only slices across the left-right axis are looked for: those that a sagittal MR has.
    """
    axis = _left_axis(grid)
    found = interpolated_from(values, axis) if grid.spacing[axis] < _THICK_MM else None
    if found is None:
        return values, grid
    at = found.within(grid.shape[axis])
    low = np.minimum(np.floor(at + 1e-6).astype(int), grid.shape[axis] - 2)
    share = np.clip(at - low, 0.0, 1.0).astype(np.float32)
    planes = np.moveaxis(values, axis, -1)
    own = np.moveaxis(planes[..., low] * (1 - share) + planes[..., low + 1] * share, -1, axis)
    first = np.zeros(3)
    first[axis] = found.first
    affine = grid.affine.copy()
    affine[:3, 3] = grid.points(first)
    affine[:3, axis] *= found.step
    i, j, k = own.shape
    return own, Grid((i, j, k), affine, grid.frame_of_reference_uid)


def reading_grid(grid: Grid) -> Grid:
    """Lattice on which the network reads an image that has its own slices.

    Axes near inferior, posterior, left; pixels of `IN_PLANE_MM`; along the slices the image's own ones,
    with others between them where they are thick, and fewer where they are thin.
    """
    axis = _left_axis(grid)
    spacing = float(grid.spacing[axis])
    if spacing <= _THIN_MM:
        return canonical_grid(grid, (IN_PLANE_MM, IN_PLANE_MM, spacing * round(_WANTED_MM / spacing)))
    parts = int(np.ceil(spacing / _THICK_MM - 1e-6))
    step = spacing / parts
    lattice = canonical_grid(grid, (IN_PLANE_MM, IN_PLANE_MM, step))
    i, j, _ = lattice.shape
    k = (grid.shape[axis] - 1) * parts + 1
    left = lattice.direction[:, 2]
    affine = lattice.affine.copy()
    affine[:3, 3] += ((grid.center - lattice.center) @ left + (lattice.shape[2] - k) / 2 * step) * left
    return Grid((i, j, k), affine, grid.frame_of_reference_uid)


def _left_axis(grid: Grid) -> int:
    """Index axis of an image that lies nearest to left and right."""
    return int(np.abs(grid.direction.T @ canonical_axes(grid)[:, 2]).argmax())


def interpolated_from(values: NDArray[np.generic], axis: int) -> Slices | None:
    """The slices between which an image was interpolated linearly along an axis; None where it was not.

    Linear interpolation bends only at the slices that it started from: there the second difference is
    large, between them it is nearly zero.
    """
    planes = np.moveaxis(values, axis, 0)[:, ::_THIN, ::_THIN].astype(np.float32)
    if len(planes) < _FEWEST:
        return None
    bend = np.abs(planes[2:] - 2 * planes[1:-1] + planes[:-2]).mean(axis=(1, 2))
    bend = np.minimum(bend, 1.3 * np.percentile(bend, 90.0))  # an end slice without signal
    if bend.std() <= 0:
        return None
    best, found = _LIKENESS, None
    for step in _STEPS:
        for first in np.arange(0.0, step, _PHASE):
            likeness = _likeness(bend, Slices(float(first), float(step)))
            if likeness > best + 1e-6:
                best, found = likeness, Slices(float(first), float(step))
    return found


def _likeness(bend: NDArray[np.floating], slices: Slices) -> float:
    """Correlation of second differences with those of an image that was interpolated from these slices."""
    n = len(bend) + 2
    at = slices.within(n)
    low = np.floor(at + 1e-6).astype(int)
    share = at - low
    weight = np.zeros(n + 1)
    np.add.at(weight, low, 1 - share)
    np.add.at(weight, low + 1, share)
    inner = weight[1 : n - 1] - weight[1 : n - 1].mean()
    bend = bend - bend.mean()
    size = float(np.sqrt((inner @ inner) * (bend @ bend)))
    return float(inner @ bend) / size if size > 0 else 0.0
