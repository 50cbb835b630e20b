"""Values and masks from one grid to another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray

from osteotrace.errors import LatticeMismatchError
from osteotrace.space.grid import FloatArray, Grid, apply_affine
from osteotrace.space.mask import Mask
from osteotrace.space.transform import RigidTransform, index_map

# Samples that occupancy takes at a time, and beyond which it takes fewer of each voxel.
_SLAB_SAMPLES = 2**24
_MANY_SAMPLES = 2**24

_INTERPOLATORS = {0: sitk.sitkNearestNeighbor, 1: sitk.sitkLinear, 3: sitk.sitkBSpline}


def limit_threads(jobs: int) -> None:
    """Threads that resampling, bias correction and registration may use; 0 leaves the library's choice."""
    if jobs > 0:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(jobs)


def threads() -> int:
    """Threads that long computations may use, as :func:`limit_threads` set them; by default one a core."""
    return int(sitk.ProcessObject.GetGlobalDefaultNumberOfThreads())


def index_image(values: NDArray[Any]) -> sitk.Image:
    """SimpleITK image of an array (i, j, k) in *index* space (spacing 1, origin 0).

    Working in index space lets a sheared grid through, which SimpleITK refuses as geometry.
    """
    array = values.astype(np.uint8) if values.dtype == bool else values
    return sitk.GetImageFromArray(np.ascontiguousarray(array.T))


def resample(
    values: NDArray[Any],
    grid: Grid,
    onto: Grid,
    *,
    onto_to_grid: RigidTransform | None = None,
    order: int = 1,
    fill: float | None = float("nan"),
) -> NDArray[np.float32]:
    """Values of an image at the voxel centres of another grid.

    Parameters
    ----------
    values : ndarray, shape grid.shape
        The image.
    grid, onto : Grid
        Where the values are, and where they are wanted.
    onto_to_grid : RigidTransform, optional
        Needed when the two grids are in different frames of reference.
    order : {0, 1, 3}
        Nearest, linear or cubic B-spline interpolation.
    fill : float or None
        Value outside the field of view; None takes the nearest one. Default NaN: not covered is not zero.

    Returns
    -------
    ndarray of float32, shape onto.shape

    Raises
    ------
    FrameMismatchError
        When frames are mixed without a transform.
    """
    matrix = index_map(onto, grid, onto_to_grid)
    resampler = _resampler(matrix, onto.shape, order, 0.0 if fill is None else fill, sitk.sitkFloat32)
    resampler.SetUseNearestNeighborExtrapolator(fill is None)
    out = sitk.GetArrayFromImage(resampler.Execute(index_image(values))).T
    return np.asarray(out, dtype=np.float32)


def occupancy(
    mask: Mask, onto: Grid, *, onto_to_mask: RigidTransform | None = None, samples: int | None = None
) -> NDArray[np.float32]:
    """Share of each voxel of ``onto`` that the mask fills, from a lattice of points in each voxel.

    Parameters
    ----------
    samples : int, optional
        Points along each edge of a voxel. Default: so many that no voxel of the mask falls between them;
        at most 3 where that would take very many.

    Returns
    -------
    ndarray of float32, shape onto.shape, values 0 to 1
    """
    index_map(onto, mask.grid, onto_to_mask)  # refuses mixed frames
    counts = _sample_counts(mask.grid, onto) if samples is None else (samples,) * 3
    image = index_image(mask.values)
    i, j, k = onto.shape
    share = np.empty((k, j, i), dtype=np.float32)
    rows = max(1, _SLAB_SAMPLES // (i * j * int(np.prod(counts))))
    for first in range(0, k, rows):
        slab = onto.crop((0, 0, first), (i, j, first + rows))
        share[first : first + rows] = _slab_share(image, slab, mask.grid, onto_to_mask, counts)
    return share.T


def map_mask(mask: Mask, onto: Grid, *, mask_to_onto: RigidTransform | None = None) -> Mask | None:
    """The voxels of ``onto`` that the mask fills most, so many that its volume is kept.

    For a mask much larger than a voxel these are the voxels filled by half or more. A mask that is thin
    against the voxels, so that it fills none by half, keeps its extent. A mask smaller than a voxel
    becomes the one voxel that it fills most.

    Parameters
    ----------
    mask_to_onto : RigidTransform, optional
        From the frame of the mask to the frame of ``onto``; needed when they differ.

    Returns
    -------
    Mask or None
        None when the mask lies wholly outside ``onto``.
    """
    to_index = index_map(mask.grid, onto, mask_to_onto)
    box = _box_of_voxels(mask.values, to_index, onto)
    if box is None:
        return None
    share = occupancy(mask, box, onto_to_mask=None if mask_to_onto is None else mask_to_onto.inverse)
    if not share.any():  # voxels so small and far apart that every sample missed them
        share = _nearest_voxels(mask.values, index_map(mask.grid, box, mask_to_onto), box.shape)
    return Mask.from_array(_fullest(share), box) if share.any() else None


def box_around(grid: Grid, points: ArrayLike, margin_mm: float = 0.0) -> Grid | None:
    """Part of a grid that holds the points (LPS mm, shape (n, 3)) and a margin, or None when outside."""
    index = grid.indices(points)
    margin = margin_mm / grid.spacing
    low = np.floor(index.min(axis=0) - margin).astype(int)
    high = np.ceil(index.max(axis=0) + margin).astype(int) + 1
    if (high <= 0).any() or (low >= np.array(grid.shape)).any():
        return None
    return grid.crop(low, high)


def covered_fraction(mask: Mask, grid: Grid, mask_to_grid: RigidTransform | None = None) -> float:
    """Share of the mask's voxel centres that lie in the field of view of ``grid``, 0 to 1."""
    index = apply_affine(index_map(mask.grid, grid, mask_to_grid), np.argwhere(mask.values))
    return float(((index >= -0.5) & (index <= np.array(grid.shape) - 0.5)).all(axis=1).mean())


def crop_values(values: NDArray[Any], grid: Grid, box: Grid) -> NDArray[Any]:
    """View of the values on a box that shares the lattice of ``grid`` and lies inside it.

    Raises
    ------
    LatticeMismatchError
        When the lattices differ, or the box reaches outside.
    """
    low = np.array(box.offset_in(grid))
    high = low + box.shape
    if (low < 0).any() or (high > np.array(grid.shape)).any():
        raise LatticeMismatchError(
            "the box reaches outside the grid",
            expected=f"voxels (0, 0, 0) to {grid.shape}",
            remedy="crop it first",
        )
    return values[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]


def _resampler(
    matrix: FloatArray, shape: Iterable[int], order: int, fill: float, pixel_type: int
) -> sitk.ResampleImageFilter:
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3].tolist())
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize([int(n) for n in shape])
    resampler.SetOutputPixelType(pixel_type)
    resampler.SetInterpolator(_INTERPOLATORS[order])
    resampler.SetDefaultPixelValue(fill)
    resampler.SetTransform(transform)
    return resampler


