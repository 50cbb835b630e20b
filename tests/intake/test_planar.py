"""Planar nuclear medicine: views, pixel size, what is not assessed."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import SecondaryCaptureImageStorage

from dicom_images import ROOT, counted, image, save
from osteotrace.intake import read_study
from osteotrace.model.values import Basis, Modality, Quantity, View

WHOLE_BODY = ["ORIGINAL", "PRIMARY", "WHOLE BODY", "EMISSION"]
ANTERIOR, POSTERIOR = "399321004", "399001007"


def coded(value, scheme="SCT", meaning=""):
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return [code]


def detectors(*views):
    made = []
    for view in views:
        detector = Dataset()
        if view:
            detector.ViewCodeSequence = Items(coded(view))
        made.append(detector)
    return made


def bone_scan(folder, frames=2, **more):
    pixels = np.stack([counted(n, np.uint16) for n in range(frames)])
    values = {"ImageType": WHOLE_BODY, "PixelSpacing": [2.4, 2.2], "ImagePositionPatient": None}
    return save(image(pixels, "NM", **(values | more)), folder / "nm.dcm")


def test_views_of_two_detectors(tmp_path):
    bone_scan(
        tmp_path,
        DetectorVector=[1, 2],
        DetectorInformationSequence=detectors(ANTERIOR, POSTERIOR),
        SeriesDescription="WB bone",
    )
    front, back = read_study(tmp_path).planar
    assert [p.view for p in (front, back)] == [View.ANTERIOR, View.POSTERIOR]
    assert [p.series.name for p in (front, back)] == ["bone scan ant", "bone scan post"]
    assert [p.series.id for p in (front, back)] == [f"{ROOT}.2.1", f"{ROOT}.2.1#2"]
    assert front.series.facts.view.basis is Basis.DECLARED
    assert front.pixel_mm == (2.2, 2.4)
    assert front.series.facts.planar_pixel_mm == (2.2, 2.4)
    assert front.series.facts.planar_shape == front.counts.shape
    np.testing.assert_array_equal(back.counts, counted(1).T)
    assert front.series.quantity is Quantity.COUNTS
    assert front.series.grid is None


def test_old_snomed_codes_of_views(tmp_path):
    bone_scan(tmp_path, frames=1, DetectorInformationSequence=detectors("G-5216"))
    assert read_study(tmp_path).planar[0].view is View.POSTERIOR


def test_a_word_of_the_description_tells_one_view_as_inferred(tmp_path):
    bone_scan(tmp_path, frames=1, SeriesDescription="WB POSTERIOR")
    (only,) = read_study(tmp_path).planar
    assert only.view is View.POSTERIOR
    assert only.series.facts.view.basis is Basis.INFERRED
    assert only.series.facts.view.source == "SeriesDescription: WB POSTERIOR"


@pytest.mark.parametrize("text", ["", "ant and post", "plantar important"])
def test_otherwise_the_view_is_unknown_and_a_problem_says_so(tmp_path, text):
    bone_scan(tmp_path, frames=1, SeriesDescription=text)
    found = read_study(tmp_path)
    assert found.planar[0].view is View.UNKNOWN
    assert "view" in [p.code for p in found.problems]


def test_a_file_name_is_no_evidence(tmp_path):
    bone_scan(tmp_path, frames=1).rename(tmp_path / "anterior.dcm")
    assert read_study(tmp_path).planar[0].view is View.UNKNOWN


def test_one_text_cannot_tell_two_detectors_apart(tmp_path):
    bone_scan(tmp_path, DetectorVector=[1, 2], SeriesDescription="anterior")
    assert {p.view for p in read_study(tmp_path).planar} == {View.UNKNOWN}


def test_without_pixel_spacing_the_size_is_unknown(tmp_path):
    bone_scan(tmp_path, frames=1, PixelSpacing=None)
    assert read_study(tmp_path).planar[0].pixel_mm is None


@pytest.mark.parametrize(("kind", "code"), [("TOMO", "spect"), ("RECON TOMO", "spect"), ("DYNAMIC", "nm")])
def test_spect_and_dynamics_are_listed_as_not_assessed(tmp_path, kind, code):
    bone_scan(tmp_path, ImageType=["ORIGINAL", "PRIMARY", kind, "EMISSION"])
    found = read_study(tmp_path)
    assert found.planar == ()
    assert [(p.severity, p.code) for p in found.problems] == [("excluded", code)]
    assert "not assessed" in found.problems[0].found


def test_a_secondary_capture_of_a_gamma_camera_counts(tmp_path):
    bone_scan(tmp_path, frames=1, SOPClassUID=SecondaryCaptureImageStorage)
    found = read_study(tmp_path)
    assert found.planar[0].series.modality is Modality.NM
    assert found.timeline.exams[0].name == "NM 2024-03-05"


def test_a_secondary_capture_of_anything_else_does_not(tmp_path):
    save(image(counted(0), "CT", SOPClassUID=SecondaryCaptureImageStorage), tmp_path / "x.dcm")
    found = read_study(tmp_path)
    assert [p.code for p in found.problems] == ["not-an-image"]


def test_the_tracer_is_read(tmp_path):
    agent = Dataset()
    agent.RadiopharmaceuticalCodeSequence = Items(coded("96390006", meaning="Tc-99m medronate"))
    bone_scan(tmp_path, frames=1, RadiopharmaceuticalInformationSequence=[agent])
    series = read_study(tmp_path).planar[0].series
    assert series.facts.tracer.value == "MDP"
    assert series.name == "bone scan"


def test_the_real_bone_scan_is_there_once(case_dir):
    found = read_study(case_dir("nm_wholebody_bone"))
    (only,) = found.planar
    assert only.counts.shape == (256, 1024)
    assert only.pixel_mm == (2.26, 2.26)
    assert only.view is View.UNKNOWN
    assert int(only.counts.sum()) == 3596452  # Counts Accumulated (0018,0070)
    assert sorted(p.code for p in found.problems) == ["duplicate-image", "view"]
