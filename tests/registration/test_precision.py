"""What the images tell of a motion, and what they leave open."""

from __future__ import annotations

import numpy as np
import pytest

from osteotrace.registration.evidence import BINS, Field, Pair, Samples, information
from osteotrace.registration.local import agreement, relation
from osteotrace.registration.patches import Patch
from osteotrace.registration.precision import curvature, precision_of
from osteotrace.registration.pyramid import Level
from osteotrace.space import FloatArray, Grid

SIZE_MM = 12.0
USUAL = np.r_[[np.radians(1.0) ** -2.0] * 3, [0.5**-2.0] * 3]


def _rod(forward: bool) -> tuple[Patch, FloatArray]:
    """A long rod along z in both images, and the relation of their values."""
    shape = (40, 40, 60)
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = [-19.5, -19.5, -29.5]
    grid = Grid(shape, affine, "M")
    index = np.moveaxis(np.indices(shape), 0, -1).reshape(-1, 3)
    points = grid.points(index)
    radius = np.hypot(points[:, 0], 0.6 * points[:, 1])
    ranks = (1.0 / (1.0 + np.exp(radius - 8.0))).astype(np.float32)
    field = Field(Level(ranks.reshape(shape), np.ones((1, 1, 1), np.float32), grid))
    near = np.flatnonzero((radius < 13.0) & (np.abs(points[:, 2]) < 14.0))[::5]
    samples = Samples(points[near], np.rint(ranks[near] * (BINS - 1)).astype(np.int64))
    table = relation(field, [(samples, np.eye(4))])
    return Patch(samples, field, forward, "CT-CT", ("a", "b"), 2.0), table


@pytest.mark.parametrize("forward", [True, False])
def test_a_rod_tells_nothing_of_sliding_along_itself(forward: bool) -> None:
    patch, table = _rod(forward)
    curved = curvature(patch, table, np.eye(4), np.zeros(3), SIZE_MM)
    assert curved == pytest.approx(curved.T)
    assert abs(curved[5, 5]) < 0.02 * curved[3, 3], "along z against across"
    assert curved[0, 0] > 10 * abs(curved[5, 5]), "tilting is seen"


@pytest.mark.parametrize("forward", [True, False])
def test_curvature_is_that_of_the_agreement(forward: bool) -> None:
    patch, table = _rod(forward)
    curved = curvature(patch, table, np.eye(4), np.zeros(3), SIZE_MM)

    def value(x: float) -> float:
        motion = np.eye(4)
        motion[0, 3] = x
        return agreement(patch.field, patch.samples, table, patch.pose(motion))[0]

    slopes = [(value(x + 0.05) - value(x - 0.05)) / 0.1 for x in (-1.5, 1.5)]
    assert curved[3, 3] == pytest.approx((slopes[0] - slopes[1]) / 3.0, rel=0.1)


def test_samples_that_never_meet_the_field_say_nothing() -> None:
    patch, _ = _rod(forward=True)
    away = np.eye(4)
    away[2, 3] = 500.0
    table = relation(patch.field, [(patch.samples, away)])
    assert not table.any()
    assert agreement(patch.field, patch.samples, table, away)[0] == 0.0


def test_precision_is_lost_only_along_what_is_not_told() -> None:
    curved = np.diag([1.0, 1.0, 1.0, 2.0, 1.0, 0.0])
    precision = precision_of(USUAL, curved, 1.0)
    assert np.diag(precision)[:5] == pytest.approx(USUAL[:5])
    assert precision[5, 5] == pytest.approx(0.01 * USUAL[5])


def test_no_sample_at_all_says_nothing() -> None:
    patch, table = _rod(forward=True)
    none = Samples(np.empty((0, 3)), np.empty(0, np.int64))
    value, slope = information(Pair(patch.field, none, "CT-CT"), np.eye(4), 0.5)
    assert value == 0.0
    assert not slope.any()
    assert agreement(patch.field, none, table, np.eye(4))[0] == 0.0
