"""A tiny patient as DICOM files: CT and PET in one frame of reference, T1 in another, with drawings.

Slices of 32 x 32 pixels, written in milliseconds, for whatever needs many inputs: fuzzing and the tests of
bad input. Series and drawings come from :mod:`osteotrace.phantom.storage`.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, ExplicitVRLittleEndian

from osteotrace.phantom import storage
from osteotrace.phantom.protocols import Acquisition, CtProtocol, MrProtocol, PetProtocol, Protocol
from osteotrace.phantom.records import Person
from osteotrace.phantom.storage import Scanner, Session, StudyContext, uid
from osteotrace.space import Grid, Mask

Channel = Literal["CT", "PT", "T1", "T2FS"]

SHAPE = (32, 32, 10)
SPACING = (2.0, 2.0, 3.0)
CENTER = (2.0, -3.0, 6.0)  # of the lesion; LPS, mm, in the frame of every scan
RADIUS_MM = 9.0

ENHANCED_CT_CLASS = UID("1.2.840.10008.5.1.4.1.1.2.1")
DOSE_CLASS = UID("1.2.840.10008.5.1.4.1.1.481.2")

_DAY_ZERO, _DAY_OF_PET_CT = dt.date(2024, 3, 1), 4
_SCANNER = Scanner("A", "phantom", "TINY", "")
_PROTOCOLS: dict[Channel, Protocol] = {
    "CT": CtProtocol("CT trunk"),
    "PT": PetProtocol("PET AC", dose_bq=3.1e8),
    "T1": MrProtocol("sag T1 tse", "TSE", 560.0, 11.0, echo_train=3),
    "T2FS": MrProtocol("sag T2 tse fs", "TSE", 3600.0, 82.0, echo_train=8, fat_suppression="FATSAT"),
}
_MINUTES: dict[Channel, int] = {"CT": 615, "PT": 618, "T1": 550, "T2FS": 556}
_LEVELS: dict[Channel, tuple[float, float]] = {
    "CT": (40, 700),
    "PT": (1, 8),
    "T1": (200, 80),
    "T2FS": (90, 300),
}


def tiny_context(seed: int = 1) -> StudyContext:
    """Who the tiny patient is; each seed is another one."""
    sessions = (Session("mr", "MR spine", "SPINE", _SCANNER), Session("petct", "PET-CT", "CHEST", _SCANNER))
    person = Person("M", 60, 1.76, 74.0)
    return StudyContext(person, f"PHANTOM-{seed}", "Phantom^Osteotrace", _DAY_ZERO, seed, sessions, issuer="")


def tiny_grid(channel: Channel, seed: int = 1) -> Grid:
    """Lattice of a series: CT and PET share their frame of reference."""
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = -(np.array(SHAPE) - 1) / 2 * np.array(SPACING)
    return Grid(SHAPE, affine, str(uid(seed, "tomograph" if _is_pet_ct(channel) else "magnet")))


def tiny_acquisition(channel: Channel, seed: int = 1) -> Acquisition:
    """One series: a bright or dark ball in an even background."""
    grid = tiny_grid(channel, seed)
    points = grid.points(np.moveaxis(np.indices(SHAPE), 0, -1))
    inside = np.linalg.norm(points - np.array(CENTER), axis=-1) <= RADIUS_MM
    background, lesion = _LEVELS[channel]
    texture = np.random.default_rng(seed).normal(0.0, 0.02 * abs(background), SHAPE)
    values = (np.where(inside, lesion, background) + texture).astype(np.float32)
    session, day = ("petct", _DAY_OF_PET_CT) if _is_pet_ct(channel) else ("mr", 0)
    return Acquisition(channel, session, day, _MINUTES[channel], _PROTOCOLS[channel], values, grid)


def _is_pet_ct(channel: Channel) -> bool:
    return channel in ("CT", "PT")


def write_images(folder: Path, channel: Channel, seed: int = 1) -> tuple[Path, ...]:
    """Write a series, one file a slice, in order."""
    return storage.write_acquisition(folder, tiny_acquisition(channel, seed), tiny_context(seed))


def circle(z: float, radius: float = RADIUS_MM, n: int = 24) -> NDArray[np.float64]:
    """Contour about the lesion in the plane z; LPS mm, shape (n, 3)."""
    turn = np.linspace(0, 2 * np.pi, n, endpoint=False)
    flat = np.stack([np.cos(turn) * radius, np.sin(turn) * radius, np.zeros(n)], axis=1)
    return np.asarray(flat + np.array((CENTER[0], CENTER[1], z)))


def slice_positions(channel: Channel = "CT") -> list[float]:
    """The z of every slice, mm."""
    return [float(z) for z in tiny_grid(channel).points([(0, 0, k) for k in range(SHAPE[2])])[:, 2]]


def write_contours(
    path: Path,
    channel: Channel = "CT",
    seed: int = 1,
    contours: Sequence[NDArray[np.float64]] | None = None,
    name: str = "mass",
) -> Path:
    """Write an RT Structure Set with one ROI; by default circles on four slices through the lesion."""
    drawn = [circle(z) for z in slice_positions(channel)[5:9]] if contours is None else contours
    acquisition = tiny_acquisition(channel, seed)
    return storage.write_structure_set(path, acquisition, [(name, drawn)], tiny_context(seed))


def write_segmentation(path: Path, channel: Channel = "CT", seed: int = 1) -> Path:
    """Write a binary segmentation of three slices."""
    acquisition = tiny_acquisition(channel, seed)
    box = np.zeros(SHAPE, dtype=bool)
    box[13:20, 12:18, 5:8] = True
    segments = [("mass", Mask.from_array(box, tiny_grid(channel, seed)))]
    return storage.write_segmentation(path, acquisition, segments, tiny_context(seed))


def write_enhanced_ct(path: Path, seed: int = 1) -> Path:
    """Write one multi-frame CT of ten slices."""
    grid = tiny_grid("CT", seed)
    made = _object(ENHANCED_CT_CLASS, "CT", grid, seed)
    made.SeriesDate = made.ContentDate = "20240305"
    made.SharedFunctionalGroupsSequence = Items([_shared_groups(grid)])
    made.PerFrameFunctionalGroupsSequence = Items(_frame_groups(grid, range(SHAPE[2])))
    _image_pixels(made, SHAPE[2], 16)
    made.PixelData = _noise(seed)
    return _saved(made, path)


def write_dose(path: Path, seed: int = 1) -> Path:
    """Write a dose on the lattice of the CT."""
    grid = tiny_grid("CT", seed)
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
    context = tiny_context(seed)
    made.Modality, made.PatientID, made.PatientName = modality, context.patient_id, context.patient_name
    made.PatientBirthDate, made.PatientSex = f"{context.birth_date:%Y%m%d}", context.person.sex
    made.StudyInstanceUID = context.study_uid("petct")
    made.StudyDate, made.StudyTime = "20240305", "070000"
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
