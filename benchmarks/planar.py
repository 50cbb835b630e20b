"""Where lesions of a CT appear on a planar bone scan of the same patient.

Phantom patients with a CT of the trunk and a whole-body bone scan in another posture (arms up and down,
another breath, a bent spine). The CT is read and segmented as in a run; truth gives the place of each lesion
in the bone scan. A lesion counts where the CT holds it. ``failed_unflagged``: further than 15 mm away in a
region that is called good. ``calibration``: share of the lesions within the stated radius.

    python benchmarks/planar.py --seeds 0-9
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from _common import finish, seeds, table
from osteotrace import anatomy, intake
from osteotrace.model.criteria import load_criteria
from osteotrace.model.imaging import PlanarImage, Volume
from osteotrace.model.values import Modality, Verdict, View
from osteotrace.phantom.cases import CaseRequest, plan_case
from osteotrace.phantom.make import make_patient, planar_center
from osteotrace.phantom.plan import CasePlan
from osteotrace.phantom.protocols import NmProtocol
from osteotrace.phantom.scanner.nm import planar_pixels
from osteotrace.registration.planar import Planar, fit_planar
from osteotrace.registration.planar_maps import project

BAR_MM = 15.0
LEAST_COVERED = 0.5
EXAMS = ("ct0", "nm0")


@dataclass(frozen=True)
class Measured:
    """One lesion in one patient."""

    lesion: str
    bone: str
    region: str
    error_mm: float
    radius_mm: float | None
    verdict: Verdict


@dataclass(frozen=True)
class Result:
    """One patient."""

    seed: int
    seconds: float
    verdict: Verdict
    agreement: float
    lesions: tuple[Measured, ...]


def main() -> None:
    """Measure every seed, print a table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=seeds, required=True, help="A-B, random phantom patients")
    wanted = parser.parse_args().seeds
    results = [measured(seed) for seed in wanted]
    columns = (
        "seed",
        "seconds",
        "verdict",
        "agreement",
        "lesion",
        "bone",
        "region",
        "error mm",
        "radius mm",
        "called",
    )
    table("Lesions of the CT on the bone scan", columns, [row for r in results for row in rows(r)])
    lesions = [lesion for result in results for lesion in result.lesions]
    errors = np.array([lesion.error_mm for lesion in lesions])
    inside = [m.radius_mm is not None and m.error_mm <= m.radius_mm for m in lesions]
    radii = [m.radius_mm for m in lesions if m.radius_mm is not None]
    finish(
        patients=len(results),
        lesions=len(lesions),
        median_mm=round(float(np.median(errors)), 2),
        p95_mm=round(float(np.percentile(errors, 95)), 2),
        failed_unflagged=sum(m.error_mm > BAR_MM and m.verdict is Verdict.GOOD for m in lesions),
        good_rate=round(float(np.mean([m.verdict is Verdict.GOOD for m in lesions])), 3),
        calibration=round(float(np.mean(inside)), 3),
        radius_mm_median=round(float(np.median(radii)), 2),
        seconds_median=round(float(np.median([r.seconds for r in results])), 2),
    )


def rows(result: Result) -> Iterator[tuple[object, ...]]:
    """Lines of the table."""
    head: tuple[object, ...] = (result.seed, result.seconds, result.verdict, result.agreement)
    for m in result.lesions:
        yield (*head, m.lesion, m.bone, m.region, m.error_mm, m.radius_mm or "-", m.verdict)
        head = ("",) * len(head)


def measured(seed: int) -> Result:
    """Make a patient, fit the CT to the bone scan, compare with the truth."""
    with tempfile.TemporaryDirectory(prefix="osteotrace-bench-") as temporary:
        folder = Path(temporary) / "patient"
        plan = plan_case(CaseRequest("random", seed, exams=EXAMS))
        make_patient(folder, plan, reader="none")
        volume, images = read(folder / "dicom")
        truth = json.loads((folder / "truth" / "truth.json").read_text(encoding="utf-8"))
    bones = anatomy.segment(volume)
    start = time.perf_counter()
    fits = fit_planar(images, load_criteria(), anatomy=bones, volume=volume)
    seconds = time.perf_counter() - start
    fitted = next(f for f in fits if f.fit.source == "ct")
    ct, scan = (next(s for s in truth["series"] if s["session"] == name) for name in EXAMS)
    carriers = {lesion["id"]: lesion["carrier"] for lesion in truth["lesions"]}
    places = dict(scan_places(plan, scan))
    lesions = [
        one(lesion, carriers[lesion["id"]], places[lesion["id"]], fitted)
        for lesion in ct["lesions"]
        if lesion.get("present") and lesion["covered"] > LEAST_COVERED and lesion["id"] in places
    ]
    return Result(seed, seconds, fitted.fit.verdict, fitted.fit.agreement, tuple(lesions))


def read(folder: Path) -> tuple[Volume, tuple[PlanarImage, ...]]:
    """The CT and the views, as intake delivers them."""
    scan = intake.scan(folder)
    patient = intake.read_patient(intake.only_patient(scan, folder), load_criteria())
    volume = next(v for v in patient.volumes if v.series.modality is Modality.CT)
    return volume, patient.planar


def scan_places(
    plan: CasePlan, scan: dict[str, Any]
) -> Iterator[tuple[str, dict[View, NDArray[np.float64]]]]:
    """True column and row of each lesion in each view; the phantom knows where its camera was."""
    session = next(s for s in plan.sessions if s.id == scan["session"])
    protocol, center = session.series[0].protocol, planar_center(plan, session)
    assert isinstance(protocol, NmProtocol)
    for lesion in scan["lesions"]:
        if lesion.get("present"):
            front, back = planar_pixels(protocol, center, np.array([lesion["centroid"]]))
            yield lesion["id"], {View.ANTERIOR: front[0], View.POSTERIOR: back[0]}


def one(
    lesion: dict[str, Any], bone: str, places: dict[View, NDArray[np.float64]], fitted: Planar
) -> Measured:
    """Largest distance of the projected centre from the true one among the views, mm."""
    fit, skeleton = fitted.fit, fitted.skeleton
    centre = np.array(lesion["centroid"])
    plane = project(fit, skeleton, centre)
    away = [
        float(np.linalg.norm((view.pixels(plane)[0] - places[view.view]) * np.array(view.pixel_mm)))
        for view in fit.views
    ]
    nearest = int(np.argmin(np.linalg.norm(np.asarray(skeleton.points) - centre, axis=1)))
    name = skeleton.regions[int(skeleton.region[nearest])]
    region = fit.region(name)
    radius = None if region is None else region.error_mm
    verdict = Verdict.FAILED if region is None else region.verdict
    return Measured(lesion["id"], bone, name, max(away), radius, verdict)


if __name__ == "__main__":
    main()
