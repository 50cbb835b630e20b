from __future__ import annotations

import dataclasses
import datetime as dt
import gzip
import re
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from osteotrace.model.imaging import Attribute
from osteotrace.model.lesion import Origin
from osteotrace.model.patient import Patient
from osteotrace.model.problem import Problem
from osteotrace.model.values import Basis, Severity
from osteotrace.model.workup_json import workup_from_json
from osteotrace.outputs import deidentify
from osteotrace.outputs.deidentify import deidentify_images, images_of
from osteotrace.outputs.scrub import Scrubber, pseudo_uid
from outputs.factory import FRAME_CT, PATIENT_ID, ROOT, Case


def secrets(case: Case) -> list[str]:
    """Everything that must not be found in the folder."""
    exams = case.workup.timeline.exams
    moments = {e.datetime.date() for e in exams if e.datetime} | {
        e.date for e in case.workup.timeline.events if e.date
    }
    dates = [f"{day:{form}}" for day in moments for form in ("%Y%m%d", "%Y-%m-%d", "%d.%m.%Y", "%Y/%m/%d")]
    descriptions = [s.description for e in exams for s in e.series]
    names = [x.name for x in (*case.workup.tracks, *case.workup.lesions)]
    return [
        PATIENT_ID,
        "4711",
        "Doe",
        "Jolanthe",
        ROOT,
        "Partial removal",
        "10:15",
        *dates,
        *descriptions,
        *names,
    ]


def bytes_of(path: Path) -> bytes:
    """What a reader of a file can see: compressed bytes hold any three letters by chance."""
    if path.suffix == ".gz":
        return path.read_bytes()[:60] + gzip.decompress(path.read_bytes())
    if path.suffix == ".png":
        with Image.open(path) as image:
            return repr(image.info).encode()
    if path.suffix == ".parquet":
        with duckdb.connect(":memory:") as connection:
            return repr(connection.execute("SELECT * FROM read_parquet(?)", [str(path)]).fetchall()).encode()
    return re.sub(rb"base64,[A-Za-z0-9+/=]+", b"", path.read_bytes())


def test_nothing_tells_who_the_patient_is(case: Case, written_anonymous: Path) -> None:
    files = [p for p in written_anonymous.rglob("*") if p.is_file()]
    assert len(files) > 12
    for secret in secrets(case):
        for path in files:
            assert secret.encode() not in bytes_of(path), f"{secret!r} in {path.name}"
            assert secret not in str(path.relative_to(written_anonymous))


def test_the_plain_result_does_hold_them(case: Case, written: Path) -> None:
    """The test above can fail: most secrets are in the files that were not de-identified."""
    text = b"".join(bytes_of(p) for p in written.rglob("*") if p.is_file())
    for secret in (PATIENT_ID, "Jolanthe", ROOT, "2000-09-03", "Partial removal", "GTV_Mass"):
        assert secret.encode() in text


def test_it_is_still_the_same_result(case: Case, written_anonymous: Path) -> None:
    back = workup_from_json(
        (written_anonymous / "workup.json").read_text(encoding="utf-8"), written_anonymous
    )
    plain = case.workup
    assert [e.name for e in back.timeline.exams] == [
        "MR day 0", "CT day 68", "PT day 68", "NM day 70", "MR day 140", "CT undated",
    ]  # fmt: skip
    assert [e.day for e in back.timeline.exams] == [e.day for e in plain.timeline.exams]
    assert [e.day for e in back.timeline.events] == [8, 20, None]
    assert [[type(p) for p in t.presence] for t in back.tracks] == [
        [type(p) for p in t.presence] for t in plain.tracks
    ]
    assert [v for f in back.findings for v in f.values] == [v for f in plain.findings for v in f.values]
    assert (back.patient.patient_id, back.patient.name, back.patient.sex) == ("anonymous", "", "F")
    series = back.timeline.exams[0].series[0]
    assert (series.manufacturer, series.model_name, series.name) == ("GE MEDICAL SYSTEMS", "Discovery", "T1")
    assert [x.name for x in back.tracks] == ["outline 1", "outline 2"]


