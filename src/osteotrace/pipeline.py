"""The order of the stages: the only place that knows it."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from osteotrace import __version__, anatomy, findings, intake, lesions, matching, outputs, registration
from osteotrace.errors import DeclarationError, NothingFoundError, OutputError, PatientMismatchError
from osteotrace.model.alignment import Alignment
from osteotrace.model.anatomy import Numbering
from osteotrace.model.bone_scan import BoneScan
from osteotrace.model.case import Case, read_case
from osteotrace.model.corrections import Corrections, Level, read_corrections
from osteotrace.model.criteria import Criteria, load_criteria
from osteotrace.model.fields import file_sha256
from osteotrace.model.imaging import Region
from osteotrace.model.lesion import Lesion
from osteotrace.model.patient import PatientImages
from osteotrace.model.problem import Problem
from osteotrace.model.skeleton import Skeleton
from osteotrace.model.values import Modality, Severity
from osteotrace.model.workup import UNNUMBERED, Provenance, StageCost, Workup

Progress = Callable[[str, int, int], None]

_REASONS_SHOWN = 3

_ALIGNMENTS: TypeAdapter[tuple[Alignment, ...]] = TypeAdapter(tuple[Alignment, ...])
_BONE_SCANS: TypeAdapter[tuple[BoneScan, ...]] = TypeAdapter(tuple[BoneScan, ...])

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run is asked to do.

    Attributes
    ----------
    case, corrections : Path or None
        ``case.toml`` and ``corrections.toml``.
    anatomy : str
        Who finds the bones: ``builtin``, ``totalsegmentator``, ``none``, or label maps (a file, a folder, or
        ``SCHEME=PATH``).
    deidentify : bool
        Leave names, dates, identifiers and UIDs out of everything written.
    seed : int
        Of the sampling in the alignment; the same seed gives the same result.
    """

    case: Path | None = None
    corrections: Path | None = None
    anatomy: str = "builtin"
    deidentify: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class RunResult:
    """What a run made.

    Attributes
    ----------
    left_out : tuple of Problem
        Everything refused or excluded; when not empty the exit code is 4.
    """

    workup: Workup
    files: tuple[Path, ...]
    left_out: tuple[Problem, ...]


