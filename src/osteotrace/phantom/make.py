"""A planned patient becomes files: DICOM of every exam, drawings of a reader, ``case.toml``, truth apart."""

from __future__ import annotations

import json
import shutil
import tomllib
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.path import Path as Polygon

from osteotrace import __version__
from osteotrace.errors import OutputError
from osteotrace.model.case import PatientFacts
from osteotrace.phantom.plan import CasePlan, SeriesPlan, SessionPlan
from osteotrace.phantom.posture import Lie, body_points, lay_down, random_lie, shifted
from osteotrace.phantom.protocols import Acquisition, CtProtocol, MrProtocol, NmProtocol, PetProtocol
from osteotrace.phantom.reading import Drawing, read_exam
from osteotrace.phantom.records import Insert, Posture
from osteotrace.phantom.scanner import (
    Scene,
    acquire_ct,
    acquire_mr,
    acquire_nm,
    acquire_pet,
    bone_labels,
    calibrate,
    insert_labels,
    plan_axial,
    plan_mr,
)
from osteotrace.phantom.storage import (
    Scanner,
    Session,
    StudyContext,
    uid,
    write_acquisition,
    write_case,
    write_segmentation,
    write_structure_set,
)
from osteotrace.phantom.truth import case_truth, series_truth
from osteotrace.space import FloatArray, Grid, Mask, write_nifti

Progress = Callable[[str, int, int], None]
ReaderKind = Literal["rtstruct", "seg", "none"]

_DAY_ZERO = date(2010, 3, 1)
_SHIFT_MM = 3.0  # at most, of the patient between two sequences of a session
_TILT_DEG = 2.5  # SD of the turn of sagittal slices against the body
_LABEL_MM = 1.5  # truth volumes of CT are not finer than this in the slice
_PART = ".part-"


@dataclass(frozen=True, slots=True, eq=False)
class _Visit:
    """One session as it takes place."""

    plan: SessionPlan
    scene: Scene
    posture: Posture
    series: SeriesPlan
    grid: Grid | None


def make_patient(
    folder: Path, plan: CasePlan, *, reader: ReaderKind = "rtstruct", progress: Progress | None = None
) -> None:
    """Write a patient: ``folder/dicom``, ``folder/truth``, ``folder/case.toml``.

    Series that an interrupted run of the same plan has finished are kept.

    Parameters
    ----------
    folder : Path
        Made when absent.
    reader : {"rtstruct", "seg", "none"}
        How the drawings of a reader are delivered; with ``none`` there are none.

    Raises
    ------
    OutputError
        When the folder holds something else or cannot be written; what is there is kept.
    """
    try:
        _claim(folder, plan, reader)
        _make(folder, plan, reader, progress)
    except OSError as error:
        found = f"the phantom cannot be written ({error.strerror or type(error).__name__})"
        raise OutputError(found, where=folder.name, remedy="choose another -o, or make room") from error


def _make(folder: Path, plan: CasePlan, reader: ReaderKind, progress: Progress | None) -> None:
    context = study_context(plan)
    todo = [(session, series) for session in plan.sessions for series in session.series]
    truths: list[dict[str, Any]] = []
    for done, (session, series) in enumerate(todo):
        if progress is not None:
            progress(f"making the phantom: {series.id}", done, len(todo))
        kept = folder / "truth" / "series" / f"{series.id}.json"
        if not kept.exists():
            visit = _visit(plan, session, series)
            _write_text(kept, json.dumps(_write_series(folder, plan, visit, context, reader)))
        truths.append(json.loads(kept.read_text(encoding="utf-8")))
    person = plan.body.person
    facts = PatientFacts(context.patient_id, person.sex, float(person.age_years))
    write_case(folder / "case.toml", facts, plan.events)
    _write_text(folder / "truth" / "truth.json", json.dumps(case_truth(plan, truths), indent=1))
    if progress is not None:
        progress("making the phantom", len(todo), len(todo))


# --- where it goes ----------------------------------------------------------------------------------