def test_references_still_meet(case: Case) -> None:
    workup = deidentify(case.workup)
    series = {s.id: s for e in workup.timeline.exams for s in e.series}
    frames = {s.grid.frame_of_reference_uid for s in series.values() if s.grid}
    for lesion in workup.lesions:
        grid = series[lesion.series_id].grid
        assert grid is not None
        assert lesion.mask.grid.frame_of_reference_uid == grid.frame_of_reference_uid
    for alignment in workup.alignments:
        assert {*alignment.frames} <= frames
        assert {alignment.fixed_series, alignment.moving_series} <= set(series)
    assert all(p.series_id in series for t in workup.tracks for p in t.presence)
    ids = {v.id for f in workup.findings for v in f.values}
    assert all(i in ids for f in workup.findings for d in f.descriptors for i in d.measurement_ids)
    assert set(workup.provenance.series_instance_uids) == {s.series_instance_uid for s in series.values()}
    assert all(re.fullmatch(r"2\.25\.\d{30,39}", uid) for uid in (*series, *frames))
    assert workup.problems[0].where in series


def test_a_mask_that_two_records_share_stays_one(case: Case) -> None:
    workup = deidentify(case.workup)
    assert workup.findings[0].mask is workup.lesions[0].mask


def test_the_input_is_not_changed(case: Case) -> None:
    before = repr(case.workup)
    deidentify(case.workup)
    assert repr(case.workup) == before


@pytest.mark.parametrize(
    ("age", "told"), [(None, None), (59.7, 59.0), (89.9, 89.0), (90.0, 90.0), (93.0, 90.0)]
)
def test_old_ages_are_one_group(case: Case, age: float | None, told: float | None) -> None:
    workup = dataclasses.replace(case.workup, patient=Patient("x", "", "M", age))
    assert deidentify(workup).patient.age_years == told


def test_problems_keep_what_was_found_and_lose_who(case: Case) -> None:
    found = [p.found for p in deidentify(case.workup).problems]
    assert found == [
        "the dose of [text] is absent on [date]",
        "truncated",
        "T1 from TR 500 ms, TE 12 ms on [date]",
        "[patient] has 6 exams; <b>bold</b>",
    ]
    assert [p.where for p in deidentify(case.workup).problems][1] == "left out"


def test_warnings_of_the_reader_are_left_out(case: Case) -> None:
    told = Problem(Severity.INFO, "dicom-warning", "Invalid value Muster in PN")
    workup = dataclasses.replace(case.workup, problems=(told,))
    assert deidentify(workup).problems[0].found == "text left out"


def with_series(case: Case, **changes: object) -> Case:
    """The case with its first series changed."""
    first, *exams = case.workup.timeline.exams
    series = (dataclasses.replace(first.series[0], **changes), *first.series[1:])  # type: ignore[arg-type]
    timeline = dataclasses.replace(
        case.workup.timeline, exams=(dataclasses.replace(first, series=series), *exams)
    )
    return Case(dataclasses.replace(case.workup, timeline=timeline), case.images)


def test_a_name_taken_from_a_description_is_replaced(case: Case) -> None:
    series = deidentify(with_series(case, name="Frau Muster Knie").workup).timeline.exams[0].series[0]
    assert (series.name, series.description) == ("MR series", "MR series")


@pytest.mark.parametrize("name", ["T1", "T2 FS +C", "STIR", "DWI b800", "ADC", "CT", "T2*"])
def test_our_own_names_stay(case: Case, name: str) -> None:
    assert deidentify(with_series(case, name=name).workup).timeline.exams[0].series[0].name == name


def test_the_source_of_an_attribute_loses_its_text(case: Case) -> None:
    told = Attribute("KNEE", Basis.INFERRED, "description: knee of Mrs Muster")
    series = deidentify(with_series(case, body_part=told).workup).timeline.exams[0].series[0]
    assert series.body_part == Attribute("KNEE", Basis.INFERRED, "description")


