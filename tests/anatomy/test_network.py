import sys

import numpy as np
import pytest

from anatomy.fake_network import CHANNELS, canonical, network_with
from osteotrace.anatomy.network import (
    TileSettings,
    block_mean,
    canonical_axes,
    canonical_grid,
    load_network,
    network_of,
    on_lattice,
    probabilities,
    raw_answer,
    resample_part,
)
from osteotrace.errors import ProgramError
from osteotrace.space import Grid, resample


def turned(order, signs, angle=0.0):
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ (np.eye(3)[:, list(order)] * signs * (0.9, 1.1, 3.0))
    return Grid((40, 30, 10), affine, "1")


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 0, 1), (0, 2, 1)])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1)])
def test_canonical_axes_point_down_back_and_left_however_the_image_is_stored(order, signs):
    axes = canonical_axes(turned(order, signs))
    assert np.allclose(axes, [[0, 0, 1], [0, 1, 0], [-1, 0, 0]])


def test_an_oblique_image_keeps_its_own_axes():
    axes = canonical_axes(turned((1, 2, 0), (1, 1, 1), angle=0.3))
    assert np.isclose(axes[1, 1], np.cos(0.3))


def test_the_canonical_lattice_covers_the_field_of_view_and_keeps_its_centre():
    grid = turned((1, 2, 0), (1, -1, 1))
    lattice = canonical_grid(grid, (1.25, 1.25, 2.5))
    assert np.allclose(lattice.center, grid.center)
    assert (
        np.array(lattice.shape) * lattice.spacing >= np.sort(grid.shape * grid.spacing)[[1, 0, 1]] * 0
    ).all()
    assert lattice.contains(grid.corners * 0.999 + grid.center * 0.001).all()


def test_block_means_keep_values_at_their_place():
    grid = turned((0, 1, 2), (1, 1, 1))
    values = grid.points(np.moveaxis(np.indices(grid.shape), 0, -1))[..., 0]
    means, coarse = block_mean(values, grid, np.array([2, 3, 1]))
    assert np.allclose(means, coarse.points(np.moveaxis(np.indices(coarse.shape), 0, -1))[..., 0], atol=1e-4)


def test_a_ramp_is_the_same_ramp_on_the_lattice():
    grid = turned((2, 0, 1), (1, 1, -1))
    values = grid.points(np.moveaxis(np.indices(grid.shape), 0, -1))[..., 2].astype(np.float32)
    lattice = canonical_grid(grid, (2.0, 2.0, 2.0))
    out = on_lattice(values, grid, lattice)
    expected = lattice.points(np.moveaxis(np.indices(lattice.shape), 0, -1))[..., 2]
    inside = np.isfinite(out)
    assert inside.mean() > 0.6
    assert np.allclose(out[inside], expected[inside], atol=1e-2)


class Echo:
    def run(self, names, feeds):
        return [np.concatenate([feeds["image"]] * len(CHANNELS), axis=1)]


def test_tiles_leave_no_seam():
    network = network_with(body=np.zeros((2, 2, 2), np.float32))
    object.__setattr__(network, "session", Echo())
    image = np.random.default_rng(0).normal(size=(70, 33, 20)).astype(np.float32)
    answer = raw_answer(network, image, TileSettings((32, 32, 16), (8, 8, 4), (16, 16, 8)))
    assert answer.shape == (len(CHANNELS), 70, 33, 20)
    assert np.allclose(answer[3], image, atol=1e-5)


def test_probabilities_lie_between_zero_and_one_even_for_extreme_answers():
    network = network_with(body=np.zeros((2, 2, 2), np.float32))
    object.__setattr__(network, "session", Echo())
    image = np.array([-500.0, 0.0, 500.0], np.float32).reshape(3, 1, 1)
    out = probabilities(network, image, TileSettings((32, 32, 16), (8, 8, 4), (16, 16, 8)))[0].ravel()
    assert out[0] < 1e-6
    assert out[1] == 0.5
    assert out[2] == 1.0


def test_the_embedded_network_answers_for_any_shape():
    network = load_network("mr")
    assert network.channels == CHANNELS
    image = np.random.default_rng(1).normal(size=(30, 20, 9)).astype(np.float32)
    out = probabilities(network, image, TileSettings((64, 64, 16), (16, 16, 4), (16, 16, 8)))
    assert out.shape == (len(CHANNELS), 30, 20, 9)
    assert np.isfinite(out).all()
    assert canonical().shape == (128, 80, 24)


def test_a_missing_runtime_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ProgramError, match=r"onnxruntime is not installed.*osteotrace\[anatomy\]"):
        network_of(b"", 1)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize(
    "place", [(slice(12, 30), slice(9, 20), slice(2, 7)), (slice(0, 40), slice(14, 16), slice(8, 10))]
)
def test_a_part_is_resampled_as_in_the_whole(order, place):
    lattice, other = turned((0, 1, 2), (1, 1, 1)), turned((2, 0, 1), (1, -1, 1), angle=0.2)
    affine = other.affine.copy()
    affine[:3, 3] += lattice.center - other.center
    grid = Grid(other.shape, affine, "1")
    values = np.zeros(lattice.shape, np.float32)
    values[place] = np.random.default_rng(0).uniform(0.1, 1.0, values[place].shape)
    whole = resample(values, lattice, grid, order=order, fill=0.0)
    assert whole.any()
    assert np.allclose(resample_part(values, lattice, grid, order=order), whole, atol=1e-5)


def test_nothing_and_what_lies_elsewhere_are_nothing():
    lattice = canonical((10, 10, 10))
    far = Grid((5, 5, 5), np.array([[1.0, 0, 0, 900], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "1.2.3")
    assert not resample_part(np.zeros((10, 10, 10), np.float32), lattice, far).any()
    assert not resample_part(np.ones((10, 10, 10), np.float32), lattice, far).any()