def _claim(folder: Path, plan: CasePlan, reader: ReaderKind) -> None:
    """Make the folder ours, or refuse when it holds another phantom or other things."""
    note = folder / "phantom.json"
    ours = {
        "format": "osteotrace phantom 1",
        "osteotrace": __version__,
        "case": plan.name,
        "seed": plan.seed,
        "counterfactual": plan.counterfactual,
        "motion": plan.motion,
        "reader": reader,
        "body": zlib.crc32(b"".join(part.shape.values.tobytes() for part in plan.body.parts)),
        "series": [series.id for session in plan.sessions for series in session.series],
    }
    if note.exists() and json.loads(note.read_text(encoding="utf-8")) == ours:
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(
            "the folder holds something else",
            where=folder.name,
            expected="a new folder, or this phantom half made",
            remedy="choose another -o; nothing was changed",
        )
    _write_text(note, json.dumps(ours, indent=1))


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(_PART + path.name)
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def study_context(plan: CasePlan) -> StudyContext:
    """Patient, dates and scanners of a plan as the headers name them."""
    text = resources.files("osteotrace.phantom").joinpath("machines.toml").read_text(encoding="utf-8")
    machines = tomllib.loads(text)
    name = f"PHANTOM-{plan.name}-{plan.seed}"
    return StudyContext(
        plan.body.person,
        name,
        f"Phantom^{plan.name.capitalize()}",
        _DAY_ZERO + timedelta(days=plan.seed % 1000),
        plan.seed,
        tuple(_session(session, machines[session.scanner], name) for session in plan.sessions),
    )


def _session(plan: SessionPlan, machine: dict[str, str], patient: str) -> Session:
    scanner = Scanner(
        machine["vendor"],  # type: ignore[arg-type]
        machine["model"],
        machine["station"],
        machine["institution"],
    )
    foreign = (f"R-{patient}", machine["institution"]) if plan.scanner.startswith("referring") else ("", "")
    return Session(
        plan.id,
        machine["description"],
        plan.body_part or machine["body_part"],
        scanner,
        plan.minute,
        foreign_id=foreign[0],
        foreign_issuer=foreign[1],
    )


# --- one series -------------------------------------------------------------------------------------


def _visit(plan: CasePlan, session: SessionPlan, series: SeriesPlan) -> _Visit:
    frame = str(uid(plan.seed, plan.name, plan.counterfactual, session.id, "frame"))
    lie = random_lie(_rng(plan, session.id, "lie"), session.arms, plan.motion)
    if series.breath_mm is not None:
        lie = replace(lie, breath_mm=series.breath_mm)
    posture = _between_sequences(plan, session, series, _lain(plan, session, lie, frame))
    inserts = _inserts(plan, session.day)
    scene = Scene(plan.body, inserts, posture, plan.seed)
    grid = _grid(plan, series, posture, _rng(plan, series.id, "grid"))
    if isinstance(series.protocol, PetProtocol) and grid is not None:
        present = {insert.id for insert in inserts}
        for lesion, wanted in plan.wanted_suv_max:
            if lesion in present:
                scene = calibrate(scene, series.protocol, grid, lesion, wanted)
    return _Visit(session, scene, posture, series, grid)


@lru_cache(maxsize=1)  # the series of a session share them
def _inserts(plan: CasePlan, day: int) -> tuple[Insert, ...]:
    return tuple(i for lesion in plan.lesions if (i := lesion.insert(day)) is not None)


@lru_cache(maxsize=1)
def _lain(plan: CasePlan, session: SessionPlan, lie: Lie, frame: str) -> Posture:
    """The same draws for every series of a session: only the breath may differ."""
    return lay_down(plan.body, lie, frame, _rng(plan, session.id, "joints"))


def _between_sequences(plan: CasePlan, session: SessionPlan, series: SeriesPlan, posture: Posture) -> Posture:
    """The patient has moved by 0 to 3 mm since the first sequence of an MR session."""
    if not isinstance(series.protocol, MrProtocol) or series.minute == 0:
        return posture
    rng = _rng(plan, session.id, series.id, "shift")
    direction = rng.normal(size=3)
    shift = direction / np.linalg.norm(direction) * rng.uniform(0, _SHIFT_MM)
    return shifted(posture, shift)


def _rng(plan: CasePlan, *names: str) -> np.random.Generator:
    return np.random.default_rng([plan.seed, *(zlib.crc32(name.encode()) for name in names)])


def _seed(plan: CasePlan, name: str) -> int:
    return int(_rng(plan, name, "noise").integers(2**31))


