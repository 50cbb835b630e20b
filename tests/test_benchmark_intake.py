"""The comparison with dcm2niix must be able to find a difference."""

from __future__ import annotations

import numpy as np
import pytest

import intake as bench

AFFINE = np.array(
    [[0.7, 0.0, 0.0, -90.0], [0.0, 0.7, 0.1, -80.0], [0.0, -0.1, 3.0, 40.0], [0.0, 0.0, 0.0, 1.0]]
)
VALUES = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
SLICES = 2


def flipped(values, affine, axis):
    """The same image with one axis counted from the other end."""
    turned = affine.copy()
    turned[:3, 3] += affine[:3, axis] * (values.shape[axis] - 1)
    turned[:3, axis] *= -1
    return np.flip(values, axis), turned


def swapped(values, affine):
    """The same image with i and j exchanged."""
    return values.swapaxes(0, 1), affine[:, [1, 0, 2, 3]]


def difference(values, affine):
    ours = bench.canonical(VALUES, AFFINE)
    return bench.compare(ours, bench.canonical(values, affine), SLICES)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_order_of_voxels_in_the_file_does_not_matter(axis):
    found = difference(*swapped(*flipped(VALUES, AFFINE, axis)))
    assert (found.why, found.voxels) == ("", 0.0)
    assert found.far_end_mm < 1e-9


def test_one_other_voxel_is_found():
    other = VALUES.copy()
    other[1, 2, 3] += 1
    assert difference(other, AFFINE).why == "voxels differ"


def test_floats_may_differ_by_a_millionth_and_no_more():
    assert difference(VALUES * (1 + 0.9e-6), AFFINE).why == ""
    assert difference(VALUES * (1 + 1.1e-6), AFFINE).why == "voxels differ"


def test_a_value_where_the_other_has_none_is_found():
    values = VALUES.astype(np.float32)
    values[0, 0, 0] = 1e-30
    assert difference(values, AFFINE).why == "voxels differ"


def test_a_mirror_image_is_found():
    assert difference(np.flip(VALUES, 0), AFFINE).why == "voxels differ"


@pytest.mark.parametrize(("row", "column"), [(0, 3), (2, 3), (0, 0), (1, 2)])
def test_a_moved_lattice_is_found(row, column):
    moved = AFFINE.copy()
    moved[row, column] += 2e-3
    assert difference(VALUES, moved).why == "lattice differs"


def test_drift_of_the_slice_step_shows_at_the_far_end_only():
    drifted = AFFINE.copy()
    drifted[2, 2] += 5e-4
    found = difference(VALUES, drifted)
    assert found.why == ""
    assert found.far_end_mm == pytest.approx(5 * 5e-4)


def test_another_shape_is_found():
    assert difference(VALUES[:, :, :-1], AFFINE).why == "shape (4, 5, 5) in dcm2niix"
