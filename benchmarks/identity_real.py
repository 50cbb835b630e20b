"""Whether one lesion is recognised in PET, CT and MR of real patients.

For patients with PET, CT, MR and RTSTRUCT in which one drawing was carried to every series as a rigid
copy: the copies give a reference transform, used here only. ``osteotrace run`` sees contours as lesions
to be matched, never for the alignment.

    python benchmarks/identity_real.py --data DIR
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize
from scipy.spatial.transform import Rotation

from _common import arguments, dicom_folders, finish, nothing_found, patients, table, unpacked
from osteotrace.errors import FrameMismatchError
from osteotrace.model.alignment import route
from osteotrace.model.lesion import Lesion
from osteotrace.model.workup import Workup
from osteotrace.model.workup_json import workup_from_json
from osteotrace.space import Grid, Mask, RigidTransform, occupancy

NEEDED = {"PT", "CT", "MR", "RTSTRUCT"}
STEP_MM = 2.0  # lattice on which drawings are compared
MARGIN_MM = 20.0


@dataclass(frozen=True)
class Pair:
    """One lesion drawn on an MR series and on a PET or CT series."""

    name: str
    mr: str
    other: str
    residual_mm: float
    errors_mm: NDArray[np.float64]
    dice: float


@dataclass(frozen=True)
class Result:
    """One patient."""

    patient: str
    seconds: float
    peak_mb: float
    tracks: int
    tracks_right: int
    pairs: tuple[Pair, ...]
    verdicts: str


def main() -> None:
    """Run every patient, print a table and the JSON line."""
    data = arguments(__doc__ or "")
    with unpacked(data) as root:
        results = [
            measured(folder, folder.name if folder != root else data.name)
            for folder in patients(root)
            if is_complete(folder)
        ]
    if not results:
        nothing_found(data)
    table("Lesions of real patients", COLUMNS, [row for r in results for row in rows(r)])
    errors = np.concatenate([p.errors_mm for r in results for p in r.pairs] or [np.array([np.inf])])
    dices = [p.dice for r in results for p in r.pairs] or [0.0]
    finish(
        patients=len(results),
        tracks_right=sum(r.tracks_right for r in results) / max(1, sum(r.tracks for r in results)),
        point_error_mm_median=finite(np.median(errors)),
        point_error_mm_p95=finite(np.percentile(errors, 95)),
        dice_median=float(np.median(dices)),
        seconds_median=float(np.median([r.seconds for r in results])),
        peak_mb_max=max(r.peak_mb for r in results),
    )


COLUMNS = ("patient", "seconds", "peak MB", "tracks right", "alignment", "pair", "reference residual mm",
           "error median mm", "error p95 mm", "Dice")  # fmt: skip


def finite(value: float) -> float | None:
    """None in place of infinity: no alignment, no error."""
    return float(value) if np.isfinite(value) else None


def rows(result: Result) -> Iterator[tuple[object, ...]]:
    """Lines of the table."""
    head: tuple[object, ...] = (result.patient, result.seconds, result.peak_mb,
                                f"{result.tracks_right}/{result.tracks}", result.verdicts)  # fmt: skip
    for pair in result.pairs:
        median, p95 = (float(x) for x in np.percentile(pair.errors_mm, [50, 95]))
        yield (*head, f"{pair.name}: {pair.mr} - {pair.other}", pair.residual_mm, median, p95, pair.dice)
        head = ("",) * len(head)
    if not result.pairs:
        yield (*head, "no pair", "", "", "", "")


def is_complete(folder: Path) -> bool:
    """Whether PET, CT, MR and RTSTRUCT are all there."""
    return {s.modality for found in dicom_folders(folder).values() for s in found} >= NEEDED


def measured(folder: Path, name: str) -> Result:
    """Run the command line on a patient and compare with the copies of the drawing."""
    with tempfile.TemporaryDirectory(prefix="osteotrace-bench-") as temporary:
        out = Path(temporary) / "out"
        code, seconds, peak_mb = run(folder, out)
        if code not in (0, 4):
            return Result(name, seconds, peak_mb, 1, 0, (), f"run ended with {code}")
        workup = workup_from_json((out / "workup.json").read_text(encoding="utf-8"), out)
    right, total = tracks_right(workup)
    rigid = [a for a in workup.alignments if a.method == "rigid"]
    words = ", ".join(f"{a.verdict} ±{a.error_mm or float('nan'):.1f} mm" for a in rigid) or "none"
    return Result(name, seconds, peak_mb, total, right, tuple(compared(workup)), words)


def run(folder: Path, out: Path) -> tuple[int, float, float]:
    """Exit code, seconds and peak memory (MB) of ``osteotrace run`` in a process of its own."""
    program = "from osteotrace.cli import main; main()"
    command = [sys.executable, "-c", program, "run", str(folder), "-o", str(out)]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, time.perf_counter() - start, usage.ru_maxrss / 1024


def lesion_kind(name: str) -> str:
    """Name of the drawing without what tells the series it was carried to."""
    bare = re.sub(r"(?i)[ _-]*(pet|ct|mr|t1|t2|t2fs|stir)$", "", name)
    return "edema" if "edema" in bare.lower() else bare.lower()


def tracks_right(workup: Workup) -> tuple[int, int]:
    """How many of the drawn lesions are one track with all their outlines and nothing else, of how many."""
    expected: dict[str, set[str]] = defaultdict(set)
    for lesion in workup.lesions:
        expected[lesion_kind(lesion.name)].add(lesion.id)
    found = [set(track.lesion_ids) for track in workup.tracks]
    return sum(group in found for group in expected.values()), len(expected)


def compared(workup: Workup) -> Iterator[Pair]:
    """Each mass on MR against its copy on PET and on CT."""
    modality = {s.id: s.modality for e in workup.timeline.exams for s in e.series}
    names = {s.id: s.name for e in workup.timeline.exams for s in e.series}
    masses = [x for x in workup.lesions if lesion_kind(x.name) != "edema"]
    for mr, other in product(masses, masses):
        same = lesion_kind(mr.name) == lesion_kind(other.name)
        if same and modality[mr.series_id] == "MR" and modality[other.series_id] in ("PT", "CT"):
            yield compare(mr, other, workup, names)


def compare(mr: Lesion, other: Lesion, workup: Workup, names: dict[str, str]) -> Pair:
    """Error of the found transform against the one that carries one copy of the drawing onto the other."""
    start, end = (x.mask.grid.frame_of_reference_uid for x in (mr, other))
    reference, residual = reference_transform(mr.mask, other.mask)
    way = route(workup.alignments, start, end)
    points = mr.mask.points
    if way is None:
        errors, overlap = np.full(len(points), np.inf), 0.0
    else:
        errors = np.linalg.norm(way.transform.apply(points) - reference.apply(points), axis=1)
        overlap = dice(mr.mask, other.mask, way.transform)
    return Pair(mr.name, names[mr.series_id], names[other.series_id], residual, errors, overlap)


def dice(first: Mask, second: Mask, transform: RigidTransform) -> float:
    """Dice of two masks after moving the first into the frame of the second."""
    if transform.to_frame != second.grid.frame_of_reference_uid:
        raise FrameMismatchError("the transform ends in another frame")
    corners = np.concatenate([transform.apply(first.grid.corners), second.grid.corners])
    box = lattice(corners, second.grid.frame_of_reference_uid)
    a = occupancy(first, box, onto_to_mask=transform.inverse) >= 0.5
    b = occupancy(second, box) >= 0.5
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def lattice(points: NDArray[np.float64], frame: str) -> Grid:
    """Cubic voxels around points."""
    low, high = points.min(axis=0) - MARGIN_MM, points.max(axis=0) + MARGIN_MM
    affine = np.diag([STEP_MM] * 3 + [1.0])
    affine[:3, 3] = low
    i, j, k = (int(n) for n in np.ceil((high - low) / STEP_MM))
    return Grid((i, j, k), affine, frame)


def signed_distance(mask: Mask) -> tuple[NDArray[np.float64], Grid]:
    """Distance to the surface, positive inside, on cubic voxels; mm."""
    grid = lattice(mask.grid.corners, mask.grid.frame_of_reference_uid)
    share = ndimage.gaussian_filter(occupancy(mask, grid), 0.7)
    inside = share >= 0.5
    inner, outer = (ndimage.distance_transform_edt(x) * STEP_MM for x in (inside, ~inside))
    return np.asarray(inner - outer), grid


def reference_transform(first: Mask, second: Mask) -> tuple[RigidTransform, float]:
    """Rigid motion that carries one copy of a drawing onto the other, and what it leaves (median, mm)."""
    a, grid_a = signed_distance(first)
    b, grid_b = signed_distance(second)
    near = np.argwhere(np.abs(a) < 8.0)[::5]
    points, wanted = grid_a.points(near), a[tuple(near.T)]
    center, target = first.centroid, second.centroid

    def residuals(x: NDArray[np.float64], every: int = 1) -> NDArray[np.float64]:
        moved = Rotation.from_rotvec(x[:3]).apply(points[::every] - center) + target + x[3:]
        found = ndimage.map_coordinates(b, grid_b.indices(moved).T, order=1, mode="nearest")
        return np.asarray(found - wanted[::every])

    def fit(x: NDArray[np.float64], every: int) -> optimize.OptimizeResult:
        scale = [0.02] * 3 + [1.0] * 3
        return optimize.least_squares(residuals, x, args=(every,), loss="soft_l1", x_scale=scale)

    turns = [Rotation.from_euler("z", angle, degrees=True).as_rotvec() for angle in range(-180, 180, 30)]
    rough = min((fit(np.array([*turn, 0, 0, 0]), 10) for turn in turns), key=lambda f: float(f.cost))
    best = fit(rough.x, 1)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(best.x[:3]).as_matrix()
    matrix[:3, 3] = target + best.x[3:] - matrix[:3, :3] @ center
    frames = (first.grid.frame_of_reference_uid, second.grid.frame_of_reference_uid)
    return RigidTransform(matrix, *frames), float(np.median(np.abs(residuals(best.x))))


if __name__ == "__main__":
    main()
