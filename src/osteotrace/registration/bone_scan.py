"""The bone scans of a patient: the skeleton fitted to each, and the lesions of other exams in its views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from threadpoolctl import threadpool_limits

from osteotrace.model.alignment import Alignment, Route, route, worst
from osteotrace.model.anatomy import Anatomy
from osteotrace.model.bone_scan import BoneScan, LesionFootprint, NotPlaced, RegionOutline, ViewFootprint
from osteotrace.model.criteria import Criteria
from osteotrace.model.imaging import Exam, NuclearFacts, PlanarImage, Volume
from osteotrace.model.lesion import Lesion, LesionTrack
from osteotrace.model.patient import PatientImages
from osteotrace.model.planar import Footprint, Footprints, PlanarFit, Skeleton
from osteotrace.model.values import Modality, Quantity, Verdict
from osteotrace.registration.planar import Planar, fit_planar
from osteotrace.registration.planar_maps import footprints
from osteotrace.registration.planar_outline import ellipse_of, outlines_of
from osteotrace.registration.planar_settings import PlanarSettings
from osteotrace.registration.planar_skeleton import skeleton_of
from osteotrace.space import Mask, covered_fraction, map_mask

Progress = Callable[[str, int, int], None]

_BONE_TRACERS = frozenset({"MDP", "HDP", "NaF"})
_UNKNOWN = "unknown"
_LEAST_INSIDE = 0.5  # of a lesion in the field of view of the CT: most of it
_TOO_LITTLE = "the CT shows too little bone to be fitted to the scan"
_NO_CT = "no CT of the patient whose bones were found: lesions cannot be placed on the standard skeleton"


def fit_bone_scans(
    images: PatientImages,
    criteria: Criteria,
    *,
    anatomies: Sequence[Anatomy] = (),
    progress: Progress | None = None,
) -> tuple[BoneScan, ...]:
    """Fit the skeleton to every exam with planar images.

    Parameters
    ----------
    images : PatientImages
    criteria : Criteria
        ``planar.*``.
    anatomies : sequence of Anatomy
        Of the patient's volumes. The CT with most bones is used; without one the standard skeleton alone.
    progress : callable, optional
        Called with (what, done, total).

    Returns
    -------
    tuple of BoneScan
        One for each exam with planar images, in order of time, without lesions. One that is not fitted says
        why.
    """
    exams = [(exam, views) for exam in images.timeline.exams if (views := _views(exam, images))]
    chosen = suited_ct(images, anatomies)
    out = []
    for number, (exam, views) in enumerate(exams, start=1):
        with threadpool_limits(1, user_api="blas"):  # more threads wait for each other on a busy machine
            out.append(_fitted(exam, views, chosen, criteria))
        if progress is not None:
            progress("bone scan", number, len(exams))
    return tuple(out)


def place_lesions(
    scans: Sequence[BoneScan],
    images: PatientImages,
    lesions: Sequence[Lesion],
    tracks: Sequence[LesionTrack],
    alignments: tuple[Alignment, ...],
    criteria: Criteria,
    *,
    anatomies: Sequence[Anatomy] = (),
) -> tuple[BoneScan, ...]:
    """Where every lesion would show in every bone scan.

    Parameters
    ----------
    scans : sequence of BoneScan
        Of :func:`fit_bone_scans` for the same images and anatomies.

    Returns
    -------
    tuple of BoneScan
        Every track has a footprint or a reason.
    """
    of_id = {lesion.id: lesion for lesion in lesions}
    chosen = suited_ct(images, anatomies)
    skeleton: Skeleton | None = None
    if chosen is not None and any(_usable(scan.of_ct) for scan in scans):
        skeleton = skeleton_of(*chosen, PlanarSettings.of(criteria))
    out = []
    for scan in scans:
        found: list[LesionFootprint | NotPlaced] = []
        for track in tracks:
            outlines = [of_id[lesion_id] for lesion_id in track.lesion_ids]
            found.append(_placed(track, outlines, scan, chosen, skeleton, alignments, criteria))
        out.append(
            scan.with_lesions(
                tuple(one for one in found if isinstance(one, LesionFootprint)),
                tuple(one for one in found if isinstance(one, NotPlaced)),
            )
        )
    return tuple(out)


def _views(exam: Exam, images: PatientImages) -> list[PlanarImage]:
    """Planar images of an exam, those of the longest field of view first: spot views come last."""
    here = {series.id for series in exam.series}
    return sorted((p for p in images.planar if p.series.id in here), key=lambda view: -_length_mm(view))


def _length_mm(view: PlanarImage) -> float:
    return 0.0 if view.pixel_mm is None else float(view.counts.shape[1] * view.pixel_mm[1])


def suited_ct(images: PatientImages, anatomies: Sequence[Anatomy]) -> tuple[Anatomy, Volume] | None:
    """The CT with most bones, of equals the one with the largest field of view."""
    pairs = [(anatomy, images.volume(anatomy.series_id)) for anatomy in anatomies if anatomy.bones]
    usable = [(anatomy, volume) for anatomy, volume in pairs if volume is not None and _is_ct(volume)]
    return max(usable, key=lambda pair: (len(pair[0].bones), _extent_mm3(pair[1])), default=None)


def _is_ct(volume: Volume) -> bool:
    return volume.series.modality is Modality.CT and volume.series.quantity is Quantity.HU


def _extent_mm3(volume: Volume) -> float:
    return volume.grid.voxel_volume_mm3 * float(np.prod(volume.grid.shape))


def _usable(fit: PlanarFit | None) -> bool:
    return fit is not None and fit.verdict is not Verdict.FAILED


def _fitted(
    exam: Exam, views: list[PlanarImage], chosen: tuple[Anatomy, Volume] | None, criteria: Criteria
) -> BoneScan:
    suited, reasons = _of_bone_tracer(views)
    if not suited:
        return BoneScan(exam.id, (), reasons=reasons)
    anatomy, volume = chosen if chosen is not None else (None, None)
    found = fit_planar(suited, criteria, anatomy=anatomy, volume=volume)
    if not found:
        reasons = (*reasons, *(_why_unused(view) for view in suited))
        return BoneScan(exam.id, (), reasons=tuple(dict.fromkeys(reasons)))
    scan = BoneScan(exam.id, tuple(_told_once(one.fit) for one in found), reasons=reasons)
    shown = next((one for one in found if one.fit.verdict is not Verdict.FAILED), None)
    return scan if shown is None else replace(scan, outlines=_outlines(shown, criteria))


def _of_bone_tracer(views: list[PlanarImage]) -> tuple[list[PlanarImage], tuple[str, ...]]:
    """Views that are or can be of a bone tracer, and what is to be said of the tracers."""
    tracers = [_tracer(view) for view in views]
    other = sorted({tracer for tracer in tracers if tracer not in _BONE_TRACERS and tracer != _UNKNOWN})
    reasons = [f"{tracer} is no bone tracer: its views are not used" for tracer in other]
    suited = [view for view, tracer in zip(views, tracers, strict=True) if tracer not in other]
    if suited and all(_tracer(view) == _UNKNOWN for view in suited):
        reasons.append("the header names no tracer: taken for a bone scan")
    return suited, tuple(reasons)


def _tracer(view: PlanarImage) -> str:
    facts = view.series.facts
    value = facts.tracer.value if isinstance(facts, NuclearFacts) else None
    return value or _UNKNOWN


def _why_unused(view: PlanarImage) -> str:
    what = "no pixel size" if view.pixel_mm is None else "too few counts"
    return f"the {view.view} view has {what} and is not used"


def _told_once(fit: PlanarFit) -> PlanarFit:
    return replace(fit, reasons=tuple(dict.fromkeys(fit.reasons)))


def _outlines(shown: Planar, criteria: Criteria) -> tuple[RegionOutline, ...]:
    return outlines_of(shown.fit, shown.skeleton, PlanarSettings.of(criteria).voxel_mm)


def _placed(
    track: LesionTrack,
    outlines: Sequence[Lesion],
    scan: BoneScan,
    chosen: tuple[Anatomy, Volume] | None,
    skeleton: Skeleton | None,
    alignments: tuple[Alignment, ...],
    criteria: Criteria,
) -> LesionFootprint | NotPlaced:
    """The footprint of a lesion, or why there is none."""
    fit = scan.of_ct
    if not scan.fits:
        return NotPlaced(track.id, "no skeleton was fitted to the scan")
    if fit is None or chosen is None:
        return NotPlaced(track.id, _NO_CT if chosen is None else _TOO_LITTLE)
    if skeleton is None or fit.verdict is Verdict.FAILED:
        return NotPlaced(track.id, f"the CT could not be fitted to the scan: {'; '.join(fit.reasons)}")
    volume = chosen[1]
    ways = [(lesion, way) for lesion in outlines if (way := _way(lesion, volume, alignments)) is not None]
    if not ways:
        return NotPlaced(track.id, "no usable alignment leads from its exams to the CT")
    lesion, way = min(ways, key=lambda pair: _rank(pair[0], pair[1], volume))
    mask = _on_ct(lesion, way, volume)
    if mask is None:
        return NotPlaced(track.id, "its place lies outside of the CT")
    found = footprints(mask, fit, skeleton, criteria)
    if found.verdict is Verdict.FAILED or found.error_mm is None:
        why = "; ".join(found.reasons) or "the CT does not show it well enough"
        return NotPlaced(track.id, f"its region ({found.region}) could not be fitted: {why}")
    shown = _footprint(track, lesion, way, found, fit)
    if shown.error_mm > PlanarSettings.of(criteria).failed_error_mm:
        return NotPlaced(track.id, f"its place is known to {shown.error_mm:.0f} mm only")
    return shown


def _way(lesion: Lesion, volume: Volume, alignments: tuple[Alignment, ...]) -> Route | None:
    """The way from a lesion to the CT; None without one that can be used."""
    frames = lesion.mask.grid.frame_of_reference_uid, volume.grid.frame_of_reference_uid
    way = route(alignments, *frames)
    return None if way is None or way.verdict_at(lesion.centroid_mm) is Verdict.FAILED else way


def _rank(lesion: Lesion, way: Route, volume: Volume) -> tuple[bool, bool, float, str]:
    """Outlines on the CT itself first, then those of its frame, then by the error of the way."""
    drawn = lesion.series_id == volume.series.id
    return (not drawn, bool(way.legs), way.radius_at(lesion.centroid_mm), lesion.id)


def _on_ct(lesion: Lesion, way: Route, volume: Volume) -> Mask | None:
    """The lesion in the frame of the CT; None where less than half of it lies in the field of view."""
    motion = way.near(lesion.centroid_mm) if way.legs else None
    if covered_fraction(lesion.mask, volume.grid, motion) < _LEAST_INSIDE:
        return None
    return map_mask(lesion.mask, volume.grid, mask_to_onto=motion) if way.legs else lesion.mask


def _footprint(
    track: LesionTrack, lesion: Lesion, way: Route, found: Footprints, fit: PlanarFit
) -> LesionFootprint:
    carried = bool(way.legs)
    error = float(np.hypot(found.error_mm or 0.0, way.radius_at(lesion.centroid_mm) if carried else 0.0))
    along = way.verdict_at(lesion.centroid_mm) if carried else Verdict.GOOD
    doubts = ("it was carried to the CT by a doubtful alignment",) if along is Verdict.DOUBTFUL else ()
    steps = {view.series_id + view.view: view.pixel_mm for view in fit.views}
    return LesionFootprint(
        track_id=track.id,
        lesion_id=lesion.id,
        carried=carried,
        region=found.region,
        bone=found.bone,
        views=tuple(_in_view(one, steps[one.series_id + one.view]) for one in found.views),
        better=found.better,
        error_mm=round(error, 2),
        verdict=worst(found.verdict, along),
        reasons=tuple(dict.fromkeys((*doubts, *found.reasons))),
    )


def _in_view(one: Footprint, step_mm: tuple[float, float]) -> ViewFootprint:
    half_axes, turn = ellipse_of(one.pixels, step_mm) if one.covered else (None, 0.0)
    return ViewFootprint(
        series_id=one.series_id,
        view=one.view,
        covered=one.covered,
        place=(round(one.column, 2), round(one.row, 2)),
        half_axes_mm=half_axes,
        turn=turn,
        depth_mm=round(one.depth_mm, 1),
        share=round(one.share, 4),
        others=round(one.others, 4),
    )
