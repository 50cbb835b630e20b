"""How far a pose can be trusted, from what the images themselves say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from osteotrace.model.values import Verdict
from osteotrace.registration.evidence import Pair, overlap
from osteotrace.registration.pose import Found, distance, score
from osteotrace.registration.refine import Tether, climb
from osteotrace.registration.settings import Settings
from osteotrace.space import FloatArray
from osteotrace.space.grid import apply_affine

_Opinions = Callable[[FloatArray], tuple[float, float]]

_ITERATIONS = 15
_MIRROR = "the mirror image fits better: left and right are unsure"
_UNRELATED = 24
_TRIES = 40
_HALF_SHARE = 0.5  # half of the field knows less than the whole
_TURN_DEG = (30.0, 90.0)
_SHIFT_SHARE = (0.15, 0.4)
_SEGMENTS_MM = (-36.0, -22.0, 22.0, 36.0)  # heights of a lumbar and a thoracic segment


@dataclass(frozen=True, slots=True)
class Quality:
    """What the checks of a pose gave.

    Attributes
    ----------
    residual_mm : float
        The larger of two spreads: the root mean square distance between the pose and its estimates, and
        half the median distance to what the halves of the field of view say alone.
    error_mm : float
        Predicted 95% radius: from the residual, or from the bend along the longest side if that is more.
    overlap : float
        Share of the smaller body that both fields of view hold.
    margin : float
        Relative advantage of the best pose in score over the best one far from it; 1 when there is none.
    chance : float
        Evidence or agreement of edges, whichever is less, over that of unrelated poses, in their standard
        deviations.
    verdict : Verdict
    reasons : tuple of str
    """

    residual_mm: float
    error_mm: float
    overlap: float
    margin: float
    chance: float
    verdict: Verdict
    reasons: tuple[str, ...]


def assess(found: Found, settings: Settings, seed: int) -> Quality:
    """Measure spread, overlap, margin and chance level of a pose and give a verdict."""
    points = found.pairs[0].samples.points
    spread = [distance(p, found.pose, points) for p in found.estimates.values()]
    halves = _HALF_SHARE * float(np.median(_half_spread(found) or [0.0]))
    residual = max(float(np.sqrt(np.mean(np.square(spread)))), halves)
    base = settings.error_base_mm if _second_opinion(found) else settings.error_alone_mm
    spread_error = float(np.hypot(base, settings.error_per_residual * residual))
    error = max(spread_error, float(np.hypot(settings.error_base_mm, _bend(found, settings.tether_mm))))
    shared = overlap(found.pairs, found.pose)
    opinions = found.opinions(settings)
    margin = _margin(found, opinions, settings.rival_mm)
    chance = _over_chance(found, opinions, settings, seed)
    verdict, reasons = _judge(error, shared, margin, chance, settings)
    if verdict is not Verdict.FAILED and mirror_gain(found) >= settings.mirror_gain:
        verdict, reasons = Verdict.DOUBTFUL, (*reasons, _MIRROR)
    return Quality(residual, error, shared, margin, chance, verdict, reasons)


def stands_out(found: Found, settings: Settings, seed: int) -> tuple[float, float]:
    """Margin and chance level of a pose, as `Quality` has them."""
    opinions = found.opinions(settings)
    margin = _margin(found, opinions, settings.rival_mm)
    return margin, _over_chance(found, opinions, settings, seed)


def _margin(found: Found, opinions: _Opinions, far_mm: float) -> float:
    """Advantage over the distinct optima of the search, and over those one segment of a spine away."""
    points = found.pairs[0].samples.points

    def best_far(scored: Sequence[tuple[float, FloatArray]]) -> float:
        far = [value for value, other in scored if distance(other, found.pose, points) > far_mm]
        return max(far, default=0.0)

    searched = best_far(found.rivals[1:]) / max(found.rivals[0][0], 1e-9)
    shifted = [(score(opinions(pose)), pose) for pose in _segment_away(found)]
    return 1.0 - max(searched, best_far(shifted) / max(score(opinions(found.pose)), 1e-9))


def _segment_away(found: Found) -> list[FloatArray]:
    """Optima next to poses that are a segment of a spine too high or too low."""
    out = []
    for height in _SEGMENTS_MM:
        start = found.pose.copy()
        start[2, 3] += height
        out.append(climb(found.pairs, start, 0.0, _ITERATIONS)[1])
    return out


def _second_opinion(found: Found) -> bool:
    """Whether both frames have two series, or the images are of one kind and need none."""
    alike = all(len(set(pair.kind.split("-"))) == 1 for pair in found.pairs)
    return alike or len(found.pairs) >= 2 * 2


def mirror_gain(found: Found) -> float:
    """By which share the probe image, reflected along one of its axes, explains the field image better.

    Negative where the image as it is fits better; 1 at most, also where that explains nothing at all.
    """
    right = climb(found.pairs, found.pose, 0.0, _ITERATIONS)[0]
    middle = found.pairs[0].samples.points.mean(axis=0)
    best = 0.0
    for axis in range(3):
        mirror = np.eye(4)
        mirror[axis, axis] = -1.0
        mirror[axis, 3] = 2.0 * middle[axis]
        best = max(best, climb(found.pairs, found.pose @ mirror, 0.0, _ITERATIONS)[0])
    return min(best / max(right, 1e-9), 2.0) - 1.0


def _half_spread(found: Found) -> list[float]:
    """Mean distance of the poses that each half of the field of view gives, at the points of that half."""
    halves = [half for axis in range(3) for half in _halves_alone(found, axis, None)]
    return [distance(pose, found.pose, points) for pose, points in halves]


def _bend(found: Found, reach_mm: float) -> float:
    """How far the halves along the longest side would move the midline, near the pose: 95th percentile, mm.

    No rigid pose follows a spine that bends between two exams: its halves then ask for poses of their own,
    and the ends of the spine lie further off than the mean of a half.
    """
    points = found.pairs[0].samples.points
    axis = int(np.ptp(points, axis=0).argmax())
    away = []
    for pose, half in _halves_alone(found, axis, Tether(found.pose, reach_mm)):
        line = np.tile(np.median(points, axis=0), (len(half), 1))
        line[:, axis] = half[:, axis]
        away.append(np.linalg.norm(apply_affine(pose - found.pose, line), axis=1))
    return float(np.percentile(np.concatenate(away), 95)) if away else 0.0


def _halves_alone(found: Found, axis: int, tether: Tether | None) -> list[tuple[FloatArray, FloatArray]]:
    """Pose that each half of the field of view gives, climbing alone, and the points of that half."""
    middle = np.median(found.pairs[0].samples.points, axis=0)
    out = []
    for side in (-1.0, 1.0):
        halves = [_half(pair, axis, side, middle) for pair in found.pairs]
        points = halves[0].samples.points
        if len(points):
            out.append((climb(halves, found.pose, 0.0, _ITERATIONS, tether)[1], points))
    return out


def _half(pair: Pair, axis: int, side: float, middle: FloatArray) -> Pair:
    chosen = (pair.samples.points[:, axis] - middle[axis]) * side > 0
    return Pair(pair.field, pair.samples.take(chosen), pair.kind)


def _over_chance(found: Found, opinions: _Opinions, settings: Settings, seed: int) -> float:
    """Evidence and agreement of edges over those of unrelated poses; the lesser, in standard deviations.

    In a narrow slab of a trunk one of the two alone is often high at a wrong pose.
    """
    values = np.array([opinions(pose) for pose in _unrelated(found, settings, seed)])
    if len(values) < 3:
        return 0.0
    above = (np.array(opinions(found.pose)) - values.mean(axis=0)) / values.std(axis=0)
    return float(np.nan_to_num(above).min())


def _unrelated(found: Found, settings: Settings, seed: int) -> list[FloatArray]:
    """Poses that are turned and shifted at random and still overlap enough."""
    rng = np.random.default_rng(seed)
    points = found.pairs[0].samples.points
    middle = points.mean(axis=0)
    centre = found.pose[:3, :3] @ middle + found.pose[:3, 3]
    width = float(np.ptp(points, axis=0).max())
    out: list[FloatArray] = []
    for _ in range(_UNRELATED * _TRIES):
        if len(out) == _UNRELATED:
            break
        pose = np.eye(4)
        turn = _direction(rng) * np.radians(rng.uniform(*_TURN_DEG))
        pose[:3, :3] = Rotation.from_rotvec(turn).as_matrix() @ found.pose[:3, :3]
        shift = _direction(rng) * width * rng.uniform(*_SHIFT_SHARE)
        pose[:3, 3] = centre + shift - pose[:3, :3] @ middle
        if overlap(found.pairs, pose) >= settings.min_overlap:
            out.append(pose)
    return out


def _direction(rng: np.random.Generator) -> FloatArray:
    vector = rng.normal(size=3)
    return np.asarray(vector / np.linalg.norm(vector))


def _judge(
    error: float, shared: float, margin: float, chance: float, s: Settings
) -> tuple[Verdict, tuple[str, ...]]:
    checks: Sequence[tuple[bool, bool, str]] = (
        (
            chance < s.failed_chance,
            chance < s.good_chance,
            f"evidence or edges {chance:.1f} sd above unrelated poses",
        ),
        (margin < s.failed_margin, margin < s.good_margin, f"a distinct pose scores only {margin:.0%} less"),
        (error > s.failed_error_mm, error > s.good_error_mm, f"95% error radius {error:.0f} mm"),
        (shared < s.min_overlap, shared < s.good_overlap, f"overlap {shared:.0%} of the smaller body"),
    )
    failed = tuple(text for fails, _, text in checks if fails)
    if failed:
        return Verdict.FAILED, failed
    doubts = tuple(text for _, doubtful, text in checks if doubtful)
    return (Verdict.DOUBTFUL, doubts) if doubts else (Verdict.GOOD, ())
