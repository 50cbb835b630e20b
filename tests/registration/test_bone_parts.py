"""Parts of the alignment of bones: rows, joints, the chain."""

from __future__ import annotations

import numpy as np
import pytest

from osteotrace.model.criteria import load_criteria
from osteotrace.registration.bones import Frame, Start, nearest_start
from osteotrace.registration.chain import Joint, Measured, joined
from osteotrace.registration.joints import joints_of
from osteotrace.registration.pose import Found
from osteotrace.registration.row_start import row_starts, same_bones
from osteotrace.registration.settings import BoneSettings
from osteotrace.registration.skeleton import SeenBone, Skeleton, spread
from osteotrace.space import FloatArray, motion_of

SETTINGS = BoneSettings.of(load_criteria())
SPACING = np.array([0.0, 24.0, 49.0, 76.0, 105.0, 136.0, 170.0])


def seen(name: str, centre: FloatArray, number: int = 0) -> SeenBone:
    points = centre + np.random.default_rng(number).uniform(-12, 12, (60, 3))
    return SeenBone(name, f"V{number}", "s", centre, points, spread(points, 14.0, 8), 0.9, False)


def skeleton(heights: FloatArray, shift: FloatArray, *, sacrum: float | None = None) -> Skeleton:
    row = [seen("vertebra", np.array([0.0, h / 20, -h]) + shift, n) for n, h in enumerate(heights)]
    rest = [seen("sacrum", np.array([0.0, 10.0, -sacrum]) + shift, 50)] if sacrum is not None else []
    return Skeleton("F", (*row, *rest))


SHIFT = np.array([30.0, -20.0, 400.0])


def test_rows_are_counted_in_the_way_that_keeps_the_distances() -> None:
    best, *others = row_starts(skeleton(SPACING, np.zeros(3)), skeleton(SPACING[2:6], SHIFT))
    assert best.pairs == ((2, 0), (3, 1), (4, 2), (5, 3))
    assert best.spacing_mm < 1e-9
    np.testing.assert_allclose(best.pose[:3, 3], SHIFT, atol=1e-6)
    assert all(other.worth < best.worth for other in others)


def test_the_start_nearest_to_a_motion_is_chosen() -> None:
    fixed = Frame([], {}, skeleton(SPACING, np.zeros(3)))
    found = Found(np.eye(4), {}, (), (), [], [])
    starts = [
        Start(_turned(0.0, np.zeros(3), SHIFT + np.array([0.0, 0.0, step])), found, "")
        for step in (-30.0, 0.0, 30.0)
    ]
    start, away = nearest_start(starts, fixed, _turned(2.0, np.zeros(3), SHIFT + np.array([0.0, 0.0, 24.0])))
    assert start is starts[2]
    assert 5.0 < away < 10.0


def test_missed_vertebrae_do_not_shift_the_count() -> None:
    here, there = np.delete(SPACING, 2), np.delete(SPACING, 4)
    best = row_starts(skeleton(here, np.zeros(3)), skeleton(there, SHIFT))[0]
    assert best.pairs == ((0, 0), (1, 1), (2, 3), (4, 4), (5, 5))
    assert abs(best.stretch) < 1e-9


def test_sacra_that_lie_apart_speak_against_a_count() -> None:
    low = skeleton(SPACING, np.zeros(3), sacrum=205.0)
    high = skeleton(SPACING[:4], SHIFT, sacrum=205.0)
    ways = {way.pairs[0]: way for way in row_starts(low, high)}
    assert ways[0, 0].sacrum_mm == pytest.approx(0.0, abs=1e-6)
    assert same_bones(low, high, ways[0, 0].pose)[-1] == (7, 4)
    wrong = [way for pair, way in ways.items() if pair != (0, 0) and way.sacrum_mm is not None]
    assert all(way.sacrum_mm > 14.0 for way in wrong if way.sacrum_mm is not None)


def test_a_single_vertebra_gives_no_row() -> None:
    assert row_starts(skeleton(SPACING[:1], np.zeros(3)), skeleton(SPACING, SHIFT)) == []


def test_bones_hang_where_they_touch() -> None:
    row = skeleton(SPACING, np.zeros(3), sacrum=205.0).bones
    rest = [
        seen("hip bone left", np.array([60.0, 10.0, -200.0]), 51),
        seen("femur left", np.array([80.0, 0.0, -260.0]), 52),
        seen("rib left 12", np.array([25.0, 0.0, -49.0]), 53),
        seen("sternum", np.array([0.0, -90.0, -20.0]), 54),
        seen("skull", np.array([0.0, -20.0, 60.0]), 55),
    ]
    joints = {(j.one, j.other): j for j in joints_of([*row, *rest], SETTINGS)}
    assert {(n, n + 1) for n in range(7)} <= set(joints), "vertebrae and sacrum in a row"
    assert joints[7, 8].turn_deg == SETTINGS.fixed_turn_deg
    assert joints[8, 9].slide_mm == SETTINGS.rib_slide_mm
    assert joints[2, 10].turn_deg == SETTINGS.rib_turn_deg
    assert next(j for pair, j in joints.items() if 11 in pair).slide_mm == SETTINGS.loose_slide_mm
    assert joints[0, 12].slide_mm == SETTINGS.rib_slide_mm, "the skull nods on the uppermost vertebra"
    assert joints_of([row[0]], SETTINGS) == []
    assert joints_of([rest[3]], SETTINGS) == []