def test_initials_as_a_name_of_an_outline_go(case: Case) -> None:
    track, lesion = (
        dataclasses.replace(x, name="JD") for x in (case.workup.tracks[0], case.workup.lesions[0])
    )
    workup = deidentify(dataclasses.replace(case.workup, tracks=(track,), lesions=(lesion,)))
    assert {x.name for x in (*workup.tracks, *workup.lesions)} == {"outline 1"}


def test_a_detector_is_no_uid(case: Case) -> None:
    lesion = dataclasses.replace(case.workup.lesions[0], origin=Origin("detected", "finder 1.2", "finder", 1))
    workup = dataclasses.replace(case.workup, lesions=(lesion, *case.workup.lesions[1:]))
    assert deidentify(workup).lesions[0].origin.source_uid == "finder 1.2"


def test_fixed_words_stay_when_the_patient_is_called_like_them(case: Case) -> None:
    workup = dataclasses.replace(case.workup, patient=Patient("seen-drawn", "mr^imported^CT"))
    clean = deidentify(workup)
    assert clean.lesions[0].origin.method == "imported"
    assert clean.tracks[0].presence[0].kind == "seen"
    assert clean.timeline.exams[0].series[0].facts.kind == "mr"
    assert clean.timeline.exams[1].name == "CT day 68"


def test_images_follow_the_workup(case: Case) -> None:
    clean = deidentify_images(case.images)
    known = {s.id: s for e in deidentify(case.workup).timeline.exams for s in e.series}
    for old, new in zip(case.images.volumes, clean.volumes, strict=True):
        assert np.array_equal(old.values, new.values)
        assert new.series.id in known
        grid = known[new.series.id].grid
        assert grid is not None
        assert grid.same_as(new.grid)
    assert all(p.series.id in known for p in clean.planar)
    assert (clean.patient.patient_id, clean.problems, clean.regions) == ("anonymous", (), ())


def test_images_of_a_plain_workup_stay(case: Case) -> None:
    assert images_of(case.workup, case.images) is case.images
    assert images_of(deidentify(case.workup), case.images) is not case.images


@given(st.from_regex(r"[0-2](\.[1-9][0-9]{0,8}){5,9}", fullmatch=True))
def test_uids_are_replaced_one_for_one(uid: str) -> None:
    new = pseudo_uid(uid)
    assert new == pseudo_uid(uid)
    assert re.fullmatch(r"2\.25\.[1-9]\d*", new)
    assert len(new) <= 64
    assert pseudo_uid(uid + "#2") == new + "#2"
    assert pseudo_uid(uid + "1") != new
    scrub = Scrubber.of(Patient("x"), {}, ())
    assert scrub(f"series {uid}: slice absent ({uid})") == f"series {new}: slice absent ({new})"
    assert scrub.place(f"SMITH_01.dcm, series {uid}") == new


def test_uids_of_the_standard_and_nothing_stay() -> None:
    assert pseudo_uid("1.2.840.10008.1.2.1") == "1.2.840.10008.1.2.1"
    assert pseudo_uid("") == ""


KNOWN = Scrubber.of(
    Patient("PID_77", "Müller-Lüdenscheidt^Ana=山田^太郎"), {"Läsion X": "outline 1"}, ("weird-uid",)
)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("PID_77 has two exams", "[patient] has two exams"),
        ("pid_77.dcm", "[file]"),
        ("of MÜLLER, ana", "of [patient], [patient]"),
        ("Banana is no name", "Banana is no name"),
        ("患者山田さん", "患者[patient]さん"),
        (
            "scan of 20000903, 2000-09-03, 3.9.2000, 09/03/2000 and 2000/9/3",
            "scan of " + ", ".join(["[date]"] * 4) + " and [date]",
        ),
        ("20000903101507.000000 is a moment", "[date] is a moment"),
        ("at 10:15:07.25 o'clock", "at o'clock"),
        ("/home/ana/scans/a.dcm and C:\\data\\x", "[file] and [file]"),
        ("schema 1.2.3, 12 mm, 2000 HU, W 2000 L 500", "schema 1.2.3, 12 mm, 2000 HU, W 2000 L 500"),
        ("g/ml{SUVbw}, case.toml, mr.ratio_hyper_min", "g/ml{SUVbw}, case.toml, mr.ratio_hyper_min"),
        ("Läsion X is large", "outline 1 is large"),
        ("series weird-uid", "series " + pseudo_uid("weird-uid")),
    ],
)
def test_texts(text: str, clean: str) -> None:
    assert KNOWN(text) == clean


