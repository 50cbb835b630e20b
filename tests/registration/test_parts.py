"""The parts of the search: rotations, evidence, climbing, edges, poses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import fft
from scipy.spatial.transform import Rotation

from osteotrace.model.values import Modality
from osteotrace.registration.coarse import rotations, search, transform
from osteotrace.registration.edges import edge_agreement, reached
from osteotrace.registration.evidence import evidence, overlap
from osteotrace.registration.pose import distance, distinct, make_pairs, mean_pose
from osteotrace.registration.pyramid import Prepared, prepare
from osteotrace.registration.refine import Tether, climb, draw_samples
from osteotrace.space import FloatArray, Grid
from osteotrace.space.grid import apply_affine

from ._limb import CT_HU, MR_SIGNAL, motion, scan, volume

TURNED = motion((35.0, 0.0, 15.0), (40.0, -25.0, 300.0))
POINTS = np.array([[0.0, 0, 0], [30, 0, 0], [0, 30, 0], [0, 0, 30], [-20, -20, 20]])


@pytest.fixture(scope="module")
def ct() -> Prepared:
    ready = prepare(scan("ct", Modality.CT, CT_HU, "F"), 4.0, -300.0)
    assert ready is not None
    return ready


@pytest.fixture(scope="module")
def mr() -> Prepared:
    ready = prepare(scan("mr", Modality.MR, MR_SIGNAL, "M", TURNED), 4.0, -300.0)
    assert ready is not None
    return ready


def test_rotations_fill_the_ball_without_mirrors_and_without_holes() -> None:
    lattice = rotations(60.0, 22.0)
    vectors = np.degrees(Rotation.from_matrix(lattice).as_rotvec())
    assert np.allclose(lattice[0], np.eye(3))
    assert np.allclose(np.linalg.det(lattice), 1.0)
    assert np.linalg.norm(vectors, axis=1).max() <= 60.0 + 1e-6
    rng = np.random.default_rng(0)
    inside = rng.normal(size=(300, 3))
    inside *= (48.0 * rng.uniform(size=(300, 1)) ** (1 / 3)) / np.linalg.norm(inside, axis=1, keepdims=True)
    nearest = np.linalg.norm(inside[:, None] - vectors[None], axis=2).min(axis=1)
    assert nearest.max() <= 0.56 * 22.0 + 1e-6, "further from the lattice than its covering radius"


def test_search_ranks_the_true_pose_first_in_another_contrast(ct: Prepared, mr: Prepared) -> None:
    found = search(mr, ct, spacing_mm=12.0, limit_deg=45.0, step_deg=22.0, min_overlap=0.35)
    truth = np.linalg.inv(TURNED)
    points = POINTS @ TURNED[:3, :3].T + TURNED[:3, 3]
    errors = [distance(c.pose, truth, points) for c in found[:10]]
    assert min(errors) < 15.0
    assert found == sorted(found, key=lambda c: -c.score)


def test_gradient_of_the_evidence_is_that_of_its_value(ct: Prepared, mr: Prepared) -> None:
    pairs = make_pairs([mr], [ct], 8.0, 0.4, 1500, 0)
    pose = motion((3.0, -2.0, 4.0), (2.0, 1.0, -3.0)) @ np.linalg.inv(TURNED)
    for power in (0.0, 0.5):
        _, gradient = evidence(pairs, pose, power)
        for axis in range(6):
            step = 1e-5 if axis < 3 else 1e-4
            x = np.zeros(6)
            x[axis] = step
            ahead, behind = (evidence(pairs, _moved(s * x) @ pose, power)[0] for s in (1, -1))
            numeric = (ahead - behind) / (2 * step)
            assert numeric == pytest.approx(gradient[axis], rel=0.1, abs=5e-4), "but for kinks"


def test_climb_removes_a_small_error(ct: Prepared, mr: Prepared) -> None:
    pairs = make_pairs([mr], [ct], 4.0, 0.4, 6000, 0)
    truth = np.linalg.inv(TURNED)
    start = motion((5.0, 3.0, -6.0), (6.0, -5.0, 4.0)) @ truth
    points = pairs[0].samples.points
    before = distance(start, truth, points)
    value, pose = climb(pairs, start, 0.0, 40)
    assert before > 7.0
    assert distance(pose, truth, points) < 1.5
    assert value > evidence(pairs, start, 0.0)[0]


def test_edges_agree_at_the_truth_and_not_when_turned(ct: Prepared, mr: Prepared) -> None:
    truth = np.linalg.inv(TURNED)
    weight = mr.base.body.astype(np.float64)
    right = edge_agreement(mr.base, weight, ct.base, truth)
    wrong = edge_agreement(mr.base, weight, ct.base, motion((0.0, 0.0, 40.0), (0.0, 0.0, 0.0)) @ truth)
    assert right > 1.2 * wrong


def test_overlap_counts_samples_in_the_other_field_of_view(ct: Prepared, mr: Prepared) -> None:
    pairs = make_pairs([mr], [ct], 8.0, 0.4, 1500, 0)
    truth = np.linalg.inv(TURNED)
    away = motion((0.0, 0.0, 0.0), (0.0, 0.0, 1000.0)) @ truth
    assert overlap(pairs, truth) > 0.9
    assert overlap(pairs, away) == 0.0
    assert evidence(pairs, away, 0.5)[0] == pytest.approx(0.0, abs=1e-5)


def test_distinct_keeps_the_best_of_each_place() -> None:
    poses = [(0.5, motion((0, 0, 0), (0, 0, 3))), (0.9, np.eye(4)), (0.4, motion((0, 0, 0), (0, 0, 40)))]
    assert [value for value, _ in distinct(poses, POINTS, 15.0)] == [0.9, 0.4]


@given(st.tuples(*[st.floats(-25, 25)] * 3), st.tuples(*[st.floats(-50, 50)] * 3))
def test_mean_of_a_pose_and_its_opposite_is_the_pose_between(
    turn: tuple[float, float, float], shift: tuple[float, float, float]
) -> None:
    there = motion(turn, (0, 0, 0))
    back = np.linalg.inv(there)
    there[:3, 3], back[:3, 3] = shift, np.negative(shift)
    assert np.allclose(mean_pose([there, back], POINTS - POINTS.mean(axis=0)), np.eye(4), atol=1e-7)


def test_an_image_without_contrast_is_not_used() -> None:
    grid = Grid((20, 20, 20), np.diag([4.0, 4.0, 4.0, 1.0]), "F")
    assert prepare(volume("flat", Modality.MR, np.zeros(grid.shape), grid), 4.0, -300.0) is None
    assert prepare(volume("flat", Modality.CT, np.full(grid.shape, 40.0), grid), 4.0, -300.0) is None


def test_body_is_found_and_cut_out() -> None:
    image = scan("ct", Modality.CT, CT_HU, "F", shape=(60, 60, 30))
    ready = prepare(image, 4.0, -300.0)
    assert ready is not None
    truth = float((image.values > -300).sum()) * image.grid.voxel_volume_mm3 / 1000.0
    assert ready.body_ml == pytest.approx(truth, rel=0.05)
    assert ready.base.grid.shape[0] < 50


def _moved(x: FloatArray) -> FloatArray:
    out = np.eye(4)
    out[:3, :3] = Rotation.from_rotvec(x[:3]).as_matrix()
    out[:3, 3] = x[3:]
    return out


def test_samples_follow_the_weight_in_every_part_whatever_the_draw(ct: Prepared) -> None:
    """Independent points would miss the share of an octant by some 3%; the even ones miss it by less."""
    level = ct.at(5.0)
    index = np.indices(level.grid.shape)
    weight = np.where(index[0] < level.grid.shape[0] // 2, 1.0, 0.25) * np.ones(level.grid.shape)
    half = np.array(level.grid.shape) // 2
    octant = (index >= half[:, None, None, None]).astype(int)
    number = octant[0] * 4 + octant[1] * 2 + octant[2]
    expected = np.bincount(number.ravel(), weight.ravel(), 8) / weight.sum()
    for seed in range(5):
        samples = draw_samples(level, weight, 2000, np.random.default_rng(seed), 20)
        place = np.rint(level.grid.indices(samples.points)).astype(int)
        side = (place >= half).astype(int) @ np.array([4, 2, 1])
        share = np.bincount(side, minlength=8) / len(samples.points)
        assert np.abs(share - expected).max() < 0.02
    assert len(draw_samples(level, np.zeros(level.grid.shape), 100, np.random.default_rng(0), 20).points) == 0


def test_two_draws_differ_and_one_seed_does_not(ct: Prepared) -> None:
    level = ct.at(5.0)
    one, same, other = (
        draw_samples(level, level.body.astype(float), 300, np.random.default_rng(s), 20).points
        for s in (1, 1, 2)
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_tether_pulls_as_its_gradient_says() -> None:
    tether = Tether(motion((4.0, -3.0, 8.0), (5.0, 2.0, -7.0)), 30.0)
    pose = motion((1.0, 2.0, -3.0), (9.0, -4.0, 1.0))
    loss, gradient = tether.loss(pose, POINTS)
    off = (pose - tether.pose)[:3, :3] @ POINTS.T + (pose - tether.pose)[:3, 3:]
    assert loss == pytest.approx((off**2).sum(axis=0).mean() / 30.0**2)
    for axis in range(6):
        x = np.zeros(6)
        x[axis] = 1e-6
        ahead, behind = (tether.loss(_moved(s * x) @ pose, POINTS)[0] for s in (1, -1))
        assert (ahead - behind) / 2e-6 == pytest.approx(gradient[axis], rel=1e-4, abs=1e-8)


def test_a_short_tether_keeps_the_pose_and_a_long_one_lets_it_go(ct: Prepared, mr: Prepared) -> None:
    pairs = make_pairs([mr], [ct], 5.0, 0.4, 3000, 0)
    truth = np.linalg.inv(TURNED)
    anchor = motion((3.0, 0.0, 4.0), (8.0, -4.0, 5.0)) @ truth
    points = pairs[0].samples.points
    held, free = (climb(pairs, anchor, 0.0, 25, Tether(anchor, reach))[1] for reach in (5.0, 500.0))
    assert distance(held, anchor, points) < 3.0
    assert distance(free, truth, points) < 3.0


def test_a_transform_leaves_out_lines_of_zeros_and_nothing_else() -> None:
    images = np.random.default_rng(0).random((2, 7, 5, 6)).astype(np.float32)
    shape = (16, 12, 15)
    assert np.array_equal(transform(images, shape), fft.rfftn(images, shape, axes=(1, 2, 3)))


def test_voxels_that_a_pose_takes_into_another_image() -> None:
    matrix = motion((5.0, 10.0, -20.0), (1.2, -0.7, 0.4))
    index = apply_affine(matrix, np.moveaxis(np.indices((9, 8, 7)), 0, -1))
    for beyond in (0.0, 0.5):
        expected = ((index >= -beyond) & (index <= np.array((8, 7, 6)) - 1.0 + beyond)).all(axis=-1)
        assert np.array_equal(reached(matrix, (9, 8, 7), (8, 7, 6), beyond), expected)
        assert 0 < expected.sum() < expected.size
