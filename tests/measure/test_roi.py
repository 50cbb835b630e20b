"""Statistics of regions, against the published values of the IBSI digital phantom."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibsi import digital_phantom, volume_of
from osteotrace.errors import FrameMismatchError, LatticeMismatchError
from osteotrace.measure import core, roi_statistics, roi_values
from osteotrace.space import Grid, Mask
from strategies import FRAME, OTHER_FRAME, ball, centred_grid, grids, masks


def test_the_ibsi_digital_phantom_reads_as_published() -> None:
    volume, mask = digital_phantom()
    stats = roi_statistics(roi_values(volume, mask))
    assert stats.n_voxels == 74
    assert stats.mean == pytest.approx(2.15, abs=0.005)  # IBSI Q4LE
    assert stats.sd**2 * 73 / 74 == pytest.approx(3.05, abs=0.005)  # ECT3, of the population
    assert stats.median == 1  # Y12H
    assert (stats.minimum, stats.p10, stats.p90, stats.maximum) == (1, 1, 4, 6)  # 1GSF QG58 8DWT 84IY


def test_the_volume_of_the_ibsi_digital_phantom() -> None:
    _, mask = digital_phantom()
    assert mask.volume_ml == pytest.approx(0.592)  # YEKZ, by voxel counting


def test_a_known_sample() -> None:
    stats = roi_statistics(np.array([2, 4, 4, 4, 5, 5, 7, 9]))
    assert stats.mean == 5.0
    assert stats.sd == pytest.approx(np.sqrt(32 / 7))
    assert stats.median == 4.5


def test_one_voxel_has_no_spread() -> None:
    stats = roi_statistics(np.array([-5], dtype=np.int16))
    assert astuple(stats) == (1, -5.0, 0.0, -5.0, -5.0, -5.0, -5.0, -5.0)


@given(st.lists(st.integers(-1024, 3071), min_size=1), st.integers(-500, 500), st.sampled_from([0.5, 2.0]))
def test_statistics_follow_a_shift_and_a_scale(data: list[int], shift: int, scale: float) -> None:
    a, b = roi_statistics(np.array(data)), roi_statistics(np.array(data) * scale + shift)
    assert b.sd == pytest.approx(a.sd * scale, abs=1e-6)
    for name in ("mean", "minimum", "maximum", "median", "p10", "p90"):
        assert getattr(b, name) == pytest.approx(getattr(a, name) * scale + shift, abs=1e-6)
    assert a.minimum <= a.p10 <= a.median <= a.p90 <= a.maximum


def test_int16_does_not_overflow() -> None:
    stats = roi_statistics(np.full(100_000, 32_000, dtype=np.int16))
    assert (stats.mean, stats.sd) == (32_000.0, 0.0)


@given(masks(grids(max_shape=6)))
def test_values_are_those_under_the_mask(drawn: tuple[Mask, Grid]) -> None:
    mask, grid = drawn
    values = np.arange(np.prod(grid.shape), dtype=np.float32).reshape(grid.shape)
    np.testing.assert_array_equal(roi_values(volume_of(values, grid), mask), values[mask.on(grid)])


@pytest.mark.parametrize("shift", [-3, -1, 4])
def test_a_mask_that_reaches_outside_the_image_is_refused(shift: int) -> None:
    affine = np.eye(4)
    affine[0, 3] = shift
    mask = Mask(np.ones((2, 2, 2), dtype=bool), Grid((2, 2, 2), affine, FRAME))
    volume = volume_of(np.zeros((5, 5, 5)), Grid((5, 5, 5), np.eye(4), FRAME))
    with pytest.raises(LatticeMismatchError, match="reaches outside"):
        roi_values(volume, mask)


def test_a_mask_of_another_lattice_or_frame_is_refused() -> None:
    volume = volume_of(np.zeros((9, 9, 9)), centred_grid((9, 9, 9), (1.0, 1.0, 1.0)))
    with pytest.raises(LatticeMismatchError, match="do not coincide"):
        roi_values(volume, ball(centred_grid((9, 9, 9), (1.0, 1.0, 1.1)), 2.0))
    with pytest.raises(FrameMismatchError):
        roi_values(volume, ball(centred_grid((9, 9, 9), (1.0, 1.0, 1.0), frame=OTHER_FRAME), 2.0))


def test_the_core_of_a_ball_is_a_smaller_ball() -> None:
    mask = ball(centred_grid((50, 50, 50), (1.0, 1.0, 1.0)), 20.0)
    inner = core(mask, 5.0)
    assert inner is not None
    assert (3 * inner.volume_ml * 1000 / 4 / np.pi) ** (1 / 3) == pytest.approx(15.0, abs=0.6)
    np.testing.assert_allclose(inner.centroid, 0.0, atol=1e-6)


def test_the_core_is_cut_in_millimetres_not_in_voxels() -> None:
    mask = Mask(np.ones((9, 9, 9), dtype=bool), centred_grid((9, 9, 9), (1.0, 2.0, 4.0)))
    inner = core(mask, 3.0)
    assert inner is not None
    assert inner.grid.shape == (3, 7, 9)  # the rim is 3 voxels along i, 1 along j, none along k


def test_a_thin_mask_has_no_core() -> None:
    assert core(Mask(np.ones((9, 9, 1), dtype=bool), centred_grid((9, 9, 1), (1.0, 1.0, 2.0))), 2.0) is None


@given(masks(grids(max_shape=6, shear=False)), st.floats(0.1, 10))
def test_the_core_lies_inside_the_mask(drawn: tuple[Mask, Grid], depth: float) -> None:
    mask, _ = drawn
    inner = core(mask, depth)
    if inner is not None:
        assert (inner.on(mask.grid) <= mask.values).all()
