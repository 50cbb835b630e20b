"""How far a planar fit can be trusted, region by region, and the record of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from osteotrace.model.planar import FittedView, PlanarFit, RegionFit, Skeleton
from osteotrace.model.values import Verdict
from osteotrace.registration.planar_fit import Fitted, heads_shift
from osteotrace.registration.planar_image import Counts
from osteotrace.registration.planar_pose import (
    BREATHING,
    WHOLE,
    Chain,
    local_fields,
    own_regions,
    whole_fields,
)
from osteotrace.registration.planar_settings import PlanarSettings
from osteotrace.registration.planar_skeleton import SPINE
from osteotrace.space import FloatArray

MIRRORED = "left and right are not sure"
_MOST = 200  # points of a region whose error is computed
_ERROR_PERCENTILE = 90.0
_UNUSUAL = 3.0  # usual sizes
_PER_REGION = 4


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What the fit found.

    Attributes
    ----------
    views : tuple of Counts
        As they were taken.
    fitted : Fitted
    agreement, margin : float
        See :class:`~osteotrace.model.planar.PlanarFit`.
    notes : tuple of str
        Said about the input.
    """

    views: tuple[Counts, ...]
    fitted: Fitted
    agreement: float
    margin: float
    notes: tuple[str, ...]


def record(skeleton: Skeleton, chain: Chain, outcome: Outcome, settings: PlanarSettings) -> PlanarFit:
    """The fit with its quality."""
    pose = outcome.fitted.pose
    verdict, reasons = _of_the_whole(skeleton, outcome, settings)
    regions = tuple(
        _region(name, skeleton, chain, outcome.fitted, verdict, settings)
        for name in _present(skeleton, chain)
    )
    errors = [r.error_mm for r in regions if r.error_mm is not None]
    failed = verdict is Verdict.FAILED or not errors
    count = len(chain.knots)
    bends = pose[len(WHOLE) : len(WHOLE) + 2 * count].reshape(-1, 2)
    return PlanarFit(
        source=skeleton.source,
        series_id=skeleton.series_id,
        frame_of_reference_uid=skeleton.frame_of_reference_uid,
        views=tuple(_view(view, pose) for view in outcome.views),
        centre_mm=_triple(chain.centre),
        place_mm=(float(pose[0]), float(pose[1])),
        turn=float(pose[2]),
        pitch=float(pose[3]),
        twist=float(pose[4]),
        scale=(float(np.exp(pose[5])), float(np.exp(pose[6]))),
        knots_mm=tuple(float(k) for k in chain.knots),
        bends_mm=tuple((float(a), float(b)) for a, b in bends),
        regions=regions,
        agreement=float(outcome.agreement),
        margin=float(outcome.margin),
        error_mm=None if failed else max(errors),
        verdict=Verdict.FAILED if failed else verdict,
        reasons=(*outcome.notes, *reasons),
    )


def _triple(values: FloatArray) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    return (x, y, z)


def _view(view: Counts, pose: FloatArray) -> FittedView:
    image = view.image
    assert image.pixel_mm is not None
    columns, rows = image.counts.shape
    offset = -heads_shift(view.view, pose)
    return FittedView(image.series.id, view.view, (columns, rows), image.pixel_mm, float(offset))


def _present(skeleton: Skeleton, chain: Chain) -> tuple[str, ...]:
    spine = SPINE in skeleton.regions and bool((skeleton.region == skeleton.regions.index(SPINE)).any())
    return ((SPINE,) if spine else ()) + chain.names


