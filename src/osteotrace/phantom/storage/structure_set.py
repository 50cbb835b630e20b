"""RT Structure Set Storage (PS3.3 A.19, C.8.8.5): contours as a reader drew them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import RTStructureSetStorage

from osteotrace.errors import InputError
from osteotrace.phantom.protocols import Acquisition
from osteotrace.phantom.storage.context import StudyContext
from osteotrace.phantom.storage.drawing import drawing, grid_of, image_reference
from osteotrace.phantom.storage.elements import dataset
from osteotrace.phantom.storage.write import save
from osteotrace.space import FloatArray

Roi = tuple[str, Sequence[FloatArray]]

_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"  # Detached Study Management: retired, still named here
_COLOR = ["255", "80", "0"]


def write_structure_set(
    path: Path, acquisition: Acquisition, rois: Sequence[Roi], context: StudyContext, label: str = "READER"
) -> Path:
    """Write closed contours on a series as RT Structure Set.

    Parameters
    ----------
    path : Path
        The file; its folder is made when absent.
    rois : sequence of (name, contours)
        At least one; each contour has shape (n, 3), LPS mm in the frame of reference of the series, and lies
        in one of its slices.
    label : str
        Structure Set Label (3006,0002), at most 16 characters; tells several on one series apart.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        No ROI, a contour without points, a planar acquisition; nothing is written.
    """
    _check(rois)
    made = drawing(context, acquisition, "RTSTRUCT", RTStructureSetStorage, label)
    made.update(
        dataset(
            StructureSetLabel=label,
            StructureSetDate=made.SeriesDate,
            StructureSetTime=made.SeriesTime,
            OperatorsName="",
            ReferencedFrameOfReferenceSequence=[_frame(context, acquisition)],
        )
    )
    made.update(_regions(rois, context, acquisition))
    path.parent.mkdir(parents=True, exist_ok=True)
    save(path, made)
    return path


def _check(rois: Sequence[Roi]) -> None:
    if not rois:
        raise InputError("no ROI was drawn", expected="at least one")
    for name, contours in rois:
        if not contours or any(c.ndim != 2 or c.shape[1] != 3 or len(c) == 0 for c in contours):
            raise InputError(f"the ROI {name} has no contour of points", expected="arrays of shape (n, 3)")


def _regions(rois: Sequence[Roi], context: StudyContext, acquisition: Acquisition) -> Dataset:
    """The three sequences of a structure set that tell of its ROIs, numbered from 1."""
    frame_uid = grid_of(acquisition).frame_of_reference_uid
    made = dataset(StructureSetROISequence=[], ROIContourSequence=[], RTROIObservationsSequence=[])
    for number, (name, contours) in enumerate(rois, start=1):
        roi = dataset(
            ROINumber=str(number),
            ReferencedFrameOfReferenceUID=frame_uid,
            ROIName=name,
            ROIGenerationAlgorithm="MANUAL",
        )
        drawn = dataset(
            ROIDisplayColor=_COLOR,
            ContourSequence=[_contour(points, context, acquisition) for points in contours],
            ReferencedROINumber=str(number),
        )
        observation = dataset(
            ObservationNumber=str(number),
            ReferencedROINumber=str(number),
            RTROIInterpretedType="GTV",
            ROIInterpreter="",
        )
        made.StructureSetROISequence.append(roi)
        made.ROIContourSequence.append(drawn)
        made.RTROIObservationsSequence.append(observation)
    return made


def _frame(context: StudyContext, acquisition: Acquisition) -> Dataset:
    grid = grid_of(acquisition)
    series = dataset(
        SeriesInstanceUID=context.series_uid(acquisition),
        ContourImageSequence=[image_reference(context, acquisition, k) for k in range(grid.shape[2])],
    )
    study = dataset(
        ReferencedSOPClassUID=_STUDY_CLASS,
        ReferencedSOPInstanceUID=context.study_uid(acquisition.session),
        RTReferencedSeriesSequence=[series],
    )
    return dataset(FrameOfReferenceUID=grid.frame_of_reference_uid, RTReferencedStudySequence=[study])


def _contour(points: FloatArray, context: StudyContext, acquisition: Acquisition) -> Dataset:
    """One contour; it names its slice unless it lies beyond the series."""
    grid = grid_of(acquisition)
    made = dataset(
        ContourGeometricType="CLOSED_PLANAR",
        NumberOfContourPoints=str(len(points)),
        ContourData=[f"{x:.3f}" for x in points.ravel()],
    )
    k = round(float(grid.indices(points.mean(axis=0))[2]))
    if 0 <= k < grid.shape[2]:
        made.ContourImageSequence = [image_reference(context, acquisition, k)]
    return made
