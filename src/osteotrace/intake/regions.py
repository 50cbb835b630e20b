"""Regions that others drew: RTSTRUCT, SEG and SR become masks on the lattice of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pydicom.dataset import Dataset
from pydicom.uid import UID

from osteotrace.errors import OsteotraceError, RegionError
from osteotrace.intake.region_header import read_object, recorded_warnings
from osteotrace.intake.region_image import Images, Reference, series_named
from osteotrace.intake.region_object import RegionObject
from osteotrace.intake.region_problem import refused
from osteotrace.intake.rtstruct import import_rtstruct, rtstruct_references
from osteotrace.intake.seg import import_seg, seg_reference
from osteotrace.intake.sr import import_sr
from osteotrace.model.criteria import Criteria, load_criteria
from osteotrace.model.imaging import Region, Volume
from osteotrace.model.problem import Problem
from osteotrace.model.values import Severity

__all__ = ["REGION_SOP_CLASSES", "RegionObject", "import_regions"]

RTSTRUCT_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.481.3"})
SEG_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
SR_CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.88.22",
        "1.2.840.10008.5.1.4.1.1.88.33",
        "1.2.840.10008.5.1.4.1.1.88.34",
        "1.2.840.10008.5.1.4.1.1.88.35",
    }
)
REGION_SOP_CLASSES = RTSTRUCT_CLASSES | SEG_CLASSES | SR_CLASSES

_Opened = tuple[RegionObject, Dataset]


def import_regions(
    objects: Sequence[RegionObject],
    volumes: Sequence[Volume],
    *,
    series_of_sop: Mapping[str, str],
    position_of_sop: Mapping[str, tuple[float, float, float]] | None = None,
    criteria: Criteria | None = None,
) -> tuple[tuple[Region, ...], tuple[Problem, ...]]:
    """Read every drawing and place it on an image.

    Parameters
    ----------
    objects : sequence of RegionObject
        RTSTRUCT, SEG and SR of one patient.
    volumes : sequence of Volume
        All volumes of the patient.
    series_of_sop : mapping
        SOP Instance UID of every image file to ``Series.id``.
    position_of_sop : mapping, optional
        SOP Instance UID to Image Position (Patient); outlines in the pixels of one slice (SCOORD) need it.
    criteria : Criteria, optional
        By default those of the package.

    Returns
    -------
    regions, problems : tuple
        A drawing, or a part of it, that cannot be used is a problem; the rest goes on.
    """
    problems: list[Problem] = []
    opened = _opened(objects, problems)
    images = Images(tuple(volumes), series_of_sop, position_of_sop=position_of_sop or {})
    images = replace(images, drawn=series_named([r for o in opened for r in _references(*o)], images))
    regions: list[Region] = []
    for source, dataset in sorted(opened, key=lambda o: o[0].sop_class_uid in SR_CLASSES):
        with recorded_warnings(source, problems):
            regions, notes = _imported(source, dataset, images, regions, criteria or load_criteria())
        problems += notes
    return tuple(regions), tuple(problems)


def _opened(objects: Sequence[RegionObject], problems: list[Problem]) -> list[_Opened]:
    """Read the files; the same object twice counts once."""
    opened: dict[str, _Opened] = {}
    for source in objects:
        if source.sop_instance_uid in opened:
            found = "the same object is there twice and was read once"
            problems.append(Problem(Severity.INFO, "duplicate", found, source.path.name))
            continue
        try:
            with recorded_warnings(source, problems):
                opened[source.sop_instance_uid] = (source, read_object(source))
        except OsteotraceError as error:
            problems.append(refused(error, "drawing", source.path.name))
    return list(opened.values())


def _references(source: RegionObject, dataset: Dataset) -> tuple[Reference, ...]:
    if source.sop_class_uid in RTSTRUCT_CLASSES:
        return rtstruct_references(dataset, source)
    return (seg_reference(dataset, source),) if source.sop_class_uid in SEG_CLASSES else ()


def _imported(
    source: RegionObject, dataset: Dataset, images: Images, regions: list[Region], criteria: Criteria
) -> tuple[list[Region], tuple[Problem, ...]]:
    """All regions after one object was read."""
    try:
        if source.sop_class_uid in SR_CLASSES:
            known, problems = import_sr(dataset, source, images, regions)
            return list(known), problems
        if source.sop_class_uid in RTSTRUCT_CLASSES:
            found, problems = import_rtstruct(dataset, source, images)
        elif source.sop_class_uid in SEG_CLASSES:
            found, problems = import_seg(dataset, source, images, criteria)
        else:
            raise RegionError(f"{UID(source.sop_class_uid).name} is not read", expected="RTSTRUCT, SEG or SR")
    except OsteotraceError as error:
        return regions, (refused(error, "drawing", source.path.name),)
    return [*regions, *found], problems
