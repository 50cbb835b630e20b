"""Writes small DICOM images of any kind, for tests of reading them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    NuclearMedicineImageStorage,
    PositronEmissionTomographyImageStorage,
    RTDoseStorage,
)

CLASS = {
    "CT": CTImageStorage,
    "MR": MRImageStorage,
    "PT": PositronEmissionTomographyImageStorage,
    "NM": NuclearMedicineImageStorage,
    "RTDOSE": RTDoseStorage,
}
ROOT = "1.2.826.0.1.3680043.10.777"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
ROWS, COLUMNS = 6, 5


def counted(number: int, dtype=np.int16, rows=ROWS, columns=COLUMNS) -> np.ndarray:
    """Pixels that tell row, column and slice."""
    j, i = np.mgrid[:rows, :columns]
    return (100 * number + 10 * j + i).astype(dtype)


def image(
    pixels: np.ndarray | None, modality="CT", series=1, number=1, position=(0.0, 0.0, 0.0), **more
) -> Dataset:
    """A classic image; ``more`` overrides any attribute, None deletes it."""
    made = Dataset()
    values = {
        "SOPClassUID": CLASS.get(modality, CTImageStorage),
        "SOPInstanceUID": f"{ROOT}.3.{series}.{number}",
        "SeriesInstanceUID": f"{ROOT}.2.{series}",
        "StudyInstanceUID": f"{ROOT}.1",
        "FrameOfReferenceUID": f"{ROOT}.4",
        "Modality": modality,
        "PatientID": "P1",
        "PatientName": "Doe^Jane",
        "PatientSex": "F",
        "PatientBirthDate": "19800102",
        "StudyDate": "20240305",
        "SeriesDate": "20240305",
        "SeriesTime": "101500",
        "InstanceNumber": number,
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "ImagePositionPatient": [float(p) for p in position],
        "ImageOrientationPatient": list(AXIAL),
        "PixelSpacing": [2.0, 1.5],
        **_scale(modality),
    }
    if pixels is not None:
        values |= pixel_module(pixels)
    for keyword, value in (values | more).items():
        if value is not None:
            is_items = isinstance(value, list) and value and all(isinstance(v, Dataset) for v in value)
            setattr(made, keyword, Items(value) if is_items else value)
    return made


def _scale(modality: str) -> dict[str, object]:
    return {"RescaleSlope": 1, "RescaleIntercept": -1024} if modality == "CT" else {}


def pixel_module(pixels: np.ndarray) -> dict[str, object]:
    """Image Pixel module of (rows, columns) or (frames, rows, columns)."""
    bits = pixels.dtype.itemsize * 8
    frames = {"NumberOfFrames": pixels.shape[0]} if pixels.ndim == 3 else {}
    return frames | {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": pixels.shape[-2],
        "Columns": pixels.shape[-1],
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "PixelData": pixels.tobytes(),
    }


def save(made: Dataset, path: Path, syntax=ExplicitVRLittleEndian, encoding_plugin: str = "") -> Path:
    """Write as a DICOM file, compressed when the syntax says so."""
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path.parent.mkdir(parents=True, exist_ok=True)
    if syntax.is_encapsulated:
        uid = made.SOPInstanceUID
        made.compress(syntax, encoding_plugin=encoding_plugin, generate_instance_uid=False)
        made.SOPInstanceUID = uid
    made.file_meta.TransferSyntaxUID = syntax
    little = syntax.is_little_endian
    if not little:
        _swap(made)
    made.save_as(path, enforce_file_format=True)
    return path


def _swap(made: Dataset) -> None:
    if made.BitsAllocated == 16:
        made.PixelData = np.frombuffer(made.PixelData, "<u2").astype(">u2").tobytes()
    made["PixelData"].VR = "OW"


def write_stack(
    folder: Path,
    modality="CT",
    series=1,
    positions: Sequence[Sequence[float]] | None = None,
    pixels: Sequence[np.ndarray] | None = None,
    syntax=ExplicitVRLittleEndian,
    start=1,
    **more,
) -> list[Path]:
    """One file per position; by default four axial slices 3 mm apart."""
    positions = [(0.0, 0.0, 3.0 * k) for k in range(4)] if positions is None else positions
    pixels = [counted(k) for k in range(len(positions))] if pixels is None else pixels
    paths = []
    for number, (plane, where) in enumerate(zip(pixels, positions, strict=True), start=start):
        made = image(plane, modality, series, number, where, **more)
        paths.append(save(made, folder / f"{modality}{series}-{number:03d}.dcm", syntax))
    return paths
