"""Voxel indices to masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from osteotrace.errors import RegionError
from osteotrace.intake.region_problem import partly_outside
from osteotrace.model.problem import Problem
from osteotrace.model.values import Severity
from osteotrace.space import FloatArray, Grid, Mask, covered_fraction

# Share of a voxel by which a lattice may lie beside another and still be the same: far above the rounding
# of positions in a header, far below a voxel.
BESIDE = 0.1
_FAR = 1e6  # no lattice has as many voxels along an axis
_MAX_VOXELS = 1 << 30  # of the box around a drawing; only damaged headers ask for more


def mask_of(indices: NDArray[np.int64], grid: Grid) -> Mask:
    """Mask of voxel indices (n, 3), n > 0, all of them inside a grid.

    Raises
    ------
    RegionError
        When the box around them is larger than any image.
    """
    low, high = indices.min(axis=0), indices.max(axis=0) + 1
    if np.prod((high - low).astype(np.float64)) > _MAX_VOXELS:
        size = " x ".join(str(n) for n in high - low)
        raise RegionError(f"the drawing spans {size} voxels", expected="no more than an image has")
    values = np.zeros(tuple(high - low), dtype=bool)
    values[tuple((indices - low).T)] = True
    return Mask(values, grid.crop(low, high))


def on_image(indices: NDArray[np.int64], grid: Grid, where: str) -> tuple[Mask, list[Problem]]:
    """Mask of voxel indices (n, 3) of which some may lie outside the image; those are recorded as lost.

    Raises
    ------
    RegionError
        When all of them lie outside.
    """
    inside = indices[((indices >= 0) & (indices < np.array(grid.shape))).all(axis=1)]
    if len(inside) == 0:
        raise _outside()
    return mask_of(inside, grid), partly_outside(1 - len(inside) / len(indices), where)


def on_own_lattice(mask: Mask, image: Grid, where: str) -> tuple[Mask, list[Problem]]:
    """Keep a mask on a lattice of its own in the frame of an image, and record that.

    Raises
    ------
    RegionError
        When it lies wholly outside the image.
    """
    covered = covered_fraction(mask, image)
    if covered == 0:
        raise _outside()
    step = " x ".join(f"{s:.2f}" for s in mask.grid.spacing)
    found = f"the drawing has a lattice of its own ({step} mm), which was kept"
    kept = Problem(Severity.INFO, "region-lattice", found, where, "the lattice of the image")
    return mask, [kept, *partly_outside(1 - covered, where)]


def _outside() -> RegionError:
    return RegionError(
        "the drawing lies wholly outside the image",
        expected="voxels in the field of view",
        remedy="check that the drawing was made on this image",
    )


def whole_steps(
    origin: FloatArray, steps: FloatArray, size: FloatArray, grid: Grid
) -> NDArray[np.int64] | None:
    """Index map of a lattice whose points all lie on voxels of a grid; None when they do not.

    Any order and direction of the axes is accepted.

    Parameters
    ----------
    origin : ndarray, shape (3,)
        First point of the lattice; LPS, mm.
    steps : ndarray, shape (3, n)
        Steps of its n axes as columns; mm.
    size : ndarray, shape (n,)
        Number of points along them.

    Returns
    -------
    ndarray of int64, shape (3, n + 1), or None
        Whole steps as columns, then the index of the first point.
    """
    inverse = np.linalg.inv(grid.affine[:3, :3])
    exact = np.column_stack([inverse @ steps, grid.indices(origin)])
    if not (np.abs(exact) < _FAR).all():
        return None
    rounded = np.round(exact)
    along = np.abs(rounded[:, :-1])
    if (along.sum(axis=0) != 1).any() or (along.sum(axis=1) > 1).any():
        return None
    if (np.abs(exact - rounded) @ np.append(size, 1)).max() > BESIDE:
        return None
    return np.asarray(rounded.astype(np.int64))
