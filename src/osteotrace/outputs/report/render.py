"""One HTML file that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from osteotrace.errors import CriterionError
from osteotrace.model.criteria import Criteria
from osteotrace.model.lesion import Measurement
from osteotrace.model.problem import Problem
from osteotrace.model.values import Severity
from osteotrace.model.workup import Workup
from osteotrace.outputs.figures import Picture
from osteotrace.outputs.report.exam_tables import alignment_lines, exam_blocks, timeline_lines
from osteotrace.outputs.report.lesion_tables import lesion_blocks
from osteotrace.outputs.report.scan_tables import scan_blocks
from osteotrace.outputs.report.skeleton_tables import skeleton_block
from osteotrace.outputs.report.spec import sections_of
from osteotrace.outputs.report.summary import summary

_SEVERITY_WORDS = {
    Severity.REFUSED: "Refused",
    Severity.EXCLUDED: "Left out",
    Severity.WARNING: "Odd",
    Severity.INFERRED: "Inferred",
    Severity.INFO: "For information",
}


@dataclass(frozen=True, slots=True)
class EmbeddedFigure:
    """A picture as a data URI, with its caption."""

    uri: str
    caption: str


@dataclass(frozen=True, slots=True)
class CriterionLine:
    """A criterion that a number of the report rests on."""

    id: str
    value: str
    source: str
    kind: str


def render_html(workup: Workup, pictures: Sequence[Picture], criteria: Criteria) -> str:
    """The report of a workup.

    All texts are escaped: names and descriptions come from files and may hold markup. No script, no address
    of another machine.

    Parameters
    ----------
    workup : Workup
        What is reported.
    pictures : sequence of Picture
        Figures; found by their names.
    criteria : Criteria
        For the values of the criteria that are cited.
    """
    return (
        _environment()
        .get_template("report.html")
        .render(
            workup=workup,
            patient=_patient_line(workup),
            sections=sections_of(workup),
            figures=_embedded(pictures),
            sentences=summary(workup),
            timeline=timeline_lines(workup),
            exams=exam_blocks(workup),
            alignments=alignment_lines(workup),
            skeleton=skeleton_block(workup),
            scans=scan_blocks(workup),
            lesions=lesion_blocks(workup),
            problems=_grouped(workup.problems),
            cited=_cited(workup, criteria),
        )
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("osteotrace.outputs.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _patient_line(workup: Workup) -> str:
    patient = workup.patient
    age = "" if patient.age_years is None else f"{patient.age_years:.0f} years at the first exam"
    name = "" if patient.name == patient.patient_id else " ".join(patient.name.replace("^", " ").split())
    return ", ".join(w for w in (patient.patient_id or "no patient ID", name, patient.sex, age) if w)


def _embedded(pictures: Sequence[Picture]) -> Mapping[str, EmbeddedFigure]:
    return {p.name: EmbeddedFigure(_data_uri(p), p.caption) for p in pictures}


def _data_uri(picture: Picture) -> str:
    kind, content = picture.smallest
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _grouped(problems: Sequence[Problem]) -> tuple[tuple[str, tuple[Problem, ...]], ...]:
    """Problems by severity, the heaviest first."""
    groups = ((_SEVERITY_WORDS[s], tuple(p for p in problems if p.severity is s)) for s in Severity)
    return tuple((word, members) for word, members in groups if members)


def _cited(workup: Workup, criteria: Criteria) -> tuple[CriterionLine, ...]:
    ids = {v.criterion_id for f in workup.findings for v in f.values if isinstance(v, Measurement)}
    ids |= {d.criterion_id for f in workup.findings for d in f.descriptors}
    return tuple(_criterion_line(i, criteria) for i in sorted(x for x in ids if x))


def _criterion_line(criterion_id: str, criteria: Criteria) -> CriterionLine:
    try:
        found = criteria.get(criterion_id)
    except CriterionError:
        return CriterionLine(criterion_id, "not in this version of the criteria", "", "")
    value = ", ".join(map(str, found.value)) if isinstance(found.value, tuple) else str(found.value)
    unit = "" if found.unit in ("{term}", "{flag}", "1") else f" {found.unit}"
    return CriterionLine(found.id, value + unit, found.source, found.kind)
