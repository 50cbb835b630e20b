import numpy as np
import pytest

from anatomy.fake_network import SHAPE, box, canonical, mr_volume, network_with, spine
from osteotrace.anatomy.mr_sacrum import first_sacral, shows_promontory, stands_on_its_head
from osteotrace.anatomy.segment import segment_mr
from osteotrace.anatomy.settings import packaged_settings

SETTINGS = packaged_settings()
BACKWARDS_DEG = (-15.0, -10.0, -5.0, 4.0, 30.0)  # of the steps T12 to S1
STEPS_MM = (30.0, 33.0, 35.0, 36.0, 34.0)
SHARES = np.array([0.004, 0.003, 0.004, 0.003, 0.01, 0.09])
VOLUMES = np.array([22.0, 30.0, 34.0, 36.0, 37.0, 24.0])


def row(backwards=BACKWARDS_DEG, steps=STEPS_MM):
    angles = np.deg2rad(backwards)
    moves = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1) * np.array(steps)[:, None]
    return np.concatenate([np.zeros((1, 3)), np.cumsum(moves, axis=0)])


def test_s1_is_the_body_below_the_promontory_that_looks_a_little_like_it():
    assert first_sacral(row(), SHARES, SETTINGS) == 5


def test_of_two_bodies_that_may_be_s1_the_one_that_differs_most_from_the_one_above_is_taken():
    centres = row((-15.0, -10.0, -5.0, 15.0, 38.0))
    shares = np.array([0.004, 0.003, 0.004, 0.012, 0.06, 0.45])
    assert first_sacral(centres, shares, SETTINGS) == 5


def test_without_the_bend_a_little_likeness_is_not_enough():
    straight = row((-15.0, -10.0, -5.0, 4.0, 9.0))
    assert first_sacral(straight, SHARES, SETTINGS) is None
    assert first_sacral(straight, np.where(SHARES > 0.05, 0.7, SHARES), SETTINGS) == 5


def test_likeness_that_all_bodies_have_is_none():
    assert first_sacral(row(), np.full(6, 0.2), SETTINGS) is None


def test_a_bend_alone_is_no_s1():
    assert first_sacral(row(), SHARES / 5, SETTINGS) is None


def test_what_lies_below_s1_is_not_the_first():
    centres = np.vstack([row(), row()[-1] + np.array([15.0, 20.0, 0.0])])
    assert first_sacral(centres, np.append(SHARES, 0.3), SETTINGS) == 5


def test_the_promontory_tells_front_from_back():
    assert shows_promontory(row(), SETTINGS)
    assert not shows_promontory(row() * (1.0, -1.0, 1.0), SETTINGS)
    assert not shows_promontory(row()[:5], SETTINGS)
    assert not shows_promontory(row()[:2], SETTINGS)


def test_what_looks_like_back_muscle_before_a_spine_with_a_promontory_is_none():
    tops, fronts = (6, 30, 54, 78, 100), (26, 24, 22, 22, 36)
    body = sum(box((t, f, 5), (t + 16, f + 24, 19)) for t, f in zip(tops, fronts, strict=True))
    core = sum(box((t + 4, f + 6, 8), (t + 12, f + 18, 16)) for t, f in zip(tops, fronts, strict=True))
    gut = box((5, 2, 0), (90, 14, 24))
    values = np.random.default_rng(0).uniform(80, 100, SHAPE).astype(np.float32)
    network = network_with(body=body * 0.95, core=core * 0.95, paraspinal=gut)
    assert len(segment_mr(mr_volume(values, canonical()), network).bones) == 5
    straight = network_with(body=spine()[0] * 0.95, core=spine()[1] * 0.95, paraspinal=gut)
    assert not segment_mr(mr_volume(values, canonical()), straight).bones


@pytest.mark.parametrize("n", [0, 1, 2])
def test_short_rows_have_no_promontory(n):
    assert first_sacral(row()[:n], SHARES[:n], SETTINGS) is None
    assert not stands_on_its_head(row()[:n], VOLUMES[:n], SETTINGS)


@pytest.mark.parametrize("turn", [(-1.0, 1.0, 1.0), (-1.0, -1.0, 1.0)])
def test_a_row_on_its_head_is_noticed(turn):
    assert stands_on_its_head(row()[::-1] * turn, VOLUMES[::-1], SETTINGS)
    assert not stands_on_its_head(row(), VOLUMES, SETTINGS)


def test_a_sharp_bend_above_bodies_that_grow_is_a_kyphosis():
    bent = row((30.0, 4.0, -5.0, -10.0, -15.0), sorted(STEPS_MM))
    assert not stands_on_its_head(bent, np.sort(VOLUMES), SETTINGS)


def test_without_the_promontory_nothing_is_noticed():
    assert not stands_on_its_head(row()[:5][::-1] * (-1, 1, 1), VOLUMES[:5][::-1], SETTINGS)


def test_an_image_on_its_head_is_named_and_not_labelled():
    tops, fronts = (6, 27, 51, 75, 99), (40, 26, 24, 24, 24)
    sizes = (14, 16, 15, 14, 13)
    body = sum(box((t, f, 5), (t + h, f + 24, 19)) for t, f, h in zip(tops, fronts, sizes, strict=True))
    core = sum(
        box((t + 3, f + 6, 8), (t + h - 3, f + 18, 16)) for t, f, h in zip(tops, fronts, sizes, strict=True)
    )
    values = np.random.default_rng(0).uniform(80, 100, SHAPE).astype(np.float32)
    anatomy = segment_mr(mr_volume(values, canonical()), network_with(body=body * 0.95, core=core * 0.95))
    assert [p.code for p in anatomy.problems] == ["upside-down"]
    assert not anatomy.bones
    assert not anatomy.labels.any()
