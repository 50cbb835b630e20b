"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from osteotrace.errors import one_line
from osteotrace.model.alignment import Alignment
from osteotrace.model.imaging import Attribute, CtFacts, Exam, MrFacts, NuclearFacts, Series
from osteotrace.model.lesion import LesionTrack, NotSeen, Presence, Seen, Unassessable
from osteotrace.model.patient import PatientImages
from osteotrace.model.problem import Problem
from osteotrace.model.values import Basis, Severity
from osteotrace.pipeline import RunResult

_PIPE_WIDTH = 140
_COLOUR = {
    Severity.REFUSED: "red",
    Severity.EXCLUDED: "red",
    Severity.WARNING: "yellow",
    Severity.INFERRED: "cyan",
    Severity.INFO: "dim",
}


def table_console() -> Console:
    """Console for tables: as wide as the terminal, and wide enough for a table in a file or pipe."""
    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_WIDTH)


def show_patient(images: PatientImages, console: Console) -> None:
    """Exams, series, regions and problems of one patient."""
    patient = images.patient
    age = f", {patient.age_years:.0f} y" if patient.age_years is not None else ""
    console.print(f"\n[bold]Patient {escape(patient.patient_id or '(no id)')}[/] {patient.sex}{age}")
    if images.timeline.exams:
        console.print(_timeline(images))
        console.print(_series_table(images.timeline.exams))
    else:
        console.print("No image of this patient is here.")
    if images.regions:
        console.print(_region_table(images))
    show_problems(images.problems, console, "Problems")


def show_problems(problems: Sequence[Problem], console: Console, title: str) -> None:
    """Problems, the heaviest first; nothing when there are none."""
    if not problems:
        return
    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 1))
    order = list(Severity)
    for problem in sorted(problems, key=lambda p: order.index(p.severity)):
        colour = _COLOUR[problem.severity]
        words = str(problem).partition(": ")[2]
        table.add_row(f"[{colour}]{problem.severity}[/]", escape(words))
    console.print(table)


def show_result(result: RunResult, out: Path, console: Console) -> None:
    """The lesions of a finished run, what was left out, and where the report is."""
    workup = result.workup
    if workup.tracks:
        _show_tracks(result, console)
    else:
        console.print("No lesion was outlined in this input, and none is searched for yet.")
    names = {s.id: f"{e.name} {s.name}" for e in workup.timeline.exams for s in e.series}
    for alignment in workup.alignments:
        if alignment.method != "identity":
            console.print(escape(_alignment(alignment, names)))
    show_problems(result.left_out, console, "Left out")
    console.print(f"Report: {escape(one_line(str(out / 'report.html')))}", highlight=False, soft_wrap=True)


def _alignment(alignment: Alignment, names: Mapping[str, str]) -> str:
    error = "" if alignment.error_mm is None else f", 95% within {alignment.error_mm:.1f} mm"
    ends = " to ".join(names.get(x, x) for x in (alignment.fixed_series, alignment.moving_series))
    return f"Alignment {alignment.verdict}{error}: {ends}; {'; '.join(alignment.reasons)}"


def _timeline(images: PatientImages) -> Table:
    table = Table(title="Timeline", title_justify="left")
    for name in ("day", "date", "exam", "what"):
        table.add_column(name)
    rows: list[tuple[int | None, str, str, str]] = []
    for exam in images.timeline.exams:
        date = exam.datetime.date().isoformat() if exam.datetime else "unknown"
        rows.append((exam.day, date, exam.id, escape(exam.name)))
    for event in images.timeline.events:
        rows.append((event.day, str(event.date or "unknown"), event.kind, escape(event.text)))
    for day, *words in sorted(rows, key=lambda row: (row[0] is None, row[0] or 0)):
        table.add_row(_day(day), *words)
    return table


def _day(day: int | None) -> str:
    return "?" if day is None else str(day)


def _series_table(exams: Sequence[Exam]) -> Table:
    table = Table(title="Series (~ inferred, ? unknown)", title_justify="left")
    for name in ("series", "what", "unit", "voxels, mm", "body part", "attributes", "files"):
        table.add_column(name)
    for exam in exams:
        for number, series in enumerate(exam.series, start=1):
            table.add_row(
                f"{exam.id}-S{number}",
                escape(series.name) + _station(exam, series),
                escape(f"{series.quantity}\n{series.unit}"),
                _geometry(series),
                _attribute(series.body_part),
                _facts(series),
                str(series.n_instances),
            )
    return table


