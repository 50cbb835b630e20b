"""The skeleton in the views of a bone scan: which view is which, where it lies, how it is posed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from osteotrace.errors import RegionError
from osteotrace.model.anatomy import Anatomy
from osteotrace.model.criteria import Criteria
from osteotrace.model.imaging import PlanarImage, Volume
from osteotrace.model.planar import PlanarFit, Skeleton
from osteotrace.model.values import Verdict, View
from osteotrace.registration.planar_fit import Fitted, heads_shift, refine
from osteotrace.registration.planar_image import Counts, counts_of
from osteotrace.registration.planar_pose import Chain, chain_of, moved, own_regions
from osteotrace.registration.planar_quality import MIRRORED, Outcome, record
from osteotrace.registration.planar_search import APART_MM, agreement, search
from osteotrace.registration.planar_settings import PlanarSettings
from osteotrace.registration.planar_skeleton import skeleton_of, standard_skeleton
from osteotrace.space import FloatArray

_KEPT = 4
_RIVAL = 0.8  # of the best correlation: a place that is refined too
_FEW = 5  # iterations that tell places apart
_FAR_BEHIND = 0.08  # in correlation: a reading that is not refined
_FRONT, _BACK = View.ANTERIOR, View.POSTERIOR


@dataclass(frozen=True, slots=True, eq=False)
class Planar:
    """A fit with the skeleton that was fitted."""

    fit: PlanarFit
    skeleton: Skeleton


def fit_planar(
    images: Sequence[PlanarImage],
    criteria: Criteria,
    *,
    anatomy: Anatomy | None = None,
    volume: Volume | None = None,
) -> tuple[Planar, ...]:
    """Fit the skeleton of a CT, and the standard skeleton, to the views of one planar scan.

    Parameters
    ----------
    images : sequence of PlanarImage
        The views of one scan, taken together; what cannot be used is named in the reasons.
    criteria : Criteria
        ``planar.*``.
    anatomy, volume : Anatomy and Volume, optional
        A CT (HU) of the patient and its bones. Without them, and where the CT shows too little, only the
        standard skeleton is fitted.

    Returns
    -------
    tuple of Planar
        First the CT, where there is one, then the standard skeleton, which is doubtful at best; empty when no
        view can be used.
    """
    settings = PlanarSettings.of(criteria)
    usable, left_out = _usable(images, settings)
    if not usable:
        return ()
    readings = _readings(usable, settings)
    out = []
    if anatomy is not None and volume is not None:
        try:
            skeleton = skeleton_of(anatomy, volume, settings)
        except RegionError as error:
            left_out = (*left_out, error.found)
        else:
            fit, reading = _fitted(skeleton, readings, settings, left_out)
            out.append(Planar(fit, skeleton))
            readings = [reading] if fit.verdict is not Verdict.FAILED else readings
    fit, _ = _fitted(standard_skeleton(), readings, settings, left_out)
    return (*out, Planar(fit, standard_skeleton()))


def fit_skeleton(skeleton: Skeleton, images: Sequence[PlanarImage], criteria: Criteria) -> PlanarFit | None:
    """Fit one skeleton to the views of one planar scan; None when no view can be used."""
    settings = PlanarSettings.of(criteria)
    usable, left_out = _usable(images, settings)
    if not usable:
        return None
    return _fitted(skeleton, _readings(usable, settings), settings, left_out)[0]


def _usable(
    images: Sequence[PlanarImage], settings: PlanarSettings
) -> tuple[tuple[PlanarImage, ...], tuple[str, ...]]:
    """One image a view with counts and a pixel size, and why others are left out."""
    used: list[PlanarImage] = []
    reasons: list[str] = []
    for image in images:
        counts = float(np.asarray(image.counts, np.float64).sum())
        if image.pixel_mm is None:
            reasons.append(f"the {image.view} view has no pixel size and is not used")
        elif counts < settings.least_counts:
            reasons.append(f"the {image.view} view has {counts:.0f} counts and is not used")
        elif any(image.view is other.view for other in used):
            reasons.append(f"there is another {image.view} view; the first is used")
        elif used and (image.pixel_mm != used[0].pixel_mm or image.counts.shape != used[0].counts.shape):
            reasons.append(f"the {image.view} view has another matrix and is not used")
        else:
            used.append(image)
    return tuple(used), tuple(reasons)


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    """How the views are taken: which is which, and whether they are mirrored."""

    name: str
    views: tuple[Counts, ...]


def _readings(images: Sequence[PlanarImage], settings: PlanarSettings) -> list[_Reading]:
    """First as the header says; then other ways that damaged scans come in."""
    told = [image.view for image in images]
    ways: list[tuple[str, list[View], bool]]
    if len(images) == 1:
        shown = told[0]
        ways = [("", [shown], False), ("mirrored", [shown], True)]
        if shown is View.UNKNOWN:
            ways = [("taken for anterior", [_FRONT], False), ("taken for posterior", [_BACK], False)]
    else:
        if View.UNKNOWN in told:
            known = next((v for v in told if v is not View.UNKNOWN), _FRONT)
            told = [v if v is not View.UNKNOWN else _other(known) for v in told]
            told = [_FRONT, _BACK] if told[0] is told[1] else told
        ways = [
            ("", told, False),
            ("swapped", [_other(v) for v in told], False),
            ("mirrored", told, True),
            ("swapped and mirrored", [_other(v) for v in told], True),
        ]
    return [
        _Reading(
            name,
            tuple(counts_of(i, v, settings, mirrored=mirrored) for i, v in zip(images, views, strict=True)),
        )
        for name, views, mirrored in ways
    ]


def _other(view: View) -> View:
    return _BACK if view is _FRONT else _FRONT


def _fitted(
    skeleton: Skeleton, readings: Sequence[_Reading], settings: PlanarSettings, notes: Sequence[str]
) -> tuple[PlanarFit, _Reading]:
    """Fit of a skeleton, and the reading of the views that it holds for right."""
    chain = chain_of(skeleton, settings)
    best = _best_whole(skeleton, chain, readings[0], settings)
    if len(readings) > 1 and readings[0].name:
        others = [_best_whole(skeleton, chain, reading, settings) for reading in readings[1:]]
        return _of_unknown_side(skeleton, chain, readings, [best, *others], settings, notes)
    tried = [best, *(_another(skeleton, chain, reading, best, settings) for reading in readings[1:])]
    chosen, twin, said = _chosen(readings, tried, settings)
    reading = readings[chosen]
    start = best if chosen == 0 else _best_whole(skeleton, chain, reading, settings)
    fitted = _posed(skeleton, chain, start, reading, settings)
    if twin is not None:
        other = _posed(skeleton, chain, tried[twin], readings[twin], settings)
        gain = fitted.misfit / max(other.misfit, 1e-9) - 1.0
        if gain > settings.side_gain:
            said = (
                *said,
                f"{MIRRORED}: the misfit of the image is {gain:.0%} larger than that of its mirror image",
            )
    return _recorded(skeleton, chain, reading, start, fitted, settings, (*notes, *said)), reading


def _posed(
    skeleton: Skeleton, chain: Chain, start: _Whole, reading: _Reading, settings: PlanarSettings
) -> Fitted:
    """The whole pose; of the standard skeleton coarsely, which is all that it is good for."""
    levels = settings.smooth_mm if skeleton.source == "ct" else settings.smooth_mm[:1]
    return refine(skeleton, chain, reading.views, start.pose, settings, levels=levels)


def _recorded(
    skeleton: Skeleton,
    chain: Chain,
    reading: _Reading,
    start: _Whole,
    fitted: Fitted,
    settings: PlanarSettings,
    notes: tuple[str, ...],
) -> PlanarFit:
    agreed = _agreement(skeleton, chain, fitted.pose, reading, settings)
    outcome = Outcome(reading.views, fitted, agreed, start.margin, notes)
    return record(skeleton, chain, outcome, settings)


def _of_unknown_side(
    skeleton: Skeleton,
    chain: Chain,
    readings: Sequence[_Reading],
    starts: Sequence[_Whole],
    settings: PlanarSettings,
    notes: Sequence[str],
) -> tuple[PlanarFit, _Reading]:
    """Fit of a single view whose header does not name it: as that view that explains the counts better."""
    fits = [_posed(skeleton, chain, s, r, settings) for s, r in zip(starts, readings, strict=True)]
    best = int(np.argmin([fitted.misfit for fitted in fits]))
    other = fits[1 - best].misfit / max(fits[best].misfit, 1e-9) - 1.0
    said = [f"the header names no view; it was {readings[best].name}, whose misfit is {other:.0%} smaller"]
    if other < settings.side_gain:
        said.append(f"{MIRRORED}: the view could be the other one")
    fit = _recorded(skeleton, chain, readings[best], starts[best], fits[best], settings, (*notes, *said))
    return fit, readings[best]


@dataclass(frozen=True, slots=True, eq=False)
class _Whole:
    """Best motion of the whole for one reading of the views."""

    agreement: float
    margin: float
    pose: FloatArray


def _best_whole(skeleton: Skeleton, chain: Chain, reading: _Reading, settings: PlanarSettings) -> _Whole:
    """The best of the places that the search found, each refined; with the margin over other places."""
    found = search(skeleton, chain, reading.views, settings, _KEPT)
    tried = []
    for score, start in found:
        if score < _RIVAL * found[0][0]:
            tried.append((score, start))
        else:
            pose = _moved_as_whole(skeleton, chain, start, reading, settings)
            tried.append((_agreement(skeleton, chain, pose, reading, settings), pose))
    agreed, pose = max(tried, key=lambda item: item[0])
    rivals = [score for score, other in tried if np.linalg.norm(other[:2] - pose[:2]) > APART_MM]
    return _Whole(agreed, agreed - max(rivals, default=0.0), pose)


def _another(
    skeleton: Skeleton, chain: Chain, reading: _Reading, first: _Whole, settings: PlanarSettings
) -> _Whole:
    """As the best of the first reading, for another one: searched at the same turn and size."""
    near = replace(
        settings,
        turns_deg=(float(np.degrees(first.pose[2])), float(-np.degrees(first.pose[2]))),
        scales=(float(np.exp(first.pose[6])),),
        standard_scales=(float(np.exp(first.pose[6])),),
    )
    score, start = search(skeleton, chain, reading.views, near, 1)[0]
    if score < first.agreement - _FAR_BEHIND:
        return _Whole(score, 0.0, start)
    pose = _moved_as_whole(skeleton, chain, start, reading, settings)
    return _Whole(_agreement(skeleton, chain, pose, reading, settings), first.margin, pose)


def _moved_as_whole(
    skeleton: Skeleton, chain: Chain, start: FloatArray, reading: _Reading, settings: PlanarSettings
) -> FloatArray:
    levels = settings.smooth_mm[:1]
    return refine(
        skeleton, chain, reading.views, start, settings, levels=levels, whole_only=True, iterations=_FEW
    ).pose


def _agreement(
    skeleton: Skeleton, chain: Chain, pose: FloatArray, reading: _Reading, settings: PlanarSettings
) -> float:
    plane = moved(chain, pose, np.asarray(skeleton.points, np.float64), own_regions(chain, skeleton))
    planes = [plane + np.array([heads_shift(view.view, pose), 0.0]) for view in reading.views]
    return agreement(skeleton, planes, reading.views, settings)


def _chosen(
    readings: Sequence[_Reading], tried: Sequence[_Whole], settings: PlanarSettings
) -> tuple[int, int | None, tuple[str, ...]]:
    """Which reading is used, which mirror image may be the right one, and what is to be said.

    Swapped views are told by depth, and are used the right way round. A mirror image is told by the patient's
    own asymmetry alone, so that it is never turned: it makes left and right unsure.
    """
    names = [reading.name for reading in readings]
    if len(names) == 1:  # another skeleton has settled it
        return 0, None, ()
    said: list[str] = []
    chosen = 0
    if "swapped" in names:
        both = {name: tried[n].agreement for n, name in enumerate(names)}
        straight, crossed = (
            max(both[""], both["mirrored"]),
            max(both["swapped"], both["swapped and mirrored"]),
        )
        if crossed > straight + settings.swap_gain:
            chosen = names.index("swapped")
            said.append(
                f"anterior and posterior are swapped: exchanged, the counts agree by {crossed:.2f}, "
                f"as named by {straight:.2f}"
            )
    twin = names.index(f"{names[chosen]} and mirrored" if names[chosen] else "mirrored")
    suspect = tried[twin].agreement > tried[chosen].agreement + settings.mirror_gain
    return chosen, twin if suspect else None, tuple(said)
