"""Which images tell of a bone, and where a bone is looked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from osteotrace.model.criteria import load_criteria
from osteotrace.model.imaging import Volume
from osteotrace.model.values import Modality
from osteotrace.registration.chain import Chain
from osteotrace.registration.patches import BonePair, Images, pairs_of
from osteotrace.registration.per_bone import _from_centres, _likeliest, _sharper, _tables
from osteotrace.registration.settings import BoneSettings
from osteotrace.registration.skeleton import SeenBone, Skeleton, spread
from osteotrace.space import FloatArray, Grid

from ._row import CENTRES, CT_HU, MR_T1, RADII, scanned


def _bone(name: str, i: int, series: str = "ct") -> SeenBone:
    points = np.random.default_rng(i).normal(size=(600, 3))
    points *= (RADII[i] * np.cbrt(np.random.default_rng(9).random(600)) / np.linalg.norm(points, axis=1))[
        :, None
    ]
    points += CENTRES[i]
    return SeenBone(name, f"B{i}", series, CENTRES[i], points, spread(points, 14.0, 8), 0.9, cut=False)


def _half(image: Volume, name: str, lower: int, upper: int) -> Volume:
    affine = image.grid.affine.copy()
    affine[:3, 3] = image.grid.points(np.array([0.0, 0.0, lower]))
    grid = Grid((*image.grid.shape[:2], upper - lower), affine, image.grid.frame_of_reference_uid)
    series = replace(image.series, id=name)
    return replace(image, series=series, values=image.values[:, :, lower:upper], grid=grid)


def test_the_series_that_shows_most_of_a_bone_is_asked() -> None:
    ct = scanned("ct", Modality.CT, CT_HU, "F")
    mr = scanned("mr", Modality.MR, MR_T1, "M")
    low, high = _half(mr, "low", 0, 40), _half(mr, "high", 30, 72)
    here = Skeleton("F", (_bone("vertebra", 0), _bone("vertebra", 4)))
    pairs = pairs_of(here, None, (), np.eye(4), (ct, low, high))
    assert [pair.series for pair in pairs] == [("ct", "high"), ("ct", "low")]
    images = Images({"ct": ct}, {"low": low, "high": high}, [(pairs, np.eye(4))])
    patch = images.patch(pairs[0], np.eye(4), 1500, np.random.default_rng(0))
    assert patch is not None
    assert patch.series == ("ct", "high")


def _pairs(names: tuple[str, ...], other: str) -> tuple[BonePair, ...]:
    bones = [_bone(name, i) for i, name in enumerate(names)]
    return tuple(BonePair(bone, bone, None, 1.0, ("ct", other)) for bone in bones)


@pytest.mark.parametrize(
    ("signal", "modality", "kinds"),
    [(MR_T1, Modality.MR, ["", "hip bone", "hip bone"]), (CT_HU, Modality.CT, ["", "", ""])],
)
def test_between_modalities_each_kind_of_bone_has_its_own_contrast(
    signal: FloatArray, modality: Modality, kinds: list[str]
) -> None:
    ct, other = scanned("ct", Modality.CT, CT_HU, "F"), scanned("other", modality, signal, "M")
    pairs = _pairs(("vertebra", "hip bone left", "hip bone right"), "other")
    images = Images({"ct": ct}, {"other": other}, [(pairs, np.eye(4))])
    rng = np.random.default_rng(0)
    patches = [images.patch(pair, np.eye(4), 4000, rng) for pair in pairs]
    assert [patch.kin if patch else None for patch in patches] == kinds
    tables = _tables(patches, np.tile(np.eye(4), (3, 1, 1)))
    assert len(tables) == len(set(kinds))
    if len(tables) > 1:
        hips, row = tables["ct", "other", "hip bone"], tables["ct", "other", ""]
        assert not np.allclose(hips, row), "enough samples for a relation of its own"
        few = _tables(
            [patches[0], None, images.patch(pairs[2], np.eye(4), 500, rng)], np.tile(np.eye(4), (3, 1, 1))
        )
        np.testing.assert_array_equal(few["ct", "other", "hip bone"], few["ct", "other", ""])


@pytest.mark.parametrize(("name", "near"), [("sternum", True), ("vertebra", False)])
def test_a_loose_bone_is_found_far_from_where_its_neighbours_put_it(name: str, near: bool) -> None:
    ct, other = scanned("ct", Modality.CT, CT_HU, "F"), scanned("other", Modality.CT, CT_HU, "M")
    pairs = _pairs((name,), "other")
    motion = np.eye(4)
    motion[:3, 3] = [3.0, -4.0, 14.0]
    free = np.diag([np.radians(2.0) ** 2] * 3 + [6.0**2, 6.0**2, 10.0**2])
    chain = Chain(motion[None], free[None], np.ones(1), np.zeros(1), np.zeros(1))
    images = Images({"ct": ct}, {"other": other}, [(pairs, motion)])
    (found,) = _likeliest(pairs, chain, images, np.random.default_rng(0))
    away = np.linalg.norm(found[:3, :3] @ CENTRES[0] + found[:3, 3] - CENTRES[0])
    assert bool(away < 2.0) is near
    held = replace(chain, covariance=free[None] / 100.0)
    np.testing.assert_array_equal(_likeliest(pairs, held, images, np.random.default_rng(0))[0], motion)


def test_outlines_in_two_mr_say_little_across_the_slices_and_more_within_them() -> None:
    here, moved = _bone("vertebra", 0, "t1"), np.array([1.0, 2.0, -1.0])
    there = replace(here, series_id="tirm", centre=here.centre + moved)
    pair = BonePair(here, here, there, 1.0, ("t1", "tirm"))
    settings = BoneSettings.of(load_criteria())
    drawn = _from_centres(0, pair, np.eye(4))
    assert drawn is not None
    (sharp,) = _sharper([drawn], settings)
    assert np.allclose(sharp.motion[:3, 3], moved)
    sd = np.diag(np.linalg.inv(sharp.precision)) ** 0.5
    assert np.allclose(sd[3:], settings.sd_mr_outline)
    assert sd[3] > 1.5 * sd[4]
    assert (sd[3:] < np.diag(np.linalg.inv(drawn.precision))[3:] ** 0.5).all()
    assert np.allclose(sharp.precision[:3, :3], drawn.precision[:3, :3])  # it says no more of the turn
