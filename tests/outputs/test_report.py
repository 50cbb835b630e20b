from __future__ import annotations

import dataclasses
import html
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from osteotrace.model.criteria import Criteria
from osteotrace.model.imaging import OtherFacts
from osteotrace.model.lesion import LesionTrack, Seen
from osteotrace.model.patient import Biopsy, DrugTherapy, EarlierReading, Radiotherapy, Symptom, Timeline
from osteotrace.model.site import UNASKED
from osteotrace.model.values import Quantity, Verdict
from osteotrace.model.workup import UNNUMBERED, Workup
from osteotrace.outputs.report import render_html
from osteotrace.outputs.report.exam_tables import exam_blocks, timeline_lines
from osteotrace.outputs.report.spec import all_sections, sections_of
from osteotrace.outputs.report.summary import summary
from osteotrace.space import Grid
from outputs.factory import Case, without_lesions


class Outline(HTMLParser):
    """Tags, attributes and text of a page; refuses a tag that is not closed."""

    VOID = frozenset({"meta", "img", "br", "col"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def outline(page: str) -> Outline:
    parser = Outline()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


@pytest.fixture(scope="module")
def page(written: Path) -> Outline:
    return outline((written / "report.html").read_text(encoding="utf-8"))


def test_sections_stand_in_the_declared_order(page: Outline) -> None:
    ids = [attrs["id"] for tag, attrs in page.tags if tag == "section"]
    assert ids == [
        "summary", "timeline", "exams", "alignments", "skeleton", "bone_scan", "lesions", "problems",
        "provenance",
    ]  # fmt: skip
    assert [s.id for s in all_sections()] == ids


def test_header(page: Outline) -> None:
    assert "HOSP-4711, Doe Jolanthe, F, 93 years at the first exam" in page.words
    assert "Research use only; not a medical device." in page.words
    assert "osteotrace 0.1.0 · criteria 1.0.0 · schema 2" in page.words


def test_the_page_needs_nothing_else(page: Outline, written: Path) -> None:
    """No script, nothing loaded: every address is an anchor or data."""
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    for _, attrs in page.tags:
        assert not [name for name in attrs if name.startswith("on")]
        for name in ("src", "href"):
            value = attrs.get(name) or "#"
            assert value.startswith(("data:image/png;base64,", "data:image/jpeg;base64,", "#"))
    text = (written / "report.html").read_text(encoding="utf-8")
    assert "url(" not in text
    assert "@import" not in text
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)


def test_markup_from_files_is_text(written: Path, page: Outline) -> None:
    text = (written / "report.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "GTV_Edema <b>" in page.words
    assert "<b>" not in text
    assert "no diffusion map <in this exam>" in page.words


def test_figures_are_embedded_with_a_caption(page: Outline) -> None:
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    assert len(images) == 6
    assert all((image["alt"] or "").endswith(".") for image in images)


def test_anchors_lead_somewhere(page: Outline) -> None:
    ids = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    links = {(attrs["href"] or "").removeprefix("#") for tag, attrs in page.tags if tag == "a"}
    assert links <= ids
    assert {"lesion-L1", "lesion-L2"} <= links


def test_presence_in_words_with_reasons(page: Outline) -> None:
    for text in (
        "not covered 0% of the lesion lies in the field of view",
        "cannot be assessed no usable alignment to 'CT'",
        "not seen outlines exist here, none is this lesion",
        "seen outline E1-R20; distance 1.5 mm, overlap 90%, confidence 98%",
    ):
        assert text in page.words


def test_measurements_with_units_reasons_and_criteria(page: Outline) -> None:
    assert re.search(r"peak g/mL \d\.\d\d 95% 6\.00–7\.00; n \d+", page.words)
    assert re.search(r"ADC — no diffusion map", page.words)
    assert re.search(r"suv\.peak_sphere_volume_cm3 1(\.0)? cm3 Wahl 2009", page.words)
    assert "mapped ±6.5 mm" in page.words


def test_attributes_say_how_they_are_known(page: Outline) -> None:
    assert "contrast no (inferred: SeriesDescription)" in page.words
    assert "fat suppression unknown" in page.words
    assert "SUV factor 0.00042 (START)" in page.words
    assert "54 Gy, fractionation not given" in page.words


def test_problems_are_grouped_the_heaviest_first(page: Outline) -> None:
    words = page.words
    places = [words.index(w) for w in ("Refused (1)", "Left out (1)", "Inferred (1)", "For information (1)")]
    assert places == sorted(places)
    assert "unreadable-file truncated IM_Doe_0001.dcm a whole file copy again" in words


def test_alignments_failed_ones_too(page: Outline) -> None:
    assert "CT (E2) T1 (E1) rigid, turned 25° 6.5 mm 71% good 12 starts agree" in page.words
    assert "CT (E2) STIR (E5) rigid, turned 0° — 0% failed no overlap" in page.words


def test_a_patient_without_lesions_gets_an_honest_report(case: Case, criteria: Criteria) -> None:
    bare = without_lesions(case)
    page = outline(render_html(bare.workup, (), criteria))
    assert "No lesion was outlined; nothing was searched for." in page.words
    assert "Nothing was refused, left out or inferred." in page.words
    ids = [attrs["id"] for tag, attrs in page.tags if tag == "section"]
    assert ids == ["summary", "timeline", "exams", "problems", "provenance"]


def test_sections_need_their_facts(case: Case) -> None:
    ids = [s.id for s in sections_of(without_lesions(case).workup)]
    assert "lesions" not in ids
    assert "alignments" not in ids


def changed(case: Case, **changes: object) -> Workup:
    first = dataclasses.replace(case.workup.tracks[0], **changes)  # type: ignore[arg-type]
    return dataclasses.replace(case.workup, tracks=(first,))


def seen(track: LesionTrack, count: int, verdict: Verdict = Verdict.GOOD) -> tuple[Seen, ...]:
    found = [p for p in track.presence if isinstance(p, Seen)]
    return tuple(dataclasses.replace(p, verdict=verdict) for p in found[:count])


def test_summary_of_the_case(case: Case) -> None:
    one, two = summary(case.workup)
    assert one.text == "L1 'GTV_Mass' is the same lesion in PET FDG, CT, T1 and T2 FS."
    assert one.details == (
        "Place: T12, body (certain); reaches into L1.",
        "Exams that disagree on the bone: E3: near hip bone left, 6 mm off.",
        "Not covered by CT thorax.",
        "Cannot be assessed in STIR: no usable alignment to 'CT'.",
        "Cannot be assessed in bone scan: planar image: not aligned yet.",
    )
    assert two.text == "L2 'GTV_Edema <b>' was outlined in T2 FS only."
    assert two.details[0] == "Place: T9 or T8, body (uncertain)."
    assert two.details[1] == "Not seen in CT, PET FDG and T1: outlines exist here, none is this lesion."


def test_summary_does_not_compare_a_single_series(case: Case) -> None:
    bare = without_lesions(case).workup
    ct = bare.timeline.exams[0].series[0]
    track = dataclasses.replace(case.workup.tracks[0], site=UNASKED, site_disagreements=())
    here = tuple(p for p in track.presence if p.series_id == ct.id)
    workup = dataclasses.replace(bare, tracks=(dataclasses.replace(track, presence=here, course="single"),))
    (sentence,) = summary(workup)
    assert (sentence.text, sentence.details) == ("L1 'GTV_Mass' was outlined in CT.", ())


def test_summary_names_doubt_and_course(case: Case) -> None:
    presence = seen(case.workup.tracks[0], 2, Verdict.DOUBTFUL)
    (sentence,) = summary(changed(case, presence=presence, course="new"))
    assert sentence.text == "L1 'GTV_Mass' is the same lesion in PET FDG and CT."
    assert sentence.details[2:] == (
        "The link to PET FDG and CT is doubtful.",
        "It is new: an earlier exam covered the place and was read.",
    )


def test_series_of_one_name_are_told_apart(case: Case) -> None:
    exams = tuple(
        dataclasses.replace(e, series=tuple(dataclasses.replace(s, name="T1") for s in e.series))
        if e.modality == "MR"
        else e
        for e in case.workup.timeline.exams
    )
    timeline = dataclasses.replace(case.workup.timeline, exams=exams)
    sentence = summary(dataclasses.replace(case.workup, timeline=timeline))[0]
    assert "T1 (MR 2000-09-03)" in sentence.text


def test_an_unknown_criterion_is_said_to_be_unknown(case: Case, criteria: Criteria) -> None:
    other = Criteria("9.9.9", tuple(i for i in criteria.items if i.id != "suv.peak_sphere_volume_cm3"), "0")
    words = outline(render_html(case.workup, (), other)).words
    assert "suv.peak_sphere_volume_cm3 not in this version of the criteria" in words


def test_without_figures_the_lesion_says_so(case: Case, criteria: Criteria) -> None:
    assert "No image shows the place of this lesion." in outline(render_html(case.workup, (), criteria)).words


def test_equal_results_give_equal_pages(case: Case, criteria: Criteria) -> None:
    assert render_html(case.workup, (), criteria) == render_html(case.workup, (), criteria)


def test_quotes_in_names_stay_inside_attributes(case: Case, criteria: Criteria) -> None:
    workup = changed(case, name='x" onerror="alert(1)')
    text = render_html(workup, (), criteria)
    assert 'onerror="' not in text
    assert html.escape('x" onerror=', quote=True) in text.replace("&#34;", "&quot;")


def test_events_in_words(case: Case) -> None:
    events = (
        DrugTherapy(None, 30, "chemotherapy", ("carboplatin", "vincristine"), 2),
        DrugTherapy(None, 31, "no details"),
        Radiotherapy(None, 20, "cord", (), 54.0, 30),
        Radiotherapy(None, 21, "dose not given"),
        Biopsy(None, 90, "needle", "left ilium"),
        EarlierReading(None, 1, "reading", "MR", ("cord mass", "cyst")),
        Symptom(None, -180, "low back pain"),
    )
    timeline = dataclasses.replace(case.workup.timeline, events=events)
    lines = timeline_lines(dataclasses.replace(case.workup, timeline=timeline))
    told = [(line.day, line.what, line.text) for line in lines if not re.match(r"E\d ", line.what)]
    assert told == [
        ("day -180", "symptom", "low back pain"),
        ("day 1", "earlier reading", "reading; cord mass, cyst"),
        ("day 20", "radiotherapy", "cord; 54 Gy in 30 fractions"),
        ("day 21", "radiotherapy", "dose not given"),
        ("day 30", "drugs", "chemotherapy; carboplatin, vincristine; 2 cycles"),
        ("day 31", "drugs", "no details"),
        ("day 90", "biopsy", "needle; left ilium"),
    ]


@pytest.mark.parametrize(
    ("turn_deg", "words"), [(0.0, "axial"), (3.0, "axial"), (25.0, "oblique axial"), (90.0, "sagittal")]
)
def test_orientation_of_a_series(case: Case, turn_deg: float, words: str) -> None:
    """Turned about the anterior axis, an axial stack becomes a sagittal one."""
    angle = np.deg2rad(turn_deg)
    affine = np.eye(4)
    affine[0, 0], affine[0, 2], affine[2, 0], affine[2, 2] = (
        np.cos(angle),
        np.sin(angle),
        -np.sin(angle),
        np.cos(angle),
    )
    exam = case.workup.timeline.exams[1]
    one = dataclasses.replace(exam.series[0], grid=Grid((4, 4, 4), affine, "1.2.3"))
    timeline = Timeline(None, (dataclasses.replace(exam, series=(one,)),))
    (block,) = exam_blocks(dataclasses.replace(case.workup, timeline=timeline))
    assert block.lines[0].geometry == f"4 × 4 × 4; 1.00 × 1.00 × 1.00 mm; {words}"


def test_series_of_other_kinds(case: Case) -> None:
    exam = case.workup.timeline.exams[1]
    one = dataclasses.replace(
        exam.series[0], facts=OtherFacts(), unit="Gy", quantity=Quantity.DOSE, description=""
    )
    timeline = Timeline(None, (dataclasses.replace(exam, series=(one,)),))
    (block,) = exam_blocks(dataclasses.replace(case.workup, timeline=timeline))
    assert block.lines[0].quantity == "absorbed dose (Gy)"
    assert [f.name for f in block.lines[0].facts] == ["body part"]


def test_levels_stand_in_the_report_with_certainty_and_reasons(page: Outline) -> None:
    for text in (
        "T11 certain 99% CT (E2) seen: last rib, sacrum",
        "T9 uncertain 70% T8 30% CT (E2) seen: last rib, sacrum",
        "12 thoracic and 5 lumbar vertebrae: 97%.",
        "CT (E2) 7 vertebrae, sacrum test",
        "STIR (E5) no bone test",
        "T1 (E1) not read: E2-S1 shows this part already",
        "T12, body (certain); reaches into L1",
        "Exams that disagree: E3: near hip bone left, 6 mm off.",
        "no bone: no bone that was found lies within 15 mm",
    ):
        assert text in page.words, text


def test_a_skeleton_is_reported_without_lesions(case: Case, criteria: Criteria) -> None:
    workup = dataclasses.replace(case.workup, lesions=(), findings=(), tracks=())
    words = outline(render_html(workup, (), criteria)).words
    assert "Skeleton and levels" in words
    assert "T11 certain 99%" in words


def test_without_a_vertebra_the_report_says_so(case: Case, criteria: Criteria) -> None:
    workup = dataclasses.replace(
        case.workup, skeletons=case.workup.skeletons[1:], numbering=UNNUMBERED, tracks=(), findings=()
    )
    assert "No vertebra was found." in outline(render_html(workup, (), criteria)).words
    words = outline(render_html(dataclasses.replace(workup, skeletons=()), (), criteria)).words
    assert "Bones were not searched." in words
    assert "No vertebra was found." not in words
