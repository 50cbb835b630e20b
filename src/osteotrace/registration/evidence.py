"""Mutual information of two images at a pose, with its exact gradient.

The histogram is smoothed along the interpolated image by a quadratic B-spline (after Mattes 2003; Thevenaz
and Unser 2000), so that value and gradient are smooth in the pose. Several pairs of series share one pose:
their mutual informations are squared and added, so that the pair that knows most has most to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from osteotrace.registration.pyramid import Level
from osteotrace.space import FloatArray
from osteotrace.space.grid import apply_affine

BINS = 20
_FIELD_BINS = BINS + 2  # room for the tails of the B-spline
_LEAST_SAMPLES = 50.0


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Points of the probe image.

    Attributes
    ----------
    points : ndarray of float64, shape (n, 3)
        LPS mm in the frame of the probe.
    bins : ndarray of int64, shape (n,)
        Bin of the probe's value.
    """

    points: FloatArray
    bins: NDArray[np.int64]

    def take(self, chosen: NDArray[np.bool_]) -> Samples:
        """Part of the samples."""
        return Samples(self.points[chosen], self.bins[chosen])


class Field:
    """The image that is looked up at moved points, by trilinear interpolation."""

    def __init__(self, level: Level) -> None:
        self.grid = level.grid
        self._inverse: FloatArray = np.asarray(np.linalg.inv(level.grid.affine), dtype=np.float64)
        self._turn: FloatArray = np.eye(4)
        self._turn[:3, :3] = self._inverse[:3, :3].T
        self._shape = np.array(level.grid.shape)
        self._values = np.ascontiguousarray(level.ranks * (BINS - 1)).ravel()
        self._strides = np.array([self._shape[1] * self._shape[2], self._shape[2], 1])

    def look_up(self, points: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Value in bins, its gradient, weight and the weight's gradient at points.

        The weight falls from 1 to 0 over the outer voxel of the field of view.

        Parameters
        ----------
        points : ndarray, shape (n, 3)
            LPS mm.

        Returns
        -------
        value, gradient, weight, weight_gradient : ndarray, shapes (n,), (n, 3), (n,), (n, 3)
            Gradients per mm.
        """
        index = apply_affine(self._inverse, points)
        weight, slope = self._border(index)
        value, gradient = self._interpolated(index)
        return value, apply_affine(self._turn, gradient), weight, apply_affine(self._turn, slope)

    def _border(self, index: FloatArray) -> tuple[FloatArray, FloatArray]:
        near = index + 0.5
        far = self._shape - 0.5 - index
        depth = np.minimum(near, far)
        each = np.clip(depth, 0.0, 1.0)
        sign = np.where(near < far, 1.0, -1.0) * ((depth > 0.0) & (depth < 1.0))
        x, y, z = each.T
        slope = np.stack([sign[:, 0] * y * z, sign[:, 1] * x * z, sign[:, 2] * x * y], axis=1)
        return x * y * z, slope

    def _interpolated(self, index: FloatArray) -> tuple[FloatArray, FloatArray]:
        last = np.maximum(self._shape - 1, 1)
        at = np.clip(index, 0.0, last - 1e-3)
        cell = np.minimum(at.astype(np.int64), np.maximum(self._shape - 2, 0))
        x, y, z = (at - cell).T
        first = (cell * self._strides).sum(axis=1)
        a, b, c = np.where(self._shape > 1, self._strides, 0)
        v = self._values
        v000, v001, v010, v011 = v[first], v[first + c], v[first + b], v[first + b + c]
        first = first + a
        v100, v101, v110, v111 = v[first], v[first + c], v[first + b], v[first + b + c]
        d00, d01, d10, d11 = v001 - v000, v011 - v010, v101 - v100, v111 - v110
        v00, v01, v10, v11 = v000 + d00 * z, v010 + d01 * z, v100 + d10 * z, v110 + d11 * z
        v0, v1 = v00 + (v01 - v00) * y, v10 + (v11 - v10) * y
        gy = (v01 - v00) * (1 - x) + (v11 - v10) * x
        gz = (d00 * (1 - y) + d01 * y) * (1 - x) + (d10 * (1 - y) + d11 * y) * x
        return v0 + (v1 - v0) * x, np.stack([v1 - v0, gy, gz], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """One series of the probe frame against one of the field frame; ``kind`` names their modalities."""

    field: Field
    samples: Samples
    kind: str


def information(
    pair: Pair, pose: FloatArray, overlap_power: float
) -> tuple[float, FloatArray, FloatArray, FloatArray]:
    """Mutual information (nats) times overlap to a power, and its gradient by the moved points.

    Parameters
    ----------
    pair : Pair
    pose : ndarray, shape (4, 4)
        Probe frame to field frame, LPS mm.
    overlap_power : float
        0 gives the plain mutual information of the overlap; more prefers larger overlaps.

    Returns
    -------
    value : float
    gradient : ndarray, shape (6,)
        By a small rotation about the origin (rad) and a translation (mm) of the field frame.
    moved : ndarray, shape (n, 3)
    weight : ndarray, shape (n,)
    """
    moved = apply_affine(pose, pair.samples.points)
    value, slope, weight, weight_slope = pair.field.look_up(moved)
    bins, shares, changes = spline_shares(value, pair.samples.bins)
    size = _FIELD_BINS * BINS
    counts = sum(np.bincount(b, weight * s, size) for b, s in zip(bins, shares, strict=True))
    score, by_count = _score(np.asarray(counts), float(len(moved)), overlap_power)
    terms = [by_count[b] for b in bins]
    by_value = weight * sum(c * t for c, t in zip(changes, terms, strict=True))
    by_weight = sum(s * t for s, t in zip(shares, terms, strict=True))
    by_point = by_value[:, None] * slope + np.asarray(by_weight)[:, None] * weight_slope
    gradient = np.concatenate([np.cross(moved, by_point).sum(axis=0), by_point.sum(axis=0)])
    return score, gradient, moved, weight


def evidence(pairs: Sequence[Pair], pose: FloatArray, overlap_power: float) -> tuple[float, FloatArray]:
    """Root of the summed squares of all pairs' information, and its gradient; as :func:`information`."""
    total, gradient = 0.0, np.zeros(6)
    for pair in pairs:
        score, slope, _, _ = information(pair, pose, overlap_power)
        total += score * score
        gradient += 2.0 * score * slope
    root = float(np.sqrt(max(total, 1e-12)))
    return root, gradient / (2.0 * root)


def overlap(pairs: Sequence[Pair], pose: FloatArray) -> float:
    """Largest share of a pair's samples that the field of view holds at a pose, 0 to 1."""
    shares = []
    for pair in pairs:
        moved = apply_affine(pose, pair.samples.points)
        shares.append(float(pair.field.grid.contains(moved).mean()))
    return max(shares)


def spline_shares(
    value: FloatArray, bins: NDArray[np.int64]
) -> tuple[list[NDArray[np.int64]], list[FloatArray], list[FloatArray]]:
    """Where pairs of values go in a flat table, field by sample; the field is spread by a B-spline.

    Parameters
    ----------
    value : ndarray, shape (n,)
        Of the field, in bins.
    bins : ndarray, shape (n,)
        Of the samples.

    Returns
    -------
    places, shares, changes : list of three ndarray, shape (n,)
        Cells of the table, what falls into each, and its derivative by the value.
    """
    centre = np.rint(value + 1.0).astype(np.int64)
    d = value + 1.0 - centre
    places = [(centre + step) * BINS + bins for step in (-1, 0, 1)]
    shares = [0.5 * (0.5 - d) ** 2, 0.75 - d * d, 0.5 * (0.5 + d) ** 2]
    return places, shares, [d - 0.5, -2.0 * d, d + 0.5]


def _score(counts: FloatArray, n: float, power: float) -> tuple[float, FloatArray]:
    table = counts.reshape(_FIELD_BINS, BINS)
    total = float(table.sum())
    if total < _LEAST_SAMPLES:
        return 0.0, np.zeros(counts.size)
    product = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True)
    logs = np.log(np.divide(table * total, product, where=table > 0, out=np.ones_like(table)))
    mean = float((table * logs).sum()) / total
    factor = (total / n) ** power
    return mean * factor, ((logs + (power - 1.0) * mean) / total * factor).ravel()
