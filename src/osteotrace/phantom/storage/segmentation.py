"""Segmentation Storage, binary (PS3.3 A.51, C.8.20): masks as a reader drew them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import SegmentationStorage

from osteotrace.errors import InputError
from osteotrace.phantom.protocols import Acquisition
from osteotrace.phantom.storage.context import StudyContext, uid
from osteotrace.phantom.storage.drawing import drawing, grid_of, image_reference
from osteotrace.phantom.storage.elements import coded, dataset, decimal, decimals
from osteotrace.phantom.storage.write import save
from osteotrace.space import Grid, Mask

Segment = tuple[str, Mask]


@dataclass(frozen=True, slots=True, eq=False)
class _Frame:
    """One segment on one slice; ``pixels`` has shape (rows, columns)."""

    segment: int
    k: int
    pixels: NDArray[np.bool_]


def write_segmentation(
    path: Path,
    acquisition: Acquisition,
    segments: Sequence[Segment],
    context: StudyContext,
    label: str = "READER",
) -> Path:
    """Write masks on a series as binary segmentation; slices without a voxel of a segment are left out.

    Parameters
    ----------
    path : Path
        The file; its folder is made when absent.
    segments : sequence of (name, Mask)
        At least one; on the lattice of the series. They may overlap.
    label : str
        Content Label (0070,0080), capitals; tells several on one series apart.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        No segment, none of its voxels in the series, a planar acquisition; nothing is written.
    LatticeMismatchError, FrameMismatchError
        A mask is on another lattice; nothing is written.
    """
    grid = grid_of(acquisition)
    frames = _frames(segments, grid)
    made = drawing(context, acquisition, "SEG", SegmentationStorage, label)
    made.update(_pixels(frames, grid))
    made.update(_dimensions(context, acquisition, label))
    made.update(
        dataset(
            ImageType=["DERIVED", "PRIMARY"],
            ContentDate=made.SeriesDate,
            ContentTime=made.SeriesTime,
            ContentLabel=label,
            ContentDescription=f"Lesions on {acquisition.protocol.name}",
            ContentCreatorName="Reader^Phantom",
            SegmentationType="BINARY",
            SegmentsOverlap="UNDEFINED",
            SegmentSequence=[
                _segment(number, name, context, acquisition) for number, (name, _) in _numbered(segments)
            ],
            ReferencedSeriesSequence=[_referenced_series(context, acquisition)],
            SharedFunctionalGroupsSequence=[_shared(grid)],
            PerFrameFunctionalGroupsSequence=[_group(frame, context, acquisition) for frame in frames],
        )
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    save(path, made)
    return path


def _numbered(segments: Sequence[Segment]) -> list[tuple[int, Segment]]:
    return list(enumerate(segments, start=1))


def _frames(segments: Sequence[Segment], grid: Grid) -> list[_Frame]:
    if not segments:
        raise InputError("no segment was drawn", expected="at least one")
    frames: list[_Frame] = []
    for number, (name, mask) in _numbered(segments):
        values = mask.on(grid)
        filled = np.flatnonzero(values.any(axis=(0, 1)))
        if filled.size == 0:
            raise InputError(f"the segment {name} lies beyond the series", expected="voxels in its slices")
        frames += [_Frame(number, int(k), values[:, :, k].T) for k in filled]
    return frames


def _pixels(frames: Sequence[_Frame], grid: Grid) -> Dataset:
    """Image Pixel of one bit a voxel; the frames follow each other without gaps (PS3.5 8.1.1)."""
    bits = np.packbits(np.stack([f.pixels for f in frames]).ravel(), bitorder="little").tobytes()
    made = dataset(
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        NumberOfFrames=str(len(frames)),
        BitsAllocated=1,
        BitsStored=1,
        HighBit=0,
        PixelRepresentation=0,
        LossyImageCompression="00",
        PixelData=bits + b"\0" * (len(bits) % 2),
    )
    made.Columns, made.Rows = grid.shape[:2]
    return made


def _dimensions(context: StudyContext, acquisition: Acquisition, label: str) -> Dataset:
    """Multi-frame Dimension (PS3.3 C.7.6.17): segment, then place."""
    organization = uid(context.seed, acquisition.id, label, "dimensions")
    pointers = [
        ("ReferencedSegmentNumber", "SegmentIdentificationSequence"),
        ("ImagePositionPatient", "PlanePositionSequence"),
    ]
    return dataset(
        DimensionOrganizationSequence=[dataset(DimensionOrganizationUID=organization)],
        DimensionIndexSequence=[
            dataset(
                DimensionOrganizationUID=organization,
                DimensionIndexPointer=Tag(pointer),
                FunctionalGroupPointer=Tag(group),
                DimensionDescriptionLabel=pointer,
            )
            for pointer, group in pointers
        ],
    )


def _segment(number: int, name: str, context: StudyContext, acquisition: Acquisition) -> Dataset:
    return dataset(
        SegmentNumber=number,
        SegmentLabel=name,
        SegmentAlgorithmType="MANUAL",
        SegmentedPropertyCategoryCodeSequence=coded("49755003", "SCT", "Morphologically Abnormal Structure"),
        SegmentedPropertyTypeCodeSequence=coded("52988006", "SCT", "Lesion"),
        TrackingID=name,
        TrackingUID=uid(context.seed, acquisition.id, "segment", number, name),
    )


def _referenced_series(context: StudyContext, acquisition: Acquisition) -> Dataset:
    """Common Instance Reference (PS3.3 C.12.2)."""
    slices = range(grid_of(acquisition).shape[2])
    return dataset(
        SeriesInstanceUID=context.series_uid(acquisition),
        ReferencedInstanceSequence=[image_reference(context, acquisition, k) for k in slices],
    )


def _shared(grid: Grid) -> Dataset:
    measures = dataset(
        PixelSpacing=decimals((grid.spacing[1], grid.spacing[0])),
        SliceThickness=decimal(float(grid.spacing[2])),
        SpacingBetweenSlices=decimal(float(grid.spacing[2])),
    )
    axes = decimals((*grid.direction[:, 0], *grid.direction[:, 1]))
    return dataset(
        PixelMeasuresSequence=[measures],
        PlaneOrientationSequence=[dataset(ImageOrientationPatient=axes)],
    )


def _group(frame: _Frame, context: StudyContext, acquisition: Acquisition) -> Dataset:
    """Functional groups of one frame (PS3.3 C.7.6.16)."""
    source = image_reference(context, acquisition, frame.k)
    source.PurposeOfReferenceCodeSequence = coded(
        "121322", "DCM", "Source image for image processing operation"
    )
    source.SpatialLocationsPreserved = "YES"
    derivation = dataset(
        DerivationCodeSequence=coded("113076", "DCM", "Segmentation"), SourceImageSequence=[source]
    )
    position = decimals(grid_of(acquisition).points((0, 0, frame.k)))
    return dataset(
        DerivationImageSequence=[derivation],
        FrameContentSequence=[dataset(DimensionIndexValues=[frame.segment, frame.k + 1])],
        PlanePositionSequence=[dataset(ImagePositionPatient=position)],
        SegmentIdentificationSequence=[dataset(ReferencedSegmentNumber=frame.segment)],
    )
