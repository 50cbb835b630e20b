"""The long table: one row for each lesion, series and measurement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from osteotrace.model.imaging import Exam, Series
from osteotrace.model.lesion import Finding, LesionTrack, Missing, NotCovered, Presence, Seen, Value
from osteotrace.model.site import UNASKED, NoSite, Site
from osteotrace.model.workup import Workup
from osteotrace.outputs.words import alternatives_word


@dataclass(frozen=True, slots=True)
class Row:
    """One line of ``measurements.csv``; the fields are the columns, None is an empty cell.

    A series without a finding (not covered, no usable alignment) has one row without a measurement, so that
    its absence shows. Bone and level are those of the exam where it shows bones, in rows without a finding
    those of the patient; ``bone_code`` is SNOMED CT, ``place`` all of it in words.
    """

    track_id: str | None
    lesion_id: str | None
    lesion_name: str | None
    exam_id: str
    exam_name: str
    day: int | None
    modality: str
    series_id: str
    series_name: str
    region: str | None
    presence: str | None
    measurement: str | None = None
    concept_value: str | None = None
    concept_scheme: str | None = None
    concept_meaning: str | None = None
    derivation: str | None = None
    value: float | None = None
    unit: str | None = None
    interval_low: float | None = None
    interval_high: float | None = None
    n_voxels: int | None = None
    method: str | None = None
    criterion_id: str | None = None
    missing_reason: str | None = None
    bone: str | None = None
    bone_code: str | None = None
    level: str | None = None
    level_certainty: str | None = None
    alternatives: str | None = None
    place: str | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    exam: Exam
    series: Series


def measurement_rows(workup: Workup) -> tuple[Row, ...]:
    """Rows of a workup: by track, then in the order of the findings, then by exam for what has no finding."""
    places = {s.id: _Place(e, s) for e in workup.timeline.exams for s in e.series}
    rows: list[Row] = []
    tracked: set[str] = set()
    for track in workup.tracks:
        tracked.update(track.lesion_ids)
        rows.extend(_track_rows(workup, track, places))
    rest = (f for f in workup.findings if f.lesion_id not in tracked)
    for finding in rest:
        rows.extend(_finding_rows(workup, finding, None, None, places))
    return tuple(rows)


def _track_rows(workup: Workup, track: LesionTrack, places: dict[str, _Place]) -> Iterator[Row]:
    findings = workup.findings_of(track)
    kinds = {p.series_id: p.kind for p in track.presence}
    for finding in findings:
        yield from _finding_rows(workup, finding, track.id, kinds.get(finding.series_id), places)
    measured = {f.series_id for f in findings}
    for entry in track.presence:
        if entry.series_id not in measured:
            row = _row(places[entry.series_id], track.id, None, track.name, None, entry.kind)
            yield replace(_with_site(row, track.site), missing_reason=_absence(entry))


def _finding_rows(
    workup: Workup, finding: Finding, track_id: str | None, presence: str | None, places: dict[str, _Place]
) -> Iterator[Row]:
    lesion = workup.lesion(finding.lesion_id)
    row = _row(places[finding.series_id], track_id, lesion.id, lesion.name, finding.region, presence)
    row = _with_site(row, finding.site)
    yield from (_with_value(row, value) for value in finding.values)


def _absence(entry: Presence) -> str:
    """Why there is no measurement, in words."""
    if isinstance(entry, NotCovered):
        return f"not covered: {entry.coverage:.0%} of the lesion lies in the field of view"
    if isinstance(entry, Seen):
        return "outlined here, not measured"
    return entry.reason


def _row(
    place: _Place,
    track_id: str | None,
    lesion_id: str | None,
    lesion_name: str,
    region: str | None,
    presence: str | None,
) -> Row:
    return Row(
        track_id=track_id,
        lesion_id=lesion_id,
        lesion_name=lesion_name or None,
        exam_id=place.exam.id,
        exam_name=place.exam.name,
        day=place.exam.day,
        modality=str(place.exam.modality),
        series_id=place.series.id,
        series_name=place.series.name,
        region=region,
        presence=presence,
    )


def _with_site(row: Row, site: Site) -> Row:
    if site == UNASKED:
        return row
    if isinstance(site, NoSite):
        return replace(row, place=str(site))
    return replace(
        row,
        bone=site.bone,
        bone_code=site.code.value if site.code else None,
        level=site.level,
        level_certainty=str(site.certainty) if site.certainty else None,
        alternatives=alternatives_word(site.possible[1:]) or None,
        place=str(site),
    )


def _with_value(row: Row, value: Value) -> Row:
    row = replace(row, measurement=value.name)
    if value.concept is not None:
        code = value.concept
        row = replace(row, concept_value=code.value, concept_scheme=code.scheme, concept_meaning=code.meaning)
    if isinstance(value, Missing):
        return replace(row, missing_reason=value.reason)
    low, high = value.interval or (None, None)
    return replace(
        row,
        derivation=value.derivation.meaning if value.derivation else None,
        value=value.value,
        unit=value.unit,
        interval_low=low,
        interval_high=high,
        n_voxels=value.n_voxels,
        method=value.method or None,
        criterion_id=value.criterion_id,
    )
