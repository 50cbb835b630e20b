"""Climb from a start to the nearest optimum of the evidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from osteotrace.registration.evidence import Pair, Samples, evidence
from osteotrace.registration.pyramid import Level
from osteotrace.space import FloatArray

# Length that turns radians into millimetres for the optimiser: about the radius of the part of a body in a
# field of view, so that a step of one unit moves its points by about 1 mm.
_LEVER_MM = 80.0
_SCALE = 100.0


def climb(
    pairs: Sequence[Pair], start: FloatArray, overlap_power: float, iterations: int
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

    Returns
    -------
    evidence : float
    pose : ndarray, shape (4, 4)
    """
    middle = np.concatenate([p.samples.points for p in pairs]).mean(axis=0)
    centre = start[:3, :3] @ middle + start[:3, 3]

    def cost(x: FloatArray) -> tuple[float, FloatArray]:
        value, slope = evidence(pairs, moved_pose(start, centre, x), overlap_power)
        torque = slope[:3] - np.cross(centre + x[3:], slope[3:])
        by_x = np.concatenate([_left_jacobian(x[:3] / _LEVER_MM).T @ torque / _LEVER_MM, slope[3:]])
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
    """Jittered points of an image, drawn without return by weight.

    Parameters
    ----------
    level : Level
    weight : ndarray, shape level.grid.shape
        Chance of each voxel relative to the others, 0 to 1.
    n : int
        At most this many.
    """
    flat = weight.ravel()
    keys = rng.random(flat.size)
    keys = np.where(flat > 0, np.log(np.maximum(keys, 1e-300)) / np.maximum(flat, 1e-12), -np.inf)
    count = min(n, int(np.count_nonzero(flat > 1e-3)))
    best = np.sort(np.argpartition(-keys, count - 1)[:count]) if count else np.zeros(0, dtype=int)
    index = np.stack(np.unravel_index(best, level.grid.shape), axis=1) + rng.uniform(-0.5, 0.5, (count, 3))
    ranks = _trilinear(level, index)
    number = np.clip(np.rint(ranks * (bins - 1)), 0, bins - 1).astype(np.int64)
    return Samples(level.grid.points(index), number)


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
