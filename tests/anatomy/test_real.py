"""Real scans, where they are at hand."""

from pathlib import Path

import numpy as np
import pytest

from mr_vertebrae import volume_of
from osteotrace.anatomy import segment
from osteotrace.model.values import Modality
from osteotrace.space import Grid, NiftiImage, read_nifti

LUMBAR = "nifti/mr_lumbar_fastcleverseg/VB3/VB3_04_mr.nii.gz"


def test_a_real_lumbar_exam_has_its_bodies_in_any_storage_order(osteotrace_data: Path):
    image = read_nifti(osteotrace_data / LUMBAR, "lumbar")
    turned = np.ascontiguousarray(image.values.transpose(2, 0, 1)[::-1])
    affine = image.grid.affine.copy()
    affine[:3, :3] = image.grid.affine[:3, :3][:, [2, 0, 1]] * (-1, 1, 1)
    affine[:3, 3] = image.grid.points((0, 0, image.grid.shape[2] - 1))
    other = type(image)(turned, Grid(turned.shape, affine, "lumbar"))
    first, second = (segment(volume_of(i, "lumbar")) for i in (image, other))
    assert 5 <= len(first.bones) <= 7
    assert [b.id for b in first.bones] == [b.id for b in second.bones]
    for a, b in zip(first.bones, second.bones, strict=True):
        assert np.allclose(a.centroid_mm, b.centroid_mm, atol=3.0)


@pytest.mark.slow
def test_vertebrae_of_a_real_ct_without_a_landmark(osteotrace_data: Path):
    path = osteotrace_data / "nifti/tptbox_samples/ct/sub-ct_label-22_ct.nii.gz"
    anatomy = segment(volume_of(read_nifti(path, "ct"), "ct", Modality.CT))
    assert len(anatomy.vertebrae) == 2  # of the third, 10 mm are in view
    assert not anatomy.problems
    assert not anatomy.called("sacrum")


@pytest.mark.parametrize(
    ("turned", "code"), [((2,), "upside-down"), ((1,), "faces-backwards"), ((1, 2), "faces-backwards")]
)
def test_a_turned_spine_is_named_and_not_labelled(osteotrace_data: Path, turned, code):
    image = read_nifti(osteotrace_data / LUMBAR, "lumbar")
    axes = [int(np.abs(image.grid.direction[towards]).argmax()) for towards in turned]
    down = type(image)(np.ascontiguousarray(np.flip(image.values, axes)), image.grid)
    anatomy = segment(volume_of(down, "lumbar"))
    assert not anatomy.bones
    assert [p.code for p in anatomy.problems] == [code]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("towards", "code"), [(0, "sides-exchanged"), (1, "faces-backwards"), (2, "upside-down")]
)
def test_a_real_ct_that_is_mirrored_is_named(osteotrace_data: Path, towards, code):
    image = read_nifti(osteotrace_data / "nifti/totalsegmentator_example/example_ct.nii.gz", "ct")
    axis = int(np.abs(image.grid.direction[towards]).argmax())
    mirrored = type(image)(np.ascontiguousarray(np.flip(image.values, axis)), image.grid)
    anatomy = segment(volume_of(mirrored, "ct", Modality.CT))
    assert [p.code for p in anatomy.problems] == [code]
    assert bool(anatomy.bones) == (code == "sides-exchanged")


def test_in_noise_and_in_three_slices_no_ct_has_a_spine():
    grid = Grid((80, 80, 60), np.diag([4.0, 4.0, 4.0, 1.0]), "1")
    noise = np.random.default_rng(0).normal(0.0, 300.0, grid.shape).astype(np.float32)
    thin = NiftiImage(noise[:, :, :3], grid.crop((0, 0, 0), (80, 80, 3)))
    for image, code in ((NiftiImage(noise, grid), "no-spine-found"), (thin, "too-few-slices")):
        assert [p.code for p in segment(volume_of(image, "ct", Modality.CT)).problems] == [code]
