"""``case.toml`` of a phantom patient is what the reader of ``case.toml`` reads."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from osteotrace.errors import DeclarationError
from osteotrace.model.case import PatientFacts, read_case
from osteotrace.model.patient import (
    Biopsy,
    DrugTherapy,
    EarlierReading,
    Pathology,
    Radiotherapy,
    Surgery,
    Symptom,
)
from osteotrace.phantom.storage import write_case

PATIENT = PatientFacts("PHANTOM-1", "M", 50.0)
EVENTS = (
    Symptom(None, -180, 'weakness of the left leg, "sudden"\nlow back pain'),
    EarlierReading(None, 0, "cord mass only", "MR", ("cord mass T12-L1",)),
    EarlierReading(None, 1, "nothing", "CT", ()),
    Surgery(dt.date(2024, 3, 9), None, "partial removal", "T12-L1"),
    Pathology(None, 8, "anaplastic astrocytoma: größer als \\ erwartet \x7f\t", "cord"),
    Radiotherapy(None, 20, "canal", ("T12", "L1"), 54.0),
    Radiotherapy(None, None, "hip", (), 8.5, 1),
    DrugTherapy(None, 30, "", ("carboplatin", "vincristine"), 2),
    Biopsy(None, 80, "needle", "T11", False),
    Biopsy(None, 90, "open", "ilium", True),
)


def test_everything_comes_back(tmp_path: Path) -> None:
    path = write_case(tmp_path / "new" / "case.toml", PATIENT, EVENTS)
    case = read_case(path)
    assert case.patient == PATIENT
    # the reader takes blanks off both ends of a text
    assert case.events == tuple(
        Pathology(None, 8, e.text.strip(), "cord") if isinstance(e, Pathology) else e for e in EVENTS
    )
    assert [p.name for p in path.parent.iterdir()] == ["case.toml"]


def test_a_date_is_enough(tmp_path: Path) -> None:
    event = Surgery(dt.date(2024, 3, 9), 8, "partial removal")
    (read,) = read_case(write_case(tmp_path / "case.toml", PatientFacts(), [event])).events
    assert (read.date, read.day) == (dt.date(2024, 3, 9), None)


def test_nothing_declared_is_an_empty_case(tmp_path: Path) -> None:
    case = read_case(write_case(tmp_path / "case.toml", PatientFacts(), []))
    assert (case.patient, case.events) == (PatientFacts(), ())


def test_an_event_that_says_nothing_is_refused_and_the_old_file_stays(tmp_path: Path) -> None:
    path = write_case(tmp_path / "case.toml", PATIENT, EVENTS)
    before = path.read_bytes()
    with pytest.raises(DeclarationError, match="the key text is missing"):
        write_case(path, PATIENT, [Symptom(None, 3, "")])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
