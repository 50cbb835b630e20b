"""From a folder to one patient: real studies, and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest

from dicom_images import ROOT, counted, image, save, write_stack
from osteotrace.intake import only_patient, read_patient, read_study, scan
from osteotrace.model.criteria import load_criteria
from osteotrace.model.problem import Problem
from osteotrace.model.values import Quantity, Severity

CRITERIA = load_criteria()


def test_patient_and_age_at_the_first_exam(tmp_path):
    write_stack(tmp_path)
    patient = read_study(tmp_path).patient
    assert (patient.patient_id, patient.name, patient.sex) == ("P1", "Doe^Jane", "F")
    assert patient.age_years == pytest.approx(44.17, abs=0.01)


@pytest.mark.parametrize(("text", "years"), [("069Y", 69), ("018M", 1.5), ("000Y", None), ("x", None)])
def test_age_without_a_birth_date(tmp_path, text, years):
    path = write_stack(tmp_path, PatientBirthDate="")[0]
    save(image(counted(0), PatientBirthDate="", PatientAge=None), path)
    write_stack(tmp_path, PatientBirthDate="", PatientAge="069Y")
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes().replace(b"069Y", text.encode().ljust(4)))
    assert read_study(tmp_path).patient.age_years == years


def test_without_pixels_the_timeline_and_the_geometry_are_there(tmp_path):
    write_stack(tmp_path)
    found = read_patient(only_patient(scan(tmp_path), tmp_path), CRITERIA, pixels=False)
    assert found.volumes == ()
    assert found.timeline.exams[0].series[0].grid.shape == (5, 6, 4)


def test_without_a_frame_of_reference_it_is_one_of_its_own_and_said(tmp_path):
    write_stack(tmp_path, FrameOfReferenceUID=None)
    write_stack(tmp_path, series=2, FrameOfReferenceUID=None)
    found = read_study(tmp_path)
    assert len({v.grid.frame_of_reference_uid for v in found.volumes}) == 2
    assert [p.code for p in found.problems] == ["frame-of-reference"] * 2


def test_inferred_mr_attributes_are_written_in_the_result(tmp_path):
    write_stack(tmp_path, "MR", SeriesDescription="AXIAL SE T2 FAT SAT")
    found = read_study(tmp_path)
    assert found.volumes[0].series.name == "T2 FS"
    assert found.problems == (
        Problem(
            Severity.INFERRED,
            "mr-attributes",
            "weighting T2W, fat suppression yes inferred from description: AXIAL SE T2 FAT SAT",
            f"series {ROOT}.2.1",
        ),
    )


def test_the_time_of_a_series_is_that_of_its_first_slice_acquired(tmp_path):
    for n, clock in enumerate(("101030", "101010", "101020")):
        made = image(counted(n), number=n + 1, position=(0, 0, 3 * n), AcquisitionDate="20240305")
        made.AcquisitionTime = clock
        save(made, tmp_path / f"{n}.dcm")
    (volume,) = read_study(tmp_path).volumes
    assert volume.series.datetime.isoformat() == "2024-03-05T10:10:10"


def test_names_in_other_character_sets(tmp_path):
    told = {"PatientName": "Müller^Jürgen", "SeriesDescription": "Wirbelsäule"}
    write_stack(tmp_path, SpecificCharacterSet="ISO_IR 192", **told)
    found = read_study(tmp_path)
    assert found.patient.name == "Müller^Jürgen"
    assert found.volumes[0].series.description == "Wirbelsäule"


def test_a_pet_without_weight_keeps_its_activity_and_says_why(tmp_path):
    write_stack(tmp_path, "PT", Units="BQML", CorrectedImage=["ATTN", "DECY"], DecayCorrection="START")
    found = read_study(tmp_path)
    (volume,) = found.volumes
    assert (volume.series.quantity, volume.series.unit) == (Quantity.ACTIVITY, "Bq/ml")
    assert volume.series.facts.suv_factor is None
    assert [(p.severity, p.code) for p in found.problems] == [("refused", "suv"), ("warning", "tracer")]
    assert volume.values.max() == counted(3).max()


# ---------------------------------------------------------------------------------------------------------
# Real patients


def test_sarcoma_pet_ct_and_two_mr(case_dir):
    found = read_study(case_dir("sts001_pet_ct_mr_rtstruct"))
    told = [(e.id, e.name, e.day, [s.name for s in e.series]) for e in found.timeline.exams]
    assert told == [
        ("E1", "MR 2000-09-03", 0, ["T2 FS", "T1"]),
        ("E2", "CT 2000-09-07", 4, ["CT"]),
        ("E3", "PET 2000-09-07", 4, ["PET FDG"]),
    ]
    by_name = {v.series.name: v for v in found.volumes}
    assert {n: v.values.shape for n, v in by_name.items()} == {
        "CT": (198, 202, 59),
        "T1": (512, 512, 40),
        "T2 FS": (384, 384, 40),
        "PET FDG": (128, 128, 267),
    }
    frames = {n: v.grid.frame_of_reference_uid for n, v in by_name.items()}
    assert frames["CT"] == frames["PET FDG"] != frames["T1"] == frames["T2 FS"]
    assert by_name["T2 FS"].series.facts.fat_suppression.value == "yes"
    assert by_name["PET FDG"].series.facts.uptake_min == pytest.approx(45.18, abs=0.01)
    assert len(found.regions) == 7
    assert (found.patient.sex, found.patient.age_years) == ("M", 59)
    assert {p.severity for p in found.problems} == {Severity.INFERRED}


def test_lung_pet_ct_with_a_bad_real_world_value(case_dir):
    found = read_study(case_dir("acrin_nsclc_fdg_pet_042_petct"))
    by_description = {v.series.description: v for v in found.volumes}
    ac, nac = by_description["PET AC"].series, by_description["PET NAC"].series
    assert ac.facts.suv_factor == pytest.approx(0.00042111, rel=1e-5)
    assert (ac.quantity, nac.quantity, nac.facts.suv_factor) == (Quantity.SUVBW, Quantity.COUNTS, None)
    assert by_description["CT IMAGES"].values.dtype == np.int16
    refused = [p for p in found.problems if p.severity == "refused"]
    assert [p.found for p in refused] == ["Units is PROPCNTS"]
    told = [(p.found, p.where) for p in found.problems if p.code == "real-world-value"]
    assert len(told) == 2
    assert {where for _, where in told} == {"RWV_833547.dcm"}
    assert "10^-3 times the factor from the headers" in told[1][0]


def test_whole_body_pet_with_an_unnamed_tracer(case_dir):
    found = read_study(case_dir("qin_headneck_pet_seg"))
    (volume,) = found.volumes
    assert volume.series.facts.tracer.value is None
    assert volume.series.name == "PET unknown tracer"
    assert "tracer" in [p.code for p in found.problems]
    assert len(found.regions) == 11
    np.testing.assert_allclose(volume.grid.origin[2], -1873.382)
    np.testing.assert_allclose(volume.grid.spacing[2], 2.025)


def test_abdominal_ct_with_contrast(case_dir):
    (volume,) = read_study(case_dir("crlm_ct_1006")).volumes
    assert volume.values.shape == (512, 512, 51)
    assert volume.series.facts.contrast.source == "ContrastBolusAgent=GASTRO & OMNI"


def test_three_patients_in_one_folder_are_read_one_by_one(case_dir):
    patients = scan(case_dir("seg_sr_samples")).patients
    assert [(p.key.patient_id, len(p.instances), len(p.drawings)) for p in patients] == [
        ("123456", 8, 2),
        ("99000", 3, 2),
        ("QIN-HEADNECK-01-0003", 0, 2),
    ]
    volumes = [len(read_patient(p, CRITERIA).volumes) for p in patients]
    assert volumes == [4, 1, 0]


@pytest.mark.parametrize(
    ("text", "name"),
    [("STIR sag", "STIR"), ("t1 fs +c", "T1 FS +C"), ("knee special", "knee special"), ("dwi", "DWI")],
)
def test_short_names_of_mr(tmp_path, text, name):
    write_stack(tmp_path, "MR", SeriesDescription=text)
    assert read_study(tmp_path).volumes[0].series.name == name
