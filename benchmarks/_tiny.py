"""A tiny patient as DICOM files: CT and PET in one frame of reference, T1 in another, with drawings.

Slices of 32 x 32 pixels, written in milliseconds, for whatever needs many inputs: fuzzing and the tests of
bad input. The files come from the writers of :mod:`osteotrace.phantom`.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, ExplicitVRLittleEndian

from osteotrace.phantom.dicom import uid, write_series, write_structure_set
from osteotrace.phantom.scanners import Channel, Scan
from osteotrace.space import Grid, RigidTransform

SHAPE = (32, 32, 10)
SPACING = (2.0, 2.0, 3.0)
CENTER = (2.0, -3.0, 6.0)  # of the lesion; LPS, mm, in the frame of every scan
RADIUS_MM = 9.0

SEG_CLASS = UID("1.2.840.10008.5.1.4.1.1.66.4")
ENHANCED_CT_CLASS = UID("1.2.840.10008.5.1.4.1.1.2.1")
DOSE_CLASS = UID("1.2.840.10008.5.1.4.1.1.481.2")

_LEVELS: dict[Channel, tuple[float, float]] = {
    "CT": (40, 700),
    "PT": (1, 8),
    "T1": (200, 80),
    "T2FS": (90, 300),
}


def tiny_scan(channel: Channel, seed: int = 1) -> Scan:
    """One series: CT and PET share their frame of reference."""
    frame = str(uid(seed, "tomograph" if channel in ("CT", "PT") else "magnet"))
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = -(np.array(SHAPE) - 1) / 2 * np.array(SPACING)
    return Scan(channel, Grid(SHAPE, affine, frame), RigidTransform.identity(frame), 0.0, 0.0)


def write_images(folder: Path, channel: Channel, seed: int = 1) -> tuple[Path, ...]:
    """Write a series, one file a slice, in order; a bright or dark ball in an even background."""
    scan = tiny_scan(channel, seed)
    points = scan.grid.points(np.moveaxis(np.indices(SHAPE), 0, -1))
    inside = np.linalg.norm(points - np.array(CENTER), axis=-1) <= RADIUS_MM
    background, lesion = _LEVELS[channel]
    texture = np.random.default_rng(seed).normal(0.0, 0.02 * abs(background), SHAPE)
    values = np.where(inside, lesion, background) + texture
    write_series(folder, scan, values.astype(np.float32), seed)
    return tuple(sorted(folder.glob("IM*.dcm")))


def circle(z: float, radius: float = RADIUS_MM, n: int = 24) -> NDArray[np.float64]:
    """Contour about the lesion in the plane z; LPS mm, shape (n, 3)."""
    turn = np.linspace(0, 2 * np.pi, n, endpoint=False)
    flat = np.stack([np.cos(turn) * radius, np.sin(turn) * radius, np.zeros(n)], axis=1)
    return np.asarray(flat + np.array((CENTER[0], CENTER[1], z)))


def slice_positions(channel: Channel = "CT") -> list[float]:
    """The z of every slice, mm."""
    return [float(z) for z in tiny_scan(channel).grid.points([(0, 0, k) for k in range(SHAPE[2])])[:, 2]]


def write_contours(
    path: Path,
    channel: Channel = "CT",
    seed: int = 1,
    contours: Sequence[NDArray[np.float64]] | None = None,
    name: str = "mass",
) -> Path:
    """Write an RT Structure Set with one ROI; by default circles on four slices through the lesion."""
    drawn = [circle(z) for z in slice_positions(channel)[5:9]] if contours is None else contours
    write_structure_set(path, tiny_scan(channel, seed), ((name, tuple(drawn)),), seed)
    return path


def write_segmentation(path: Path, channel: Channel = "CT", seed: int = 1) -> Path:
    """Write a binary segmentation of three slices."""
    grid = tiny_scan(channel, seed).grid
    made = _object(SEG_CLASS, "SEG", grid, seed)
    made.SegmentationType = "BINARY"
    made.ReferencedSeriesSequence = Items([_dataset(SeriesInstanceUID=uid(seed, channel, "series"))])
    made.SegmentSequence = Items([_dataset(SegmentNumber=1, SegmentLabel="mass")])
    groups = _frame_groups(grid, range(5, 8))
    for group in groups:
        group.SegmentIdentificationSequence = Items([_dataset(ReferencedSegmentNumber=1)])
    made.SharedFunctionalGroupsSequence = Items([_shared_groups(grid)])
    made.PerFrameFunctionalGroupsSequence = Items(groups)
    pixels = np.zeros((3, SHAPE[1], SHAPE[0]), dtype=bool)
    pixels[:, 12:18, 13:20] = True
    _image_pixels(made, 3, 1)
    made.PixelData = np.packbits(pixels.ravel(), bitorder="little").tobytes()
    return _saved(made, path)


def write_enhanced_ct(path: Path, seed: int = 1) -> Path:
    """Write one multi-frame CT of ten slices."""
    grid = tiny_scan("CT", seed).grid
    made = _object(ENHANCED_CT_CLASS, "CT", grid, seed)
    made.SeriesDate = made.ContentDate = "20240305"
    made.SharedFunctionalGroupsSequence = Items([_shared_groups(grid)])
    made.PerFrameFunctionalGroupsSequence = Items(_frame_groups(grid, range(SHAPE[2])))
    _image_pixels(made, SHAPE[2], 16)
    made.PixelData = _noise(seed)
    return _saved(made, path)


def write_dose(path: Path, seed: int = 1) -> Path:
    """Write a dose on the lattice of the CT."""
    grid = tiny_scan("CT", seed).grid
    made = _object(DOSE_CLASS, "RTDOSE", grid, seed)
    made.DoseUnits, made.DoseType, made.DoseGridScaling = "GY", "PHYSICAL", "0.01"
    made.ImagePositionPatient = [f"{x:.6f}" for x in grid.origin]
    made.ImageOrientationPatient, made.PixelSpacing = ["1", "0", "0", "0", "1", "0"], ["2", "2"]
    made.GridFrameOffsetVector = [f"{k * SPACING[2]:g}" for k in range(SHAPE[2])]
    _image_pixels(made, SHAPE[2], 16)
    made.PixelData = _noise(seed)
    return _saved(made, path)


def compress(path: Path, syntax: UID) -> Path:
    """Rewrite a file in a compressed transfer syntax."""
    dataset = pydicom.dcmread(path)
    dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(path)
    return path


def to_bytes(dataset: Dataset) -> bytes:
    """A dataset as file content, however wrong it is."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=False)
    return buffer.getvalue()


