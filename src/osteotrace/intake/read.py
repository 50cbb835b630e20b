"""One patient's files to volumes, planar images and regions on a timeline."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from osteotrace.errors import InputError, NothingFoundError, PatientMismatchError
from osteotrace.intake import header as hd
from osteotrace.intake import storage
from osteotrace.intake.frames import Frame, frames_of
from osteotrace.intake.identity import age_years, contradictions, sex_of
from osteotrace.intake.instance import Instance
from osteotrace.intake.nifti_images import read_nifti_files
from osteotrace.intake.nuclear import read_mappings
from osteotrace.intake.planar import read_planar
from osteotrace.intake.regions import import_regions
from osteotrace.intake.scan import PatientScan, Progress, Scan, scan
from osteotrace.intake.series import Stack, is_localizer, is_mosaic, stacks_of
from osteotrace.intake.timeline import build_timeline
from osteotrace.intake.volumes import read_volume
from osteotrace.model.case import Case, place_events
from osteotrace.model.criteria import Criteria, load_criteria
from osteotrace.model.imaging import PlanarImage, Region, Series, Volume
from osteotrace.model.patient import Patient, PatientImages, Timeline
from osteotrace.model.problem import Problem, problem_of
from osteotrace.model.values import Severity

_KINDS_SHOWN = 6
_PATIENTS_SHOWN = 20


def read_study(
    path: Path, criteria: Criteria | None = None, case: Case | None = None, progress: Progress | None = None
) -> PatientImages:
    """Read the one patient under a path.

    Parameters
    ----------
    path : Path
        A file or a folder.
    criteria : Criteria, optional
        Default: those of the package.
    case : Case, optional
        What ``case.toml`` declares.
    progress : callable, optional
        Called with (stage, done, total); stages are "scan" and "read".

    Raises
    ------
    NothingFoundError
        No image of any kind; tells what was seen instead.
    PatientMismatchError
        More than one patient; lists them.
    """
    found = scan(path, progress)
    patient = only_patient(found, path)
    images = read_patient(patient, criteria or load_criteria(), case=case, progress=progress)
    return PatientImages(
        images.patient,
        images.timeline,
        images.volumes,
        images.planar,
        images.regions,
        (*found.problems, *images.problems),
    )


def only_patient(found: Scan, path: Path) -> PatientScan:
    """The one patient of a scan.

    Raises
    ------
    NothingFoundError, PatientMismatchError
        None, or more than one.
    """
    if not found.patients:
        kinds = ", ".join(f"{count} {kind}" for kind, count in found.kinds[:_KINDS_SHOWN]) or "nothing"
        raise NothingFoundError(
            f"no DICOM and no NIfTI among {len(found.files)} files ({kinds})",
            where=path.name,
            expected="DICOM files, or NIfTI files that are declared",
            remedy="give the folder that holds the images",
        )
    if len(found.patients) > 1:
        shown = found.patients[:_PATIENTS_SHOWN]
        listed = "; ".join(f"{p.key.patient_id or 'without Patient ID'}: {p.n_files} files" for p in shown)
        listed += "; ..." if len(found.patients) > len(shown) else ""
        raise PatientMismatchError(
            f"files of {len(found.patients)} patients ({listed})",
            where=path.name,
            expected="one patient",
            remedy="give one folder per patient",
        )
    return found.patients[0]


def read_patient(
    patient: PatientScan,
    criteria: Criteria,
    *,
    case: Case | None = None,
    pixels: bool = True,
    progress: Progress | None = None,
) -> PatientImages:
    """Read all images and drawings of a patient.

    What cannot be read is left out and named in ``problems``; the rest goes on.

    Parameters
    ----------
    pixels : bool
        False: timeline and geometry only; no volumes, planar images or regions.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        got = _read_images(patient, criteria, case or Case(), pixels, progress)
        timeline = build_timeline(got.series, criteria)
        regions = _read_drawings(patient, got, criteria) if pixels else ()
    got.problems += _of_warnings(caught)
    declared = case or Case()
    record, doubts = _patient_record(patient, timeline, declared)
    events = place_events(declared.events, timeline.day_zero)
    return PatientImages(
        record,
        Timeline(timeline.day_zero, timeline.exams, events),
        tuple(got.volumes),
        tuple(got.planar),
        regions,
        (*patient.problems, *doubts, *got.problems),
    )


@dataclass(slots=True)
class _Got:
    """What has been read so far; lives only inside :func:`read_patient`."""

    series: list[Series] = field(default_factory=list)
    volumes: list[Volume] = field(default_factory=list)
    planar: list[PlanarImage] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    series_of_sop: dict[str, str] = field(default_factory=dict)
    regions: list[Region] = field(default_factory=list)


def _read_images(
    patient: PatientScan, criteria: Criteria, case: Case, pixels: bool, progress: Progress | None
) -> _Got:
    got = _Got()
    mappings, problems = read_mappings(patient.mappings)
    got.problems += problems
    by_series = _by_series(patient.instances)
    for n, members in enumerate(by_series, start=1):
        if members[0].modality == "NM":
            _take_planar(got, members, pixels)
        else:
            for stack in _stacks(got, members):
                try:
                    read = read_volume(stack, mappings, criteria, pixels=pixels)
                except InputError as error:
                    got.problems.append(problem_of(error))
                    continue
                got.series.append(read.series)
                got.volumes += [read.volume] if read.volume is not None else []
                got.problems += read.problems
                got.series_of_sop = dict.fromkeys(read.sop_uids, read.series.id) | got.series_of_sop
        if progress is not None:
            progress("read", n, len(by_series))
    _take_nifti(got, patient, case, pixels)
    return got


