"""What the report says of exams, events and alignments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from osteotrace.model.alignment import Alignment, BoneMotion
from osteotrace.model.anatomy import Numbering
from osteotrace.model.imaging import Attribute, CtFacts, Exam, MrFacts, NuclearFacts, Series
from osteotrace.model.patient import DrugTherapy, EarlierReading, Event, Radiotherapy
from osteotrace.model.values import Basis, Verdict
from osteotrace.model.workup import Workup
from osteotrace.outputs.figures import event_word
from osteotrace.outputs.words import day_word, level_mark, unit_word
from osteotrace.space import Grid

_PLANES = ("sagittal", "coronal", "axial")  # by the axis along which the slices are stacked
_STRAIGHT_COSINE = 0.995  # within 6 degrees of a plane of the body


@dataclass(frozen=True, slots=True)
class Fact:
    """An attribute in words: ``fat suppression``, ``yes``, ``inferred from ...``."""

    name: str
    value: str
    mark: str


@dataclass(frozen=True, slots=True)
class SeriesLine:
    """One line of the table of series."""

    name: str
    description: str
    quantity: str
    geometry: str
    facts: tuple[Fact, ...]
    images: str
    scanner: str


@dataclass(frozen=True, slots=True)
class ExamBlock:
    """One exam and its series."""

    id: str
    name: str
    day: str
    lines: tuple[SeriesLine, ...]


@dataclass(frozen=True, slots=True)
class TimelineLine:
    """An exam or an event."""

    day: str
    date: str
    what: str
    text: str


@dataclass(frozen=True, slots=True)
class BoneLine:
    """The motion of one bone in words."""

    bone: str
    error: str
    source: str
    residual: str
    verdict: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AlignmentLine:
    """One alignment in words."""

    fixed: str
    moving: str
    method: str
    error: str
    overlap: str
    verdict: str
    reasons: tuple[str, ...]
    bones: tuple[BoneLine, ...]
    bones_word: str


def exam_blocks(workup: Workup) -> tuple[ExamBlock, ...]:
    """All exams in order of time."""
    return tuple(
        ExamBlock(e.id, e.name, day_word(e.day), tuple(_series_line(e, s) for s in e.series))
        for e in workup.timeline.exams
    )


def timeline_lines(workup: Workup) -> tuple[TimelineLine, ...]:
    """Exams and events, the dated ones first, in order of time."""
    exams = [(e.day, _exam_line(e)) for e in workup.timeline.exams]
    events = [(e.day, _event_line(e)) for e in workup.timeline.events]
    ordered = sorted(exams + events, key=lambda pair: (pair[0] is None, pair[0] or 0))
    return tuple(line for _, line in ordered)


def alignment_lines(workup: Workup) -> tuple[AlignmentLine, ...]:
    """All alignments, failed ones too."""
    names = {s.id: f"{s.name} ({e.id})" for e in workup.timeline.exams for s in e.series}
    return tuple(_alignment_line(a, names, workup.numbering) for a in workup.alignments)


def _exam_line(exam: Exam) -> TimelineLine:
    date = exam.datetime.date().isoformat() if exam.datetime else ""
    series = ", ".join(s.name for s in exam.series)
    return TimelineLine(day_word(exam.day), date, f"{exam.id} {exam.modality}", series)


def _event_line(event: Event) -> TimelineLine:
    text = "; ".join(part for part in (event.text, *_event_details(event)) if part)
    return TimelineLine(
        day_word(event.day), event.date.isoformat() if event.date else "", event_word(event), text
    )


def _event_details(event: Event) -> Iterator[str]:
    if isinstance(event, Radiotherapy):
        yield ", ".join(event.levels)
        if event.dose_gy is not None:
            fractions = f" in {event.fractions} fractions" if event.fractions else ", fractionation not given"
            yield f"{event.dose_gy:g} Gy{fractions}"
    elif isinstance(event, DrugTherapy):
        yield ", ".join(event.drugs)
        yield f"{event.cycles} cycles" if event.cycles else ""
    elif isinstance(event, EarlierReading):
        yield ", ".join(event.lesions)
    else:
        yield str(getattr(event, "site", ""))


def _series_line(exam: Exam, series: Series) -> SeriesLine:
    unit = unit_word(series.unit)
    return SeriesLine(
        name=series.name,
        description=series.description if series.description != series.name else "",
        quantity=f"{series.quantity} ({unit})" if unit and unit != series.quantity else str(series.quantity),
        geometry=_geometry(series.grid) if series.grid else _planar_geometry(series),
        facts=(*_facts(series), *_station(exam, series)),
        images=f"{series.n_instances}",
        scanner=" ".join(word for word in (series.manufacturer, series.model_name) if word),
    )


def _geometry(grid: Grid) -> str:
    size = " × ".join(str(n) for n in grid.shape)
    step = " × ".join(f"{s:.2f}" for s in grid.spacing)
    return f"{size}; {step} mm; {_orientation(grid)}"


def _planar_geometry(series: Series) -> str:
    facts = series.facts
    if not isinstance(facts, NuclearFacts) or facts.planar_shape is None:
        return "planar"
    size = " × ".join(str(n) for n in facts.planar_shape)
    step = " × ".join(f"{s:.2f}" for s in facts.planar_pixel_mm or ())
    return f"planar; {size}; {f'{step} mm' if step else 'pixel size unknown'}"


def _orientation(grid: Grid) -> str:
    normal = np.cross(grid.direction[:, 0], grid.direction[:, 1])
    plane = _PLANES[int(np.abs(normal).argmax())]
    oblique = "" if float(np.abs(normal).max()) >= _STRAIGHT_COSINE else "oblique "
    return f"{oblique}{plane}{', sheared' if grid.is_sheared else ''}"


def _station(exam: Exam, series: Series) -> Iterator[Fact]:
    for chain in exam.stations:
        if series.id in chain:
            yield Fact("station", f"{chain.index(series.id) + 1} of {len(chain)}, from the head down", "")


def _facts(series: Series) -> Iterator[Fact]:
    yield _fact("body part", series.body_part)
    facts = series.facts
    if isinstance(facts, MrFacts):
        yield _fact("weighting", facts.weighting)
        yield _fact("fat suppression", facts.fat_suppression)
        yield _fact("contrast", facts.contrast)
        yield from _numbers((
            ("TR", facts.repetition_time_ms, "ms"), ("TE", facts.echo_time_ms, "ms"),
            ("TI", facts.inversion_time_ms, "ms"), ("field", facts.field_strength_t, "T"),
            ("b", facts.b_value, "s/mm²"),
        ))  # fmt: skip
    elif isinstance(facts, CtFacts):
        yield _fact("contrast", facts.contrast)
        yield from _numbers((("tube", facts.kvp, "kV"), ("slice", facts.slice_thickness_mm, "mm")))
        if facts.kernel:
            yield Fact("kernel", facts.kernel, "")
    elif isinstance(facts, NuclearFacts):
        yield from _nuclear_facts(facts, is_planar=series.grid is None)


def _nuclear_facts(facts: NuclearFacts, *, is_planar: bool) -> Iterator[Fact]:
    yield _fact("tracer", facts.tracer)
    if is_planar:
        yield _fact("view", facts.view)
    yield from _numbers((("uptake time", facts.uptake_min, "min"), ("weight", facts.weight_kg, "kg")))
    if facts.suv_factor is not None:
        yield Fact("SUV factor", f"{facts.suv_factor:.6g}", facts.suv_basis)


def _numbers(entries: tuple[tuple[str, float | None, str], ...]) -> Iterator[Fact]:
    yield from (Fact(name, f"{value:.4g} {unit}", "") for name, value, unit in entries if value is not None)


def _fact(name: str, attribute: Attribute) -> Fact:
    if attribute.value is None or attribute.basis is Basis.UNKNOWN:
        return Fact(name, "unknown", "")
    mark = "" if attribute.basis is Basis.DECLARED else f"inferred: {attribute.source}".removesuffix(": ")
    return Fact(name, attribute.value, mark)


def _alignment_line(alignment: Alignment, names: dict[str, str], numbering: Numbering) -> AlignmentLine:
    same = alignment.method == "identity"
    kind = f"{len(alignment.bones)} bones" if alignment.bones else "rigid"
    turn = f"{kind}, turned {alignment.transform.rotation_deg:.0f}°"
    return AlignmentLine(
        fixed=names.get(alignment.fixed_series, alignment.fixed_series),
        moving=names.get(alignment.moving_series, alignment.moving_series),
        method="same frame of reference" if same else turn,
        error="—" if alignment.error_mm is None else f"{alignment.error_mm:.1f} mm",
        overlap=f"{alignment.overlap:.0%}",
        verdict=str(alignment.verdict),
        reasons=tuple(dict.fromkeys(alignment.reasons)),
        bones=tuple(_bone_line(bone, numbering) for bone in alignment.bones),
        bones_word=_bones_word(alignment.bones),
    )


def _bone_line(bone: BoneMotion, numbering: Numbering) -> BoneLine:
    return BoneLine(
        bone=_bone_name(bone, numbering),
        error="—" if bone.verdict is Verdict.FAILED else f"{bone.radius_mm:.1f} mm",
        source="its own images" if bone.source == "images" else "its neighbours",
        residual="" if bone.residual_mm is None else f"{bone.residual_mm:.1f} mm",
        verdict=str(bone.verdict),
        reasons=bone.reasons,
    )


def _bone_name(bone: BoneMotion, numbering: Numbering) -> str:
    """``vertebra T11?``: with the level where the vertebra has one, else with its number in the series."""
    if bone.name != "vertebra":
        return bone.name
    places = ((bone.fixed_series, bone.fixed_id), (bone.moving_series, bone.moving_id))
    found = (numbering.of(series, bone_id) for series, bone_id in places if bone_id)
    vertebra = next((one for one in found if one is not None and one.possible), None)
    return f"vertebra {level_mark(vertebra) if vertebra else bone.fixed_id or bone.moving_id}"


def _bones_word(bones: tuple[BoneMotion, ...]) -> str:
    """``Bone by bone: 7 good, 2 doubtful``."""
    counts = [(verdict, sum(bone.verdict is verdict for bone in bones)) for verdict in Verdict]
    return f"Bone by bone: {', '.join(f'{n} {verdict}' for verdict, n in counts if n)}"
