"""How far the alignment puts bones of phantom patients from where they are, and what it says of it.

A patient of each seed lies in several scanners (CT, MR, PET-CT) in different poses; every pair of sessions is
aligned alone, with anatomies from ``anatomy.segment``. The error is that of the centres of vertebrae and
sacrum and of 200 random points of bones that both sessions show; the truth is read after the alignment only.

    python benchmarks/alignment.py --seeds A-B [--keep DIR] [--hard] [--peer-pairs N]
    python benchmarks/alignment.py --data DIR
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from _common import finish, nothing_found, seeds, table
from _peer_pairs import DEFORMABLE, RIGID, installed, run_peers
from _posed import Posed, in_series, pairs, posed, targets
from _real_pairs import rigid_to_labels_mm, session_pairs, warped_pairs
from osteotrace.anatomy import segment
from osteotrace.model.alignment import Alignment
from osteotrace.model.anatomy import Anatomy
from osteotrace.model.criteria import load_criteria
from osteotrace.model.imaging import Volume
from osteotrace.model.values import Modality, Verdict
from osteotrace.registration import align

COLUMNS = (
    "patient",
    "pair",
    "n",
    "centres mm",
    "points mm",
    "p95 mm",
    "radius mm",
    "inside",
    "good",
    "s",
    "verdict",
    "reasons",
)
_FAILURE_MM = 10.0
NO_PEER = 2


@dataclass(frozen=True, eq=False)
class Result:
    """One pair of sessions.

    Attributes
    ----------
    errors_mm, radius_mm : ndarray, shape (n,)
        At each target; the radius is NaN where the alignment or the bone has failed.
    centre, good : ndarray of bool, shape (n,)
        Whether the target is a centre; whether its place is called good.
    seconds : float
        Of the alignment.
    """

    patient: str
    pair: str
    errors_mm: NDArray[np.float64]
    radius_mm: NDArray[np.float64]
    centre: NDArray[np.bool_]
    good: NDArray[np.bool_]
    seconds: float
    alignment: Alignment


def measured(patient: Posed, anatomies: dict[str, Anatomy]) -> Iterator[Result]:
    """Every pair of sessions of a patient."""
    criteria = load_criteria()
    for one, other in pairs(patient):
        volumes = (*patient.frames[one], *patient.frames[other])
        known = [anatomies[v.series.id] for v in volumes if v.series.id in anatomies]
        start = time.perf_counter()
        found = [a for a in align(volumes, criteria, anatomies=known) if a.method != "identity"]
        seconds = time.perf_counter() - start
        for alignment in found:
            result = compared(patient, (one, other), alignment, seconds)
            if result is not None:
                yield result


def compared(
    patient: Posed, sessions: tuple[str, str], alignment: Alignment, seconds: float
) -> Result | None:
    """Error and stated radius at the targets; None when the two sessions show no bone both."""
    fixed, moving = (_volumes(patient, frame) for frame in alignment.frames)
    rng = np.random.default_rng(patient.seed)
    wanted = targets(patient, fixed, moving, rng)
    if not wanted:
        return None
    errors, radius, good = [], [], []
    for bone, point, _ in wanted:
        here = in_series(patient, alignment.fixed_series, bone, point)
        at = alignment.bone_at(here)
        first = at.fixed_series if at else alignment.fixed_series
        second = at.moving_series if at else alignment.moving_series
        here, there = in_series(patient, first, bone, point), in_series(patient, second, bone, point)
        errors.append(float(np.linalg.norm(alignment.apply(here) - there)))
        verdict = alignment.verdict_at(here)
        good.append(verdict is Verdict.GOOD)
        radius.append(np.nan if verdict is Verdict.FAILED else float(alignment.radius_at(here)))
    centre = np.array([is_centre for *_, is_centre in wanted])
    name = "-".join(sessions)
    return Result(
        f"seed {patient.seed}",
        name,
        np.array(errors),
        np.array(radius),
        centre,
        np.array(good),
        seconds,
        alignment,
    )


def _volumes(patient: Posed, frame: str) -> list[Volume]:
    return [v for vs in patient.frames.values() for v in vs if v.grid.frame_of_reference_uid == frame]


def anatomies_of(patient: Posed) -> dict[str, Anatomy]:
    """What ``anatomy.segment`` finds in every CT and MR, by series."""
    volumes = [v for vs in patient.frames.values() for v in vs]
    return {v.series.id: segment(v) for v in volumes if v.series.modality in (Modality.CT, Modality.MR)}


def row(r: Result) -> tuple[object, ...]:
    """Cells of the table."""
    inside = r.errors_mm <= r.radius_mm
    known = np.isfinite(r.radius_mm)
    return (
        r.patient,
        r.pair,
        len(r.errors_mm),
        round(float(np.median(r.errors_mm[r.centre])), 2) if r.centre.any() else "",
        round(float(np.median(r.errors_mm[~r.centre])), 2) if (~r.centre).any() else "",
        round(float(np.percentile(r.errors_mm, 95)), 2),
        round(float(np.median(r.radius_mm[known])), 2) if known.any() else "",
        round(float(inside[known].mean()), 2) if known.any() else "",
        round(float(r.good.mean()), 2),
        round(r.seconds, 1),
        r.alignment.verdict.value,
        "; ".join(r.alignment.reasons),
    )


def summary(results: Sequence[Result]) -> dict[str, float | None]:
    """The figures of all pairs together."""
    errors = np.concatenate([r.errors_mm for r in results])
    radius = np.concatenate([r.radius_mm for r in results])
    good = np.concatenate([r.good for r in results])
    known = np.isfinite(radius)
    median = float(np.median(errors[known])) if known.any() else None
    return {
        "pairs": len(results),
        "median_mm": median,
        "p95_mm": float(np.percentile(errors[known], 95)) if known.any() else None,
        "failed_unflagged": int((good & (errors > _FAILURE_MM)).sum()),
        "good_rate": float(good.mean()),
        "calibration": float((errors[known] <= radius[known]).mean()) if known.any() else None,
        "radius_over_error": float(np.median(radius[known])) / median if median else None,
        "seconds_median": float(np.median([r.seconds for r in results])),
    }


def real_results(data: Path) -> Iterator[tuple[Result, str]]:
    """Warped real scans, then sessions with labels; beside each the best that a rigid motion could do."""
    criteria = load_criteria()
    for pair in (*warped_pairs(data, criteria), *session_pairs(data)):
        start = time.perf_counter()
        found = align((pair.fixed, pair.moving), criteria, anatomies=pair.anatomies)
        seconds = time.perf_counter() - start
        alignment = next(a for a in found if a.method != "identity")
        here, there = pair.here, pair.there
        if alignment.frames[0] != pair.fixed.grid.frame_of_reference_uid:
            here, there = there, here
        errors = np.linalg.norm(alignment.apply(here) - there, axis=1)
        verdicts = [alignment.verdict_at(point) for point in here]
        radius = np.where([v is Verdict.FAILED for v in verdicts], np.nan, alignment.radius_at(here))
        good = np.array([v is Verdict.GOOD for v in verdicts])
        every = np.ones(len(here), bool)
        result = Result("real", pair.name, np.asarray(errors), radius, every, good, seconds, alignment)
        yield result, f"best rigid fit {rigid_to_labels_mm(pair):.2f} mm"


def compared_with(
    patient: Posed, results: Sequence[Result], folder: Path, wanted: int
) -> dict[str, list[tuple[float, float]]]:
    """Median error and seconds of each peer on pairs of this patient, one of each kind of images."""
    out: dict[str, list[tuple[float, float]]] = {}
    kinds: set[str] = set()
    for result in results:
        alignment = result.alignment
        fixed, moving = (_main(patient, s) for s in (alignment.fixed_series, alignment.moving_series))
        kind = "-".join(sorted((fixed.series.modality, moving.series.modality)))
        if kind in kinds or len(kinds) >= wanted or alignment.verdict is Verdict.FAILED:
            continue
        kinds.add(kind)
        rows = targets(patient, [fixed], [moving], np.random.default_rng(patient.seed))
        here = np.array([in_series(patient, fixed.series.id, bone, point) for bone, point, _ in rows])
        there = np.array([in_series(patient, moving.series.id, bone, point) for bone, point, _ in rows])
        said = run_peers(fixed, moving, alignment.transform, here, folder / result.pair)
        for tool, (moved, seconds) in said.items():
            error = float(np.median(np.linalg.norm(moved - there, axis=1)))
            out.setdefault(tool, []).append((error, seconds))
    return out


def peer_summary(found: dict[str, list[tuple[float, float]]]) -> dict[str, float | str | None]:
    """The deformable peer with the smallest median error, and the best rigid one."""
    medians = {tool: float(np.median([e for e, _ in pairs])) for tool, pairs in found.items()}
    best = min((t for t in medians if t in DEFORMABLE), key=medians.__getitem__, default=None)
    rigid = min((t for t in medians if t in RIGID), key=medians.__getitem__, default=None)
    return {
        "peer": best,
        "peer_median_mm": medians[best] if best else None,
        "peer_seconds": float(np.median([s for _, s in found[best]])) if best else None,
        "rigid_peer": rigid,
        "rigid_peer_median_mm": medians[rigid] if rigid else None,
    }


def _main(patient: Posed, series: str) -> Volume:
    return next(v for vs in patient.frames.values() for v in vs if v.series.id == series)


def main() -> None:
    """Align every pair, print a table and the JSON line."""
    parser = argparse.ArgumentParser(
        description="alignment of bones on phantom patients and warped real scans"
    )
    parser.add_argument("--seeds", type=seeds, help="first and last seed, for example 0-4")
    parser.add_argument("--data", type=Path, help="folder of real scans, which are warped")
    parser.add_argument("--keep", type=Path, help="folder in which patients are kept between runs")
    parser.add_argument("--hard", action="store_true", help="more motion and more lesions")
    parser.add_argument("--peer-pairs", type=int, default=3, help="pairs on which other programs run")
    options = parser.parse_args()
    if options.seeds is None and options.data is None:
        parser.error("give --seeds or --data")
    if options.data is not None:
        on_real(options.data)
    if options.seeds is not None:
        with tempfile.TemporaryDirectory(prefix="osteotrace-bench-") as temporary:
            on_phantoms(options.seeds, options.keep or Path(temporary), options.peer_pairs, options.hard)


def on_real(data: Path) -> None:
    """Real scans: a table and the JSON line."""
    found = list(real_results(data))
    if not found:
        nothing_found(data)
    table("Real scans", (*COLUMNS[:-1], "best rigid"), [(*row(r)[:-1], note) for r, note in found])
    warped = [r for r, _ in found if " to " not in r.pair]
    finish(**summary(warped or [r for r, _ in found]))


def on_phantoms(chosen: range, keep: Path, peer_pairs: int, hard: bool) -> None:
    """Phantom patients and peers: a table and the JSON line."""
    if peer_pairs and not installed():
        sys.stderr.write("no peer is installed: make peers\n")
        raise SystemExit(NO_PEER)
    results: list[Result] = []
    peers: dict[str, list[tuple[float, float]]] = {}
    for seed in chosen:
        patient = posed(seed, keep / f"p{seed}", load_criteria(), hard=hard)
        new = list(measured(patient, anatomies_of(patient)))
        results += new
        if seed == chosen[0] and peer_pairs:
            peers = compared_with(patient, new, keep / f"peers{seed}", peer_pairs)
    if peer_pairs and not any(tool in peers for tool in DEFORMABLE):
        sys.stderr.write("no peer gave a result\n")
        raise SystemExit(NO_PEER)
    table("Bones of phantom patients", COLUMNS, [row(r) for r in results])
    rows = [(t, len(p), *np.median(p, axis=0).tolist()) for t, p in peers.items()]
    table("Other programs, same start", ("tool", "pairs", "median mm", "s"), rows)
    finish(**summary(results), **peer_summary(peers))


if __name__ == "__main__":
    main()
