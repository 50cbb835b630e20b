"""Whole vertebrae on CT against label maps of others.

Cases under ``--data``: ``totalsegmentator_example`` (labels of another model) and ``tptbox_samples`` (VerSe
numbers). Every labelled vertebra is compared with the instance with which it shares most; it is detected
when that instance's body centre lies within 20 mm and belongs to no other vertebra. Vertebrae that touch the
first or last row of voxels along the spine are cut: they are shown, and left out of the figures.

Levels are not given here, so identification is not measured.

    python benchmarks/ct_vertebrae.py --data DIR
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from _common import arguments, finish, nothing_found, table
from mr_vertebrae import volume_of
from osteotrace.anatomy import segment
from osteotrace.model.values import Modality
from osteotrace.space import Grid, read_nifti, resample

BAR = {"dice_median": 0.85, "seconds_median": 20.0}
NEAR_MM = 20.0
CASES = (
    ("example_ct.nii.gz", "spine_report_totalseg.nii.gz", range(27, 51)),
    ("sub-ct_label-22_ct.nii.gz", "sub-ct_seg-vert_label-22_msk.nii.gz", range(1, 26)),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled vertebra."""

    case: str
    label: int
    cut: bool
    distance_mm: float
    detected: bool
    dice: float


def rows_of(image_path: Path, truth_path: Path, numbers: range) -> tuple[list[Row], float]:
    """The labelled vertebrae of one CT, and the seconds that reading them took."""
    image = read_nifti(image_path, "case")
    truth = read_nifti(truth_path, "case")
    start = time.perf_counter()
    anatomy = segment(volume_of(image, image_path.name, Modality.CT))
    seconds = time.perf_counter() - start
    labels = _onto(np.asarray(anatomy.labels), anatomy.grid, truth.grid)
    values = np.asarray(truth.values).astype(int)
    centres = {b.label: np.array(b.centroid_mm) for b in anatomy.bones}
    axis = int(np.abs(truth.grid.direction[2]).argmax())
    rows: list[Row] = []
    taken: set[int] = set()
    for number in numbers:
        own = values == number
        if not own.any():
            continue
        row, instance = _compared(image_path.name, number, own, labels, centres, truth.grid, axis)
        rows.append(
            row if instance not in taken else Row(row.case, number, row.cut, row.distance_mm, False, 0.0)
        )
        taken.add(instance)
    return rows, seconds


def _compared(
    case: str,
    number: int,
    own: NDArray[np.bool_],
    labels: NDArray[Any],
    centres: dict[int, NDArray[Any]],
    grid: Grid,
    axis: int,
) -> tuple[Row, int]:
    line = np.flatnonzero(own.any(axis=tuple(a for a in range(3) if a != axis)))
    cut = bool(line[0] == 0 or line[-1] == own.shape[axis] - 1)
    counts = np.bincount(labels[own], minlength=1)
    counts[[n for n in range(len(counts)) if n not in centres]] = 0
    if not counts.any():
        return Row(case, number, cut, float("inf"), False, 0.0), 0
    instance = int(counts.argmax())
    other = labels == instance
    dice = 2 * int((own & other).sum()) / int(own.sum() + other.sum())
    points = grid.points(np.argwhere(own))
    distance = float(np.linalg.norm(points - centres[instance], axis=1).min())
    return Row(case, number, cut, distance, distance < NEAR_MM, dice), instance


def _onto(labels: NDArray[Any], grid: Grid, onto: Grid) -> NDArray[np.int_]:
    return np.round(resample(labels.astype(np.float32), grid, onto, order=0, fill=0.0)).astype(int)


def _cases(data: Path) -> Iterator[tuple[Path, Path, range]]:
    for image, truth, numbers in CASES:
        for path in sorted(data.rglob(image)):
            if path.with_name(truth).exists():
                yield path, path.with_name(truth), numbers


def main() -> None:
    """Run the benchmark."""
    data = arguments(__doc__ or "")
    measured = [rows_of(*case) for case in _cases(data)]
    if not measured:
        nothing_found(data)
    rows = [row for case, _ in measured for row in case]
    columns = ("case", "label", "cut", "distance mm", "detected", "Dice")
    table("Vertebrae on CT", columns, [tuple(getattr(r, f) for f in Row.__slots__) for r in rows])
    whole = [r for r in rows if not r.cut]
    finish(
        exams=len(measured),
        vertebrae=len(whole),
        dice_median=round(float(np.median([r.dice for r in whole])), 4),
        detected_rate=round(float(np.mean([r.detected for r in whole])), 4),
        seconds_median=round(float(np.median([s for _, s in measured])), 2),
    )


if __name__ == "__main__":
    main()
