"""What the report says of one lesion."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from osteotrace.model.imaging import Series
from osteotrace.model.lesion import (
    Finding,
    LesionTrack,
    Measurement,
    Missing,
    NotCovered,
    Presence,
    Seen,
    Value,
)
from osteotrace.model.values import Verdict
from osteotrace.model.workup import Workup
from osteotrace.outputs.words import (
    number_word,
    presence_word,
    shown_finding,
    site_word,
    track_label,
    unit_word,
)


@dataclass(frozen=True, slots=True)
class PresenceLine:
    """Where a lesion is, not is, or cannot be looked for."""

    exam: str
    series: str
    kind: str
    word: str
    reason: str
    site: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement in the table: text, a small note, and how it was made."""

    text: str
    note: str = ""
    title: str = ""
    is_missing: bool = False


@dataclass(frozen=True, slots=True)
class MeasureRow:
    """One measure over the series."""

    name: str
    unit: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """One series of the measurement table."""

    series: str
    exam: str
    region: str


@dataclass(frozen=True, slots=True)
class LesionBlock:
    """Everything said of one lesion."""

    id: str
    label: str
    site: str
    disagreements: tuple[str, ...]
    presence: tuple[PresenceLine, ...]
    columns: tuple[Column, ...]
    rows: tuple[MeasureRow, ...]
    descriptors: tuple[str, ...]
    figure: str


def lesion_blocks(workup: Workup) -> tuple[LesionBlock, ...]:
    """All lesions in the order of their tracks."""
    return tuple(_block(workup, track) for track in workup.tracks)


def _block(workup: Workup, track: LesionTrack) -> LesionBlock:
    series = [(e.name, s) for e in workup.timeline.exams for s in e.series]
    shown = [(exam, s, shown_finding(workup, track, s.id)) for exam, s in series]
    found = [(exam, s, f) for exam, s, f in shown if f is not None]
    findings = [f for _, _, f in found]
    return LesionBlock(
        id=track.id,
        label=track_label(track),
        site=site_word(track.site),
        disagreements=track.site_disagreements,
        presence=tuple(_presence_lines(workup, track)),
        columns=tuple(Column(s.name, exam, _region(f)) for exam, s, f in found),
        rows=_rows(findings),
        descriptors=tuple(_descriptors((s, f) for _, s, f in found)),
        figure=f"lesion_{track.id}",
    )


def _presence_lines(workup: Workup, track: LesionTrack) -> list[PresenceLine]:
    places = {s.id: (e.name, s.name) for e in workup.timeline.exams for s in e.series}
    order = {series_id: number for number, series_id in enumerate(places)}
    entries = sorted(track.presence, key=lambda p: order[p.series_id])
    return [
        PresenceLine(*places[p.series_id], p.kind, presence_word(p), _reason(p), _site(workup, track, p))
        for p in entries
    ]


def _site(workup: Workup, track: LesionTrack, entry: Presence) -> str:
    """The bone as this series shows it; empty where it was not measured."""
    finding = shown_finding(workup, track, entry.series_id)
    return site_word(finding.site) if finding is not None else ""


def _reason(entry: Presence) -> str:
    if isinstance(entry, NotCovered):
        return f"{entry.coverage:.0%} of the lesion lies in the field of view"
    if isinstance(entry, Seen):
        doubt = "; alignment doubtful" if entry.verdict is Verdict.DOUBTFUL else ""
        return (
            f"outline {entry.lesion_id}; distance {entry.distance_mm:.1f} mm, overlap {entry.overlap:.0%}, "
            f"confidence {entry.confidence:.0%}{doubt}"
        )
    return entry.reason


def _region(finding: Finding) -> str:
    if finding.region == "drawn":
        return "drawn here"
    cut = f", {finding.coverage:.0%} covered" if finding.coverage < 1 else ""
    return f"mapped ±{finding.error_mm:.1f} mm{cut}"


def _rows(findings: list[Finding]) -> tuple[MeasureRow, ...]:
    """One row a measure, in the order in which the findings bring them."""
    tables = [{v.name: v for v in f.values} for f in findings]
    names = dict.fromkeys(v.name for f in findings for v in f.values)
    return tuple(_row(name, [table.get(name) for table in tables]) for name in names)


def _row(name: str, values: list[Value | None]) -> MeasureRow:
    units = {unit_word(v.unit) for v in values if isinstance(v, Measurement)}
    unit = next(iter(units)) if len(units) == 1 else ""
    return MeasureRow(name, unit, tuple(_cell(v, with_unit=len(units) > 1) for v in values))


def _cell(value: Measurement | Missing | None, *, with_unit: bool) -> Cell | None:
    if value is None:
        return None
    if isinstance(value, Missing):
        return Cell("—", value.reason, "", is_missing=True)
    unit = f" {unit_word(value.unit)}" if with_unit else ""
    low_high = value.interval
    interval = f"95% {number_word(low_high[0])}–{number_word(low_high[1])}; " if low_high else ""
    title = "; ".join(part for part in (value.method, value.criterion_id or "") if part)
    return Cell(f"{number_word(value.value)}{unit}", f"{interval}n {value.n_voxels}", title)


def _descriptors(found: Iterable[tuple[Series, Finding]]) -> list[str]:
    return [f"{s.name}: {d.text} ({d.criterion_id})" for s, f in found for d in f.descriptors]
