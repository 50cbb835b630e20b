"""Bones move rigidly and hang together; soft tissue follows another model; the two directions agree."""

from __future__ import annotations

import numpy as np
import pytest

from osteotrace.phantom.posture import Lie, body_points, exam_points, lay_down, random_lie, shifted
from phantom_stick import stick_body

BODY = stick_body()


def lain(lie: Lie, seed: int = 3):
    return lay_down(BODY, lie, "1.2.3", np.random.default_rng(seed))


def moved(posture, name: str) -> np.ndarray:
    bone = BODY.bone(name)
    return posture.to_exam(bone.name, bone.centroid)


def test_every_bone_has_a_rigid_motion() -> None:
    posture = lain(Lie((10, 5, 5), (2, 1, 3), (5, -100, -400), 8.0, "up"))
    assert set(posture.rigid) == {bone.name for bone in BODY.bones}
    for motion in posture.rigid.values():
        assert np.allclose(motion[:3, :3] @ motion[:3, :3].T, np.eye(3), atol=1e-9)
        assert np.linalg.det(motion[:3, :3]) == pytest.approx(1.0)


def test_the_pelvis_is_one_piece_and_neighbours_stay_together() -> None:
    posture = lain(Lie((25, 8, 8)))
    assert np.allclose(posture.rigid["sacrum"], posture.rigid["hip_left"])
    for upper, lower in (("L4", "L5"), ("T6", "T7"), ("C4", "C5")):
        gap = moved(posture, upper) - moved(posture, lower)
        before = BODY.bone(upper).centroid - BODY.bone(lower).centroid
        assert np.linalg.norm(gap) == pytest.approx(np.linalg.norm(before), abs=1.5)


def test_a_bend_is_what_was_asked_for() -> None:
    posture = lain(Lie((30, 0, 0)))
    motion = posture.rigid["skull"] @ np.linalg.inv(posture.rigid["sacrum"])
    turn = np.degrees(np.arccos((np.trace(motion[:3, :3]) - 1) / 2))
    assert turn == pytest.approx(30, abs=7)  # 0.6° a joint at random


def test_one_rigid_motion_cannot_explain_a_bend() -> None:
    posture = lain(Lie((25, 0, 0)))
    here = np.array([b.centroid for b in BODY.bones if b.verse])
    there = np.array([posture.to_exam(b.name, b.centroid) for b in BODY.bones if b.verse])
    a, b = here - here.mean(axis=0), there - there.mean(axis=0)
    u, _, vt = np.linalg.svd(a.T @ b)
    residual = np.linalg.norm(b - a @ u @ vt, axis=1)
    assert residual.max() > 5.0


def test_a_bent_patient_still_lies_along_the_table() -> None:
    posture = lain(Lie((30, 0, 0)))
    here, there = (
        BODY.bone("T1").centroid - BODY.bone("L5").centroid,
        moved(posture, "T1") - moved(posture, "L5"),
    )
    cosine = here @ there / np.linalg.norm(here) / np.linalg.norm(there)
    assert np.degrees(np.arccos(cosine)) < 5.0


@pytest.mark.parametrize("breath", [-10.0, 10.0])
def test_the_front_of_the_ribs_rises_by_the_breath(breath: float) -> None:
    rest, full = lain(Lie()), lain(Lie(breath_mm=breath))
    bone = BODY.bone("left rib 6")
    front = np.array([bone.centroid[0], bone.part.shape.low[1] + 5, bone.centroid[2]])
    rise = (full.to_exam(bone.name, front) - rest.to_exam(bone.name, front))[2]
    assert abs(rise) <= 10.5
    assert np.sign(rise) == np.sign(breath)
    assert abs(rise) > 4
    spine = full.to_exam("vertebrae_T6", bone.centroid) - rest.to_exam("vertebrae_T6", bone.centroid)
    assert np.abs(spine).max() < 1e-9


def test_arms_go_up() -> None:
    down, up = lain(Lie()), lain(Lie(arms="up"))
    for side in ("left", "right"):
        elbow = BODY.bone(f"{side} humerus").centroid - [0, 0, 100]
        assert up.to_exam(f"humerus_{side}", elbow)[2] > down.to_exam(f"humerus_{side}", elbow)[2] + 100


def test_soft_tissue_follows_the_bones_near_them_but_no_bone_exactly() -> None:
    posture = lain(Lie((20, 6, 4), (2, 1, 3), (5, -100, -400)))
    off = []
    for bone in BODY.bones:
        if bone.verse:
            there = posture.to_exam(bone.name, bone.centroid)
            off.append(np.linalg.norm(body_points(posture, "wall", there[None])[0] - bone.centroid))
    assert np.median(off) < 6.0
    assert min(off) > 0.05


def test_viscera_slide_along_the_wall_and_breathe() -> None:
    posture = lain(Lie(breath_mm=10.0))
    place = moved(posture, "T11")[None] + [[40.0, -60.0, 0.0]]
    wall, viscera = body_points(posture, "wall", place), body_points(posture, "viscera", place)
    assert viscera[0, 2] - wall[0, 2] > 6.0


@pytest.mark.parametrize("carrier", ["wall", "viscera", "vertebrae_L3"])
def test_there_and_back(carrier: str) -> None:
    posture = lain(Lie((15, 5, 5), (2, 2, 2), (10, -140, -500), 8.0))
    points = np.random.default_rng(0).uniform((-60, -60, -300), (60, 60, 150), (40, 3))
    back = body_points(posture, carrier, exam_points(posture, carrier, points))
    assert np.abs(back - points).max() < 0.05


def test_a_small_move_of_the_whole_patient() -> None:
    posture = lain(Lie((15, 5, 5)))
    later = shifted(posture, (1.0, -2.0, 0.5))
    points = np.random.default_rng(1).uniform((-60, -60, -300), (60, 60, 150), (20, 3))
    for carrier in ("wall", "viscera", "vertebrae_T8"):
        step = exam_points(later, carrier, points) - exam_points(posture, carrier, points)
        assert np.allclose(step, (1.0, -2.0, 0.5), atol=0.05)


def test_the_same_seed_lies_the_same() -> None:
    a, b = (random_lie(np.random.default_rng(5), "up") for _ in range(2))
    assert a == b
    first, second = lain(a, 9), lain(b, 9)
    assert all(np.array_equal(first.rigid[k], second.rigid[k]) for k in first.rigid)
    assert np.array_equal(first.soft["wall"].displacement, second.soft["wall"].displacement)
