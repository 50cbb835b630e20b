"""Planar projections: geometry, attenuation, resolution, counting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from osteotrace.phantom.protocols import NmProtocol
from osteotrace.phantom.records import Material
from osteotrace.phantom.scanner import acquire_nm, planar_pixels
from osteotrace.phantom.scanner.constants import number
from osteotrace.phantom.scanner.nm import collimator_fwhm, expected_counts, planar_grid, projected
from phantom_bodies import FRAME, WATER, box, part, scene, sphere

NM = NmProtocol("nm", columns=96, rows=160, pixel_mm=2.4, mean_counts=20.0)
CENTER = np.array([4.0, -150.0, 900.0])
COLD = Material(1.0, 1000.0, 50.0, hu=0.0)
HOT = replace(COLD, bone_tracer=50.0)


def trunk(*spots: tuple[float, float, float], fill: Material = COLD):
    half = np.array([90, 100, 150])
    low, high = CENTER - half, CENTER + half
    parts = [part("trunk", box(low, high, 4.0), fill)]
    parts += [part(f"spot{n}", sphere(CENTER + s, 6.0), HOT) for n, s in enumerate(spots)]
    return scene(parts)


def test_left_and_right_and_front_and_back_are_where_a_viewer_expects_them():
    """A spot in the patient's right front, high up."""
    spot = (-50.0, -70.0, 80.0)
    views = expected_counts(trunk(spot), NM, CENTER)
    assert views.shape == (2, 96, 160)
    anterior, posterior = (np.unravel_index(v.argmax(), v.shape) for v in views)
    assert (
        anterior[0] < 48 < posterior[0]
    )  # patient's right: left of the anterior, right of the posterior view
    assert anterior[1] < 80
    assert anterior[1] == posterior[1]
    pixels = planar_pixels(NM, CENTER, (CENTER + spot)[None])
    np.testing.assert_allclose(pixels[:, 0], [anterior, posterior], atol=1.0)
    assert views[0].max() > 3 * views[1].max()  # nearer to the front


@pytest.mark.parametrize("depth", [20.0, 60.0, 140.0])
def test_a_source_is_weakened_by_the_water_before_it(depth: float):
    """Total counts of a ball at a depth, relative to the same ball in air."""
    body = trunk((0.0, -100.0 + depth, 0.0))
    grid = planar_grid(NM, CENTER, FRAME)
    from osteotrace.phantom.scanner.nm import tracer_paint
    from osteotrace.phantom.scanner.render import render

    tracer, attenuation = render(body, grid, tracer_paint())
    weak = projected(tracer, attenuation, NM, grid.spacing).sum()
    free = projected(tracer, np.zeros_like(attenuation), NM, grid.spacing).sum()
    assert weak / free == pytest.approx(np.exp(-number("nm.mu_water_mm") * depth), rel=0.03)


def test_the_geometric_mean_does_not_know_the_depth():
    means = []
    for depth in (-60.0, 0.0, 60.0):
        front, back = expected_counts(
            trunk((0.0, depth, 0.0), fill=replace(COLD, bone_tracer=0.2)), NM, CENTER
        )
        window = (slice(36, 60), slice(66, 94))
        outside = (slice(10, 20), slice(66, 94))
        means.append(
            np.sqrt(
                (front[window].mean() - front[outside].mean()) * (back[window].mean() - back[outside].mean())
            )
        )
    assert np.std(means) / np.mean(means) < 0.1


def test_resolution_is_as_asked_at_ten_centimetres_and_falls_with_distance():
    assert collimator_fwhm(NM, 100.0) == pytest.approx(NM.fwhm_mm)
    assert collimator_fwhm(NM, 20.0) < collimator_fwhm(NM, 200.0)
    grid = planar_grid(NM, CENTER, FRAME)
    tracer = np.zeros(grid.shape, dtype=np.float32)
    attenuation = np.zeros(grid.shape, dtype=np.float32)
    tracer[48, 10 + 18, 80] = 1.0
    attenuation[48, 10, 80] = 1e-6  # the face of the body
    view = projected(tracer, attenuation, NM, grid.spacing)
    line = view.sum(axis=1)
    at = np.arange(96) - 48
    sd = np.sqrt((line * at**2).sum() / line.sum()) * NM.pixel_mm
    distance = 18.5 * grid.spacing[1] + number("nm.clearance_mm")
    assert sd * 2.3548 == pytest.approx(collimator_fwhm(NM, float(distance)), rel=0.05)


def test_counts_are_poisson_with_the_mean_that_is_asked_for():
    body = trunk(fill=replace(COLD, bone_tracer=1.0))
    expected = expected_counts(body, NM, CENTER)
    counts = np.stack([acquire_nm(body, NM, CENTER, seed) for seed in range(12)])
    assert (counts == np.round(counts)).all()
    inside = (slice(None), 0, slice(20, 76), slice(30, 130))
    assert counts[inside].mean() == pytest.approx(expected[0, 20:76, 30:130].mean(), rel=0.01)
    ratio = counts[inside].var(axis=0, ddof=1).mean() / counts[inside].mean()
    assert ratio == pytest.approx(1.0, abs=0.03)
    shadow = expected > 0.5 * expected.max()
    assert expected[shadow].mean() == pytest.approx(NM.mean_counts, rel=0.1)


def test_the_same_seed_gives_the_same_counts_and_an_empty_room_none():
    body = trunk((0.0, 0.0, 0.0))
    assert np.array_equal(acquire_nm(body, NM, CENTER, 3), acquire_nm(body, NM, CENTER, 3, threads=1))
    nobody = scene([part("far", sphere((900, 0, 0), 9.0), WATER)])
    assert not acquire_nm(nobody, NM, CENTER, 3).any()
    assert not projected(
        np.zeros((4, 4, 4), np.float32), np.zeros((4, 4, 4), np.float32), NM, np.ones(3)
    ).any()
