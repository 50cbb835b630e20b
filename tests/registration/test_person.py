"""Distances between the vertebrae of one person and of two."""

from __future__ import annotations

import numpy as np
import pytest

from osteotrace.registration.patches import BonePair
from osteotrace.registration.person import spacing_of
from osteotrace.registration.skeleton import SeenBone
from osteotrace.space import FloatArray

STEPS = np.array([24.0, 26.0, 28.0, 31.0, 33.0, 35.0])


def _row(steps: FloatArray, bend_deg: float) -> FloatArray:
    turn = np.radians(bend_deg) * np.arange(len(steps))
    along = steps[:, None] * np.column_stack([np.zeros(len(steps)), np.sin(turn), -np.cos(turn)])
    return np.vstack([np.zeros(3), np.cumsum(along, axis=0)])


def _pairs(here: FloatArray, there: FloatArray, confidence: float = 0.9) -> list[BonePair]:
    def seen(centre: FloatArray, series: str, sure: float) -> SeenBone:
        points = centre[None]
        return SeenBone("vertebra", "V", series, centre, points, points, sure, cut=False)

    out = []
    for number, (one, other) in enumerate(zip(here, there, strict=True)):
        first = seen(one, "a", 0.9)
        out.append(
            BonePair(first, first, seen(other, "b", confidence if number == 3 else 0.9), 1.0, ("a", "b"))
        )
    return out


def test_the_spine_of_one_person_bends_and_keeps_its_distances() -> None:
    assert spacing_of(_pairs(_row(STEPS, 0.0), _row(STEPS, 6.0) + 40.0)) == pytest.approx(0.0, abs=1e-9)


def test_two_persons_differ_in_most_distances() -> None:
    other = STEPS * np.exp([0.06, -0.05, 0.04, -0.07, 0.05, 0.06])
    assert spacing_of(_pairs(_row(STEPS, 0.0), _row(other, 3.0))) == pytest.approx(0.055, abs=0.001)


def test_a_collapsed_or_lost_vertebra_leaves_the_median() -> None:
    there = _row(STEPS, 2.0)
    there[3] += [0.0, 3.0, 7.0]
    assert spacing_of(_pairs(_row(STEPS, 0.0), there)) == pytest.approx(0.0, abs=1e-9)


def test_few_or_unsure_outlines_tell_nothing() -> None:
    here = _row(STEPS, 0.0)
    assert spacing_of(_pairs(here[:5], here[:5])) is None
    assert spacing_of(_pairs(here[:6], here[:6], confidence=0.3)) is None
    assert spacing_of(_pairs(here[:6], here[:6])) == 0.0
