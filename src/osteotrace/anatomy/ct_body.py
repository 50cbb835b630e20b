"""The patient in a CT: what is no air, without the table."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.space import Grid, resample

AIR_HU: Final = -1024.0
SKIN_HU: Final = -300.0  # between air and skin
COARSE: Final = 2  # voxels of the lattice, along each axis, that make one in which the patient is looked for
_THIN: Final = 2  # coarse voxels; what is less than twice as thick (table, clothes, cables) is left out
_REGROWN: Final = 4  # coarse voxels around what is left: fingers, folds, and what was rubbed off
_LEAST_SHARE: Final = 0.03  # of the greatest part, that another one (an arm) has at least


def patient_in(values: NDArray[np.generic], grid: Grid, lattice: Grid) -> NDArray[np.bool_]:
    """Where the patient is, lungs and gut included.

    Parameters
    ----------
    values : ndarray, shape grid.shape
        HU.
    lattice : Grid
        Axes near inferior, posterior, left.

    Returns
    -------
    ndarray of bool
        On the lattice of :func:`coarser`.
    """
    return _patient(_seen(values, grid, coarser(lattice)) > SKIN_HU)


def coarser(lattice: Grid) -> Grid:
    """The lattice whose voxels are `COARSE` voxels wide; the last ones may reach beyond its end."""
    i, j, k = (-(-n // COARSE) for n in lattice.shape)
    affine = lattice.affine.copy()
    affine[:3, :3] = lattice.affine[:3, :3] * COARSE
    affine[:3, 3] = lattice.points(np.full(3, (COARSE - 1) / 2.0))
    return Grid((i, j, k), affine, lattice.frame_of_reference_uid)


def outline(patient: NDArray[np.bool_], hu: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The patient in voxels of the lattice: his skin is where air ends.

    Parameters
    ----------
    patient : ndarray of bool
        Of :func:`patient_in`.
    hu : ndarray of float32
        On the lattice.
    """
    deep = _finer(ndimage.binary_erosion(patient, border_value=1), hu.shape)
    wide = _finer(ndimage.binary_dilation(patient), hu.shape)
    return np.asarray(deep | (wide & (hu > SKIN_HU)))


def _finer(mask: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    out = mask
    for axis in range(3):
        out = out.repeat(COARSE, axis)
    i, j, k = shape
    return out[:i, :j, :k]


def _seen(values: NDArray[np.generic], grid: Grid, coarse: Grid) -> NDArray[np.float32]:
    """Single values near the voxels of the coarse lattice: quick, and good enough to tell air."""
    step = np.maximum(1, np.floor(coarse.spacing.min() / grid.spacing + 1e-3)).astype(int)
    thin = values[:: step[0], :: step[1], :: step[2]]
    affine = grid.affine.copy()
    affine[:3, :3] = grid.affine[:3, :3] * step
    own = Grid(thin.shape, affine, grid.frame_of_reference_uid)
    return resample(thin.astype(np.float32), own, coarse, order=0, fill=AIR_HU)


def _patient(dense: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The great thick parts of what is no air, with what is near to them, filled slice by slice."""
    thick = ndimage.binary_erosion(dense, iterations=_THIN, border_value=1)
    parts, _ = ndimage.label(thick)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    if not sizes.any():
        return np.zeros_like(dense)
    kept = thick & (sizes >= _LEAST_SHARE * sizes.max())[parts]
    out = ndimage.binary_dilation(kept, iterations=_REGROWN, mask=dense)
    for row in out:
        row[:] = ndimage.binary_fill_holes(row)
    return np.asarray(out)