def _of_the_whole(
    skeleton: Skeleton, outcome: Outcome, settings: PlanarSettings
) -> tuple[Verdict, tuple[str, ...]]:
    """Verdict of the fit as a whole, and why."""
    failed, doubts = [], []
    for value, good, least, what in (
        (outcome.agreement, settings.good_agreement, settings.failed_agreement, "the counts agree by"),
        (outcome.margin, settings.good_margin, settings.failed_margin, "the next best place is worse by"),
    ):
        if value < least:
            failed.append(f"{what} only {value:.2f}")
        elif value < good:
            doubts.append(f"{what} only {value:.2f}")
    if skeleton.source == "standard":
        doubts.append("standard skeleton: not the patient's own")
    else:
        size = np.exp(outcome.fitted.pose[5:7])
        if np.abs(size - 1.0).max() > settings.scale_off:
            doubts.append(
                f"the scan shows a body {size[0]:.2f} times as wide and {size[1]:.2f} times as long as the "
                "CT: another patient, or a wrong pixel size"
            )
    doubts += [note for note in outcome.notes if note.startswith(MIRRORED)]
    mirrored = [note for note in outcome.notes if note.startswith(MIRRORED)]
    reasons = (*failed, *(doubt for doubt in doubts if doubt not in mirrored))
    if failed:
        return Verdict.FAILED, reasons
    return (Verdict.DOUBTFUL if doubts else Verdict.GOOD), reasons


def _region(
    name: str, skeleton: Skeleton, chain: Chain, fitted: Fitted, verdict: Verdict, settings: PlanarSettings
) -> RegionFit:
    own = np.flatnonzero(np.asarray(skeleton.region) == skeleton.regions.index(name))
    own = own[:: max(1, len(own) // _MOST)]
    points = np.asarray(skeleton.points, np.float64)[own]
    region = own_regions(chain, skeleton)[own]
    local = local_fields(chain, points, region)
    shift = np.tensordot(fitted.pose[len(WHOLE) :], local, axes=1)
    error = _error(chain, fitted, points, local, settings)
    if name.startswith(BREATHING):
        error = float(np.hypot(error, settings.thorax_error_mm))
    if skeleton.source == "standard":
        error = float(np.hypot(error, settings.standard_error_mm))
    reasons = _unusual(name, chain, fitted.pose)
    if verdict is Verdict.FAILED or error > settings.failed_error_mm:
        state = Verdict.FAILED
    elif verdict is Verdict.DOUBTFUL or error > settings.good_error_mm or reasons:
        state = Verdict.DOUBTFUL
    else:
        state = Verdict.GOOD
    if error > settings.good_error_mm:
        reasons = (*reasons, f"its place is known to {error:.0f} mm only")
    at = _first(chain, name)
    numbers = np.zeros(_PER_REGION) if at is None else fitted.pose[at : at + _PER_REGION]
    centre = points.mean(axis=0) if at is None else chain.centres[chain.names.index(name)]
    return RegionFit(
        name=name,
        centre_mm=_triple(centre),
        shift_mm=(float(numbers[0]), float(numbers[1])),
        turn=float(numbers[2]),
        pitch=float(numbers[3]),
        error_mm=None if state is Verdict.FAILED else round(error, 2),
        residual_mm=round(float(np.sqrt((shift**2).sum(axis=1).mean())), 2),
        verdict=state,
        reasons=reasons,
    )


def _first(chain: Chain, name: str) -> int | None:
    """Place of a region's numbers in the pose; None for the spine, which has none."""
    if name not in chain.names:
        return None
    return len(WHOLE) + 2 * len(chain.knots) + _PER_REGION * chain.names.index(name)


def _error(
    chain: Chain,
    fitted: Fitted,
    points: FloatArray,
    local: FloatArray,
    settings: PlanarSettings,
) -> float:
    """Predicted 95% radius of the points of a region, mm."""
    none = np.zeros((1, len(points), 2))
    fields = np.concatenate([whole_fields(chain, fitted.pose, points), none, local])
    spread = np.einsum("knc,kl,lnc->n", fields, fitted.covariance, fields, optimize=True)
    sd = float(np.sqrt(np.percentile(np.maximum(spread, 0.0) / 2.0, _ERROR_PERCENTILE)))
    return float(np.hypot(settings.error_base_mm, settings.error_per_sd * sd))


def _unusual(name: str, chain: Chain, pose: FloatArray) -> tuple[str, ...]:
    """Whether a region moved more than regions usually do."""
    at = _first(chain, name)
    if at is None:
        return ()
    part = slice(at, at + _PER_REGION)
    far = float(np.abs(pose[part] / chain.sd[part]).max())
    return (f"it moved {far:.1f} times as far as usual",) if far > _UNUSUAL else ()
