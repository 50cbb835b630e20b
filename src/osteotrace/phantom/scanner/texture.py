"""Textures: a noise lattice fixed to the body, so that a bone takes its texture along."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.phantom.field import Float32Array

# Nodes along an edge (a power of two: the lattice repeats by masking bits), nodes in a grain, and the SD of
# the smoothing in nodes that gives an autocorrelation of one grain FWHM: 4 / (2.355 * sqrt(2)).
NODES = 128
NODES_PER_GRAIN = 4
_SMOOTH = NODES_PER_GRAIN / (2.3548 * np.sqrt(2.0))
_LEVELS = 5
# Beyond this many SD a value is cut off: no tissue turns negative.
_LIMIT = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Texture:
    """Periodic noise of mean 0 and SD 1, with averages for coarse samples.

    Attributes
    ----------
    levels : tuple of ndarray of float32, shape (n, n, n)
        Each the average of 2 x 2 x 2 nodes of the one before.
    """

    levels: tuple[Float32Array, ...]

    def level(self, grain_mm: float, sample_mm: float) -> tuple[Float32Array, float]:
        """The lattice whose nodes are about as far apart as the samples, and its step in mm."""
        step = grain_mm / NODES_PER_GRAIN
        number = int(np.clip(np.floor(np.log2(max(sample_mm / step, 1.0))), 0, len(self.levels) - 1))
        return self.levels[number], step * 2.0**number


@lru_cache(maxsize=2)
def texture(seed: int) -> Texture:
    """The noise lattice of a patient."""
    values = np.random.default_rng([seed, 0x7E47]).standard_normal((NODES,) * 3, dtype=np.float32)
    values = ndimage.gaussian_filter(values, _SMOOTH, mode="wrap")
    values -= values.mean()
    np.clip(values / values.std(), -_LIMIT, _LIMIT, out=values)
    levels = [values]
    for _ in range(_LEVELS - 1):
        n = len(levels[-1]) // 2
        levels.append(levels[-1].reshape(n, 2, n, 2, n, 2).mean(axis=(1, 3, 5), dtype=np.float32))
    for level in levels:
        level.setflags(write=False)
    return Texture(tuple(levels))


def sampled(lattice: Float32Array, indices: NDArray[np.float64]) -> Float32Array:
    """Nearest nodes of a periodic lattice at fractional indices of shape (3, ...)."""
    n = len(lattice)
    flat = np.zeros(indices.shape[1:], dtype=np.int32)
    for line in indices:
        flat *= n
        flat += np.floor(line).astype(np.int32) & (n - 1)
    return np.asarray(lattice.ravel()[flat])
