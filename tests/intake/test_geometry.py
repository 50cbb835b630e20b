"""Planes to affine: order, shear, gaps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osteotrace.errors import GeometryError
from osteotrace.intake.frames import Plane
from osteotrace.intake.geometry import normal, slice_order, stack_affine
from strategies import rotations

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def planes_at(depths, orientation=AXIAL, spacing=(2.0, 1.5)):
    across = normal(orientation)
    return [Plane(tuple(float(x) for x in across * d), orientation, spacing) for d in depths]


def test_affine_of_axial_slices():
    affine = stack_affine(planes_at([10, 13, 16]))
    expected = np.array([[1.5, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 3, 10], [0, 0, 0, 1]])
    np.testing.assert_allclose(affine, expected)


def test_slices_are_put_in_order_of_the_normal_whatever_the_file_order():
    assert slice_order(planes_at([6, 0, 3])).tolist() == [1, 2, 0]


@given(rotations(), st.integers(2, 12), st.floats(0.5, 10), st.floats(0.2, 3), st.floats(0.2, 3))
def test_every_voxel_of_an_oblique_stack_lies_where_the_header_says(rotation, count, step, row, column):
    orientation = tuple(float(v) for v in (*rotation[:, 0], *rotation[:, 1]))
    planes = planes_at([step * k for k in range(count)], orientation, (row, column))
    affine = stack_affine(planes)
    i, j, k = 4, 7, count - 1
    wanted = np.array(planes[k].position) + rotation[:, 0] * column * i + rotation[:, 1] * row * j
    np.testing.assert_allclose(affine @ (i, j, k, 1), (*wanted, 1), atol=1e-6)
    assert np.linalg.det(affine[:3, :3]) > 0


def test_gantry_tilt_gives_a_sheared_affine():
    tilted = (1.0, 0.0, 0.0, 0.0, np.cos(0.3), -np.sin(0.3))
    planes = [Plane((0.0, 0.0, 5.0 * k), tilted, (1.0, 1.0)) for k in range(4)]
    affine = stack_affine(planes)
    np.testing.assert_allclose(affine[:3, 2], (0, 0, 5))
    assert abs(affine[:3, 1] @ affine[:3, 2]) > 1


def test_the_jitter_of_a_real_pet_is_accepted():
    depths = [3.27 * k for k in range(40)]
    depths[20:] = [d - 0.08 for d in depths[20:]]
    assert stack_affine(planes_at(depths))[2, 2] == pytest.approx(3.27, abs=0.01)


@pytest.mark.parametrize(
    ("depths", "words"),
    [
        ([0, 3, 6, 12, 15], "1 of 6 slices missing [9.00 mm along the normal]"),
        ([0, 3, 12], "2 of 5 slices missing [6.00 mm, 9.00 mm along the normal]"),
        ([0, 3, 7, 10], "slice distances from 3.000 to 4.000 mm"),
        ([0, 3, 3, 6], "two slices lie at the same place, 3.00 mm along the normal"),
    ],
)
def test_slices_that_make_no_volume_are_refused_with_the_place(depths, words):
    with pytest.raises(GeometryError) as error:
        stack_affine(planes_at(depths))
    assert words in str(error.value)


def test_slices_off_the_line_are_refused():
    planes = planes_at([0, 3, 6, 9])
    planes[1] = Plane((4.0, 0.0, 3.0), AXIAL, (1.0, 1.0))
    with pytest.raises(GeometryError, match=r"stray by up to 4\.00 mm from a line"):
        stack_affine(planes)


def test_an_orientation_that_is_none_is_refused():
    with pytest.raises(GeometryError, match="not two unit vectors at right angles"):
        normal((1.0, 0.0, 0.0, 1.0, 0.0, 0.0))


def test_a_pixel_spacing_of_zero_is_refused():
    with pytest.raises(GeometryError, match="Pixel Spacing is 0"):
        stack_affine(planes_at([0, 3], spacing=(0.0, 1.0)))
