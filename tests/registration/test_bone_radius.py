"""The predicted radius of the error around a bone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from osteotrace.model.criteria import load_criteria
from osteotrace.model.values import Verdict
from osteotrace.registration.bone_quality import _judged
from osteotrace.registration.bone_radius import (
    away_form,
    mean_radius,
    radius_form,
    spread_form,
    unit_variance,
)
from osteotrace.registration.chain import Chain
from osteotrace.registration.patches import BonePair, Patch
from osteotrace.registration.per_bone import Fitted
from osteotrace.registration.settings import BoneSettings
from osteotrace.registration.skeleton import SeenBone, spread
from osteotrace.space import FloatArray, motion_of
from osteotrace.space.grid import apply_affine

SETTINGS = BoneSettings.of(load_criteria())
CENTRES = np.array([[5.0, -3.0, 40.0], [5.0, -3.0, 10.0], [5.0, -3.0, -20.0]])
VOXEL_MM = 1.5
POINTS = np.random.default_rng(0).uniform(-30.0, 30.0, (20, 3))


def _covariance() -> FloatArray:
    """Of a bone that turns about a place beside its centre: turn and place go together."""
    root = np.random.default_rng(1).normal(size=(6, 6)) * np.r_[[0.02] * 3, [0.5] * 3][:, None]
    return np.asarray(root @ root.T)


def _at(form: FloatArray, points: FloatArray) -> FloatArray:
    place = np.column_stack([points, np.ones(len(points))])
    return np.asarray(np.einsum("pi,ij,pj->p", place, form, place))


def _fitted(misfit: float, redundancy: float = 3.0, *, measured: int = 3, kind: str = "MR-MR") -> Fitted:
    pairs = []
    for n, centre in enumerate(CENTRES):
        points = centre + POINTS / 3.0
        bone = SeenBone("vertebra", f"V{n}", "s", centre, points, spread(points, 14.0, 8), 0.9, cut=False)
        pairs.append(BonePair(bone, bone, None, 1.0, ("a", "b")))
    chain = Chain(
        np.tile(np.eye(4), (3, 1, 1)),
        np.tile(_covariance(), (3, 1, 1)),
        np.ones(3),
        np.full(3, misfit),
        np.full(3, redundancy),
    )
    motions = {n: np.eye(4) for n in range(measured)}
    image = Patch(
        cast(Any, None), cast(Any, None), forward=True, kind=kind, series=("a", "b"), voxel_mm=VOXEL_MM
    )
    return Fitted(tuple(pairs), (), (None, image, None), motions, chain, {}, (None,) * 3, {})


def test_the_spread_at_a_point_is_that_of_small_motions() -> None:
    covariance = _covariance()
    drawn = np.random.default_rng(2).multivariate_normal(np.zeros(6), covariance, 20000)
    moved = np.cross(drawn[:, None, :3], POINTS[None]) + drawn[:, None, 3:]
    expected = (moved**2).sum(axis=2).mean(axis=0)
    np.testing.assert_allclose(_at(spread_form(covariance), POINTS), expected, rtol=0.05)


def test_two_motions_lie_apart_as_they_move_the_point() -> None:
    one, other = motion_of([[0.1, 0.0, 0.2, 3.0, 0.0, 1.0], [0.15, 0.02, 0.2, 2.0, 1.0, 1.0]])
    points = CENTRES[0] + POINTS
    apart = apply_affine(one, points) - apply_affine(other, points)
    found = _at(away_form(one, other, CENTRES[0]), POINTS)
    np.testing.assert_allclose(found, (apart**2).sum(axis=1), rtol=1e-9)


def test_bones_that_fit_each_other_better_than_nominal_are_surer() -> None:
    assert unit_variance(_fitted(0.6).chain) == pytest.approx(0.2)
    assert unit_variance(_fitted(6.0).chain) == pytest.approx(2.0)
    radii = [_radius(_fitted(misfit), 0) for misfit in (0.0, 0.6, 3.0, 12.0)]
    assert radii[0] == pytest.approx(SETTINGS.base_of("MR-MR") * VOXEL_MM)
    assert _radius(_fitted(0.0, kind="CT-MR"), 0) == pytest.approx(SETTINGS.base_of("CT-MR") * VOXEL_MM)
    assert SETTINGS.base_of("CT-CT") < SETTINGS.base_of("MR-MR") < SETTINGS.base_of("CT-MR")
    assert radii == sorted(radii)
    assert radii[3] ** 2 - radii[0] ** 2 == pytest.approx(4.0 * (radii[2] ** 2 - radii[0] ** 2))


def test_what_no_neighbour_checks_is_less_sure() -> None:
    chain = _fitted(0.6).chain
    lone = replace(chain, redundancy=np.array([3.0, 3.0, 0.0]), misfit=np.array([0.6, 0.6, 0.0]))
    assert unit_variance(lone) == pytest.approx(0.2), "nothing is learnt from a bone that nothing checks"
    fitted = replace(_fitted(0.6), chain=lone)
    assert _radius(fitted, 2) > 1.3 * _radius(fitted, 1)
    assert unit_variance(_fitted(0.0, 0.1).chain) == 1.0, "nominal where no bone is checked"


def test_bones_without_images_are_less_sure_and_contradicted_ones_too() -> None:
    assert _radius(_fitted(0.6, measured=1), 1) > _radius(_fitted(0.6), 1)
    moved = np.eye(4)
    moved[0, 3] = 4.0
    said = replace(_fitted(0.6), measured={0: moved, 1: np.eye(4)})
    expected = np.hypot(_radius(_fitted(0.6), 0), 4.0 * SETTINGS.radius_per_residual)
    assert _radius(said, 0) == pytest.approx(expected)


def test_the_ends_of_a_bone_with_free_joints_are_less_sure() -> None:
    fitted = _fitted(0.6)
    loose = replace(fitted.pairs[0].bone, name="sternum")
    other = replace(fitted, pairs=(replace(fitted.pairs[0], bone=loose), *fitted.pairs[1:]))
    more = radius_form(other, 0, SETTINGS) - radius_form(fitted, 0, SETTINGS)
    expected = (SETTINGS.radius_loose * np.linalg.norm(POINTS, axis=1)) ** 2
    np.testing.assert_allclose(_at(more, POINTS), expected, atol=1e-9)


def _radius(fitted: Fitted, bone: int) -> float:
    return mean_radius(radius_form(fitted, bone, SETTINGS), fitted.pairs[bone].bone)


@pytest.mark.parametrize(("radius", "verdict"), [(13.0, Verdict.DOUBTFUL), (200.0, Verdict.FAILED)])
@pytest.mark.parametrize("held", [True, False])
def test_only_in_a_bone_that_is_held_has_a_place_a_verdict_of_its_own(
    radius: float, verdict: Verdict, held: bool
) -> None:
    found, reasons, vague = _judged(
        radius, 1.0, trust=1.0, seen=True, in_part=False, held=held, settings=SETTINGS
    )
    assert found is verdict
    assert reasons == (f"95% radius {radius:.0f} mm",)
    assert vague is held
