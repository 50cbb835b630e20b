"""Rigid motions: direction, inverse, composition, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from osteotrace.errors import FrameMismatchError, SpaceError
from osteotrace.space import Grid, RigidTransform, index_map
from strategies import FRAME, OTHER_FRAME, grids, points, rigid_transforms

THIRD = "1.2.826.0.1.3680043.8.498.3"


@given(rigid_transforms(), points)
def test_there_and_back_is_where_it_was(motion: RigidTransform, point: np.ndarray) -> None:
    np.testing.assert_allclose(motion.inverse.apply(motion.apply(point)), point, atol=1e-9)
    assert (motion.inverse.from_frame, motion.inverse.to_frame) == (OTHER_FRAME, FRAME)


@given(rigid_transforms(), rigid_transforms(OTHER_FRAME, THIRD), points)
def test_then_is_one_after_the_other(a: RigidTransform, b: RigidTransform, point: np.ndarray) -> None:
    both = a.then(b)
    np.testing.assert_allclose(both.apply(point), b.apply(a.apply(point)), atol=1e-9)
    assert (both.from_frame, both.to_frame) == (FRAME, THIRD)


@given(rigid_transforms())
def test_a_motion_and_its_inverse_are_the_identity(motion: RigidTransform) -> None:
    still = motion.then(motion.inverse)
    np.testing.assert_allclose(still.matrix, RigidTransform.identity(FRAME).matrix, atol=1e-9)
    assert (still.from_frame, still.to_frame) == (FRAME, FRAME)


@given(rigid_transforms(), points, points)
def test_distances_are_kept(motion: RigidTransform, a: np.ndarray, b: np.ndarray) -> None:
    moved = np.linalg.norm(motion.apply(a) - motion.apply(b))
    assert moved == pytest.approx(np.linalg.norm(a - b), abs=1e-9)


@given(rigid_transforms())
def test_many_points_are_mapped_at_once(motion: RigidTransform) -> None:
    many = np.arange(24.0).reshape(2, 4, 3)
    np.testing.assert_allclose(motion.apply(many)[1, 2], motion.apply(many[1, 2]), atol=1e-12)


def test_the_translation_is_added_after_the_turn() -> None:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    matrix[:3, 3] = (10.0, 0.0, 0.0)
    motion = RigidTransform(matrix, FRAME, OTHER_FRAME)
    np.testing.assert_allclose(motion.apply((1.0, 0.0, 0.0)), (10.0, 1.0, 0.0), atol=1e-12)


@given(st.floats(0, 180), st.sampled_from("xyz"))
def test_the_angle_of_the_rotation(angle: float, axis: str) -> None:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler(axis, angle, degrees=True).as_matrix()
    assert RigidTransform(matrix, FRAME, FRAME).rotation_deg == pytest.approx(angle, abs=1e-5)


@pytest.mark.parametrize(
    "matrix",
    [
        np.diag([1.0, 1.0, -1.0, 1.0]),  # a mirror image
        np.diag([1.0, 1.0, 1.01, 1.0]),  # a stretch
        np.eye(3),
        np.array([[1, 0, 0, np.nan], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
        np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0.1, 1]]),  # a perspective
    ],
    ids=["mirror", "stretch", "3x3", "nan", "perspective"],
)
def test_what_is_not_rigid_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(SpaceError) as caught:
        RigidTransform(matrix, FRAME, OTHER_FRAME)
    assert (
        str(caught.value) == "the matrix is not a rotation with a translation; expected: a rigid 4x4 matrix"
    )


@given(rigid_transforms(), rigid_transforms())
def test_motions_that_do_not_meet_are_refused(a: RigidTransform, b: RigidTransform) -> None:
    with pytest.raises(FrameMismatchError) as caught:
        a.then(b)
    assert str(caught.value) == (
        f"two transforms do not meet [{OTHER_FRAME} and {FRAME}]; "
        "expected: the second to start in the frame in which the first ends"
    )


@given(grids(), grids(frame=OTHER_FRAME), rigid_transforms())
def test_the_index_map_goes_through_patient_space(a: Grid, b: Grid, motion: RigidTransform) -> None:
    index = (1.0, 2.0, 3.0, 1.0)
    expected = b.indices(motion.apply(a.points(index[:3])))
    np.testing.assert_allclose((index_map(a, b, motion) @ index)[:3], expected, atol=1e-6)


@given(grids(), grids(frame=OTHER_FRAME), rigid_transforms())
def test_the_index_map_refuses_mixed_frames(a: Grid, b: Grid, motion: RigidTransform) -> None:
    with pytest.raises(FrameMismatchError) as caught:
        index_map(a, b, None)
    assert str(caught.value) == (
        f"two frames of reference are mixed [{FRAME} and {OTHER_FRAME}]; expected: a transform"
    )
    with pytest.raises(FrameMismatchError) as caught:
        index_map(a, b, motion.inverse)
    assert str(caught.value) == (
        f"the transform belongs to other frames [{OTHER_FRAME} to {FRAME}]; "
        f"expected: {FRAME} to {OTHER_FRAME}"
    )
