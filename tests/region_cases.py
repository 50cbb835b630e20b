"""Small images and drawings, written as DICOM, for the tests of region import."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import highdicom as hd
import numpy as np
from highdicom.sr import CodedConcept
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage

from osteotrace.intake.region_object import RegionObject
from osteotrace.model.imaging import UNKNOWN, OtherFacts, Series, Volume
from osteotrace.model.values import Modality, Quantity
from osteotrace.space import Grid

STUDY, FRAME, SERIES = "1.2.826.1", "1.2.826.2", "1.2.826.3"
SPACING = (0.8, 1.25, 2.0)
SHAPE = (60, 50, 30)


def make_grid(shape=SHAPE, spacing=SPACING, origin=(-20.0, -30.0, 40.0), rotation=None, frame=FRAME) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if rotation is None else rotation) * np.array(spacing)
    affine[:3, 3] = origin
    return Grid(shape, affine, frame)


def oblique_grid(frame=FRAME) -> Grid:
    """A right-handed lattice turned about all axes."""
    a, b = np.deg2rad(20), np.deg2rad(-35)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    return make_grid(rotation=about_z @ about_x, frame=frame)


def make_volume(grid: Grid, series=SERIES, study=STUDY, modality="CT") -> Volume:
    described = Series(
        id=series,
        series_instance_uid=series,
        study_instance_uid=study,
        sop_class_uid=CTImageStorage,
        modality=Modality(modality),
        name=modality,
        description="",
        body_part=UNKNOWN,
        datetime=None,
        quantity=Quantity.UNKNOWN,
        unit="1",
        grid=grid,
        facts=OtherFacts(),
        n_instances=grid.shape[2],
    )
    return Volume(np.zeros(grid.shape, dtype=np.int16), grid, described)


def sop_of(k: int, series=SERIES) -> str:
    return f"{series}.{k + 1}"


def sops_of(volume: Volume) -> dict[str, str]:
    uid = volume.series.series_instance_uid
    return {sop_of(k, uid): volume.series.id for k in range(volume.grid.shape[2])}


def region_object(path: Path) -> RegionObject:
    header = dcmread(path, stop_before_pixels=True, force=True)
    keywords = (
        "SOPClassUID",
        "SOPInstanceUID",
        "SeriesInstanceUID",
        "StudyInstanceUID",
        "FrameOfReferenceUID",
    )
    return RegionObject(path, *(str(header.get(k, "")) for k in keywords))


def dataset(**values) -> Dataset:
    """A dataset of keywords; lists of datasets become sequences."""
    made = Dataset()
    for keyword, value in values.items():
        is_items = isinstance(value, list) and all(isinstance(v, Dataset) for v in value)
        setattr(made, keyword, Items(value) if is_items else value)
    return made


def coded(value: str, scheme: str, meaning: str) -> list[Dataset]:
    return [dataset(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)]


def save(made: Dataset, path: Path, sop_class: str, uid="1.2.826.9", syntax=ExplicitVRLittleEndian) -> Path:
    """Complete a dataset and write it."""
    made.SOPClassUID, made.SOPInstanceUID = sop_class, uid
    made.StudyInstanceUID = made.get("StudyInstanceUID", STUDY)
    made.SeriesInstanceUID = "1.2.826.8"
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.file_meta.MediaStorageSOPClassUID = sop_class
    made.file_meta.MediaStorageSOPInstanceUID = uid
    made.save_as(path, enforce_file_format=True)
    return path


# ---------------------------------------------------------------------------------------------------------
# RTSTRUCT


def contour_item(points, kind="CLOSED_PLANAR", sop="") -> Dataset:
    data = [f"{x:.6g}"[:16] for x in np.ravel(points)]
    item = dataset(ContourGeometricType=kind, NumberOfContourPoints=len(data) // 3, ContourData=data)
    if sop:
        image = dataset(ReferencedSOPClassUID=CTImageStorage, ReferencedSOPInstanceUID=sop)
        item.ContourImageSequence = Items([image])
    return item


def write_rtstruct(
    path: Path,
    rois: Mapping[str, Sequence[Dataset]],
    *,
    frame=FRAME,
    series=SERIES,
    study=STUDY,
    uid="1.2.826.9",
) -> Path:
    """An RT Structure Set of named ROIs, numbered from 1."""
    numbered = list(enumerate(rois.items(), start=1))
    referenced = [
        dataset(
            FrameOfReferenceUID=frame,
            RTReferencedStudySequence=[
                dataset(
                    ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1",
                    ReferencedSOPInstanceUID=study,
                    RTReferencedSeriesSequence=[dataset(SeriesInstanceUID=series)],
                )
            ],
        )
    ]
    made = dataset(
        StudyInstanceUID=study,
        FrameOfReferenceUID=frame,
        ReferencedFrameOfReferenceSequence=referenced,
        StructureSetROISequence=[
            dataset(ROINumber=n, ROIName=name, ReferencedFrameOfReferenceUID=frame)
            for n, (name, _) in numbered
        ],
        ROIContourSequence=[
            dataset(ReferencedROINumber=n, ContourSequence=list(items)) for n, (_, items) in numbered
        ],
        RTROIObservationsSequence=[],
    )
    return save(made, path, RTStructureSetStorage, uid)


def circle(center, radius, n=200) -> np.ndarray:
    """Circle in the plane z = center[2]; shape (n, 3)."""
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)
    flat = np.stack([np.cos(t), np.sin(t), np.zeros(n)], axis=1)
    return np.asarray(center) + radius * flat


def square(center, half) -> np.ndarray:
    """Square in the plane z = center[2]; shape (4, 3)."""
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], dtype=float)
    return np.asarray(center) + half * corners


# ---------------------------------------------------------------------------------------------------------
# SEG


def ct_slices(grid: Grid, series=SERIES) -> list[Dataset]:
    """Headers and empty pixels of the slices of a right-handed grid, as highdicom wants them."""
    i, j = grid.direction[:, 0], grid.direction[:, 1]
    made = []
    for k in range(grid.shape[2]):
        item = dataset(
            SOPClassUID=CTImageStorage, SOPInstanceUID=sop_of(k, series), SeriesInstanceUID=series,
            StudyInstanceUID=STUDY, FrameOfReferenceUID=grid.frame_of_reference_uid, Modality="CT",
            PatientID="P", PatientName="Doe^Jane", PatientBirthDate="", PatientSex="", StudyID="1",
            AccessionNumber="", ReferringPhysicianName="", StudyDate="20200101", StudyTime="120000",
            SeriesNumber=1, InstanceNumber=k + 1, PositionReferenceIndicator="",
            ImagePositionPatient=[f"{x:.9g}" for x in grid.points((0, 0, k))],
            ImageOrientationPatient=[f"{x:.9g}" for x in (*i, *j)],
            PixelSpacing=[f"{x:.9g}" for x in grid.spacing[[1, 0]]],
            SliceThickness=f"{grid.spacing[2]:.9g}", Rows=grid.shape[1], Columns=grid.shape[0],
            BitsAllocated=16, BitsStored=16, HighBit=15, PixelRepresentation=0, SamplesPerPixel=1,
            PhotometricInterpretation="MONOCHROME2", PixelData=bytes(2 * grid.shape[0] * grid.shape[1]),
        )  # fmt: skip
        item.file_meta = FileMetaDataset()
        item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.append(item)
    return made


def description(number: int, label: str, tracked=False) -> hd.seg.SegmentDescription:
    return hd.seg.SegmentDescription(
        number,
        label,
        CodedConcept("49755003", "SCT", "Morphologically Abnormal Structure"),
        CodedConcept("52988006", "SCT", "Lesion"),
        hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        tracking_uid=f"1.2.826.77.{number}" if tracked else None,
        tracking_id=f"lesion {number}" if tracked else None,
    )


def write_seg(
    path: Path,
    grid: Grid,
    masks: np.ndarray,
    kind="BINARY",
    *,
    syntax=ExplicitVRLittleEndian,
    tracked=False,
    **more,
) -> Path:
    """Segmentation of an image by highdicom; ``masks`` (i, j, k, segment), or (i, j, k) labels."""
    stacked = np.moveaxis(masks, (0, 1, 2), (2, 1, 0))
    n = masks.shape[3] if masks.ndim == 4 else int(masks.max())
    made = hd.seg.Segmentation(
        source_images=ct_slices(grid),
        pixel_array=np.ascontiguousarray(stacked),
        segmentation_type=kind,
        segment_descriptions=[description(s + 1, f"lesion {s + 1}", tracked) for s in range(n)],
        series_instance_uid="1.2.826.8",
        series_number=2,
        sop_instance_uid="1.2.826.9",
        instance_number=1,
        manufacturer="M",
        manufacturer_model_name="M",
        software_versions="1",
        device_serial_number="1",
        transfer_syntax_uid=syntax,
        **more,
    )
    made.save_as(path)
    return path


def plain_seg(
    frames: Iterable[tuple[int, Sequence[float], np.ndarray]],
    axes: Sequence[float],
    pixel_mm: tuple[float, float],
    *,
    slice_mm: float | None = 2.0,
    series=SERIES,
    frame=FRAME,
) -> Dataset:
    """A binary segmentation, frame by frame: (segment, position, pixels (rows, columns)); not written yet."""
    listed = list(frames)
    pixels = np.stack([p for _, _, p in listed])
    measures = dataset(PixelSpacing=list(pixel_mm))
    if slice_mm is not None:
        measures.SpacingBetweenSlices = slice_mm
    shared = dataset(
        PixelMeasuresSequence=[measures],
        PlaneOrientationSequence=[dataset(ImageOrientationPatient=list(axes))],
    )
    groups = [
        dataset(
            PlanePositionSequence=[dataset(ImagePositionPatient=[float(f"{x:.9g}") for x in position])],
            SegmentIdentificationSequence=[dataset(ReferencedSegmentNumber=segment)],
        )
        for segment, position, _ in listed
    ]
    bits = np.packbits(pixels.astype(bool).ravel(), bitorder="little").tobytes()
    return dataset(
        FrameOfReferenceUID=frame,
        SegmentationType="BINARY",
        ReferencedSeriesSequence=[dataset(SeriesInstanceUID=series)],
        SegmentSequence=[
            dataset(SegmentNumber=s, SegmentLabel=f"lesion {s}") for s in sorted({s for s, _, _ in listed})
        ],
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=groups,
        NumberOfFrames=len(listed),
        Rows=pixels.shape[1],
        Columns=pixels.shape[2],
        BitsAllocated=1,
        BitsStored=1,
        HighBit=0,
        PixelRepresentation=0,
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        PixelData=bits + b"\0" * (len(bits) % 2),
    )


def ball(grid: Grid, center, radius) -> np.ndarray:
    """Voxels whose centre is inside a ball; shape grid.shape."""
    points = grid.points(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1))
    return np.asarray(np.linalg.norm(points - np.asarray(center), axis=-1) <= radius)


# ---------------------------------------------------------------------------------------------------------
# Real


@cache
def load_series(folder: Path) -> tuple[Volume, dict[str, str]]:
    """Volume of a folder of classic slices, and the series of each instance; independent of the intake."""
    slices = [d for p in sorted(folder.rglob("*.dcm")) if "ImagePositionPatient" in (d := dcmread(p))]
    axes = np.array(slices[0].ImageOrientationPatient, dtype=float).reshape(2, 3)
    normal = np.cross(*axes)
    slices.sort(key=lambda d: float(normal @ np.array(d.ImagePositionPatient, dtype=float)))
    first, last = (np.array(d.ImagePositionPatient, dtype=float) for d in (slices[0], slices[-1]))
    row_mm, column_mm = (float(x) for x in slices[0].PixelSpacing)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = axes[0] * column_mm, axes[1] * row_mm
    affine[:3, 2], affine[:3, 3] = (last - first) / (len(slices) - 1), first
    head = slices[0]
    grid = Grid((head.Columns, head.Rows, len(slices)), affine, head.FrameOfReferenceUID)
    empty = make_volume(grid, head.SeriesInstanceUID, head.StudyInstanceUID, head.Modality)
    slope = [float(d.get("RescaleSlope", 1)) for d in slices]
    values = np.stack([d.pixel_array * m for d, m in zip(slices, slope, strict=True)]).T
    volume = Volume(values.astype(np.float32), grid, empty.series)
    return volume, {d.SOPInstanceUID: head.SeriesInstanceUID for d in slices}
