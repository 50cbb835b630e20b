"""Whole vertebrae and their levels on CT, against label maps of others and phantoms.

Cases under ``--data``: ``totalsegmentator_example`` (labels of another model) and ``tptbox_samples`` (VerSe
numbers). With ``--seeds A-B`` also the first CT session of random phantom patients, written as DICOM and read
by intake; of these only the truth files know what is right.

Every labelled vertebra is compared with the instance with which it shares most. Levels are those of
``anatomy.number`` on this one exam. A vertebra is identified when the nearest centre of all found vertebrae
lies within 20 mm of its own centre and has its level (the rule of VerSe). Vertebrae that touch the first or
last row of voxels along the spine are cut: they are shown, and only ``silent_wrong`` counts them.

``id_rate`` is over the vertebrae of exams that show a landmark (C2, a first or last rib, the sacrum),
``certain_rate`` over those of exams whose landmarks settle the levels (C2 or the first rib, or the last rib
and the sacrum): identified and called certain. ``silent_wrong`` counts found vertebrae, in all exams, whose
level is called certain and is not that of the labelled vertebra in which their centre lies (or of the nearest
one, within 20 mm).

    python benchmarks/ct_vertebrae.py --data DIR [--seeds 0-4]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from _common import finish, nothing_found, seeds, table
from mr_vertebrae import volume_of
from osteotrace import intake
from osteotrace.anatomy import number, segment
from osteotrace.model.anatomy import Anatomy, Certainty, NumberedVertebra
from osteotrace.model.corrections import Corrections
from osteotrace.model.criteria import load_criteria
from osteotrace.model.imaging import Volume
from osteotrace.model.label_schemes import VERTEBRAE
from osteotrace.model.values import Modality
from osteotrace.phantom import CaseRequest, make_patient, plan_case
from osteotrace.phantom.protocols import CtProtocol
from osteotrace.space import Grid, NiftiImage, read_nifti, resample

BAR = {"dice_median": 0.85, "id_rate": 0.95, "certain_rate": 0.90, "silent_wrong": 0, "seconds_median": 20.0}
NEAR_MM = 20.0
USUAL = tuple(level for level in VERTEBRAE if level[0] != "S" and level not in ("T13", "L6"))
TOTALSEGMENTATOR = {27 + n: level for n, level in enumerate(reversed(USUAL))} | {25: "sacrum", 26: "sacrum"}
VERSE = dict(enumerate(USUAL, start=1)) | {26: "sacrum", 28: "T13", 25: "L6"}
CASES = (
    ("example_ct.nii.gz", "spine_report_totalseg.nii.gz", TOTALSEGMENTATOR),
    ("sub-ct_label-22_ct.nii.gz", "sub-ct_seg-vert_label-22_msk.nii.gz", VERSE),
)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A CT with its truth.

    Attributes
    ----------
    names : mapping of int to str
        Level (or bone) of each label of `truth`.
    """

    name: str
    volume: Volume
    truth: NiftiImage
    names: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled vertebra."""

    case: str
    level: str
    cut: bool
    dice: float
    distance_mm: float
    called: str
    certainty: str

    @property
    def identified(self) -> bool:
        """Whether the nearest found vertebra is near enough and has the right level."""
        return self.distance_mm < NEAR_MM and self.called == self.level


def rows_of(case: Case) -> tuple[list[Row], int, float]:
    """The labelled vertebrae of one CT, how many are silently wrong, and the seconds that it took."""
    start = time.perf_counter()
    anatomy = segment(case.volume)
    numbering = number((anatomy,), (), Corrections(), load_criteria())
    seconds = time.perf_counter() - start
    called = {bone.label: numbering.of(anatomy.series_id, bone.id) for bone in anatomy.vertebrae}
    grid = case.truth.grid
    labels = _onto(np.asarray(anatomy.labels), anatomy.grid, grid)
    values = np.asarray(case.truth.values).astype(int)
    rows = []
    for n, level in case.names.items():
        own = values == n
        if level in VERTEBRAE and own.any():
            rows.append(_compared(case.name, level, own, labels, anatomy, called, grid))
    return rows, _silently_wrong(case, values, anatomy, called), seconds


def _silently_wrong(
    case: Case, values: NDArray[Any], anatomy: Anatomy, called: Mapping[int, NumberedVertebra | None]
) -> int:
    """Found vertebrae with a certain level that the truth does not bear out."""
    numbers = [n for n, name in case.names.items() if name in VERTEBRAE]
    where = np.argwhere(np.isin(values, numbers))
    if len(where) == 0:
        return 0
    tree = cKDTree(case.truth.grid.points(where))
    wrong = 0
    for bone in anatomy.vertebrae:
        found = called[bone.label]
        distance, index = tree.query(bone.centroid_mm)
        if found is not None and found.certainty is Certainty.CERTAIN and distance < NEAR_MM:
            wrong += case.names[int(values[tuple(where[index])])] != found.level
    return wrong


def _compared(
    case: str,
    level: str,
    own: NDArray[np.bool_],
    labels: NDArray[Any],
    anatomy: Anatomy,
    called: Mapping[int, NumberedVertebra | None],
    grid: Grid,
) -> Row:
    axis = int(np.abs(grid.direction[2]).argmax())
    line = np.flatnonzero(own.any(axis=tuple(a for a in range(3) if a != axis)))
    cut = bool(line[0] == 0 or line[-1] == own.shape[axis] - 1)
    if not called:
        return Row(case, level, cut, 0.0, float("inf"), "", "")
    counts = np.bincount(labels[own], minlength=1)
    counts[[n for n in range(len(counts)) if n not in called]] = 0
    dice = 0.0
    if counts.any():
        other = labels == int(counts.argmax())
        dice = 2 * int((own & other).sum()) / int(own.sum() + other.sum())
    points = grid.points(np.argwhere(own))
    away = {b.label: float(np.linalg.norm(points - b.centroid_mm, axis=1).min()) for b in anatomy.vertebrae}
    middle = points.mean(axis=0)
    nearest = min(anatomy.vertebrae, key=lambda b: (away[b.label], np.linalg.norm(middle - b.centroid_mm)))
    found = called[nearest.label]
    shown = "" if found is None or found.level is None else found.level
    certainty = "" if found is None else str(found.certainty)
    return Row(case, level, cut, dice, away[nearest.label], shown, certainty)


def _onto(labels: NDArray[Any], grid: Grid, onto: Grid) -> NDArray[np.int_]:
    return np.round(resample(labels.astype(np.float32), grid, onto, order=0, fill=0.0)).astype(int)


def landmarks(rows: list[Row], case: Case) -> tuple[bool, bool]:
    """Whether a landmark is in view, and whether those in view settle the levels."""
    whole = {row.level for row in rows if not row.cut}
    present = {case.names[n] for n in np.unique(np.asarray(case.truth.values).astype(int)) if n in case.names}
    sacrum = "sacrum" in present
    above = "C2" in whole or ("T1" in whole and "C7" in whole)
    last = "T12" in whole and "L1" in whole
    return above or last or sacrum, above or (last and sacrum)


def real_cases(data: Path) -> Iterator[Case]:
    """The cases under the data folder."""
    for image, truth, names in CASES:
        for path in sorted(data.rglob(image)):
            if path.with_name(truth).exists():
                volume = volume_of(read_nifti(path, "case"), path.name, Modality.CT)
                yield Case(path.name, volume, read_nifti(path.with_name(truth), "case"), names)


def phantom_cases(seed: int) -> Iterator[Case]:
    """The first CT series of a random patient."""
    plan = plan_case(CaseRequest(case="random", seed=seed))
    series, session = next(
        (series, session)
        for session in plan.sessions
        for series in session.series
        if isinstance(series.protocol, CtProtocol)
    )
    shown = replace(session, series=(series,), drawn_on=series.id)  # the truth of what is drawn on is written
    with tempfile.TemporaryDirectory(prefix="osteotrace-bench-") as name:
        folder = Path(name)
        make_patient(folder, replace(plan, sessions=(shown,)), reader="none")
        patient = intake.only_patient(intake.scan(folder / "dicom"), folder)
        (volume,) = intake.read_patient(patient, load_criteria()).volumes
        truth = folder / "truth" / f"{series.id}_bones.nii.gz"
        listed = json.loads((folder / "truth" / f"{series.id}_labels.json").read_text(encoding="utf-8"))
        names = {int(n): bone.removeprefix("vertebrae_") for n, bone in listed["bones"].items()}
        yield Case(
            f"phantom {seed} {series.id}",
            volume,
            read_nifti(truth, volume.grid.frame_of_reference_uid),
            names,
        )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of real scans, searched recursively")
    parser.add_argument("--seeds", type=seeds, default=range(0), help="phantom patients, for example 0-4")
    given = parser.parse_args()
    rows: list[Row] = []
    with_landmark: list[Row] = []
    settled: list[Row] = []
    seconds, silent_wrong = [], 0
    made = (case for seed in given.seeds for case in phantom_cases(seed))
    for case in (*real_cases(given.data), *made):
        own, wrong, took = rows_of(case)
        silent_wrong += wrong
        some, enough = landmarks(own, case)
        rows += own
        with_landmark += [r for r in own if some and not r.cut]
        settled += [r for r in own if enough and not r.cut]
        seconds.append(took)
    if not rows:
        nothing_found(given.data)
    columns = ("case", "level", "cut", "Dice", "distance mm", "called", "certainty")
    table("Vertebrae on CT", columns, [tuple(getattr(r, f) for f in Row.__slots__) for r in rows])
    certain = str(Certainty.CERTAIN)
    finish(
        exams=len(seconds),
        vertebrae=sum(not r.cut for r in rows),
        dice_median=_rounded(np.median([r.dice for r in rows if not r.cut])),
        id_rate=_rounded(np.mean([r.identified for r in with_landmark])) if with_landmark else None,
        certain_rate=_rounded(np.mean([r.identified and r.certainty == certain for r in settled]))
        if settled
        else None,
        silent_wrong=silent_wrong,
        seconds_median=round(float(np.median(seconds)), 2),
    )


def _rounded(value: Any) -> float:
    return round(float(value), 4)


if __name__ == "__main__":
    main()