def _grid(plan: CasePlan, series: SeriesPlan, posture: Posture, rng: np.random.Generator) -> Grid | None:
    protocol, frame = series.protocol, posture.frame_of_reference_uid
    if isinstance(protocol, NmProtocol):
        return None
    top, bottom = _ends(plan, series, posture)
    middle = (top + bottom) / 2
    if isinstance(protocol, MrProtocol):
        step = np.array([protocol.thickness_mm + protocol.gap_mm, protocol.pixel_mm, protocol.pixel_mm])
        tilt = rng.normal(0, _TILT_DEG, 3)
        center = middle + rng.uniform(-0.5, 0.5, 3) * step
        return plan_mr(protocol, center, frame, tilt_deg=(float(tilt[0]), float(tilt[1]), float(tilt[2])))
    step = np.array([protocol.pixel_mm, protocol.pixel_mm, protocol.slice_mm])
    center = _trunk_center(plan, posture, middle) + rng.uniform(-0.5, 0.5, 3) * step
    return plan_axial(protocol, center, float(top[2] - bottom[2]), frame)


def _ends(plan: CasePlan, series: SeriesPlan, posture: Posture) -> tuple[FloatArray, FloatArray]:
    """Upper and lower end of the field of view: for MR the centres of two bones, else their outer ends."""
    top, bottom = (plan.body.bone(name) for name in (series.top, series.bottom))
    upper, lower = posture.to_exam(top.name, top.centroid), posture.to_exam(bottom.name, bottom.centroid)
    if isinstance(series.protocol, MrProtocol):
        return upper, lower
    upper[2] += top.part.shape.high[2] - top.centroid[2] + series.beyond_mm[0]
    lower[2] -= bottom.centroid[2] - bottom.part.shape.low[2] + series.beyond_mm[1]
    return upper, lower


def _trunk_center(plan: CasePlan, posture: Posture, middle: FloatArray) -> FloatArray:
    """Middle of the trunk at a height: between the skin in front and behind, on the spine in x."""
    spine = posture.to_exam("vertebrae_L1", plan.body.bone("L1").centroid)
    skin = plan.body.parts[0].shape
    line = np.array([spine[0], 0.0, spine[2]]) + np.outer(np.arange(-250.0, 250.0, 2.0) + spine[1], [0, 1, 0])
    inside = line[skin.at(body_points(posture, "wall", line)) < 0]
    depth = float(inside[:, 1].mean()) if len(inside) else float(spine[1])
    return np.array([spine[0], depth, middle[2]])


def _acquire(plan: CasePlan, visit: _Visit) -> Acquisition:
    protocol, seed = visit.series.protocol, _seed(plan, visit.series.id)
    match protocol, visit.grid:
        case MrProtocol(), Grid() as grid:
            values = acquire_mr(visit.scene, protocol, grid, seed)
        case CtProtocol(), Grid() as grid:
            values = acquire_ct(visit.scene, protocol, grid, seed)
        case PetProtocol(), Grid() as grid:
            values = acquire_pet(visit.scene, protocol, grid, seed)
        case NmProtocol(), _:
            values = acquire_nm(visit.scene, protocol, _camera_center(plan, visit), seed)
        case _:
            raise TypeError(type(protocol).__name__)
    minute = visit.plan.minute + visit.series.minute
    return Acquisition(visit.series.id, visit.plan.id, visit.plan.day, minute, protocol, values, visit.grid)


def _camera_center(plan: CasePlan, visit: _Visit) -> FloatArray:
    """Exam point in the middle of both views."""
    top, bottom = _ends(plan, visit.series, visit.posture)
    return _trunk_center(plan, visit.posture, (top + bottom) / 2)


def planar_center(plan: CasePlan, session: SessionPlan) -> FloatArray:
    """Exam point in the middle of the views of a planar session, mm; for tests and benchmarks.

    :func:`osteotrace.phantom.scanner.nm.planar_pixels` says from it where an exam point appears.
    """
    return _camera_center(plan, _visit(plan, session, session.series[0]))


