import numpy as np
import pytest

from osteotrace.anatomy.mr_sacrum import first_sacral
from osteotrace.anatomy.settings import packaged_settings

SETTINGS = packaged_settings()
BACKWARDS_DEG = (-15.0, -10.0, -5.0, 4.0, 30.0)  # of the steps T12 to S1
STEPS_MM = (30.0, 33.0, 35.0, 36.0, 34.0)
SHARES = np.array([0.004, 0.003, 0.004, 0.003, 0.01, 0.09])


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


def test_of_two_bodies_that_may_be_s1_the_one_of_which_the_network_is_sure_is_taken():
    centres = row((-15.0, -10.0, 2.0, 22.0, 61.0))
    shares = np.array([0.0005, 0.0005, 0.0005, 0.0005, 0.18, 0.98])
    assert first_sacral(centres, shares, SETTINGS) == 5
    assert (
        first_sacral(np.vstack([centres, centres[-1] + (15.0, 33.0, 0.0)]), np.append(shares, 0.95), SETTINGS)
        == 5
    )


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


@pytest.mark.parametrize("n", [0, 1, 2])
def test_short_rows_have_no_promontory(n):
    assert first_sacral(row()[:n], SHARES[:n], SETTINGS) is None
