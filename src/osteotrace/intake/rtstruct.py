"""RT Structure Sets: ROIs become masks on the image they were drawn on (DICOM PS3.3 C.8.8.5, C.8.8.6)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from osteotrace.errors import OsteotraceError, RegionError
from osteotrace.intake import header as hd
from osteotrace.intake.contours import Contour, fill
from osteotrace.intake.region_header import code, points, whole
from osteotrace.intake.region_image import Images, Reference, place
from osteotrace.intake.region_object import RegionObject
from osteotrace.intake.region_problem import contour_notes, inferred_image, refused
from osteotrace.model.codes import Code
from osteotrace.model.imaging import Region
from osteotrace.model.problem import Problem
from osteotrace.model.values import Severity

_CLOSED = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR"})


@dataclass(frozen=True, slots=True, eq=False)
class _Roi:
    """One ROI as the file has it."""

    number: int
    name: str
    type: Code | None
    category: Code | None
    contours: tuple[Contour, ...]
    reference: Reference
    problems: tuple[Problem, ...]


def rtstruct_references(dataset: Dataset, source: RegionObject) -> tuple[Reference, ...]:
    """What each ROI says of its image; contours are not read."""
    return tuple(_reference(dataset, item, source) for item in hd.items(dataset, "ROIContourSequence"))


def import_rtstruct(
    dataset: Dataset, source: RegionObject, images: Images
) -> tuple[tuple[Region, ...], tuple[Problem, ...]]:
    """Regions of an RT Structure Set.

    Parameters
    ----------
    images : Images
        Volumes that it may have been drawn on.

    Returns
    -------
    regions, problems : tuple
        A ROI that cannot be placed is a problem; the others go on.

    Raises
    ------
    RegionError
        When the object holds no ROI at all.
    """
    contours = hd.items(dataset, "ROIContourSequence")
    if not contours:
        raise RegionError("the structure set has no contours", expected="ROIContourSequence with items")
    regions, problems = [], []
    for item in contours:
        try:
            roi = _roi(dataset, item, source)
            region, notes = _region(roi, source, images)
        except OsteotraceError as error:
            problems.append(refused(error, "ROI", _name(dataset, item, source)))
            continue
        regions.append(region)
        problems += [*roi.problems, *notes]
    return tuple(regions), tuple(problems)


def _name(dataset: Dataset, item: Dataset, source: RegionObject) -> str:
    number = hd.whole(item, "ReferencedROINumber", -1)
    return _where(
        source, number, hd.text(_entry(dataset, "StructureSetROISequence", "ROINumber", number), "ROIName")
    )


def _where(source: RegionObject, number: int, name: str) -> str:
    return f"{source.path.name}, ROI {number} {name}".strip()


def _entry(dataset: Dataset, sequence: str, keyword: str, number: int) -> Dataset:
    """Item of a sequence with a number; an empty dataset when there is none."""
    for item in hd.items(dataset, sequence):
        if hd.whole(item, keyword, -1) == number:
            return item
    return Dataset()


def _roi(dataset: Dataset, item: Dataset, source: RegionObject) -> _Roi:
    number = whole(item, "ReferencedROINumber")
    roi = _entry(dataset, "StructureSetROISequence", "ROINumber", number)
    observation = _entry(dataset, "RTROIObservationsSequence", "ReferencedROINumber", number)
    name = hd.text(roi, "ROIName") or hd.text(observation, "ROIObservationLabel") or f"ROI {number}"
    contours, problems = _contours(item, _where(source, number, name))
    identification = hd.first_item(observation, "RTROIIdentificationCodeSequence")
    return _Roi(
        number,
        name,
        code(observation, "RTROIIdentificationCodeSequence"),
        code(identification, "SegmentedPropertyCategoryCodeSequence"),
        contours,
        _reference(dataset, item, source),
        problems,
    )


def _contours(item: Dataset, where: str) -> tuple[tuple[Contour, ...], tuple[Problem, ...]]:
    """Closed planar contours of a ROI; others are counted and left out."""
    kept, left_out = [], Counter[str]()
    for contour in hd.items(item, "ContourSequence"):
        kind = hd.text(contour, "ContourGeometricType").upper()
        if kind not in _CLOSED:
            left_out[f"the type {kind or 'unknown'}"] += 1
            continue
        try:
            kept.append(Contour(points(contour, "ContourData"), kind != "CLOSED_PLANAR"))
        except RegionError as error:
            left_out[error.found] += 1
    said = "; ".join(f"{n} of {reason}" for reason, n in left_out.items())
    if not kept:
        raise RegionError(
            f"no contour can be used ({said or 'it has none'})", expected="contours of the type CLOSED_PLANAR"
        )
    if not said:
        return tuple(kept), ()
    found = f"contours were left out: {said}"
    return tuple(kept), (Problem(Severity.EXCLUDED, "contour", found, where, "CLOSED_PLANAR contours"),)


def _reference(dataset: Dataset, item: Dataset, source: RegionObject) -> Reference:
    number = hd.whole(item, "ReferencedROINumber", -1)
    roi = _entry(dataset, "StructureSetROISequence", "ROINumber", number)
    frame = hd.text(roi, "ReferencedFrameOfReferenceUID") or source.frame_of_reference_uid
    series = [
        hd.text(s, "SeriesInstanceUID")
        for f in hd.items(dataset, "ReferencedFrameOfReferenceSequence")
        if hd.text(f, "FrameOfReferenceUID") in {frame, ""}
        for study in hd.items(f, "RTReferencedStudySequence")
        for s in hd.items(study, "RTReferencedSeriesSequence")
    ]
    sops = [
        hd.text(image, "ReferencedSOPInstanceUID")
        for contour in hd.items(item, "ContourSequence")
        for image in hd.items(contour, "ContourImageSequence")
    ]
    return Reference(tuple(sops), tuple(series), source.study_instance_uid, frame)


def _region(roi: _Roi, source: RegionObject, images: Images) -> tuple[Region, list[Problem]]:
    volume, placed = place(roi.reference, images, np.concatenate([c.points for c in roi.contours]))
    filled = fill(roi.contours, volume.grid)
    region = Region(
        name=roi.name,
        mask=filled.mask,
        series_id=volume.series.id,
        source_uid=source.sop_instance_uid,
        source_kind="RTSTRUCT",
        number=roi.number,
        placed=placed,
        category=roi.category,
        type=roi.type,
    )
    where = _where(source, roi.number, roi.name)
    return region, inferred_image(placed, where) + contour_notes(filled, where)
