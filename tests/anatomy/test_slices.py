import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anatomy.fake_network import canonical
from osteotrace.anatomy.network import canonical_axes
from osteotrace.anatomy.slices import Slices, interpolated_from, own_slices, reading_grid
from osteotrace.space import Grid


def made_finer(step, n=61, first=0.0, seed=0):
    """Random slices `step` voxels apart, and linear interpolation between them; shape (30, 30, n)."""
    rng = np.random.default_rng(seed)
    slices = rng.integers(0, 200, (30, 30, 40)).astype(float)
    at = (np.arange(n) - first) / step + 2
    low = np.floor(at).astype(int)
    share = at - low
    return np.round(slices[..., low] * (1 - share) + slices[..., low + 1] * share)


def sagittal(shape, spacing):
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]]) * spacing
    affine[:3, 3] = (-30.0, 20.0, 40.0)
    return Grid(shape, affine, "1.2.3")


@pytest.mark.parametrize(("step", "first"), [(4.0, 0.0), (4.4, 0.0), (3.85, 0.0), (3.0, 1.0)])
def test_slices_are_found_in_an_image_that_was_made_finer(step, first):
    found = interpolated_from(made_finer(step, first=first), 2)
    assert found is not None
    assert found.step == pytest.approx(step, abs=0.051)
    assert found.first == pytest.approx(first, abs=0.26)


def test_noise_and_few_slices_were_not_made_finer():
    rng = np.random.default_rng(1)
    assert interpolated_from(rng.normal(size=(30, 30, 60)), 2) is None
    assert interpolated_from(made_finer(4.0, n=12), 2) is None
    assert interpolated_from(np.zeros((30, 30, 60)), 2) is None


def test_the_own_slices_are_those_that_were_interpolated():
    fine = made_finer(4.0)
    own, grid = own_slices(fine, sagittal(fine.shape, (1.0, 1.0, 1.0)))
    assert grid.shape == (30, 30, 16)
    assert np.array_equal(own, fine[:, :, ::4])
    assert np.allclose(grid.points((3, 4, 5)), sagittal(fine.shape, (1.0, 1.0, 1.0)).points((3, 4, 20)))


def test_thick_slices_stay_and_are_not_looked_into():
    values = made_finer(4.0)
    grid = sagittal(values.shape, (1.0, 1.0, 3.0))
    assert own_slices(values, grid)[0] is values


@given(
    spacing=st.floats(1.6, 6.0),
    count=st.integers(5, 30),
    flip=st.sampled_from([(1, 1, 1), (-1, 1, -1), (1, -1, 1)]),
)
@settings(max_examples=40, deadline=None)
def test_every_slice_of_the_image_is_a_slice_of_the_lattice(spacing, count, flip):
    grid = sagittal((40, 50, count), np.array([0.8, 0.7, spacing]) * flip)
    lattice = reading_grid(grid)
    left = lattice.direction[:, 2]
    at = np.array([grid.points((0, 0, n)) for n in range(count)]) @ left
    have = np.array([lattice.points((0, 0, n)) for n in range(lattice.shape[2])]) @ left
    assert np.abs(at[:, None] - have[None]).min(axis=1).max() < 1e-6
    assert have.min() == pytest.approx(at.min())
    assert have.max() == pytest.approx(at.max())
    assert 1.3 < lattice.spacing[2] <= 2.75 + 1e-9
    assert np.allclose(lattice.spacing[:2], 1.25)
    assert np.allclose(lattice.direction, canonical_axes(grid))


def test_thin_slices_are_read_together():
    lattice = reading_grid(canonical((100, 80, 90), (1.0, 1.0, 0.5)))
    assert np.allclose(lattice.spacing, (1.25, 1.25, 2.0))


def test_slices_know_their_indices():
    assert np.allclose(Slices(0.5, 2.0).within(7), (0.5, 2.5, 4.5))
