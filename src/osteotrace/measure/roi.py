"""Statistics of the values inside a mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import edt
import numpy as np
from numpy.typing import NDArray

from osteotrace.errors import LatticeMismatchError
from osteotrace.model.imaging import Volume
from osteotrace.space import FloatArray, Mask, crop_values


@dataclass(frozen=True, slots=True)
class RoiStatistics:
    """Summary of the values of a region, in the unit of the image."""

    n_voxels: int
    mean: float
    sd: float
    minimum: float
    maximum: float
    median: float
    p10: float
    p90: float


def roi_values(volume: Volume, mask: Mask) -> FloatArray:
    """Values at the voxels of a mask that shares the lattice of the volume; shape (n,).

    Raises
    ------
    LatticeMismatchError
        When the mask lies on another lattice or reaches outside the volume.
    """
    box = crop_values(volume.values, volume.grid, mask.grid)
    if box.shape != mask.values.shape:
        raise LatticeMismatchError("the mask reaches outside the image", where=volume.series.id)
    return np.asarray(box[mask.values], dtype=np.float64)


def roi_statistics(values: NDArray[Any]) -> RoiStatistics:
    """Statistics of values, shape (n,), n ≥ 1. The SD is that of the sample (n - 1); 0 for one voxel."""
    data = np.asarray(values, dtype=np.float64)
    p10, median, p90 = np.percentile(data, [10, 50, 90])
    return RoiStatistics(
        n_voxels=int(data.size),
        mean=float(data.mean()),
        sd=float(data.std(ddof=1)) if data.size > 1 else 0.0,
        minimum=float(data.min()),
        maximum=float(data.max()),
        median=float(median),
        p10=float(p10),
        p90=float(p90),
    )


def core(mask: Mask, depth_mm: float) -> Mask | None:
    """Leave out the rim, where voxels hold two tissues (partial volume); None when nothing is left.

    The rim is ``depth_mm`` wide, and at least one voxel of the finest axis: a voxel stays when the nearest
    outside voxel is further away than that.
    """
    width = max(depth_mm, float(mask.grid.spacing.min())) * (1 + 1e-6)
    padded = np.pad(mask.values, 1)
    distance = edt.edt(np.asfortranarray(padded), anisotropy=tuple(mask.grid.spacing), black_border=True)
    inner = distance[1:-1, 1:-1, 1:-1] > width
    return Mask.from_array(inner, mask.grid) if inner.any() else None
