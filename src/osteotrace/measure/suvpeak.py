"""Peak uptake: the highest mean in a small sphere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from osteotrace.measure.diameter import equivalent_diameter_mm
from osteotrace.model.imaging import Volume
from osteotrace.space import FloatArray, Grid, Mask, crop_values, frozen_array

# Points per voxel edge when the share of a voxel inside the sphere is counted.
_SAMPLES = 5

# Weights of a whole sphere add up to 1 within this (Fourier transform in double precision).
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Peak:
    """The highest mean in a sphere, and where.

    Attributes
    ----------
    n_voxels : int
        Voxels that the sphere touches.
    center_mm : tuple of float
        LPS.
    """

    value: float
    center_mm: tuple[float, float, float]
    n_voxels: int


def peak(volume: Volume, mask: Mask, sphere_ml: float) -> Peak | None:
    """Highest mean of a sphere whose centre lies in the mask (Lodge 2012; Wahl 2009).

    The centre is moved over the voxels of the mask and the points half-way between them, to maximise
    the mean; voxels that the sphere cuts count by the share inside. The sphere may reach beyond the
    mask, not beyond the image nor onto voxels without a value: such a centre is left out.

    Parameters
    ----------
    volume : Volume
    mask : Mask
        On the lattice of the volume.
    sphere_ml : float
        Volume of the sphere, mL.

    Returns
    -------
    Peak or None
        None when the sphere fits nowhere in the image.
    """
    radius = equivalent_diameter_mm(sphere_ml) / 2
    reach = np.ceil(radius / _perpendicular_spacing(volume.grid)).astype(int) + 1
    start = np.array(mask.grid.offset_in(volume.grid))
    box = volume.grid.crop(start - reach, start + mask.grid.shape + reach)
    values = _padded(crop_values(volume.values, volume.grid, box), reach)
    inside = mask.on(box)
    best: Peak | None = None
    steps = tuple(map(float, volume.grid.affine[:3, :3].ravel()))
    for shift in product((0, 1), repeat=3):
        kernel = _sphere_kernel(steps, radius, tuple(map(int, reach)), shift)
        means = np.where(_between(inside, shift), _means(values, kernel), -np.inf)
        index = np.unravel_index(int(np.argmax(means)), means.shape)
        if np.isfinite(means[index]) and (best is None or means[index] > best.value):
            x, y, z = (float(c) for c in box.points(np.array(index) + np.array(shift) / 2))
            best = Peak(float(means[index]), (x, y, z), int((kernel > 0).sum()))
    return best


def _padded(values: NDArray[Any], reach: NDArray[np.int_]) -> FloatArray:
    """Values with a rim of NaN, as wide as the sphere reaches."""
    rim = [(int(r), int(r)) for r in reach]
    return np.pad(np.asarray(values, dtype=np.float64), rim, constant_values=np.nan)


def _between(inside: NDArray[np.bool_], shift: tuple[int, ...]) -> NDArray[np.bool_]:
    """Voxels that are inside together with their next neighbour along each shifted axis."""
    for axis in (a for a, step in enumerate(shift) if step):
        after = np.roll(inside, -1, axis=axis)
        after[(slice(None),) * axis + (-1,)] = False
        inside = inside & after
    return inside


def _perpendicular_spacing(grid: Grid) -> FloatArray:
    return np.asarray(1.0 / np.linalg.norm(np.linalg.inv(grid.affine[:3, :3]), axis=1))


@lru_cache(maxsize=32)
def _sphere_kernel(
    steps: tuple[float, ...], radius: float, reach: tuple[int, ...], shift: tuple[int, ...]
) -> FloatArray:
    """Share of each voxel in a sphere.

    Parameters
    ----------
    steps : tuple of float
        The rows of the 3x3 matrix from voxels to mm, one after the other.
    radius : float
        mm.
    reach : tuple of int
        Voxels to each side.
    shift : tuple of int
        Half voxels by which the centre lies beside that of the middle voxel.
    """
    sub = (np.arange(_SAMPLES) + 0.5) / _SAMPLES - 0.5
    lines = [
        ((np.arange(-r, r + 1)[:, None] + sub).ravel() - s / 2) for r, s in zip(reach, shift, strict=True)
    ]
    index = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1)
    inside = np.linalg.norm(index @ np.reshape(steps, (3, 3)).T, axis=-1) <= radius
    a, b, c = (2 * r + 1 for r in reach)
    share = inside.reshape(a, _SAMPLES, b, _SAMPLES, c, _SAMPLES).mean(axis=(1, 3, 5))
    return frozen_array(share / share.sum())


def _means(values: FloatArray, kernel: FloatArray) -> FloatArray:
    """Weighted means over the kernel where all of it rests on finite values, else minus infinity."""
    finite = np.isfinite(values)
    mirrored = kernel[::-1, ::-1, ::-1]
    sums = signal.fftconvolve(np.where(finite, values, 0.0), mirrored, mode="valid")
    weights = signal.fftconvolve(finite.astype(np.float64), mirrored, mode="valid")
    return np.where(weights > 1 - _ROUNDING, sums, -np.inf)
