"""Which body of a row is that of S1: what the network sees there, and the bend of the spine above it."""

from __future__ import annotations

import numpy as np
from scipy import stats

from osteotrace.anatomy.settings import MrSettings
from osteotrace.space import FloatArray

_LEAST = 1e-6  # a share that can be divided by


def first_sacral(centres_mm: FloatArray, shares: FloatArray, settings: MrSettings) -> int | None:
    """Index of the body of S1 in a row; None where no body is.

    Where the network is not sure of S1, it still takes the body for S1 far more than those above it. That is
    believed where the spine also bends as it does at the promontory: S1 lies behind L5, and the step to it
    turns backwards from the step before. Of several such bodies it is the one that differs most from the one
    above: L5 below a strong lordosis can look a little like S1.

    Parameters
    ----------
    centres_mm : ndarray, shape (n, 3)
        Centres of the bodies from head to tail, axes inferior, posterior, left.
    shares : ndarray, shape (n,)
        Mean probability of S1 over each body.
    """
    found = [int(n) for n in np.flatnonzero(shares > settings.s1_probability)[:1]]
    if len(shares) > 2:
        backwards = _backwards_deg(centres_mm)
        rise = shares[2:] / np.maximum(shares[1:-1], _LEAST)
        likely = (
            (shares[2:] > settings.s1_seen_probability)
            & (rise > settings.s1_rise)
            & (backwards[1:] > settings.s1_backwards_deg)
            & (np.diff(backwards) > settings.s1_bend_deg)
        )
        found += [2 + int(np.where(likely, rise, 0.0).argmax())] if likely.any() else []
    return min(found, default=None)


def stands_on_its_head(centres_mm: FloatArray, volumes: FloatArray, settings: MrSettings) -> bool:
    """Whether a row looks as if head and feet were exchanged: the promontory on top, then smaller bodies.

    It is the sharpest bend of the spine; above it the bodies and their distances grow smaller towards the
    head. Asked is the shape of the row alone: the network takes for S1 what lies at the lower end. Front and
    back may be exchanged as well. Where the promontory is not in view, nothing is noticed.

    Parameters
    ----------
    centres_mm : ndarray, shape (n, 3)
        As in :func:`first_sacral`.
    volumes : ndarray, shape (n,)
        Of the bodies, in any unit.
    """
    if len(volumes) < settings.head_bodies_min:
        return False
    bends = np.abs(np.diff(_backwards_deg(centres_mm)))
    top, other = bends[:2].max(), bends[2:].max(initial=0.0)
    if top < settings.head_bend_deg or top - other < settings.head_bend_more_deg:
        return False
    distances = np.linalg.norm(np.diff(centres_mm, axis=0), axis=1)
    return max(_rising(volumes[2:]), _rising(distances[1:])) < -settings.head_shrink_rank


def shows_promontory(centres_mm: FloatArray, settings: MrSettings) -> bool:
    """Whether a row turns sharply backwards at its lower end, as it does from L5 to S1 and nowhere else.

    Where it does, front and back are as they should be.
    """
    bends = np.diff(_backwards_deg(centres_mm))[-3:]
    return bool(bends.max(initial=0.0) > settings.head_bend_deg > -bends.min(initial=0.0))


def _backwards_deg(centres_mm: FloatArray) -> FloatArray:
    """How far each step of a row turns backwards from straight down, degrees; shape (n - 1,)."""
    step = np.diff(centres_mm, axis=0)
    return np.asarray(np.rad2deg(np.arctan2(step[:, 1], step[:, 0])))


def _rising(values: FloatArray) -> float:
    """Rank correlation of values with their order."""
    return float(stats.spearmanr(np.arange(len(values)), values).statistic)
