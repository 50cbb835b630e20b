"""A result from which the patient cannot be told, made from one from which they can.

What stays: sex, age up to 89, day offsets, geometry, values, scanner, coded words. What goes: identifiers,
names, dates and times, UIDs (replaced one for one, the same everywhere) and every text that a person typed.
After DICOM PS3.15 Annex E: Basic Profile, device identity retained, day offsets instead of dates.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any, TypeVar, cast

from osteotrace.model.anatomy import Bone, Outlined, Possible
from osteotrace.model.bone_scan import BoneScan, RegionOutline
from osteotrace.model.codes import Code
from osteotrace.model.imaging import Attribute, Exam, NuclearFacts, Series
from osteotrace.model.lesion import Lesion, LesionTrack, Origin
from osteotrace.model.patient import EarlierReading, Event, Patient, PatientImages, Timeline
from osteotrace.model.planar import RegionFit
from osteotrace.model.problem import Problem
from osteotrace.model.workup import Provenance, Workup
from osteotrace.outputs.scrub import Scrubber, pseudo_uid
from osteotrace.space import Grid, LabelImage, Mask, RigidTransform

_PSEUDONYM = "anonymous"
# Ages of 90 and more are one group (45 CFR 164.514 (b)(2)(i)(C)).
_OLDEST_YEARS = 90.0
# Short names of series that are made of coded facts.
_OWN_NAMES = re.compile(r"(?:CT|MR|NM|dose|ADC|(?:T1|T2\*?|PDW?|STIR|FLAIR|DWI)(?: (?:FS|\+C|b\d+))*)")
_UNTOLD = "text left out"
_QUOTED_WARNINGS = frozenset({"header", "dicom-warning"})  # of the DICOM reader; they repeat header values
# Fields that hold a UID, or an id that is made of one.
_UID_FIELDS = frozenset({
    "series_instance_uid", "study_instance_uid", "series_instance_uids", "series_id", "fixed_series",
    "moving_series", "tracking_uid", "source_uid", "stations", "frame_of_reference_uid",
})  # fmt: skip

# Records whose texts are osteotrace's own words, whatever a person called an outline: ``T11`` stays ``T11``.
_OWN_WORDS = (Bone, Outlined, Possible, Code, RegionFit, RegionOutline)
# Fields of the same kind in records that hold UIDs as well.
_OWN_FIELDS = frozenset({"bone", "bone_id", "also", "searched", "region"})

Record = TypeVar("Record")


def deidentify(workup: Workup) -> Workup:
    """The same result without anything that tells who the patient is.

    Parameters
    ----------
    workup : Workup
        Not changed.

    Returns
    -------
    Workup
        Patient "anonymous"; no dates, day offsets stay; UIDs replaced by UIDs of the root 2.25, the same one
        for the same input; names of outlines and series descriptions replaced; texts of events left out;
        texts of problems and reasons without names, dates, UIDs, file names and quoted words.
    """
    names = _replacements(workup)
    known = _names_of_spots(workup) | names | _descriptions(workup.timeline)
    scrubber = Scrubber.of(workup.patient, known, _uids(workup))
    clean = _Cleaner(scrubber)
    return Workup(
        patient=_patient(workup.patient),
        timeline=_timeline(workup.timeline, clean),
        alignments=clean(workup.alignments),
        lesions=tuple(replace(clean(x), name=names[x.name]) for x in workup.lesions),
        findings=clean(workup.findings),
        tracks=tuple(replace(clean(x), name=names[x.name]) for x in workup.tracks),
        problems=tuple(_problem(x, scrubber) for x in workup.problems),
        provenance=_provenance(workup.provenance, scrubber),
        skeletons=clean(workup.skeletons),
        not_read=clean(workup.not_read),
        numbering=replace(
            clean(replace(workup.numbering, problems=())),
            problems=tuple(_problem(x, scrubber) for x in workup.numbering.problems),
        ),
        bone_scans=tuple(_bone_scan(x, clean) for x in workup.bone_scans),
        schema_version=workup.schema_version,
    )


def deidentify_images(images: PatientImages) -> PatientImages:
    """The images that belong to :func:`deidentify`'s result: same voxels, same replaced UIDs.

    Problems and regions are left out: the workup holds what was made of them.
    """
    clean = _Cleaner(Scrubber.of(images.patient, {}, ()))
    timeline = _timeline(images.timeline, clean)
    series = {s.id: s for e in timeline.exams for s in e.series}

    def of(old: Series) -> Series:
        return series.get(pseudo_uid(old.id), _series(old, clean))

    return PatientImages(
        patient=_patient(images.patient),
        timeline=timeline,
        volumes=tuple(replace(v, grid=_grid(v.grid), series=of(v.series)) for v in images.volumes),
        planar=tuple(replace(p, series=of(p.series)) for p in images.planar),
        regions=(),
        problems=(),
    )


def images_of(workup: Workup, images: PatientImages) -> PatientImages:
    """The images under the UIDs of the workup: replaced ones when the workup is de-identified."""
    known = {s.id for e in workup.timeline.exams for s in e.series}
    here = {v.series.id for v in images.volumes} | {p.series.id for p in images.planar}
    return images if here <= known else deidentify_images(images)


class _Cleaner:
    """Rewrites records field by field; one mask stays one mask."""

    def __init__(self, scrubber: Scrubber) -> None:
        self._scrubber = scrubber
        self._masks: dict[int, Mask] = {}
        self._labels: dict[int, LabelImage] = {}

    def __call__(self, value: Record) -> Record:
        """The same value, its UIDs replaced and its texts scrubbed."""
        return cast("Record", self._any(value, ""))

    def _any(self, value: Any, field: str) -> Any:
        if isinstance(value, Mask):
            return self._masks.setdefault(id(value), Mask(value.values, _grid(value.grid)))
        if isinstance(value, LabelImage):
            return self._labels.setdefault(id(value), LabelImage(value.values, _grid(value.grid)))
        if isinstance(value, _OWN_WORDS):
            return value
        if isinstance(value, Grid):
            return _grid(value)
        if isinstance(value, RigidTransform):
            return RigidTransform(value.matrix, pseudo_uid(value.from_frame), pseudo_uid(value.to_frame))
        if isinstance(value, Origin) and value.method == "detected":
            return value  # the name of a detector is no UID
        if isinstance(value, Attribute):
            source = self._scrubber(value.source).partition(": ")[0]  # after the colon stands a description
            return Attribute(value.value and self._scrubber(value.value), value.basis, source)
        if isinstance(value, tuple):
            return tuple(self._any(item, field) for item in value)
        if type(value) is str:
            return pseudo_uid(value) if field in _UID_FIELDS else self._scrubber(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            coded = _coded_fields(type(value))
            fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
            kept = coded | _OWN_FIELDS
            return type(value)(**{k: v if k in kept else self._any(v, k) for k, v in fields.items()})
        return value


@cache
def _coded_fields(record: type) -> frozenset[str]:
    """Fields that hold one of a few fixed words."""
    hints = typing.get_type_hints(record)
    return frozenset(name for name, hint in hints.items() if typing.get_origin(hint) is typing.Literal)


def _replacements(workup: Workup) -> dict[str, str]:
    """Names of outlines and tracks, which a person typed, and the numbers that they become."""
    records: tuple[Lesion | LesionTrack, ...] = (*workup.tracks, *workup.lesions)
    names = dict.fromkeys(record.name for record in records if record.name)
    return {"": ""} | {name: f"outline {number}" for number, name in enumerate(names, start=1)}


def _names_of_spots(workup: Workup) -> dict[str, str]:
    """Names of hot spots, which a person typed, and the ids that they become."""
    return {spot.name: spot.id for scan in workup.bone_scans for spot in scan.spots if spot.name}


def _bone_scan(scan: BoneScan, clean: _Cleaner) -> BoneScan:
    cleaned = clean(scan)
    return cleaned.with_spots(tuple(replace(spot, name="") for spot in cleaned.spots))


def _descriptions(timeline: Timeline) -> dict[str, str]:
    """Names with dates and free descriptions, and what stands there instead."""
    exams = {exam.name: _exam_name(exam) for exam in timeline.exams}
    series = [s for exam in timeline.exams for s in exam.series]
    told = {
        text: _series_name(s) for s in series for text in (s.description, s.name) if text != _series_name(s)
    }
    return told | exams


def _uids(workup: Workup) -> Iterator[str]:
    for exam in workup.timeline.exams:
        for series in exam.series:
            yield from (series.id, series.series_instance_uid, series.study_instance_uid)
            if series.grid is not None:
                yield series.grid.frame_of_reference_uid
    for alignment in workup.alignments:
        yield from alignment.frames
    yield from (lesion.origin.source_uid for lesion in workup.lesions if lesion.origin.method != "detected")


def _patient(patient: Patient) -> Patient:
    age = patient.age_years
    return Patient(_PSEUDONYM, "", patient.sex, None if age is None else min(float(int(age)), _OLDEST_YEARS))


def _timeline(timeline: Timeline, clean: _Cleaner) -> Timeline:
    return Timeline(
        None, tuple(_exam(e, clean) for e in timeline.exams), tuple(_event(e, clean) for e in timeline.events)
    )


def _exam(exam: Exam, clean: _Cleaner) -> Exam:
    return Exam(
        id=exam.id,
        name=_exam_name(exam),
        modality=exam.modality,
        datetime=None,
        day=exam.day,
        series=tuple(_series(s, clean) for s in exam.series),
        stations=tuple(tuple(pseudo_uid(s) for s in station) for station in exam.stations),
    )


def _exam_name(exam: Exam) -> str:
    return f"{exam.modality} undated" if exam.day is None else f"{exam.modality} day {exam.day}"


def _series_name(series: Series) -> str:
    """The short name where it is one of osteotrace's own words; a name taken from a description is not."""
    own = isinstance(series.facts, NuclearFacts) or _OWN_NAMES.fullmatch(series.name)
    return series.name if own else f"{series.modality} series"


