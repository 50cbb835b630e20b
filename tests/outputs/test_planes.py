from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osteotrace.model.imaging import OtherFacts, Volume
from osteotrace.model.values import Modality, Quantity
from osteotrace.outputs.figures.planes import VIEWS, plane_grid, slices_through
from osteotrace.outputs.figures.settings import DisplaySettings
from osteotrace.outputs.figures.window import windows_of
from osteotrace.space import Grid, Mask
from outputs.factory import FRAME_CT, series

DIRECTIONS = {
    "R": (-1, 0, 0), "L": (1, 0, 0), "A": (0, -1, 0), "P": (0, 1, 0), "F": (0, 0, -1), "H": (0, 0, 1),
}  # fmt: skip


def lattice(flips: tuple[bool, bool, bool], order: tuple[int, int, int]) -> Grid:
    """A grid of 2 mm over +-40 mm, its axes in any order and direction."""
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, order] * np.where(flips, -2.0, 2.0)
    affine[:3, 3] = -affine[:3, :3] @ np.full(3, 19.5)
    return Grid((40, 40, 40), affine, FRAME_CT)


def image_of(grid: Grid, point: np.ndarray) -> tuple[Volume, Mask]:
    """A volume that is bright around one point, and the mask of the middle."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    points = grid.points(index)
    values = 100.0 * (np.linalg.norm(points - point, axis=-1) < 6)
    inside = np.linalg.norm(points, axis=-1) < 12
    one = series("x", Modality.CT, Quantity.HU, OtherFacts(), grid)
    return Volume(values.astype(np.float32), grid, one), Mask.from_array(inside, grid)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 0, 1)])
@given(flips=st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_letters_stand_where_the_anatomy_is(
    order: tuple[int, int, int], flips: tuple[bool, bool, bool]
) -> None:
    """What lies 25 mm to a side shows at the edge with the letter of that side, however the voxels lie."""
    grid = lattice(flips, order)
    for letter, direction in DIRECTIONS.items():
        volume, mask = image_of(grid, 25.0 * np.array(direction))
        for one in slices_through(volume, mask, np.zeros(3), np.eye(3), 80.0, 40):
            if letter not in one.view.letters:
                assert np.nanmax(one.values) < 1
                continue
            row, column = np.unravel_index(int(np.nanargmax(one.values)), one.values.shape)
            edge = {"left": column, "right": 39 - column, "upper": row, "lower": 39 - row}
            nearest = min(edge, key=lambda side: edge[side])
            assert nearest == ("left", "right", "upper", "lower")[one.view.letters.index(letter)]


def test_the_patients_right_is_on_the_left_of_the_picture() -> None:
    assert [v.letters for v in VIEWS] == [("R", "L", "A", "P"), ("R", "L", "H", "F"), ("A", "P", "H", "F")]


def test_planes_are_isotropic_and_centred() -> None:
    center = np.array([10.0, -20.0, 5.0])
    for view in VIEWS:
        grid = plane_grid(view, center, np.eye(3), 120.0, 64, FRAME_CT)
        assert grid.shape == (64, 64, 1)
        assert grid.spacing == pytest.approx([120 / 64] * 3)
        assert grid.center == pytest.approx(center)


def test_outside_the_field_of_view_is_nothing_not_zero() -> None:
    volume, mask = image_of(lattice((False,) * 3, (0, 1, 2)), np.zeros(3))
    for one in slices_through(volume, mask, np.array([38.0, 0.0, 0.0]), np.eye(3), 80.0, 40):
        if "L" in one.view.letters:
            assert np.isnan(one.values[:, -1]).all()
            assert np.isfinite(one.values[20, 0])
    far = slices_through(volume, mask, np.array([500.0, 0.0, 0.0]), np.eye(3), 80.0, 40)
    assert all(np.isnan(one.values).all() for one in far)


def test_the_outline_has_the_size_of_the_mask() -> None:
    volume, mask = image_of(lattice((False,) * 3, (0, 1, 2)), np.zeros(3))
    for one in slices_through(volume, mask, np.zeros(3), np.eye(3), 80.0, 160):
        area_mm2 = np.count_nonzero(one.inside > 0.5) * 0.25
        assert area_mm2 == pytest.approx(np.pi * 144, rel=0.1)
        assert one.inside[0].max() == 0


def test_turned_axes_turn_the_picture() -> None:
    """With the axes turned by 90 degrees about the long axis, what is on the left shows at the back."""
    volume, mask = image_of(lattice((False,) * 3, (0, 1, 2)), np.array([25.0, 0.0, 0.0]))
    turned = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    axial = slices_through(volume, mask, np.zeros(3), turned, 80.0, 40)[0]
    row, column = np.unravel_index(int(np.nanargmax(axial.values)), axial.values.shape)
    assert row >= 30
    assert abs(int(column) - 20) < 5


def test_windows(display: DisplaySettings) -> None:
    picture = np.concatenate([np.zeros(500), np.linspace(100.0, 200.0, 501), [np.nan]])
    bone, soft = windows_of(Quantity.HU, [picture], display)
    assert (bone.low, bone.high, bone.label) == (-500.0, 1500.0, "W 2000 L 500 HU")
    assert (soft.low, soft.high, soft.name) == (-160.0, 240.0, "soft tissue")
    (suv,) = windows_of(Quantity.SUVBW, [picture], display)
    assert (suv.low, suv.high, suv.inverse, suv.label) == (0.0, 5.0, True, "SUVbw 0–5 g/mL")
    (adc,) = windows_of(Quantity.ADC, [picture], display)
    assert (adc.high, adc.inverse) == (3000.0, False)
    (signal,) = windows_of(Quantity.MR_SIGNAL, [picture], display)
    assert (signal.low, signal.high) == pytest.approx((101.0, 199.0))
    assert signal.label == "101–199 (P1–P99)"
    (counts,) = windows_of(Quantity.COUNTS, [picture], display)
    assert counts.inverse


@pytest.mark.parametrize("picture", [np.zeros(9), np.full(9, np.nan), np.full(9, 7.0), -np.ones(9)])
def test_an_even_picture_has_a_window_too(picture: np.ndarray, display: DisplaySettings) -> None:
    (window,) = windows_of(Quantity.MR_SIGNAL, [picture], display)
    assert window.low < window.high


def test_field_of_view_grows_with_the_lesion_within_limits(display: DisplaySettings) -> None:
    low, high = display.field_of_view_mm
    assert display.field_of_view(1.0) == low
    assert display.field_of_view(80.0) == 80.0 * display.field_of_view_factor
    assert display.field_of_view(1000.0) == high
