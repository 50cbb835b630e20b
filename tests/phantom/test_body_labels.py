"""Bodies from label maps."""

from __future__ import annotations

import numpy as np
import pytest

from osteotrace.errors import DeclarationError, UnreadableFileError
from osteotrace.phantom.body import BodyOptions, body_from_labels
from osteotrace.phantom.body.build import plan_of
from osteotrace.phantom.body.labels import number_of
from osteotrace.phantom.body.pelvis import femur_fields
from osteotrace.phantom.body.thorax import rib_field
from osteotrace.phantom.body.vertebra import vertebra_fields
from osteotrace.phantom.field import Field
from osteotrace.phantom.records import Body, Person
from osteotrace.space import Grid, NiftiImage, write_nifti

PERSON = Person("M", 60, 1.72, 75.0)
LEVELS = ("T11", "T12", "L1", "L2", "L3")


def oblique_grid(low: np.ndarray, high: np.ndarray) -> Grid:
    angle = np.radians(8.0)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])
    spacing = np.array([1.4, 1.4, 2.0])
    middle, extent = (low + high) / 2, (high - low) + 30.0
    shape = np.ceil(extent / spacing).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = turn * spacing * np.array([-1.0, -1.0, 1.0])
    affine[:3, 3] = middle - affine[:3, :3] @ ((shape - 1) / 2)
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine, "1.2.3")


def labelled(shapes: dict[str, Field], grid: Grid) -> NiftiImage:
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), axis=-1)
    points = grid.points(index)
    values = np.zeros(grid.shape, dtype=np.uint8)
    for name, field in shapes.items():
        values[field.at(points) < 0] = number_of(name)
    return NiftiImage(values, grid)


@pytest.fixture(scope="module")
def spine():
    return plan_of(BodyOptions(size_m=1.7), 4)


@pytest.fixture(scope="module")
def image(spine) -> NiftiImage:
    shapes = {f"vertebrae_{level}": vertebra_fields(spine.spine.of(level), 1.5)[0] for level in LEVELS}
    shapes |= {
        f"rib_{'left' if rib.side > 0 else 'right'}_12": rib_field(rib, 1.5)
        for rib in spine.ribs
        if rib.number == 12
    }
    low = np.min([f.low for f in shapes.values()], axis=0)
    high = np.max([f.high for f in shapes.values()], axis=0)
    return labelled(shapes, oblique_grid(low, high))


@pytest.fixture(scope="module")
def body(image) -> Body:
    return body_from_labels(image, PERSON, 3)


def test_vertebrae_are_found_where_they_are(body, spine):
    for level in LEVELS:
        bone, truth = body.bone(level), spine.spine.of(level)
        assert np.linalg.norm(bone.centroid - truth.centre) < 3.5, level
        assert np.degrees(np.arccos(np.clip(bone.axes[:, 2] @ truth.axes[:, 2], -1, 1))) < 12.0
        assert np.degrees(np.arccos(np.clip(bone.axes[:, 0] @ truth.axes[:, 0], -1, 1))) < 8.0
        assert dict(bone.pieces).keys() == {"body", "posterior"}


def test_shapes_are_the_labelled_ones_on_an_oblique_anisotropic_map(body, spine):
    truth = vertebra_fields(spine.spine.of("L1"), 1.0)[0]
    inside = np.argwhere(truth.values < -1.5) * truth.step + truth.origin
    outside = np.argwhere((truth.values > 1.5) & (truth.values < 4.0)) * truth.step + truth.origin
    field = body.part("vertebrae_L1").shape
    assert (field.at(inside) < 0).mean() > 0.97
    assert (field.at(outside) > 0).mean() > 0.97


def test_shapes_are_distances(body):
    field = body.part("vertebrae_L2").shape
    near = np.abs(field.values) < 1.5
    steep = np.sqrt(sum(g * g for g in np.gradient(field.values, field.step)))[near]
    assert abs(np.median(steep) - 1.0) < 0.1


def test_canal_lies_behind_the_bodies_and_the_cord_ends_at_l1(body):
    cord = body.part("spinal_cord").shape
    points = np.argwhere(cord.values < 0)[::3] * cord.step + cord.origin
    for level in ("T11", "T12"):
        assert body.part(f"vertebrae_{level}").shape.at(points).min() > -0.5
    assert abs(points[:, 2].min() - body.bone("L1").centroid[2]) < 22.0


