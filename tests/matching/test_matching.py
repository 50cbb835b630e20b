from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osteotrace.findings import measure
from osteotrace.lesions import lesions_of
from osteotrace.matching import Decisions, groups_of, link, link_lesions, match_criteria, tolerant_overlap
from osteotrace.matching.cost import Link
from osteotrace.matching.tracks import course_of
from osteotrace.model.alignment import route
from osteotrace.model.criteria import load_criteria
from osteotrace.model.imaging import Attribute, Exam, NuclearFacts, Region
from osteotrace.model.lesion import LesionTrack, NotCovered, NotSeen, Seen, Unassessable
from osteotrace.model.patient import Timeline
from osteotrace.model.values import Basis, Modality, Verdict
from osteotrace.space import RigidTransform
from scene import CT, FRAME_A, FRAME_B, PET, T1, Ball, alignments, images, series

CRITERIA = load_criteria()
RULES = match_criteria(CRITERIA)
HERE, THERE = Ball((0.0, 0.0, 0.0), 10.0), Ball((30.0, 10.0, -8.0), 8.0)


def tracks(
    *balls: Ball,
    regions: tuple[Region, ...],
    verdict: Verdict = Verdict.GOOD,
    error_mm: float = 4.0,
    decisions: Decisions | None = None,
) -> tuple[LesionTrack, ...]:
    patient = images(*balls, regions=regions)
    lesions, _ = lesions_of(patient)
    aligned = alignments(verdict, error_mm)
    found = measure(lesions, patient, aligned, CRITERIA)
    return link_lesions(lesions, found, patient.timeline, aligned, CRITERIA, decisions)


def states(track: LesionTrack) -> dict[str, str]:
    return {p.series_id: p.kind for p in track.presence}


def test_one_lesion_in_three_modalities_is_one_track() -> None:
    regions = tuple(b.region(s, n) for s in (CT, PET, T1) for n, b in enumerate((HERE, THERE), start=1))
    found = tracks(HERE, THERE, regions=regions)
    assert [len(t.lesion_ids) for t in found] == [3, 3]
    assert all(isinstance(p, Seen) and p.confidence > 0.9 for t in found for p in t.presence)
    assert found[0].course == "persistent"


def test_names_and_numbers_play_no_part() -> None:
    crossed = (
        HERE.region(CT, 1, "a"),
        THERE.region(CT, 2, "b"),
        THERE.region(T1, 1, "a"),
        HERE.region(T1, 2, "b"),
    )
    found = tracks(HERE, THERE, regions=crossed)
    assert {t.name for t in found} == {"a / b"}
    assert {t.lesion_ids for t in found} == {("E1-R1", "E2-R2"), ("E1-R2", "E2-R1")}


@pytest.mark.parametrize(("radius", "moves"), [(9.0, True), (5.0, False)])
def test_the_centre_of_a_lesion_that_grew_may_have_moved(radius: float, moves: bool) -> None:
    small, later = Ball((0.0, 0.0, 0.0), 5.0), Ball((3.5, 0.0, 0.0), radius)
    lesions, _ = lesions_of(images(small, later, regions=(small.region(CT, 1), later.region(T1, 1))))
    one, other = (next(x for x in lesions if x.series_id == name) for name in (CT, T1))
    way = route(alignments(Verdict.GOOD, 1.0), FRAME_A, FRAME_B)
    assert way is not None
    rigid = replace(RULES, growth_sd_fraction=0.0)
    at = way.at(one.centroid_mm)
    gain = link(one, other, at, rigid).cost - link(one, other, at, RULES).cost
    assert gain > 2.0 if moves else abs(gain) < 0.05


def test_an_outline_that_grew_to_one_side_still_overlaps() -> None:
    small, later = Ball((0.0, 0.0, 0.0), 5.0), Ball((3.3, 0.0, 0.0), 9.0)
    lesions, _ = lesions_of(images(small, later, regions=(small.region(CT, 1), later.region(T1, 1))))
    one, other = (next(x for x in lesions if x.series_id == name) for name in (CT, T1))
    way = route(alignments(Verdict.GOOD, 1.7), FRAME_A, FRAME_B)
    assert way is not None
    at = way.at(one.centroid_mm)
    alone = tolerant_overlap(one.mask, other.mask, at.motion, at.radius_mm)
    found = link(one, other, at, RULES)
    assert found.overlap > alone + 0.1
    assert found.cost < RULES.null_cost


