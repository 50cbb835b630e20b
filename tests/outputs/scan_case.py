"""The bone scan of the synthetic patient: a fit to the CT, one lesion in both views, one nowhere."""

from __future__ import annotations

from dataclasses import replace

from osteotrace.model.bone_scan import (
    BoneScan,
    LesionFootprint,
    LesionNearSpot,
    NotPlaced,
    RegionOutline,
    Spot,
    ViewFootprint,
)
from osteotrace.model.planar import Candidate, FittedView, PlanarFit, RegionFit
from osteotrace.model.values import Verdict, View
from osteotrace.model.workup import Workup

SHAPE, STEP = (64, 256), (4.0, 4.0)
PLACE = (40.0, 150.0)  # of the hot spot in the anterior view


def fitted(series_id: str, ct_id: str, frame: str) -> PlanarFit:
    """Two views that share one front plane; its origin is the corner of the anterior view."""
    views = tuple(FittedView(series_id, view, SHAPE, STEP, 0.0) for view in (View.ANTERIOR, View.POSTERIOR))
    regions = (
        RegionFit("spine", (0.0, 50.0, 0.0), (0.0, 0.0), 0.0, 0.0, 6.2, 1.4, Verdict.GOOD),
        RegionFit(
            "thorax left", (60.0, 0.0, 0.0), (3.0, 1.0), 0.0, 0.0, 13.0, 4.0, Verdict.DOUBTFUL,
            ("its place is known to 13 mm only",),
        ),
    )  # fmt: skip
    return PlanarFit(
        "ct", ct_id, frame, views, (0.0, 0.0, 0.0), (128.0, 512.0), 0.01, 0.0, 0.0, (1.0, 1.0), (0.0,),
        ((0.0, 0.0),), regions, 0.78, 0.21, 13.0, Verdict.GOOD,
    )  # fmt: skip


def standard(ct: PlanarFit) -> PlanarFit:
    """The standard skeleton beside it."""
    return replace(
        ct, source="standard", series_id="", frame_of_reference_uid="", verdict=Verdict.FAILED, error_mm=None,
        reasons=("the counts agree by only 0.31",),
    )  # fmt: skip


def with_bone_scan(workup: Workup, frame: str) -> Workup:
    """The workup with the fit, the outline of a spine, and places of its two tracks."""
    exam = next(e for e in workup.timeline.exams if e.modality == "NM")
    ct = next(s for e in workup.timeline.exams for s in e.series if s.name == "CT")
    fit = fitted(exam.series[0].id, ct.id, frame)
    spine = ((116.0, 160.0), (140.0, 160.0), (140.0, 640.0), (116.0, 640.0), (116.0, 160.0))
    column, row = PLACE
    axes, one = (22.0, 14.0), exam.series[0].id
    views = (
        ViewFootprint(one, View.ANTERIOR, True, (column, row), axes, 0.4, 88.0, 0.26, 0.1),
        ViewFootprint(one, View.POSTERIOR, True, (63.0 - column, row), axes, -0.4, 61.0, 0.39, 0.55),
    )
    first, second = workup.tracks
    shown = LesionFootprint(
        first.id, first.lesion_ids[0], True, "thorax left", "rib 7 left", views, View.POSTERIOR, 14.1,
        Verdict.DOUBTFUL, ("its place is known to 13 mm only",),
    )  # fmt: skip
    scan = BoneScan(
        exam.id,
        (fit, standard(fit)),
        (RegionOutline("spine", (spine,)), RegionOutline("thorax left", ())),
        (shown,),
        (NotPlaced(second.id, "its place lies outside of the CT"),),
        ("the header names no tracer: taken for a bone scan",),
    )
    return replace(workup, bone_scans=(scan,))


def with_spots(workup: Workup) -> Workup:
    """The same with two foci: one in the first lesion from behind, one that no fit can tell."""
    (scan,) = workup.bone_scans
    (shown,) = scan.footprints
    back = next(view for view in shown.views if view.view is View.POSTERIOR)
    bone = workup.skeletons[0].bones[0]
    first = Candidate(
        f"vertebra {bone.declared_level or bone.id}", "spine", 0.6234, 3.4, (131.0, 62.0), "ct",
        ("3 mm from its projection", "the posterior view should see it 2.3 times as well"),
    )  # fmt: skip
    rib = replace(first, bone="rib left 7", region="thorax left", probability=0.25, reasons=())
    vertebra = Spot(
        "F1", "Mrs Example's focus", back.series_id, View.POSTERIOR, back.place, 0.41, View.POSTERIOR,
        (first, rib), (LesionNearSpot(shown.track_id, 0.0, 14.1),), Verdict.DOUBTFUL,
        ("its place is known to 13 mm only",),
    )  # fmt: skip
    nothing = Spot(
        "F2", "", back.series_id, View.ANTERIOR, (10.0, 20.0), None, None, (), (), Verdict.FAILED,
        ("no bone of a fitted skeleton lies within 24 mm of it",),
    )  # fmt: skip
    provenance = replace(
        workup.provenance, corrections=("hot spot Mrs Example's focus at column 23, row 150 of series E4-S1",)
    )
    return replace(workup, bone_scans=(scan.with_spots((vertebra, nothing)),), provenance=provenance)
