"""Drawings in NIfTI files that a person declared to be of an image."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from osteotrace.intake.nifti_masks import import_masks
from osteotrace.model.case import MaskDeclaration
from osteotrace.model.fields import file_sha256
from osteotrace.model.values import Basis, Severity
from osteotrace.space import Grid, write_nifti
from region_cases import ball, make_grid, make_volume

GRID = make_grid()
VOLUME = make_volume(GRID)
LABELS = np.where(ball(GRID, GRID.points((20, 20, 15)), 6), 3, 0).astype(np.uint8)
LABELS[45:50, 30:35, 2:5] = 7


def read(path, labels=(), grid=GRID):
    image = path.parent / "t1.nii.gz"
    image.touch()
    volume = make_volume(grid) if grid is not GRID else VOLUME
    declaration = MaskDeclaration("case.toml: image 2", (path,), image, labels)
    return import_masks((declaration,), {image.resolve(): volume})


def written(tmp_path, values=LABELS, grid=GRID, name="lesions.nii.gz"):
    path = tmp_path / name
    write_nifti(path, values, grid)
    return path


def test_every_declared_label_becomes_a_region(tmp_path):
    path = written(tmp_path)
    regions, problems = read(path, ((3, "L1 lesion"), (7, "L5 lesion")))
    assert [(r.name, r.number, r.source_kind) for r in regions] == [
        ("L1 lesion", 3, "NIfTI"),
        ("L5 lesion", 7, "NIfTI"),
    ]
    for region in regions:
        np.testing.assert_array_equal(region.mask.on(GRID), region.number == LABELS)
        assert region.series_id == VOLUME.series.id
        assert (region.placed.basis, region.placed.source) == (Basis.DECLARED, "case.toml: image 2")
        assert region.source_uid == file_sha256(path)
        assert region.mask.grid.frame_of_reference_uid == GRID.frame_of_reference_uid
    assert problems == ()


def test_labels_without_names_are_named_after_the_file(tmp_path):
    assert [r.name for r in read(written(tmp_path))[0]] == ["lesions 3", "lesions 7"]
    assert [r.name for r in read(written(tmp_path, LABELS == 3))[0]] == ["lesions"]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_whole_numbers_of_any_type_are_labels(tmp_path, dtype):
    regions, _ = read(written(tmp_path, LABELS.astype(dtype)))
    assert [r.number for r in regions] == [3, 7]


def test_another_order_of_the_axes_lands_on_the_image(tmp_path):
    affine = GRID.affine[:, [1, 0, 2, 3]].copy()
    affine[:3, 2] *= -1
    affine[:3, 3] = GRID.points((0, 0, 29))
    turned = Grid((50, 60, 30), affine, GRID.frame_of_reference_uid)
    regions, problems = read(written(tmp_path, np.swapaxes(LABELS, 0, 1)[:, :, ::-1], turned))
    np.testing.assert_array_equal(regions[0].mask.on(GRID), LABELS == 3)
    assert problems == ()


def test_a_lattice_of_its_own_is_kept_and_said(tmp_path):
    own = make_grid((40, 40, 40), (0.9, 0.9, 0.9), (-20, -20, 50))
    mask = ball(own, own.points((20, 20, 20)), 6)
    (region,), (problem,) = read(written(tmp_path, mask, own))
    assert region.mask.n_voxels == mask.sum()
    assert problem.severity is Severity.INFO
    assert problem.found == "the drawing has a lattice of its own (0.90 x 0.90 x 0.90 mm), which was kept"


def test_a_drawing_partly_outside_tells_the_share(tmp_path):
    (_, region), (problem,) = read(written(tmp_path), grid=make_grid((47, 50, 30)))
    assert region.mask.n_voxels == 2 * 5 * 3
    assert problem.severity is Severity.WARNING
    assert problem.found == "60.0% of the drawing lies outside the image"


@pytest.mark.parametrize("step", [1.0, 0.93])
def test_a_drawing_wholly_outside_is_refused(tmp_path, step):
    far = make_grid((10, 10, 10), (0.8 * step, 1.25 * step, 2.0 * step), (780, -30, 40))
    regions, (problem,) = read(written(tmp_path, np.ones((10, 10, 10), dtype=np.uint8), far))
    assert regions == ()
    assert problem.severity is Severity.REFUSED
    assert problem.found == "the label was refused: the drawing lies wholly outside the image"


def test_values_between_whole_numbers_are_refused(tmp_path):
    _, (problem,) = read(written(tmp_path, (LABELS * 0.1).astype(np.float32)))
    assert problem.found == "the drawing was refused: the file holds values that are no labels, such as 0.3"
    assert problem.remedy == "apply the threshold that you mean and save a label map"


def test_values_that_are_not_finite_are_refused(tmp_path):
    values = LABELS.astype(np.float32)
    values[0, 0, 0] = np.nan
    _, (problem,) = read(written(tmp_path, values))
    assert problem.found.endswith("values that are no labels, such as nan")


def test_values_below_zero_are_refused(tmp_path):
    _, (problem,) = read(written(tmp_path, LABELS.astype(np.int16) - 1))
    assert problem.found == "the drawing was refused: the file holds 3 values from -1 on"


def test_an_image_instead_of_labels_is_refused(tmp_path):
    values = np.arange(GRID.shape[0] * 50 * 30).reshape(GRID.shape).astype(np.int32)
    _, (problem,) = read(written(tmp_path, values))
    assert "the file holds 90000 values" in problem.found


def test_an_empty_drawing_is_refused(tmp_path):
    regions, (problem,) = read(written(tmp_path, np.zeros_like(LABELS)))
    assert regions == ()
    assert problem.found == "the drawing was refused: the drawing is empty"
    assert problem.where == "lesions.nii.gz"


def test_a_declared_label_that_is_absent_is_refused_and_others_go_on(tmp_path):
    (region,), problems = read(written(tmp_path), ((3, "L1"), (4, "L2")))
    assert region.name == "L1"
    assert [p.found for p in problems] == [
        "labels without a declared name were left out: 7",
        "the label was refused: no voxel has this label",
    ]
    assert problems[1].where == "lesions.nii.gz, label 4 L2"


def test_a_drawing_of_an_image_that_was_not_read_is_refused(tmp_path):
    path = written(tmp_path)
    declaration = MaskDeclaration("case.toml: image 2", (path,), tmp_path / "gone.nii.gz")
    regions, (problem,) = import_masks((declaration,), {})
    assert regions == ()
    assert problem.found == "the drawing was refused: the image of the drawing was not read"


def test_a_broken_file_does_not_stop_the_others(tmp_path):
    good, bad = written(tmp_path), tmp_path / "bad.nii.gz"
    bad.write_bytes(b"no image at all")
    image = tmp_path / "t1.nii.gz"
    image.touch()
    declaration = MaskDeclaration("case.toml: image 2", (bad, tmp_path / "gone.nii", good), image)
    regions, problems = import_masks((declaration,), {image.resolve(): VOLUME})
    assert len(regions) == 2
    assert [p.severity for p in problems] == [Severity.REFUSED] * 2
    assert [p.where for p in problems] == ["bad.nii.gz", "gone.nii"]


def test_colours_are_refused(tmp_path):
    values = np.zeros((4, 4, 4), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    path = tmp_path / "rgb.nii"
    nib.save(nib.Nifti1Image(values, np.eye(4)), path)
    _, (problem,) = read(path)
    assert problem.found.startswith("the drawing was refused: the values are")
