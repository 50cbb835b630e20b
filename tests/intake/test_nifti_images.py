"""NIfTI images: nothing is assumed, everything is declared."""

from __future__ import annotations

import shutil

import nibabel as nib
import numpy as np
import pytest

from dicom_images import write_stack
from osteotrace.errors import NothingFoundError
from osteotrace.intake import read_study, scan
from osteotrace.model.case import read_case
from osteotrace.model.imaging import CtFacts
from osteotrace.model.values import Basis, Modality, Quantity

RAS = np.diag([-2.0, -2.0, 3.0, 1.0])
MR = 'modality = "MR"\nquantity = "MR signal"\ndate = 2024-03-05\n'


def write(path, values=None, affine=RAS):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.arange(60, dtype=np.int16).reshape(3, 4, 5) if values is None else values
    nib.save(nib.Nifti1Image(data, affine), path)
    return path


def test_a_sidecar_declares_an_image(tmp_path):
    write(tmp_path / "t1.nii.gz")
    (tmp_path / "t1.toml").write_text(MR + 'weighting = "T1W"\nfat_suppression = false\n')
    found = read_study(tmp_path)
    (volume,) = found.volumes
    assert (volume.series.modality, volume.series.quantity, volume.series.source) == (
        Modality.MR,
        Quantity.MR_SIGNAL,
        "nifti",
    )
    assert volume.series.name == "T1"
    facts = volume.series.facts
    assert (facts.weighting.value, facts.weighting.basis, facts.weighting.source) == (
        "T1W",
        Basis.DECLARED,
        "t1.toml: weighting",
    )
    assert facts.fat_suppression.value == "no"
    assert facts.contrast.basis is Basis.UNKNOWN
    np.testing.assert_allclose(volume.grid.affine, np.diag([2.0, 2.0, 3.0, 1.0]))
    assert [e.name for e in found.timeline.exams] == ["MR 2024-03-05"]
    assert found.problems == ()


def test_stir_suppresses_fat_without_a_word_about_it(tmp_path):
    write(tmp_path / "stir.nii.gz")
    (tmp_path / "stir.toml").write_text(MR + 'weighting = "STIR"\n')
    (volume,) = read_study(tmp_path).volumes
    assert volume.series.facts.fat_suppression.value == "yes"
    assert "STIR" in volume.series.facts.fat_suppression.source


def test_images_of_one_day_follow_their_file_names(tmp_path):
    for number in range(4):
        write(tmp_path / f"im{number}.nii", np.full((4, 5, 6), 10 + number, dtype=np.int16))
        (tmp_path / f"im{number}.toml").write_text(MR)
    (exam,) = read_study(tmp_path).timeline.exams
    assert [s.description for s in exam.series] == ["im0", "im1", "im2", "im3"]


def test_an_undeclared_image_is_left_out_and_the_message_says_what_to_write(tmp_path):
    write(tmp_path / "t1.nii")
    (problem,) = read_study(tmp_path).problems
    assert (problem.severity, problem.where) == ("excluded", "t1.nii")
    assert "write t1.toml beside it" in problem.remedy
    assert "--case" in problem.remedy
    assert 'modality = "MR", quantity = "MR signal", date = 2000-01-31' in problem.remedy


def test_case_toml_declares_images_and_names_the_patient(tmp_path):
    write(tmp_path / "mr" / "t1.nii")
    write(tmp_path / "mr" / "t2.nii", np.ones((3, 4, 5), np.int16))
    (tmp_path / "case.toml").write_text(
        '[patient]\nid = "P7"\nsex = "F"\nage_years = 61\n'
        f'[[image]]\nfile = "mr/*.nii"\n{MR}frame = "spine"\n'
    )
    found = read_study(tmp_path, case=read_case(tmp_path / "case.toml"))
    assert (found.patient.patient_id, found.patient.sex, found.patient.age_years) == ("P7", "F", 61)
    assert len({v.grid.frame_of_reference_uid for v in found.volumes}) == 1
    assert len(found.timeline.exams) == 1


def test_images_without_a_declared_frame_share_none(tmp_path):
    for name, fill in (("a", 1), ("b", 2)):
        write(tmp_path / f"{name}.nii", np.full((3, 4, 5), fill, np.int16))
        (tmp_path / f"{name}.toml").write_text(MR)
    frames = {v.grid.frame_of_reference_uid for v in read_study(tmp_path).volumes}
    assert len(frames) == 2
    assert all(f.startswith("2.25.") and len(f) <= 64 for f in frames)


def test_the_series_id_comes_from_the_content_not_the_name(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / name / f"{name}.nii")
        (tmp_path / name / f"{name}.toml").write_text(MR)
    ids = [read_study(tmp_path / n).volumes[0].series.id for n in "ab"]
    assert ids[0] == ids[1]


