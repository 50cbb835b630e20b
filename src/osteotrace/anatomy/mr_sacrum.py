"""Which body of a row is that of S1: what the network sees there, and the bend of the spine above it."""

from __future__ import annotations

import numpy as np

from osteotrace.anatomy.settings import MrSettings
from osteotrace.space import FloatArray

_LEAST = 1e-6  # a share that can be divided by


def first_sacral(centres_mm: FloatArray, shares: FloatArray, settings: MrSettings) -> int | None:
    """Index of the body of S1 in a row; None where no body is.

    Where the network is not sure of S1, it still takes the body for S1 far more than those above it. That is
    believed where the spine also bends as it does at the promontory: S1 lies behind L5, and the step to it
    turns backwards from the step before. Of several such bodies it is the one that the network is sure of, or
    else the one that differs most from the one above: L5 below a strong lordosis can look a little like S1.

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
        if found and found[0] >= 2 and likely[found[0] - 2]:
            return found[0]
        found += [2 + int(np.where(likely, rise, 0.0).argmax())] if likely.any() else []
    return min(found, default=None)


def _backwards_deg(centres_mm: FloatArray) -> FloatArray:
    """How far each step of a row turns backwards from straight down, degrees; shape (n - 1,)."""
    step = np.diff(centres_mm, axis=0)
    return np.asarray(np.rad2deg(np.arctan2(step[:, 1], step[:, 0])))