def _station(exam: Exam, series: Series) -> str:
    """``station 1 of 2`` of a series that shows one part of the spine, the uppermost first."""
    for chain in exam.stations:
        if series.id in chain:
            return f"\nstation {chain.index(series.id) + 1} of {len(chain)}"
    return ""


def _geometry(series: Series) -> str:
    if series.grid is None:
        return _planar_geometry(series)
    size = "×".join(str(n) for n in series.grid.shape)
    step = "×".join(f"{s:.2f}" for s in series.grid.spacing)
    return f"{size}\n{step}" + ("\nsheared" if series.grid.is_sheared else "")


def _planar_geometry(series: Series) -> str:
    facts = series.facts
    if not isinstance(facts, NuclearFacts) or facts.planar_shape is None:
        return "planar"
    size = "×".join(str(n) for n in facts.planar_shape)
    step = "×".join(f"{s:.2f}" for s in facts.planar_pixel_mm) if facts.planar_pixel_mm else "pixel size ?"
    return f"planar {size}\n{step}"


def _attribute(attribute: Attribute) -> str:
    if attribute.value is None:
        return "?"
    return escape(("~" if attribute.basis is Basis.INFERRED else "") + attribute.value)


def _facts(series: Series) -> str:
    facts = series.facts
    if isinstance(facts, MrFacts):
        return (
            f"{_attribute(facts.weighting)}, fat suppression {_attribute(facts.fat_suppression)},\n"
            f"contrast {_attribute(facts.contrast)}"
        )
    if isinstance(facts, NuclearFacts):
        factor = f"\nSUV factor {facts.suv_factor:.6g}" if facts.suv_factor else ""
        view = f"\nview {_attribute(facts.view)}" if series.grid is None else ""
        return f"tracer {_attribute(facts.tracer)}{factor}{view}"
    if isinstance(facts, CtFacts):
        kvp = f"{facts.kvp:g} kV" if facts.kvp else "kV ?"
        return f"{kvp}, contrast {_attribute(facts.contrast)}"
    return ""


def _region_table(images: PatientImages) -> Table:
    table = Table(title="Regions", title_justify="left")
    for name in ("name", "source", "on", "volume mL", "placed"):
        table.add_column(name)
    for region in images.regions:
        exam = images.exam_of(region.series_id)
        series = next((s for s in exam.series if s.id == region.series_id), None) if exam else None
        on = f"{exam.id} {series.name}" if exam and series else region.series_id
        volume = f"{region.mask.volume_ml:.2f}"
        placed = region.placed
        how = placed.basis if placed.basis is Basis.DECLARED else f"{placed.basis}: {placed.source}"
        table.add_row(escape(region.name), region.source_kind, escape(on), volume, escape(how))
    return table


def _show_tracks(result: RunResult, console: Console) -> None:
    """One row per lesion, one column per exam; why something could not be assessed stands below, once."""
    exams = [exam for exam in result.workup.timeline.exams if exam.series]
    reasons: dict[str, int] = {}
    table = Table(title="Lesions", title_justify="left")
    table.add_column("lesion")
    for exam in exams:
        table.add_column(f"{exam.id} {escape(exam.name)}")
    for track in result.workup.tracks:
        states = {p.series_id: p for p in track.presence}
        found = [[states[s.id] for s in exam.series if s.id in states] for exam in exams]
        table.add_row(_title(track), *(_presence(some, result, reasons) for some in found))
    console.print(table)
    for reason, number in reasons.items():
        console.print(f"  [dim]({number}) {escape(reason)}[/]")


def _title(track: LesionTrack) -> str:
    return f"[bold]{track.id}[/] {escape(track.name)}\n{track.course}"


def _presence(states: Sequence[Presence], result: RunResult, reasons: dict[str, int]) -> str:
    """What the series of an exam together say of a lesion: seen beats not seen, which beats unassessable."""
    seen = [result.workup.lesion(p.lesion_id) for p in states if isinstance(p, Seen)]
    if seen:
        return "\n".join(f"seen {lesion.id}, {lesion.volume_ml:.1f} mL" for lesion in seen)
    if any(isinstance(p, NotSeen) for p in states):
        return "not seen"
    unsure = sorted({p.reason for p in states if isinstance(p, Unassessable)})
    if unsure:
        marks = ",".join(str(reasons.setdefault(reason, len(reasons) + 1)) for reason in unsure)
        return f"[dim]unassessable ({marks})[/]"
    return "not covered" if states else ""
