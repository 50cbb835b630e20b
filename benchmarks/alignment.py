"""How far the alignment puts the vertebrae of phantom patients from where they are, and what it says of it.

A patient is a folder that ``osteotrace phantom`` wrote, with ``dicom`` and ``truth``. The truth is read here
only, after the alignment; the error is that of the centroids of vertebrae and sacrum that both frames show.

    python benchmarks/alignment.py --data DIR
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from _common import arguments, finish, nothing_found, table
from osteotrace import intake
from osteotrace.model.alignment import Alignment
from osteotrace.model.criteria import load_criteria
from osteotrace.model.imaging import Volume
from osteotrace.registration import align

COLUMNS = ("patient", "frames", "vertebrae", "error median mm", "p95 mm", "radius mm", "verdict", "reasons")


@dataclass(frozen=True)
class Result:
    """One pair of frames."""

    patient: str
    frames: str
    errors_mm: NDArray[np.float64]
    alignment: Alignment

    @property
    def p95_mm(self) -> float:
        """95th percentile of the error."""
        return float(np.percentile(self.errors_mm, 95))

    @property
    def covered(self) -> bool:
        """Whether the error lies within the stated radius, or the alignment is said to have failed."""
        return self.alignment.error_mm is None or self.p95_mm <= self.alignment.error_mm


def main() -> None:
    """Align every patient, print a table and the JSON line."""
    data = arguments(__doc__ or "")
    folders = [
        f.parent.parent for f in sorted(data.rglob("truth/truth.json")) if (f.parents[1] / "dicom").is_dir()
    ]
    if not folders:
        nothing_found(data)
    start = time.process_time()
    results = [result for folder in folders for result in measured(folder)]
    table("Vertebrae of phantom patients", COLUMNS, [row(r) for r in results])
    good = [r for r in results if r.alignment.verdict == "good"]
    finish(
        pairs=len(results),
        good=len(good),
        good_error_mm_p95_max=max((r.p95_mm for r in good), default=0.0),
        outside_radius=sum(not r.covered for r in results),
        cpu_seconds=time.process_time() - start,
    )


def measured(folder: Path) -> Iterator[Result]:
    """Every rigid alignment of one patient that shows vertebrae in both frames."""
    criteria = load_criteria()
    source = folder / "dicom"
    volumes = intake.read_patient(intake.only_patient(intake.scan(source), source), criteria).volumes
    alignments = align(volumes, criteria)
    truth = json.loads((folder / "truth" / "truth.json").read_text(encoding="utf-8"))
    bones = {s["frame_of_reference_uid"]: s["bones"] for s in truth["series"]}
    for alignment in alignments:
        if alignment.method != "rigid":
            continue
        here, there = shared(volumes, bones, alignment.frames)
        if len(here):
            errors = np.linalg.norm(alignment.transform.apply(here) - there, axis=1)
            names = " to ".join(shown(volumes, frame) for frame in alignment.frames)
            yield Result(folder.name, names, np.asarray(errors), alignment)


def shared(
    volumes: Sequence[Volume], bones: dict[str, Any], frames: tuple[str, str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centroids (mm, shape (n, 3)) of the vertebrae and the sacrum that both frames show, in each of them."""
    names = [n for n in bones[frames[0]] if n.startswith("vertebrae") or n == "sacrum"]
    places = [np.array([bones[frame][n]["centroid"] for n in names]) for frame in frames]
    seen = [
        np.any([v.grid.contains(p) for v in volumes if v.grid.frame_of_reference_uid == frame], axis=0)
        for frame, p in zip(frames, places, strict=True)
    ]
    both = seen[0] & seen[1]
    return places[0][both], places[1][both]


def shown(volumes: Sequence[Volume], frame: str) -> str:
    """Modalities of a frame."""
    return "+".join(
        sorted({str(v.series.modality) for v in volumes if v.grid.frame_of_reference_uid == frame})
    )


def row(r: Result) -> tuple[object, ...]:
    """Cells of the table."""
    a = r.alignment
    radius = "" if a.error_mm is None else round(a.error_mm, 1)
    median = round(float(np.median(r.errors_mm)), 1)
    return (r.patient, r.frames, len(r.errors_mm), median, round(r.p95_mm, 1), radius, a.verdict.value,
            "; ".join(a.reasons))  # fmt: skip


if __name__ == "__main__":
    main()