def _sample_counts(source: Grid, onto: Grid) -> tuple[int, ...]:
    """Points along i, j, k of a voxel of ``onto``.

    A lattice of step d meets every ball of diameter d times the square root of 3, hence every voxel of
    the source whose smallest edge is that long.
    """
    fine = np.ceil(np.sqrt(3.0) * onto.spacing / source.spacing.min())
    if np.prod(fine) * np.prod(onto.shape) > _MANY_SAMPLES:
        fine = np.minimum(fine, 3)
    return tuple(int(n) for n in np.maximum(fine, 1))


def _slab_share(
    image: sitk.Image,
    slab: Grid,
    source: Grid,
    slab_to_source: RigidTransform | None,
    counts: tuple[int, ...],
) -> NDArray[np.float32]:
    """Share of the samples inside; shape (k, j, i)."""
    fine = _subdivided(slab, counts)
    matrix = index_map(fine, source, slab_to_source)
    sums = sitk.GetArrayFromImage(_resampler(matrix, fine.shape, 0, 0.0, sitk.sitkUInt8).Execute(image))
    for axis, (count, size) in enumerate(zip(counts[::-1], slab.shape[::-1], strict=True)):
        blocks = sums.reshape(*sums.shape[:axis], size, count, *sums.shape[axis + 1 :])
        sums = blocks.sum(axis=axis + 1, dtype=np.uint32)
    return np.asarray(sums / np.float32(np.prod(counts)), dtype=np.float32)


def _nearest_voxels(
    values: NDArray[np.bool_], to_index: FloatArray, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """A trace in each voxel that holds the centre of a true voxel."""
    index = np.round(apply_affine(to_index, np.argwhere(values))).astype(int)
    inside = index[((index >= 0) & (index < np.array(shape))).all(axis=1)]
    share = np.zeros(shape, dtype=np.float32)
    share[tuple(inside.T)] = np.finfo(np.float32).tiny
    return share


def _fullest(share: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Voxels above the level at which their number is nearest to the filled volume; one at least."""
    total = float(share.sum(dtype=np.float64))
    if total < 1:
        one = np.zeros(share.shape, dtype=bool)
        one[np.unravel_index(int(share.argmax()), share.shape)] = True
        return one
    levels, sizes = np.unique(share[share > 0], return_counts=True)
    n_above = np.cumsum(sizes[::-1])[::-1]
    return np.asarray(share >= levels[int(np.abs(n_above - total).argmin())])


def _box_of_voxels(values: NDArray[np.bool_], to_index: FloatArray, onto: Grid) -> Grid | None:
    """Box of ``onto`` around the true voxels; ``to_index`` maps their indices to those of ``onto``."""
    jk = np.argwhere(values.any(axis=0))
    columns = values[:, jk[:, 0], jk[:, 1]]
    first, last = columns.argmax(axis=0), len(values) - 1 - columns[::-1].argmax(axis=0)
    ends = np.concatenate([np.c_[first, jk], np.c_[last, jk]])  # the hull of all voxels is that of these
    index = apply_affine(to_index, ends)
    half = np.abs(to_index[:3, :3]).sum(axis=1) / 2
    low = np.floor(index.min(axis=0) - half + 0.5).astype(int)
    high = np.ceil(index.max(axis=0) + half - 0.5).astype(int) + 1
    if (high <= 0).any() or (low >= np.array(onto.shape)).any():
        return None
    return onto.crop(low, high)


def _subdivided(grid: Grid, counts: tuple[int, ...]) -> Grid:
    number = np.array(counts)
    affine = grid.affine.copy()
    affine[:3, :3] /= number
    affine[:3, 3] = grid.points(-0.5 + 0.5 / number)
    i, j, k = (int(n) for n in grid.shape * number)
    return Grid((i, j, k), affine, grid.frame_of_reference_uid)
