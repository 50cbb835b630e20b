"""Irregular solids as signed distances: lesions, nodules, needles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from edt import edt
from scipy.ndimage import gaussian_filter

from osteotrace.phantom.field import Field, Float32Array, lattice
from osteotrace.space import FloatArray

_MARGIN = 14.0  # mm of lattice beyond the surface, so that a shape can grow
_WAVES = 2.2  # bumps along a half axis


def blob(
    center: FloatArray,
    half_mm: Sequence[float],
    rough: float,
    rng: np.random.Generator,
    margin_mm: float = _MARGIN,
) -> Field:
    """An ellipsoid with a bumpy surface.

    Parameters
    ----------
    center : ndarray, shape (3,)
        Body frame, mm.
    half_mm : sequence of float, length 3
        Half axes along x, y, z.
    rough : float
        SD of the surface relative to the half axes; 0 gives a smooth ellipsoid.
    margin_mm : float
        Of the lattice beyond the surface; the shape can grow by a little less.
    """
    half = np.asarray(half_mm, dtype=np.float64)
    step = float(np.clip(half.min() / 12, 0.4, 1.2))
    reach = half * (1 + 2 * rough) + margin_mm
    origin, points = lattice(center - reach, center + reach, step)
    radius = np.linalg.norm((points - center) / half, axis=-1)
    noise = gaussian_filter(rng.normal(size=radius.shape), half / _WAVES / step)
    scale = rough / max(float(noise.std()), 1e-9)
    return distance_field(np.asarray(radius - 1 - scale * noise, dtype=np.float32), origin, step)


def capsule(start: FloatArray, end: FloatArray, radius_mm: float, step: float = 0.5) -> Field:
    """A straight rod with round ends between two body points, mm."""
    low, high = np.minimum(start, end) - radius_mm - 3, np.maximum(start, end) + radius_mm + 3
    origin, points = lattice(low, high, step)
    axis = end - start
    along = np.clip((points - start) @ axis / (axis @ axis), 0, 1)[..., None]
    distance = np.linalg.norm(points - start - along * axis, axis=-1) - radius_mm
    return Field(np.asarray(distance, dtype=np.float32), origin, step)


def union(fields: Sequence[Field], step: float) -> Field:
    """What lies in any of the shapes, on a lattice around all of them."""
    low = np.min([f.low for f in fields], axis=0)
    high = np.max([f.high for f in fields], axis=0)
    origin, points = lattice(low, high, step)
    return Field(np.minimum.reduce([_within_reach(f, points) for f in fields]), origin, step)


def _within_reach(field: Field, points: FloatArray) -> Float32Array:
    """Values of a shape; beyond its lattice what its margin promises, so that growth stays bounded."""
    return np.minimum(field.at(points), np.float32(_MARGIN))


def distance_field(level: Float32Array, origin: FloatArray, step: float) -> Field:
    """Signed distance to the zero level of a function that is negative inside, shape (x, y, z), mm.

    Exact transform of the two sides; near the surface the level over its slope, which is exact to a
    fraction of a sample where the function is smooth.
    """
    inside = level < 0
    outer = edt(~inside, anisotropy=(step,) * 3)
    inner = edt(inside, anisotropy=(step,) * 3)
    far = np.where(inside, -(inner - step / 2), outer - step / 2)
    slope = np.sqrt(sum(np.square(g) for g in np.gradient(level, step)))
    near = level / np.maximum(slope, 1e-6)
    blend = np.clip(np.abs(far) / step - 1, 0, 1)
    return Field(np.asarray(near * (1 - blend) + far * blend, dtype=np.float32), origin, step)
