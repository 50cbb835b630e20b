"""Bone by bone: a synthetic row of vertebrae that bends from exam to exam."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter

from osteotrace.model.alignment import Alignment
from osteotrace.model.criteria import Criteria, load_criteria
from osteotrace.model.values import Modality, Verdict
from osteotrace.registration import align
from osteotrace.registration.align import apart_mm
from osteotrace.registration.bones import Says, judged
from osteotrace.registration.person import Person
from osteotrace.registration.settings import BoneSettings

from ._row import CT_HU, MR_T1, STRAIGHT, bent, error_mm, outlined, scanned

CRITERIA = load_criteria()
QUICK = replace(
    CRITERIA,
    items=tuple(
        replace(item, value=20.0) if item.id == "registration.rotation_limit_deg" else item
        for item in CRITERIA.items
    ),
)
POSE = bent()


def _aligned(
    seen: tuple[range | list[int], range | list[int]] = (range(5), range(5)),
    *,
    lesion: bool = False,
    criteria: Criteria = QUICK,
) -> Alignment:
    ct = scanned("ct", Modality.CT, CT_HU, "F")
    mr = scanned("mr", Modality.MR, MR_T1, "M", POSE, lesion=lesion)
    anatomies = [outlined(ct, STRAIGHT, seen[0]), outlined(mr, POSE, seen[1], seed=1)]
    (alignment,) = align([ct, mr], criteria, anatomies=anatomies)
    return alignment


@pytest.fixture(scope="module")
def whole() -> Alignment:
    return _aligned()


def test_every_vertebra_follows_its_own_motion(whole: Alignment) -> None:
    assert whole.method == "bones"
    assert [bone.source for bone in whole.bones] == ["images"] * 5
    rigid = error_mm(whole, POSE, rigid=True)
    by_bone = error_mm(whole, POSE)
    assert np.median(by_bone) < 1.0
    assert np.percentile(by_bone, 95) < 2.5
    assert np.median(rigid) > 1.5, "the scene must bend more than a rigid motion can follow"


def test_the_stated_radius_holds_the_error(whole: Alignment) -> None:
    assert whole.verdict is Verdict.GOOD, whole.reasons
    inside = error_mm(whole, POSE) <= np.repeat([b.radius_mm for b in whole.bones], 6)
    assert inside.mean() >= 0.9
    assert whole.error_mm is not None
    assert whole.error_mm < 8.0


def test_the_record_is_whole_and_the_same_again(whole: Alignment) -> None:
    adapter = TypeAdapter(Alignment)
    assert adapter.dump_json(_aligned()) == adapter.dump_json(whole)
    assert {b.fixed_series for b in whole.bones} | {b.moving_series for b in whole.bones} == {"ct", "mr"}
    points = np.array([bone.centre_mm for bone in whole.bones]) + 5.0
    np.testing.assert_allclose(whole.apply_back(whole.apply(points)), points, atol=1e-4)


def test_a_lesion_that_only_one_exam_shows_does_not_pull_its_bone() -> None:
    changed = _aligned(lesion=True)
    assert np.median(error_mm(changed, POSE, [2])) < 1.5


def test_a_count_that_does_not_stand_out_is_held_against_the_whole_search(
    monkeypatch: pytest.MonkeyPatch, whole: Alignment
) -> None:
    module = importlib.import_module("osteotrace.registration.align")  # the function of that name hides it
    monkeypatch.setattr(module, "stands_out", lambda *_: (0.0, 0.0))
    searched = _aligned()
    assert searched.method == "bones", searched.reasons
    assert np.median(error_mm(searched, POSE)) < 1.0
    assert apart_mm(searched, whole.transform.matrix) < 12.0
    far = _aligned_within(0.001)
    assert far.method == "bones", "a pose beside every way to count is none"
    assert far.verdict is Verdict.DOUBTFUL
    assert far.reasons[0] == "the images as a whole confirm no count of the vertebrae"


def test_rows_are_followed_doubtfully_where_no_pose_of_the_images_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = importlib.import_module("osteotrace.registration.align")
    monkeypatch.setattr(module, "stands_out", lambda *_: (0.0, 0.0))
    monkeypatch.setattr(module, "find_pose", lambda *_: None)
    alone = _aligned()
    assert alone.method == "bones"
    assert alone.verdict is Verdict.DOUBTFUL
    assert np.median(error_mm(alone, POSE)) < 1.0


def _aligned_within(contradiction_mm: float) -> Alignment:
    items = tuple(
        replace(item, value=contradiction_mm) if item.id == "registration.bone_contradiction_mm" else item
        for item in QUICK.items
    )
    return _aligned(criteria=replace(QUICK, items=items))


def test_a_vertebra_that_was_missed_in_either_exam_is_followed_all_the_same() -> None:
    gaps = _aligned(([0, 1, 3, 4], [0, 2, 3, 4]))
    assert np.percentile(error_mm(gaps, POSE), 95) < 3.0
    assert [bone.moving_id for bone in gaps.bones].count("") == 1
    assert [bone.fixed_id for bone in gaps.bones].count("") == 1


def test_one_outlined_frame_takes_its_start_from_the_images() -> None:
    ct = scanned("ct", Modality.CT, CT_HU, "F")
    mr = scanned("mr", Modality.MR, MR_T1, "M", bent(1.0))
    (alignment,) = align([ct, mr], QUICK, anatomies=[outlined(ct, STRAIGHT)])
    assert alignment.method == "bones"
    assert any("rigid start by the images" in reason for reason in alignment.reasons)
    assert np.median(error_mm(alignment, bent(1.0))) < 2.5


@pytest.mark.parametrize(
    ("says", "verdict", "reason"),
    [
        ({"count": 0.1}, Verdict.DOUBTFUL, "another count of the vertebrae agrees only 10% less"),
        ({"count": 0.01}, Verdict.FAILED, "another count"),
        ({"row": 0.05}, Verdict.DOUBTFUL, "only 5% better than one segment higher or lower"),
        ({"row": -0.2}, Verdict.FAILED, "one segment higher or lower"),
        ({"stretch": 0.07}, Verdict.DOUBTFUL, "differs in length by 7%: another patient?"),
        ({"stretch": 0.15}, Verdict.FAILED, "another patient?"),
        ({"mirrored": 0.05}, Verdict.DOUBTFUL, "fits 5% better: left and right are unsure"),
        ({"mirrored": 0.2}, Verdict.FAILED, "fits 20% better: left and right are unsure"),
        (
            {"person": Person(0.44, 0.14, "CT-MR")},
            Verdict.DOUBTFUL,
            "1.6 times as badly as those of one person",
        ),
        ({"person": Person(0.26, -0.1, "CT-MR")}, Verdict.DOUBTFUL, "only -10% better with themselves"),
        ({"person": Person(0.7, 0.18, "CT-MR")}, Verdict.FAILED, "2.0 times as badly as those of one person"),
        ({"person": Person(0.46, -0.11, "CT-MR")}, Verdict.FAILED, "than with a neighbour: another patient?"),
        ({"person": Person(0.31, 0.12, "MR-MR")}, Verdict.DOUBTFUL, "only +12% better with themselves"),
        ({"person": Person(0.44, 0.14, "MR-MR")}, Verdict.FAILED, "another patient?"),
        ({"person": Person(0.42, 0.04, "CT-CT")}, Verdict.FAILED, "another patient?"),
        (
            {"person": Person(0.42, 0.09, "CT-MR", 0.023)},
            Verdict.FAILED,
            "differ by 2.3%, those of one person",
        ),
        ({"person": Person(0.37, 0.23, "MR-MR", 0.037)}, Verdict.FAILED, "by 1.5%: another patient?"),
    ],
)
def test_what_speaks_against_an_alignment_is_said(
    whole: Alignment, says: dict[str, object], verdict: Verdict, reason: str
) -> None:
    usual = Says(count=0.6, row=0.5, stretch=0.01, mirrored=None)
    judged_record = judged(whole, replace(usual, **says), BoneSettings.of(CRITERIA))
    assert judged_record.verdict is verdict
    assert reason in judged_record.reasons[0]
    assert (judged_record.error_mm is None) is (verdict is Verdict.FAILED)


@pytest.mark.parametrize(
    "person",
    [
        Person(0.24, 0.01, "CT-MR"),
        Person(0.43, 0.3, "CT-MR"),
        Person(0.3, 0.33, "MR-MR"),
        Person(0.11, 0.16, "CT-CT"),
        Person(0.14, 0.16, "CT-CT", 0.029),
        Person(0.39, 0.28, "MR-MR", 0.008),
    ],
)
def test_one_sign_of_another_person_alone_is_none(whole: Alignment, person: Person) -> None:
    says = Says(count=0.6, row=0.5, stretch=0.01, mirrored=None, person=person)
    assert judged(whole, says, BoneSettings.of(CRITERIA)).verdict is Verdict.GOOD


def test_one_vertebra_only_is_doubtful(whole: Alignment) -> None:
    single = replace(whole, bones=whole.bones[:1])
    usual = Says(count=0.6, row=0.5, stretch=0.0, mirrored=None)
    alone = judged(single, usual, BoneSettings.of(CRITERIA))
    assert alone.verdict is Verdict.DOUBTFUL
    assert "the level may be mistaken" in alone.reasons[0]


def test_without_anatomies_nothing_changes() -> None:
    ct = scanned("ct", Modality.CT, CT_HU, "F")
    mr = scanned("mr", Modality.MR, MR_T1, "M", STRAIGHT)
    (alignment,) = align([ct, mr], QUICK)
    assert (alignment.method, alignment.bones) == ("rigid", ())
