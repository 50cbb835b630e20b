"""MR signals against the equations, and what coil, fat, band and noise do to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import rayleigh

from osteotrace.errors import CriterionError
from osteotrace.phantom.protocols import MrProtocol
from osteotrace.phantom.records import Material
from osteotrace.phantom.scanner import acquire_mr, plan_mr
from osteotrace.phantom.scanner.constants import number, of_part
from osteotrace.phantom.scanner.mr import (
    acquired_slices,
    coil_sensitivity,
    fat_suppression,
    ghosts,
    saturation,
    slice_samples,
)
from osteotrace.phantom.scanner.mr_signal import fat_shift_pixels, magnetisation, signal, total
from osteotrace.phantom.scanner.scene import Scene
from osteotrace.space import Grid
from phantom_bodies import FAT, FRAME, MUSCLE, TUMOUR, WATER, bone, box, part, scene, sphere

PLAIN = MrProtocol(
    "plain",
    "TSE",
    550.0,
    12.0,
    matrix=96,
    pixel_mm=2.0,
    slices=7,
    noise=0.0,
    coil_bias=0.0,
    saturation_band=False,
    ghosting=0.0,
)
T1 = MrProtocol("t1", "SE", 550.0, 12.0)
T2 = MrProtocol("t2", "TSE", 3500.0, 90.0, echo_train=15, fat_suppression="FATSAT")


def body_of(*materials: Material) -> Scene:
    """A row of thick slabs along z, muscle around, from the highest to the lowest."""
    parts = [part("autochthon_left", box((-60, -90, -90), (60, 90, 90)), MUSCLE)]
    for number_, material in enumerate(materials):
        top = 60 - 40 * number_
        parts.append(part(f"slab{number_}", box((-60, -60, top - 30), (60, 60, top)), material))
    return scene(parts)


def middle_of_slab(values: np.ndarray, grid: Grid, which: int) -> float:
    index = np.round(grid.indices(np.array([0.0, 0.0, 60 - 40 * which - 15]))).astype(int)
    i, j, k = index
    return float(values[i - 5 : i + 6, j - 3 : j + 4, k].mean())


def test_the_lesion_of_the_index_case_has_the_ratios_of_the_report():
    lesion = Material(0.65, 1400.0, 90.0)
    assert total(lesion, T1) / total(MUSCLE, T1) == pytest.approx(0.70, abs=0.02)
    assert total(lesion, T2) / total(MUSCLE, T2) == pytest.approx(2.2, abs=0.1)


def test_spin_echo_inversion_recovery_and_gradient_echo_follow_their_equations():
    assert magnetisation(1000, 50, T1) == pytest.approx((1 - np.exp(-0.55)) * np.exp(-12 / 50))
    inversion = replace(T1, sequence="IR", ti_ms=700.0, tr_ms=4000.0)
    assert magnetisation(1000, 50, inversion) == pytest.approx(
        (1 - 2 * np.exp(-0.7) + np.exp(-4)) * np.exp(-12 / 50)
    )
    spoiled = replace(T1, sequence="GRE", flip_deg=30.0, tr_ms=100.0, te_ms=4.0)
    e1 = np.exp(-0.1)
    rate = 1 / 50 + 1 / number("mr.field_dispersion_ms")
    expected = 0.5 * (1 - e1) / (1 - np.cos(np.pi / 6) * e1) * np.exp(-4 * rate)
    assert magnetisation(1000, 50, spoiled) == pytest.approx(expected)
    with pytest.raises(ValueError, match="inversion time"):
        magnetisation(1000, 50, replace(T1, sequence="IR"))


def test_stir_nulls_fat_at_its_inversion_time():
    stir = replace(T2, sequence="IR", fat_suppression="STIR", te_ms=60.0, tr_ms=4000.0)
    null = replace(stir, ti_ms=number("mr.fat_t1_ms") * np.log(2))
    assert abs(signal(FAT, null).fat) < 0.01
    assert abs(signal(FAT, null).water) < 0.1
    assert signal(MUSCLE, null).water < 0  # still inverted


def test_muscle_enhances_as_computed_for_its_dose():
    muscle = replace(MUSCLE, gadolinium_mm=0.1, fat=0.0)
    sequence = MrProtocol("t1", "SE", 500.0, 10.0, contrast=True)
    gain = total(muscle, sequence) / total(muscle, replace(sequence, contrast=False))
    assert gain == pytest.approx(1.30, abs=0.04)


@pytest.mark.parametrize(
    "protocol",
    [
        PLAIN,
        replace(PLAIN, tr_ms=3500.0, te_ms=95.0, echo_train=15),
        replace(PLAIN, sequence="IR", tr_ms=4000.0, ti_ms=160.0, te_ms=40.0, fat_suppression="STIR"),
        replace(PLAIN, sequence="GRE", tr_ms=120.0, te_ms=4.8, flip_deg=70.0),
        replace(PLAIN, fat_suppression="DIXON_WATER"),
        replace(PLAIN, fat_suppression="FATSAT", fat_failure=0.0),
    ],
)
def test_measured_contrasts_equal_the_equations(protocol: MrProtocol):
    materials = (TUMOUR, FAT, WATER)
    body = body_of(*materials)
    grid = plan_mr(protocol, np.array([0.2, 0.3, 0.4]), FRAME, tilt_deg=(0.0, 1.0, 2.0))
    values = acquire_mr(body, protocol, grid, 1)
    for which, material in enumerate(materials):
        found = middle_of_slab(values, grid, which) / number("mr.muscle_value")
        expected = total(material, protocol) / total(MUSCLE, protocol)
        assert found == pytest.approx(expected, rel=0.02, abs=0.005)


def test_noise_is_rician():
    protocol = replace(PLAIN, noise=0.05)
    values = acquire_mr(body_of(), protocol, plan_mr(protocol, np.zeros(3), FRAME), 7)
    sd = 0.05 * number("mr.muscle_value")
    air = values[:2]
    assert air.mean() == pytest.approx(rayleigh.mean(scale=sd), rel=0.03)
    assert air.std() == pytest.approx(0.655 * sd, rel=0.03)
    muscle = values[44:52, 44:52, 3:4]
    assert muscle.mean() == pytest.approx(number("mr.muscle_value") * np.sqrt(1 + 0.05**2), rel=0.01)
    assert values.min() > 0


def test_the_same_seed_gives_the_same_series_on_any_number_of_threads():
    protocol = replace(PLAIN, noise=0.05)
    grid = plan_mr(protocol, np.zeros(3), FRAME)
    one = acquire_mr(body_of(TUMOUR), protocol, grid, 3, threads=1)
    assert np.array_equal(one, acquire_mr(body_of(TUMOUR), protocol, grid, 3, threads=2))
    assert not np.array_equal(one, acquire_mr(body_of(TUMOUR), protocol, grid, 4))


@pytest.mark.parametrize(("plane", "axis"), [("sagittal", 2), ("axial", 0)])
def test_fat_is_shifted_along_the_frequency_axis(plane: str, axis: int):
    """3.5 ppm of 63.9 MHz are 223.5 Hz: 4.47 pixels of 50 Hz."""
    protocol = replace(PLAIN, plane=plane, bandwidth_hz_px=50.0)  # type: ignore[arg-type]
    assert fat_shift_pixels(protocol) == pytest.approx(-4.47, abs=0.01)
    ball = [
        part("autochthon_left", sphere((0, 0, 0), 20.0), replace(MUSCLE, pd=1e-6)),
        part("fat", sphere((0, 0, 0), 18.0), replace(FAT, fat=1.0, pd=1e6)),
    ]
    grid = plan_mr(protocol, np.zeros(3), FRAME)
    values = acquire_mr(scene(ball), protocol, grid, 1)
    index = np.argwhere(values > values.max() / 2).mean(axis=0)
    shift = grid.points(index) / protocol.pixel_mm
    expected = np.zeros(3)
    expected[axis] = 4.47 if plane == "sagittal" else -4.47  # columns of a sagittal slice run to the feet
    np.testing.assert_allclose(shift, expected, atol=0.1)


def test_fat_suppression_fails_towards_the_ends_most_at_the_far_one():
    protocol = replace(PLAIN, fat_suppression="FATSAT", fat_failure=0.5)
    left = fat_suppression(protocol, plan_mr(protocol, np.zeros(3), FRAME))[0, :, 0]
    good = number("mr.fat_left")
    assert left[48] == pytest.approx(good)
    assert left[-1] == pytest.approx(good + (1 - good) * 0.5)
    assert good < left[0] < left[-1]


def test_a_slice_averages_along_its_profile():
    grid = plan_mr(PLAIN, np.zeros(3), FRAME)
    fine, weights = slice_samples(PLAIN, grid)
    step = fine.spacing[2]
    half = len(weights) // 2
    np.testing.assert_allclose(fine.points((0, 0, half)), grid.points((0, 0, 0)), atol=1e-9)
    assert weights.sum() == pytest.approx(1.0)
    offsets = (np.arange(len(weights)) - half) * step
    box_sd = 4.0 / np.sqrt(12)
    assert np.sqrt((weights * offsets**2).sum() + step**2 / 12) == pytest.approx(box_sd, rel=0.1)
    ball = scene([part("autochthon_left", sphere((0, 0, 0), 25.0), replace(MUSCLE, fat=0.0))])
    water = acquired_slices(ball, PLAIN, grid)[0] / total(replace(MUSCLE, fat=0.0), PLAIN)
    volume = water[..., 3].sum() * PLAIN.pixel_mm**2  # area of the middle slice
    assert volume == pytest.approx(np.pi * 25**2, rel=0.01)


def test_the_coil_is_most_sensitive_at_the_back_and_its_range_is_as_asked():
    protocol = replace(PLAIN, coil_bias=0.5)
    grid = plan_mr(protocol, np.zeros(3), FRAME)
    bias = coil_sensitivity(protocol, grid)
    assert np.ptp(bias) == pytest.approx(0.5, rel=0.01)
    assert bias.mean() == pytest.approx(1.0, abs=0.02)
    assert bias[-1, 48, 3] == bias.max()
    assert bias[-1, 0, 3] < bias[-1, 48, 3]
    assert coil_sensitivity(PLAIN, grid).shape == (1, 1, 1)
    assert coil_sensitivity(protocol, grid.crop((0, 0, 0), (96, 1, 1))).shape == (96, 1, 1)


def test_the_band_lies_in_front_of_the_spine():
    spine = [bone(f"vertebrae_L{n}", sphere((0, 40, 60 - 40 * n), 12.0), verse=19 + n) for n in range(1, 4)]
    body = scene([part("autochthon_left", box((-60, -90, -90), (60, 90, 90)), MUSCLE)], spine)
    protocol = replace(PLAIN, saturation_band=True)
    grid = plan_mr(protocol, np.zeros(3), FRAME)
    left = saturation(body, protocol, grid)
    assert left.shape == (96, 96, 1)
    spot = np.round(grid.indices(np.array([[0, 40, 0], [0, -10, 0], [0, -85, 0]]))).astype(int)
    at_spine, in_band, before = left[spot[:, 0], spot[:, 1], 0]
    assert (at_spine, in_band, before) == pytest.approx((1.0, number("mr.saturation_left"), 1.0))
    assert saturation(body_of(), protocol, grid).shape == (1, 1, 1)
    alone = scene([], spine[:1])
    assert saturation(alone, protocol, grid).min() == pytest.approx(number("mr.saturation_left"))


def test_ghosts_of_the_moving_front_appear_along_the_phase_axis():
    values = np.zeros((100, 10, 1), dtype=np.float32)
    values[10] = 100.0
    added = ghosts(values, replace(PLAIN, ghosting=0.02), 0)
    assert set(np.flatnonzero(added[:, 0, 0])) == {33, 87}
    assert added.max() == pytest.approx(2.0)


def test_blood_is_void_in_a_spin_echo_but_not_in_a_gradient_echo():
    blood = Material(0.9, 1440.0, 200.0)
    parts = [
        part("autochthon_left", box((-60, -90, -90), (60, 90, 90)), MUSCLE),
        part("aorta", sphere((0, 0, 0), 25.0), blood),
    ]
    grid = plan_mr(PLAIN, np.zeros(3), FRAME)
    echo = acquire_mr(scene(parts), PLAIN, grid, 1)[48, 48, 3] / number("mr.muscle_value")
    assert echo == pytest.approx(
        of_part("mr_flow", "aorta", 1.0) * total(blood, PLAIN) / total(MUSCLE, PLAIN)
    )
    spoiled = replace(PLAIN, sequence="GRE", tr_ms=120.0, te_ms=4.8, flip_deg=70.0)
    gradient = acquire_mr(scene(parts), spoiled, grid, 1)[48, 48, 3] / number("mr.muscle_value")
    assert gradient == pytest.approx(total(blood, spoiled) / total(MUSCLE, spoiled), rel=0.02)


def test_a_body_without_reference_muscle_and_an_unknown_constant_are_refused():
    with pytest.raises(KeyError, match="autochthon_left"):
        acquire_mr(
            scene([part("fat", sphere((0, 0, 0), 9.0), FAT)]), PLAIN, plan_mr(PLAIN, np.zeros(3), FRAME), 1
        )
    with pytest.raises(CriterionError, match=r"mr\.nothing"):
        number("mr.nothing")


@pytest.mark.parametrize(
    ("plane", "rows", "columns", "slices"),
    [
        ("sagittal", (0, 1, 0), (0, 0, -1), (1, 0, 0)),
        ("coronal", (1, 0, 0), (0, 0, -1), (0, 1, 0)),
        ("axial", (1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ],
)
def test_planes_run_as_a_technologist_plans_them(
    plane: str, rows: tuple[int, ...], columns: tuple[int, ...], slices: tuple[int, ...]
):
    protocol = replace(PLAIN, plane=plane)  # type: ignore[arg-type]
    grid = plan_mr(protocol, np.array([1.5, -2.5, 3.25]), FRAME)
    np.testing.assert_allclose(grid.direction.T, [rows, columns, slices], atol=1e-12)
    np.testing.assert_allclose(grid.center, (1.5, -2.5, 3.25), atol=1e-9)
    np.testing.assert_allclose(grid.spacing, (2.0, 2.0, 4.4))
