"""Exams in order of time, and the stations of one spine examination."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_images import ROOT, write_stack
from osteotrace.intake import read_study
from osteotrace.intake.timeline import build_timeline, stations
from osteotrace.model.criteria import load_criteria
from osteotrace.model.imaging import UNKNOWN, Attribute, MrFacts
from osteotrace.model.values import Basis
from osteotrace.space import Grid
from scene import CT, PET, T1, series

CRITERIA = load_criteria()
SAGITTAL = np.array([[0, 0, 4.0, 0], [1.0, 0, 0, 0], [0, -1.0, 0, 0], [0, 0, 0, 1]])


def dated(name, uid, when, study="1.2.8"):
    return replace(series(name), id=uid, datetime=when, study_instance_uid=study)


def test_exams_are_one_modality_one_study_one_day_in_order_of_time():
    morning, evening = datetime(2024, 3, 5, 8), datetime(2024, 3, 5, 18)
    timeline = build_timeline(
        [
            dated(CT, "a", evening),
            dated(CT, "b", morning),
            dated(PET, "c", datetime(2024, 3, 5, 9)),
            dated(CT, "d", datetime(2024, 4, 1), "1.2.99"),
            dated(CT, "e", morning, "1.2.99"),
            dated(T1, "f", None),
        ],
        CRITERIA,
    )
    told = [(e.id, e.name, e.day, [s.id for s in e.series]) for e in timeline.exams]
    assert told == [
        ("E1", "CT 2024-03-05", 0, ["b", "a"]),
        ("E2", "CT 2024-03-05", 0, ["e"]),
        ("E3", "PET 2024-03-05", 0, ["c"]),
        ("E4", "CT 2024-04-01", 27, ["d"]),
        ("E5", "MR, no date", None, ["f"]),
    ]
    assert timeline.day_zero == datetime(2024, 3, 5).date()


def test_nothing_dated_has_no_day_zero():
    timeline = build_timeline([dated(CT, "a", None)], CRITERIA)
    assert (timeline.day_zero, timeline.exams[0].day) == (None, None)


@given(st.permutations(range(6)))
def test_the_order_of_the_files_does_not_matter(order):
    made = [dated(CT, f"s{n}", datetime(2024, 3, 1 + n // 2, 8 + n)) for n in range(6)]
    assert build_timeline([made[n] for n in order], CRITERIA) == build_timeline(made, CRITERIA)


def station(uid, top, height=300.0, frame="1.2.3.9", facts=None):
    """A sagittal T2 series from ``top`` downwards, mm."""
    affine = SAGITTAL.copy()
    affine[2, 3] = top - 0.5
    known = Attribute("T2W", Basis.DECLARED, "")
    grid = Grid((100, int(height), 12), affine, frame)
    return replace(series(T1), id=uid, grid=grid, facts=facts or MrFacts(known, UNKNOWN, UNKNOWN))


def test_neighbouring_table_positions_are_stations_from_head_to_foot():
    assert stations([station("low", 40), station("high", 600), station("mid", 320)], CRITERIA) == (
        ("high", "mid", "low"),
    )


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (station("b", 560), "covers mostly the same"),
        (station("b", 270), "too far away"),
        (station("b", 320, frame="1.2.3.10"), "another frame of reference"),
        (
            station("b", 320, facts=MrFacts(Attribute("T1W", Basis.DECLARED, ""), UNKNOWN, UNKNOWN)),
            "another weighting",
        ),
        (
            station(
                "b",
                320,
                facts=MrFacts(
                    Attribute("T2W", Basis.DECLARED, ""), Attribute("yes", Basis.DECLARED, ""), UNKNOWN
                ),
            ),
            "fat suppression differs",
        ),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_other_series_are_no_stations(second, why):
    assert stations([station("a", 600), second], CRITERIA) == ()


def test_unknown_weighting_makes_no_stations():
    unknown = MrFacts(UNKNOWN, UNKNOWN, UNKNOWN)
    assert stations([station("a", 600, facts=unknown), station("b", 320, facts=unknown)], CRITERIA) == ()


def test_stations_of_dicom_files(tmp_path):
    sagittal = {
        "ImageOrientationPatient": [0, 1, 0, 0, 0, -1],
        "SeriesDescription": "t2_tse_sag",
        "PixelSpacing": [50, 50],
    }
    for number, top in ((1, 600), (2, 320)):
        places = [(4.0 * k, 0.0, float(top)) for k in range(4)]
        write_stack(tmp_path, "MR", series=number, positions=places, **sagittal)
    (exam,) = read_study(tmp_path).timeline.exams
    assert exam.stations == ((f"{ROOT}.2.1", f"{ROOT}.2.2"),)
