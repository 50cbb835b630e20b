"""Streaks of metal on CT: beam hardening along the rays that cross it."""

from __future__ import annotations

import numpy as np
from scipy import fft, ndimage

from osteotrace.phantom.field import Float32Array
from osteotrace.phantom.scanner.constants import number
from osteotrace.space import FloatArray, Grid

_ANGLES = 120
# Edge of the picture on which streaks are reconstructed, samples.
_SAMPLES = 192


def streaks(values: Float32Array, grid: Grid) -> dict[int, Float32Array]:
    """What metal adds to the slices that show it.

    A ray that crosses a length p of metal is measured short by a share of p²; filtered backprojection of
    this error gives dark streaks along the long way through the metal and bright ones beside.

    Parameters
    ----------
    values : ndarray of float32, shape grid.shape
        HU without noise.

    Returns
    -------
    dict of int to ndarray of float32, shape grid.shape[:2]
        HU per slice.
    """
    if float(values.max()) <= number("ct.metal_hu"):
        return {}
    found = {}
    for k in np.flatnonzero((values > number("ct.metal_hu")).any(axis=(0, 1))):
        found[int(k)] = _streak(values[..., k], grid)
    largest = max(float(-s.min()) for s in found.values())
    scale = number("ct.metal_streak_hu") / largest if largest > 0 else 0.0
    return {k: np.asarray(s * scale, dtype=np.float32) for k, s in found.items()}


def _streak(plane: Float32Array, grid: Grid) -> Float32Array:
    spacing = float(grid.spacing[:2].mean())
    center = (np.array(plane.shape) - 1) / 2
    points = (np.argwhere(plane > number("ct.metal_hu")) - center) * spacing
    extent = max(plane.shape) * spacing * 1.5
    angles = np.arange(_ANGLES) * np.pi / _ANGLES
    paths = np.stack([_projected(points, angle, extent, spacing) for angle in angles])
    frequency = np.abs(fft.rfftfreq(paths.shape[1], spacing))
    error = fft.irfft(fft.rfft(-(paths**2), axis=1) * frequency, n=paths.shape[1], axis=1)
    line = (np.arange(_SAMPLES) / (_SAMPLES - 1) - 0.5) * max(plane.shape) * spacing
    x, y = np.meshgrid(line, line, indexing="ij")
    total = np.zeros_like(x)
    for angle, row in zip(angles, error, strict=True):
        at = (x * np.cos(angle) + y * np.sin(angle) + extent / 2) / spacing
        total += np.interp(at.ravel(), np.arange(len(row)), row).reshape(x.shape)
    whole = [(np.arange(n) - c) * spacing for n, c in zip(plane.shape, center, strict=True)]
    index = np.stack(np.meshgrid(*whole, indexing="ij")) / (line[1] - line[0]) + (_SAMPLES - 1) / 2
    return np.asarray(ndimage.map_coordinates(total, index, order=1, mode="nearest"), dtype=np.float32)


def _projected(points: FloatArray, angle: float, extent: float, spacing: float) -> FloatArray:
    """Length of metal along each ray of one view, mm."""
    at = points @ (np.cos(angle), np.sin(angle)) + extent / 2
    count = int(extent / spacing)
    found = np.bincount(np.clip((at / spacing).astype(int), 0, count - 1), minlength=count) * spacing
    return np.asarray(ndimage.gaussian_filter1d(found.astype(np.float64), 1.0))
