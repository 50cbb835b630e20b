"""CT numbers, kernels, noise, couch, contrast phase and metal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from osteotrace.phantom.protocols import CtProtocol
from osteotrace.phantom.records import Insert, Material
from osteotrace.phantom.scanner import acquire_ct, plan_axial
from osteotrace.phantom.scanner.constants import number, of_part
from osteotrace.phantom.scanner.ct import hounsfield_paint, noise_filters, transfer_function
from osteotrace.phantom.scanner.metal import streaks
from osteotrace.phantom.scanner.table import add_table
from phantom_bodies import CORTEX, FRAME, MUSCLE, WATER, bone, box, grid, part, scene, sphere

QUIET = CtProtocol("ct", matrix=128, pixel_mm=1.6, slice_mm=2.0, noise_hu=0.0)
TISSUE = part("liver", box((-70, -60, -60), (70, 60, 60)), MUSCLE)


def centered(protocol: CtProtocol, length: float = 20.0):
    return plan_axial(protocol, np.array([0.3, 0.1, 0.2]), length, FRAME)


@pytest.mark.parametrize("kernel", ["soft", "bone"])
def test_ct_numbers_are_those_of_the_tissues(kernel: str):
    protocol = replace(QUIET, kernel=kernel)  # type: ignore[arg-type]
    body = scene([TISSUE], [bone("femur", box((-20, -20, -60), (20, 20, 60)))])
    values = acquire_ct(body, protocol, centered(protocol), 1)
    assert values[64, 64, 5] == pytest.approx(180.0, abs=2.0)
    assert values[40, 64, 5] == pytest.approx(56.0, abs=1.0)
    assert values[3, 3, 5] == pytest.approx(-1000.0, abs=1.0)


@pytest.mark.parametrize("kernel", ["soft", "bone"])
@pytest.mark.parametrize("low_dose", [False, True])
def test_noise_has_the_sd_that_is_asked_for(kernel: str, low_dose: bool):
    protocol = replace(QUIET, kernel=kernel, noise_hu=25.0, low_dose=low_dose)  # type: ignore[arg-type]
    values = acquire_ct(scene([TISSUE]), protocol, centered(protocol, 40.0), 5)
    region = values[30:98, 34:94]
    assert region.std() == pytest.approx(25.0, rel=0.05)
    assert region.mean() == pytest.approx(MUSCLE.hu, abs=1.0)


def correlation(protocol: CtProtocol) -> np.ndarray:
    values = acquire_ct(scene([TISSUE]), protocol, centered(protocol, 60.0), 5)[30:98, 34:94]
    noise = values - values.mean()
    power = (np.abs(np.fft.fft2(noise, axes=(0, 1))) ** 2).mean(axis=2)
    found = np.fft.ifft2(power).real
    return found / found[0, 0]


def test_the_noise_texture_is_that_of_the_kernel():
    protocol = replace(QUIET, noise_hu=20.0, pixel_mm=0.8)
    (gain,) = noise_filters(protocol, (512, 512), (0.8, 0.8))
    full = np.concatenate([gain, np.roll(gain[::-1], 1, 0)[:, -2:0:-1]], axis=1).astype(float)
    expected = np.fft.ifft2(full**2).real
    expected /= expected[0, 0]
    found = correlation(protocol)
    for shift in ((1, 0), (0, 1), (2, 0), (1, 1), (3, 0)):
        assert found[shift] == pytest.approx(expected[shift], abs=0.04)
    assert found[1, 0] > correlation(replace(protocol, kernel="bone"))[1, 0] + 0.1


def test_streaks_of_a_low_dose_scan_run_from_side_to_side():
    streaky = correlation(replace(QUIET, noise_hu=20.0, low_dose=True))
    assert streaky[3, 0] > streaky[0, 3] + 0.02


def test_the_bone_kernel_is_sharper_and_overshoots():
    body = scene([part("block", box((-40, -40, -40), (0, 40, 40)), WATER)])
    profiles = {}
    for kernel in ("soft", "bone"):
        protocol = replace(QUIET, kernel=kernel, pixel_mm=0.4)  # type: ignore[arg-type]
        values = acquire_ct(body, protocol, centered(protocol), 1)
        profiles[kernel] = values[:, 64, 5]
    slope = {k: -np.diff(p).min() for k, p in profiles.items()}
    assert slope["bone"] > 1.3 * slope["soft"]
    assert profiles["soft"].max() < 3.0
    assert 15.0 < profiles["bone"].max() < 120.0


def test_the_transfer_of_the_soft_kernel_is_a_gaussian_of_its_width():
    transfer = transfer_function("soft", (64, 64), (1.0, 1.0))
    sigma = number("ct.soft.blur_mm") / 2.3548
    assert transfer[0, 16] == pytest.approx(np.exp(-2 * (np.pi * sigma * 0.25) ** 2), rel=1e-4)
    assert transfer[0, 0] == 1.0


def test_bone_is_brighter_at_a_lower_voltage_and_water_is_not():
    low, standard = hounsfield_paint(80.0), hounsfield_paint(120.0)
    assert standard.mean(CORTEX)[0] == pytest.approx(1100.0)
    assert low.mean(CORTEX)[0] > 1400.0
    assert low.mean(WATER)[0] == 0.0


def test_the_portal_venous_phase_raises_vessels_and_organs():
    parts = [TISSUE, part("aorta", sphere((0, 0, 0), 30.0), Material(0.9, 1440.0, 200.0, hu=42.0))]
    protocol = replace(QUIET, contrast_phase="portal venous")
    values = acquire_ct(scene(parts), protocol, centered(protocol), 1)
    assert values[64, 64, 5] == pytest.approx(42.0 + of_part("ct_portal_venous", "aorta", 0.0), abs=2.5)
    assert values[26, 64, 5] == pytest.approx(56.0 + of_part("ct_portal_venous", "liver", 0.0), abs=1.0)
    assert of_part("ct_portal_venous", "rib_left_3", 0.0) == 0.0


def test_the_couch_lies_under_the_patient():
    protocol = replace(QUIET, pixel_mm=2.6)
    values = acquire_ct(scene([TISSUE]), protocol, centered(protocol), 1)
    behind = values[64, :, 5]
    back = int(np.flatnonzero(behind > 0)[-1]) if behind.max() > 0 else 0
    under = values[64, 90:, 5]
    assert under.max() > -400.0  # its skin
    assert values[64, :35, 5].max() < -990.0  # nothing above the patient
    assert back > 64
    air = np.full((8, 8, 4), -1000.0, dtype=np.float32)
    add_table(air, grid((8, 8, 4), (1, 1, 1), (0, 0, 0)))
    assert (air == -1000.0).all()


def test_metal_is_clipped_and_casts_streaks():
    pin = Insert(
        "pin", "wall", "free", box((-2, -30, -60), (2, 30, 60), 1.0), 0.0, Material(0, 1, 1, hu=8000.0)
    )
    protocol = QUIET
    plain = acquire_ct(scene([TISSUE]), protocol, centered(protocol), 1)
    values = acquire_ct(scene([TISSUE], inserts=[pin]), protocol, centered(protocol), 1)
    assert values.max() == number("ct.highest_hu")
    change = values[64, 64 + 22 : 64 + 30, 5] - plain[64, 64 + 22 : 64 + 30, 5]
    assert -number("ct.metal_streak_hu") - 5 < change.min() < -5.0  # dark along the long way through the pin
    assert not streaks(plain, centered(protocol))


def test_the_same_seed_gives_the_same_series_on_any_number_of_threads():
    protocol = replace(QUIET, noise_hu=12.0, low_dose=True)
    one = acquire_ct(scene([TISSUE]), protocol, centered(protocol, 60), 3, threads=1)
    assert np.array_equal(one, acquire_ct(scene([TISSUE]), protocol, centered(protocol, 60), 3, threads=2))
    assert one.dtype == np.float32
    assert one[..., 0].T.flags.c_contiguous  # a slice is written row by row