def test_a_mass_in_its_edema_stays_two() -> None:
    mass, edema = Ball((0.0, 0.0, 0.0), 12.0), Ball((1.0, 0.0, 0.0), 18.0)
    regions = tuple(
        b.region(s, n, name)
        for s in (CT, T1)
        for n, (b, name) in enumerate(((mass, "mass"), (edema, "edema")), start=1)
    )
    assert sorted(t.name for t in tracks(mass, edema, regions=regions)) == ["edema", "mass"]


def test_the_mass_alone_meets_the_mass_not_the_edema() -> None:
    mass, edema = Ball((0.0, 0.0, 0.0), 12.0), Ball((1.0, 0.0, 0.0), 18.0)
    regions = (mass.region(T1, 1, "mass"), edema.region(T1, 2, "edema"), mass.region(CT, 1, "mass"))
    found = {t.name: t for t in tracks(mass, edema, regions=regions)}
    assert states(found["mass"])[CT] == "seen"
    assert states(found["edema"])[CT] == "not_seen"


def test_lesions_far_apart_are_not_matched() -> None:
    found = tracks(HERE, THERE, regions=(HERE.region(CT, 1), THERE.region(T1, 1)))
    assert len(found) == 2
    assert {type(p) for t in found for p in t.presence} == {Seen, NotSeen, Unassessable}


def test_nobody_outlined_is_not_negative() -> None:
    (track,) = tracks(HERE, regions=(HERE.region(CT, 1),))
    state = {p.series_id: p for p in track.presence}
    pet = state[PET]
    assert isinstance(pet, Unassessable)
    assert pet.reason == "nobody outlined lesions on this series"
    assert pet.finding_id == "E2-R1@E3-S1"


def test_outside_the_field_of_view_is_not_covered() -> None:
    far = Ball((0.0, 0.0, 76.0), 8.0)
    (track,) = tracks(far, regions=(far.region(PET, 1),))
    state = {p.series_id: p for p in track.presence}
    assert isinstance(state[CT], NotCovered)


def test_a_failed_alignment_never_matches() -> None:
    found = tracks(HERE, regions=(HERE.region(CT, 1), HERE.region(T1, 1)), verdict=Verdict.FAILED)
    assert len(found) == 2
    reasons = {p.reason for t in found for p in t.presence if isinstance(p, Unassessable)}
    assert "no usable alignment with the series it was outlined on" in reasons


def test_a_doubtful_alignment_is_said() -> None:
    regions = (HERE.region(CT, 1), HERE.region(T1, 1))
    (track,) = tracks(HERE, regions=regions, verdict=Verdict.DOUBTFUL)
    seen = [p for p in track.presence if isinstance(p, Seen)]
    assert {p.verdict for p in seen} == {Verdict.DOUBTFUL}


def test_a_person_overrules_both_ways() -> None:
    apart = (HERE.region(CT, 1), THERE.region(T1, 1))
    assert len(tracks(HERE, THERE, regions=apart, decisions=Decisions(same=(("E2-R1", "E1-R1"),)))) == 1
    together = (HERE.region(CT, 1), HERE.region(T1, 1))
    assert len(tracks(HERE, regions=together, decisions=Decisions(different=(("E2-R1", "E1-R1"),)))) == 2


def test_tracking_uid_is_kept_or_made_the_same_way_each_time() -> None:
    given_uid = (replace(HERE.region(CT, 1), tracking_uid="2.25.9"), HERE.region(T1, 1))
    assert tracks(HERE, regions=given_uid)[0].tracking_uid == "2.25.9"
    made = {tracks(HERE, regions=(HERE.region(CT, 1),))[0].tracking_uid for _ in range(2)}
    assert len(made) == 1
    assert made.pop().startswith("2.25.")


def test_resolved_and_new_need_the_same_modality() -> None:
    other = Ball((-30.0, 0.0, 0.0), 8.0)
    regions = (HERE.region(T1, 1), other.region(CT, 1))
    assert {t.course for t in tracks(HERE, other, regions=regions)} == {"single"}


