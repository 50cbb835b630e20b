"""Structured reports of TID 1500: what was measured where (DICOM PS3.16 TID 1500, 1410, 1411)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydicom.dataset import Dataset

from osteotrace.errors import OsteotraceError, RegionError
from osteotrace.intake import header as hd
from osteotrace.intake.contours import fill
from osteotrace.intake.region_header import code
from osteotrace.intake.region_image import Images, Reference, place
from osteotrace.intake.region_object import RegionObject
from osteotrace.intake.region_problem import contour_notes, inferred_image, refused
from osteotrace.intake.sr_shapes import Ellipsoid, Shape, fill_ellipsoid, planar_shape, spatial_shape
from osteotrace.model import codes
from osteotrace.model.codes import Code
from osteotrace.model.imaging import Region
from osteotrace.model.problem import Problem
from osteotrace.model.values import Severity

SOURCE_SERIES = Code("121232", "DCM", "Source series for segmentation")
SOURCE_IMAGE = Code("121233", "DCM", "Source image for segmentation")
_SEGMENTATIONS = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
# What SNOMED CT concepts were called in the codes of the retired scheme SRT.
_FINDING_SITE_SRT = Code("G-C0E3", "SRT", "Finding Site")


@dataclass(frozen=True, slots=True)
class _Group:
    """One measurement group.

    Attributes
    ----------
    segments : tuple of (str, int)
        SOP Instance UID of a segmentation and number of a segment; 0 when not told.
    scoords, scoords3d : tuple of Dataset
        Content items that draw.
    n_values : int
        Numbers that were reported.
    """

    number: int
    tracking_id: str
    tracking_uid: str
    finding: Code | None
    site: Code | None
    segments: tuple[tuple[str, int], ...]
    scoords: tuple[Dataset, ...]
    scoords3d: tuple[Dataset, ...]
    reference: Reference
    n_values: int


def import_sr(
    dataset: Dataset, source: RegionObject, images: Images, regions: Sequence[Region]
) -> tuple[tuple[Region, ...], tuple[Problem, ...]]:
    """Add what a report says to the regions of the segmentations, and the regions that it draws itself.

    Parameters
    ----------
    regions : sequence of Region
        Of the segmentations and structure sets of the patient.

    Returns
    -------
    regions, problems : tuple
        All regions. A region of a segmentation gets tracking and finding from the report that refers to it.

    Raises
    ------
    RegionError
        When the report holds no measurement group.
    """
    groups = [_group(item, n, source) for n, item in enumerate(_measurement_groups(dataset), start=1)]
    if not groups:
        raise RegionError("the report holds no measurement group", expected="a report of TID 1500")
    known = list(regions)
    problems: list[Problem] = []
    for group in groups:
        where = _where(group, source)
        try:
            problems += _apply(group, source, images, known)
        except OsteotraceError as error:
            problems.append(refused(error, "measurement group", where))
    n_values = sum(g.n_values for g in groups)
    found = f"the values of the report ({n_values}) stay in the source; they were not computed again"
    problems.append(Problem(Severity.INFO, "sr-values", found, source.path.name))
    return tuple(known), tuple(problems)


def _where(group: _Group, source: RegionObject) -> str:
    return f"{source.path.name}, measurement group {group.number} {group.tracking_id}".strip()


def _measurement_groups(dataset: Dataset) -> list[Dataset]:
    return [item for item in _content(dataset) if _is(item, codes.MEASUREMENT_GROUP)]


def _content(dataset: Dataset) -> Iterator[Dataset]:
    """All content items below an item, in order of the document."""
    waiting = [dataset]
    while waiting:
        item = waiting.pop()
        if item is not dataset:
            yield item
        waiting += reversed(hd.items(item, "ContentSequence"))


def _is(item: Dataset, *concepts: Code) -> bool:
    name = code(item, "ConceptNameCodeSequence")
    return name is not None and any(c.matches(name.value, name.scheme) for c in concepts)


def _group(item: Dataset, number: int, source: RegionObject) -> _Group:
    content = list(_content(item))
    scoords = tuple(c for c in content if hd.text(c, "ValueType") == "SCOORD")
    scoords3d = tuple(c for c in content if hd.text(c, "ValueType") == "SCOORD3D")
    referenced = [r for c in content for r in hd.items(c, "ReferencedSOPSequence")]
    frames = [hd.text(c, "ReferencedFrameOfReferenceUID") for c in scoords3d]
    segments = dict.fromkeys(_segment(r) for r in referenced if _is_segment(r))
    sops = [hd.text(r, "ReferencedSOPInstanceUID") for r in referenced if not _is_segment(r)]
    series = [hd.text(c, "UID") for c in content if _is(c, SOURCE_SERIES)]
    return _Group(
        number,
        _text(content, codes.TRACKING_IDENTIFIER),
        _text(content, codes.TRACKING_UID),
        _concept(content, codes.FINDING),
        _concept(content, codes.FINDING_SITE, _FINDING_SITE_SRT),
        tuple(segments),
        scoords,
        scoords3d,
        Reference(tuple(sops), tuple(series), source.study_instance_uid, next(iter(frames), "")),
        sum(hd.text(c, "ValueType") == "NUM" for c in content),
    )


def _text(content: Iterable[Dataset], concept: Code) -> str:
    found = (hd.text(c, "TextValue") or hd.text(c, "UID") for c in content if _is(c, concept))
    return next(found, "")


def _concept(content: Iterable[Dataset], *concepts: Code) -> Code | None:
    return next((code(c, "ConceptCodeSequence") for c in content if _is(c, *concepts)), None)


def _is_segment(referenced: Dataset) -> bool:
    return hd.text(referenced, "ReferencedSOPClassUID") in _SEGMENTATIONS


def _segment(referenced: Dataset) -> tuple[str, int]:
    number = hd.whole(referenced, "ReferencedSegmentNumber", 0)
    return hd.text(referenced, "ReferencedSOPInstanceUID"), number


def _apply(group: _Group, source: RegionObject, images: Images, known: list[Region]) -> list[Problem]:
    """Extend ``known`` by what one group says."""
    if group.segments:
        return [p for s in group.segments for p in _annotate(group, s, source, known)]
    region, problems = _drawn(group, source, images)
    known.append(region)
    return problems


def _annotate(
    group: _Group, segment: tuple[str, int], source: RegionObject, known: list[Region]
) -> list[Problem]:
    """Give the region of a referenced segment the identity that the report gives it."""
    uid, number = segment
    places = [n for n, r in enumerate(known) if r.source_uid == uid and number in {r.number, 0}]
    if len(places) != 1:
        raise RegionError(
            f"the referenced segment {number or 'without number'} was not imported",
            where=uid,
            expected="its segmentation and the image of it in the folder",
        )
    region = known[places[0]]
    known[places[0]] = replace(
        region,
        tracking_uid=region.tracking_uid or group.tracking_uid,
        tracking_id=region.tracking_id or group.tracking_id,
        type=region.type or group.finding,
    )
    if group.tracking_uid and region.tracking_uid not in {"", group.tracking_uid}:
        found = (
            "the report tracks the segment under another Tracking UID than the segmentation, which was kept"
        )
        return [Problem(Severity.WARNING, "tracking", found, _where(group, source), region.tracking_uid)]
    return []


def _drawn(group: _Group, source: RegionObject, images: Images) -> tuple[Region, list[Problem]]:
    """Region of the coordinates in a group."""
    shapes = _shapes(group, images)
    points = np.concatenate([s.extent if isinstance(s, Ellipsoid) else s.points for s in shapes])
    volume, placed = place(group.reference, images, points)
    if isinstance(shapes[0], Ellipsoid):
        filled = fill_ellipsoid(shapes[0], volume.grid)
    else:
        filled = fill([s for s in shapes if not isinstance(s, Ellipsoid)], volume.grid)
    where = _where(group, source)
    name = group.tracking_id or (group.finding.meaning if group.finding else f"group {group.number}")
    region = Region(
        name=name,
        mask=filled.mask,
        series_id=volume.series.id,
        source_uid=source.sop_instance_uid,
        source_kind="SR",
        number=group.number,
        placed=placed,
        type=group.finding,
        tracking_uid=group.tracking_uid,
        tracking_id=group.tracking_id,
    )
    return region, inferred_image(placed, where) + contour_notes(filled, where)


def _shapes(group: _Group, images: Images) -> list[Shape]:
    """Contours, or one ellipsoid.

    Raises
    ------
    RegionError
        When the group draws nothing that has an extent.
    """
    shapes = [spatial_shape(item) for item in group.scoords3d]
    if not shapes:
        shapes = [planar_shape(item, group.reference, images) for item in group.scoords]
    if not shapes:
        raise RegionError("the group refers to no region", expected="a segment, SCOORD3D or SCOORD")
    if len(shapes) > 1 and any(isinstance(s, Ellipsoid) for s in shapes):
        raise RegionError("the group draws an ellipsoid and more", expected="one ellipsoid, or contours")
    return shapes
