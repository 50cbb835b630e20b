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


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """What a field says at the moved points of the probe.

    Attributes
    ----------
    value : ndarray, shape (n,)
        In bins.
    slope : ndarray, shape (3, n)
        Its gradient, a voxel of the field.
    weight : ndarray, shape (n,)
        Falls from 1 to 0 over the outer voxel of the field of view.
    weight_slope : ndarray, shape (3, n), or None
        Its gradient; None where no point is in the outer voxel.
    index : ndarray, shape (3, n)
        Of the moved points.
    affine : ndarray, shape (4, 4)
        Index to LPS mm.
    inverse : ndarray, shape (4, 4)
        Of the affine.
    """

    value: FloatArray
    slope: FloatArray
    weight: FloatArray
    weight_slope: FloatArray | None
    index: FloatArray
    affine: FloatArray
    inverse: FloatArray

    def gradient(self, by_value: FloatArray, by_weight: FloatArray) -> FloatArray:
        """Gradient of a sum over the points by a small motion of the field frame.

        Parameters
        ----------
        by_value, by_weight : ndarray, shape (n,)
            Derivative of the sum by the value and by the weight of each point.

        Returns
        -------
        ndarray, shape (6,)
            By a rotation about the origin (rad) and by a translation (mm).
        """
        pull = by_value * self.slope
        if self.weight_slope is not None:
            pull += by_weight * self.weight_slope
        turn, shift = self.inverse[:3, :3].T, pull.sum(axis=1)
        first = (pull @ self.index.T) @ self.affine[:3, :3].T + np.outer(shift, self.affine[:3, 3])
        return np.concatenate([torque(turn @ first), turn @ shift])


def torque(moment: FloatArray) -> FloatArray:
    """Sum of place × force from the sum of their products.

    Parameters
    ----------
    moment : ndarray, shape (3, 3)
        Sum of force by place: rows are components of the force, columns those of the place.
    """
    return np.array(
        [moment[2, 1] - moment[1, 2], moment[0, 2] - moment[2, 0], moment[1, 0] - moment[0, 1]],
        dtype=np.float64,
    )


class Field:
    """The image that is looked up at moved points, by trilinear interpolation.

    Coordinates are rows of arrays: a row is contiguous, which is several times faster than columns.
    """

    def __init__(self, level: Level) -> None:
        self.grid = level.grid
        self._inverse: FloatArray = np.asarray(np.linalg.inv(level.grid.affine), dtype=np.float64)
        self._shape = np.array(level.grid.shape)
        self._values = np.ascontiguousarray(level.ranks * (BINS - 1), dtype=np.float64).ravel()
        self._strides = (self._shape[1] * self._shape[2], self._shape[2], 1)

    def look_up(self, pose: FloatArray, points: FloatArray) -> Looked:
        """Look up values at points that a pose moves.

        Parameters
        ----------
        pose : ndarray, shape (4, 4)
            Probe frame to field frame, LPS mm.
        points : ndarray, shape (n, 3)
            Probe frame, LPS mm.
        """
        matrix = self._inverse @ pose
        index = matrix[:3, :3] @ points.T
        index += matrix[:3, 3:]
        value, slope = self._interpolated(index)
        weight, weight_slope = self._border(index)
        return Looked(value, slope, weight, weight_slope, index, self.grid.affine, self._inverse)

    def _border(self, index: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        depth = np.minimum(index + 0.5, (self._shape - 0.5)[:, None] - index)
        if depth.min(initial=np.inf) >= 1.0:
            return np.ones(index.shape[1]), None
        sign = np.where(2.0 * index < (self._shape - 1.0)[:, None], 1.0, -1.0)
        sign *= (depth > 0.0) & (depth < 1.0)
        x, y, z = np.clip(depth, 0.0, 1.0)
        return x * y * z, sign * np.stack([y * z, x * z, x * y])

    def _interpolated(self, index: FloatArray) -> tuple[FloatArray, FloatArray]:
        cells, parts = [], []
        for row, count in zip(index, self._shape, strict=True):
            at = np.clip(row, 0.0, max(count - 1, 1) - 1e-3)
            cell = np.minimum(at.astype(np.int64), max(count - 2, 0))
            cells.append(cell)
            parts.append(at - cell)
        x, y, z = parts
        a, b, c = (step if n > 1 else 0 for step, n in zip(self._strides, self._shape, strict=True))
        first = cells[0] * self._strides[0] + cells[1] * self._strides[1] + cells[2]
        v = self._values
        v000, v001, v010, v011 = v[first], v[first + c], v[first + b], v[first + (b + c)]
        first += a
        v100, v101, v110, v111 = v[first], v[first + c], v[first + b], v[first + (b + c)]
        d00, d01, d10, d11 = v001 - v000, v011 - v010, v101 - v100, v111 - v110
        v00, v01, v10, v11 = v000 + d00 * z, v010 + d01 * z, v100 + d10 * z, v110 + d11 * z
        g0, g1 = v01 - v00, v11 - v10
        v0, v1 = v00 + g0 * y, v10 + g1 * y
        h0, h1 = d00 + (d01 - d00) * y, d10 + (d11 - d10) * y
        slope = v1 - v0
        return v0 + slope * x, np.stack([slope, g0 + (g1 - g0) * x, h0 + (h1 - h0) * x])


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """One series of the probe frame against one of the field frame; ``kind`` names their modalities."""

    field: Field
    samples: Samples
    kind: str


def information(pair: Pair, pose: FloatArray, overlap_power: float) -> tuple[float, FloatArray]:
    """Mutual information (nats) times overlap to a power, and its gradient.

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
    """
    seen = pair.field.look_up(pose, pair.samples.points)
    bins, shares, changes = spline_shares(seen.value, pair.samples.bins)
    size = _FIELD_BINS * BINS
    counts = sum(np.bincount(b, seen.weight * s, size) for b, s in zip(bins, shares, strict=True))
    score, by_count = _score(np.asarray(counts), float(len(seen.value)), overlap_power)
    terms = [by_count[b] for b in bins]
    by_value = seen.weight * sum(c * t for c, t in zip(changes, terms, strict=True))
    by_weight = np.asarray(sum(s * t for s, t in zip(shares, terms, strict=True)))
    return score, seen.gradient(by_value, by_weight)


def evidence(pairs: Sequence[Pair], pose: FloatArray, overlap_power: float) -> tuple[float, FloatArray]:
    """Root of the summed squares of all pairs' information, and its gradient; as :func:`information`."""
    total, gradient = 0.0, np.zeros(6)
    for pair in pairs:
        score, slope = information(pair, pose, overlap_power)
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
    middle = centre * BINS + bins
    places = [middle - BINS, middle, middle + BINS]
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
