"""Partial volume, order of drawing, motion and textures of the renderer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from osteotrace.errors import FrameMismatchError, SpaceError
from osteotrace.phantom.records import Insert, Material, Posture, SoftMap
from osteotrace.phantom.scanner.labels import bone_labels, insert_box, insert_labels, insert_share
from osteotrace.phantom.scanner.render import render
from osteotrace.phantom.scanner.scene import Paint
from osteotrace.phantom.scanner.texture import texture
from osteotrace.space import Grid
from phantom_bodies import (
    CORTEX,
    FRAME,
    MARROW,
    MUSCLE,
    TUMOUR,
    bone,
    box,
    grid,
    part,
    scene,
    sphere,
    still,
)

HU = Paint(lambda m: (m.hu,), lambda m: (m.hu_texture,), (-1000.0,))
SHARE = Paint(lambda _: (1.0,), lambda _: (0.0,), (0.0,))


@settings(max_examples=20, deadline=None)
@given(offset=st.floats(0.0, 1.0), axis=st.integers(0, 2))
def test_a_plane_anywhere_in_a_voxel_gives_the_exact_share(offset: float, axis: int):
    high = np.full(3, 60.0)
    high[axis] = offset
    body = scene([part("block", box(np.full(3, -60.0), high, 1.0), MUSCLE)])
    spacing = np.array([0.8, 0.9, 2.0])
    found = render(body, grid((9, 9, 9), tuple(spacing), np.zeros(3)), SHARE)[0]
    line = np.moveaxis(found, axis, 0)[:, 4, 4]
    centers = (np.arange(9) - 4) * spacing[axis]
    expected = np.clip((offset - centers) / spacing[axis] + 0.5, 0, 1)
    np.testing.assert_allclose(line, expected, atol=0.02)


@pytest.mark.parametrize("radius", [4.0, 8.0, 15.0])
@pytest.mark.parametrize("offset", [(0.0, 0.0, 0.0), (0.37, 0.21, 0.93), (0.1, 0.44, 1.6)])
def test_the_volume_of_a_sphere_is_kept_at_any_offset(radius: float, offset: tuple[float, float, float]):
    body = scene([part("ball", sphere(offset, radius, 0.5), MUSCLE)])
    lattice = grid((64, 64, 32), (0.8, 0.8, 2.0), (0, 0, 0))
    found = render(body, lattice, SHARE, samples=(1, 1, 2))
    volume = float(found.sum(dtype=np.float64)) * lattice.voxel_volume_mm3
    assert volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.01)


def test_an_oblique_plane_is_off_by_no_more_than_a_few_percent_of_a_voxel():
    body = scene([part("ball", sphere((0, 0, 0), 30.0, 1.0), MUSCLE)])
    coarse = render(body, grid((40, 40, 40), (2, 2, 2), (0.3, 0.2, 0.1)), SHARE)
    fine = render(body, grid((40, 40, 40), (2, 2, 2), (0.3, 0.2, 0.1)), SHARE, samples=(4, 4, 4))
    assert np.abs(coarse - fine).max() < 0.06


def test_a_shell_thinner_than_a_voxel_keeps_its_share():
    body = scene([], [bone("rib", box((-30, -30, -30), (30, 30, 30), 1.0), shell_mm=1.2)])
    paint = Paint(lambda m: (float(m == CORTEX), float(m == MARROW)), lambda _: (0.0, 0.0), (0.0, 0.0))
    shell, fill = render(body, grid((41, 3, 3), (2.0, 2.0, 2.0), (0.7, 0, 0)), paint)
    assert shell[:, 1, 1].sum() * 2.0 == pytest.approx(2 * 1.2, abs=0.05)
    assert fill[:, 1, 1].sum() * 2.0 == pytest.approx(60 - 2.4, abs=0.05)


def test_later_parts_lie_over_earlier_ones_and_inserts_over_their_bone():
    lesion = Insert("B1", "rib", "marrow", sphere((0, 0, 0), 40.0), 0.0, TUMOUR)
    made = bone("rib", box((-20, -20, -20), (20, 20, 20), 1.0), shell_mm=3.0)
    body = scene([part("fat", box((-40,) * 3, (40,) * 3), MUSCLE)], [made], [lesion])
    line = render(body, grid((101, 1, 1), (1, 1, 1), (0, 0, 0)), HU)[0, :, 0, 0]
    assert line[50] == TUMOUR.hu
    assert line[50 + 18] == CORTEX.hu
    assert line[50 + 30] == MUSCLE.hu
    assert line[0] == -1000


@pytest.mark.parametrize(("within", "at_cortex", "outside"), [("bone", 400.0, 56.0), ("free", 400.0, 400.0)])
def test_where_an_insert_is_shown(within: str, at_cortex: float, outside: float):
    lesion = Insert("B1", "rib", within, sphere((18, 0, 0), 9.0), 0.0, TUMOUR)  # type: ignore[arg-type]
    made = bone("rib", box((-20, -20, -20), (20, 20, 20), 1.0), shell_mm=3.0)
    body = scene([part("fat", box((-40,) * 3, (40,) * 3), MUSCLE)], [made], [lesion])
    line = render(body, grid((101, 1, 1), (1, 1, 1), (0, 0, 0)), HU)[0, :, 0, 0]
    assert line[50 + 18] == at_cortex
    assert line[50 + 23] == outside


def test_a_core_lies_inside_and_both_grow():
    lesion = Insert(
        "B1", "wall", "free", sphere((0, 0, 0), 10.0), 3.0, TUMOUR, (sphere((0, 0, 0), 4.0), MUSCLE)
    )
    line = render(scene([], inserts=[lesion]), grid((41, 1, 1), (1, 1, 1), (0, 0, 0)), HU)[0, :, 0, 0]
    assert (line[20], line[20 + 6], line[20 + 9], line[20 + 12]) == (56.0, 56.0, 400.0, 400.0)
    assert line[20 + 14] == -1000.0


def test_bones_move_rigidly_and_soft_tissue_by_its_map():
    made = bone("femur", box((-5, -5, -20), (5, 5, 20), 1.0))
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("y", 90, degrees=True).as_matrix()
    matrix[:3, 3] = (100, 0, 0)
    lines = np.stack(np.meshgrid(*[np.arange(21) * 20.0 - 200] * 3, indexing="ij"), axis=-1)
    displacement = np.stack(
        [0.1 * lines[..., 0], np.zeros_like(lines[..., 0]), np.full(lines.shape[:3], 7)], -1
    )
    soft = SoftMap(displacement.astype(np.float32), np.full(3, -200.0), 20.0)
    posture = Posture(FRAME, {"femur": matrix}, {"wall": soft})
    body = scene([part("muscle", box((-33, -20, -20), (33, 20, 20), 1.0), MUSCLE)], [made], posture=posture)
    found = render(body, grid((161, 1, 81), (1, 1, 1), (50, 0, 0)), HU)[0, :, 0]
    bone_x = np.flatnonzero((found > 100).any(axis=1)) - 80 + 50
    assert (bone_x.min(), bone_x.max()) == (81, 119)  # its ends cut the voxels at 80 and 120 in half
    muscle_x = np.flatnonzero((found == MUSCLE.hu).any(axis=1)) - 80 + 50
    assert (muscle_x.min(), muscle_x.max()) == (-29, 29)  # 33 / 1.1 is the middle of the last voxel
    muscle_z = np.flatnonzero((found == MUSCLE.hu).any(axis=0)) - 40
    assert (muscle_z.min(), muscle_z.max()) == (-26, 12)


def test_texture_moves_with_the_bone_and_is_the_same_in_every_exam():
    rough = replace(MARROW, hu_texture=30.0, grain_mm=4.0)
    made = bone("hip", sphere((0, 0, 0), 20.0))
    made = replace(made, part=replace(made.part, fill=rough))
    first = render(scene([], [made]), grid((21, 21, 21), (1, 1, 1), (0, 0, 0)), HU)
    moved = scene([], [made], posture=still(made, shift=(5.0, 7.0, -3.0)))
    second = render(moved, grid((21, 21, 21), (1, 1, 1), (5, 7, -3)), HU)
    np.testing.assert_allclose(first, second, atol=1e-3)
    assert first.std() == pytest.approx(30.0, rel=0.35)
    other = render(scene([], [made], seed=2), grid((21, 21, 21), (1, 1, 1), (0, 0, 0)), HU)
    assert np.abs(other - first).max() > 30.0


def test_texture_is_periodic_noise_of_unit_sd_with_the_grain_asked_for():
    lattice, step = texture(3).level(4.0, 0.5)
    assert step == 1.0
    assert lattice.std() == pytest.approx(1.0, rel=0.02)
    spectrum = np.abs(np.fft.fftn(lattice)) ** 2
    correlation = np.fft.ifftn(spectrum).real / spectrum.sum() * lattice.size
    assert correlation[2, 0, 0] / correlation[0, 0, 0] == pytest.approx(0.5, abs=0.05)  # half at half a grain
    assert texture(3).level(4.0, 4.0)[0].std() < 0.7  # coarse samples average it out


def test_threads_and_cropping_do_not_change_a_voxel():
    rough = replace(MUSCLE, hu_texture=10.0)
    body = scene(
        [part("muscle", sphere((3, 2, 1), 70.0, 2.0), rough)], [bone("rib", sphere((9, 1, 0), 14.0))]
    )
    lattice = grid((200, 200, 250), (0.8, 0.8, 0.8), (0, 0, 0))
    one = render(body, lattice, HU, threads=1)
    two = render(body, lattice, HU, threads=2)
    assert np.array_equal(one, two)
    cropped = render(body, lattice.crop((50, 50, 100), (150, 150, 150)), HU)
    inner = one[:, 50:150, 50:150, 100:150]
    assert np.abs(cropped - inner).mean() < 0.5  # rounding picks another node of the texture now and then


def test_a_grid_of_another_frame_or_too_coarse_is_refused():
    body = scene([part("ball", sphere((0, 0, 0), 10.0), MUSCLE)])
    with pytest.raises(FrameMismatchError):
        render(body, Grid((2, 2, 2), np.eye(4), "9.9"), HU)
    with pytest.raises(SpaceError, match="the samples measure"):
        render(body, grid((2, 2, 2), (5, 5, 5), (0, 0, 0)), HU)


def test_fields_that_are_clamped_far_from_the_surface_make_no_holes():
    shape = sphere((0, 0, 0), 40.0)
    clamped = np.where(np.abs(shape.values) > 5, 12 * np.sign(shape.values), shape.values)
    jumpy = replace(shape, values=clamped.astype(np.float32))
    lattice = grid((100, 100, 100), (1, 1, 1), (0, 0, 0))
    smooth = render(scene([part("a", shape, MUSCLE)]), lattice, SHARE)
    np.testing.assert_allclose(render(scene([part("a", jumpy, MUSCLE)]), lattice, SHARE), smooth, atol=1e-3)


def test_truth_says_which_bone_and_which_insert_fill_a_voxel():
    made = (bone("a", sphere((-15, 0, 0), 10.0)), bone("b", sphere((15, 0, 0), 10.0)))
    lesion = Insert("B1", "b", "marrow", sphere((15, 0, 0), 5.0, 0.5), 0.0, TUMOUR)
    mass = Insert("M1", "wall", "free", sphere((0, 20, 0), 4.0, 0.5), 0.0, MUSCLE)
    body = scene([], made, [lesion, mass])
    lattice = grid((60, 60, 30), (1, 1, 1), (0, 0, 0))
    bones = bone_labels(body, lattice)
    assert np.bincount(bones.ravel())[1:] == pytest.approx([4189, 4189], rel=0.02)
    assert bones[15, 30, 15] == 1
    inserts = insert_labels(body, lattice, samples=(2, 2, 2))
    assert np.bincount(inserts.ravel())[1:] == pytest.approx([523.6, 268.1], rel=0.1)
    share = insert_share(body, "B1", lattice, samples=(2, 2, 2))
    assert share.sum() == pytest.approx(523.6, rel=0.01)
    around = insert_box(body, "M1", lattice, 2.0)
    assert around is not None
    assert around.contains(np.array([0.0, 20.0, 0.0]))
    assert insert_box(body, "M1", grid((5, 5, 5), (1, 1, 1), (200, 0, 0)), 2.0) is None
    assert not insert_share(body, "M1", grid((5, 5, 5), (1, 1, 1), (200, 0, 0))).any()
    with pytest.raises(KeyError):
        insert_share(body, "B9", lattice)


def test_an_insert_outside_of_the_grid_changes_nothing():
    empty = Material(0.0, 1000.0, 50.0)
    lesion = Insert("B1", "wall", "free", sphere((500, 0, 0), 5.0), 0.0, empty)
    body = scene([part("ball", sphere((0, 0, 0), 10.0), MUSCLE)])
    lattice = grid((30, 30, 30), (1, 1, 1), (0, 0, 0))
    with_lesion = scene([part("ball", sphere((0, 0, 0), 10.0), MUSCLE)], inserts=[lesion])
    assert np.array_equal(render(body, lattice, HU), render(with_lesion, lattice, HU))
