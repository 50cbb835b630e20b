"""Rigid motions between frames of reference, with the direction in the record."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from osteotrace.errors import FrameMismatchError, SpaceError
from osteotrace.space.grid import FloatArray, Grid, apply_affine, frozen_array


@dataclass(frozen=True, slots=True, eq=False)
class RigidTransform:
    """Maps points of one frame to the same anatomical points in another.

    ``to_point = matrix[:3, :3] @ from_point + matrix[:3, 3]``, both LPS mm.

    Attributes
    ----------
    matrix : ndarray of float64, shape (4, 4)
        Rotation (determinant +1) and translation in mm.
    from_frame, to_frame : str
        Frame of reference UIDs of the points that go in and come out.

    Raises
    ------
    SpaceError
        When the matrix is not a rigid motion (a mirror image is not).
    """

    matrix: FloatArray
    from_frame: str
    to_frame: str

    def __post_init__(self) -> None:
        """Check and freeze."""
        matrix = np.array(self.matrix, dtype=np.float64)
        if not (matrix.shape == (4, 4) and np.isfinite(matrix).all() and _is_rigid(matrix)):
            raise SpaceError("the matrix is not a rotation with a translation", expected="a rigid 4x4 matrix")
        object.__setattr__(self, "matrix", frozen_array(matrix))

    @classmethod
    def identity(cls, frame: str) -> RigidTransform:
        """The motion that moves nothing, inside one frame."""
        return cls(np.eye(4), frame, frame)

    def apply(self, points: ArrayLike) -> FloatArray:
        """Map points (LPS mm, shape (..., 3)) from ``from_frame`` to ``to_frame``."""
        return apply_affine(self.matrix, points)

    @property
    def inverse(self) -> RigidTransform:
        """The motion back."""
        rotation = self.matrix[:3, :3].T
        matrix = np.eye(4)
        matrix[:3, :3] = rotation
        matrix[:3, 3] = -rotation @ self.matrix[:3, 3]
        return RigidTransform(matrix, self.to_frame, self.from_frame)

    def then(self, other: RigidTransform) -> RigidTransform:
        """This motion followed by ``other``.

        Raises
        ------
        FrameMismatchError
            When ``other`` does not start where this ends.
        """
        if self.to_frame != other.from_frame:
            raise FrameMismatchError(
                "two transforms do not meet",
                where=f"{self.to_frame} and {other.from_frame}",
                expected="the second to start in the frame in which the first ends",
            )
        return RigidTransform(other.matrix @ self.matrix, self.from_frame, other.to_frame)

    @property
    def rotation_deg(self) -> float:
        """Angle of the rotation, degrees (0 to 180)."""
        cosine = (np.trace(self.matrix[:3, :3]) - 1) / 2
        return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def _is_rigid(matrix: FloatArray) -> bool:
    rotation = matrix[:3, :3]
    is_turn = np.abs(rotation.T @ rotation - np.eye(3)).max() < 1e-5 and np.linalg.det(rotation) > 0
    return bool(is_turn and (matrix[3] == (0, 0, 0, 1)).all())


def index_map(onto: Grid, source: Grid, onto_to_source: RigidTransform | None) -> FloatArray:
    """4x4 matrix from voxel indices of ``onto`` to voxel indices of ``source``.

    Parameters
    ----------
    onto_to_source : RigidTransform or None
        None only when both grids are in the same frame of reference.

    Raises
    ------
    FrameMismatchError
        When frames differ and no transform, or one of other frames, is given.
    """
    frames = (onto.frame_of_reference_uid, source.frame_of_reference_uid)
    if onto_to_source is None:
        if frames[0] != frames[1]:
            raise FrameMismatchError(
                "two frames of reference are mixed", where=" and ".join(frames), expected="a transform"
            )
        motion: FloatArray = np.eye(4)
    else:
        if (onto_to_source.from_frame, onto_to_source.to_frame) != frames:
            raise FrameMismatchError(
                "the transform belongs to other frames",
                where=f"{onto_to_source.from_frame} to {onto_to_source.to_frame}",
                expected=f"{frames[0]} to {frames[1]}",
            )
        motion = onto_to_source.matrix
    return np.asarray(np.linalg.inv(source.affine) @ motion @ onto.affine)