def _dataset(**values: object) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def _object(sop_class: UID, modality: str, grid: Grid, seed: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, uid(seed, modality, sop_class)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    made.Modality, made.PatientID, made.PatientName = modality, f"PHANTOM-{seed}", "Phantom^Osteotrace"
    made.PatientBirthDate, made.PatientSex = "19640110", "M"
    made.StudyInstanceUID = uid(seed, "20240305", "study")
    made.StudyDate, made.StudyTime = "20240305", "090000"
    made.SeriesInstanceUID = uid(seed, modality, sop_class, "series")
    made.FrameOfReferenceUID = grid.frame_of_reference_uid
    return made


def _shared_groups(grid: Grid) -> Dataset:
    measures = _dataset(PixelSpacing=[2.0, 2.0], SliceThickness=3.0, SpacingBetweenSlices=SPACING[2])
    axes = _dataset(ImageOrientationPatient=[float(x) for x in grid.direction[:, :2].T.ravel()])
    scaling = _dataset(RescaleIntercept=-1024.0, RescaleSlope=1.0, RescaleType="HU")
    return _dataset(
        PixelMeasuresSequence=Items([measures]),
        PlaneOrientationSequence=Items([axes]),
        PixelValueTransformationSequence=Items([scaling]),
    )


def _frame_groups(grid: Grid, slices: range) -> list[Dataset]:
    places = [_dataset(ImagePositionPatient=[float(x) for x in grid.points((0, 0, k))]) for k in slices]
    return [_dataset(PlanePositionSequence=Items([place])) for place in places]


def _image_pixels(dataset: Dataset, frames: int, bits: int) -> None:
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = frames, SHAPE[1], SHAPE[0]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, 0


def _noise(seed: int) -> bytes:
    return np.random.default_rng(seed).integers(900, 1300, SHAPE, dtype=np.uint16).tobytes()


def _saved(dataset: FileDataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path
