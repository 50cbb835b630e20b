"""Blurring and noise that all scanners use, in threads and independent of their number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy import ndimage

from osteotrace.phantom.field import Float32Array
from osteotrace.space import FloatArray

# FWHM of a Gaussian in SD.
FWHM = float(2.0 * np.sqrt(2.0 * np.log(2.0)))
_TRUNCATE = 4.0


def in_threads(work: Callable[[slice], None], runs: Sequence[slice], threads: int) -> None:
    """Do a piece of work for every run; errors are raised."""
    with ThreadPoolExecutor(max_workers=threads) as pool:
        list(pool.map(work, runs))


def runs_of(size: int, length: int) -> list[slice]:
    """Cut an axis into runs; they depend on the size only."""
    return [slice(first, min(first + length, size)) for first in range(0, size, length)]


def blurred(values: Float32Array, sigma: Sequence[float] | FloatArray, threads: int) -> Float32Array:
    """Gaussian blur of a volume; ``sigma`` in voxels of each axis; edges are continued."""
    out = np.empty_like(values)

    def across(run: slice) -> None:
        ndimage.gaussian_filter(
            values[run], (0, *sigma[1:]), output=out[run], mode="nearest", truncate=_TRUNCATE
        )

    def along(run: slice) -> None:
        out[:, run] = ndimage.gaussian_filter1d(
            out[:, run], sigma[0], axis=0, mode="nearest", truncate=_TRUNCATE
        )

    in_threads(across, runs_of(values.shape[0], 16), threads)
    if sigma[0] > 0:
        in_threads(along, runs_of(values.shape[1], 16), threads)
    return out


def normal(shape: tuple[int, ...], seed: Sequence[int], threads: int) -> Float32Array:
    """White noise of SD 1; every plane of the last axis has a generator of its own."""
    planes = np.empty((shape[-1], *shape[:-1]), dtype=np.float32)

    def work(run: slice) -> None:
        for k in range(run.start, run.stop):
            np.random.default_rng([*seed, k]).standard_normal(dtype=np.float32, out=planes[k])

    in_threads(work, runs_of(shape[-1], 16), threads)
    return np.moveaxis(planes, 0, -1)


def smooth_noise(
    shape: tuple[int, ...], sigma: Sequence[float] | FloatArray, seed: Sequence[int], threads: int
) -> Float32Array:
    """Noise of SD 1 that a Gaussian of ``sigma`` voxels has smoothed."""
    noise = blurred(normal(shape, seed, threads), sigma, threads)
    noise /= np.float32(np.prod([_gain(s) for s in sigma]))
    return noise


def smooth_step(values: FloatArray) -> Float32Array:
    """0 below 0, 1 above 1, smooth in between."""
    t = np.clip(values, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def _gain(sigma: float) -> float:
    """SD of white noise of SD 1 after a blur along one axis."""
    if sigma == 0:
        return 1.0
    impulse = np.zeros(2 * int(_TRUNCATE * sigma + 1) + 1)
    impulse[len(impulse) // 2] = 1.0
    kernel = ndimage.gaussian_filter1d(impulse, sigma, mode="constant", truncate=_TRUNCATE)
    return float(np.sqrt((kernel**2).sum()))