def _series(series: Series, clean: _Cleaner) -> Series:
    undated = replace(series, datetime=None, description="", id="", sop_class_uid="", transfer_syntax_uid="")
    cleaned = clean(undated)
    return replace(
        cleaned,
        id=pseudo_uid(series.id),
        name=clean(_series_name(series)),
        description=clean(_series_name(series)),
        sop_class_uid=series.sop_class_uid,
        transfer_syntax_uid=series.transfer_syntax_uid,
        manufacturer=series.manufacturer,
        model_name=series.model_name,
    )


def _event(event: Event, clean: _Cleaner) -> Event:
    untold = replace(clean(event), date=None, text=_UNTOLD)
    return (
        replace(untold, lesions=(_UNTOLD,) * len(untold.lesions))
        if isinstance(untold, EarlierReading)
        else untold
    )


def _problem(problem: Problem, scrubber: Scrubber) -> Problem:
    return Problem(
        problem.severity,
        problem.code,
        _UNTOLD if problem.code in _QUOTED_WARNINGS else scrubber.strict(problem.found),
        scrubber.place(problem.where),
        scrubber.strict(problem.expected),
        scrubber.strict(problem.remedy),
    )


def _provenance(provenance: Provenance, scrubber: Scrubber) -> Provenance:
    return replace(
        provenance,
        series_instance_uids=tuple(pseudo_uid(u) for u in provenance.series_instance_uids),
        settings=tuple((key, scrubber(value)) for key, value in provenance.settings),
        corrections=tuple(scrubber.strict(text) for text in provenance.corrections),
    )


def _grid(grid: Grid) -> Grid:
    return Grid(grid.shape, grid.affine, pseudo_uid(grid.frame_of_reference_uid))