def _write_series(
    folder: Path, plan: CasePlan, visit: _Visit, context: StudyContext, reader: ReaderKind
) -> dict[str, Any]:
    """Files of one series and its share of the truth."""
    acquisition = _acquire(plan, visit)
    target = folder / "dicom" / visit.plan.id / visit.series.id
    part = target.with_name(_PART + target.name)
    shutil.rmtree(part, ignore_errors=True)
    write_acquisition(part, acquisition, context)
    shutil.rmtree(target, ignore_errors=True)
    part.replace(target)
    drawings: tuple[Drawing, ...] | None = None
    if visit.plan.drawn_on == visit.series.id:
        _write_labels(folder / "truth", visit)
        if reader != "none":
            drawings = _read(plan, visit, acquisition)
            _write_drawings(target.parent / "reading", acquisition, drawings, context, reader)
    series_uid = str(context.series_uid(acquisition))
    return series_truth(plan, acquisition, visit.posture, visit.scene.inserts, series_uid, drawings)


# --- reading and labels -----------------------------------------------------------------------------


def _read(plan: CasePlan, visit: _Visit, acquisition: Acquisition) -> tuple[Drawing, ...]:
    natures = {lesion.id: lesion.nature for lesion in plan.lesions}
    on_mr = isinstance(acquisition.protocol, MrProtocol)  # a mass in the cord is a matter of MR
    outlined = ("metastasis", "primary") if on_mr else ("metastasis",)
    inserts = [i for i in visit.scene.inserts if natures[i.id] in outlined]
    known = [i.id for i in inserts if natures[i.id] == "primary"]
    rng = _rng(plan, acquisition.id, "reader")
    return read_exam(acquisition, plan.body, inserts, visit.posture, rng, known)


def _write_drawings(
    folder: Path,
    acquisition: Acquisition,
    drawings: Sequence[Drawing],
    context: StudyContext,
    reader: ReaderKind,
) -> None:
    if not drawings:
        return
    path = folder / f"{acquisition.id}.dcm"
    if reader == "rtstruct":
        write_structure_set(path, acquisition, [(d.name, d.contours) for d in drawings], context)
        return
    write_segmentation(path, acquisition, list(_masks(acquisition, drawings)), context)


def _masks(acquisition: Acquisition, drawings: Sequence[Drawing]) -> Iterator[tuple[str, Mask]]:
    """Drawings as masks on the lattice of their series; those without a voxel are left out."""
    assert acquisition.grid is not None
    grid = acquisition.grid
    for drawing in drawings:
        values = np.zeros(grid.shape, dtype=bool)
        for contour in drawing.contours:
            index = grid.indices(contour)
            low = np.maximum(np.floor(index[:, :2].min(axis=0)).astype(int), 0)
            high = np.minimum(np.ceil(index[:, :2].max(axis=0)).astype(int) + 1, grid.shape[:2])
            i, j = np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij")
            inside = Polygon(index[:, :2]).contains_points(np.column_stack([i.ravel(), j.ravel()]))
            k = round(float(index[0, 2]))
            values[low[0] : high[0], low[1] : high[1], k] ^= inside.reshape(i.shape)
        if values.any():
            yield drawing.name, Mask(values, grid)


def _write_labels(folder: Path, visit: _Visit) -> None:
    """Which bone and which insert fills each voxel; the numbers are explained in a file beside it."""
    assert visit.grid is not None
    grid = _coarser(visit.grid)
    folder.mkdir(parents=True, exist_ok=True)
    name = visit.series.id
    write_nifti(folder / f"{name}_bones.nii.gz", bone_labels(visit.scene, grid), grid)
    write_nifti(folder / f"{name}_lesions.nii.gz", insert_labels(visit.scene, grid), grid)
    names = {
        "bones": {n: bone.name for n, bone in enumerate(visit.scene.body.bones, start=1)},
        "lesions": {n: insert.id for n, insert in enumerate(visit.scene.inserts, start=1)},
    }
    _write_text(folder / f"{name}_labels.json", json.dumps(names, indent=1))


def _coarser(grid: Grid) -> Grid:
    """The grid with every n-th voxel of a slice, so that truth volumes of CT stay small."""
    n = max(1, int(_LABEL_MM / float(grid.spacing[0])))
    affine = grid.affine.copy()
    affine[:3, :2] *= n
    return Grid(
        (-(-grid.shape[0] // n), -(-grid.shape[1] // n), grid.shape[2]), affine, grid.frame_of_reference_uid
    )


__all__ = ["ReaderKind", "make_patient", "study_context"]
