"""What was seen at a vertebra, and how likely that is at each level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from osteotrace.anatomy.settings import Settings
from osteotrace.anatomy.spine_prior import CERVICAL, Spine
from osteotrace.space import FloatArray

_NEVER: Final = -np.inf
_SURE: Final = 0.999  # no detector is surer


@dataclass(frozen=True, slots=True)
class Signs:
    """What was seen at one vertebra, in all volumes together.

    Attributes
    ----------
    confidence : float
        That it is one vertebra, 0 to 1.
    rib, dens : float or None
        Probability that a rib joins it, that it has the dens; None where nobody looked.
    declared : tuple of (str, float)
        Levels that other programs gave, with a weight: 1 shared by all vertebrae of a volume, since a program
        that errs shifts them all.
    told : str
        Level that a person gave, or empty.
    height_mm : float or None
        Of the body.
    cut : bool
        Whether every volume that shows it may cut it, so that its centre is not that of its body.
    """

    confidence: float
    rib: float | None = None
    dens: float | None = None
    declared: tuple[tuple[str, float], ...] = ()
    told: str = ""
    height_mm: float | None = None
    cut: bool = False


def log_signs(signs: Signs, spine: Spine, settings: Settings) -> FloatArray:
    """Log likelihood of the signs at each level of a spine.

    Returns
    -------
    ndarray of float64, shape (2, n)
        At single levels, and at blocks of a level and the next; the last block does not exist and is -inf.
    """
    found = np.zeros((2, len(spine.levels)))
    if signs.rib is not None:
        found += _seen(signs.rib, _either(_rib_probability(spine, settings)))
    if signs.dens is not None:
        found += _seen(signs.dens, _either(_dens_probability(spine, settings)))
    for level, weight in signs.declared:
        found += weight * np.log(_either(_declared_probability(level, spine, settings)))
    if signs.told:
        is_told = np.array([float(level == signs.told) for level in spine.levels])
        found = np.where(_either(is_told) > 0, found, _NEVER)
    found[1, -1] = _NEVER
    return found


def log_signs_of_none(signs: Signs, settings: Settings) -> float:
    """Log likelihood of the signs where there is no vertebra: -inf for what a person named."""
    if signs.told:
        return _NEVER
    found = 0.0
    if signs.rib is not None:
        found += float(_seen(signs.rib, np.array(settings.rib_false_probability)))
    if signs.dens is not None:
        found += float(_seen(signs.dens, np.array(settings.dens_false_probability)))
    return found


def _rib_probability(spine: Spine, settings: Settings) -> FloatArray:
    """That a rib is seen, per level."""
    probability = np.full(len(spine.levels), settings.rib_false_probability)
    probability[:CERVICAL] = settings.cervical_rib_probability
    thoracic = np.array([level[0] == "T" for level in spine.levels])
    probability[thoracic] = settings.rib_seen_probability
    probability[spine.levels.index(f"T{spine.thoracic}")] = settings.last_rib_seen_probability
    return probability


def _dens_probability(spine: Spine, settings: Settings) -> FloatArray:
    probability = np.full(len(spine.levels), settings.dens_false_probability)
    probability[spine.levels.index("C2")] = settings.dens_seen_probability
    return probability


def _declared_probability(declared: str, spine: Spine, settings: Settings) -> FloatArray:
    """That a program gives this level, per true level; spread over the far levels in equal parts."""
    n, near, right = (
        len(spine.levels),
        settings.declared_near_probability,
        settings.declared_right_probability,
    )
    probability = np.full(n, (1 - right - 2 * near) / n)
    if declared in spine.levels:
        index = spine.levels.index(declared)
        probability[max(index - 1, 0) : index + 2] = near
        probability[index] = right
    return probability


def _seen(probability: float, likely: FloatArray) -> FloatArray:
    """Log likelihood of an uncertain sign, given how often it is seen."""
    sure = float(np.clip(probability, 1 - _SURE, _SURE))
    return np.asarray(np.log(sure * likely + (1 - sure) * (1 - likely)))


def _either(values: FloatArray) -> FloatArray:
    """Values at single levels, and the greater of each two neighbours."""
    return np.array([values, np.maximum(values, np.append(values[1:], values[-1]))])
