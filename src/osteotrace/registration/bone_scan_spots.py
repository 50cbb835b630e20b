"""Hot spots that a person points at in a bone scan: the bones and the lesions that they can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from osteotrace.errors import DeclarationError
from osteotrace.model.alignment import worst
from osteotrace.model.anatomy import Anatomy
from osteotrace.model.bone_scan import BoneScan, LesionNearSpot, Point, Spot, ViewFootprint
from osteotrace.model.corrections import BoneScanSpot, Corrections
from osteotrace.model.criteria import Criteria
from osteotrace.model.imaging import PlanarImage
from osteotrace.model.patient import PatientImages
from osteotrace.model.planar import FittedView, PlanarFit, Skeleton
from osteotrace.model.values import Verdict, View
from osteotrace.registration.bone_scan import suited_ct
from osteotrace.registration.planar_maps import (
    SD_TO_95,
    SPOT_REACH,
    better_view,
    candidates,
    project,
    views_ratio,
)
from osteotrace.registration.planar_settings import PlanarSettings
from osteotrace.registration.planar_skeleton import skeleton_of, standard_skeleton
from osteotrace.space import FloatArray

_LIMBS, _SKULL = ("arm", "leg"), "skull"
_SOURCES = {"ct": "the CT", "standard": "the standard skeleton"}
_ROUND = np.linspace(0.0, 2.0 * np.pi, 721)  # half a degree apart: the edge of an ellipse to 0.1 mm


@dataclass(frozen=True, slots=True, eq=False)
class _Pointed:
    """A spot and the image that it lies in."""

    id: str
    name: str
    image: PlanarImage
    place: Point


def check_spots(corrections: Corrections, images: PatientImages) -> None:
    """Refuse hot spots that lie in no planar image.

    Raises
    ------
    DeclarationError
        At the first that names an unknown series, one that is not planar or holds several views of which none
        is named, or a pixel outside of the image.
    """
    _pointed(corrections, images)


def map_spots(
    scans: Sequence[BoneScan],
    images: PatientImages,
    corrections: Corrections,
    criteria: Criteria,
    *,
    anatomies: Sequence[Anatomy] = (),
) -> tuple[BoneScan, ...]:
    """The bones and lesions that the hot spots of a person can be.

    Parameters
    ----------
    scans : sequence of BoneScan
        With the places of the lesions.
    anatomies : sequence of Anatomy
        As they were for :func:`osteotrace.registration.fit_bone_scans`.

    Returns
    -------
    tuple of BoneScan
        The same, with the spots of each. A spot in an image that no fit shows has no bone, and a reason.

    Raises
    ------
    DeclarationError
        As :func:`check_spots`.
    """
    spots = _pointed(corrections, images)
    if not spots:
        return tuple(scans)
    skeletons = _skeletons(scans, images, anatomies, criteria)
    out = []
    for scan in scans:
        here = [spot for spot in spots if _exam_id(spot, images) == scan.exam_id]
        out.append(scan.with_spots(tuple(_mapped(spot, scan, images, skeletons, criteria) for spot in here)))
    return tuple(out)


def _exam_id(spot: _Pointed, images: PatientImages) -> str:
    exam = images.exam_of(spot.image.series.id)
    return "" if exam is None else exam.id


def _skeletons(
    scans: Sequence[BoneScan], images: PatientImages, anatomies: Sequence[Anatomy], criteria: Criteria
) -> dict[str, Skeleton]:
    """Those that were fitted, by their source; that of the CT only where a fit of it can be used."""
    skeletons = {"standard": standard_skeleton()}
    chosen = suited_ct(images, anatomies)
    if chosen is not None and any(fit.source == "ct" for scan in scans for fit in _usable(scan)):
        skeletons["ct"] = skeleton_of(*chosen, PlanarSettings.of(criteria))
    return skeletons


def _usable(scan: BoneScan) -> list[PlanarFit]:
    return [fit for fit in scan.fits if fit.verdict is not Verdict.FAILED]


def _mapped(
    spot: _Pointed,
    scan: BoneScan,
    images: PatientImages,
    skeletons: dict[str, Skeleton],
    criteria: Criteria,
) -> Spot:
    """The first skeleton with a bone nearby speaks."""
    settings = PlanarSettings.of(criteria)
    shown = [(fit, view) for fit in _usable(scan) if (view := _view(fit, spot.image)) is not None]
    without = Spot(
        id=spot.id,
        name=spot.name,
        series_id=spot.image.series.id,
        view=shown[0][1].view if shown else spot.image.view,
        place=spot.place,
        ratio=None,
        better=None,
        candidates=(),
        lesions=_lesions(spot, scan),
        verdict=Verdict.FAILED,
        reasons=_why_none(scan, settings, is_shown=bool(shown)),
    )
    for fit, view in shown:
        # A point source has 94% of its counts within one full width at half maximum.
        ratio = views_ratio(
            spot.place, view.view, images.planar, fit, settings.fwhm_mm, least_sd=settings.spot_sd
        )
        found = candidates(spot.place, view.view, [(fit, skeletons[fit.source])], criteria, ratio=ratio)
        if found:
            ends = _at_end(spot.place, view, fit, skeletons[fit.source], found[0].region, settings)
            verdict, reasons = _trust(fit, found[0].region, ends=ends)
            return replace(
                without,
                view=view.view,
                ratio=None if ratio is None else round(ratio, 3),
                better=better_view(found[0].depth_mm, settings),
                candidates=found,
                verdict=verdict,
                reasons=reasons,
            )
    return without


def _view(fit: PlanarFit, image: PlanarImage) -> FittedView | None:
    """The image among the views of a fit, whatever the header calls it; None where it was not used."""
    here = [view for view in fit.views if view.series_id == image.series.id]
    return next((view for view in here if view.view is image.view), here[0] if here else None)


def _trust(fit: PlanarFit, name: str, *, ends: bool) -> tuple[Verdict, tuple[str, ...]]:
    """How far a bone of a region can be trusted, and why not farther; ``ends``: none is known beyond it."""
    region = fit.region(name)
    failed = region is None or region.verdict is Verdict.FAILED
    doubts = [f"its region ({name}) could not be fitted"] if failed else []
    doubts += ["the skeleton ends here: a bone beyond its end is not among these"] if ends else []
    reasons = (*doubts, *(region.reasons if region else ()), *fit.reasons)
    of_region = Verdict.DOUBTFUL if doubts or region is None else region.verdict
    return worst(fit.verdict, of_region), tuple(dict.fromkeys(reasons))


def _at_end(
    place: Point,
    view: FittedView,
    fit: PlanarFit,
    skeleton: Skeleton,
    name: str,
    settings: PlanarSettings,
) -> bool:
    """Whether a spot can lie beyond the end of the skeleton, by the error of its region and its own spread.

    The end of a limb is its own; above a skull there is nothing.
    """
    region = fit.region(name)
    error = settings.failed_error_mm if region is None or region.error_mm is None else region.error_mm
    unsure = float(np.hypot(error, SD_TO_95 * settings.spot_mm))
    down = float(view.plane(place)[1])
    heights = project(fit, skeleton, skeleton.points)[:, 1]
    limb = np.asarray(skeleton.region) == skeleton.regions.index(name)
    lowest = heights[limb if name.startswith(_LIMBS) else slice(None)].max()
    return bool(down > lowest - unsure or (name != _SKULL and down < heights.min() + unsure))


def _why_none(scan: BoneScan, settings: PlanarSettings, *, is_shown: bool) -> tuple[str, ...]:
    if not scan.fits:
        return ("no skeleton was fitted to the scan", *scan.reasons)
    usable = _usable(scan)
    if not usable:
        return tuple(
            f"{_SOURCES[fit.source]} could not be fitted to the scan: {'; '.join(fit.reasons)}"
            for fit in scan.fits
        )
    if not is_shown:
        reasons = (reason for fit in usable for reason in fit.reasons)
        return tuple(dict.fromkeys(("the fit did not use this image", *reasons)))
    return (f"no bone of a fitted skeleton lies within {SPOT_REACH * settings.spot_mm:.0f} mm of it",)


def _lesions(spot: _Pointed, scan: BoneScan) -> tuple[LesionNearSpot, ...]:
    """Lesions whose footprint in the image holds the spot, or would within its predicted error."""
    fit = scan.of_ct
    view = None if fit is None else _view(fit, spot.image)
    if view is None:
        return ()
    near: list[tuple[float, LesionNearSpot]] = []
    for one in scan.footprints:
        for shape in one.views:
            if shape.covered and (shape.series_id, shape.view) == (view.series_id, view.view):
                offset = (np.array(spot.place) - shape.place) * view.pixel_mm
                beyond = _beyond(offset, shape)
                if beyond <= one.error_mm:
                    found = LesionNearSpot(one.track_id, round(beyond, 1), one.error_mm)
                    near.append((float(np.linalg.norm(offset)), found))
    return tuple(found for _, found in sorted(near, key=lambda pair: (pair[1].distance_mm, pair[0])))


def _beyond(offset: FloatArray, shape: ViewFootprint) -> float:
    """Distance (mm) of a place from the edge of a footprint about whose centre it is given; 0 within."""
    if shape.half_axes_mm is None:
        return float(np.linalg.norm(offset))
    along = np.array([np.cos(shape.turn), np.sin(shape.turn)])
    place = np.array([offset @ along, offset @ np.array([-along[1], along[0]])])
    half_axes = np.array(shape.half_axes_mm)
    if float(((place / half_axes) ** 2).sum()) <= 1.0:
        return 0.0
    edge = half_axes * np.stack([np.cos(_ROUND), np.sin(_ROUND)], axis=-1)
    return float(np.linalg.norm(edge - place, axis=1).min())


# --- where the spots are ----------------------------------------------------------------------------


def _pointed(corrections: Corrections, images: PatientImages) -> tuple[_Pointed, ...]:
    return tuple(
        _Pointed(f"F{number}", item.name, _image(item, number, images), item.pixel)
        for number, item in enumerate(corrections.spots, start=1)
    )


def _image(item: BoneScanSpot, number: int, images: PatientImages) -> PlanarImage:
    """The one planar image that a spot lies in."""
    where = f"bone_scan_spot {number}"
    named = _named(item.series, images)
    if not named:
        raise DeclarationError(
            f"a hot spot is on a series that is not there: {item.series}",
            where=where,
            expected=_planar_words(images),
            remedy="take it from the table of osteotrace inspect",
        )
    views = [image for image in images.planar if image.series.id in named]
    if not views:
        raise DeclarationError(
            f"a hot spot is on a series that is no planar image: {item.series}",
            where=where,
            expected=_planar_words(images),
            remedy="point at it in the bone scan; a lesion of a volume is given by add_mask",
        )
    fitting = [image for image in views if item.view is None or image.view is item.view]
    if not fitting:
        there = ", ".join(
            dict.fromkeys(image.view.value for image in views if image.view is not View.UNKNOWN)
        )
        raise DeclarationError(
            f"the series {item.series} has no {item.view} view",
            where=where,
            expected=f"view: {there}" if there else "no view: the header names none",
            remedy="correct view, or delete it where the series holds one image",
        )
    if len(fitting) > 1:
        codes = _codes(images)
        shown = ", ".join(f"{codes[image.series.id]} ({image.view})" for image in fitting)
        raise DeclarationError(
            f"the series {item.series} holds {len(fitting)} images that a hot spot can be on: {shown}",
            where=where,
            expected="one image",
            remedy="add view, or name the image as inspect lists it",
        )
    _check_inside(item, where, fitting[0])
    return fitting[0]


def _check_inside(item: BoneScanSpot, where: str, image: PlanarImage) -> None:
    columns, rows = image.counts.shape
    (column, row) = item.pixel
    if not (-0.5 <= column <= columns - 0.5 and -0.5 <= row <= rows - 0.5):
        raise DeclarationError(
            f"column {column:g}, row {row:g} lies outside of the image of series {item.series}",
            where=where,
            expected=f"a column from 0 to {columns - 1} and a row from 0 to {rows - 1}",
            remedy="write pixel = [column, row]; the first pixel is 0",
        )


def _named(name: str, images: PatientImages) -> frozenset[str]:
    """Ids of the series that a name means: one of ``inspect``, or all views of a Series Instance UID."""
    series = [series for exam in images.timeline.exams for series in exam.series]
    codes = _codes(images)
    listed = {one.id for one in series if codes[one.id] == name}
    return frozenset(listed or {one.id for one in series if name in (one.id, one.series_instance_uid)})


def _codes(images: PatientImages) -> dict[str, str]:
    """``E1-S2``, as ``inspect`` lists it, of each series id."""
    return {s.id: f"{e.id}-S{n}" for e in images.timeline.exams for n, s in enumerate(e.series, start=1)}


def _planar_words(images: PatientImages) -> str:
    codes = _codes(images)
    shown = [
        f"{codes[image.series.id]} ({image.view})" for image in images.planar if image.series.id in codes
    ]
    return f"one of {', '.join(dict.fromkeys(shown))}" if shown else "a planar image; there is none"
