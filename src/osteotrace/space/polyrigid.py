"""A rigid motion for each of several bones, blended smoothly in between.

Log-Euclidean (Arsigny et al. 2009): the motions are averaged as twists, their logarithms, so that the blend
of rigid motions is a rigid motion at every point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from osteotrace.errors import SpaceError
from osteotrace.space.grid import FloatArray, apply_affine

_CHUNK = 2**17  # distances at a time, so that they stay in the cache of a core
_SMALL = 1e-6  # rad: below it series replace quotients
_STEPS = 40
_EXACT_MM = 1e-6
_NUDGE_MM = 0.1


def twist_of(matrices: ArrayLike) -> FloatArray:
    """Logarithms of rigid matrices.

    Parameters
    ----------
    matrices : array_like, shape (n, 4, 4)
        Rotations of less than 180 degrees with translations in mm.

    Returns
    -------
    ndarray, shape (n, 6)
        Rotation vector (rad), then the part of the translation (mm).
    """
    matrix = np.asarray(matrices, dtype=np.float64).reshape(-1, 4, 4)
    turn = Rotation.from_matrix(matrix[:, :3, :3]).as_rotvec()
    cross = _cross_matrices(turn)
    angle = np.linalg.norm(turn, axis=1)
    safe = np.maximum(angle, _SMALL)
    share = (1.0 - 0.5 * safe * np.sin(safe) / np.maximum(1.0 - np.cos(safe), 1e-300)) / safe**2
    factor = np.where(angle < 1e-3, 1.0 / 12.0, share)
    inverse = np.eye(3) - 0.5 * cross + factor[:, None, None] * (cross @ cross)
    return np.concatenate([turn, np.einsum("nij,nj->ni", inverse, matrix[:, :3, 3])], axis=1)


def motion_of(twists: ArrayLike) -> FloatArray:
    """Rigid matrices of twists, shape (n, 6) to (n, 4, 4); the inverse of :func:`twist_of`."""
    twist = np.asarray(twists, dtype=np.float64).reshape(-1, 6)
    turn = twist[:, :3]
    cross = _cross_matrices(turn)
    angle = np.linalg.norm(turn, axis=1)
    safe = np.maximum(angle, _SMALL)
    first = np.where(angle < 1e-3, 0.5 - angle**2 / 24.0, (1.0 - np.cos(safe)) / safe**2)
    second = np.where(angle < 1e-3, 1.0 / 6.0 - angle**2 / 120.0, (safe - np.sin(safe)) / safe**3)
    left = np.eye(3) + first[:, None, None] * cross + second[:, None, None] * (cross @ cross)
    out = np.tile(np.eye(4), (len(twist), 1, 1))
    out[:, :3, :3] = Rotation.from_rotvec(turn).as_matrix()
    out[:, :3, 3] = np.einsum("nij,nj->ni", left, twist[:, 3:])
    return out


@dataclass(frozen=True, slots=True, eq=False)
class Polyrigid:
    """A common motion, then one small motion more for each bone, blended by distance.

    ``to_point = common @ blend(from_point) @ from_point``; the weight of a bone is ``(d² + width²)^-2`` with
    the distance d to the nearest of its anchors.

    Attributes
    ----------
    common : ndarray, shape (4, 4)
        Rigid; LPS mm.
    twists : ndarray, shape (n, 6)
        Logarithms of ``inverse(common) @ motion`` of the bones.
    anchors : ndarray, shape (m, 3)
        Points of the bones, LPS mm, before the motion.
    owner : ndarray of intp, shape (m,)
        Bone of each anchor; ascending, every bone has one.
    width_mm : float
        Distance over which the blend is smooth.
    """

    common: FloatArray
    twists: FloatArray
    anchors: FloatArray
    owner: NDArray[np.intp]
    width_mm: float

    @classmethod
    def of(
        cls, common: FloatArray, motions: Sequence[FloatArray], anchors: Sequence[ArrayLike], width_mm: float
    ) -> Polyrigid:
        """From whole motions of the bones and the anchors of each.

        Raises
        ------
        SpaceError
            When there is no bone, or one without anchors.
        """
        points = [np.asarray(a, dtype=np.float64).reshape(-1, 3) for a in anchors]
        if not points or len(points) != len(motions) or min(len(p) for p in points) == 0:
            raise SpaceError(
                "a blend of motions lacks anchors", expected="a motion and anchors for each bone"
            )
        twists = twist_of(np.linalg.inv(common) @ np.asarray(motions))
        owner = np.repeat(np.arange(len(points), dtype=np.intp), [len(p) for p in points])
        return cls(common, twists, np.concatenate(points), owner, width_mm)

    def weights(self, points: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Share of each bone in the motion of points, and the distance to its anchors.

        Parameters
        ----------
        points : array_like, shape (p, 3)
            LPS mm.

        Returns
        -------
        weights, distances : ndarray, shape (p, n)
            Weights sum to 1; distances in mm.
        """
        point = np.asarray(points, dtype=np.float64).reshape(-1, 3)
        starts = np.searchsorted(self.owner, np.arange(len(self.twists)))
        square = np.empty((len(point), len(self.twists)))
        rows = max(1, _CHUNK // len(self.anchors))
        for first in range(0, len(point), rows):
            part = point[first : first + rows].T
            each = np.square(self.anchors[:, :1] - part[0])
            for axis in (1, 2):
                away = self.anchors[:, axis, None] - part[axis]
                each += np.square(away, out=away)
            square[first : first + rows] = np.minimum.reduceat(each, starts, axis=0).T
        weight = (square + self.width_mm**2) ** -2.0
        return weight / weight.sum(axis=1, keepdims=True), np.sqrt(square)

    def motions(self, points: ArrayLike) -> FloatArray:
        """Rigid motion at each point, shape (p, 4, 4)."""
        return np.asarray(self.common @ motion_of(self.weights(points)[0] @ self.twists))

    def apply(self, points: ArrayLike) -> FloatArray:
        """Map points, shape (..., 3), LPS mm."""
        point = np.asarray(points, dtype=np.float64)
        flat = point.reshape(-1, 3)
        local = motion_of(self.weights(flat)[0] @ self.twists)
        moved = np.einsum("nij,nj->ni", local[:, :3, :3], flat) + local[:, :3, 3]
        return apply_affine(self.common, moved).reshape(point.shape)

    def invert(self, points: ArrayLike) -> FloatArray:
        """Points, shape (..., 3), that the map brings to the given ones.

        Raises
        ------
        SpaceError
            When the iteration does not end: neighbours move far apart or into each other.
        """
        point = np.asarray(points, dtype=np.float64)
        aim = apply_affine(np.asarray(np.linalg.inv(self.common)), point.reshape(-1, 3))
        guess = self._start(aim)
        for _ in range(_STEPS):
            local = motion_of(self.weights(guess)[0] @ self.twists)
            turned = np.einsum("nji,nj->ni", local[:, :3, :3], aim - local[:, :3, 3])
            change = turned - guess
            guess = guess + change
            if float(np.abs(change).max(initial=0.0)) < _EXACT_MM:
                return np.asarray(guess.reshape(point.shape))
        raise SpaceError("the blend of motions cannot be inverted", expected="neighbours that move alike")

    def _start(self, aim: FloatArray) -> FloatArray:
        """Carry the points back by the motion of the bone that ends up nearest."""
        motions = motion_of(self.twists)
        ends = np.einsum("nij,nj->ni", motions[self.owner][:, :3, :3], self.anchors)
        ends = ends + motions[self.owner][:, :3, 3]
        there = Polyrigid(np.eye(4), -self.twists, ends, self.owner, self.width_mm)
        local = motion_of(there.weights(aim)[0] @ there.twists)
        return np.asarray(np.einsum("nij,nj->ni", local[:, :3, :3], aim) + local[:, :3, 3])

    def least_jacobian(self, points: ArrayLike) -> float:
        """Smallest determinant of the derivative at points; above 0 the map does not fold there."""
        point = np.asarray(points, dtype=np.float64).reshape(-1, 3)
        columns = [
            (self.apply(point + step) - self.apply(point - step)) / (2.0 * _NUDGE_MM)
            for step in np.eye(3) * _NUDGE_MM
        ]
        return float(np.linalg.det(np.stack(columns, axis=-1)).min(initial=1.0))


def _cross_matrices(vectors: FloatArray) -> FloatArray:
    x, y, z = vectors.T
    out = np.zeros((len(vectors), 3, 3))
    out[:, 0, 1], out[:, 0, 2], out[:, 1, 2] = -z, y, -x
    out[:, 1, 0], out[:, 2, 0], out[:, 2, 1] = z, -y, x
    return out
