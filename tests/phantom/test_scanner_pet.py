"""SUV, resolution and noise of the PET."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import erf

from osteotrace.errors import SpaceError
from osteotrace.phantom.protocols import PetProtocol
from osteotrace.phantom.records import Insert
from osteotrace.phantom.scanner import acquire_pet, calibrate, insert_share, plan_axial
from osteotrace.phantom.scanner.pet import calibrated_suv, noise_free, with_suv
from phantom_bodies import FRAME, MARROW, TUMOUR, WATER, bone, box, grid, part, scene, sphere

PET = PetProtocol("pet", matrix=48, pixel_mm=4.07, slice_mm=3.0, fwhm_mm=5.5)
LARGE = part("liver", box((-80, -80, -60), (80, 80, 60)), replace(WATER, suv=2.2))


def centered(length: float = 90.0):
    return plan_axial(PET, np.array([0.0, 0.0, 0.0]), length, FRAME)


def recovery(radius: float, fwhm: float) -> float:
    """Centre of a ball convolved with a Gaussian (closed form)."""
    t = radius / (fwhm / 2.3548)
    return float(erf(t / np.sqrt(2)) - np.sqrt(2 / np.pi) * t * np.exp(-(t**2) / 2))


def test_a_large_uniform_region_has_its_suv():
    values = acquire_pet(scene([LARGE]), PET, centered(), 3)
    region = values[12:36, 12:36, 5:25]
    assert region.mean() == pytest.approx(2.2, rel=0.01)
    assert region.std() / region.mean() == pytest.approx(PET.noise, rel=0.1)


@pytest.mark.parametrize("radius", [3.0, 5.0, 8.0, 12.0])
def test_recovery_falls_with_size_as_the_point_spread_says(radius: float):
    hot = part("ball", sphere((0, 0, 0), radius, 0.5), replace(TUMOUR, suv=10.0))
    odd = grid((33, 33, 31), (4.07, 4.07, 3.0), (0, 0, 0))
    values = noise_free(scene([hot]), PET, odd)
    assert values.max() / 10.0 == pytest.approx(recovery(radius, PET.fwhm_mm), abs=0.02)
    total = values.sum() * odd.voxel_volume_mm3
    exact = 10.0 * 4 / 3 * np.pi * radius**3
    assert total == pytest.approx(exact, rel=0.01 if radius > 5 else 0.03)  # two or three samples across


def test_noise_follows_the_counts_and_is_correlated_by_the_reconstruction():
    parts = [LARGE, part("ball", sphere((0, 0, 0), 30.0), replace(TUMOUR, suv=8.0))]
    clean = noise_free(scene(parts), PET, centered())
    runs = np.stack([acquire_pet(scene(parts), PET, centered(), seed) for seed in range(8)]) - clean
    hot, cold, air = runs[:, 22:26, 22:26, 13:17], runs[:, 10:14, 10:14, 13:17], runs[:, 0, 0]
    assert 0.06 * 8 < hot.std() < 0.1 * 8
    assert 0.06 * 2.2 < cold.std() < 0.12 * 2.2
    assert air.std() < 0.01
    inner = runs[:, 10:38, 10:38, 8:22]
    pairs = np.corrcoef(inner[:, 1:].ravel(), inner[:, :-1].ravel())[0, 1]
    assert 0.2 < pairs < 0.7


def test_values_are_never_negative_and_seeds_decide():
    first = acquire_pet(scene([LARGE]), replace(PET, noise=0.8), centered(), 3, threads=1)
    assert first.min() >= 0
    assert np.array_equal(
        first, acquire_pet(scene([LARGE]), replace(PET, noise=0.8), centered(), 3, threads=2)
    )
    assert not np.array_equal(first, acquire_pet(scene([LARGE]), replace(PET, noise=0.8), centered(), 4))


def t11(shape_mm: float = 9.0, core: bool = False):
    vertebra = bone("vertebrae_T11", sphere((3.1, 2.7, 1.3), 18.0))
    inner = (sphere((3, 2, 1), 3.0, 0.5), replace(TUMOUR, suv=0.1)) if core else None
    lesion = Insert(
        "B4",
        "vertebrae_T11",
        "marrow",
        sphere((3, 2, 1), shape_mm, 0.5),
        0.0,
        replace(TUMOUR, uptake_texture=0.2),
        inner,
    )
    return scene([replace(LARGE, fill=replace(WATER, suv=0.6))], [vertebra], [lesion])


def test_the_suv_of_an_insert_is_set_so_that_its_maximum_is_what_is_wanted():
    body = calibrate(t11(), PET, centered(), "B4", 2.19)
    values = noise_free(body, PET, centered())
    inside = insert_share(body, "B4", centered(), samples=(2, 2, 2)) > 0.5
    assert values[inside].max() == pytest.approx(2.19, rel=0.005)
    quiet = replace(PET, noise=0.06)  # more noise raises the maximum of so many voxels
    found = [float(acquire_pet(body, quiet, centered(), seed)[inside].max()) for seed in range(20)]
    assert np.mean(found) == pytest.approx(2.19, rel=0.05)
    assert found == pytest.approx([2.19] * 20, rel=0.15)


def test_a_wish_that_cannot_be_fulfilled_is_refused():
    with pytest.raises(SpaceError, match="surroundings"):
        calibrate(t11(), PET, centered(), "B4", 0.1)
    with pytest.raises(KeyError):
        calibrate(t11(), PET, centered(), "B9", 2.19)
    with pytest.raises(SpaceError, match="outside the grid"):
        calibrate(t11(), PET, plan_axial(PET, np.array([0.0, 0.0, 900.0]), 60.0, FRAME), "B4", 2.19)
    with pytest.raises(SpaceError, match="outside the grid"):
        calibrated_suv(np.zeros((2, 2, 2), np.float32), np.zeros((2, 2, 2), np.float32), 1.0)


def test_a_core_takes_part_in_the_calibrated_suv():
    body = with_suv(t11(core=True), "B4", 4.0)
    core = body.inserts[0].core
    assert core is not None
    assert core[1].suv == 4.0
    assert body.inserts[0].material.suv == 4.0
    assert MARROW.suv == 1.1
