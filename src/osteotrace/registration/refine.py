"""Climb from a start to the nearest optimum of the evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from osteotrace.registration.evidence import Pair, Samples, evidence, torque
from osteotrace.registration.pyramid import Level
from osteotrace.space import FloatArray
from osteotrace.space.grid import apply_affine

# Length that turns radians into millimetres for the optimiser: about the radius of the part of a body in a
# field of view, so that a step of one unit moves its points by about 1 mm.
_LEVER_MM = 80.0
_SCALE = 100.0
_TETHER_POINTS = 200


@dataclass(frozen=True, slots=True, eq=False)
class Tether:
    """Keeps a pose near another one: evidence counts exp(-(distance / reach)^2) of its worth.

    Attributes
    ----------
    pose : ndarray, shape (4, 4)
        Probe frame to field frame, LPS mm.
    reach_mm : float
        Root mean square distance of the points at which the worth has fallen to 1/e, mm.
    """

    pose: FloatArray
    reach_mm: float

    def loss(self, pose: FloatArray, points: FloatArray) -> tuple[float, FloatArray]:
        """Square of the distance over the reach, and its gradient by a small motion of the field frame."""
        spread = np.ones((4, len(points)))
        spread[:3] = points.T
        second = spread @ spread.T / len(points)
        off = (pose - self.pose) @ second / self.reach_mm**2
        gradient = 2.0 * np.concatenate([torque(off[:3] @ pose[:3].T), off[:3, 3]])
        return float(np.sum(off[:3] * (pose - self.pose)[:3])), gradient

    def hold(
        self, value: float, slope: FloatArray, pose: FloatArray, points: FloatArray
    ) -> tuple[float, FloatArray]:
        """Value and gradient of a pose, less what the distance takes."""
        loss, pull = self.loss(pose, points)
        worth = float(np.exp(-loss))
        return value * worth, worth * (slope - value * pull)


def climb(
    pairs: Sequence[Pair],
    start: FloatArray,
    overlap_power: float,
    iterations: int,
    tether: Tether | None = None,
) -> tuple[float, FloatArray]:
    """Improve a pose by L-BFGS on the exact gradient.

    Parameters
    ----------
    pairs : sequence of Pair
    start : ndarray, shape (4, 4)
        Probe frame to field frame, LPS mm.
    overlap_power : float
        See :func:`osteotrace.registration.evidence.information`.
    iterations : int
        At most.
    tether : Tether, optional
        A pose to stay near.

    Returns
    -------
    evidence : float
        With a tether the part that it leaves.
    pose : ndarray, shape (4, 4)
    """
    points = np.concatenate([p.samples.points for p in pairs])
    centre = apply_affine(start, points.mean(axis=0))
    held = points[:: max(1, len(points) // _TETHER_POINTS)]

    def value_at(pose: FloatArray) -> tuple[float, FloatArray]:
        value, slope = evidence(pairs, pose, overlap_power)
        return (value, slope) if tether is None else tether.hold(value, slope, pose, held)

    return ascend(value_at, start, centre, iterations)


def ascend(
    value_at: Callable[[FloatArray], tuple[float, FloatArray]],
    start: FloatArray,
    centre: FloatArray,
    iterations: int,
) -> tuple[float, FloatArray]:
    """Improve a pose by L-BFGS.

    Parameters
    ----------
    value_at : callable
        Value of a pose and its gradient by a small rotation about the origin (rad) and a translation (mm)
        of the field frame, shape (6,).
    start : ndarray, shape (4, 4)
    centre : ndarray, shape (3,)
        Point of the field frame about which is turned, mm.
    iterations : int
        At most.

    Returns
    -------
    value : float
    pose : ndarray, shape (4, 4)
    """

    def cost(x: FloatArray) -> tuple[float, FloatArray]:
        pose = moved_pose(start, centre, x)
        value, slope = value_at(pose)
        about = slope[:3] - torque(np.outer(slope[3:], centre + x[3:]))
        by_x = np.concatenate([_left_jacobian(x[:3] / _LEVER_MM).T @ about / _LEVER_MM, slope[3:]])
        return -_SCALE * value, -_SCALE * by_x

    options = {"maxiter": iterations, "maxfun": 2 * iterations}
    found = minimize(cost, np.zeros(6), jac=True, method="L-BFGS-B", options=options)
    return -float(found.fun) / _SCALE, moved_pose(start, centre, found.x)


def moved_pose(pose: FloatArray, centre: FloatArray, x: FloatArray) -> FloatArray:
    """Turn a pose about a point of the field frame and shift it; x is 3 angles times 80 mm, 3 mm."""
    turn = Rotation.from_rotvec(x[:3] / _LEVER_MM).as_matrix()
    out = np.eye(4)
    out[:3, :3] = turn @ pose[:3, :3]
    out[:3, 3] = turn @ (pose[:3, 3] - centre) + centre + x[3:]
    return out


def draw_samples(level: Level, weight: FloatArray, n: int, rng: np.random.Generator, bins: int) -> Samples:
    """Jittered points of an image, spread as evenly as the weight allows.

    Systematic sampling along a curve that fills the image (Morton order): every part of the image gets its
    share of the points whatever the draw, so that two draws differ less than independent points would.

    Parameters
    ----------
    level : Level
    weight : ndarray, shape level.grid.shape
        Expected number of points in each voxel relative to the others, 0 to 1.
    n : int
        At most this many.
    """
    order = _filling_curve(level.grid.shape)
    upto = np.cumsum(weight.ravel()[order])
    count = min(n, int(np.count_nonzero(weight > 1e-3)))
    ticks = (np.arange(count) + rng.random()) * (float(upto[-1]) / max(1, count))
    voxels = order[np.minimum(np.searchsorted(upto, ticks, side="right"), order.size - 1)]
    index = np.stack(np.unravel_index(voxels, level.grid.shape), axis=1) + rng.uniform(-0.5, 0.5, (count, 3))
    ranks = _trilinear(level, index)
    number = np.clip(np.rint(ranks * (bins - 1)), 0, bins - 1).astype(np.int64)
    return Samples(level.grid.points(index), number)


@lru_cache(maxsize=16)
def _filling_curve(shape: tuple[int, int, int]) -> NDArray[np.int64]:
    """Flat indices of an image in Morton order: the bits of i, j and k interleaved."""
    code = np.zeros(int(np.prod(shape)), dtype=np.int64)
    for axis, index in enumerate(np.indices(shape).reshape(3, -1).astype(np.int64)):
        for bit in range(max(shape).bit_length()):
            code |= ((index >> bit) & 1) << (3 * bit + axis)
    order = np.argsort(code, kind="stable")
    order.setflags(write=False)
    return order


def _trilinear(level: Level, index: FloatArray) -> FloatArray:
    return np.asarray(map_coordinates(level.ranks, index.T, order=1, mode="nearest"), dtype=np.float64)


def _left_jacobian(turn: FloatArray) -> FloatArray:
    angle = float(np.linalg.norm(turn))
    cross = np.array([[0.0, -turn[2], turn[1]], [turn[2], 0.0, -turn[0]], [-turn[1], turn[0], 0.0]])
    if angle < 1e-4:
        return np.asarray(np.eye(3) + 0.5 * cross)
    first = (1.0 - np.cos(angle)) / angle**2
    second = (angle - np.sin(angle)) / angle**3
    return np.asarray(np.eye(3) + first * cross + second * cross @ cross)