def test_a_femur_turns_about_the_middle_of_its_head() -> None:
    rng = np.random.default_rng(5)
    head = rng.normal(size=(400, 3))
    head *= 24.0 * np.cbrt(rng.random(400))[:, None] / np.linalg.norm(head, axis=1)[:, None]
    shaft = np.stack([np.full(200, 50.0), np.zeros(200), -np.linspace(30.0, 200.0, 200)], axis=1)
    cup = rng.normal(size=(600, 3))
    cup *= 28.0 / np.linalg.norm(cup, axis=1)[:, None]
    cup = cup[cup[:, 0] < 8.0]
    spur = np.array([[49.0, 0.0, -60.0]])  # where the shaft comes nearest

    def made(name: str, points: FloatArray) -> SeenBone:
        return SeenBone(name, name, "s", points.mean(axis=0), points, spread(points, 14.0, 8), 0.9, cut=True)

    bones = [
        made("femur left", np.concatenate([head, shaft])),
        made("hip bone left", np.concatenate([cup, spur])),
    ]
    joint = next(j for j in joints_of(bones, SETTINGS) if j.other == 0)
    assert joint.turn_deg == SETTINGS.loose_turn_deg
    assert np.linalg.norm(joint.place) < 12.0


def _turned(deg: float, about: FloatArray, shift: FloatArray) -> FloatArray:
    motion = motion_of([[np.radians(deg), 0, 0, 0, 0, 0]])[0]
    motion[:3, 3] = about - motion[:3, :3] @ about + shift
    return motion


CENTRES = np.stack([np.zeros(7), np.zeros(7), -SPACING], axis=1)
JOINTS = [Joint(n, n + 1, (CENTRES[n] + CENTRES[n + 1]) / 2, 0.7, 2.0) for n in range(6)]


def _measured(n: int, shift: float = 0.0) -> Measured:
    precision = np.diag(np.r_[[np.radians(1.0) ** -2.0] * 3, [0.5**-2.0] * 3])
    return Measured(n, _turned(0.5 * n, CENTRES[n], np.array([0.0, shift, 5.0])), precision)


def test_a_measurement_that_its_neighbours_contradict_loses_weight() -> None:
    chain = joined(CENTRES, np.eye(4), [_measured(n, 20.0 if n == 3 else 0.0) for n in range(7)], JOINTS)
    assert chain.trust[3] < 0.2
    assert chain.trust[[0, 1, 5, 6]].min() > 1.0
    assert abs((chain.motions[3] @ np.r_[CENTRES[3], 1.0])[1]) < 2.0


def test_bones_without_images_follow() -> None:
    chain = joined(CENTRES, np.eye(4), [_measured(n) for n in (0, 1, 2)], JOINTS)
    assert (chain.motions[6] @ np.r_[CENTRES[6], 1.0])[2] == pytest.approx(CENTRES[6, 2] + 5.0, abs=1.5)


def test_redundancy_tells_which_bones_the_others_check() -> None:
    alone = joined(CENTRES[:1], np.eye(4), [_measured(0)], [])
    assert alone.redundancy[0] == pytest.approx(0.0, abs=0.01)
    assert alone.misfit[0] == pytest.approx(0.0, abs=0.01)
    chain = joined(CENTRES, np.eye(4), [_measured(n) for n in (0, 1, 2)], JOINTS)
    assert chain.redundancy[1] > chain.redundancy[[0, 2]].max() > 0.5
    assert chain.redundancy[3:].max() == 0.0


def test_misfit_over_redundancy_tells_how_true_the_precisions_are() -> None:
    rng = np.random.default_rng(3)

    def ratio(scale: float) -> float:
        chains = [joined(CENTRES, np.eye(4), _drawn(rng, scale), JOINTS) for _ in range(40)]
        return float(np.mean([chain.misfit.sum() / chain.redundancy.sum() for chain in chains]))

    half, true, double = ratio(0.5), ratio(1.0), ratio(2.0)
    assert 1.0 < true < 1.7, "a little above 1, by the weights of Student's t"
    assert half < 0.6 * true
    assert double > 1.3 * true


def _drawn(rng: np.random.Generator, scale: float) -> list[Measured]:
    """Measurements of a straight row that scatter by their nominal deviations times a scale."""
    out = []
    joint = JOINTS[0]
    own = np.zeros(6)
    for n, centre in enumerate(CENTRES):
        if n:
            turn = rng.normal(0.0, np.radians(joint.turn_deg), 3) * scale
            lever = centre - JOINTS[n - 1].place, CENTRES[n - 1] - JOINTS[n - 1].place
            slide = rng.normal(0.0, joint.slide_mm, 3) * scale
            at = own[3:] - np.cross(own[:3], lever[1]) + slide
            own = np.r_[own[:3] + turn, at + np.cross(own[:3] + turn, lever[0])]
        said = own + scale * np.r_[rng.normal(0.0, np.radians(1.0), 3), rng.normal(0.0, 0.5, 3)]
        motion = motion_of([[*said[:3], 0.0, 0.0, 0.0]])[0]
        motion[:3, 3] = centre - motion[:3, :3] @ centre + said[3:]
        precision = np.diag(np.r_[[np.radians(1.0) ** -2.0] * 3, [0.5**-2.0] * 3])
        out.append(Measured(n, motion, precision))
    return out


def test_anchors_spread_over_a_bone() -> None:
    points = np.stack([np.zeros(100), np.zeros(100), np.linspace(0, 99, 100)], axis=1)
    anchors = spread(points, 14.0, 20)
    assert np.abs(points[:, None] - anchors[None]).sum(axis=-1).min(axis=1).max() <= 14.0
    assert len(spread(points, 1.0, 5)) == 5