@pytest.mark.parametrize(
    ("first", "second", "course"),
    [("FDG", "FDG", "new"), ("FDG", "NaF", "single"), (None, None, "single")],
)
def test_new_needs_the_same_tracer(first: str | None, second: str | None, course: str) -> None:
    def exam(name: str, day: int, tracer: str | None) -> Exam:
        basis = Basis.DECLARED if tracer else Basis.UNKNOWN
        one = replace(series(PET), id=name, facts=NuclearFacts(Attribute(tracer, basis)))
        return Exam(name, name, Modality.PT, None, day, (one,))

    timeline = Timeline(None, (exam("a", 0, first), exam("b", 60, second)))
    presence = (
        NotSeen("a", "a", "not this one", "f"),
        Seen("b", "b", "E2-R1", 0.0, 1.0, 0.0, 1.0, Verdict.GOOD),
    )
    assert course_of(presence, timeline) == course


def test_a_larger_error_forgives_more() -> None:
    near = Ball((7.0, 0.0, 0.0), 8.0)
    regions = (Ball((0.0, 0.0, 0.0), 8.0).region(CT, 1), near.region(T1, 1))
    assert len(tracks(near, regions=regions, error_mm=1.0)) == 2
    assert len(tracks(near, regions=regions, error_mm=14.0)) == 1


@given(st.permutations(range(4)), st.permutations(range(4)))
def test_the_order_of_outlines_does_not_matter(first: list[int], second: list[int]) -> None:
    balls = [Ball((x, y, 0.0), 6.0) for x in (-25.0, 15.0) for y in (-20.0, 22.0)]
    regions = [balls[i].region(CT, n, str(i)) for n, i in enumerate(first)]
    regions += [balls[i].region(PET, n, str(i)) for n, i in enumerate(second)]
    lesions, _ = lesions_of(images(regions=tuple(regions)))
    from osteotrace.matching import links_between

    links = links_between(lesions, alignments(), RULES)
    names = {x.id: x.name for x in lesions}
    assert len(links) == 4
    assert all(names[x.first] == names[x.second] for x in links)


@given(st.floats(0, 40), st.floats(0, 40))
def test_cost_grows_with_distance(near: float, far: float) -> None:
    near, far = sorted((near, far))
    lesions, _ = lesions_of(images(regions=(HERE.region(CT, 1), HERE.region(PET, 1))))
    way = route(alignments(), FRAME_A, FRAME_A)
    assert way is not None
    costs = []
    for distance in (near, far):
        moved = replace(lesions[1], centroid_mm=(distance, 0.0, 0.0))
        first = replace(lesions[0], centroid_mm=(0.0, 0.0, 0.0))
        costs.append(link(first, moved, way.at(first.centroid_mm), RULES).cost)
    assert costs[0] <= costs[1] + 1e-9


def test_overlap_of_a_mask_with_itself_is_whole() -> None:
    mask = HERE.mask(CT)
    assert tolerant_overlap(mask, mask, RigidTransform.identity(FRAME_A), 0.0) == pytest.approx(1.0)
    apart = np.eye(4)
    apart[:3, 3] = (200.0, 0.0, 0.0)
    assert tolerant_overlap(mask, mask, RigidTransform(apart, FRAME_A, FRAME_A), 2.0) == 0.0


def test_two_outlines_of_one_series_never_share_a_track() -> None:
    regions = (HERE.region(CT, 1), HERE.region(CT, 2), HERE.region(PET, 1))
    lesions, _ = lesions_of(images(HERE, regions=regions))
    chain = [
        Link("E2-R1", "E3-R1", 0.0, 1.0, 0.1, Verdict.GOOD),
        Link("E2-R2", "E3-R1", 0.0, 1.0, 0.2, Verdict.GOOD),
    ]
    assert groups_of(lesions, chain) == (("E2-R1", "E3-R1"), ("E2-R2",))


def test_the_way_between_frames_is_used() -> None:
    assert route(alignments(), FRAME_B, FRAME_A) is not None
    lesions, _ = lesions_of(images(regions=(HERE.region(CT, 1), HERE.region(T1, 1))))
    by_series = {x.series_id: x for x in lesions}
    way = route(alignments(), FRAME_A, FRAME_B)
    assert way is not None
    at = way.at(by_series[CT].centroid_mm)
    assert link(by_series[CT], by_series[T1], at, RULES).distance_mm < 1.0