def test_a_copy_is_read_once(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.nii")
        (tmp_path / f"{name}.toml").write_text(MR)
    found = read_study(tmp_path)
    assert len(found.volumes) == 1
    assert [(p.code, p.where) for p in found.problems] == [("duplicate-file", "b.nii")]


def test_the_declared_unit_is_converted(tmp_path):
    write(tmp_path / "adc.nii", np.full((3, 4, 5), 1.2e-3, np.float32))
    declared = 'modality = "MR"\nquantity = "ADC"\nunit = "mm2/s"\ndate = 2024-03-05\n'
    (tmp_path / "adc.toml").write_text(declared)
    (volume,) = read_study(tmp_path).volumes
    assert (volume.series.unit, volume.series.name) == ("um2/s", "ADC")
    np.testing.assert_allclose(volume.values, 1200, rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.full((3, 4, 5), 200, np.uint8), np.int16),
        (np.full((3, 4, 5), 40000, np.uint16), np.float32),
        (np.full((3, 4, 5), 1.5, np.float64), np.float32),
    ],
)
def test_values_keep_what_they_are(tmp_path, values, dtype):
    write(tmp_path / "ct.nii", values)
    declared = 'modality = "CT"\nquantity = "HU"\ndate = 2024-03-05\ncontrast = true\n'
    (tmp_path / "ct.toml").write_text(declared)
    (volume,) = read_study(tmp_path).volumes
    assert volume.values.dtype == dtype
    np.testing.assert_array_equal(volume.values, values)
    assert isinstance(volume.series.facts, CtFacts)
    assert volume.series.facts.contrast.value == "yes"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.full((3, 4, 5), np.nan, np.float32), "some voxels are not finite"),
        (np.ones((3, 4, 5, 2), np.int16), "the image has shape (3, 4, 5, 2)"),
        (np.ones((3, 4, 5), np.complex64), "complex64"),
    ],
)
def test_what_is_no_image_of_numbers_is_refused(tmp_path, values, words):
    write(tmp_path / "x.nii", values)
    (tmp_path / "x.toml").write_text(MR)
    found = read_study(tmp_path)
    assert found.volumes == ()
    assert words in found.problems[0].found


def test_a_truncated_file_is_named(tmp_path):
    noise = np.random.default_rng(1).integers(0, 999, (30, 30, 30)).astype(np.int16)
    path = write(tmp_path / "x.nii.gz", noise)
    (tmp_path / "x.toml").write_text(MR)
    path.write_bytes(path.read_bytes()[:2000])
    (problem,) = read_study(tmp_path).problems
    assert (problem.code, problem.where) == ("unreadable-file", "x.nii.gz")


def test_a_wrong_sidecar_is_named(tmp_path):
    write(tmp_path / "x.nii")
    (tmp_path / "x.toml").write_text('modality = "MRI"\n')
    (problem,) = read_study(tmp_path).problems
    assert (problem.code, problem.where) == ("declaration", "x.toml: key modality")


def test_a_drawing_beside_its_image(tmp_path):
    drawing = np.zeros((3, 4, 5), np.uint8)
    drawing[1, 1:3, 2] = 1
    write(tmp_path / "t1.nii")
    write(tmp_path / "lesion.nii", drawing)
    (tmp_path / "t1.toml").write_text(MR)
    (tmp_path / "lesion.toml").write_text('mask_of = "t1.nii"\nlabels = { 1 = "L1 lesion" }\n')
    found = read_study(tmp_path)
    assert [(r.name, r.mask.n_voxels, r.series_id) for r in found.regions] == [
        ("L1 lesion", 2, found.volumes[0].series.id)
    ]


def test_nifti_beside_one_dicom_patient_belongs_to_that_patient(tmp_path):
    write_stack(tmp_path / "ct")
    write(tmp_path / "t1.nii")
    (tmp_path / "t1.toml").write_text(MR)
    found = read_study(tmp_path)
    assert found.patient.patient_id == "P1"
    assert [v.series.source for v in found.volumes] == ["dicom", "nifti"]


def test_nifti_beside_two_dicom_patients_belongs_to_nobody(tmp_path):
    write_stack(tmp_path / "1")
    write_stack(tmp_path / "2", series=2, PatientID="P2")
    write(tmp_path / "t1.nii")
    found = scan(tmp_path)
    assert [p.nifti for p in found.patients] == [(), ()]
    assert found.problems[0].found == "1 NIfTI files beside DICOM of more than one patient"


def test_a_lone_sidecar_is_nothing(tmp_path):
    (tmp_path / "t1.toml").write_text(MR)
    with pytest.raises(NothingFoundError):
        read_study(tmp_path)


def test_a_real_lumbar_mr_with_its_vertebrae(osteotrace_data, tmp_path):
    source = osteotrace_data / "nifti" / "mr_lumbar_fastcleverseg" / "VB1"
    for name in ("VB1_02_mr", "VB1_02_vb"):
        shutil.copyfile(source / f"{name}.nii.gz", tmp_path / f"{name}.nii.gz")
    (tmp_path / "VB1_02_mr.toml").write_text(MR + 'weighting = "T2W"\n')
    (tmp_path / "VB1_02_vb.toml").write_text('mask_of = "VB1_02_mr.nii.gz"\n')
    found = read_study(tmp_path)
    assert found.volumes[0].values.dtype == np.int16
    assert len(found.regions) >= 5
    assert found.problems == ()
