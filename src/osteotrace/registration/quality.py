"""How far a pose can be trusted, from what the images themselves say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from osteotrace.model.values import Verdict
from osteotrace.registration.evidence import Pair, evidence, overlap
from osteotrace.registration.pose import Found, distance
from osteotrace.registration.refine import climb
from osteotrace.registration.settings import Settings
from osteotrace.space import FloatArray

_ITERATIONS = 15
_MIRROR = "the mirror image fits better: left and right are unsure"
_UNRELATED = 24
_TRIES = 40
_RANK_POWER = 0.5
_HALF_SHARE = 0.5  # half of the field knows less than the whole
_TURN_DEG = (30.0, 90.0)
_SHIFT_SHARE = (0.15, 0.4)


@dataclass(frozen=True, slots=True)
class Quality:
    """What the checks of a pose gave.

    Attributes
    ----------
    residual_mm : float
        The larger of two spreads: the root mean square distance between the pose and its estimates, and
        half the median distance to what the halves of the field of view say alone.
    error_mm : float
        Predicted 95% radius.
    overlap : float
        Share of the smaller body that both fields of view hold.
    margin : float
        Relative advantage of the best pose in score over the best one far from it; 1 when there is none.
    chance : float
        Evidence over that of unrelated poses, in their standard deviations.
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
    error = float(np.hypot(base, settings.error_per_residual * residual))
    shared = overlap(found.pairs, found.pose)
    margin = _margin(found, settings.rival_mm)
    chance = _over_chance(found, settings, seed)
    verdict, reasons = _judge(error, shared, margin, chance, settings)
    if verdict is not Verdict.FAILED and _mirror_fits(found, settings.mirror_gain):
        verdict, reasons = Verdict.DOUBTFUL, (*reasons, _MIRROR)
    return Quality(residual, error, shared, margin, chance, verdict, reasons)


def _margin(found: Found, far_mm: float) -> float:
    points = found.pairs[0].samples.points
    best, pose = found.rivals[0]
    far = [score for score, other in found.rivals[1:] if distance(other, pose, points) > far_mm]
    return 1.0 - max(far) / max(best, 1e-9) if far else 1.0


def _second_opinion(found: Found) -> bool:
    """Whether both frames have two series, or the images are of one kind and need none."""
    alike = all(len(set(pair.kind.split("-"))) == 1 for pair in found.pairs)
    return alike or len(found.pairs) >= 2 * 2


def _mirror_fits(found: Found, gain: float) -> bool:
    """Whether the probe image reflected along one of its axes explains the field image better by the gain."""
    right = climb(found.pairs, found.pose, 0.0, _ITERATIONS)[0]
    middle = found.pairs[0].samples.points.mean(axis=0)
    for axis in range(3):
        mirror = np.eye(4)
        mirror[axis, axis] = -1.0
        mirror[axis, 3] = 2.0 * middle[axis]
        if climb(found.pairs, found.pose @ mirror, 0.0, _ITERATIONS)[0] >= (1.0 + gain) * right:
            return True
    return False


def _half_spread(found: Found) -> list[float]:
    """Distance of the poses that each half of the field of view gives, at the points of that half."""
    middle = np.median(found.pairs[0].samples.points, axis=0)
    out = []
    for axis in range(3):
        for side in (-1.0, 1.0):
            halves = [_half(pair, axis, side, middle) for pair in found.pairs]
            points = halves[0].samples.points
            if len(points):
                out.append(distance(climb(halves, found.pose, 0.0, _ITERATIONS)[1], found.pose, points))
    return out


def _half(pair: Pair, axis: int, side: float, middle: FloatArray) -> Pair:
    chosen = (pair.samples.points[:, axis] - middle[axis]) * side > 0
    return Pair(pair.field, pair.samples.take(chosen), pair.kind)


def _over_chance(found: Found, settings: Settings, seed: int) -> float:
    values = [evidence(found.pairs, pose, _RANK_POWER)[0] for pose in _unrelated(found, settings, seed)]
    if len(values) < 3:
        return 0.0
    best = evidence(found.pairs, found.pose, _RANK_POWER)[0]
    return float((best - np.mean(values)) / max(float(np.std(values)), 1e-6))


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
        (chance < s.failed_chance, chance < s.good_chance, f"evidence {chance:.1f} sd above unrelated poses"),
        (margin < s.failed_margin, margin < s.good_margin, f"a distinct pose scores only {margin:.0%} less"),
        (error > s.failed_error_mm, error > s.good_error_mm, f"95% error radius {error:.0f} mm"),
        (shared < s.min_overlap, shared < s.good_overlap, f"overlap {shared:.0%} of the smaller body"),
    )
    failed = tuple(text for fails, _, text in checks if fails)
    if failed:
        return Verdict.FAILED, failed
    doubts = tuple(text for _, doubtful, text in checks if doubtful)
    return (Verdict.DOUBTFUL, doubts) if doubts else (Verdict.GOOD, ())
