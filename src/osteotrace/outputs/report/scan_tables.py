"""What the report says of bone scans."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from osteotrace.model.bone_scan import BoneScan, LesionFootprint, LesionNearSpot, Spot, ViewFootprint
from osteotrace.model.planar import PlanarFit, RegionFit
from osteotrace.model.values import View
from osteotrace.model.workup import Workup
from osteotrace.outputs.words import candidate_word, exam_label, site_word, track_label

_SOURCES = {"ct": "CT of the patient", "standard": "standard skeleton"}
_SIDES = {View.ANTERIOR: "from the front", View.POSTERIOR: "from behind"}
_BONES_SAID = 4  # of a hot spot; the table bone_scan_spots.csv has them all


@dataclass(frozen=True, slots=True)
class FitLine:
    """One skeleton fitted to the scan."""

    skeleton: str
    verdict: str
    error: str
    agreement: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RegionLine:
    """One region of the fitted skeleton."""

    region: str
    error: str
    moved: str
    verdict: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ViewCell:
    """A lesion in one view."""

    covered: bool
    place: str
    depth: str
    share: str
    others: str
    is_better: bool


@dataclass(frozen=True, slots=True)
class FootprintLine:
    """One lesion in the views, or why it is in none."""

    anchor: str
    label: str
    site: str
    region: str
    cells: tuple[ViewCell, ...]
    error: str
    verdict: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SpotLine:
    """One hot spot that a person points at.

    Attributes
    ----------
    place : str
        ``posterior view, column 40, row 150``.
    bones : str
        ``most likely T11 (p 0.62), T12 (0.25)``.
    details : tuple of str
        Distance, depth, and which view sees it better.
    lesions : tuple of (str, str)
        Anchor and what is said of the lesion.
    no_lesion : str
        What is said where no lesion is near; else empty.
    """

    id: str
    name: str
    place: str
    bones: str
    details: tuple[str, ...]
    lesions: tuple[tuple[str, str], ...]
    no_lesion: str
    verdict: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScanBlock:
    """One bone scan.

    Attributes
    ----------
    views : tuple of str
        Head of the columns of each lesion's cells.
    figure : str
        Name of its picture.
    """

    exam: str
    reasons: tuple[str, ...]
    fits: tuple[FitLine, ...]
    regions: tuple[RegionLine, ...]
    views: tuple[str, ...]
    lesions: tuple[FootprintLine, ...]
    spots: tuple[SpotLine, ...]
    figure: str


def scan_blocks(workup: Workup) -> tuple[ScanBlock, ...]:
    """All bone scans in order of time."""
    exams = {exam.id: exam for exam in workup.timeline.exams}
    return tuple(_block(workup, scan, exam_label(exams[scan.exam_id])) for scan in workup.bone_scans)


def _block(workup: Workup, scan: BoneScan, exam: str) -> ScanBlock:
    shown = scan.shown
    views = () if shown is None else tuple(str(view.view) for view in shown.views)
    return ScanBlock(
        exam=exam,
        reasons=scan.reasons,
        fits=tuple(_fit(fit) for fit in scan.fits),
        regions=() if shown is None else tuple(_region(region) for region in shown.regions),
        views=views,
        lesions=tuple(_lines(workup, scan, len(views))),
        spots=tuple(_spot(workup, scan, spot) for spot in scan.spots),
        figure=f"bone_scan_{scan.exam_id}",
    )


def _fit(fit: PlanarFit) -> FitLine:
    return FitLine(
        _SOURCES[fit.source], str(fit.verdict), _mm(fit.error_mm), f"{fit.agreement:.2f}", fit.reasons
    )


def _region(region: RegionFit) -> RegionLine:
    moved = f"{region.residual_mm:.0f} mm"
    return RegionLine(region.name, _mm(region.error_mm), moved, str(region.verdict), region.reasons)


def _mm(value: float | None) -> str:
    return "—" if value is None else f"{value:.0f} mm"


def _lines(workup: Workup, scan: BoneScan, views: int) -> Iterator[FootprintLine]:
    """One line for each track, in the order of the tracks."""
    found = {one.track_id: one for one in scan.footprints}
    left = {one.track_id: one.reason for one in scan.not_placed}
    for track in workup.tracks:
        place = (f"lesion-{track.id}", track_label(track), site_word(track.site))
        if track.id in found:
            one = found[track.id]
            yield _placed(*place, one, workup.lesion(one.lesion_id).exam_id)
        elif track.id in left:
            yield FootprintLine(*place, "", (_EMPTY,) * views, "—", "not placed", (left[track.id],))


_EMPTY = ViewCell(covered=False, place="—", depth="", share="", others="", is_better=False)


def _placed(anchor: str, label: str, site: str, one: LesionFootprint, exam_id: str) -> FootprintLine:
    seen = [view for view in one.views if view.covered]
    cells = tuple(_cell(view, is_better=len(seen) > 1 and view.view is one.better) for view in one.views)
    carried = (f"carried over from {exam_id}",) if one.carried else ()
    return FootprintLine(
        anchor, label, site, one.region, cells, _mm(one.error_mm), str(one.verdict), (*carried, *one.reasons)
    )


def _cell(view: ViewFootprint, *, is_better: bool) -> ViewCell:
    if not view.covered:
        return ViewCell(covered=False, place="not covered", depth="", share="", others="", is_better=False)
    column, row = view.place
    return ViewCell(
        covered=True,
        place=f"column {column:.0f}, row {row:.0f}",
        depth=f"{view.depth_mm:.0f} mm deep",
        share=f"{view.share:.0%} of its counts arrive",
        others=f"{view.others:.0%} of the bone counts are of other bones",
        is_better=is_better,
    )


def _spot(workup: Workup, scan: BoneScan, spot: Spot) -> SpotLine:
    column, row = spot.place
    labels = {track.id: track_label(track) for track in workup.tracks}
    return SpotLine(
        id=spot.id,
        name=spot.name,
        place=f"{spot.view} view, column {column:.0f}, row {row:.0f}",
        bones=_bones(workup, scan, spot),
        details=tuple(_details(spot)),
        lesions=tuple((f"lesion-{one.track_id}", _near(one, labels[one.track_id])) for one in spot.lesions),
        no_lesion="" if spot.lesions else _no_lesion(scan),
        verdict=str(spot.verdict),
        reasons=spot.reasons,
    )


def _bones(workup: Workup, scan: BoneScan, spot: Spot) -> str:
    if not spot.candidates:
        return "no bone can be named"
    first, *others = spot.candidates
    words = [
        f"most likely {candidate_word(workup, scan, first)} (p\N{NO-BREAK SPACE}{first.probability:.2f})"
    ]
    words += [
        f"{candidate_word(workup, scan, one)} ({one.probability:.2f})" for one in others[: _BONES_SAID - 1]
    ]
    left = len(spot.candidates) - len(words)
    return ", ".join(words) + (f" and {left} less likely" if left else "")


def _details(spot: Spot) -> Iterator[str]:
    if not spot.candidates:
        return
    first = spot.candidates[0]
    yield f"{first.distance_mm:.0f} mm from its projection"
    side = "about equally from both sides" if spot.better is None else f"better {_SIDES[spot.better]}"
    front, back = first.depth_mm
    yield f"seen {side} ({front:.0f} mm of water in front of it, {back:.0f} mm behind)"
    if spot.ratio is not None:
        yield f"anterior over posterior counts {spot.ratio:.2f}"
    if first.source == "standard":
        yield "by the standard skeleton, not the patient's own"


def _near(one: LesionNearSpot, name: str) -> str:
    if one.distance_mm == 0.0:
        return f"within the footprint of lesion {name}"
    error = f"whose place is known to {one.error_mm:.0f} mm"
    return f"{one.distance_mm:.0f} mm beside that of lesion {name}, {error}"


def _no_lesion(scan: BoneScan) -> str:
    """How many lesions were looked at: one that is not placed can be there nonetheless."""
    placed, left = len(scan.footprints), len(scan.not_placed)
    unknown = f"; {left} could not be placed" if left else ""
    if not placed:
        return "no lesion is placed in the scan"
    return f"none of the {placed} that are placed{unknown}"
