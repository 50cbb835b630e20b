"""Drawings that fit no image, or hardly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from _tiny import SPACING, circle, slice_positions, write_contours, write_segmentation
from bad_input.builder import Case, Command, edit, found, set_to
from osteotrace import pipeline

AWAY, TO_THE_SIDE = np.array([500.0, 0.0, 0.0]), np.array([28.0, 0.0, 0.0])


def drawn_elsewhere(dataset: Dataset) -> None:
    """On another series in another frame of reference."""
    for frame in dataset.ReferencedFrameOfReferenceSequence:
        frame.FrameOfReferenceUID = "1.2.3"
        series = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
        series.SeriesInstanceUID = "1.2.5"
        del series.ContourImageSequence
    dataset.FrameOfReferenceUID = "1.2.3"
    dataset.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = "1.2.3"
    for contour in dataset.ROIContourSequence[0].ContourSequence:
        del contour.ContourImageSequence


def without_image(dataset: Dataset) -> None:
    """Of a segmentation: neither the series nor the slices are named."""
    del dataset.ReferencedSeriesSequence
    for group in dataset.PerFrameFunctionalGroupsSequence:
        del group.DerivationImageSequence


def left_out(case: Case, command: Command, out: Path, words: str) -> None:
    """The drawing is named, and both exams are still there."""
    ended = command("run", case.folder, "-o", out)
    assert ended.code == 4, ended
    assert words in ended.words, ended.words
    (patient,), _ = pipeline.survey(case.folder)
    assert [str(s.modality) for e in patient.timeline.exams for s in e.series] == ["CT", "PT"]


def test_contours_whose_series_and_frame_are_absent(case: Case, command: Command, out: Path) -> None:
    edit(case.contours, drawn_elsewhere)
    left_out(
        case,
        command,
        out,
        "the ROI was refused: neither the referenced image nor any volume in its frame of reference is there "
        "[rtstruct.dcm, ROI 1 mass: 1.2.5]; expected: the image that was drawn on; "
        "do: add its series to the folder",
    )


@pytest.mark.parametrize(
    ("names_its_image", "words"),
    [
        (
            True,
            "the segment was refused: the drawing is in another frame of reference than the image "
            "that it names [seg.dcm, segment 1 mass: 1.2.3.9 and ",
        ),
        (
            False,
            "the segment was refused: neither the referenced image nor any volume in its frame of "
            "reference is there [seg.dcm, segment 1 mass: 1.2.3.9]",
        ),
    ],
)
def test_a_segmentation_in_another_frame(
    names_its_image: bool, words: str, case: Case, command: Command, out: Path
) -> None:
    path = write_segmentation(case.folder / "seg.dcm")
    edit(path, set_to(FrameOfReferenceUID="1.2.3.9"))
    if not names_its_image:
        edit(path, without_image)
    left_out(case, command, out, words)
    (patient,), _ = pipeline.survey(case.folder)
    assert [r.source_kind for r in patient.regions] == ["RTSTRUCT"]


@pytest.mark.parametrize(
    "contours",
    [
        [circle(z) + AWAY for z in slice_positions()[3:6]],
        [circle(z) for z in (100.0, 103.0, 106.0)],
    ],
)
def test_contours_outside_the_volume(
    contours: list[NDArray[np.float64]], case: Case, command: Command, out: Path
) -> None:
    write_contours(case.contours, contours=contours)
    left_out(case, command, out, "[rtstruct.dcm, ROI 1 mass]; expected: contours inside the field of view")


def test_contours_partly_outside_are_cut_and_told(case: Case, command: Command, out: Path) -> None:
    write_contours(case.contours, contours=[circle(z) + TO_THE_SIDE for z in slice_positions()[3:6]])
    assert command("run", case.folder, "-o", out).code == 0
    (patient,), _ = pipeline.survey(case.folder)
    assert found(patient.problems, "region-outside") == (
        "warning: 34.4% of the drawing lies outside the image [rtstruct.dcm, ROI 1 mass]; "
        "expected: the whole drawing on the image"
    )


@pytest.mark.parametrize("points", [circle(slice_positions()[4], 0.4), circle(slice_positions()[4])[:1]])
def test_a_contour_of_one_pixel_keeps_its_voxel(
    points: NDArray[np.float64], case: Case, command: Command, out: Path
) -> None:
    write_contours(case.contours, contours=[points])
    (patient,), _ = pipeline.survey(case.folder)
    assert found(patient.problems, "contour") == (
        "inferred: no voxel centre lies inside the contours: the voxels that hold their centres were kept "
        "[rtstruct.dcm, ROI 1 mass]"
    )
    assert patient.regions[0].mask.n_voxels == 1
    assert patient.regions[0].mask.volume_ml == pytest.approx(np.prod(SPACING) / 1000)
    assert command("run", case.folder, "-o", out).code == 0
