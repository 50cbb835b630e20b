"""From lesions to their footprints in the views, and from hot spots back to bones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from osteotrace.errors import FrameMismatchError
from osteotrace.model.criteria import Criteria
from osteotrace.model.imaging import PlanarImage
from osteotrace.model.planar import Candidate, FittedView, Footprint, Footprints, PlanarFit, Skeleton
from osteotrace.model.values import Verdict, View
from osteotrace.registration.planar_image import FWHM, reach
from osteotrace.registration.planar_pose import moved, own_regions, pose_of
from osteotrace.registration.planar_settings import PlanarSettings
from osteotrace.space import FloatArray, Mask

_LEAST_PROBABILITY = 0.02  # of a candidate that is listed
_RATIO_SAID = 1.5  # of the views, from which on one is called the better
SD_TO_95 = 2.45  # 95% radius of a normal distribution in a plane, in standard deviations
SPOT_REACH = 3.0  # standard deviations of a hot spot about its bone: farther away there is none
_EDGE = 0.5  # of the largest value of a blurred footprint


def project(fit: PlanarFit, skeleton: Skeleton, points: ArrayLike) -> FloatArray:
    """Front-plane points of points of the skeleton's frame, mm.

    A point moves with the region of the nearest bone.

    Parameters
    ----------
    points : array_like, shape (n, 3)
        LPS, mm.

    Returns
    -------
    ndarray, shape (n, 2)
        To the patient's left and towards the feet; ``fit.views`` map it to pixels.
    """
    chain, pose = pose_of(fit)
    where = np.atleast_2d(np.asarray(points, dtype=np.float64))
    return moved(chain, pose, where, own_regions(chain, skeleton)[_nearest(skeleton, where)])


def _nearest(skeleton: Skeleton, points: FloatArray) -> NDArray[np.intp]:
    return np.asarray(cKDTree(skeleton.points).query(points)[1])


def footprints(mask: Mask, fit: PlanarFit, skeleton: Skeleton, criteria: Criteria) -> Footprints:
    """Where a lesion of the CT appears in each view, and which view sees it better.

    Parameters
    ----------
    mask : Mask
        In the frame of reference of the CT that was fitted.

    Raises
    ------
    FrameMismatchError
        When it is of another frame.
    """
    if fit.frame_of_reference_uid and mask.grid.frame_of_reference_uid != fit.frame_of_reference_uid:
        raise FrameMismatchError(
            "a lesion of another frame of reference is projected",
            where=mask.grid.frame_of_reference_uid,
            expected=fit.frame_of_reference_uid,
            remedy="map it into the frame of the CT first",
        )
    settings = PlanarSettings.of(criteria)
    points = mask.points
    nearest = _nearest(skeleton, points)
    plane = project(fit, skeleton, points)
    middle = int(nearest[np.argmin(np.linalg.norm(points - points.mean(axis=0), axis=1))])
    name = skeleton.regions[int(skeleton.region[middle])]
    region = fit.region(name)
    verdict = Verdict.FAILED if region is None else region.verdict
    everything = project(fit, skeleton, skeleton.points)
    views = tuple(
        _footprint(view, plane, points, nearest, middle, everything, skeleton, settings, mask.grid.spacing)
        for view in fit.views
    )
    better = max(views, key=lambda view: view.share).view
    return Footprints(
        region=name,
        bone=skeleton.bones[int(skeleton.bone[middle])],
        views=views,
        better=better,
        error_mm=None if region is None else region.error_mm,
        verdict=verdict,
        reasons=(*(() if region is None else region.reasons), *fit.reasons),
    )


def _footprint(
    view: FittedView,
    plane: FloatArray,
    points: FloatArray,
    nearest: NDArray[np.intp],
    middle: int,
    everything: FloatArray,
    skeleton: Skeleton,
    settings: PlanarSettings,
    spacing: FloatArray,
) -> Footprint:
    """Projection of a lesion widened by the camera; its depth is that of the bone around it.

    The water between a point of the lesion and the head is that of the nearest point of bone, corrected by
    how much deeper it lies itself.
    """
    front = view.view is not View.POSTERIOR
    depth = np.asarray(skeleton.front_mm if front else skeleton.back_mm, np.float64)[nearest]
    deeper = points[:, 1] - np.asarray(skeleton.points, np.float64)[nearest, 1]
    depth = np.maximum(depth + (deeper if front else -deeper), 0.0)
    share = np.exp(-settings.mu_per_mm * depth)
    pixel = view.pixels(plane)
    step = np.array(view.pixel_mm)
    sigma = np.hypot(settings.fwhm_mm / FWHM, float(spacing.mean()) / 2.0) / step
    image = np.zeros(view.shape)
    whole = np.rint(pixel).astype(int)
    inside = ((whole >= 0) & (whole < view.shape)).all(axis=1)
    np.add.at(image, tuple(whole[inside].T), share[inside])
    shown = np.asarray(ndimage.gaussian_filter(image, sigma, mode="constant"))
    pixels = shown > _EDGE * shown.max() if inside.any() else np.zeros(view.shape, dtype=bool)
    column, row = np.average(pixel, axis=0, weights=share)
    return Footprint(
        series_id=view.series_id,
        view=view.view,
        pixels=pixels,
        column=float(column),
        row=float(row),
        share=float(share.mean()),
        depth_mm=float(depth.mean()),
        others=_others(view, pixels, middle, everything, skeleton, settings),
        covered=bool(0 <= column <= view.shape[0] - 1 and 0 <= row <= view.shape[1] - 1),
    )


def _others(
    view: FittedView,
    pixels: NDArray[np.bool_],
    middle: int,
    everything: FloatArray,
    skeleton: Skeleton,
    settings: PlanarSettings,
) -> float:
    """Share of the normal bone counts in a footprint that come from other bones."""
    place = np.rint(view.pixels(everything)).astype(int)
    inside = ((place >= 0) & (place < view.shape)).all(axis=1)
    hit = np.zeros(len(place), dtype=bool)
    hit[inside] = pixels[tuple(place[inside].T)]
    counts = reach(skeleton, view.view, settings) * hit
    own = np.asarray(skeleton.bone) == skeleton.bone[middle]
    total = float(counts.sum())
    return float(counts[~own].sum()) / total if total > 0 else 0.0


def candidates(
    spot: ArrayLike,
    view: View,
    fits: Sequence[tuple[PlanarFit, Skeleton]],
    criteria: Criteria,
    *,
    ratio: float | None = None,
) -> tuple[Candidate, ...]:
    """Bones that a hot spot can lie in, most probable first.

    Parameters
    ----------
    spot : array_like, shape (2,)
        Its column and row in the image of ``view``.
    view : View
        As the fit takes it.
    fits : sequence of (PlanarFit, Skeleton)
        The CT first; the standard skeleton speaks where no bone of the CT is near.
    ratio : float, optional
        Anterior over posterior counts of the spot above what is around it, where both views were measured:
        says how deep it lies.
    """
    settings = PlanarSettings.of(criteria)
    for fit, skeleton in fits:
        shown = next((v for v in fit.views if v.view is view), None)
        if fit.verdict is Verdict.FAILED or shown is None:
            continue
        found = _candidates(np.asarray(spot, np.float64), shown, fit, skeleton, settings, ratio)
        if found:
            return found
    return ()


def _candidates(
    spot: FloatArray,
    view: FittedView,
    fit: PlanarFit,
    skeleton: Skeleton,
    settings: PlanarSettings,
    ratio: float | None,
) -> tuple[Candidate, ...]:
    plane = project(fit, skeleton, skeleton.points)
    away = np.linalg.norm(plane - view.plane(spot), axis=1)
    errors = {region.name: region.error_mm for region in fit.regions}
    sd = np.array([(errors.get(name) or settings.failed_error_mm) for name in skeleton.regions]) / SD_TO_95
    spread = np.hypot(sd, settings.spot_mm)[np.asarray(skeleton.region)]
    worth = reach(skeleton, view.view, settings) * np.exp(-0.5 * (away / spread) ** 2) / spread**2
    depth = settings.mu_per_mm * (np.asarray(skeleton.back_mm) - np.asarray(skeleton.front_mm))
    if ratio is not None and ratio > 0:
        worth = worth * np.exp(-0.5 * ((np.log(ratio) - depth) / settings.ratio_sd) ** 2)
    if away.min() > SPOT_REACH * settings.spot_mm or worth.sum() <= 0:
        return ()
    total = float(worth.sum())
    out = []
    for number in np.unique(np.asarray(skeleton.bone)):
        own = np.asarray(skeleton.bone) == number
        probability = float(worth[own].sum()) / total
        if probability >= _LEAST_PROBABILITY:
            nearest = int(np.flatnonzero(own)[np.argmin(away[own])])
            out.append(
                _candidate(number, probability, nearest, float(away[nearest]), skeleton, ratio, settings)
            )
    return tuple(sorted(out, key=lambda candidate: -candidate.probability))


def _candidate(
    number: int,
    probability: float,
    nearest: int,
    away: float,
    skeleton: Skeleton,
    ratio: float | None,
    settings: PlanarSettings,
) -> Candidate:
    front, back = float(skeleton.front_mm[nearest]), float(skeleton.back_mm[nearest])
    expected = _expected_ratio((front, back), settings)
    reasons = [f"{away:.0f} mm from its projection"]
    side = better_view((front, back), settings)
    if side is not None:
        reasons.append(f"the {side} view should see it {max(expected, 1 / expected):.1f} times as well")
    if ratio is not None and ratio > 0:
        reasons.append(f"anterior over posterior counts {ratio:.2f}, {expected:.2f} expected at its depth")
    if skeleton.source == "standard":
        reasons.append("standard skeleton: doubtful")
    return Candidate(
        bone=skeleton.bones[number],
        region=skeleton.regions[int(skeleton.region[nearest])],
        probability=round(probability, 4),
        distance_mm=round(away, 2),
        depth_mm=(round(front, 1), round(back, 1)),
        source=skeleton.source,
        reasons=tuple(reasons),
    )


def better_view(depth_mm: tuple[float, float], settings: PlanarSettings) -> View | None:
    """Which view should see a bone better by its water in front and behind; None when about equally."""
    expected = _expected_ratio(depth_mm, settings)
    if 1.0 / _RATIO_SAID <= expected <= _RATIO_SAID:
        return None
    return View.ANTERIOR if expected > 1.0 else View.POSTERIOR


def _expected_ratio(depth_mm: tuple[float, float], settings: PlanarSettings) -> float:
    """Anterior over posterior counts by attenuation alone."""
    front, back = depth_mm
    return float(np.exp(settings.mu_per_mm * (back - front)))


def views_ratio(
    spot: ArrayLike,
    view: View,
    images: Sequence[PlanarImage],
    fit: PlanarFit,
    radius_mm: float,
    *,
    least_sd: float = 0.0,
) -> float | None:
    """Anterior over posterior counts of a hot spot above the ring around it; None when they cannot be told.

    Parameters
    ----------
    spot : array_like, shape (2,)
        Column and row in the image of ``view``.
    radius_mm : float
        Of the spot; the ring reaches to twice as far.
    least_sd : float
        Excess in either view, in standard deviations of the counts, below which it cannot be told.
    """
    shown = {v.view: v for v in fit.views}
    if set(shown) != {View.ANTERIOR, View.POSTERIOR}:
        return None
    plane = shown[view].plane(np.asarray(spot, np.float64))
    excess = {}
    for side, fitted in shown.items():
        image = next((i for i in images if i.series.id == fitted.series_id), None)
        if image is None:
            return None
        excess[side] = _excess(image, fitted, plane, radius_mm, least_sd)
    if min(excess.values()) <= 0:
        return None
    return float(excess[View.ANTERIOR] / excess[View.POSTERIOR])


def _excess(
    image: PlanarImage, view: FittedView, plane: FloatArray, radius_mm: float, least_sd: float
) -> float:
    """Counts within a radius above those of the ring around it; 0 when they do not stand out."""
    index = np.moveaxis(np.indices(view.shape), 0, -1)
    away = np.linalg.norm(view.plane(index) - plane, axis=-1)
    counts = np.asarray(image.counts, np.float64)
    inside, ring = away <= radius_mm, (away > radius_mm) & (away <= 2.0 * radius_mm)
    if not inside.any() or not ring.any():
        return 0.0
    total = float(counts[inside].sum())
    excess = total - float(np.median(counts[ring])) * int(inside.sum())
    return excess if excess >= least_sd * np.sqrt(total) else 0.0
