"""What registration needs of a volume: a light isotropic copy, where the body is, coarser levels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.model.imaging import Volume
from osteotrace.model.values import Modality, Quantity
from osteotrace.space import FloatArray, Grid, resample

Floats = NDArray[np.float32]

# Smoothing that turns a voxel of one size into a larger one, as a share of the difference in variance
# of the two box profiles: 0.6 keeps aliasing below the noise of a scan without blurring it twice.
_SMOOTHING = 0.6
_CLASSES = 3  # air, dark tissue, bright tissue
_HISTOGRAM = 96
_LEVELS = 512
_SAME_SIZE = 1.05  # a level within 5% of the base is the base
_MARGIN_MM = 15.0


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """Isotropic image whose values are ranks of tissue.

    Attributes
    ----------
    ranks : ndarray of float32, shape (i, j, k)
        0 to 1: the value half equalised over the body, half linear.
    body : ndarray of float32, shape (i, j, k)
        Share of the voxel that is body, 0 to 1.
    grid : Grid
        Cubic voxels along the axes of the image.
    """

    ranks: Floats
    body: Floats
    grid: Grid

    @property
    def spacing_mm(self) -> float:
        """Edge of a voxel, mm."""
        return float(self.grid.spacing[0])


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A volume made ready for registration.

    Attributes
    ----------
    series_id : str
    modality : Modality
    base : Level
        The finest level.
    """

    series_id: str
    modality: Modality
    base: Level
    _made: dict[float, Level] = field(default_factory=dict, repr=False)

    @property
    def frame(self) -> str:
        """Frame of reference UID."""
        return self.base.grid.frame_of_reference_uid

    @property
    def body_ml(self) -> float:
        """Volume of the body in the field of view, mL."""
        return float(self.base.body.sum(dtype=np.float64)) * self.base.grid.voxel_volume_mm3 / 1000.0

    def at(self, spacing_mm: float) -> Level:
        """Return the image at a coarser voxel size (mm), made once."""
        base = self.base
        if spacing_mm <= base.spacing_mm * _SAME_SIZE:
            return base
        if spacing_mm not in self._made:
            grid = base.grid.isotropic(spacing_mm)
            ranks, body = (onto_grid(values, base.grid, grid) for values in (base.ranks, base.body))
            self._made[spacing_mm] = Level(ranks, body, grid)
        return self._made[spacing_mm]


def prepare(volume: Volume, spacing_mm: float, body_hu: float) -> Prepared | None:
    """Reduce a volume to cubic voxels, find the body, cut to it and rank the values.

    Parameters
    ----------
    volume : Volume
    spacing_mm : float
        Edge of the cubic voxels, mm.
    body_hu : float
        CT number above which a voxel is body, HU.

    Returns
    -------
    Prepared or None
        None when nothing in the image can be told from air, or everything has one value.
    """
    reduced, grid = in_blocks(volume.values, volume.grid, spacing_mm)
    iso = grid.isotropic(spacing_mm)
    values = onto_grid(reduced, grid, iso)
    body = body_mask(values, iso, body_hu if volume.series.quantity is Quantity.HU else None)
    if not body.any():
        return None
    start, stop = _box(body, margin=int(np.ceil(_MARGIN_MM / spacing_mm)))
    cut = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    values, body, iso = values[cut], body[cut], iso.crop(start, stop)
    ranks = _ranked(values, body)
    if ranks is None:
        return None
    return Prepared(volume.series.id, volume.series.modality, Level(ranks, body.astype(np.float32), iso))


def body_mask(values: Floats, grid: Grid, body_hu: float | None) -> NDArray[np.bool_]:
    """Voxels of the patient: above air, without thin parts, holes filled in each axial slice.

    Parameters
    ----------
    values : ndarray of float32, shape grid.shape
    body_hu : float or None
        Threshold for CT numbers; None finds one between air and dark tissue on the logarithm (Otsu 1979,
        three classes).
    """
    threshold = _air_threshold(values) if body_hu is None else body_hu
    if threshold is None:
        return np.zeros(values.shape, dtype=bool)
    turns = max(1, round(4.0 / float(grid.spacing[0])))
    body = ndimage.binary_opening(np.pad(values > threshold, turns, mode="edge"), iterations=turns)
    body = _largest_parts(body[(slice(turns, -turns),) * 3])
    axis = int(np.abs(grid.direction[2]).argmax())
    slices = [ndimage.binary_fill_holes(s) for s in np.moveaxis(body, axis, 0)]
    return np.asarray(np.moveaxis(np.array(slices), 0, axis))