def test_discs_lie_between_the_bodies(body):
    disc = body.part("intervertebral_disc_L1_L2").shape
    middle = (body.bone("L1").centroid + body.bone("L2").centroid) / 2
    assert disc.at(middle[None])[0] < -2.0


def test_the_skin_holds_every_bone(body):
    skin = body.part("skin").shape
    for bone in body.bones:
        field = bone.part.shape
        points = np.argwhere(field.values < 0)[::9] * field.step + field.origin
        assert skin.at(points).max() < 0.0, bone.name


def test_ribs_hang_at_their_heads(body, spine):
    rib = body.bone("left rib 12")
    assert rib.hinge is not None
    assert np.linalg.norm(rib.hinge - spine.spine.of("T12").centre) < 45.0


def test_the_same_seed_gives_the_same_body(image, body):
    again = body_from_labels(image, PERSON, 3)
    for one, other in zip(body.parts, again.parts, strict=True):
        assert (one.name, one.fill) == (other.name, other.fill)
        np.testing.assert_array_equal(one.shape.values, other.shape.values)


def test_a_vertebra_cut_by_the_border_gets_the_axes_of_its_neighbour(image):
    top = int(np.flatnonzero((image.values == number_of("vertebrae_T11")).any(axis=(0, 1))).mean())
    start, stop = (0, 0, 0), (*image.grid.shape[:2], top)
    cut = NiftiImage(image.values[:, :, :top], image.grid.crop(start, stop))
    bone = body_from_labels(cut, PERSON, 3).bone("T11")
    assert bone.pieces == ()
    assert bone.axes[2, 2] > 0.8


def test_a_femur_gets_its_thick_cortex_and_a_map_its_muscles(spine):
    (femur, _), _ = femur_fields(spine.spine, 2.0)
    shapes = {
        f"vertebrae_{level}": vertebra_fields(spine.spine.of(level), 2.0)[0] for level in ("L3", "L4", "L5")
    }
    shapes["femur_left"] = femur
    muscle = np.full((20, 20, 40), 1.0, dtype=np.float32)
    muscle[4:-4, 4:-4, 4:-4] = -2.0
    for row, name in enumerate(
        ("gluteus_maximus_left", "iliopsoas_left", "liver", "heart", "costal_cartilages", "brain")
    ):
        shapes[name] = Field(muscle, np.array([60.0 + 40 * row, 90.0, -60.0]), 2.0)
    low = np.min([f.low for f in shapes.values()], axis=0)
    high = np.max([f.high for f in shapes.values()], axis=0)
    body = body_from_labels(labelled(shapes, oblique_grid(low, high)), PERSON, 1)
    names = {part.name: part for part in body.parts}
    assert names["femur_left_cortex"].carrier == "femur_left"
    assert {
        "gluteus_maximus_left_fat",
        "iliopsoas_left",
        "thoracic_cavity",
        "abdominal_cavity",
        "brain",
    } <= names.keys()
    assert names["liver"].carrier == "viscera"


def test_too_little_is_refused(image):
    few = NiftiImage(np.where(image.values == number_of("vertebrae_L1"), image.values, 0), image.grid)
    with pytest.raises(DeclarationError, match="fewer than two whole vertebrae"):
        body_from_labels(few, PERSON, 1)


def test_files_are_read(tmp_path, image):
    path = tmp_path / "labels.nii.gz"
    write_nifti(path, image.values, image.grid)
    assert len(body_from_labels(path, PERSON, 3).bones) == 7
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(b"no image")
    with pytest.raises(UnreadableFileError):
        body_from_labels(broken, PERSON, 3)


@pytest.mark.slow
@pytest.mark.parametrize(("subject", "bones"), [("s0327", 50), ("s0328", 25)])
def test_real_label_maps(osteotrace_data, subject, bones):
    path = osteotrace_data / f"nifti/ct_totalsegmentator_subjects/{subject}_labels117.nii.gz"
    body = body_from_labels(path, PERSON, 1)
    assert len(body.bones) >= bones
    heights = [body.bone(level).centroid[2] for level in ("T12", "L1", "L2", "L3", "L4", "L5", "sacrum")]
    assert heights == sorted(heights, reverse=True)
    assert {"liver", "spinal_cord", "intervertebral_disc_L4_L5", "skin"} <= {part.name for part in body.parts}
