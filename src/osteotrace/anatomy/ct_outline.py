"""Labels of a CT on the lattice of its own voxels, vertebrae outlined by their bone."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.anatomy.ct_answer import CtAnswer
from osteotrace.anatomy.ct_body import AIR_HU
from osteotrace.anatomy.ct_vertebrae import CtVertebrae
from osteotrace.anatomy.network import block_mean
from osteotrace.space import Grid, resample

_MOST_VOXELS: Final = 2**24  # of a CT whose labels are written on its own lattice
_FINE_MM: Final = 1.6  # a larger one is made coarser, but not coarser than this
_REACH_MM: Final = 4.0  # beyond the network's outline, in which bone is looked for
_EDGE: Final = 0.6  # of the network and the bone together; chosen on one phantom
_DEEP: Final = 0.95  # probability from which on marrow of any density is inside
_SOFT_HU: Final = 150.0  # from there to what is surely bone
_WEIGHT: Final = 0.3  # of the bone against the network
_SMOOTH: Final = 0.6  # voxels


def label_grid(grid: Grid) -> tuple[Grid, NDArray[np.int_]]:
    """Lattice on which the labels of a volume are written, and how many of its voxels make one."""
    if int(np.prod(grid.shape)) <= _MOST_VOXELS:
        factors = np.ones(3, int)
    else:
        factors = np.maximum(1, np.floor(_FINE_MM / grid.spacing + 1e-3)).astype(int)
    if (factors == 1).all():
        return grid, factors
    return _coarser(grid, factors), factors


def _coarser(grid: Grid, factors: NDArray[np.int_]) -> Grid:
    i, j, k = (int(n) for n in np.array(grid.shape) // factors)
    affine = grid.affine.copy()
    affine[:3, :3] = grid.affine[:3, :3] * factors
    affine[:3, 3] = grid.points((factors - 1) / 2.0)
    return Grid((i, j, k), affine, grid.frame_of_reference_uid)


def on_grid(
    labels: NDArray[np.uint16],
    found: CtAnswer,
    vertebrae: CtVertebrae,
    values: NDArray[np.generic],
    grid: Grid,
    bone_hu: float,
    rest: int,
) -> tuple[NDArray[np.uint16], Grid]:
    """All labels on the lattice for labels.

    Parameters
    ----------
    labels : ndarray of uint16, shape found.lattice.shape
        Vertebrae are 1 to vertebrae.count.
    values : ndarray, shape grid.shape
        HU.
    bone_hu : float
        Half way between soft tissue and cortex.
    rest : int
        Label of what is nothing but body; a vertebra may grow into it, and leaves it where it shrinks.
    """
    onto, factors = label_grid(grid)
    fine = np.round(resample(labels.astype(np.float32), found.lattice, onto, order=0, fill=0.0))
    out = fine.astype(np.uint16)
    box = _box(vertebrae, found.lattice, onto)
    if box is None:
        return out, onto
    part = onto.crop([s.start for s in box], [s.stop for s in box])
    source = tuple(slice(s.start * f, s.stop * f) for s, f in zip(box, factors, strict=True))
    own_grid = grid.crop([s.start for s in source], [s.stop for s in source])
    hu, _ = block_mean(values[source], own_grid, factors)
    near = _near(vertebrae.whole, found.lattice)
    number = np.round(resample(near.astype(np.float32), found.lattice, part, order=0, fill=0.0))
    share = resample(np.where(near > 0, found.vertebra, 0.0), found.lattice, part, fill=0.0)
    smooth = ndimage.gaussian_filter(np.nan_to_num(hu, nan=AIR_HU), _SMOOTH)
    bone = np.clip((smooth - bone_hu) / _SOFT_HU, -1.0, 1.0) * _WEIGHT
    inside = ((share + bone > _EDGE) | (share > _DEEP)) & (number > 0)
    own = out[box]
    is_vertebra = (own > 0) & (own <= vertebrae.count)
    own[is_vertebra] = rest
    free = inside & ((own == 0) | (own == rest))
    own[free] = number[free].astype(np.uint16)
    out[box] = own
    return out, onto


def _near(whole: NDArray[np.int32], lattice: Grid) -> NDArray[np.int32]:
    """Vertebrae, each grown by a little into what is none."""
    box = ndimage.find_objects((whole > 0).astype(np.uint8))[0]
    reach = int(np.ceil(_REACH_MM / lattice.spacing.min())) + 1
    wide = tuple(slice(max(0, s.start - reach), s.stop + reach) for s in box)
    spacing = tuple(float(s) for s in lattice.spacing)
    distance, nearest = ndimage.distance_transform_edt(
        whole[wide] == 0, sampling=spacing, return_indices=True
    )
    out = np.zeros_like(whole)
    out[wide] = np.where(distance <= _REACH_MM, whole[wide][tuple(nearest)], 0)
    return out


def _box(vertebrae: CtVertebrae, lattice: Grid, onto: Grid) -> tuple[slice, slice, slice] | None:
    """Box of the label lattice that holds all vertebrae."""
    where = np.argwhere(vertebrae.whole > 0)
    if len(where) == 0:
        return None
    low, high = where.min(axis=0) - 3, where.max(axis=0) + 3
    corners = np.stack(np.meshgrid(*zip(low, high, strict=True), indexing="ij"), axis=-1).reshape(-1, 3)
    index = onto.indices(lattice.points(corners))
    start = np.clip(np.floor(index.min(axis=0)).astype(int), 0, np.array(onto.shape) - 1)
    stop = np.clip(np.ceil(index.max(axis=0)).astype(int) + 1, start + 1, onto.shape)
    return tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))  # type: ignore[return-value]
