"""Where lesions sit, what is shown of them, how they change; the index case and its counterfactuals."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from osteotrace.errors import DeclarationError
from osteotrace.phantom.index_case import COUNTERFACTUALS, index_case, specification
from osteotrace.phantom.lesions import (
    MIMIC_KINDS,
    Day,
    Lesion,
    effective,
    inside_points,
    mimic,
    mixed,
    seat,
    tissue,
)
from osteotrace.phantom.random_case import random_case
from osteotrace.phantom.scanner.mr_signal import total
from osteotrace.phantom.sessions import CT, T1, chosen, index_sessions
from osteotrace.phantom.shapes import blob, capsule, union
from osteotrace.phantom.truth import longest_mm
from phantom_stick import MARROW, MUSCLE, stick_body

BODY = stick_body()
RNG = np.random.default_rng


@cache
def patient(seed: int):
    return random_case(BODY, seed)


def components(points: np.ndarray, step: float) -> int:
    from scipy import ndimage

    index = np.round((points - points.min(axis=0)) / step).astype(int)
    image = np.zeros(index.max(axis=0) + 1, dtype=bool)
    image[tuple(index.T)] = True
    return int(ndimage.label(image)[1])


# --- shapes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("radius", [2.0, 5.0, 14.0])
def test_a_smooth_blob_is_a_ball_with_true_distances(radius: float) -> None:
    shape = blob(np.array([3.0, -2.0, 7.0]), (radius,) * 3, 0.0, RNG(0))
    assert len(inside_points(shape)) * shape.step**3 == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.04)
    away = RNG(1).normal(size=(200, 3))
    away /= np.linalg.norm(away, axis=1)[:, None]
    for off in (-1.0, 0.0, 1.5, 6.0):
        found = shape.at(np.array([3.0, -2.0, 7.0]) + away * (radius + off))
        assert np.abs(found - off).mean() < 0.35


def test_growth_is_a_true_distance() -> None:
    shape = blob(np.zeros(3), (6.0,) * 3, 0.0, RNG(0))
    larger = replace_growth(shape, 3.0)
    assert longest_mm(larger) == pytest.approx(18.0, abs=1.0)


def replace_growth(shape, growth: float):
    lesion = Lesion(
        "X", "metastasis", "osteoblastic", "mass", "vertebrae_L3", shape, None, (Day(0, growth, MARROW),)
    )
    return effective(lesion.insert(0), BODY)


def test_a_rough_blob_is_irregular_and_one_piece() -> None:
    shape = blob(np.zeros(3), (9.0, 9.0, 9.0), 0.15, RNG(4))
    points = inside_points(shape)
    radii = np.linalg.norm(points, axis=1)
    assert radii.max() > 9.6
    assert components(points, shape.step) == 1


def test_a_capsule_and_a_union() -> None:
    rod = capsule(np.zeros(3), np.array([0.0, 0.0, 20.0]), 1.5)
    assert longest_mm(rod) == pytest.approx(23.0, abs=0.8)
    pair = union([blob(np.array([x, 0.0, 0.0]), (3.0,) * 3, 0.0, RNG(0)) for x in (0.0, 10.0)], 0.5)
    assert components(inside_points(pair), 0.5) == 2


# --- places -----------------------------------------------------------------------------------------


def depths(place: str, radius: float = 5.0) -> np.ndarray:
    bone = BODY.bone("L3")
    shape = blob(seat(bone, place, radius, RNG(2)), (radius,) * 3, 0.0, RNG(3))
    lesion = Lesion("X", "metastasis", "osteoblastic", place, bone.name, shape, None, (Day(0, 0.0, MARROW),))
    return -bone.part.shape.at(inside_points(effective(lesion.insert(0), BODY)))


def test_intramedullary_lesions_leave_the_cortex_alone() -> None:
    assert depths("intramedullary").min() >= 1.2


def test_subcortical_lesions_touch_the_cortex_from_inside() -> None:
    assert 0.9 <= depths("subcortical").min() <= 2.0


def test_transcortical_lesions_take_the_cortex_but_stay_in_the_bone() -> None:
    found = depths("transcortical")
    assert found.min() >= -0.01
    assert (found < 1.0).any()


def test_a_mass_leaves_the_bone() -> None:
    found = depths("mass", 9.0)
    assert found.min() < -3.0
    assert found.max() > 3.0


@pytest.mark.parametrize("kind", MIMIC_KINDS)
def test_mimics_are_in_their_bone(kind: str) -> None:
    made = mimic(kind, BODY, BODY.bone("L4"), RNG(5), "N01")
    assert made.nature == "mimic"
    points = inside_points(effective(made.insert(0), BODY))
    assert len(points) > 20
    assert (BODY.bone("L4").part.shape.at(points) < 0.5).all()


# --- time and material ------------------------------------------------------------------------------


def test_a_lesion_before_between_and_after_its_days() -> None:
    shape = blob(np.zeros(3), (4.0,) * 3, 0.0, RNG(0))
    days = (Day(0, 0.0, MARROW, present=False), Day(30, 0.0, MARROW), Day(60, 2.0, MARROW))
    lesion = Lesion("X", "metastasis", "osteoblastic", "mass", "vertebrae_L3", shape, None, days)
    assert lesion.insert(-5) is None
    assert lesion.insert(29) is None
    assert lesion.insert(45).growth_mm == 0.0
    assert lesion.insert(61).growth_mm == 2.0


def test_mixing_goes_from_one_material_to_the_other() -> None:
    tumour = tissue("tumour")
    assert mixed(MARROW, tumour, 0.0).hu == MARROW.hu
    assert mixed(MARROW, tumour, 1.0).t2_ms == tumour.t2_ms
    assert MARROW.fat > mixed(MARROW, tumour, 0.5).fat > tumour.fat


# --- cases ------------------------------------------------------------------------------------------


def test_the_index_case_is_as_published() -> None:
    plan = index_case(BODY, 11)
    by_id = {lesion.id: lesion for lesion in plan.lesions}
    assert [s.day for s in plan.sessions] == [0, 68, 69, 70, 71, 90]
    mass = effective(by_id["M01"].insert(0), BODY)
    assert longest_mm(mass) == pytest.approx(20, abs=2)  # P01
    assert longest_mm(effective(by_id["M01"].insert(68), BODY)) < longest_mm(mass) - 2  # P10
    first = [x for x in plan.lesions if x.nature == "metastasis" and x.insert(0)]
    later = [x for x in plan.lesions if x.nature == "metastasis" and x.insert(68)]
    assert len(later) > len(first) >= 6
    assert all(x.on(68).growth_mm > x.on(0).growth_mm for x in first)  # P11
    assert {x.carrier.split("_")[0] for x in later} >= {"vertebrae", "sacrum", "rib", "hip"}  # P16
    assert all(x.on(69).material.hu >= 300 for x in later)  # P15
    assert plan.wanted_suv_max == (("B01", 2.19),)  # P18
    assert by_id["P01"].insert(90)
    assert not by_id["P01"].insert(71)
    assert len([x for x in plan.lesions if x.nature == "mimic"]) >= 3


@pytest.mark.parametrize("name", COUNTERFACTUALS)
def test_every_counterfactual_changes_the_plan(name: str) -> None:
    assert specification(name) != specification()


def test_counterfactuals_say_what_they_are_named_for() -> None:
    def lesion(name: str, which: str) -> Lesion:
        return next(x for x in index_case(BODY, 11, name).lesions if x.id == which)

    assert index_case(BODY, 11, "t11-cold").wanted_suv_max == ()
    assert lesion("one-lytic", "B07").on(69).material.hu < 60
    assert lesion("ilium-dense", "B17").on(69).material.hu >= 900
    assert all(
        x.insert(0) is None for x in index_case(BODY, 11, "day0-no-bone").lesions if x.nature == "metastasis"
    )
    assert all(
        x.on(70).material.bone_tracer >= 2.5
        for x in index_case(BODY, 11, "scan-all-positive").lesions
        if x.nature == "metastasis"
    )
    named = next(e for e in index_case(BODY, 11, "reading-names-bone").events if e.kind == "reading")
    assert any("bone" in text for text in named.lesions)
    therapy = next(e for e in index_case(BODY, 11, "radiotherapy-l3-l5").events if e.kind == "radiotherapy")
    assert therapy.levels == ("L3", "L4", "L5")
    follow_up = index_case(BODY, 11, "day68-fat-suppressed").sessions[1].series
    assert {s.protocol.fat_suppression for s in follow_up} == {"FATSAT", "none"}


def test_an_unknown_counterfactual_or_exam_is_named() -> None:
    with pytest.raises(DeclarationError, match=r"no such counterfactual: nonsense.*t11-cold"):
        specification("nonsense")
    with pytest.raises(DeclarationError, match=r"no such exam: ct1.*mr0, mr68"):
        chosen(index_sessions(), ["ct1"])


def test_random_patients_differ_and_repeat() -> None:
    first, again, other = patient(4), random_case(BODY, 4), patient(5)
    assert [x.id for x in first.lesions] == [x.id for x in again.lesions]
    assert all(
        np.array_equal(a.shape.values, b.shape.values)
        for a, b in zip(first.lesions, again.lesions, strict=True)
    )
    assert [(x.carrier, x.kind) for x in first.lesions] != [(x.carrier, x.kind) for x in other.lesions]


def test_random_patients_show_all_that_is_to_be_tried() -> None:
    plans = [patient(seed) for seed in range(12)]
    lesions = [x for plan in plans for x in plan.lesions if x.nature == "metastasis"]
    assert {x.kind for x in lesions} == {"osteoblastic", "osteolytic", "mixed", "marrow-only"}
    assert {x.place for x in lesions} == {"intramedullary", "subcortical", "transcortical", "mass"}
    events = " ".join(e for x in lesions for e in x.events)
    for word in ("grows", "shrinks", "appears", "vanishes", "merges", "splits", "turns sclerotic"):
        assert word in events
    assert all(len([x for x in plan.lesions if x.nature == "mimic"]) >= 3 for plan in plans)
    sizes = [longest_mm(effective(x.insert(0), BODY)) for x in lesions if x.insert(0)]
    assert min(sizes) < 6
    assert max(sizes) > 30


def test_no_contrast_separates_lesions_from_marrow() -> None:
    """Contrast-to-noise on T1 and on CT is drawn from a continuous range, a fifth of it below 2."""
    noise = T1.noise * total(MUSCLE, T1)
    lesions = [x for seed in range(12) for x in patient(seed).lesions if x.nature == "metastasis"]
    materials = [(x.days[0].material, BODY.bone(x.carrier).part.fill) for x in lesions]
    on_t1 = np.array([abs(total(a, T1) - total(b, T1)) / noise for a, b in materials])
    on_ct = np.array([abs(a.hu - b.hu) / CT.noise_hu for a, b in materials])
    for found in (on_t1, on_ct):
        assert np.mean(found < 2) >= 0.2
        assert found.max() > 10
        assert np.diff(np.log10(np.sort(found[found > 0.3]))).max() < 0.35  # no gap to put a threshold into


def test_merging_lesions_meet_and_splitting_ones_part() -> None:
    merged = parted = 0
    for seed in range(12):
        plan = patient(seed)
        late = max(s.day for s in plan.sessions)
        pair = [x for x in plan.lesions if any("merges" in e for e in x.events)]
        if pair:
            early, both = (
                np.concatenate([inside_points(effective(x.insert(day), BODY)) for x in pair])
                for day in (0, late)
            )
            merged += components(early, 1.0) > 1 >= components(both, 1.0)
        for lesion in plan.lesions:
            if "splits" in lesion.events:
                points = inside_points(effective(lesion.insert(late), BODY))
                parted += components(points, lesion.shape.step) == 2
    assert merged >= 2
    assert parted >= 2


def test_a_day_is_kept_when_replaced() -> None:
    day = Day(3, 1.0, MARROW)
    assert replace(day, present=False).day == 3
