"""The chain of vertebrae: exact inference of their levels.

Detections stand in a row from head to tail. A hypothesis is a spine (how many thoracic and lumbar vertebrae),
a size of the patient, an error of the places, and for every detection a level, a block of two levels, or "no
vertebra"; vertebrae between two detections may have been missed. Its probability is a product along the row:
distances, bends, what was seen at each vertebra, the sacrum at the end. So the sums over all hypotheses are
found by a forward and a backward pass, without sampling or search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from osteotrace.anatomy.settings import Settings
from osteotrace.anatomy.signs import Signs, log_signs, log_signs_of_none
from osteotrace.anatomy.spine_prior import Spine
from osteotrace.space import FloatArray


def _log_sum(logs: FloatArray, axis: int | tuple[int, ...] | None = None) -> FloatArray:
    """Logarithm of a sum of exponentials; -inf where all are."""
    top = np.max(logs, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        total = np.log(np.exp(logs - top).sum(axis=axis, keepdims=True)) + top
    return np.asarray(np.squeeze(total, axis=axis))


_SIZES: Final = np.linspace(-3.0, 3.0, 13)  # standard deviations
_MOST_MISSED: Final = 2  # in a row
_MOST_EXTRA: Final = 2  # in a row
_EXTRA_REACH_MM: Final = 60.0  # a detection that is no vertebra lies anywhere on this length, and beside it
_MOST_DOUBTED: Final = 0.9
_WHOLE_TURN_DEG: Final = 360.0
_SACRUM_FLOOR: Final = float(np.log(1e-4))  # what was taken for a sacrum may be none


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Detections of one group of aligned volumes, from head to tail.

    Attributes
    ----------
    signs : tuple of Signs
        What was seen at each; n of them.
    gap_mm : ndarray, shape (n, n)
        Distance of the bodies, used above the diagonal.
    bend_deg : ndarray, shape (n,)
        Sagittal bend of the row at each; NaN at the ends.
    aside_mm : ndarray, shape (n,)
        How far each stands beside the line through its neighbours; NaN for fewer than three.
    sacrum_mm : ndarray, shape (n,)
        Distance to the sacrum; NaN where none was seen.
    """

    signs: tuple[Signs, ...]
    gap_mm: FloatArray
    bend_deg: FloatArray
    aside_mm: FloatArray
    sacrum_mm: FloatArray

    @property
    def reversed(self) -> Chain:
        """The same row from tail to head."""
        return Chain(
            self.signs[::-1],
            self.gap_mm.T[::-1, ::-1],
            self.bend_deg[::-1],
            self.aside_mm[::-1],
            np.full(len(self.signs), np.nan),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """What follows from all chains of a patient.

    Attributes
    ----------
    spines : tuple of Spine
    weights : ndarray, shape (len(spines),)
        Their probabilities.
    levels : tuple of tuple of mapping
        Per chain and detection, the probability of each level and block; what is left to 1 is "no vertebra".
        Empty where no spine is possible.
    log_evidence : float
        Of everything that was seen; -inf where no spine is possible.
    """

    spines: tuple[Spine, ...]
    weights: FloatArray
    levels: tuple[tuple[dict[str, float], ...], ...]
    log_evidence: float


def infer(chains: Sequence[Chain], known: Sequence[Spine], settings: Settings) -> Posterior:
    """Levels of all detections of a patient, who has one of the known spines.

    The chains share the spine and the size of the patient: a volume that cannot be aligned still profits from
    another one that shows how many lumbar vertebrae there are.
    """
    size = settings.size_deviation * _SIZES
    log_size = -(_SIZES**2) / 2 - _log_sum(-(_SIZES**2) / 2)
    passes = [[_Pass.of(chain, spine, size, settings) for spine in known] for chain in chains]
    per_size = np.array([[p.log_evidence for p in row] for row in passes])  # chain, spine, size, error
    per_size = per_size.reshape(len(chains), len(known), size.size, -1) - np.log(
        len(settings.place_errors_mm)
    )
    over_errors = _log_sum(per_size, axis=3)
    shared = np.log([spine.share for spine in known])[:, None] + log_size + over_errors.sum(axis=0)
    total = float(_log_sum(shared))
    if not np.isfinite(total):
        return Posterior(tuple(known), np.zeros(len(known)), (), total)
    levels = []
    for row, own, mine in zip(passes, per_size, over_errors, strict=True):
        others = shared - total - np.where(np.isfinite(mine), mine, 0.0)
        levels.append(_marginals(row, np.exp(others[..., None] + own)))
    return Posterior(tuple(known), np.exp(_log_sum(shared, axis=1) - total), tuple(levels), total)


def _marginals(passes: Sequence[_Pass], weight: FloatArray) -> tuple[dict[str, float], ...]:
    """Probabilities of levels, from the passes of one chain and their weights (spine, size, error)."""
    found: list[dict[str, float]] = [{} for _ in range(passes[0].forward.shape[0])]
    for item, share in zip(passes, weight.reshape(len(passes), -1), strict=True):
        evidence = np.where(np.isfinite(item.log_evidence), item.log_evidence, 0.0)
        joint = np.exp(item.forward + item.backward - evidence) @ share
        for levels, table in zip(found, joint, strict=True):
            for index, level in enumerate(item.spine.levels):
                levels[level] = levels.get(level, 0.0) + float(table[0, index])
            for index, block in enumerate(zip(item.spine.levels, item.spine.levels[1:], strict=False)):
                name = "+".join(block)
                levels[name] = levels.get(name, 0.0) + float(table[1, index])
    return tuple(found)


@dataclass(frozen=True, slots=True, eq=False)
class _Steps:
    """The ways from one state to the next; c of them, n levels of a spine, two widths.

    A state is a width (0: one vertebra, 1: a block of two) and the index of its (upper) level.

    Attributes
    ----------
    width, width_before, missed : ndarray of int, shape (c,)
    before : ndarray of int, shape (c, n)
        Level index of the state before, for each level index of the state after; -1 where there is none.
    after : ndarray of int, shape (c, n)
        The inverse.
    mean_mm, variance_mm2 : ndarray, shape (c, n)
        Of the distance, for a patient of middle size.
    """

    width: NDArray[np.intp]
    width_before: NDArray[np.intp]
    missed: NDArray[np.intp]
    before: NDArray[np.intp]
    after: NDArray[np.intp]
    mean_mm: FloatArray
    variance_mm2: FloatArray

    @classmethod
    def of(cls, spine: Spine) -> _Steps:
        n = len(spine.levels)
        ways = [(a, b, g) for a in (0, 1) for b in (0, 1) for g in range(_MOST_MISSED + 1)]
        width_before, width, missed = (np.array(column, dtype=np.intp) for column in zip(*ways, strict=True))
        index = np.arange(n)
        jump = (missed + 1 + width_before)[:, None]
        before = np.where((index - jump >= 0) & (index + width[:, None] < n), index - jump, -1)
        after = np.where(
            (index + jump + width[:, None] < n) & (index + width_before[:, None] < n), index + jump, -1
        )
        place, variance = _centres(spine.place_mm), _centres(spine.variance_mm2)
        mean = place[width] - np.take_along_axis(place[width_before], before, axis=1)
        spread = variance[width] - np.take_along_axis(variance[width_before], before, axis=1)
        return cls(width, width_before, missed, before, after, mean, np.maximum(spread, 0.0))


@dataclass(frozen=True, slots=True, eq=False)
class _Pass:
    """Forward and backward sums of one chain and one spine; arrays (detection, width, level, size x error).

    `log_evidence` has shape (size x error,).
    """

    spine: Spine
    forward: FloatArray
    backward: FloatArray
    log_evidence: FloatArray

    @classmethod
    def of(cls, chain: Chain, spine: Spine, size: FloatArray, settings: Settings) -> _Pass:
        n = len(chain.signs)
        extra = np.array([_log_extra(s, settings) for s in chain.signs])
        model = _Model(chain, spine, _Steps.of(spine), size, extra, settings)
        at, end = [model.at(i) for i in range(n)], np.array([model.end(i) for i in range(n)])
        near = [(j, i) for i in range(n) for j in range(max(0, i - 1 - _MOST_EXTRA), i)]
        ways = {pair: model.way(*pair) for pair in near}
        forward, backward = model.forward(at, ways), model.backward(at, ways, end)
        evidence = np.logaddexp(_log_sum(forward + end, axis=(0, 1, 2)), extra.sum())
        return cls(spine, forward, backward, evidence)


_Ways: TypeAlias = Mapping[tuple[int, int], FloatArray]


@dataclass(frozen=True, slots=True, eq=False)
class _Model:
    """One chain under one spine."""

    chain: Chain
    spine: Spine
    steps: _Steps
    size: FloatArray
    extra: FloatArray
    settings: Settings

    def forward(self, at: Sequence[FloatArray], ways: _Ways) -> FloatArray:
        steps = self.steps
        sums: list[FloatArray] = []
        for i, here in enumerate(at):
            start = self.extra[:i].sum() if i <= _MOST_EXTRA else -np.inf
            parts = [np.full((2, *self._shape), start - np.log(len(self.spine.levels)))]
            for j in range(max(0, i - 1 - _MOST_EXTRA), i):
                came = sums[j][steps.width_before[:, None], steps.before]
                came = np.where(steps.before[..., None] < 0, -np.inf, came + ways[j, i])
                parts.append(np.array([_log_sum(came[steps.width == w], axis=0) for w in (0, 1)]))
            sums.append(_log_sum(np.array(parts), axis=0) + here)
        return np.array(sums)

    def backward(self, at: Sequence[FloatArray], ways: _Ways, end: FloatArray) -> FloatArray:
        n, steps = len(at), self.steps
        sums = list(end)
        for j in range(n - 2, -1, -1):
            parts = [sums[j]]
            for i in range(j + 1, min(n, j + 2 + _MOST_EXTRA)):
                goes = ways[j, i] + (sums[i] + at[i])[steps.width]
                goes = np.take_along_axis(goes, np.maximum(steps.after, 0)[..., None], axis=1)
                goes = np.where(steps.after[..., None] < 0, -np.inf, goes)
                parts.append(np.array([_log_sum(goes[steps.width_before == w], axis=0) for w in (0, 1)]))
            sums[j] = _log_sum(np.array(parts), axis=0)
        return np.array(sums)

    def at(self, i: int) -> FloatArray:
        """Log likelihood of what was seen at a detection, and of its being a vertebra."""
        s, chain = self.settings, self.chain
        signs = log_signs(chain.signs[i], self.spine, s)[:, :, None] + np.zeros((2, *self._shape))
        signs += np.log1p(-_extra_probability(chain.signs[i].confidence, s))
        signs[1] += np.log(s.block_probability)
        if np.isfinite(chain.aside_mm[i]):
            signs += _log_on_line(chain.aside_mm[i], s)
        if np.isfinite(chain.bend_deg[i]) and not any(seen.cut for seen in chain.signs[i - 1 : i + 2]):
            signs[0] += self._bend(i)
        height = chain.signs[i].height_mm
        if height is not None:
            signs += self._height(height)
        return np.asarray(signs)

    def way(self, j: int, i: int) -> FloatArray:
        """Log likelihood of the ways from detection j to i, shape (c, n, size x error)."""
        s, at = self.settings, self.steps
        mean = at.mean_mm[..., None] * np.exp(self._size)
        variance = at.variance_mm2[..., None] * np.exp(2 * self._size) + 2 * self._error**2
        variance += s.cut_place_error_mm**2 * (self.chain.signs[j].cut + self.chain.signs[i].cut)
        fit = self._distance(self.chain.gap_mm[j, i] - mean, variance)
        cost = at.missed * np.log(s.missed_probability) + self.extra[j + 1 : i].sum()
        return np.asarray(fit + cost[:, None, None])

    def end(self, i: int) -> FloatArray:
        """Log likelihood of detection i being the last vertebra, shape (2, n, size x error)."""
        n, left = len(self.spine.levels), self.extra[i + 1 :]
        if left.size > _MOST_EXTRA:
            return np.full((2, *self._shape), -np.inf)
        cost = np.full((2, *self._shape), float(left.sum()))
        if not np.isfinite(self.chain.sacrum_mm[i]):
            return cost
        s = self.settings
        missed = n - 1 - np.arange(n) - np.array([[0], [1]])
        mean = (self.spine.place_mm[-1] - _centres(self.spine.place_mm) + s.sacrum_distance_mm)[..., None]
        variance = (self.spine.variance_mm2[-1] - _centres(self.spine.variance_mm2))[..., None]
        variance = np.maximum(variance, 0.0) + s.sacrum_distance_deviation_mm**2
        fit = self._distance(self.chain.sacrum_mm[i] - mean * np.exp(self._size), variance + 0 * self._size)
        fit += (missed * np.log(s.missed_probability))[..., None]
        fit = np.where(((missed < 0) | (missed > _MOST_MISSED))[..., None], -np.inf, fit)
        return np.asarray(cost + np.logaddexp(fit, _SACRUM_FLOOR + np.log(1 / _EXTRA_REACH_MM)))

    @property
    def _shape(self) -> tuple[int, int]:
        return len(self.spine.levels), self.size.size * len(self.settings.place_errors_mm)

    @property
    def _size(self) -> FloatArray:
        return np.repeat(self.size, len(self.settings.place_errors_mm))

    @property
    def _error(self) -> FloatArray:
        return np.tile(np.array(self.settings.place_errors_mm), self.size.size)

    def _bend(self, i: int) -> FloatArray:
        """Log likelihood of a bend, against the mean over the levels; one without known bend is left at 0.

        It is measured between the neighbours in the row, whatever they are; if one is no vertebra, any bend
        is possible.
        """
        s, around, spine = self.settings, slice(i - 1, i + 2), self.spine
        known = np.isfinite(spine.bend_deg)
        noise = np.degrees(self._error * np.sqrt(6.0) / np.diag(self.chain.gap_mm[i - 1 :, i:])[:2].mean())
        deviation = np.hypot(spine.bend_deviation_deg[known, None], noise)
        false = [_extra_probability(signs.confidence, s) for signs in self.chain.signs[around]]
        stray = min(s.outlier_probability + sum(false), 0.99)
        usual = np.log1p(-stray) + _log_normal(
            self.chain.bend_deg[i] - spine.bend_deg[known, None], deviation
        )
        fit = np.logaddexp(usual, np.log(stray / _WHOLE_TURN_DEG))
        found = np.zeros(self._shape)
        found[known] = fit - fit.mean(axis=0)
        return found

    def _height(self, height: float) -> FloatArray:
        """Log likelihood of the height of a body: a block is as high as its two bodies and the disc."""
        s = self.settings
        to_next = np.gradient(self.spine.place_mm)[:, None] * np.exp(self._size)
        factors = np.array([s.body_height_share, 1 + s.body_height_share])[:, None, None]
        fit = self._distance(
            np.log(height / (factors * to_next)), np.full((2, 1, 1), s.body_height_deviation**2)
        )
        return np.asarray(fit - fit.max(axis=(0, 1)))

    def _distance(self, off: FloatArray, variance: FloatArray) -> FloatArray:
        """Logarithm of a normal distribution with wide tails."""
        s, deviation = self.settings, np.sqrt(variance)
        usual = np.log1p(-s.outlier_probability) + _log_normal(off, deviation)
        unusual = np.log(s.outlier_probability) + _log_normal(off, deviation * s.outlier_factor)
        return np.asarray(np.logaddexp(usual, unusual))


def _centres(values: FloatArray) -> FloatArray:
    """Values at single levels and in the middle of blocks of two, shape (2, n)."""
    blocks = np.append((values[:-1] + values[1:]) / 2, values[-1])
    return np.array([values, blocks])


def _log_normal(off: FloatArray, deviation: FloatArray) -> FloatArray:
    return np.asarray(-0.5 * (off / deviation) ** 2 - np.log(deviation * np.sqrt(2 * np.pi)))


def _log_on_line(aside: float, settings: Settings) -> float:
    """Log likelihood of standing so far beside the line, against a false detection: that may be anywhere."""
    variance = settings.aside_deviation_mm**2
    usual = -(aside**2) / (2 * variance) - np.log(2 * np.pi * variance) + 2 * np.log(_EXTRA_REACH_MM)
    return float(
        np.logaddexp(np.log1p(-settings.outlier_probability) + usual, np.log(settings.outlier_probability))
    )


def _extra_probability(confidence: float, settings: Settings) -> float:
    return float(np.clip(1.0 - confidence, settings.extra_probability_min, _MOST_DOUBTED))


def _log_extra(signs: Signs, settings: Settings) -> float:
    """Log of the probability density that a detection is no vertebra, where it lies and as it looks."""
    place = np.log(_extra_probability(signs.confidence, settings) / _EXTRA_REACH_MM)
    return float(place + log_signs_of_none(signs, settings))
