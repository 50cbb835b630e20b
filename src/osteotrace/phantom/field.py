"""Signed distances sampled on a small lattice: the shapes of the phantom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.space import FloatArray, frozen_array

Float32Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Field:
    """A scalar on an axis-aligned cubic lattice of the body's own LPS frame; linear in between.

    Attributes
    ----------
    values : ndarray of float32, shape (x, y, z)
        For a shape: signed distance to its surface, mm, negative inside. The lattice reaches at least 3 mm
        beyond the surface.
    origin : ndarray of float64, shape (3,)
        Centre of sample (0, 0, 0), mm.
    step : float
        Distance of samples, mm.
    beyond : float
        Value outside of the lattice; for a shape a distance well outside.
    """

    values: Float32Array
    origin: FloatArray
    step: float
    beyond: float = 1e3

    def __post_init__(self) -> None:
        """Freeze."""
        object.__setattr__(self, "values", frozen_array(self.values, np.float32))
        object.__setattr__(self, "origin", frozen_array(self.origin, np.float64))

    @property
    def low(self) -> FloatArray:
        """Lowest coordinates of the lattice, mm, shape (3,)."""
        return np.asarray(self.origin)

    @property
    def high(self) -> FloatArray:
        """Highest coordinates of the lattice, mm, shape (3,)."""
        return np.asarray(self.origin + (np.array(self.values.shape) - 1) * self.step)

    def at(self, points: FloatArray) -> Float32Array:
        """Values at body points, shape (..., 3), mm; float32, shape (...)."""
        index = np.moveaxis((np.asarray(points) - self.origin) / self.step, -1, 0)
        found = ndimage.map_coordinates(
            self.values, index, order=1, mode="constant", cval=self.beyond, prefilter=False
        )
        return np.asarray(found, dtype=np.float32)

    def lattice_points(self) -> FloatArray:
        """Body points of all samples, shape (x, y, z, 3), mm."""
        lines = [o + np.arange(n) * self.step for o, n in zip(self.origin, self.values.shape, strict=True)]
        return np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1)


def lattice(low: FloatArray, high: FloatArray, step: float) -> tuple[FloatArray, FloatArray]:
    """Origin, shape (3,), and points, shape (x, y, z, 3), of a lattice that covers a box; mm."""
    origin = np.floor(np.asarray(low) / step) * step
    counts = np.ceil((np.asarray(high) - origin) / step).astype(int) + 1
    lines = [o + np.arange(n) * step for o, n in zip(origin, counts, strict=True)]
    return origin, np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1)
