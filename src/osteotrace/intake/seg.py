"""DICOM segmentations: segments become masks (PS3.3 A.51, C.8.20; labelmap: A.51 of Supplement 243)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from osteotrace.errors import OsteotraceError, PixelError, RegionError
from osteotrace.intake import header as hd
from osteotrace.intake.region_header import code
from osteotrace.intake.region_image import Images, Reference, place
from osteotrace.intake.region_object import RegionObject
from osteotrace.intake.region_problem import inferred_image, refused
from osteotrace.intake.region_voxels import mask_of, on_image, on_own_lattice
from osteotrace.intake.seg_frames import Piece, Plane, cropped, frames, on_lattice, own_grid, planes
from osteotrace.model.codes import Code
from osteotrace.model.criteria import Criteria
from osteotrace.model.imaging import Region
from osteotrace.model.problem import Problem
from osteotrace.model.values import Severity
from osteotrace.space import Grid, Mask

_BACKGROUND = Code("125040", "DCM", "Background")
_TYPES = ("BINARY", "FRACTIONAL", "LABELMAP")
_MAX_UNLISTED = 16  # values without a segment that are named; damaged pixels have thousands


@dataclass(frozen=True, slots=True)
class _Segment:
    """One item of the Segment Sequence."""

    number: int
    label: str
    category: Code | None
    type: Code | None
    tracking_id: str
    tracking_uid: str


@dataclass(frozen=True, slots=True, eq=False)
class _Drawing:
    """A segmentation as it was read."""

    dataset: Dataset
    source: RegionObject
    reference: Reference
    planes: list[Plane]


def seg_reference(dataset: Dataset, source: RegionObject) -> Reference:
    """What a segmentation says of its image."""
    referenced = hd.items(dataset, "ReferencedSeriesSequence")
    sops = [
        hd.text(image, "ReferencedSOPInstanceUID")
        for group in hd.items(dataset, "PerFrameFunctionalGroupsSequence")
        for derivation in hd.items(group, "DerivationImageSequence")
        for image in hd.items(derivation, "SourceImageSequence")
    ]
    sops += [
        hd.text(image, "ReferencedSOPInstanceUID")
        for series in referenced
        for image in hd.items(series, "ReferencedInstanceSequence")
    ]
    frame = source.frame_of_reference_uid or hd.text(dataset, "FrameOfReferenceUID")
    series_uids = tuple(hd.text(s, "SeriesInstanceUID") for s in referenced)
    return Reference(tuple(sops), series_uids, source.study_instance_uid, frame)


def import_seg(
    dataset: Dataset, source: RegionObject, images: Images, criteria: Criteria
) -> tuple[tuple[Region, ...], tuple[Problem, ...]]:
    """Regions of a segmentation: binary, fractional or labelmap.

    Parameters
    ----------
    criteria : Criteria
        ``seg.fractional_threshold``: the share of a voxel from which a fractional segment counts.

    Returns
    -------
    regions, problems : tuple
        On the lattice of the image when the frames lie on it, else on the lattice of the segmentation.

    Raises
    ------
    RegionError
        When the image or its frame of reference is absent, or the frames do not say where they lie.
    PixelError
        When the pixels cannot be decoded.
    """
    kind = hd.text(dataset, "SegmentationType").upper()
    if kind not in _TYPES:
        raise RegionError(f"SegmentationType is {kind or 'absent'}", expected=", ".join(_TYPES))
    segments = [_segment(item) for item in hd.items(dataset, "SegmentSequence")]
    all_planes = planes(dataset, kind == "LABELMAP")
    padding = hd.number(dataset, "PixelPaddingValue") if kind == "LABELMAP" else None
    wanted = [s for s in segments if s.number != padding and not _is_background(s)]
    if not wanted:
        raise RegionError("the segmentation describes no segment", expected="items of SegmentSequence")
    pieces, problems = _pieces(dataset, all_planes, segments, _threshold(dataset, kind, criteria), source)
    if kind == "FRACTIONAL":
        problems.append(_fractional(dataset, criteria, source))
    drawing = _Drawing(dataset, source, seg_reference(dataset, source), all_planes)
    regions = []
    for segment in wanted:
        try:
            region, notes = _region(segment, pieces.get(segment.number, []), drawing, images)
        except OsteotraceError as error:
            problems.append(refused(error, "segment", _where(segment, source)))
            continue
        regions.append(region)
        problems += notes
    return tuple(regions), tuple(problems)


def _segment(item: Dataset) -> _Segment:
    number = hd.whole(item, "SegmentNumber", -1)
    return _Segment(
        number,
        hd.text(item, "SegmentLabel") or f"segment {number}",
        code(item, "SegmentedPropertyCategoryCodeSequence"),
        code(item, "SegmentedPropertyTypeCodeSequence"),
        hd.text(item, "TrackingID"),
        hd.text(item, "TrackingUID"),
    )


def _is_background(segment: _Segment) -> bool:
    return segment.type is not None and segment.type.matches(_BACKGROUND.value, _BACKGROUND.scheme)


def _threshold(dataset: Dataset, kind: str, criteria: Criteria) -> float:
    """Smallest stored value that belongs to a segment."""
    if kind != "FRACTIONAL":
        return 1.0
    highest = hd.number(dataset, "MaximumFractionalValue") or 0.0
    if highest <= 0:
        raise RegionError("MaximumFractionalValue is absent", expected="the stored value that means 1")
    return highest * criteria.number("seg.fractional_threshold")


def _fractional(dataset: Dataset, criteria: Criteria, source: RegionObject) -> Problem:
    share = criteria.number("seg.fractional_threshold")
    meaning = hd.text(dataset, "SegmentationFractionalType").lower() or "fraction of unknown meaning"
    found = f"the segmentation is fractional ({meaning}): voxels of {share:g} or more were taken"
    return Problem(Severity.INFERRED, "seg.fractional_threshold", found, source.path.name)


def _pieces(
    dataset: Dataset,
    all_planes: Sequence[Plane],
    segments: Sequence[_Segment],
    least: float,
    source: RegionObject,
) -> tuple[dict[int, list[Piece]], list[Problem]]:
    """Set pixels of every segment, frame by frame, and the values that no segment explains."""
    listed = {s.number for s in segments}
    padding = hd.whole(dataset, "PixelPaddingValue")
    pieces: dict[int, list[Piece]] = {}
    unlisted: set[int] = set()
    n = 0
    for n, (plane, pixels) in enumerate(zip(all_planes, frames(dataset), strict=False), start=1):  # noqa: B007
        present = [plane.segment] if plane.segment else np.unique(pixels).tolist()
        unlisted |= set(present) - listed - {0, padding}
        for number in set(present) & listed:
            piece = cropped(plane, pixels >= least if plane.segment else pixels == number)
            if piece is not None:
                pieces.setdefault(number, []).append(piece)
    if n < len(all_planes):
        raise PixelError(f"the pixel data hold {n} of {len(all_planes)} frames", expected="a whole file")
    return pieces, [_unlisted(number, source) for number in sorted(unlisted)[:_MAX_UNLISTED]]


def _unlisted(number: int, source: RegionObject) -> Problem:
    found = f"segment {number} has pixels, but is not described"
    return Problem(Severity.EXCLUDED, "region", found, source.path.name, "an item of SegmentSequence")


def _where(segment: _Segment, source: RegionObject) -> str:
    return f"{source.path.name}, segment {segment.number} {segment.label}"


def _region(
    segment: _Segment, pieces: Sequence[Piece], drawing: _Drawing, images: Images
) -> tuple[Region, list[Problem]]:
    if not pieces:
        raise RegionError("no pixel is set", expected="at least one voxel")
    volume, placed = place(drawing.reference, images, np.concatenate([p.corners for p in pieces]))
    where = _where(segment, drawing.source)
    indices = on_lattice(pieces, volume.grid)
    if indices is None:
        mask, notes = on_own_lattice(_own_mask(pieces, drawing, volume.grid), volume.grid, where)
    else:
        mask, notes = on_image(indices, volume.grid, where)
    region = Region(
        name=segment.label,
        mask=mask,
        series_id=volume.series.id,
        source_uid=drawing.source.sop_instance_uid,
        source_kind="SEG",
        number=segment.number,
        placed=placed,
        category=segment.category,
        type=segment.type,
        tracking_uid=segment.tracking_uid,
        tracking_id=segment.tracking_id,
    )
    return region, inferred_image(placed, where) + notes


def _own_mask(pieces: Sequence[Piece], drawing: _Drawing, image: Grid) -> Mask:
    own = own_grid(drawing.dataset, drawing.planes, image.frame_of_reference_uid)
    indices = on_lattice(pieces, own)
    if indices is None:
        raise RegionError(
            "the frames of the segmentation are not evenly spaced", expected="a regular lattice"
        )
    return mask_of(indices, own)
