"""In which bone and at which level a lesion lies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anatomy.spine_cases import CRITERIA
from anatomy.test_adapters import block_spine, made
from osteotrace.anatomy import locate, locate_tracks, number
from osteotrace.anatomy.place import Reach, bone_at, covers, some_points
from osteotrace.model.alignment import Alignment
from osteotrace.model.anatomy import Certainty, Numbering, Outlined
from osteotrace.model.corrections import Corrections
from osteotrace.model.lesion import Finding, Lesion, LesionTrack, Origin
from osteotrace.model.site import UNASKED, BoneSite, NoSite
from osteotrace.model.values import Verdict
from osteotrace.space import Grid, Mask, RigidTransform

REACH = Reach.of(CRITERIA)
LABELS, GRID = block_spine()
CANAL = 200


def with_canal():
    """The block spine with a canal behind the bodies, cut out of them as on CT."""
    anatomy = made(LABELS, GRID)
    labels = anatomy.labels.copy()
    labels[21:27, 18:21] = CANAL
    canal = Outlined("spinal canal", CANAL, coarse=True)
    return replace(anatomy, labels=labels, structures=(*anatomy.structures, canal))


ANATOMY = with_canal()
NUMBERING = number([ANATOMY], (), Corrections(), CRITERIA)
BODY = {bone.declared_level: bone for bone in ANATOMY.vertebrae}


def ball(center, radius=6.0, grid=GRID):
    points = grid.points(np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1))
    return Mask.from_array(np.linalg.norm(points - np.asarray(center), axis=-1) <= radius, grid)


def lesion(mask, series="ct", number=1, exam="E1"):
    x, y, z = (float(v) for v in mask.centroid)
    origin = Origin("imported", "1.5", "SEG", number)
    return Lesion(f"{exam}-R{number}", "", exam, series, mask, (x, y, z), 1.0, 10.0, origin)


def finding(one, mask, series, exam, error=8.0):
    return Finding(f"{one.id}@{series}", one.id, exam, series, "mapped", 1.0, error, mask, ())


def site_of(*lesions, anatomies=(ANATOMY,), alignments=(), numbering=NUMBERING, findings=()):
    return locate(lesions, findings, anatomies, alignments, numbering, CRITERIA)


# --- one volume -----------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["T12", "L2", "L5"])
def test_a_lesion_in_a_body_has_its_bone_level_and_part(level):
    (one,), _ = site_of(lesion(ball(BODY[level].centroid_mm)))
    assert one.site.bone == f"vertebra {level}"
    assert one.site.level == level
    assert one.site.part == "body"
    assert one.site.share == 1.0
    assert str(one.site) == f"{level}, body ({one.site.certainty})"
    assert one.site.code.scheme == "SCT"


def test_behind_the_front_of_the_canal_are_the_posterior_elements():
    x, y, z = BODY["L2"].centroid_mm
    (one,), _ = site_of(lesion(ball((x, y + 36.0, z), 4.0)))
    assert (one.site.level, one.site.part) == ("L2", "posterior elements")


def test_a_lesion_in_the_canal_is_in_no_bone():
    x, _, z = BODY["L2"].centroid_mm
    (one,), _ = site_of(lesion(ball((x, 57.0, z), 4.0)))
    assert one.site.part == "spinal canal"
    assert str(one.site).startswith("spinal canal at L2 (")


def test_beside_a_bone_the_nearest_is_named_with_its_distance():
    x, y, z = BODY["L2"].centroid_mm
    edge = x + 7 * 3.0
    (one,), _ = site_of(lesion(ball((edge + 13.0, y, z), 4.0)))
    assert one.site.level == "L2"
    assert one.site.distance_mm == pytest.approx(10.0, abs=3.1)
    assert one.site.is_near
    assert str(one.site).startswith("near L2, body (")


def test_far_from_all_bones_there_is_none():
    x, y, z = BODY["L2"].centroid_mm
    (one,), _ = site_of(lesion(ball((x + 60.0, y, z), 4.0)))
    assert one.site == NoSite("no bone that was found lies within 15 mm")


def test_between_two_bodies_both_levels_are_named():
    between = np.mean([BODY["L2"].centroid_mm, BODY["L3"].centroid_mm], axis=0)
    (one,), _ = site_of(lesion(ball(between, 3.2)))
    assert one.site.certainty is Certainty.UNCERTAIN
    assert {p.level for p in one.site.possible} == {"L2", "L3"}
    assert "(uncertain)" in str(one.site)
    assert " or " in str(one.site)


def test_a_lesion_that_reaches_into_the_next_vertebra_says_so():
    between = np.mean([BODY["L2"].centroid_mm, BODY["L3"].centroid_mm], axis=0) + np.array([0.0, 0.0, 4.0])
    (one,), _ = site_of(lesion(ball(between, 20.0)))
    assert one.site.level == "L2"
    assert one.site.also == ("L3",)


def test_other_bones_have_name_and_side():
    i, j, k = np.argwhere(ANATOMY.labels == next(b.label for b in ANATOMY.bones if "rib left 12" in b.name))[
        0
    ]
    (one,), _ = site_of(lesion(ball(GRID.points((i + 3, j + 1, k + 1)), 4.0)))
    assert one.site.bone == "rib left 12"
    assert one.site.laterality.meaning == "Left"
    assert (one.site.level, one.site.certainty) == (None, None)
    assert str(one.site) == "rib left 12"


def test_a_vertebra_without_level_is_told_as_such():
    (one,), _ = site_of(lesion(ball(BODY["L2"].centroid_mm)), numbering=Numbering(()))
    assert one.site.bone == "vertebra"
    assert one.site.certainty is Certainty.UNCERTAIN
    assert str(one.site) == "vertebra of unknown level, body"


def test_without_a_skeleton_nothing_is_said():
    (one,), _ = site_of(lesion(ball(BODY["L2"].centroid_mm)), anatomies=())
    assert one.site == UNASKED
    empty = replace(ANATOMY, bones=(), structures=())
    (two,), _ = site_of(lesion(ball(BODY["L2"].centroid_mm)), anatomies=(empty,))
    assert two.site == NoSite("no bone was found in any exam")


@given(st.floats(-9, 9), st.floats(-9, 9), st.floats(-8, 8), st.sampled_from(sorted(BODY)))
def test_any_point_inside_a_body_is_in_that_body(dx, dy, dz, level):
    point = np.array(BODY[level].centroid_mm) + np.array([dx, dy, dz])
    hit = bone_at(point[None], ANATOMY, 0.0, REACH)
    assert hit is not None
    assert hit.bone.declared_level == level
    assert (hit.share, hit.distance_mm, hit.rivals) == (1.0, 0.0, ())


def test_a_large_lesion_is_thinned_and_stays_where_it_is():
    large = ball(GRID.center, 60.0)
    points = some_points(large)
    assert len(points) == 4000 < large.n_voxels
    assert np.array_equal(points, some_points(large))
    assert np.allclose(points.mean(axis=0), large.centroid, atol=2.0)
    small = ball(GRID.center, 6.0)
    assert np.allclose(some_points(small), small.points)


def test_a_place_outside_the_labels_is_not_covered():
    assert not covers(ANATOMY, np.array([[0.0, 0.0, 9999.0]]))
    assert bone_at(np.array([[0.0, 0.0, 9999.0]]), ANATOMY, 0.0, REACH) is None


# --- several volumes ------------------------------------------------------------------------------

SHIFT = np.array([30.0, -20.0, 55.0])
OTHER = Grid(GRID.shape, GRID.affine + np.pad(SHIFT[:, None], ((0, 1), (3, 0))), "9.9")
MOTION = RigidTransform(np.block([[np.eye(3), SHIFT[:, None]], [np.zeros(3), 1.0]]), "1.2.3", "9.9")


def aligned(error_mm=4.0, verdict=Verdict.GOOD):
    return (Alignment(MOTION, "rigid", "ct", "mr", 1.0, 0.9, error_mm, verdict),)


def moved(level):
    return np.array(BODY[level].centroid_mm) + SHIFT


def test_an_exam_without_skeleton_takes_the_level_through_the_alignment():
    (one,), _ = site_of(lesion(ball(moved("L3"), grid=OTHER), "mr"), alignments=aligned())
    assert (one.site.level, one.site.series_id, one.site.error_mm) == ("L3", "ct", 4.0)


def test_a_failed_alignment_tells_nothing():
    (one,), _ = site_of(lesion(ball(moved("L3"), grid=OTHER), "mr"), alignments=aligned(None, Verdict.FAILED))
    assert one.site == NoSite("no exam with a skeleton shows this place")


def test_an_error_as_large_as_the_way_to_the_next_body_makes_the_level_uncertain():
    low = moved("L3") - np.array([0.0, 0.0, 11.0])
    (sure,), _ = site_of(lesion(ball(low, 4.0, OTHER), "mr"), alignments=aligned(4.0))
    (unsure,), _ = site_of(lesion(ball(low, 4.0, OTHER), "mr"), alignments=aligned(25.0))
    assert sure.site.name == "L3"
    assert unsure.site.certainty is Certainty.UNCERTAIN
    assert unsure.site.possible[0].level == "L3"
    assert "L4" in {p.level for p in unsure.site.possible}
    assert sum(p.probability for p in unsure.site.possible) <= 1.0 + 1e-9
    assert any(reason.startswith("may lie in L4") for reason in unsure.site.reasons)


def test_the_skeleton_of_the_very_series_is_asked_first():
    own = replace(ANATOMY, series_id="mr", grid=OTHER)
    one = lesion(ball(moved("L3"), grid=OTHER), "mr")
    numbering = number([ANATOMY, own], aligned(), Corrections(), CRITERIA)
    (placed,), _ = site_of(one, anatomies=(ANATOMY, own), alignments=aligned(), numbering=numbering)
    assert (placed.site.series_id, placed.site.error_mm) == ("mr", 0.0)


def test_a_finding_is_placed_by_the_skeleton_of_its_own_exam():
    one = lesion(ball(moved("L3"), grid=OTHER), "mr")
    carried = finding(one, ball(BODY["L2"].centroid_mm), "pet", "E2")
    far = finding(one, ball(moved("L3"), grid=OTHER), "mr2", "E1")
    (_,), (first, second) = site_of(one, alignments=aligned(), findings=(carried, far))
    assert (first.site.level, first.site.error_mm) == ("L2", 8.0)
    assert second.site.level == "L3"  # no skeleton in its frame: that of the lesion


def track(*members):
    return LesionTrack("L1", "2.25.1", "", tuple(m.id for m in members), (), "single")


def tracked(members, findings=()):
    (one,) = locate_tracks([track(*members)], members, findings, CRITERIA)
    return one


def test_a_track_takes_the_level_on_which_the_exams_agree():
    members, _ = site_of(lesion(ball(BODY["L2"].centroid_mm)), lesion(ball(BODY["L2"].centroid_mm), number=2))
    one = tracked(members)
    assert (one.site.level, one.site_disagreements) == ("L2", ())


def test_outlines_in_two_bones_make_the_level_uncertain_and_are_recorded():
    members, _ = site_of(
        lesion(ball(BODY["L2"].centroid_mm)),
        lesion(ball(BODY["L2"].centroid_mm), number=2),
        lesion(ball(BODY["L3"].centroid_mm), number=3, exam="E4"),
    )
    one = tracked(members)
    assert one.site.bone == "vertebra L2"
    assert one.site.certainty is Certainty.UNCERTAIN
    assert [p.level for p in one.site.possible] == ["L2", "L3"]
    assert str(one.site) == "L2 or L3, body (uncertain)"
    (told,) = one.site_disagreements
    assert told.startswith("E4: L3, body (")


def test_a_sure_level_stands_against_uncertain_ones_of_more_exams():
    members, _ = site_of(
        lesion(ball(BODY["L2"].centroid_mm)),
        lesion(ball(BODY["L3"].centroid_mm), number=2, exam="E4"),
        lesion(ball(BODY["L3"].centroid_mm), number=3, exam="E5"),
    )
    sure, *others = members
    assert sure.site.certainty is not Certainty.UNCERTAIN
    unsure = [replace(m, site=replace(m.site, certainty=Certainty.UNCERTAIN)) for m in others]
    one = tracked([sure, *unsure])
    assert one.site == sure.site
    assert len(one.site_disagreements) == 2


def test_an_exam_that_only_measured_may_disagree_without_doubt():
    (member,), _ = site_of(lesion(ball(BODY["L2"].centroid_mm)))
    carried = finding(member, ball(BODY["L3"].centroid_mm), "pet", "E2", 1.0)
    _, placed = site_of(member, findings=(carried,))
    one = tracked([member], placed)
    assert one.site == member.site
    (told,) = one.site_disagreements
    assert told.startswith("E2: L3, body (")


def test_an_uncertain_exam_that_holds_the_level_possible_does_not_disagree():
    low = np.array(BODY["L2"].centroid_mm) - np.array([0.0, 0.0, 11.0])
    (member,), _ = site_of(lesion(ball(BODY["L2"].centroid_mm)))
    carried = [finding(member, ball(low, 4.0), name, "E2", 30.0) for name in ("pet", "mr2")]
    _, placed = site_of(member, findings=carried)
    assert {f.site.certainty for f in placed} == {Certainty.UNCERTAIN}
    unlevelled = replace(placed[0], site=replace(placed[0].site, bone="vertebra", possible=()))
    shifted = [replace(f, site=replace(f.site, bone="vertebra L3")) for f in placed]  # L3 or L2
    one = tracked([member], [*shifted, unlevelled])
    assert one.site == member.site
    assert one.site_disagreements == ()


def test_the_same_word_of_one_exam_is_told_once():
    (member,), _ = site_of(lesion(ball(BODY["L2"].centroid_mm)))
    carried = [
        finding(member, ball(BODY["L4"].centroid_mm), name, "E2", 1.0 + n / 10) for n, name in enumerate("ab")
    ]
    _, placed = site_of(member, findings=carried)
    (told,) = tracked([member], placed).site_disagreements
    assert told.startswith("E2: L4, body (")


def test_another_bone_is_a_disagreement():
    (member,), _ = site_of(lesion(ball(BODY["L2"].centroid_mm)))
    rib = replace(member.site, bone="rib left 12", possible=(), certainty=None, error_mm=2.0, part="")
    carried = replace(finding(member, member.mask, "pet", "E2"), site=rib)
    assert tracked([member], [carried]).site_disagreements == ("E2: rib left 12",)


def test_a_track_in_no_bone_says_why():
    x, y, z = BODY["L2"].centroid_mm
    members, _ = site_of(lesion(ball((x + 60.0, y, z), 4.0)))
    assert isinstance(tracked(members).site, NoSite)
    assert str(tracked(members).site) == "no bone: no bone that was found lies within 15 mm"
    assert not isinstance(members[0].site, BoneSite)
