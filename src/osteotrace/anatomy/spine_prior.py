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
USUAL_COUNT: Final = (12, 5)

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
    distance, deviation = _steps(levels)
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


def _steps(levels: tuple[str, ...]) -> tuple[FloatArray, FloatArray]:
    """Distances of neighbours and their standard deviations, mm.

    Nobody has measured many spines of unusual count. The vertebra under the last rib may look like an L1, as
    it is called, or like the vertebra that has this number from above in other people: the mean of both is
    taken, and their difference widens the deviation.
    """
    usual = levels_of(*USUAL_COUNT)
    known = {level: _statistics()["spacing"][level][:2] for level in usual[:-1]}
    known |= {"T13": known["T12"], "L5": known["L4"]}
    called = np.array([known[level] for level in levels[:-1]])
    counted = np.array([known[level] for level in (*usual, "L5")[: len(levels) - 1]])
    if levels == usual:
        counted = called
    distance = (called[:, 0] + counted[:, 0]) / 2
    relative = np.maximum(called[:, 1], counted[:, 1])
    return distance, np.hypot(distance * relative, (called[:, 0] - counted[:, 0]) / 2)


@cache
def _statistics() -> dict[str, Any]:
    text = resources.files("osteotrace.anatomy").joinpath(_FILE).read_text("utf-8")
    return tomllib.loads(text)
