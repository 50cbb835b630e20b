from __future__ import annotations

from dataclasses import replace

import pytest

from osteotrace.outputs.words import (
    day_word,
    exam_label,
    joined,
    number_word,
    presence_word,
    shown_finding,
    track_label,
    unit_word,
)
from outputs.factory import Case


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00"), (7.523, "7.52"), (-86.04, "-86.0"), (579.4, "579"), (12345.6, "12346"),
        (0.0123, "0.0123"), (0.35, "0.35"), (2.5e7, "2.50e+07"), (1e-5, "1.00e-05"), (99.96, "100.0"),
    ],
)  # fmt: skip
def test_numbers(value: float, text: str) -> None:
    assert number_word(value) == text


@pytest.mark.parametrize(
    ("ucum", "text"),
    [("[hnsf'U]", "HU"), ("g/ml{SUVbw}", "g/mL"), ("1", ""), ("mm", "mm"), ("um2/s", "µm²/s")],
)
def test_units(ucum: str, text: str) -> None:
    assert unit_word(ucum) == text


def test_lists() -> None:
    assert joined(["a"]) == "a"
    assert joined(["a", "b"]) == "a and b"
    assert joined(["a", "b", "c"]) == "a, b and c"


def test_days_and_exams(case: Case) -> None:
    assert (day_word(0), day_word(None)) == ("day 0", "undated")
    exams = case.workup.timeline.exams
    assert exam_label(exams[1]) == "CT 2000-11-10 · day 68"
    assert exam_label(exams[5]) == "CT undated"


def test_presence_and_tracks(case: Case) -> None:
    track = case.workup.tracks[1]
    assert track_label(track) == "L2 'GTV_Edema <b>'"
    assert {presence_word(p) for p in track.presence} == {
        "seen",
        "not seen",
        "not covered",
        "cannot be assessed",
    }


def test_the_drawn_finding_goes_before_mapped_ones(case: Case) -> None:
    track = case.workup.tracks[1]
    regions = {
        f.series_id: shown_finding(case.workup, track, f.series_id) for f in case.workup.findings_of(track)
    }
    assert sorted(f.region for f in regions.values() if f) == ["drawn", "mapped", "mapped", "mapped"]
    assert shown_finding(case.workup, track, "nowhere") is None


def test_drawn_goes_first_even_when_a_mapped_place_has_no_error(case: Case) -> None:
    drawn = next(f for f in case.workup.findings if f.lesion_id == "E2-R11")
    mapped = replace(drawn, id="x", lesion_id="E3-R10", region="mapped", error_mm=0.0)
    workup = replace(case.workup, findings=(mapped, drawn))
    assert shown_finding(workup, case.workup.tracks[0], drawn.series_id) is drawn
