"""Numbering: golden cases, properties, bad input."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from anatomy.spine_cases import (
    FRAME,
    certainties_in,
    levels_in,
    numbered,
    points_of,
    range_of,
    skeleton,
)
from osteotrace.errors import DeclarationError
from osteotrace.model.alignment import Alignment
from osteotrace.model.anatomy import BodySize, Certainty
from osteotrace.model.corrections import Level
from osteotrace.model.values import Verdict
from osteotrace.space import RigidTransform

OTHER = "1.2.826.0.1.3680043.8.498.2"
LUMBAR = range_of("L1", "L5")


def codes(numbering):
    return {problem.code for problem in numbering.problems}


# --- what landmarks can tell ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "last", "signs"),
    [
        ("C1", "L5", {"ribs": True, "dens": True, "sacrum": True}),
        ("C5", "L5", {"ribs": True, "sacrum": True}),
        ("T8", "L5", {"ribs": True, "sacrum": True}),
        ("T12", "L5", {"ribs": True, "sacrum": True}),
        ("C2", "T6", {"ribs": True, "dens": True}),
        ("C2", "C7", {"dens": True}),
    ],
)
def test_landmarks_at_both_ends_make_levels_certain(first, last, signs):
    anatomy = skeleton(range_of(first, last), **signs)
    numbering = numbered(anatomy)
    assert levels_in(numbering, anatomy) == range_of(first, last)
    assert certainties_in(numbering, anatomy) == {"certain"}
    assert numbering.problems == ()
    assert (numbering.counts[0].thoracic, numbering.counts[0].lumbar) == (12, 5)


@pytest.mark.parametrize(
    ("first", "last", "signs", "reason"),
    [
        ("L1", "L5", {"sacrum": True}, "5 lumbar vertebrae assumed"),
        ("T10", "L3", {"ribs": True}, "12 thoracic vertebrae assumed"),
        ("T9", "L5", {}, "no landmark in view"),
        ("T3", "T8", {"ribs": True}, "no landmark in view"),
    ],
)
def test_half_of_the_landmarks_never_makes_a_level_certain(first, last, signs, reason):
    anatomy = skeleton(range_of(first, last), **signs)
    numbering = numbered(anatomy)
    assert "certain" not in certainties_in(numbering, anatomy)
    assert all(any(reason in text for text in vertebra.reasons) for vertebra in numbering.vertebrae)


def test_from_a_lumbar_mr_alone_nobody_can_tell_an_l5_from_an_l6():
    anatomy = skeleton(range_of("L3", "L6", (12, 6)), count=(12, 6), sacrum=True)
    last = numbered(anatomy).vertebrae[-1]
    assert {p.level for p in last.possible[:2]} == {"L5", "L6"}
    assert last.certainty is not Certainty.CERTAIN
    assert sum(p.probability for p in last.possible) == pytest.approx(1, abs=0.03)
    assert last.alternatives == last.possible[1:]


def test_three_lumbar_vertebrae_alone_stay_uncertain():
    anatomy = skeleton(("L2", "L3", "L4"), ribs=False)
    numbering = numbered(anatomy)
    assert certainties_in(numbering, anatomy) == {"uncertain"}
    assert len(numbering.vertebrae[0].possible) > 3


# --- unusual spines -------------------------------------------------------------------------------


def test_without_a_landmark_even_a_whole_row_is_uncertain():
    levels = range_of("C3", "L5")
    numbering = numbered(skeleton(levels))
    assert max(v.probability for v in numbering.vertebrae) > 0.9
    assert {v.certainty for v in numbering.vertebrae} == {Certainty.UNCERTAIN}


def test_six_lumbar_vertebrae_are_counted_from_above():
    levels = range_of("C2", "L6", (12, 6))
    anatomy = skeleton(levels, count=(12, 6), ribs=True, dens=True, sacrum=True)
    numbering = numbered(anatomy)
    assert levels_in(numbering, anatomy) == levels
    assert numbering.vertebrae[-1].certainty is Certainty.CERTAIN
    assert numbering.vertebrae[-1].verse == 25
    assert (numbering.counts[0].thoracic, numbering.counts[0].lumbar) == (12, 6)


def test_thirteen_ribs_counted_from_the_dens():
    levels = range_of("C2", "L5", (13, 5))
    anatomy = skeleton(levels, count=(13, 5), ribs=True, dens=True, sacrum=True)
    numbering = numbered(anatomy)
    assert levels_in(numbering, anatomy) == levels
    assert numbering.of("ct", f"V{levels.index('T13') + 1}").verse == 28


def test_eleven_ribs_counted_from_the_dens():
    """The vertebra below the last rib is L1, as in VerSe."""
    levels = range_of("C2", "L5", (11, 5))
    anatomy = skeleton(levels, count=(11, 5), ribs=True, dens=True, sacrum=True)
    assert levels_in(numbered(anatomy), anatomy) == levels


def test_an_unusual_count_is_certain_only_where_counting_starts():
    """Six vertebrae between the last rib and the sacrum: an L6, or a T11 that bears the last rib."""
    levels = range_of("T10", "L6", (12, 6))
    anatomy = skeleton(levels, count=(12, 6), ribs=True, sacrum=True)
    numbering = numbered(anatomy)
    assert {(c.thoracic, c.lumbar) for c in numbering.counts} >= {(12, 6), (11, 6)}
    assert "certain" not in certainties_in(numbering, anatomy)
    assert "12 thoracic and 6 lumbar vertebrae" in numbering.vertebrae[0].reasons[-1]


def test_a_cervical_rib_is_not_taken_for_the_first():
    levels = range_of("C2", "T6")
    anatomy = skeleton(levels, ribs=True, dens=True)
    bones = tuple(dataclasses.replace(b, rib=0.99) if b.id == "V6" else b for b in anatomy.bones)
    numbering = numbered(dataclasses.replace(anatomy, bones=bones))
    assert levels_in(numbering, anatomy) == levels
    assert certainties_in(numbering, anatomy) == {"probable"}
    assert "the first rib seems to be at C7" in numbering.vertebrae[0].reasons


# --- detections that lie --------------------------------------------------------------------------


def test_a_missed_vertebra_leaves_a_gap_in_the_numbers():
    levels = tuple(level for level in range_of("T9", "L5") if level != "L2")
    anatomy = skeleton(levels, ribs=True, sacrum=True)
    assert levels_in(numbered(anatomy), anatomy) == levels


def test_a_false_detection_gets_no_level():
    levels = range_of("T9", "L5")
    points = points_of(levels)
    anatomy = skeleton(levels, points=points, ribs=True, sacrum=True)
    between = (points[4] + points[5]) / 2 + [9.0, 4.0, 0.0]
    false = dataclasses.replace(
        anatomy.bones[0], id="V99", label=99, centroid_mm=tuple(between), confidence=0.3, rib=None
    )
    numbering = numbered(dataclasses.replace(anatomy, bones=(*anatomy.bones, false)))
    assert numbering.of("ct", "V99").level is None
    assert numbering.of("ct", "V99").verse is None
    assert numbering.of("ct", "V99").probability == 0
    assert levels_in(numbering, anatomy) == levels


def test_two_fused_vertebrae_are_one_block():
    levels = range_of("T9", "L5")
    points, keep = points_of(levels), [i for i, level in enumerate(levels) if level != "L2"]
    points[levels.index("L1")] = (points[levels.index("L1")] + points[levels.index("L2")]) / 2
    anatomy = skeleton([levels[i] for i in keep], points=points[keep], ribs=True, sacrum=True)
    index = levels.index("L1")
    block = dataclasses.replace(anatomy.bones[index], size_mm=BodySize(height_mm=63.0))
    bones = tuple(block if bone.id == block.id else bone for bone in anatomy.bones)
    found = numbered(dataclasses.replace(anatomy, bones=bones)).of("ct", block.id)
    assert found.possible[0].level == "L1+L2"
    assert found.level == "L1"
    assert found.certainty is Certainty.PROBABLE
    assert any("fused" in reason for reason in found.reasons)


def test_a_vertebra_that_the_field_of_view_cuts_may_lie_elsewhere():
    levels = range_of("T10", "L5")
    points = points_of(levels)
    points[0, 2] -= 9.0
    anatomy = skeleton(levels, points=points, ribs=True, sacrum=True)
    cut = dataclasses.replace(anatomy.bones[0], touches_edge=True)
    numbering = numbered(dataclasses.replace(anatomy, bones=(cut, *anatomy.bones[1:])))
    assert levels_in(numbering, anatomy) == levels


def test_one_rib_that_was_not_seen_in_the_middle_does_no_harm():
    levels = range_of("T6", "L5")
    anatomy = skeleton(levels, ribs=True, sacrum=True)
    bones = tuple(dataclasses.replace(b, rib=0.01) if b.id == "V3" else b for b in anatomy.bones)
    numbering = numbered(dataclasses.replace(anatomy, bones=bones))
    assert levels_in(numbering, anatomy) == levels
    assert numbering.of("ct", "V1").certainty is Certainty.CERTAIN


# --- several volumes ------------------------------------------------------------------------------


def moved(verdict=Verdict.GOOD, error_mm=3.0):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("x", 8, degrees=True).as_matrix()
    matrix[:3, 3] = [10.0, -40.0, 25.0]
    motion = RigidTransform(matrix, OTHER, FRAME)
    return Alignment(motion, "rigid", "mr", "ct", 1.0, 0.5, error_mm, verdict), motion


def lumbar_mr(motion, levels, count=(12, 5)):
    points = motion.inverse.apply(points_of(levels, count))
    return skeleton(levels, points=points, series="mr", frame=OTHER)


def test_a_lumbar_mr_takes_its_numbers_from_the_ct_that_shows_the_ribs():
    """Six lumbar vertebrae: the MR alone would be numbered one too low."""
    alignment, motion = moved()
    levels = range_of("L2", "L6", (12, 6))
    mr = lumbar_mr(motion, levels, (12, 6))
    ct = skeleton(
        range_of("C2", "L6", (12, 6)), count=(12, 6), ribs=True, dens=True, sacrum=True, series="ct"
    )
    numbering = numbered(mr, ct, alignments=(alignment,))
    assert levels_in(numbering, mr) == levels
    assert certainties_in(numbering, mr) == {"certain"}
    assert len(numbering.vertebrae) == len(ct.vertebrae)
    assert len(numbering.of("mr", "V1").bones) == 2


def test_a_doubtful_alignment_carries_no_certainty():
    alignment, motion = moved(Verdict.DOUBTFUL, 6.0)
    only = range_of("T6", "T8")
    mr = lumbar_mr(motion, only)
    ct = skeleton(range_of("T9", "L5"), ribs=True, sacrum=True)
    numbering = numbered(mr, ct, alignments=(alignment,))
    assert levels_in(numbering, mr) == only
    assert certainties_in(numbering, mr) == {"probable"}
    assert any("doubtful" in reason for reason in numbering.of("mr", "V1").reasons)
    assert certainties_in(numbering, ct) == {"certain"}


def test_without_alignment_the_count_is_still_shared():
    """The CT has an L6, so the last vertebra above the sacrum in the MR is one."""
    mr = skeleton(range_of("L3", "L6", (12, 6)), count=(12, 6), sacrum=True, series="mr", frame=OTHER)
    ct = skeleton(range_of("C2", "L6", (12, 6)), count=(12, 6), ribs=True, dens=True, sacrum=True)
    numbering = numbered(mr, ct)
    assert levels_in(numbering, mr) == range_of("L3", "L6", (12, 6))
    assert certainties_in(numbering, mr) == {"probable"}
    assert codes(numbering) == {"numbered-apart"}


def test_an_alignment_with_a_large_error_connects_nothing():
    alignment, motion = moved(error_mm=25.0)
    mr = lumbar_mr(motion, LUMBAR)
    numbering = numbered(mr, skeleton(range_of("T9", "L5"), ribs=True, sacrum=True), alignments=(alignment,))
    assert codes(numbering) == {"numbered-apart"}


def test_a_sacrum_in_another_volume_counts():
    alignment, motion = moved()
    mr = lumbar_mr(motion, LUMBAR)
    ct = skeleton(range_of("T8", "L3"), ribs=True)
    x, y, z = motion.inverse.apply(points_of(("L5",))[0] + [0.0, 8.0, -29.0])
    sacrum = dataclasses.replace(mr.bones[0], id="sacrum", name="sacrum", label=50, centroid_mm=(x, y, z))
    numbering = numbered(dataclasses.replace(mr, bones=(*mr.bones, sacrum)), ct, alignments=(alignment,))
    assert [v.level for v in numbering.vertebrae] == list(range_of("T8", "L5"))
    assert {v.certainty for v in numbering.vertebrae} == {Certainty.CERTAIN}


# --- other programs, and persons ------------------------------------------------------------------


def test_declared_levels_that_fit_are_kept():
    levels = range_of("T9", "L3")
    anatomy = skeleton(levels, declared=levels)
    numbering = numbered(anatomy)
    assert levels_in(numbering, anatomy) == levels
    assert "certain" not in certainties_in(numbering, anatomy)


def test_declared_levels_that_the_landmarks_contradict_are_reported():
    levels = range_of("T9", "L5")
    wrong = range_of("T8", "L4")
    anatomy = skeleton(levels, ribs=True, sacrum=True, declared=wrong)
    numbering = numbered(anatomy)
    assert levels_in(numbering, anatomy) == levels
    assert codes(numbering) == {"level-contradiction"}
    assert "T8 (T9 is more likely)" in str(numbering.problems[0])
    assert certainties_in(numbering, anatomy) == {"probable"}
    assert any("another program calls it T8" in text for text in numbering.of("ct", "V1").reasons)


def told(anatomy, index, level):
    return Level(anatomy.series_id, anatomy.vertebrae[index].centroid_mm, level)


def test_a_person_overrules():
    anatomy = skeleton(range_of("L2", "L6", (12, 6)), count=(12, 6), sacrum=True)
    numbering = numbered(anatomy, corrections=(told(anatomy, 4, "L6"),))
    assert levels_in(numbering, anatomy) == range_of("L2", "L6", (12, 6))
    assert numbering.vertebrae[-1].overruled
    assert numbering.vertebrae[-1].reasons == ("a person says that it is L6",)
    assert not numbering.vertebrae[0].overruled
    assert certainties_in(numbering, anatomy) == {"certain"}


def test_a_person_overrules_even_the_ribs_and_it_is_said():
    anatomy = skeleton(range_of("T9", "L5"), ribs=True, sacrum=True)
    numbering = numbered(anatomy, corrections=(told(anatomy, 3, "T11"),))
    assert numbering.of("ct", "V4").level == "T11"
    assert "level-overruled" in codes(numbering)
    assert "a person says T11 where what was seen says T12" in str(numbering.problems)


def test_a_point_may_lie_in_the_label_or_near_the_centre():
    anatomy = skeleton(LUMBAR, sacrum=True)
    labels = np.full((2, 2, 2), 3, np.uint16)
    inside = dataclasses.replace(anatomy, labels=labels)
    numbering = numbered(inside, corrections=(Level("ct", (4.0, 4.0, 4.0), "L3"),))
    assert numbering.of("ct", "V3").overruled
    x, y, z = anatomy.vertebrae[1].centroid_mm
    numbering = numbered(anatomy, corrections=(Level("ct", (x + 15, y, z), "L2"),))
    assert numbering.of("ct", "V2").overruled


@pytest.mark.parametrize(
    ("corrections", "message"),
    [
        ([Level("mr", (0.0, 0.0, 0.0), "L5")], "a level is given for a volume without anatomy"),
        ([Level("ct", (900.0, 0.0, 0.0), "L5")], "no vertebra was found at the point that should be L5"),
        ([(0, "L3"), (1, "L2")], "the given levels cannot stand together: L3, L2"),
        ([(0, "L1"), (1, "L1")], "cannot stand together"),
    ],
)
def test_a_persons_word_that_cannot_be_honoured_is_refused(corrections, message):
    anatomy = skeleton(LUMBAR, sacrum=True)
    items = tuple(told(anatomy, *c) if isinstance(c, tuple) else c for c in corrections)
    with pytest.raises(DeclarationError, match=message):
        numbered(anatomy, corrections=items)


def test_one_vertebra_with_two_given_levels_is_refused():
    anatomy = skeleton(LUMBAR, sacrum=True)
    x, y, z = anatomy.vertebrae[1].centroid_mm
    items = (told(anatomy, 1, "L2"), Level("ct", (x + 1, y, z), "L3"))
    with pytest.raises(DeclarationError, match="one vertebra is called L2 and L3"):
        numbered(anatomy, corrections=items)


# --- properties -----------------------------------------------------------------------------------

shifts = st.tuples(*[st.floats(-900, 900)] * 3).map(np.array)


def summary(numbering, anatomy):
    found = [numbering.of(anatomy.series_id, bone.id) for bone in anatomy.vertebrae]
    return [(v.level, v.certainty, [(p.level, round(p.probability, 4)) for p in v.possible]) for v in found]


@settings(max_examples=8)
@given(shifts)
def test_a_shift_changes_nothing(shift):
    levels = range_of("T11", "L4")
    here = skeleton(levels, ribs=True)
    there = skeleton(levels, points=points_of(levels) + shift, ribs=True)
    assert summary(numbered(there), there) == summary(numbered(here), here)


@settings(max_examples=6)
@given(st.permutations(range(6)))
def test_the_order_of_the_bones_changes_nothing(order):
    levels = range_of("T12", "L5")
    anatomy = skeleton(levels, sacrum=True)
    mixed = dataclasses.replace(anatomy, bones=(*(anatomy.bones[i] for i in order), anatomy.bones[6]))
    assert summary(numbered(mixed), anatomy) == summary(numbered(anatomy), anatomy)


@settings(max_examples=6)
@given(st.sampled_from([("T9", "L5"), ("C3", "T4"), ("T11", "L3")]))
def test_a_mirror_image_of_left_and_right_changes_nothing(ends):
    levels = range_of(*ends)
    rng = np.random.default_rng(7)
    points = points_of(levels) + rng.normal(0, 1, (len(levels), 3))
    here, mirrored = skeleton(levels, points=points), skeleton(levels, points=points * [-1.0, 1.0, 1.0])
    assert summary(numbered(mirrored), mirrored) == summary(numbered(here), here)


@settings(max_examples=8)
@given(st.floats(0.86, 1.14))
def test_small_and_tall_people_have_the_same_levels(scale):
    levels = range_of("T9", "L5")
    anatomy = skeleton(levels, points=points_of(levels) * scale, ribs=True, sacrum=True)
    numbering = numbered(anatomy)
    assert levels_in(numbering, anatomy) == levels


@settings(max_examples=8)
@given(st.integers(0, 2**32 - 1))
def test_probabilities_are_probabilities(seed):
    rng = np.random.default_rng(seed)
    levels = range_of("T8", "L5")
    anatomy = skeleton(levels, points=points_of(levels) + rng.normal(0, 3, (10, 3)), sacrum=bool(seed % 2))
    numbering = numbered(anatomy)
    for vertebra in numbering.vertebrae:
        assert sum(p.probability for p in vertebra.possible) <= 1 + 1e-6
        assert list(vertebra.possible) == sorted(vertebra.possible, key=lambda p: -p.probability)
    assert sum(count.probability for count in numbering.counts) <= 1 + 1e-6


# --- bad input ------------------------------------------------------------------------------------


def test_nothing_gives_nothing():
    assert numbered().vertebrae == ()
    assert numbered().problems == ()
    empty = numbered(skeleton(()))
    assert empty.vertebrae == ()
    assert codes(empty) == {"no-spine"}


def test_one_vertebra_is_uncertain():
    anatomy = skeleton(("L3",))
    (vertebra,) = numbered(anatomy).vertebrae
    assert vertebra.certainty is Certainty.UNCERTAIN
    assert len(vertebra.possible) > 5


def test_a_vertebra_without_place_is_left_out():
    anatomy = skeleton(range_of("T9", "L5"), ribs=True, sacrum=True)
    lost = dataclasses.replace(anatomy.bones[2], centroid_mm=(math.nan, 0.0, 0.0))
    numbering = numbered(dataclasses.replace(anatomy, bones=(*anatomy.bones[:2], lost, *anatomy.bones[3:])))
    assert numbering.of("ct", lost.id) is None
    assert "vertebra-place" in codes(numbering)
    assert numbering.of("ct", "V4").level == "T12"


def test_noise_gets_no_levels():
    rng = np.random.default_rng(3)
    points = rng.uniform(-300, 300, (12, 3))
    points = points[np.argsort(-points[:, 2])]
    anatomy = skeleton(["T1"] * 12, points=points, confidence=0.5)
    numbering = numbered(anatomy)
    assert "no-spine" in codes(numbering)
    assert levels_in(numbering, anatomy) == (None,) * 12


@pytest.mark.parametrize("signs", [{}, {"ribs": True}, {"ribs": True, "sacrum": True}])
def test_an_upside_down_volume_gets_no_levels(signs):
    levels = range_of("T8", "L5")
    points = points_of(levels) * [1.0, 1.0, -1.0]
    anatomy = skeleton(levels, points=points, **signs)
    if "sacrum" in signs:
        x, y, z = skeleton(levels, sacrum=True).called("sacrum")[0].centroid_mm
        sacrum = dataclasses.replace(anatomy.called("sacrum")[0], centroid_mm=(x, y, -z))
        anatomy = dataclasses.replace(anatomy, bones=(*anatomy.vertebrae, sacrum))
    numbering = numbered(anatomy)
    assert codes(numbering) == {"upside-down"}
    assert levels_in(numbering, anatomy) == (None,) * 10


def test_an_upside_down_volume_does_not_disturb_another():
    levels = range_of("T8", "L5")
    wrong = skeleton(levels, points=points_of(levels) * [1.0, 1.0, -1.0], series="mr", frame=OTHER)
    ct = skeleton(levels, ribs=True, sacrum=True)
    numbering = numbered(wrong, ct)
    assert levels_in(numbering, ct) == levels
    assert levels_in(numbering, wrong) == (None,) * 10
    assert {"upside-down"} <= codes(numbering)
