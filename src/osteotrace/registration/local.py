"""What two images say about a bone: samples around it, and how their values go together.

The relation of the two contrasts is learned from all bones at once (the logarithm of how much likelier two
values are together than apart); each bone is then moved to where its own samples fit that relation best. So a
vertebra has few samples, but no histogram of its own, and a lesion that only one image shows counts no more
than the floor of the relation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.model.imaging import Volume
from osteotrace.model.values import Quantity
from osteotrace.registration.evidence import BINS, Field, Samples, spline_shares
from osteotrace.registration.pyramid import Floats, Level, in_blocks, onto_grid
from osteotrace.space import FloatArray, Grid, box_around, crop_values

_HU = (-150.0, 900.0)  # fat to dense cortex; the root spreads what lies below cancellous bone
_SAMPLE_MM, _SAMPLE_CT_MM = 1.4, 2.0
_DRAWN = 2
_SHADING_MM = 30.0  # a coil's sensitivity changes over more than that, tissue over less
_MOST_VOXELS = 9_000_000
_FLOOR = -1.5  # nats: no sample argues harder against a pose
_TABLE_BLUR = 0.8  # bins
_ROWS = BINS + 2


@dataclass(frozen=True, slots=True, eq=False)
class LocalImage:
    """A volume near its bones, in ranks of tissue 0 to 1.

    Attributes
    ----------
    values : ndarray of float32
    grid : Grid
        Reduced in the slice at most; slices are kept, so that samples are measurements.
    normal : ndarray, shape (3,)
        Along the thick direction of the voxels, unit vector, LPS.
    thick_mm : float
        Voxel size along it.
    """

    values: Floats
    grid: Grid
    normal: FloatArray
    thick_mm: float


def local_image(volume: Volume, points: FloatArray, margin_mm: float) -> LocalImage | None:
    """Part of a volume around points (LPS mm), its values made ready; None when they lie outside."""
    box = box_around(volume.grid, points, margin_mm)
    if box is None:
        return None
    is_ct = volume.series.quantity is Quantity.HU
    step = _SAMPLE_CT_MM if is_ct else _SAMPLE_MM
    values, grid = in_blocks(crop_values(volume.values, volume.grid, box), box, step)
    if is_ct:
        ranks = np.sqrt(np.clip((values - _HU[0]) / (_HU[1] - _HU[0]), 0.0, 1.0))
    else:
        ranks = _unshaded(values, grid)
    axis = int(grid.spacing.argmax())
    return LocalImage(
        ranks.astype(np.float32), grid, grid.direction[:, axis], float(volume.grid.spacing[axis])
    )


def _unshaded(values: Floats, grid: Grid) -> FloatArray:
    """MR signal over its local mean, from 0 to 1 between the first and the last percentiles."""
    blurred = ndimage.gaussian_filter(values, _SHADING_MM / grid.spacing, mode="nearest", truncate=2.0)
    even = values / np.maximum(blurred, 0.05 * max(float(blurred.max()), 1e-6))
    low, high = np.quantile(even[:: max(1, even.shape[0] // 64)], [0.02, 0.99])
    return np.asarray(np.clip((even - low) / max(float(high - low), 1e-6), 0.0, 1.0))


def field_of(image: LocalImage, spacing_mm: float, blur: tuple[FloatArray, float] | None = None) -> Field:
    """The image on cubic voxels, to look up values at any point.

    Parameters
    ----------
    spacing_mm : float
        Edge of the voxels, mm; coarser where there would be very many.
    blur : (ndarray of shape (3,), float), optional
        Direction (LPS) and width (mm) of the slices of the other image, over which values are averaged.
    """
    extent = np.array(image.grid.shape) * image.grid.spacing
    spacing = max(spacing_mm, float(np.cbrt(extent.prod() / _MOST_VOXELS)))
    grid = image.grid.isotropic(spacing)
    values = onto_grid(image.values, image.grid, grid)
    if blur is not None and blur[1] > 1.5 * max(spacing, image.thick_mm):
        axis = int(np.abs(grid.direction.T @ blur[0]).argmax())
        values = ndimage.gaussian_filter1d(values, blur[1] / spacing / 12.0**0.5, axis=axis, mode="nearest")
    return Field(Level(np.asarray(values, np.float32), np.ones((1, 1, 1), np.float32), grid))


def samples_around(
    image: LocalImage, points: FloatArray, reach_mm: float, most: int, rng: np.random.Generator
) -> Samples:
    """Voxels of an image within a distance of the points of a bone; at most so many, each once."""
    offset = rng.normal(size=(_DRAWN * most, 3))
    offset *= (reach_mm * np.cbrt(rng.random(len(offset))) / np.linalg.norm(offset, axis=1))[:, None]
    places = points[rng.integers(0, len(points), len(offset))] + offset
    index = np.rint(image.grid.indices(places)).astype(np.int64)
    index = index[((index >= 0) & (index < np.array(image.grid.shape))).all(axis=1)]
    flat = np.unique(np.ravel_multi_index(tuple(index.T), image.grid.shape))
    chosen = np.sort(rng.permutation(flat)[:most])
    index = np.stack(np.unravel_index(chosen, image.grid.shape), axis=1)
    bins = np.clip(np.rint(image.values[tuple(index.T)] * (BINS - 1)), 0, BINS - 1).astype(np.int64)
    return Samples(image.grid.points(index), bins)


def relation(field: Field, parts: Sequence[tuple[Samples, FloatArray]]) -> NDArray[np.float64]:
    """How much likelier two values are together than apart, from all bones at their poses; nats.

    Parameters
    ----------
    field : Field
    parts : sequence of (Samples, pose)
        Of each bone; pose of shape (4, 4), probe frame to field frame.

    Returns
    -------
    ndarray, shape (BINS + 2, BINS)
        Rows: value of the field, as the B-spline of `evidence` counts it; columns: bin of the sample.
    """
    counts = np.zeros(_ROWS * BINS)
    for samples, pose in parts:
        seen = field.look_up(pose, samples.points)
        places, shares, _ = spline_shares(seen.value, samples.bins)
        for place, share in zip(places, shares, strict=True):
            counts += np.bincount(place, seen.weight * share, counts.size)
    table = ndimage.gaussian_filter(counts.reshape(_ROWS, BINS), _TABLE_BLUR, mode="constant")
    total = float(table.sum())
    if total <= 0.0:  # no sample meets the field: the images say nothing
        return np.zeros_like(table)
    table = (table + 1e-4 * total / table.size) / total
    apart = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True)
    return np.asarray(np.maximum(np.log(table / apart), _FLOOR))


def agreement(
    field: Field, samples: Samples, table: FloatArray, pose: FloatArray
) -> tuple[float, FloatArray]:
    """Mean of the relation over the samples of a bone, and its gradient.

    Returns
    -------
    value : float
        Nats; a sample outside the field of view counts 0.
    gradient : ndarray, shape (6,)
        By a small rotation about the origin (rad) and a translation (mm) of the field frame.
    """
    seen = field.look_up(pose, samples.points)
    places, shares, changes = spline_shares(seen.value, samples.bins)
    flat = table.ravel() / max(1, len(seen.value))
    terms = [flat[place] for place in places]
    fit = np.asarray(sum(s * t for s, t in zip(shares, terms, strict=True)))
    by_value = seen.weight * sum(c * t for c, t in zip(changes, terms, strict=True))
    return float((seen.weight * fit).sum()), seen.gradient(by_value, fit)
