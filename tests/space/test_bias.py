"""N4: criteria n4.phantom_* (a true image is left alone, a field of 40% is found).

Both hold with two fitting levels. With four, the splines are fine enough to follow the marrow.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from osteotrace.errors import SpaceError
from osteotrace.model.criteria import load_criteria
from osteotrace.space import BiasSettings, Grid, bias_field
from strategies import centred_grid, voxel_centers

CRITERIA = load_criteria()
LEVELS = int(CRITERIA.number("n4.fitting_levels"))
SETTINGS = BiasSettings(
    shrink=int(CRITERIA.number("n4.shrink")),
    iterations=tuple(int(n) for n in CRITERIA.numbers("n4.iterations"))[:LEVELS],
    convergence=CRITERIA.number("n4.convergence"),
    spline_order=int(CRITERIA.number("n4.spline_order")),
    histogram_bins=int(CRITERIA.number("n4.histogram_bins")),
    bias_fwhm=CRITERIA.number("n4.bias_field_fwhm"),
    wiener_noise=CRITERIA.number("n4.wiener_noise"),
)
GRID = centred_grid((96, 96, 24), (2.0, 2.0, 5.0))


def phantom(grid: Grid) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A body with muscle, marrow, fat and a lesion; signal with 3% noise."""
    x, y, z = np.moveaxis(voxel_centers(grid), -1, 0)
    body = (x / 85) ** 2 + (y / 70) ** 2 < 1
    places = {
        "muscle": (np.abs(x) > 25) & (np.abs(x) < 55) & (np.abs(y + 15) < 25) & body,
        "marrow": (x**2 + y**2 < 20**2) & body,
        "lesion": (x - 4) ** 2 + (y - 3) ** 2 + z**2 < 11**2,
        "body": body,
    }
    signal = np.where(body, 300.0, 0.0)  # fat
    signal[places["muscle"]] = 100.0
    signal[places["marrow"]] = 220.0
    signal[places["lesion"]] = 150.0
    noise = np.random.default_rng(7).normal(scale=3.0, size=grid.shape)
    return np.abs(signal + noise), places


def coil(grid: Grid, strength: float) -> np.ndarray:
    """Sensitivity of a coil that lies behind the back: smooth, with the given spread, mean about 1."""
    x, y, _ = np.moveaxis(voxel_centers(grid), -1, 0)
    return 1 + strength / 2 * np.sin(np.pi * y / 140) * np.cos(np.pi * x / 200)


def ratio(values: np.ndarray, places: dict[str, np.ndarray]) -> float:
    return float(np.median(values[places["lesion"]]) / np.median(values[places["muscle"]]))


@pytest.fixture(scope="module")
def tissue() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    return phantom(GRID)


def test_a_true_image_is_left_alone(tissue: tuple[np.ndarray, dict[str, np.ndarray]]) -> None:
    values, places = tissue
    field = bias_field(values, GRID, places["body"], SETTINGS)
    change = ratio(values / field, places) / ratio(values, places) - 1
    assert abs(change) < CRITERIA.number("n4.phantom_ratio_change_max")


def test_four_levels_take_the_lesion_for_the_coil(tissue: tuple[np.ndarray, dict[str, np.ndarray]]) -> None:
    values, places = tissue
    four = replace(SETTINGS, iterations=SETTINGS.iterations[:1] * 4)
    field = bias_field(values, GRID, places["body"], four)
    change = ratio(values / field, places) / ratio(values, places) - 1
    assert abs(change) > 4 * CRITERIA.number("n4.phantom_ratio_change_max")


def test_a_strong_field_is_found(tissue: tuple[np.ndarray, dict[str, np.ndarray]]) -> None:
    values, places = tissue
    true = coil(GRID, CRITERIA.number("n4.phantom_field"))
    body = places["body"]
    field = bias_field(values * true, GRID, body, SETTINGS)
    error = field / (true / true[body].mean()) - 1
    assert np.abs(error[body]).mean() <= CRITERIA.number("n4.phantom_recovery_error_max")
    off = ratio(values * true / field, places) / ratio(values, places) - 1
    assert abs(off) <= CRITERIA.number("n4.phantom_recovery_error_max")
    before = ratio(values * true, places) / ratio(values, places) - 1
    assert abs(before) > abs(off)  # it was needed


def test_the_field_has_mean_one_over_the_tissue(tissue: tuple[np.ndarray, dict[str, np.ndarray]]) -> None:
    values, places = tissue
    field = bias_field(values * 1000, GRID, places["body"], SETTINGS)
    assert field.shape == GRID.shape
    assert field.dtype == np.float32
    assert field[places["body"]].mean() == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("shape", [(40, 40, 2), (40, 3, 40), (5, 5, 5)])
def test_thin_images_are_taken(shape: tuple[int, int, int]) -> None:
    values = np.random.default_rng(0).normal(100, 5, shape).clip(1)
    field = bias_field(values, centred_grid(shape, (1.0, 1.0, 4.0)), np.ones(shape, dtype=bool), SETTINGS)
    assert field.shape == shape
    assert np.isfinite(field).all()


def test_a_single_slice_is_refused() -> None:
    with pytest.raises(SpaceError) as caught:
        bias_field(
            np.ones((9, 9, 1)), centred_grid((9, 9, 1), (1.0, 1.0, 1.0)), np.ones((9, 9, 1), bool), SETTINGS
        )
    assert str(caught.value) == (
        "an image of shape (9, 9, 1) has no field in space; expected: two slices or more"
    )


def test_without_tissue_or_with_holes_in_the_signal_it_is_refused() -> None:
    values, grid = np.ones((8, 8, 8)), centred_grid((8, 8, 8), (1.0, 1.0, 1.0))
    holes = values.copy()
    holes[3, 3, 3] = np.nan
    everywhere, nowhere = np.ones((8, 8, 8), dtype=bool), np.zeros((8, 8, 8), dtype=bool)
    for signal, where in ((values, nowhere), (holes, everywhere)):
        with pytest.raises(SpaceError) as caught:
            bias_field(signal, grid, where, SETTINGS)
        assert str(caught.value) == "no finite foreground for the bias field; expected: a mask with tissue"