def _by_series(instances: Iterable[Instance]) -> list[list[Instance]]:
    groups: dict[tuple[str, bool], list[Instance]] = {}
    for instance in instances:
        groups.setdefault((instance.series_instance_uid, instance.modality == "NM"), []).append(instance)
    return list(groups.values())


def _take_planar(got: _Got, members: Sequence[Instance], pixels: bool) -> None:
    read = read_planar(members, pixels=pixels)
    got.series += read.series
    got.planar += read.images
    got.problems += read.problems


def _take_nifti(got: _Got, patient: PatientScan, case: Case, pixels: bool) -> None:
    read = read_nifti_files(patient.nifti, case, pixels=pixels)
    got.series += read.series
    got.volumes += read.volumes
    got.regions += read.regions
    got.problems += read.problems


def _stacks(got: _Got, members: Sequence[Instance]) -> list[Stack]:
    """Stacks of one series without localizers and single slices, which are named."""
    kept: list[Stack] = []
    single: list[Stack] = []
    for stack in stacks_of(_frames(got, members)):
        if is_mosaic(stack):
            found = "a mosaic: slices as tiles of one picture, without places of their own"
            got.problems.append(_left_out(stack, "mosaic", found))
        elif is_localizer(stack):
            got.problems.append(_left_out(stack, "localizer", f"a localizer of {len(stack.frames)} slices"))
        elif len(stack.frames) == 1 and stack.frames[0].instance.sop_class_uid != storage.DOSE:
            single.append(stack)
        else:
            kept.append(stack)
    if single:
        names = (
            "a single slice"
            if len(single) == 1
            else f"{len(single)} single slices that differ in kind or direction"
        )
        got.problems.append(_left_out(single[0], "single-slice", f"{names}: no volume"))
    return kept


def _frames(got: _Got, members: Sequence[Instance]) -> list[Frame]:
    """Frames of the files of a series; files that do not describe theirs are left out by name."""
    frames: list[Frame] = []
    for instance in members:
        try:
            frames += frames_of(instance)
        except InputError as error:
            got.problems.append(problem_of(error))
    return frames


def _left_out(stack: Stack, code: str, found: str) -> Problem:
    return Problem(Severity.EXCLUDED, code, found, stack.where)


def _read_drawings(patient: PatientScan, got: _Got, criteria: Criteria) -> tuple[Region, ...]:
    if not patient.drawings:
        return tuple(got.regions)
    regions, problems = import_regions(
        patient.drawings,
        got.volumes,
        series_of_sop=got.series_of_sop,
        position_of_sop=_positions(patient.instances),
        criteria=criteria,
    )
    got.problems += problems
    return (*got.regions, *regions)


def _positions(instances: Iterable[Instance]) -> dict[str, tuple[float, float, float]]:
    """Image Position (Patient) of classic instances by SOP Instance UID."""
    found = {i.sop_instance_uid: hd.numbers(i.header, "ImagePositionPatient") for i in instances}
    return {uid: (p[0], p[1], p[2]) for uid, p in found.items() if len(p) == 3}


def _of_warnings(caught: Sequence[warnings.WarningMessage]) -> list[Problem]:
    """Warnings of the decoders, each once and without the values in quotes (they may name the patient)."""
    told = dict.fromkeys("'…'".join(str(w.message).split("\n")[0].split("'")[::2]) for w in caught)
    return [Problem(Severity.INFO, "header", message) for message in told]


def _patient_record(
    patient: PatientScan, timeline: Timeline, case: Case
) -> tuple[Patient, tuple[Problem, ...]]:
    facts = case.patient
    doubts = [_contradiction(name, patient) for name in contradictions(patient.identities)]
    if facts.patient_id and patient.key.patient_id and facts.patient_id != patient.key.patient_id:
        doubts.append(_declared_otherwise(facts.patient_id, patient))
    names = [i.name for i in patient.identities if i.name]
    record = Patient(
        patient.key.patient_id or facts.patient_id,
        names[0] if names else "",
        sex_of(patient.identities) or facts.sex,
        _age(patient, timeline.day_zero) if facts.age_years is None else facts.age_years,
    )
    return record, tuple(doubts)


def _age(patient: PatientScan, day_zero: date | None) -> float | None:
    ages = (age_years(i.header, day_zero) for i in patient.instances)
    return next((age for age in ages if age is not None), None)


def _contradiction(name: str, patient: PatientScan) -> Problem:
    return Problem(
        Severity.WARNING,
        "patient-identity",
        f"headers of one Patient ID contradict each other in {name}",
        f"Patient ID {patient.key.patient_id}",
        "one person",
        "check that all files are of the same patient",
    )


def _declared_otherwise(declared: str, patient: PatientScan) -> Problem:
    return Problem(
        Severity.WARNING,
        "patient-identity",
        f"case.toml declares the patient {declared}",
        f"Patient ID {patient.key.patient_id}",
        "the same Patient ID",
        "check that case.toml belongs to these images",
    )
