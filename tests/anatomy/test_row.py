import numpy as np
import pytest

from anatomy.fake_network import canonical
from osteotrace.anatomy.row import longest_row
from osteotrace.anatomy.settings import packaged_settings

SHAPE = (160, 70, 10)


def found(places, sizes=None, canal=(), false_canal=()):
    """Labels of the bodies that stand in the row, of cubes at (i, j), 1.25 mm a voxel.

    The canal is seen at heights of `canal`, from 8 to 12 voxels behind the line of SPINE, and at heights of
    `false_canal` behind what lies IN_FRONT of it.
    """
    bodies = np.zeros(SHAPE, np.int32)
    for label, (i, j) in enumerate(places, start=1):
        half = (sizes or {}).get(label, 4)
        bodies[i - half : i + half + 1, j - half : j + half + 1, 2:8] = label
    seen = np.zeros(SHAPE, bool)
    for start, stop in canal:
        seen[start:stop, 42:47, 3:7] = True
    for start, stop in false_canal:
        seen[start:stop, 18:21, 3:7] = True
    return longest_row(bodies, seen, canonical(SHAPE), packaged_settings())


SPINE = [(10, 34), (36, 33), (63, 33), (90, 35)]


def test_a_row_that_bends_like_a_spine_is_kept_whole():
    assert found([*SPINE, (112, 49)]) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("sizes", [None, {5: 5}])
def test_a_long_step_off_the_spine_ends_the_row(sizes):
    assert found([*SPINE, (112, 5)], sizes) == [1, 2, 3, 4]


def test_what_lies_off_the_upper_end_is_cut_as_well():
    assert found([(10, 5), (22, 6), (56, 48), (82, 47), (108, 47), (134, 48)]) == [3, 4, 5, 6]


def test_a_gibbus_stays_in_the_row():
    assert found([(10, 15), (32, 27), (50, 40), (68, 28), (90, 15)]) == [1, 2, 3, 4, 5]


IN_FRONT = [*SPINE, (28, 8), (45, 5)]  # two large ones before the spine, like the vessels of the mediastinum
LARGE = {5: 7, 6: 8}


def test_what_has_no_canal_behind_it_does_not_lead_the_row_away():
    assert found(IN_FRONT, LARGE, canal=[(0, 160)]) == [1, 2, 3, 4]


def test_without_a_canal_in_sight_the_volume_decides():
    assert found(IN_FRONT, LARGE) != [1, 2, 3, 4]


def test_a_false_canal_apart_from_the_canal_counts_for_nothing():
    assert found(IN_FRONT, LARGE, canal=[(0, 160)], false_canal=[(20, 54)]) == [1, 2, 3, 4]


def test_what_has_no_canal_begins_no_row_but_may_end_it():  # a base of skull; a sacrum
    assert found([*SPINE, (116, 36)], canal=[(26, 100)]) == [2, 3, 4, 5]