def test_strict_texts_lose_quotes_and_descriptions() -> None:
    told = "the region 'Knie von Ana' inferred from description: Knie li; 3 slices"
    assert KNOWN.strict(told) == "the region [text] inferred from description; 3 slices"


@pytest.mark.parametrize(
    ("place", "clean"), [("", ""), ("IM_Ana_01", "left out"), ("E1-R2 on E3", "E1-R2, E3"), ("L1", "L1")]
)
def test_places(place: str, clean: str) -> None:
    assert KNOWN.place(place) == clean


@given(st.text(max_size=40))
def test_any_text_can_be_scrubbed(text: str) -> None:
    scrub = Scrubber.of(Patient(text, text), {text: "x"}, (text,))
    if len(text) >= 5 and text.isascii() and text.isalnum():
        assert text.lower() not in scrub(f"of {text} on").lower() or text.isdigit()


@given(st.dates(dt.date(1900, 1, 1), dt.date(2099, 12, 31)))
def test_any_date_goes(day: dt.date) -> None:
    scrub = Scrubber.of(Patient("x"), {}, ())
    for form in ("%Y%m%d", "%Y-%m-%d", "%d.%m.%Y", "%Y/%m/%d", "%Y%m%d%H%M%S"):
        assert scrub(f"on {day:{form}}, in time") == "on [date], in time"


def test_levels_and_bones_stay_and_their_series_get_other_uids(case: Case) -> None:
    clean = deidentify(case.workup)
    old, new = case.workup.skeletons[0], clean.skeletons[0]
    assert new.series_id == pseudo_uid(old.series_id)
    assert new.labels is not None
    assert new.labels.grid.frame_of_reference_uid == pseudo_uid(FRAME_CT)
    assert new.bones == old.bones
    assert [n.series_id for n in clean.not_read] == [pseudo_uid(n.series_id) for n in case.workup.not_read]
    for before, after in zip(case.workup.numbering.vertebrae, clean.numbering.vertebrae, strict=True):
        assert after.possible == before.possible
        assert after.bones[0].series_id == new.series_id
        assert clean.numbering.of(new.series_id, before.bones[0].bone_id) is after
    assert clean.numbering.problems[0].where == new.series_id
    assert [str(x.site) for x in clean.lesions] == [str(x.site) for x in case.workup.lesions]


def test_a_level_stays_where_an_outline_is_called_like_it(case: Case) -> None:
    """Names of outlines are replaced in all texts; the words of the skeleton are not theirs."""
    lesions = tuple(dataclasses.replace(x, name="T12") for x in case.workup.lesions)
    tracks = tuple(dataclasses.replace(x, name="T12") for x in case.workup.tracks)
    clean = deidentify(dataclasses.replace(case.workup, lesions=lesions, tracks=tracks))
    assert {x.name for x in clean.lesions} == {"outline 1"}
    assert clean.tracks[0].site == dataclasses.replace(
        case.workup.tracks[0].site, series_id=clean.skeletons[0].series_id
    )
    assert clean.numbering.vertebrae[3].level == "T12"


def test_the_labels_of_a_skeleton_stay_one(case: Case) -> None:
    twice = dataclasses.replace(case.workup, skeletons=(case.workup.skeletons[0],) * 2)
    first, second = deidentify(twice).skeletons
    assert first.labels is second.labels
