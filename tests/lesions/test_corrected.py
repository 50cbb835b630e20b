from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from osteotrace.errors import DeclarationError
from osteotrace.lesions import correct, identity_pairs, lesions_of
from osteotrace.model.corrections import (
    AddMask,
    ById,
    Corrections,
    Different,
    NotALesion,
    ReplaceMask,
    Same,
)
from osteotrace.model.lesion import Lesion
from osteotrace.model.patient import PatientImages
from osteotrace.space import write_nifti
from scene import CT, PET, Ball, images

SMALL, LARGE = Ball((0.0, 0.0, 0.0), 10.0), Ball((0.0, 0.0, 0.0), 18.0)


@pytest.fixture
def patient() -> PatientImages:
    return images(SMALL, regions=(SMALL.region(CT, 1), SMALL.region(PET, 1)))


@pytest.fixture
def outlined(patient: PatientImages) -> tuple[Lesion, ...]:
    return lesions_of(patient)[0]


def _file(folder: Path, ball: Ball, series: str) -> Path:
    volume = images(ball).volume(series)
    assert volume is not None
    path = folder / "mask.nii.gz"
    write_nifti(path, ball.inside(series), volume.grid)
    return path


def test_not_a_lesion_takes_it_out(patient: PatientImages, outlined: tuple[Lesion, ...]) -> None:
    kept = correct(outlined, Corrections((NotALesion(ById("E2-R1")),)), patient)
    assert [x.id for x in kept] == ["E3-R1"]


def test_a_replaced_mask_keeps_the_identity(
    patient: PatientImages, outlined: tuple[Lesion, ...], tmp_path: Path
) -> None:
    item = ReplaceMask(_file(tmp_path, LARGE, CT), ById("E2-R1"))
    changed = correct(outlined, Corrections((item,)), patient)[0]
    assert changed.id == "E2-R1"
    assert changed.origin.method == "corrected"
    assert changed.mask.n_voxels == LARGE.mask(CT).n_voxels


def test_an_added_mask_gets_the_next_number(
    patient: PatientImages, outlined: tuple[Lesion, ...], tmp_path: Path
) -> None:
    item = AddMask(_file(tmp_path, LARGE, CT), CT, "iliac wing")
    added = correct(outlined, Corrections((item,)), patient)[-1]
    assert (added.id, added.name, added.exam_id) == ("E2-R2", "iliac wing", "E2")


def test_a_mask_on_another_lattice_is_refused(
    patient: PatientImages, outlined: tuple[Lesion, ...], tmp_path: Path
) -> None:
    item = AddMask(_file(tmp_path, LARGE, PET), CT, "x")
    with pytest.raises(DeclarationError, match=r"the mask lies on another lattice: Grid\(40 x 40 x 40"):
        correct(outlined, Corrections((item,)), patient)


def test_an_unknown_series_is_refused(
    patient: PatientImages, outlined: tuple[Lesion, ...], tmp_path: Path
) -> None:
    item = AddMask(_file(tmp_path, LARGE, CT), "nothing", "x")
    with pytest.raises(DeclarationError, match="no volume has the series id nothing"):
        correct(outlined, Corrections((item,)), patient)


def test_an_empty_label_is_refused(
    patient: PatientImages, outlined: tuple[Lesion, ...], tmp_path: Path
) -> None:
    item = AddMask(_file(tmp_path, LARGE, CT), CT, "x", label=7)
    with pytest.raises(DeclarationError, match="the mask is empty"):
        correct(outlined, Corrections((item,)), patient)


def test_an_unknown_lesion_is_refused(patient: PatientImages, outlined: tuple[Lesion, ...]) -> None:
    with pytest.raises(DeclarationError, match="E9-R9"):
        correct(outlined, Corrections((NotALesion(ById("E9-R9")),)), patient)


def test_identity_pairs(outlined: tuple[Lesion, ...]) -> None:
    one, other = ById("E2-R1"), ById("E3-R1")
    same, different = identity_pairs(outlined, Corrections((Same((one, other)), Different((one, other)))))
    assert same == different == (("E2-R1", "E3-R1"),)


def test_no_correction_changes_nothing(patient: PatientImages, outlined: tuple[Lesion, ...]) -> None:
    assert correct(outlined, Corrections(), patient) == outlined
    assert np.array_equal(outlined[0].mask.values, SMALL.mask(CT).values)