def _air_threshold(values: Floats) -> float | None:
    top = float(np.quantile(values, 0.99))
    if not np.isfinite(top) or top <= 0:
        return None
    logs = np.log(np.maximum(values, top * 2e-3))
    if np.unique(logs[::7]).size < _CLASSES + 1:
        return None
    otsu = sitk.OtsuMultipleThresholdsImageFilter()
    otsu.SetNumberOfThresholds(_CLASSES - 1)
    otsu.SetNumberOfHistogramBins(_HISTOGRAM)
    otsu.Execute(sitk.GetImageFromArray(np.ascontiguousarray(logs.T, dtype=np.float32)))
    return float(np.exp(otsu.GetThresholds()[0]))


def _largest_parts(mask: NDArray[np.bool_], share: float = 0.1) -> NDArray[np.bool_]:
    labels, n = ndimage.label(mask)
    if n < 2:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray((sizes >= share * sizes.max())[labels] & mask)


def _ranked(values: Floats, body: NDArray[np.bool_]) -> Floats | None:
    inside = np.sort(values[body][:: max(1, int(body.sum()) // 100_000)])
    low, high = np.quantile(inside, [0.005, 0.995])
    if not high > low:
        return None
    nodes = np.linspace(low, high, _LEVELS)
    rank = np.searchsorted(inside, nodes) / inside.size
    rank = (rank - rank[0]) / max(rank[-1] - rank[0], 1e-9)
    curve = 0.5 * rank + 0.5 * (nodes - low) / (high - low)
    return np.asarray(np.interp(values, nodes, curve), dtype=np.float32)


def in_blocks(values: NDArray[Any], grid: Grid, spacing_mm: float) -> tuple[Floats, Grid]:
    """Mean over whole blocks of voxels not larger than the target, which is cheap and does not alias."""
    factor = np.maximum(1, np.floor(spacing_mm / grid.spacing + 1e-6)).astype(int)
    count = [max(1, n // f) for n, f in zip(values.shape, factor, strict=True)]
    factor = np.minimum(factor, values.shape)
    out = values
    for axis in np.argsort(np.abs(values.strides))[::-1]:  # far apart in memory first: all is read once
        n, f = count[axis], factor[axis]
        blocks = np.moveaxis(out, axis, 0)[: n * f].reshape(n, f, *np.delete(out.shape, axis))
        total = blocks[:, 0].astype(np.float32, copy=f > 1)
        for part in range(1, f):
            total += blocks[:, part]
        out = np.moveaxis(total, 0, axis)
    out = out / np.float32(np.prod(factor))
    affine = grid.affine.copy()
    affine[:3, :3] *= factor
    affine[:3, 3] = grid.points((factor - 1) / 2.0)
    shape = (count[0], count[1], count[2])
    return np.nan_to_num(out, copy=False), Grid(shape, affine, grid.frame_of_reference_uid)


def onto_grid(values: Floats, grid: Grid, onto: Grid) -> Floats:
    """Values of a grid on a coarser one, smoothed first so that nothing aliases."""
    ratio = float(onto.spacing[0]) / grid.spacing
    sigma = _SMOOTHING * np.sqrt(np.maximum(0.0, ratio**2 - 1.0)) / np.sqrt(12.0) * 2.0
    smooth = ndimage.gaussian_filter(values, sigma, mode="nearest", truncate=2.5) if sigma.any() else values
    return resample(smooth, grid, onto, fill=None)


def _box(mask: NDArray[np.bool_], margin: int) -> tuple[FloatArray, FloatArray]:
    start, stop = [], []
    for axis in range(3):
        line = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        start.append(max(0, int(line[0]) - margin))
        stop.append(min(mask.shape[axis], int(line[-1]) + 1 + margin))
    return np.array(start), np.array(stop)
