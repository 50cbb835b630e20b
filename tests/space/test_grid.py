"""Grids: index to point and back, cutting, telling lattices and frames apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from osteotrace.errors import FrameMismatchError, LatticeMismatchError, SpaceError
from osteotrace.space import Grid, frozen_array, require_same_frame
from strategies import FRAME, OTHER_FRAME, centred_grid, grids, points, voxel_centers


def tilted(tilt_deg: float) -> Grid:
    """As a CT under a tilted gantry: slices along z, each shifted along y."""
    affine = np.diag([0.5, 0.5, 5.0, 1.0])
    affine[1, 2] = 5.0 * np.tan(np.radians(tilt_deg))
    return Grid((4, 4, 4), affine, FRAME)


@given(grids(), points)
def test_points_and_indices_are_inverse(grid: Grid, point: np.ndarray) -> None:
    np.testing.assert_allclose(grid.points(grid.indices(point)), point, atol=1e-6)


@given(grids())
def test_indices_of_voxel_centers_are_their_indices(grid: Grid) -> None:
    index = np.stack(np.indices(grid.shape), axis=-1)
    np.testing.assert_allclose(grid.indices(grid.points(index)), index, atol=1e-6)


@given(grids())
def test_a_point_is_the_affine_times_the_index(grid: Grid) -> None:
    np.testing.assert_allclose(grid.points((1, 2, 3)), (grid.affine @ (1, 2, 3, 1))[:3], atol=1e-9)


@given(grids())
def test_the_voxel_volume_is_the_triple_product_of_the_steps(grid: Grid) -> None:
    a, b, c = grid.affine[:3, :3].T
    assert grid.voxel_volume_mm3 == pytest.approx(abs(np.cross(a, b) @ c))


@given(grids())
def test_the_corners_span_all_voxels_and_their_mean_is_the_center(grid: Grid) -> None:
    np.testing.assert_allclose(grid.corners.mean(axis=0), grid.center, atol=1e-6)
    index = grid.indices(grid.corners)
    np.testing.assert_allclose(index.min(axis=0), -0.5, atol=1e-6)
    np.testing.assert_allclose(index.max(axis=0), np.array(grid.shape) - 0.5, atol=1e-6)


@given(grids())
def test_every_voxel_center_is_contained_and_its_neighbours_outside_are_not(grid: Grid) -> None:
    assert grid.contains(voxel_centers(grid)).all()
    assert not grid.contains(grid.points([[-1, 0, 0], [0, -1, 0], [0, 0, grid.shape[2]]])).any()


def test_the_half_voxel_at_the_border_is_inside() -> None:
    grid = Grid((2, 2, 2), np.eye(4), FRAME)
    assert list(grid.contains([[-0.5, 0, 0], [1.5, 0, 0], [-0.51, 0, 0], [1.51, 0, 0]])) == [
        True,
        True,
        False,
        False,
    ]


@given(grids(), st.data())
def test_a_crop_lies_at_its_start_in_the_grid(grid: Grid, data: st.DataObject) -> None:
    start = [data.draw(st.integers(0, n - 1)) for n in grid.shape]
    stop = [data.draw(st.integers(a + 1, n)) for a, n in zip(start, grid.shape, strict=True)]
    crop = grid.crop(start, stop)
    assert crop.shape == tuple(np.subtract(stop, start))
    assert crop.offset_in(grid) == tuple(start)
    assert grid.offset_in(crop) == tuple(-a for a in start)
    np.testing.assert_allclose(crop.points((0, 0, 0)), grid.points(start), atol=1e-9)


@given(grids())
def test_a_crop_is_clipped_to_the_grid(grid: Grid) -> None:
    assert grid.crop((-3, -3, -3), (99, 99, 99)).same_as(grid)
    assert grid.crop((50, 50, 50), (60, 60, 60)).shape == (1, 1, 1)


@given(grids(), st.sampled_from([0, 1, 2]))
def test_half_a_voxel_off_is_another_lattice(grid: Grid, axis: int) -> None:
    affine = grid.affine.copy()
    affine[:3, 3] = grid.points(np.eye(3)[axis] / 2)
    moved = Grid(grid.shape, affine, FRAME)
    assert not moved.same_as(grid)
    with pytest.raises(LatticeMismatchError) as caught:
        moved.offset_in(grid)
    assert str(caught.value) == (
        "the voxels of the two grids do not coincide; "
        "expected: the same steps and whole-voxel offsets within 0.01 mm; do: resample one onto the other"
    )


def test_steps_that_drift_apart_over_the_field_are_another_lattice() -> None:
    a = Grid((500, 1, 1), np.eye(4), FRAME)
    b = Grid((500, 1, 1), np.diag([1.0001, 1.0, 1.0, 1.0]), FRAME)  # 0.05 mm at the far end
    with pytest.raises(LatticeMismatchError):
        b.offset_in(a)
    near = Grid((50, 1, 1), np.diag([1.0001, 1.0, 1.0, 1.0]), FRAME)  # 0.005 mm there
    assert near.offset_in(a) == (0, 0, 0)


def test_rounding_of_the_header_is_the_same_lattice() -> None:
    grid = centred_grid((64, 64, 20), (0.488281, 0.488281, 4.0))
    affine = grid.affine.copy()
    affine[:3, 3] += 0.0004
    assert Grid(grid.shape, affine, FRAME).same_as(grid)


@pytest.mark.parametrize("change", ["shape", "frame", "flip"])
def test_what_makes_grids_differ(change: str) -> None:
    grid = centred_grid((4, 4, 4), (1.0, 1.0, 2.0))
    other = {
        "shape": Grid((4, 4, 3), grid.affine, FRAME),
        "frame": Grid((4, 4, 4), grid.affine, OTHER_FRAME),
        "flip": centred_grid((4, 4, 4), (1.0, 1.0, -2.0)),
    }[change]
    assert not grid.same_as(other)


@given(grids())
def test_two_frames_never_mix(grid: Grid) -> None:
    other = Grid(grid.shape, grid.affine, OTHER_FRAME)
    message = (
        f"two frames of reference are mixed [{FRAME} and {OTHER_FRAME}]; "
        "expected: one frame, or a transform between them; do: align the exams first"
    )
    for mix in (lambda: require_same_frame(grid, other), lambda: grid.offset_in(other)):
        with pytest.raises(FrameMismatchError) as caught:
            mix()
        assert str(caught.value) == message


@given(grids(shear=False))
def test_axes_at_right_angles_are_not_sheared(grid: Grid) -> None:
    assert not grid.is_sheared
    np.testing.assert_allclose(grid.direction.T @ grid.direction, np.eye(3), atol=1e-9)


@pytest.mark.parametrize(("tilt", "sheared"), [(0.0, False), (0.001, False), (0.1, True), (-15.0, True)])
def test_gantry_tilt_is_shear_and_keeps_the_volume(tilt: float, sheared: bool) -> None:
    assert tilted(tilt).is_sheared is sheared
    assert tilted(tilt).voxel_volume_mm3 == pytest.approx(1.25)


def test_spacing_is_the_length_of_the_steps() -> None:
    assert tilted(60.0).spacing == pytest.approx([0.5, 0.5, 10.0])


@given(grids(spacing=(0.5, 3.0)), st.floats(0.5, 4.0))
def test_the_isotropic_grid_holds_the_field_of_view(grid: Grid, spacing: float) -> None:
    cubes = grid.isotropic(spacing)
    np.testing.assert_allclose(cubes.spacing, spacing)
    assert not cubes.is_sheared
    index = cubes.indices(grid.corners)
    assert (index >= -0.5 - 1e-4).all()
    assert (index <= np.array(cubes.shape) - 0.5 + 1e-4).all()


@given(grids(shear=False))
def test_the_isotropic_grid_keeps_the_axes_and_the_center(grid: Grid) -> None:
    cubes = grid.isotropic(1.0)
    np.testing.assert_allclose(cubes.direction, grid.direction, atol=1e-6)
    np.testing.assert_allclose(cubes.center, grid.center, atol=1e-4)
    assert (np.array(cubes.shape) - grid.spacing * grid.shape < 1).all()


@pytest.mark.parametrize(
    ("shape", "affine", "message"),
    [
        ((2, 2, 2), np.eye(3), "the affine is not a finite 4x4 matrix; expected: index to LPS mm"),
        (
            (2, 2, 2),
            np.diag([1, np.nan, 1, 1]),
            "the affine is not a finite 4x4 matrix; expected: index to LPS mm",
        ),
        (
            (2, 2, 2),
            np.diag([1, 1, 1, 2]),
            "the affine is not a finite 4x4 matrix; expected: index to LPS mm",
        ),
        ((2, 0, 2), np.eye(4), "the grid shape is (2, 0, 2); expected: three positive sizes (i, j, k)"),
        (
            (2, 2, 2),
            np.diag([1.0, 1.0, 0.0, 1.0]),
            "the affine is singular: two axes of the grid are parallel or have no length",
        ),
        (
            (2, 2, 2),
            np.diag([1.0, 1e-4, 5e19, 1.0]),
            "the voxels measure 1 x 0.0001 x 5e+19 mm; expected: voxels of a scanner",
        ),
        (
            (2, 2, 2),
            np.array([[1.0, 0, 0, 0], [0, 1, 0, -1e200], [0, 0, 1, 0], [0, 0, 0, 1]]),
            "the grid lies 1e+200 mm from the origin; expected: a place in a scanner",
        ),
    ],
)
def test_a_grid_that_is_none_is_refused(
    shape: tuple[int, int, int], affine: np.ndarray, message: str
) -> None:
    with pytest.raises(SpaceError) as caught:
        Grid(shape, affine, FRAME)
    assert str(caught.value) == message


def test_a_grid_does_not_change_after_it_is_made() -> None:
    affine = np.eye(4)
    grid = Grid((2, 2, 2), affine, FRAME)
    affine[0, 3] = 7.0
    assert grid.origin[0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        grid.affine[0, 3] = 7.0


def test_a_frozen_array_is_a_view_that_cannot_be_written() -> None:
    values = np.zeros(3)
    view = frozen_array(values)
    assert np.shares_memory(view, values)
    assert values.flags.writeable
    assert not view.flags.writeable


def test_a_grid_tells_itself() -> None:
    grid = centred_grid((10, 20, 3), (0.5, 0.5, 4.0), center=(1.0, -2.0, 30.0))
    assert repr(grid) == "Grid(10 x 20 x 3, 0.500 x 0.500 x 4.000 mm, origin LPS (-1.2, -6.8, 26.0) mm)"


@given(grids(), grids())
def test_two_random_grids_do_not_share_a_lattice(a: Grid, b: Grid) -> None:
    assume(np.abs(a.affine[:3, :3] - b.affine[:3, :3]).max() > 0.1)
    with pytest.raises(LatticeMismatchError):
        a.offset_in(b)
