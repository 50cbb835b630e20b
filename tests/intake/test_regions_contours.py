"""Contours to voxels: known shapes, holes, planes beside and between the slices, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osteotrace.errors import RegionError
from osteotrace.intake.contours import Contour, fill, scan
from osteotrace.space import Grid
from region_cases import circle, make_grid, oblique_grid, square

GRID = make_grid()
CENTER = np.array([4.0, 1.0, 70.0])


def slice_z(k: float) -> float:
    return float(GRID.points((0, 0, k))[2])


def ball_contours(radius: float, step_mm: float, start: float = 0.0, center=CENTER) -> list[Contour]:
    """Circles of a ball on planes z = start + n step."""
    first = int(np.ceil((center[2] - radius - start) / step_mm))
    last = int(np.floor((center[2] + radius - start) / step_mm))
    out = []
    for n in range(first, last + 1):
        z = start + n * step_mm
        size = radius**2 - (z - center[2]) ** 2
        if size > 0:
            out.append(Contour(circle((center[0], center[1], z), np.sqrt(size))))
    return out


def ball_ml(radius: float) -> float:
    return 4 / 3 * np.pi * radius**3 / 1000


# --- one polygon


def test_scan_takes_the_pixels_whose_centre_is_inside():
    inside = scan(np.array([[0.5, 0.5], [3.5, 0.5], [3.5, 2.5], [0.5, 2.5]]), (5, 4))
    expected = np.zeros((5, 4), dtype=bool)
    expected[1:4, 1:3] = True
    np.testing.assert_array_equal(inside, expected)


def test_neighbours_with_a_common_edge_through_pixel_centres_share_none_and_leave_none_out():
    left = scan(np.array([[0.0, 0.0], [3.0, 0.0], [5.0, 8.0], [0.0, 8.0]]), (10, 10))
    right = scan(np.array([[3.0, 0.0], [9.0, 0.0], [9.0, 8.0], [5.0, 8.0]]), (10, 10))
    both = scan(np.array([[0.0, 0.0], [9.0, 0.0], [9.0, 8.0], [0.0, 8.0]]), (10, 10))
    assert not (left & right).any()
    np.testing.assert_array_equal(left | right, both)


def in_polygon(point: np.ndarray, polygon: np.ndarray) -> bool:
    """Winding of the angle around a point: an independent even-odd rule for simple polygons."""
    to = polygon - point
    angle = np.arctan2(to[:, 1], to[:, 0])
    turn = np.diff(np.append(angle, angle[0]))
    turn = (turn + np.pi) % (2 * np.pi) - np.pi
    return abs(turn.sum()) > np.pi


stars = st.lists(st.floats(0.3, 1.0), min_size=3, max_size=12)


def star(radii: list[float], center: np.ndarray, size: float) -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, len(radii), endpoint=False) + 0.1234
    return center + size * np.array(radii)[:, None] * np.stack([np.cos(t), np.sin(t)], axis=1)


def shoelace(polygon: np.ndarray) -> float:
    x, y = polygon.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


@given(stars, st.floats(14.0, 16.0), st.floats(14.0, 16.0))
def test_scan_agrees_with_the_winding_angle_of_every_pixel_centre(radii, x, y):
    polygon = star(radii, np.array([x, y]), 12.0)
    inside = scan(polygon, (30, 30))
    expected = [[in_polygon(np.array([u, v]), polygon) for v in range(30)] for u in range(30)]
    np.testing.assert_array_equal(inside, np.array(expected))


@given(stars)
def test_pixels_of_a_fine_raster_have_the_area_of_the_polygon(radii):
    polygon = star(radii, np.array([200.3, 200.7]), 190.0)
    perimeter = float(np.linalg.norm(polygon - np.roll(polygon, -1, axis=0), axis=1).sum())
    assert abs(np.count_nonzero(scan(polygon, (400, 400))) - shoelace(polygon)) < 0.5 * perimeter


# --- volumes


@pytest.mark.parametrize("radius", [8.0, 11.0, 17.0])
def test_a_ball_has_its_volume(radius):
    filled = fill(ball_contours(radius, 2.0), GRID)
    assert filled.mask.volume_ml == pytest.approx(ball_ml(radius), rel=0.03)
    assert filled.notes == ()
    assert filled.lost == 0
    np.testing.assert_allclose(filled.mask.centroid, CENTER, atol=0.15)


def test_a_box_is_exact():
    contours = [Contour(square((0.4, 1.875, slice_z(k)), 5.0)) for k in range(5, 12)]
    mask = fill(contours, GRID).mask
    inside = (np.abs(mask.points[:, 0] - 0.4) < 5) & (np.abs(mask.points[:, 1] - 1.875) < 5)
    assert inside.all()
    assert mask.grid.shape[2] == 7
    assert mask.n_voxels == 7 * np.prod(mask.grid.shape[:2])


def test_a_torus_has_its_hole():
    contours = []
    for z in np.arange(62.0, 79.0, 2.0):
        half = np.sqrt(max(0.0, 5.0**2 - (z - 70.0) ** 2))
        if half > 0:
            contours += [Contour(circle((4, 1, z), 12 + half)), Contour(circle((4, 1, z), 12 - half))]
    mask = fill(contours, GRID).mask
    assert mask.volume_ml == pytest.approx(2 * np.pi**2 * 12 * 5**2 / 1000, rel=0.03)
    assert not mask.on(GRID)[tuple(np.round(GRID.indices((4, 1, 70))).astype(int))]


def test_the_same_shape_on_an_oblique_image_has_the_same_volume():
    grid = oblique_grid()
    middle = grid.points((30, 25, 15))
    contours = []
    for k in range(30):
        flat = circle((0, 0, 0), 1.0)
        z = (k - 15) * 2.0
        if abs(z) < 9:
            ring = flat[:, :2] * np.sqrt(81 - z**2) @ grid.direction[:, :2].T
            contours.append(Contour(middle + z * grid.direction[:, 2] + ring))
    mask = fill(contours, grid).mask
    assert mask.volume_ml == pytest.approx(ball_ml(9), rel=0.03)
    np.testing.assert_allclose(mask.centroid, middle, atol=0.3)


def test_the_order_of_the_slices_and_the_direction_of_the_axes_do_not_matter():
    flipped = GRID.affine.copy()
    flipped[:3, :3] *= -1
    flipped[:3, 3] = GRID.points(np.array(GRID.shape) - 1)
    mirrored = fill(ball_contours(9, 2.0), Grid(GRID.shape, flipped, GRID.frame_of_reference_uid)).mask
    straight = fill(ball_contours(9, 2.0), GRID).mask
    assert {tuple(p) for p in np.round(mirrored.points, 6)} == {
        tuple(p) for p in np.round(straight.points, 6)
    }


def test_a_sheared_image_keeps_the_place():
    affine = GRID.affine.copy()
    affine[1, 2] = 0.7  # gantry tilt: every slice moves along y
    sheared = Grid(GRID.shape, affine, GRID.frame_of_reference_uid)
    mask = fill(ball_contours(9, 2.0), sheared).mask
    assert mask.volume_ml == pytest.approx(ball_ml(9), rel=0.03)
    np.testing.assert_allclose(mask.centroid, CENTER, atol=0.15)


def test_contours_drawn_on_sagittal_planes_of_an_axial_image():
    contours = []
    for i in range(60):
        x = float(GRID.points((i, 0, 0))[0])
        size = 9.0**2 - (x - CENTER[0]) ** 2
        if size > 0:
            ring = circle((0, 0, 0), np.sqrt(size))[:, [2, 0, 1]]
            contours.append(Contour(ring + np.array([x, CENTER[1], CENTER[2]])))
    assert fill(contours, GRID).mask.volume_ml == pytest.approx(ball_ml(9), rel=0.03)


# --- several contours on a plane


def one_slice(*outlines: np.ndarray, exclusive: bool = False):
    return fill([Contour(o, exclusive) for o in outlines], GRID)


def test_a_keyhole_contour_is_a_hole():
    outer, inner = circle((4, 1, 70), 15), circle((4, 1, 70), 7)[::-1]
    keyhole = np.concatenate([outer, outer[:1], inner[:1], inner, inner[:1], outer[:1]])
    nested = one_slice(outer, inner).mask
    np.testing.assert_array_equal(one_slice(keyhole).mask.on(GRID), nested.on(GRID))
    assert nested.n_voxels < one_slice(outer).mask.n_voxels


def test_an_island_in_a_hole():
    rings = [circle((4, 1, 70), r) for r in (15, 10, 5)]
    sizes = [one_slice(r).mask.n_voxels for r in rings]
    assert one_slice(*rings).mask.n_voxels == sizes[0] - sizes[1] + sizes[2]


def test_separate_contours_of_one_slice_are_both_kept():
    a, b = circle((-5, 1, 70), 6), circle((13, 1, 70), 6)
    filled = one_slice(a, b)
    assert filled.mask.n_voxels == one_slice(a).mask.n_voxels + one_slice(b).mask.n_voxels
    assert filled.notes == ()


def test_contours_that_overlap_in_part_are_joined_and_that_is_said():
    a, b = circle((0, 1, 70), 8), circle((7, 1, 70), 8)
    filled = one_slice(a, b)
    joined = one_slice(a).mask.on(GRID) | one_slice(b).mask.on(GRID)
    np.testing.assert_array_equal(filled.mask.on(GRID), joined)
    assert filled.notes == ("contours of one slice overlap in part and were joined",)


def test_contours_declared_exclusive_leave_the_overlap_out():
    a, b = circle((0, 1, 70), 8), circle((7, 1, 70), 8)
    apart = one_slice(a).mask.on(GRID) ^ one_slice(b).mask.on(GRID)
    np.testing.assert_array_equal(one_slice(a, b, exclusive=True).mask.on(GRID), apart)


def test_the_same_contour_twice_does_not_cancel_itself():
    ring = circle((0, 1, 70), 8)
    filled = one_slice(ring, ring)
    assert filled.mask.n_voxels == one_slice(ring).mask.n_voxels
    assert filled.notes == ("contours that are there twice (1) were counted once",)


# --- planes and slices


@pytest.mark.parametrize("shift", [0.3, 0.8, 1.0, -0.7])
def test_a_stack_of_planes_beside_the_slices_goes_to_the_nearest(shift):
    moved = fill(ball_contours(11, 2.0, start=shift), GRID)
    assert moved.mask.volume_ml == pytest.approx(ball_ml(11), rel=0.03)
    assert moved.notes == (
        f"contours lie {abs(shift):.2f} mm off the slices: they were moved to the nearest",
    )


def test_planes_with_rounded_positions_half_way_between_slices_leave_no_slice_out():
    rng = np.random.default_rng(5)
    shift = 1.0 + rng.normal(0, 0.01, 10)
    contours = [Contour(circle((4, 1, slice_z(8 + n) + s), 8)) for n, s in enumerate(shift)]
    mask = fill(contours, GRID).mask
    assert mask.on(GRID).any(axis=(0, 1)).sum() == 10


def test_contours_denser_than_the_slices():
    filled = fill(ball_contours(11, 0.5), GRID)
    assert filled.mask.volume_ml == pytest.approx(ball_ml(11), rel=0.03)
    assert filled.notes == ("contours lie up to 1.00 mm off the slices",)


def test_dense_contours_reach_half_their_own_distance_beyond_the_last():
    filled = fill([Contour(circle((4, 1, slice_z(w)), 8)) for w in np.arange(5.4, 9.5, 0.5)], GRID)
    assert set(np.flatnonzero(filled.mask.on(GRID).any(axis=(0, 1)))) == {6, 7, 8, 9}


@pytest.mark.parametrize("step", [4.0, 5.0, 6.0])
def test_slices_between_wider_contours_are_interpolated_and_that_is_said(step):
    filled = fill(ball_contours(14, step, start=70.0), GRID)
    filled_slices = np.flatnonzero(filled.mask.on(GRID).any(axis=(0, 1)))
    assert (np.diff(filled_slices) == 1).all()
    assert filled.mask.volume_ml == pytest.approx(ball_ml(14), rel=0.12)
    assert (
        f"slices between contours that are {step / 2:.1f} slices apart were filled by interpolation"
        in filled.notes
    )


def test_a_gap_that_is_wider_than_the_others_is_left_empty():
    levels = [2, 4, 6, 20, 22, 24]
    filled = fill([Contour(circle((4, 1, slice_z(k)), 8)) for k in levels], GRID)
    assert set(np.flatnonzero(filled.mask.on(GRID).any(axis=(0, 1)))) == {*range(2, 7), *range(20, 25)}
    assert "slices between the contours that have none (13) were left empty" in filled.notes


def test_a_missing_slice_among_contiguous_ones_is_left_empty_and_said():
    filled = fill([Contour(circle((4, 1, slice_z(k)), 8)) for k in (4, 5, 6, 8, 9)], GRID)
    assert not filled.mask.on(GRID)[:, :, 7].any()
    assert filled.notes == ("slices between the contours that have none (1) were left empty",)


def test_tilted_contours_are_refused_with_their_angle():
    tilt = np.deg2rad(25)
    ring = circle((0, 0, 0), 10)
    tilted = np.stack([ring[:, 0], ring[:, 1] * np.cos(tilt), ring[:, 1] * np.sin(tilt)], axis=1) + CENTER
    with pytest.raises(RegionError, match=r"tilted by 25\.0 degrees to the slices"):
        fill([Contour(tilted)], GRID)


# --- outside, and too small


def test_contours_partly_outside_lose_their_share():
    left = float(GRID.points((0, 0, 0))[0]) - 0.4  # the outer border of the image
    filled = fill([Contour(square((left, 1, slice_z(k)), 8)) for k in range(5, 9)], GRID)
    assert filled.lost == pytest.approx(0.5, abs=0.01)
    assert filled.mask.on(GRID)[0].any()


def test_slices_beyond_the_image_are_lost():
    filled = fill([Contour(circle((4, 1, slice_z(k)), 8)) for k in range(-2, 6)], GRID)
    assert filled.lost == pytest.approx(2 / 8)


@pytest.mark.parametrize("center", [(500, 1, 70), (4, 1, 20), (4, 1, 500)])
def test_contours_wholly_outside_are_refused(center):
    with pytest.raises(RegionError, match="wholly outside the image"):
        fill([Contour(circle(center, 8))], GRID)


def test_a_contour_that_only_touches_the_box_of_the_image_is_refused():
    corner = GRID.corners.min(axis=0)
    ring = np.array([[-9.0, 1, 0], [1, -9, 0], [-9, -9, 0]]) + np.array([corner[0], corner[1], slice_z(3)])
    with pytest.raises(RegionError, match="wholly outside the image"):
        fill([Contour(ring)], GRID)


def test_a_contour_that_reaches_far_beyond_is_refused():
    with pytest.raises(RegionError, match="far beyond the image"):
        fill([Contour(circle((4, 1, 70), 1e5))], GRID)


@pytest.mark.parametrize("n_points", [1, 2, 4])
def test_a_contour_smaller_than_a_voxel_keeps_the_voxel_that_holds_it(n_points):
    inside = GRID.points((20.2, 21.3, 12))
    points = (square(inside, 0.05))[:n_points]
    filled = fill([Contour(points)], GRID)
    assert filled.mask.n_voxels == 1
    np.testing.assert_allclose(filled.mask.centroid, GRID.points((20, 21, 12)))
    assert "no voxel centre lies inside the contours" in filled.notes[-1]


def test_a_contour_around_one_voxel_is_that_voxel():
    corners = np.array([[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0]])
    filled = fill([Contour(GRID.points(corners + np.array([20, 21, 12])))], GRID)
    assert filled.mask.n_voxels == 1
    np.testing.assert_allclose(filled.mask.centroid, GRID.points((20, 21, 12)))
    assert filled.notes == ()