class _Log:
    """Collects the cost of the stages and appends them to ``run.log.jsonl``; no patient data."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.costs: list[StageCost] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is done inside."""
        start = time.perf_counter()
        yield
        self.add(name, start)

    def add(self, name: str, start: float) -> None:
        """Note a stage that began at ``start`` (performance counter) and is done now."""
        cost = StageCost(name, round(time.perf_counter() - start, 3), _peak_mb())
        self.costs.append(cost)
        self.write(event="stage", stage=name, seconds=cost.seconds, peak_mb=cost.peak_mb)

    def write(self, **fields: object) -> None:
        """Append one line."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with _as_output_error(self._path.name), self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"time": stamp, **fields}) + "\n")


def run(path: Path, out: Path, settings: Settings, progress: Progress | None = None) -> RunResult:
    """Work up one patient: read, find the bones, align, number, measure, match, fit bone scans, write.

    A run that was stopped goes on after its last finished skeleton, alignment or fit, which are kept in
    ``out/.cache`` (of a de-identified run only until it is done: the cache holds the UIDs of the input).

    Parameters
    ----------
    path : Path
        A file or folder with the images of one patient.
    out : Path
        Folder of the results; made when absent. Files of an earlier run are replaced one by one.
    progress : callable, optional
        Called with (what, done, total).

    Raises
    ------
    InputError
        When the input is refused; no result has been written.
    OutputError
        When ``out`` cannot be written or lies in the input.
    """
    criteria = load_criteria()
    corrections = read_corrections(settings.corrections) if settings.corrections else Corrections()
    source = anatomy.source_of(settings.anatomy)
    _check_output(path, out)
    started = time.perf_counter()
    given = _read(path, settings, source, corrections, criteria, progress)
    images = given.images

    _make_folder(out)
    log = _Log(out / "run.log.jsonl")
    log.write(event="start", version=__version__, criteria=criteria.version)
    log.add("read", started)
    with log.stage("anatomy"):
        skeletons = anatomy.read(
            images,
            criteria,
            source=source,
            wanted={item.series for item in _levels(corrections)},
            regions=given.bone_regions,
            cache=out / ".cache",
            progress=progress,
        )
    bones = skeletons.anatomies
    with log.stage("align"):
        alignments = _align(given, skeletons, criteria, settings, out, progress)
    with log.stage("number"):
        numbering, of_levels = _number(skeletons, alignments, corrections, criteria)
    with log.stage("measure"):
        found = findings.measure(given.lesions, images, alignments, criteria, progress)
        placed, found = anatomy.locate(given.lesions, found, bones, alignments, numbering, criteria)
    with log.stage("match"):
        tracks = matching.link_lesions(placed, found, images.timeline, alignments, criteria, given.decisions)
        tracks = anatomy.locate_tracks(tracks, placed, found, criteria)
    with log.stage("bone scan"):
        fitted = _fit_bone_scans(given, skeletons, criteria, out, progress)
        bone_scans = registration.place_lesions(
            fitted, images, placed, tracks, alignments, criteria, anatomies=bones
        )
        bone_scans = registration.map_spots(bone_scans, images, corrections, criteria, anatomies=bones)
    workup = Workup(
        patient=images.patient,
        timeline=images.timeline,
        alignments=alignments,
        lesions=placed,
        findings=found,
        tracks=tracks,
        problems=(*images.problems, *given.problems, *skeletons.problems, *of_levels),
        provenance=_provenance(given, criteria, settings, corrections, log.costs),
        skeletons=tuple(Skeleton.of(one) for one in bones),
        not_read=skeletons.not_read,
        numbering=numbering,
        bone_scans=bone_scans,
    )
    return _written(workup, images, out, criteria, settings, log, progress)


@dataclass(frozen=True, slots=True, eq=False)
class _Given:
    """The input of a run.

    Attributes
    ----------
    images : PatientImages
        Without the segments that are bones.
    bone_regions : tuple of Region
        These.
    lesions : tuple of Lesion
        As outlined, and as a person corrected them.
    decisions : matching.Decisions
        Of a person.
    problems : tuple of Problem
        Of the outlines.
    digest : str
        Over all files that were read.
    n_files : int
    """

    images: PatientImages
    bone_regions: tuple[Region, ...]
    lesions: tuple[Lesion, ...]
    decisions: matching.Decisions
    problems: tuple[Problem, ...]
    digest: str
    n_files: int


def _read(
    path: Path,
    settings: Settings,
    source: anatomy.Source,
    corrections: Corrections,
    criteria: Criteria,
    progress: Progress | None,
) -> _Given:
    case = read_case(settings.case) if settings.case else None
    scan = intake.scan(path, progress)
    patient, bone_objects = _with_drawings_of(source, intake.only_patient(scan, path))
    images = intake.read_patient(patient, criteria, case=case, progress=progress)
    images = replace(images, problems=(*scan.problems, *images.problems))
    _check_exams(images, path)
    _check_levels(corrections, images)
    registration.check_spots(corrections, images)
    images, bone_regions = _apart(images, bone_objects)
    drawn, problems = lesions.lesions_of(images)
    outlined = lesions.correct(drawn, corrections, images)
    files = (*scan.files, *_declared_files(case, settings), *_label_files(source))
    return _Given(
        images=images,
        bone_regions=bone_regions,
        lesions=outlined,
        decisions=matching.Decisions(*lesions.identity_pairs(outlined, corrections)),
        problems=problems,
        digest=_inputs_digest(files),
        n_files=len(scan.files),
    )


def _align(
    given: _Given,
    skeletons: anatomy.Skeletons,
    criteria: Criteria,
    settings: Settings,
    out: Path,
    progress: Progress | None,
) -> tuple[Alignment, ...]:
    file = _cache_file(out, "alignment", (given.digest, skeletons.digest, str(settings.seed)), criteria)
    return _kept(
        file,
        _ALIGNMENTS,
        lambda: registration.align(
            given.images.volumes,
            criteria,
            anatomies=skeletons.anatomies,
            seed=settings.seed,
            progress=progress,
        ),
    )


def _fit_bone_scans(
    given: _Given,
    skeletons: anatomy.Skeletons,
    criteria: Criteria,
    out: Path,
    progress: Progress | None,
) -> tuple[BoneScan, ...]:
    return _kept(
        _cache_file(out, "bone-scan", (given.digest, skeletons.digest), criteria),
        _BONE_SCANS,
        lambda: registration.fit_bone_scans(
            given.images, criteria, anatomies=skeletons.anatomies, progress=progress
        ),
    )


def _written(
    workup: Workup,
    images: PatientImages,
    out: Path,
    criteria: Criteria,
    settings: Settings,
    log: _Log,
    progress: Progress | None,
) -> RunResult:
    with log.stage("write"):
        shown = outputs.deidentify(workup) if settings.deidentify else workup
        files = outputs.write_outputs(shown, images, out, criteria, progress=progress)
    if settings.deidentify:
        shutil.rmtree(out / ".cache")  # it holds the UIDs of the input
    left_out = tuple(p for p in workup.problems if p.severity in (Severity.REFUSED, Severity.EXCLUDED))
    log.write(event="end", tracks=len(workup.tracks), left_out=len(left_out))
    return RunResult(shown, files, left_out)


def survey(
    path: Path, case_file: Path | None = None, progress: Progress | None = None
) -> tuple[tuple[PatientImages, ...], tuple[Problem, ...]]:
    """Everything that is in a folder, patient by patient.

    All images are read, so that what cannot be decoded is found; then their values are let go.

    Returns
    -------
    patients : tuple of PatientImages
        Without volumes and planar images; exams, series, regions and problems are complete.
    problems : tuple of Problem
        Of the folder as a whole.
    """
    criteria = load_criteria()
    case = read_case(case_file) if case_file else None
    scan = intake.scan(path, progress)
    patients = []
    for patient in scan.patients:
        images = intake.read_patient(patient, criteria, case=case, progress=progress)
        patients.append(replace(images, volumes=(), planar=()))
    problems = list(scan.problems)
    if len(patients) > 1:
        problems.append(_several_patients(patients))
    return tuple(patients), tuple(problems)


def _with_drawings_of(
    source: anatomy.Source, patient: intake.PatientScan
) -> tuple[intake.PatientScan, frozenset[str]]:
    """The patient with the DICOM SEG of bones that ``--anatomy`` names, and their SOP Instance UIDs."""
    if not isinstance(source, anatomy.LabelFiles):
        return patient, frozenset()
    found = [drawing for other in intake.scan(source.path).patients for drawing in other.drawings]
    known = {drawing.sop_instance_uid for drawing in patient.drawings}
    further = tuple(drawing for drawing in found if drawing.sop_instance_uid not in known)
    uids = frozenset(drawing.sop_instance_uid for drawing in found)
    return replace(patient, drawings=(*patient.drawings, *further)), uids


def _apart(images: PatientImages, bone_objects: frozenset[str]) -> tuple[PatientImages, tuple[Region, ...]]:
    """The images without the segments that are bones, and these."""
    bones = tuple(region for region in images.regions if region.source_uid in bone_objects)
    rest = tuple(region for region in images.regions if region.source_uid not in bone_objects)
    return replace(images, regions=rest), bones


def _levels(corrections: Corrections) -> tuple[Level, ...]:
    return tuple(item for item in corrections.items if isinstance(item, Level))


def _check_levels(corrections: Corrections, images: PatientImages) -> None:
    for item in _levels(corrections):
        volume = images.volume(item.series)
        if volume is None or volume.series.modality not in (Modality.CT, Modality.MR):
            raise DeclarationError(
                f"a correction gives a level on a series that has no bones: {item}",
                where=item.series,
                expected="the id of a CT or MR series that inspect lists",
            )


def _number(
    skeletons: anatomy.Skeletons,
    alignments: tuple[Alignment, ...],
    corrections: Corrections,
    criteria: Criteria,
) -> tuple[Numbering, tuple[Problem, ...]]:
    """Levels of the vertebrae, and what limits them; without any skeleton a given level is not used."""
    if not skeletons.anatomies:
        return UNNUMBERED, tuple(_unused(item) for item in _levels(corrections))
    numbering = anatomy.number(skeletons.anatomies, alignments, corrections, criteria)
    return numbering, tuple(anatomy.as_limit(problem) for problem in numbering.problems)


def _unused(item: Level) -> Problem:
    return Problem(
        Severity.WARNING,
        "level-not-used",
        f"a correction is not used: {item}",
        expected="a run that finds bones",
        remedy="keep it in the file, and run with --anatomy builtin",
    )


def _label_files(source: anatomy.Source) -> tuple[Path, ...]:
    """Files of ``--anatomy``."""
    return source.files if isinstance(source, anatomy.LabelFiles) else ()


def _anatomy_word(text: str) -> str:
    """Who finds the bones, without the name of a file."""
    source = anatomy.source_of(text)
    return "label maps" if isinstance(source, anatomy.LabelFiles) else source


def _several_patients(patients: Sequence[PatientImages]) -> Problem:
    error = PatientMismatchError(f"{len(patients)} patients are in one folder")
    remedy = "give run the folder of one patient"
    return Problem(Severity.WARNING, error.code, error.found, expected="one patient", remedy=remedy)


def _check_exams(images: PatientImages, path: Path) -> None:
    """Refuse input of which nothing can be used, with the first reasons."""
    if images.timeline.exams:
        return
    kinds = (Severity.REFUSED, Severity.EXCLUDED)
    reasons = [f"{p.found} [{p.where}]" for p in images.problems if p.severity in kinds]
    more = f"; and {len(reasons) - _REASONS_SHOWN} more" if len(reasons) > _REASONS_SHOWN else ""
    raise NothingFoundError(
        "; ".join(["no image can be used", *reasons[:_REASONS_SHOWN]]) + more,
        where=path.name,
        expected="at least one image that makes a volume or a view",
        remedy="osteotrace inspect lists everything",
    )


def _check_output(path: Path, out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise OutputError("the output is not a folder", where=out.name, remedy="name a folder")
    if path.is_dir() and out.resolve().is_relative_to(path.resolve()):
        raise OutputError(
            "the output folder lies inside the input folder",
            where=out.name,
            expected="a folder beside it",
            remedy="choose another -o, so that results are never read as input",
        )
    parent = next(p for p in (out.resolve(), *out.resolve().parents) if p.exists())
    if not os.access(parent, os.W_OK):
        raise OutputError("the output folder cannot be written", where=out.name, remedy="choose another -o")


def _make_folder(out: Path) -> None:
    with _as_output_error(out.name):
        (out / ".cache").mkdir(parents=True, exist_ok=True)
        for half in (out / ".cache").glob("*.part"):  # of a run that was killed
            half.unlink(missing_ok=True)


@contextmanager
def _as_output_error(where: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        found = f"the output cannot be written ({error.strerror or type(error).__name__})"
        raise OutputError(found, where=where, remedy="choose another -o, or make room") from error


def _cache_file(out: Path, name: str, keys: Sequence[str], criteria: Criteria) -> Path:
    """Where what a stage makes of these inputs is kept."""
    key = "\n".join([*keys, __version__, criteria.sha256])
    return out / ".cache" / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"


def _kept(file: Path, adapter: TypeAdapter[Made], make: Callable[[], Made]) -> Made:
    """What an earlier run of the same input made, or what is made now, and kept."""
    earlier = _read_cache(file, adapter)
    if earlier is not None:
        return earlier
    made = make()
    temporary = file.with_suffix(".part")
    with _as_output_error(file.name):
        try:
            temporary.write_bytes(adapter.dump_json(made))
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)
    return made


def _read_cache(file: Path, adapter: TypeAdapter[Made]) -> Made | None:
    """What an earlier run of the same input made, or None when there is none or it is damaged."""
    try:
        return adapter.validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None


def _inputs_digest(files: Sequence[Path]) -> str:
    hashes = sorted(_file_digest(file) for file in {file.resolve(): file for file in files}.values())
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def _declared_files(case: Case | None, settings: Settings) -> Iterator[Path]:
    """``case.toml`` and the images that it names: frames and quantities of NIfTI files stand there."""
    if case is not None and settings.case is not None:
        yield settings.case
        yield from (file for image in case.images for file in image.files)


def _file_digest(file: Path) -> str:
    try:
        return file_sha256(file)
    except OSError:  # recorded as unreadable by the scan
        return "unreadable"


def _provenance(
    given: _Given,
    criteria: Criteria,
    settings: Settings,
    corrections: Corrections,
    costs: Sequence[StageCost],
) -> Provenance:
    uids = {s.series_instance_uid for e in given.images.timeline.exams for s in e.series}
    return Provenance(
        osteotrace_version=__version__,
        criteria_version=criteria.version,
        criteria_sha256=criteria.sha256,
        inputs_sha256=given.digest,
        n_files=given.n_files,
        series_instance_uids=tuple(sorted(uids)),
        settings=(
            ("anatomy", _anatomy_word(settings.anatomy)),
            ("deidentify", str(settings.deidentify).lower()),
            ("seed", str(settings.seed)),
        ),
        corrections=tuple(str(item) for item in corrections.items),
        stages=tuple(costs),
    )


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


__all__ = ["RunResult", "Settings", "run", "survey"]
