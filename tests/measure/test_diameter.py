"""Diameters: known solids, the IBSI digital phantom, and what no turn may change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from ibsi import digital_phantom
from osteotrace.measure import equivalent_diameter_mm, longest_diameter_mm, surface_points
from osteotrace.space import Grid, Mask
from strategies import ball, centred_grid, grids, masks, rotations


def test_the_ibsi_digital_phantom_reads_as_published() -> None:
    _, mask = digital_phantom()
    assert longest_diameter_mm(mask) == pytest.approx(13.1, abs=0.05)  # L0JK


@pytest.mark.parametrize("radius", [5.0, 12.407 / 2, 20.0])
@pytest.mark.parametrize("spacing", [(0.5, 0.5, 0.5), (0.5, 0.5, 2.0)])
def test_a_ball_is_as_long_as_its_diameter(radius: float, spacing: tuple[float, float, float]) -> None:
    shape = tuple(int(2 * radius / s) + 4 for s in spacing)
    mask = ball(centred_grid((shape[0], shape[1], shape[2]), spacing), radius)
    assert longest_diameter_mm(mask) == pytest.approx(2 * radius, abs=max(spacing) + 0.1)


@pytest.mark.parametrize(("shape", "length"), [((1, 1, 1), 4.0), ((6, 1, 1), 6.0), ((1, 1, 3), 12.0)])
def test_a_rod_is_as_long_as_its_voxels(shape: tuple[int, int, int], length: float) -> None:
    mask = Mask(np.ones(shape, dtype=bool), centred_grid(shape, (1.0, 0.5, 4.0 if shape[0] == 1 else 0.5)))
    assert longest_diameter_mm(mask) == pytest.approx(length)


@given(masks(grids(max_shape=5)))
def test_the_diameter_is_that_of_all_surface_points(drawn: tuple[Mask, Grid]) -> None:
    mask, _ = drawn
    assert longest_diameter_mm(mask) == pytest.approx(pdist(surface_points(mask)).max(), rel=1e-6)


@given(masks(grids(max_shape=6)))
def test_the_diameter_is_bounded_by_the_voxels(drawn: tuple[Mask, Grid]) -> None:
    mask, _ = drawn
    between = pdist(mask.points).max() if mask.n_voxels > 1 else 0.0
    assert between <= longest_diameter_mm(mask) + 1e-6
    assert longest_diameter_mm(mask) <= between + mask.grid.spacing.max() + 1e-6


@settings(max_examples=25)
@given(rotations(), st.integers(0, 2**32 - 1))
def test_no_turn_of_the_patient_changes_it(rotation: np.ndarray, seed: int) -> None:
    values = np.random.default_rng(seed).random((5, 6, 4)) > 0.7
    values[2, 2, 2] = True
    lengths = [
        longest_diameter_mm(Mask.from_array(values, centred_grid((5, 6, 4), (1.0, 1.2, 3.0), rotation=r)))
        for r in (None, rotation)
    ]
    assert lengths[0] == pytest.approx(lengths[1], rel=1e-6)


def test_two_parts_are_measured_across() -> None:
    values = np.zeros((20, 1, 1), dtype=bool)
    values[[0, 19]] = True
    assert longest_diameter_mm(Mask(values, centred_grid((20, 1, 1), (2.0, 1.0, 1.0)))) == pytest.approx(40.0)


def test_surface_points_of_one_voxel() -> None:
    mask = Mask(np.ones((1, 1, 1), dtype=bool), centred_grid((1, 1, 1), (2.0, 4.0, 6.0)))
    found = {tuple(p) for p in surface_points(mask).round(6)}
    assert found == {(-1, 0, 0), (1, 0, 0), (0, -2, 0), (0, 2, 0), (0, 0, -3), (0, 0, 3)}


def test_the_sphere_of_one_millilitre() -> None:
    assert equivalent_diameter_mm(1.0) == pytest.approx(12.407, abs=5e-4)  # criteria.md 1.5


@given(st.floats(0.01, 5000))
def test_the_equivalent_sphere_has_the_volume(volume: float) -> None:
    assert np.pi * equivalent_diameter_mm(volume) ** 3 / 6000 == pytest.approx(volume)
