"""How vertebrae of each level stand to each other, for spines of every usual and unusual count."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

import numpy as np

from osteotrace.anatomy.settings import Settings
from osteotrace.space import FloatArray

CERVICAL: Final = 7

_FILE: Final = "spine_prior.toml"


@dataclass(frozen=True, slots=True, eq=False)
class Spine:
    """A spine of one count.

    Attributes
    ----------
    thoracic, lumbar : int
        Thoracic vertebrae are those that bear ribs, as in VerSe.
    share : float
        Of people who have it.
    levels : tuple of str
        C1 to the last lumbar vertebra; n of them.
    place_mm : ndarray, shape (n,)
        Distance of each body from C1 along the spine of a patient of middle size.
    variance_mm2 : ndarray, shape (n,)
        Of the distance from C1; that between two levels is the difference.
    bend_deg, bend_deviation_deg : ndarray, shape (n,)
        Sagittal bend at each body; NaN where it is not known.
    """

    thoracic: int
    lumbar: int
    share: float
    levels: tuple[str, ...]
    place_mm: FloatArray
    variance_mm2: FloatArray
    bend_deg: FloatArray
    bend_deviation_deg: FloatArray


def spines(settings: Settings) -> tuple[Spine, ...]:
    """All spines that people have, the usual one first."""
    return tuple(_spine(*count, share, settings) for count, share in settings.shares.items())


def _spine(thoracic: int, lumbar: int, share: float, settings: Settings) -> Spine:
    levels = levels_of(thoracic, lumbar)
    steps = np.array([_step(a, b) for a, b in zip(levels, levels[1:], strict=False)])
    distance, deviation = steps[:, 0], steps[:, 0] * steps[:, 1]
    unknown = (settings.last_bend_deg, settings.last_bend_deviation_deg)
    table = _statistics()["bend"]
    bends = np.array([table.get(v, unknown if v == "L5" else (np.nan, np.nan))[:2] for v in levels])
    bends[-1] = np.nan  # the last one has no neighbour below
    return Spine(
        thoracic,
        lumbar,
        share,
        levels,
        np.concatenate([[0.0], np.cumsum(distance)]),
        np.concatenate([[0.0], np.cumsum(deviation**2)]),
        bends[:, 0],
        bends[:, 1],
    )


def levels_of(thoracic: int, lumbar: int) -> tuple[str, ...]:
    """The presacral levels of a spine, from head to tail."""
    return (
        *(f"C{n}" for n in range(1, CERVICAL + 1)),
        *(f"T{n}" for n in range(1, thoracic + 1)),
        *(f"L{n}" for n in range(1, lumbar + 1)),
    )


def _step(upper: str, lower: str) -> tuple[float, float]:
    """Mean distance of two neighbours, mm, and its relative deviation.

    Where a spine has neighbours that a usual one has not, the two usual distances nearby are averaged.
    """
    table = _statistics()["spacing"]
    around = {
        "T11-L1": ("T11", "T12"),
        "T12-T13": ("T11", "T12"),
        "T13-L1": ("T12", "T12"),
        "L5-L6": ("L4", "L4"),
    }
    first, second = (table[v] for v in around.get(f"{upper}-{lower}", (upper, upper)))
    return (first[0] + second[0]) / 2, max(first[1], second[1])


@cache
def _statistics() -> dict[str, Any]:
    text = resources.files("osteotrace.anatomy").joinpath(_FILE).read_text("utf-8")
    return tomllib.loads(text)
