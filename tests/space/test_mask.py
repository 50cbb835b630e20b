"""Masks: cut to their content, written back, volume and centre."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from osteotrace.errors import FrameMismatchError, LatticeMismatchError, SpaceError
from osteotrace.space import Grid, Mask, bounding_box
from strategies import FRAME, OTHER_FRAME, ball, centred_grid, grids, masks


@given(masks())
def test_on_undoes_from_array(drawn: tuple[Mask, Grid]) -> None:
    mask, grid = drawn
    again = Mask.from_array(mask.on(grid), grid)
    assert again.grid.same_as(mask.grid)
    np.testing.assert_array_equal(again.values, mask.values)


@given(masks())
def test_a_mask_is_cut_to_its_content(drawn: tuple[Mask, Grid]) -> None:
    mask, grid = drawn
    assert bounding_box(mask.values) == ((0, 0, 0), mask.grid.shape)
    assert mask.n_voxels == np.count_nonzero(mask.on(grid))
    assert mask.volume_ml == pytest.approx(mask.n_voxels * abs(np.linalg.det(grid.affine)) / 1000)


@given(masks())
def test_points_and_centroid_are_those_of_the_whole_grid(drawn: tuple[Mask, Grid]) -> None:
    mask, grid = drawn
    points = grid.points(np.argwhere(mask.on(grid)))
    np.testing.assert_allclose(mask.points, points, atol=1e-9)
    np.testing.assert_allclose(mask.centroid, points.mean(axis=0), atol=1e-6)


@given(masks())
def test_writing_onto_a_smaller_grid_leaves_out_what_is_outside(drawn: tuple[Mask, Grid]) -> None:
    mask, grid = drawn
    part = grid.crop((1, 0, 0), (grid.shape[0], grid.shape[1], max(1, grid.shape[2] - 1)))
    offset = part.offset_in(grid)
    box = tuple(slice(a, a + n) for a, n in zip(offset, part.shape, strict=True))
    np.testing.assert_array_equal(mask.on(part), mask.on(grid)[box])


@given(masks())
def test_writing_onto_a_grid_far_off_on_the_same_lattice_is_empty(drawn: tuple[Mask, Grid]) -> None:
    mask, grid = drawn
    affine = grid.affine.copy()
    affine[:3, 3] = grid.points((40, 0, 0))
    assert not mask.on(Grid(grid.shape, affine, FRAME)).any()


def test_a_mask_is_not_written_onto_another_lattice_or_frame() -> None:
    mask = ball(centred_grid((9, 9, 9), (1.0, 1.0, 1.0)), 3.0)
    with pytest.raises(LatticeMismatchError, match="the voxels of the two grids do not coincide"):
        mask.on(centred_grid((9, 9, 9), (1.0, 1.0, 2.0)))
    with pytest.raises(FrameMismatchError, match="two frames of reference are mixed"):
        mask.on(centred_grid((9, 9, 9), (1.0, 1.0, 1.0), frame=OTHER_FRAME))


def test_the_volume_of_a_ball() -> None:
    mask = ball(centred_grid((60, 60, 60), (0.5, 0.5, 0.5)), 12.407 / 2)
    assert mask.volume_ml == pytest.approx(1.0, rel=0.01)
    np.testing.assert_allclose(mask.centroid, 0.0, atol=1e-9)


@given(grids())
def test_an_empty_mask_is_refused(grid: Grid) -> None:
    nothing = np.zeros(grid.shape, dtype=bool)
    for make in (Mask, Mask.from_array):
        with pytest.raises(SpaceError) as caught:
            make(nothing, grid)
        assert str(caught.value) == "the mask is empty; expected: at least one voxel"


def test_a_mask_of_another_shape_than_its_grid_is_refused() -> None:
    grid = centred_grid((3, 4, 5), (1.0, 1.0, 1.0))
    for make in (Mask, Mask.from_array):
        with pytest.raises(LatticeMismatchError) as caught:
            make(np.ones((5, 4, 3), dtype=bool), grid)
        assert str(caught.value) == "mask shape (5, 4, 3); expected: (3, 4, 5)"


def test_a_mask_does_not_change_after_it_is_made() -> None:
    grid = centred_grid((2, 2, 2), (1.0, 1.0, 1.0))
    values = np.ones((2, 2, 2), dtype=bool)
    mask = Mask.from_array(values, grid)
    values[:] = False
    assert mask.n_voxels == 8
    with pytest.raises(ValueError, match="read-only"):
        mask.values[0, 0, 0] = False


def test_bounding_box_of_nothing_and_of_one_voxel() -> None:
    values = np.zeros((3, 4), dtype=bool)
    assert bounding_box(values) is None
    values[2, 1] = True
    assert bounding_box(values) == ((2, 1), (3, 2))
