"""Peak uptake: 1 mL spheres on images whose answer is known."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibsi import volume_of
from osteotrace.measure import equivalent_diameter_mm, peak
from osteotrace.measure.suvpeak import Peak
from osteotrace.model.imaging import Volume
from osteotrace.space import Grid, Mask
from strategies import ball, centred_grid, rotations, voxel_centers

RADIUS = equivalent_diameter_mm(1.0) / 2
PET = centred_grid((24, 24, 24), (2.5, 2.5, 2.5))
WIDE = centred_grid((16, 16, 20), (4.07, 4.07, 3.0))


def found(volume: Volume, mask: Mask) -> Peak:
    result = peak(volume, mask, 1.0)
    assert result is not None
    return result


def delta(grid: Grid, height: float) -> tuple[Volume, Mask]:
    """One hot voxel in the middle, nothing elsewhere."""
    values = np.zeros(grid.shape)
    values[tuple(n // 2 for n in grid.shape)] = height
    return volume_of(values, grid), Mask.from_array(values > 0, grid)


@pytest.mark.parametrize("grid", [PET, WIDE], ids=["2.5 mm", "4 mm"])
def test_a_uniform_lesion_has_its_value(grid: Grid) -> None:
    mask = ball(grid, 15.0)
    volume = volume_of(np.where(mask.on(grid), 5.0, 1.0), grid)
    assert found(volume, mask).value == pytest.approx(5.0)


@pytest.mark.parametrize("grid", [PET, WIDE, centred_grid((20, 20, 20), (2.0, 2.0, 3.27))])
def test_one_hot_voxel_is_thinned_to_the_millilitre(grid: Grid) -> None:
    volume, mask = delta(grid, 1000.0)
    assert found(volume, mask).value == pytest.approx(grid.voxel_volume_mm3, rel=0.02)


def test_the_isolated_voxel_of_a_reference_object_is_not_its_peak() -> None:
    grid = PET
    volume, mask = delta(grid, 3.11)
    raised = volume_of(volume.values + 1.0, grid)  # one voxel of 4.11 in a background of 1
    share = grid.voxel_volume_mm3 / 1000
    assert found(raised, mask).value == pytest.approx(1.0 + 3.11 * share, rel=0.005)


def test_the_sphere_is_placed_for_the_highest_mean_not_on_the_hottest_voxel() -> None:
    plateau = ball(PET, 9.0, (10.0, 0.0, 0.0))
    values = np.where(plateau.on(PET), 8.0, 0.0)
    values[4, 12, 12] = 12.0  # alone
    mask = Mask.from_array(values > 0, PET)
    result = found(volume_of(values, PET), mask)
    assert result.value == pytest.approx(8.0)
    assert np.linalg.norm(np.array(result.center_mm) - (10.0, 0.0, 0.0)) <= 9.0 - RADIUS + 2.5


def test_the_centre_between_voxels_is_found() -> None:
    """A ball centred on the corner of eight voxels is met there, not on a voxel."""
    center = tuple(PET.points((12.5, 12.5, 12.5)))
    distance = np.linalg.norm(voxel_centers(PET) - center, axis=-1)
    result = found(volume_of(np.exp(-((distance / 6) ** 2)), PET), ball(PET, 8.0))
    np.testing.assert_allclose(result.center_mm, center, atol=1e-6)


def test_a_ramp_gives_the_value_at_the_centre() -> None:
    slope = np.array([0.02, 0.01, -0.015])
    result = found(volume_of(5 + voxel_centers(PET) @ slope, PET), ball(PET, 10.0))
    assert result.value == pytest.approx(5 + np.array(result.center_mm) @ slope, abs=1e-6)


def test_a_sphere_reaches_beyond_the_mask() -> None:
    _, mask = delta(PET, 1.0)
    assert found(volume_of(np.full(PET.shape, 3.0), PET), mask).value == pytest.approx(3.0)


def test_a_larger_sphere_has_a_lower_peak_on_a_hill() -> None:
    distance = np.linalg.norm(voxel_centers(PET), axis=-1)
    volume, mask = volume_of(np.exp(-distance / 10), PET), ball(PET, 12.0)
    values = [result.value for v in (0.2, 1.0, 4.0) if (result := peak(volume, mask, v))]
    assert len(values) == 3
    assert values[0] > values[1] > values[2]


def test_where_the_sphere_does_not_fit_there_is_no_peak() -> None:
    thin = centred_grid((20, 20, 2), (2.0, 2.0, 3.0))
    mask = Mask.from_array(np.ones(thin.shape, dtype=bool), thin)
    assert peak(volume_of(np.ones(thin.shape), thin), mask, 1.0) is None


def test_a_sphere_that_just_fits_is_taken() -> None:
    """Five slices of 3 mm hold a sphere of 12.4 mm."""
    flat = centred_grid((24, 24, 5), (3.0, 3.0, 3.0))
    _, mask = delta(flat, 1.0)
    result = peak(volume_of(np.full(flat.shape, 2.0), flat), mask, 1.0)
    assert result is not None
    assert result.value == pytest.approx(2.0)


def test_it_lies_between_the_extremes_and_not_above_the_maximum() -> None:
    values = np.random.default_rng(4).gamma(2.0, 2.0, PET.shape)
    result = found(volume_of(values, PET), ball(PET, 12.0))
    assert values.min() < result.value < values.max()


@settings(max_examples=15)
@given(rotations())
def test_no_turn_of_the_patient_changes_it(rotation: np.ndarray) -> None:
    values = np.random.default_rng(5).gamma(2.0, 2.0, (14, 14, 14))
    upright = centred_grid((14, 14, 14), (3.0, 3.0, 3.3))
    turned = centred_grid((14, 14, 14), (3.0, 3.0, 3.3), rotation=rotation)
    region = np.zeros((14, 14, 14), dtype=bool)
    region[5:9, 6:9, 5:8] = True
    a, b = (found(volume_of(values, g), Mask.from_array(region, g)) for g in (upright, turned))
    assert a.value == pytest.approx(b.value, rel=1e-3)


@pytest.mark.parametrize("flips", list(product([1, -1], repeat=3)))
def test_no_slice_order_changes_it(flips: tuple[int, int, int]) -> None:
    values = np.random.default_rng(6).gamma(2.0, 2.0, (14, 14, 14))
    region = np.zeros((14, 14, 14), dtype=bool)
    region[5:9, 6:9, 5:8] = True
    grid = centred_grid((14, 14, 14), (3.0, 3.0, 3.0))
    a = found(volume_of(values, grid), Mask.from_array(region, grid))
    x, y, z = flips
    b = found(volume_of(values[::x, ::y, ::z], grid), Mask.from_array(region[::x, ::y, ::z], grid))
    assert a.value == pytest.approx(b.value, rel=1e-6)


@settings(max_examples=20)
@given(st.floats(0.1, 20), st.floats(-1, 1))
def test_it_scales_with_the_image(scale: float, shift: float) -> None:
    values = np.random.default_rng(8).gamma(2.0, 2.0, (12, 12, 12))
    grid = centred_grid((12, 12, 12), (3.0, 3.0, 3.0))
    mask = ball(grid, 5.0)
    a = found(volume_of(values, grid), mask).value
    b = found(volume_of(values * scale + shift, grid), mask).value
    assert b == pytest.approx(a * scale + shift, rel=1e-6)
