from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm

from osteotrace.errors import SpaceError
from osteotrace.space import FloatArray, Polyrigid, motion_of, twist_of

SPINE = np.array([[0.0, 0.0, 30.0 * n] for n in range(6)])


def _bent(seed: int, turn: float, shift: float) -> Polyrigid:
    """Six vertebrae with small motions of their own about their centres, after a large common one."""
    rng = np.random.default_rng(seed)
    common = motion_of([[0.3, -0.2, 0.5, 100.0, -40.0, 700.0]])[0]
    motions = []
    for centre in SPINE:
        own = motion_of([[*rng.normal(0, turn, 3), 0, 0, 0]])[0]
        own[:3, 3] = centre - own[:3, :3] @ centre + rng.normal(0, shift, 3)
        motions.append(common @ own)
    anchors = [centre + rng.uniform(-12, 12, (8, 3)) for centre in SPINE]
    return Polyrigid.of(common, motions, anchors, 6.0)


@given(
    st.lists(st.floats(-1.6, 1.6), min_size=3, max_size=3),
    st.lists(st.floats(-99, 99), min_size=3, max_size=3),
)
def test_motion_is_the_matrix_exponential_of_the_twist_and_back(
    turn: list[float], shift: list[float]
) -> None:
    x, y, z = turn
    generator = np.zeros((4, 4))
    generator[:3, :3] = [[0, -z, y], [z, 0, -x], [-y, x, 0]]
    generator[:3, 3] = shift
    (motion,) = motion_of([[*turn, *shift]])
    np.testing.assert_allclose(motion, expm(generator), atol=1e-9)
    np.testing.assert_allclose(twist_of(motion)[0], [*turn, *shift], atol=1e-7)


def test_near_its_anchors_a_bone_moves_by_its_own_motion() -> None:
    blend = _bent(0, 0.05, 2.0)
    for number in range(len(SPINE)):
        anchors = blend.anchors[blend.owner == number]
        own = blend.common @ motion_of(blend.twists[number])[0]
        there = anchors @ own[:3, :3].T + own[:3, 3]
        assert np.abs(blend.apply(anchors) - there).max() < 0.4


@given(st.integers(0, 200))
def test_the_inverse_brings_every_point_back(seed: int) -> None:
    blend = _bent(seed, 0.04, 1.5)
    points = np.random.default_rng(seed).uniform((-60, -60, -40), (60, 60, 190), (40, 3))
    np.testing.assert_allclose(blend.invert(blend.apply(points)), points, atol=1e-4)
    assert blend.least_jacobian(points) > 0.0


def test_equal_motions_blend_to_that_motion_everywhere() -> None:
    motion = motion_of([[0.1, 0.2, -0.1, 5.0, 6.0, 7.0]])[0]
    blend = Polyrigid.of(np.eye(4), [motion] * 2, [SPINE[:1], SPINE[1:2]], 6.0)
    points = np.array([[[500.0, 0.0, 0.0]], [[0.0, 3.0, 15.0]]])
    np.testing.assert_allclose(blend.apply(points), points @ motion[:3, :3].T + motion[:3, 3], atol=1e-9)
    np.testing.assert_allclose(blend.motions(points[0])[0], motion, atol=1e-12)


def test_a_bone_without_anchors_is_refused() -> None:
    with pytest.raises(SpaceError, match="lacks anchors"):
        Polyrigid.of(np.eye(4), [np.eye(4)], [np.empty((0, 3))], 6.0)


def test_a_map_that_folds_is_not_inverted() -> None:
    def shifted(z: float) -> FloatArray:
        matrix = np.eye(4)
        matrix[2, 3] = z
        return matrix

    folded = Polyrigid.of(np.eye(4), [shifted(60.0), shifted(-60.0)], [SPINE[:1], SPINE[1:2]], 6.0)
    line = np.linspace((0, 0, -30), (0, 0, 60), 91)
    assert folded.least_jacobian(line) < 0.0
    with pytest.raises(SpaceError, match="cannot be inverted"):
        folded.invert(line)
