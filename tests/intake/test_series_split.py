"""One DICOM series with several images in it."""

from __future__ import annotations

import pytest

from dicom_images import ROOT, counted, image, save, write_stack
from osteotrace.intake import read_study

UID = f"{ROOT}.2.1"
PLACES = [(0.0, 0.0, 3.0 * k) for k in range(4)]


def volumes_of(folder):
    found = read_study(folder)
    return sorted(found.volumes, key=lambda v: v.series.id), found.problems


def test_one_image_keeps_the_series_uid(tmp_path):
    write_stack(tmp_path)
    (volume,), problems = volumes_of(tmp_path)
    assert volume.series.id == UID
    assert problems == ()


@pytest.mark.parametrize(
    ("modality", "first", "second"),
    [
        ("MR", {"EchoTime": 10, "EchoNumbers": 1}, {"EchoTime": 80, "EchoNumbers": 2}),
        ("MR", {"DiffusionBValue": 0.0}, {"DiffusionBValue": 800.0}),
        ("MR", {"ImageType": ["ORIGINAL", "PRIMARY", "M"]}, {"ImageType": ["ORIGINAL", "PRIMARY", "P"]}),
        ("MR", {"ImageType": ["DERIVED", "PRIMARY", "W"]}, {"ImageType": ["DERIVED", "PRIMARY", "F"]}),
        ("MR", {"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2}),
        ("MR", {"TriggerTime": 0}, {"TriggerTime": 400}),
        ("CT", {"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}),
        ("CT", {"ConvolutionKernel": "SOFT"}, {"ConvolutionKernel": "BONE"}),
        ("CT", {"AcquisitionTime": "101000"}, {"AcquisitionTime": "101500"}),
        ("CT", {"FrameOfReferenceUID": f"{ROOT}.5"}, {"FrameOfReferenceUID": f"{ROOT}.6"}),
        ("CT", {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}, {}),
        ("CT", {"PixelSpacing": [2.0, 2.0]}, {"PixelSpacing": [1.0, 1.0]}),
    ],
)
def test_a_series_is_split_where_these_differ(tmp_path, modality, first, second):
    places = [(0.0, 3.0 * k, 0.0) for k in range(4)] if "ImageOrientationPatient" in first else PLACES
    write_stack(tmp_path, modality, positions=places, **first)
    write_stack(tmp_path, modality, start=5, **second)
    volumes, _ = volumes_of(tmp_path)
    assert [v.series.id for v in volumes] == [UID, f"{UID}#2"]
    assert [v.grid.shape[2] for v in volumes] == [4, 4]


def test_a_time_that_differs_from_slice_to_slice_does_not_split(tmp_path):
    for k, place in enumerate(PLACES):
        made = image(counted(k), number=k + 1, position=place, AcquisitionTime=f"1010{k:02d}")
        save(made, tmp_path / f"{k}.dcm")
    (volume,), _ = volumes_of(tmp_path)
    assert volume.grid.shape[2] == 4


def test_other_matrix_sizes_are_split(tmp_path):
    write_stack(tmp_path)
    write_stack(tmp_path, start=5, pixels=[counted(k, rows=4, columns=4) for k in range(4)])
    volumes, _ = volumes_of(tmp_path)
    assert [v.grid.shape for v in volumes] == [(5, 6, 4), (4, 4, 4)]


def test_the_sop_class_counts_not_the_modality(tmp_path):
    write_stack(tmp_path, "MR", Modality="CT")
    write_stack(tmp_path, "CT", start=5)
    volumes, _ = volumes_of(tmp_path)
    assert [(v.series.id, v.series.modality) for v in volumes] == [(UID, "MR"), (f"{UID}#2", "CT")]


def test_phases_and_directions_of_a_diffusion_series(tmp_path):
    number = 1
    for b, directions in ((0.0, 1), (800.0, 3)):
        for d in range(directions):
            gradient = [float(d == n) for n in range(3)] if b else None
            more = {"DiffusionBValue": b, "DiffusionGradientOrientation": gradient}
            write_stack(tmp_path, "MR", start=number, **more)
            number += 4
    volumes, _ = volumes_of(tmp_path)
    assert [v.series.facts.b_value for v in volumes] == [0, 800, 800, 800]
    assert [v.series.id for v in volumes] == [UID, f"{UID}#2", f"{UID}#3", f"{UID}#4"]


def test_slices_at_one_place_that_nothing_tells_apart_are_refused(tmp_path):
    write_stack(tmp_path)
    write_stack(tmp_path, start=5, pixels=[counted(k + 9) for k in range(4)])
    volumes, problems = volumes_of(tmp_path)
    assert volumes == []
    (problem,) = problems
    assert (problem.severity, problem.code) == ("excluded", "geometry")
    assert "two different slices lie at the same place" in problem.found
    assert "CT1-001.dcm and CT1-005.dcm" in problem.where


def test_a_time_that_is_never_the_same_explains_no_repeat(tmp_path):
    for number in range(8):
        place = PLACES[number % 4]
        made = image(counted(number), number=number + 1, position=place, AcquisitionTime=f"1010{number:02d}")
        save(made, tmp_path / f"{number}.dcm")
    volumes, (problem,) = volumes_of(tmp_path)
    assert volumes == []
    assert problem.found == "two different slices lie at the same place"


def test_a_slice_that_is_there_twice_under_two_uids_is_read_once_and_recorded(tmp_path):
    write_stack(tmp_path)
    save(image(counted(2), number=9, position=PLACES[2]), tmp_path / "again.dcm")
    (volume,), problems = volumes_of(tmp_path)
    assert volume.grid.shape[2] == 4
    assert [p.code for p in problems] == ["duplicate-slice"]
    assert "again.dcm" in problems[0].where


def test_a_localizer_is_left_out_by_name(tmp_path):
    write_stack(tmp_path)
    write_stack(tmp_path, series=2, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    volumes, (problem,) = volumes_of(tmp_path)
    assert [v.series.id for v in volumes] == [UID]
    assert (problem.code, problem.found) == ("localizer", "a localizer of 4 slices")
    assert problem.where == f"series {ROOT}.2.2"


def test_a_mosaic_is_left_out_by_name(tmp_path):
    write_stack(tmp_path, "MR", ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])
    volumes, (problem,) = volumes_of(tmp_path)
    assert volumes == []
    assert problem.code == "mosaic"


def test_a_single_slice_is_left_out_by_name(tmp_path):
    write_stack(tmp_path, series=3, positions=[(0, 0, 0)])
    found = read_study(tmp_path)
    assert found.volumes == ()
    assert [(p.code, p.found) for p in found.problems] == [("single-slice", "a single slice: no volume")]


def test_a_missing_slice_refuses_its_series_only(tmp_path):
    write_stack(tmp_path, positions=[(0, 0, z) for z in (0, 3, 9, 12)])
    write_stack(tmp_path, series=2)
    found = read_study(tmp_path)
    assert [v.series.id for v in found.volumes] == [f"{ROOT}.2.2"]
    (problem,) = found.problems
    assert problem.found == "1 of 5 slices missing"
    assert problem.where == f"series {UID}: 6.00 mm along the normal"
    assert problem.expected == "a slice every 3.000 mm"
