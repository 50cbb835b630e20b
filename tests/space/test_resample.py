"""Values and masks from grid to grid: exact where that can be, conserving where it cannot."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from osteotrace.errors import FrameMismatchError, LatticeMismatchError
from osteotrace.space import (
    Grid,
    Mask,
    RigidTransform,
    box_around,
    covered_fraction,
    crop_values,
    limit_threads,
    map_mask,
    occupancy,
    resample,
)
from strategies import (
    FRAME,
    OTHER_FRAME,
    ball,
    centred_grid,
    grids,
    masks,
    rigid_transforms,
    voxel_centers,
)

MODULE = sys.modules["osteotrace.space.resample"]  # the function of that name hides it
TURNED = Rotation.from_euler("xyz", [10, 5, 35], degrees=True).as_matrix()
FINE = centred_grid((120, 120, 90), (0.4, 0.4, 0.5))
MR_LIKE = centred_grid((110, 110, 10), (0.4, 0.4, 5.0), rotation=TURNED)
CT_LIKE = centred_grid((60, 60, 30), (0.98, 0.98, 2.0), center=(0.3, -0.2, 0.7))
PET_LIKE = centred_grid((16, 16, 16), (4.07, 4.07, 3.0), center=(1.1, 0.4, -0.9))


def ramp(grid: Grid, slope: tuple[float, float, float]) -> np.ndarray:
    return voxel_centers(grid) @ np.array(slope)


@given(
    grids(max_shape=8, spacing=(0.5, 4.0)),
    grids(max_shape=8, spacing=(0.5, 4.0), frame=OTHER_FRAME),
    rigid_transforms(),
    st.sampled_from([(1.0, 0.0, 0.0), (0.3, -0.7, 0.2)]),
)
def test_a_linear_ramp_is_exact_under_any_motion_and_shear(
    grid: Grid, onto: Grid, motion: RigidTransform, slope: tuple[float, float, float]
) -> None:
    # Laid upon each other: the centre of one maps to the centre of the other.
    matrix = motion.matrix.copy()
    matrix[:3, 3] = onto.center - matrix[:3, :3] @ grid.center
    there = RigidTransform(matrix, FRAME, OTHER_FRAME)
    out = resample(ramp(grid, slope), grid, onto, onto_to_grid=there.inverse)
    back = there.inverse.apply(voxel_centers(onto))
    index = grid.indices(back)
    between = ((index >= 1e-3) & (index <= np.array(grid.shape) - 1 - 1e-3)).all(axis=-1)
    np.testing.assert_allclose(out[between], (back @ np.array(slope))[between], atol=2e-3)
    outside = ((index < -0.5 - 1e-3) | (index > np.array(grid.shape) - 0.5 + 1e-3)).any(axis=-1)
    assert np.isnan(out[outside]).all()
    assert np.isfinite(out[grid.contains(back) & between]).all()


@pytest.mark.parametrize("order", [0, 1, 3])
def test_onto_its_own_grid_an_image_stays_as_it_is(order: int) -> None:
    values = np.random.default_rng(1).normal(size=(7, 6, 5)).astype(np.float32)
    grid = centred_grid((7, 6, 5), (0.5, 0.7, 3.0), rotation=TURNED)
    np.testing.assert_allclose(resample(values, grid, grid, order=order), values, atol=1e-5)


def test_the_axes_are_not_mixed_up() -> None:
    values = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    grid = Grid((2, 3, 4), np.diag([1.0, 2.0, 3.0, 1.0]), FRAME)
    affine = np.array([[0, 0, 1, 0], [2.0, 0, 0, 0], [0, 3.0, 0, 0], [0, 0, 0, 1]])
    onto = Grid((3, 4, 2), affine, FRAME)
    np.testing.assert_array_equal(resample(values, grid, onto), values.transpose(1, 2, 0))


def test_nothing_is_made_up_outside() -> None:
    grid = centred_grid((3, 3, 3), (1.0, 1.0, 1.0))
    wide = centred_grid((5, 3, 3), (1.0, 1.0, 1.0))
    out = resample(np.ones((3, 3, 3)), grid, wide)
    assert np.isnan(out[[0, -1]]).all()
    assert (out[1:-1] == 1).all()
    assert (resample(np.ones((3, 3, 3)), grid, wide, fill=-1000.0)[[0, -1]] == -1000).all()


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32, np.float64, np.uint16, bool])
def test_the_common_types_are_read(dtype: type) -> None:
    values = np.ones((3, 3, 3), dtype=dtype)
    grid = centred_grid((3, 3, 3), (1.0, 1.0, 1.0))
    assert (resample(values, grid, grid) == 1).all()


def test_mixed_frames_are_refused() -> None:
    values, grid = np.zeros((2, 2, 2)), centred_grid((2, 2, 2), (1.0, 1.0, 1.0))
    other = Grid(grid.shape, grid.affine, OTHER_FRAME)
    mask = Mask(np.ones((2, 2, 2), dtype=bool), grid)
    for mix in (
        lambda: resample(values, grid, other),
        lambda: occupancy(mask, other),
        lambda: map_mask(mask, other),
        lambda: covered_fraction(mask, other),
        lambda: map_mask(mask, grid, mask_to_onto=RigidTransform.identity(OTHER_FRAME)),
    ):
        with pytest.raises(FrameMismatchError):
            mix()


# --- occupancy and mapped masks -------------------------------------------------------------------


@given(masks(grids(max_shape=6, spacing=(0.5, 3.0))))
def test_onto_its_own_lattice_a_mask_stays_as_it_is(drawn: tuple[Mask, Grid]) -> None:
    mask, grid = drawn
    np.testing.assert_array_equal(occupancy(mask, grid), mask.on(grid))
    same = map_mask(mask, grid)
    assert same is not None
    np.testing.assert_array_equal(same.on(grid), mask.on(grid))


def test_occupancy_is_the_share_of_the_voxel() -> None:
    grid = Grid((4, 1, 1), np.eye(4), FRAME)
    mask = Mask(np.ones((4, 1, 1), dtype=bool), grid)  # from -0.5 to 3.5 along x
    affine = np.diag([3.0, 1.0, 1.0, 1.0])
    affine[0, 3] = 0.0  # voxels from -1.5 to 1.5, 1.5 to 4.5
    share = occupancy(mask, Grid((2, 1, 1), affine, FRAME), samples=6)
    np.testing.assert_allclose(share.ravel(), [4 / 6, 4 / 6], atol=1e-6)


def test_occupancy_does_not_depend_on_how_it_is_cut_into_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = ball(MR_LIKE, 12.0)
    whole = occupancy(mask, CT_LIKE)
    monkeypatch.setattr(MODULE, "_SLAB_SAMPLES", 100_000)
    np.testing.assert_array_equal(occupancy(mask, CT_LIKE), whole)


@pytest.mark.parametrize("radius", [6.2, 10.0, 15.0])
@pytest.mark.parametrize("source", [FINE, MR_LIKE, CT_LIKE], ids=["fine", "mr", "ct"])
@pytest.mark.parametrize("onto", [FINE, MR_LIKE, CT_LIKE, PET_LIKE], ids=["fine", "mr", "ct", "pet"])
def test_a_ball_keeps_its_volume_and_its_place(source: Grid, onto: Grid, radius: float) -> None:
    mask = ball(source, radius)
    mapped = map_mask(mask, onto)
    assert mapped is not None
    one_voxel = onto.voxel_volume_mm3 / 1000
    assert mapped.volume_ml == pytest.approx(mask.volume_ml, rel=0.05, abs=one_voxel)
    off = np.abs((mapped.centroid - mask.centroid) @ onto.direction)
    assert (off <= 0.5 * onto.spacing).all()


def carried(motion: RigidTransform, radius: float) -> tuple[Mask, Mask]:
    """A ball on thick slices, and where a motion carries it on 1 mm cubes."""
    mask = ball(centred_grid((60, 60, 12), (0.5, 0.5, 3.0)), radius)
    x, y, z = motion.apply(mask.centroid)
    onto = centred_grid((40, 40, 40), (1.0, 1.0, 1.0), center=(x, y, z), frame=OTHER_FRAME)
    mapped = map_mask(mask, onto, mask_to_onto=motion)
    assert mapped is not None
    return mask, mapped


@settings(max_examples=30)
@given(rigid_transforms(), st.floats(5.0, 12.0))
def test_a_ball_keeps_its_volume_under_any_motion(motion: RigidTransform, radius: float) -> None:
    mask, mapped = carried(motion, radius)
    assert mapped.volume_ml == pytest.approx(mask.volume_ml, rel=0.15)  # laid square, many voxels tie
    np.testing.assert_allclose(mapped.centroid, motion.apply(mask.centroid), atol=0.5)


@pytest.mark.parametrize("angles", [(10, 5, 35), (0, 3, 0.5), (-70, 20, 170)])
def test_a_ball_keeps_its_volume_closely_when_laid_aslant(angles: tuple[float, float, float]) -> None:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    matrix[:3, 3] = (3.3, -7.1, 40.2)
    mask, mapped = carried(RigidTransform(matrix, FRAME, OTHER_FRAME), 9.0)
    assert mapped.volume_ml == pytest.approx(mask.volume_ml, rel=0.02)


@given(masks(grids(max_shape=4, spacing=(0.4, 2.0))), grids(max_shape=8, spacing=(0.4, 6.0)))
def test_a_mapped_mask_is_none_only_when_nothing_lies_inside(drawn: tuple[Mask, Grid], onto: Grid) -> None:
    mask, _ = drawn
    moved = np.array(onto.affine)
    moved[:3, 3] += mask.centroid - onto.center
    onto = Grid(onto.shape, moved, FRAME)
    mapped = map_mask(mask, onto)
    if covered_fraction(mask, onto) > 0:
        assert mapped is not None
        assert mapped.grid.offset_in(onto) >= (0, 0, 0)


def test_one_small_voxel_becomes_the_one_voxel_that_holds_it() -> None:
    tiny = centred_grid((1, 1, 1), (0.4, 0.4, 0.4), center=(1.9, 6.3, -3.2))
    mask = Mask(np.ones((1, 1, 1), dtype=bool), tiny)
    for onto in (PET_LIKE, CT_LIKE, MR_LIKE, centred_grid((4, 4, 4), (30.0, 30.0, 30.0))):
        mapped = map_mask(mask, onto)
        assert mapped is not None
        assert mapped.n_voxels == 1
        np.testing.assert_array_equal(mapped.grid.offset_in(onto), np.round(onto.indices(mask.centroid)))


def test_a_mask_on_the_corner_of_eight_voxels_becomes_one_of_them() -> None:
    tiny = centred_grid((2, 2, 2), (0.5, 0.5, 0.5))
    mapped = map_mask(Mask(np.ones((2, 2, 2), dtype=bool), tiny), centred_grid((2, 2, 2), (5.0, 5.0, 5.0)))
    assert mapped is not None
    assert mapped.n_voxels == 1


def test_a_lesion_between_two_thick_slices_keeps_its_extent() -> None:
    fine = centred_grid((30, 30, 10), (0.5, 0.5, 0.4))
    mask = ball(fine, 7.0)  # flat: 4 mm of a ball, 2 mm in each of two slices
    mapped = map_mask(mask, centred_grid((30, 30, 4), (0.5, 0.5, 6.0)))
    assert mapped is not None
    np.testing.assert_array_equal(mapped.grid.shape[:2], mask.grid.shape[:2])


def test_scattered_small_voxels_are_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.zeros((60, 1, 1), dtype=bool)
    values[[3, 40]] = True
    mask = Mask.from_array(values, Grid((60, 1, 1), np.diag([0.3, 0.3, 0.3, 1.0]), FRAME))
    monkeypatch.setattr(MODULE, "_MANY_SAMPLES", 0)  # as for a mask too large to sample
    mapped = map_mask(mask, centred_grid((5, 5, 5), (5.0, 5.0, 5.0)))
    assert mapped is not None
    assert mapped.n_voxels == 1


def test_a_mask_outside_is_none() -> None:
    mask = ball(centred_grid((20, 20, 20), (1.0, 1.0, 1.0)), 5.0)
    far = centred_grid((20, 20, 20), (1.0, 1.0, 1.0), center=(100.0, 0.0, 0.0))
    assert map_mask(mask, far) is None
    assert covered_fraction(mask, far) == 0.0
    beside = centred_grid((5, 5, 5), (1.0, 1.0, 1.0), center=(6.0, 6.0, 6.0))  # its box, not the ball
    assert map_mask(mask, beside) is None
    assert box_around(beside, mask.grid.corners) is not None


def test_the_covered_share_of_a_ball_cut_in_half() -> None:
    mask = ball(centred_grid((40, 40, 40), (1.0, 1.0, 1.0)), 15.0)
    half = centred_grid((40, 40, 40), (1.0, 1.0, 1.0), center=(20.0, 0.0, 0.0))
    assert covered_fraction(mask, half) == 0.5
    mapped = map_mask(mask, half)
    assert mapped is not None
    assert mapped.volume_ml == pytest.approx(mask.volume_ml / 2)


@given(masks(grids(max_shape=6)), grids(frame=OTHER_FRAME), rigid_transforms())
def test_the_covered_share_counts_voxel_centers(
    drawn: tuple[Mask, Grid], grid: Grid, motion: RigidTransform
) -> None:
    mask, _ = drawn
    index = grid.indices(motion.apply(mask.points))
    edge = np.minimum(np.abs(index + 0.5), np.abs(index - np.array(grid.shape) + 0.5))
    assume(edge.min() > 1e-6)
    expected = grid.contains(motion.apply(mask.points)).mean()
    assert covered_fraction(mask, grid, motion) == pytest.approx(expected)
    assert covered_fraction(mask, mask.grid) == 1.0


# --- boxes ----------------------------------------------------------------------------------------


@given(grids(), st.data())
def test_the_box_holds_its_points(grid: Grid, data: st.DataObject) -> None:
    index = [[data.draw(st.floats(-0.5, n - 0.5)) for n in grid.shape] for _ in range(3)]
    box = box_around(grid, grid.points(index))
    assert box is not None
    box.offset_in(grid)
    assert (box.indices(grid.points(index)) >= -0.5 - 1e-6).all()
    assert (box.indices(grid.points(index)) <= np.array(box.shape) - 0.5 + 1e-6).all()


def test_the_box_has_a_margin_and_stays_inside() -> None:
    grid = centred_grid((21, 21, 21), (1.0, 1.0, 2.0))
    box = box_around(grid, [[0.0, 0.0, 0.0]], margin_mm=4.0)
    assert box is not None
    assert box.shape == (9, 9, 5)
    wide = box_around(grid, [[0.0, 0.0, 0.0]], margin_mm=400.0)
    assert wide is not None
    assert wide.same_as(grid)


def test_there_is_no_box_outside() -> None:
    grid = centred_grid((5, 5, 5), (1.0, 1.0, 1.0))
    assert box_around(grid, [[9.0, 0.0, 0.0]]) is None
    assert box_around(grid, [[-9.0, 0.0, 0.0]]) is None


@given(masks())
def test_cropped_values_are_a_view_of_the_same_voxels(drawn: tuple[Mask, Grid]) -> None:
    mask, grid = drawn
    values = np.arange(np.prod(grid.shape)).reshape(grid.shape)
    view = crop_values(values, grid, mask.grid)
    assert np.shares_memory(view, values)
    np.testing.assert_array_equal(view[mask.values], values[mask.on(grid)])


@pytest.mark.parametrize("shift", [-3, -1, 1, 7])
def test_a_box_that_reaches_outside_is_refused(shift: int) -> None:
    grid = Grid((5, 5, 5), np.eye(4), FRAME)
    affine = np.eye(4)
    affine[0, 3] = shift
    box = Grid((5 if shift == 1 else 2, 5, 5), affine, FRAME)
    with pytest.raises(LatticeMismatchError) as caught:
        crop_values(np.zeros((5, 5, 5)), grid, box)
    assert str(caught.value) == (
        "the box reaches outside the grid; expected: voxels (0, 0, 0) to (5, 5, 5); do: crop it first"
    )


def test_the_number_of_threads_is_limited_on_demand_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(MODULE.sitk.ProcessObject, "SetGlobalDefaultNumberOfThreads", asked.append)
    limit_threads(0)
    limit_threads(3)
    assert asked == [3]


def test_without_a_fill_the_nearest_value_goes_on_outside() -> None:
    grid = centred_grid((4, 4, 4), (1.0, 1.0, 1.0))
    wide = centred_grid((10, 4, 4), (1.0, 1.0, 1.0))
    values = np.broadcast_to(np.arange(4.0)[:, None, None], (4, 4, 4))
    out = resample(values, grid, wide, fill=None)
    np.testing.assert_allclose(out[:, 1, 1], [0, 0, 0, 0, 1, 2, 3, 3, 3, 3])
    assert np.isnan(resample(values, grid, wide)[0, 0, 0])
