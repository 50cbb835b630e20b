"""The phantom's scans as DICOM (PS3.3 A.3 CT, A.4 MR, A.21 PET, A.19 RT Structure Set)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    RTStructureSetStorage,
)

from osteotrace import __version__
from osteotrace.phantom.scanners import Channel, Scan
from osteotrace.space import FloatArray

WEIGHT_KG, SIZE_M, DOSE_BQ, HALF_LIFE_S, UPTAKE_S = 74.0, 1.76, 3.1e8, 6586.2, 3600
_DATE: dict[Channel, str] = {"T1": "20240301", "T2FS": "20240301", "CT": "20240305", "PT": "20240305"}
_TIME: dict[Channel, str] = {"T1": "091000", "T2FS": "091600", "CT": "101500", "PT": "101800"}
_INJECTION = "20240305091800"
_STORAGE: dict[Channel, UID] = {
    "CT": CTImageStorage,
    "PT": PositronEmissionTomographyImageStorage,
    "T1": MRImageStorage,
    "T2FS": MRImageStorage,
}
_IMAGE_TYPE: dict[Channel, list[str]] = {"CT": ["AXIAL"], "PT": [], "T1": ["OTHER"], "T2FS": ["OTHER"]}
_NAME: dict[Channel, str] = {"CT": "CT trunk", "PT": "PET AC", "T1": "sag T1 tse", "T2FS": "sag T2 tse fs"}


def uid(*parts: object) -> UID:
    """UID made from words: the same words give the same UID (PS3.5 B.2)."""
    digest = hashlib.sha256("/".join(str(p) for p in ("osteotrace phantom", *parts)).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")


def write_series(folder: Path, scan: Scan, values: NDArray[np.float32], seed: int) -> None:
    """One file per slice of a scan; values in HU, SUV or MR signal, shape scan.grid.shape."""
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(scan.grid.shape[2]):
        dataset = _image(scan, k, seed)
        _MODULES[scan.channel](dataset)
        _pixels(dataset, scan.channel, values[:, :, k])
        dataset.save_as(folder / f"IM{k + 1:04d}.dcm", enforce_file_format=True)


def write_structure_set(
    path: Path, scan: Scan, rois: tuple[tuple[str, tuple[FloatArray, ...]], ...], seed: int
) -> None:
    """Contours (shape (n, 3), LPS mm) drawn on a scan as RT Structure Set."""
    dataset = _common(RTStructureSetStorage, uid(seed, scan.channel, "rtstruct"), scan.channel, seed)
    dataset.Modality = "RTSTRUCT"
    dataset.SeriesInstanceUID = uid(seed, scan.channel, "rtstruct series")
    dataset.SeriesDescription = f"contours on {_NAME[scan.channel]}"
    dataset.StructureSetLabel = "READER"
    dataset.StructureSetDate, dataset.StructureSetTime = _DATE[scan.channel], "120000"
    dataset.OperatorsName = dataset.PositionReferenceIndicator = ""
    dataset.FrameOfReferenceUID = scan.grid.frame_of_reference_uid
    frame = Dataset()
    frame.FrameOfReferenceUID = scan.grid.frame_of_reference_uid
    frame.RTReferencedStudySequence = Sequence([_referenced_study(scan, seed)])
    dataset.ReferencedFrameOfReferenceSequence = Sequence([frame])
    dataset.StructureSetROISequence = Sequence([_roi(n, name, scan) for n, (name, _) in _numbered(rois)])
    dataset.ROIContourSequence = Sequence([_contours(n, c, scan, seed) for n, (_, c) in _numbered(rois)])
    dataset.RTROIObservationsSequence = Sequence([_observation(n) for n, _ in _numbered(rois)])
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


def _numbered(rois: tuple[Any, ...]) -> list[tuple[int, Any]]:
    return list(enumerate(rois, start=1))


def _common(sop_class: UID, instance: UID, channel: Channel, seed: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = uid("implementation")
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, instance
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName, dataset.PatientID = "Phantom^Osteotrace", f"PHANTOM-{seed}"
    dataset.PatientBirthDate, dataset.PatientSex = "19640110", "M"
    dataset.PatientWeight, dataset.PatientSize = str(WEIGHT_KG), str(SIZE_M)
    dataset.StudyInstanceUID = uid(seed, _DATE[channel], "study")
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID = _DATE[channel], "090000", "1"
    dataset.AccessionNumber = dataset.ReferringPhysicianName = ""
    dataset.Manufacturer, dataset.ManufacturerModelName = "osteotrace", "phantom"
    dataset.SoftwareVersions = __version__
    dataset.SeriesNumber = str(list(_NAME).index(channel) + 1)
    return dataset


def _image(scan: Scan, k: int, seed: int) -> FileDataset:
    channel, grid = scan.channel, scan.grid
    dataset = _common(_STORAGE[channel], uid(seed, channel, "image", k), channel, seed)
    dataset.Modality = channel if channel in ("CT", "PT") else "MR"
    dataset.SeriesInstanceUID = uid(seed, channel, "series")
    dataset.SeriesDescription = _NAME[channel]
    dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = _DATE[channel]
    dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = _TIME[channel]
    dataset.BodyPartExamined = "SPINE" if dataset.Modality == "MR" else "CHEST"
    if channel != "PT":  # PET tells it by the orientation and gantry codes (PS3.3 C.7.3.1)
        dataset.PatientPosition = "HFS"
    dataset.FrameOfReferenceUID = grid.frame_of_reference_uid
    dataset.PositionReferenceIndicator = ""
    dataset.InstanceNumber = str(k + 1)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", *_IMAGE_TYPE[channel]]
    dataset.ImagePositionPatient = [f"{x:.6f}" for x in grid.points((0, 0, k))]
    dataset.ImageOrientationPatient = [f"{x:.6f}" for x in (*grid.direction[:, 0], *grid.direction[:, 1])]
    dataset.PixelSpacing = [f"{grid.spacing[1]:.6f}", f"{grid.spacing[0]:.6f}"]
    dataset.SliceThickness = f"{grid.spacing[2]:.6f}"
    return dataset


def _pixels(dataset: Dataset, channel: Channel, values: NDArray[np.float32]) -> None:
    slope, intercept, signed = 1.0, 0.0, False
    stored = values
    if channel == "CT":
        intercept, stored = -1024.0, values + 1024
    elif channel == "PT":
        activity = values * _activity_per_suv()
        slope, signed = max(float(np.abs(activity).max()), 1.0) / 32000, True
        slope = float(f"{slope:.8g}")
        stored = activity / slope
    if channel in ("CT", "PT"):
        dataset.RescaleSlope, dataset.RescaleIntercept = f"{slope:.8g}", f"{intercept:g}"
    dtype = np.int16 if signed else np.uint16
    limits = np.iinfo(dtype)
    frame = np.clip(np.rint(stored), limits.min, limits.max).astype(dtype)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Columns, dataset.Rows = frame.shape
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, int(signed)
    dataset.PixelData = np.ascontiguousarray(frame.T).tobytes()


def _activity_per_suv() -> float:
    decayed = DOSE_BQ * 2 ** (-UPTAKE_S / HALF_LIFE_S)
    return float(decayed / (WEIGHT_KG * 1000))


def _ct(dataset: Dataset) -> None:
    dataset.KVP, dataset.AcquisitionNumber, dataset.ConvolutionKernel = "120", "1", "STANDARD"
    dataset.RescaleType = "HU"


def _mr(dataset: Dataset, tr: str, te: str, fat_saturated: bool) -> None:
    dataset.ScanningSequence, dataset.SequenceVariant = "SE", "SK"
    dataset.ScanOptions = "FS" if fat_saturated else ""
    dataset.MRAcquisitionType, dataset.EchoTrainLength = "2D", "8"
    dataset.RepetitionTime, dataset.EchoTime, dataset.FlipAngle = tr, te, "90"
    dataset.MagneticFieldStrength = "1.5"


def _t1(dataset: Dataset) -> None:
    _mr(dataset, "560", "11", fat_saturated=False)


def _t2fs(dataset: Dataset) -> None:
    _mr(dataset, "3600", "82", fat_saturated=True)


def _pt(dataset: Dataset) -> None:
    dataset.Units, dataset.DecayCorrection, dataset.CountsSource = "BQML", "START", "EMISSION"
    dataset.CorrectedImage = ["NORM", "DTIM", "ATTN", "SCAT", "RAN", "DECY"]
    dataset.SeriesType, dataset.NumberOfSlices = ["STATIC", "IMAGE"], 105
    dataset.ImageIndex = int(dataset.InstanceNumber)
    dataset.FrameReferenceTime, dataset.ActualFrameDuration = "60000", "120000"
    dataset.RandomsCorrectionMethod, dataset.AttenuationCorrectionMethod = "DLYD", "CT"
    dataset.DecayFactor, dataset.CollimatorType = "1", "NONE"
    agent = Dataset()
    agent.Radiopharmaceutical = "Fluorodeoxyglucose"
    agent.RadiopharmaceuticalStartDateTime = _INJECTION
    agent.RadiopharmaceuticalStartTime = _INJECTION[8:]
    agent.RadionuclideTotalDose, agent.RadionuclideHalfLife = f"{DOSE_BQ:g}", f"{HALF_LIFE_S:g}"
    agent.RadionuclideCodeSequence = Sequence([_code("77004003", "SCT", "^18^Fluorine")])
    agent.RadiopharmaceuticalCodeSequence = Sequence([_code("35321007", "SCT", "Fluorodeoxyglucose F^18^")])
    dataset.RadiopharmaceuticalInformationSequence = Sequence([agent])
    dataset.PatientOrientationCodeSequence = Sequence([_code("102538003", "SCT", "recumbent")])
    dataset.PatientGantryRelationshipCodeSequence = Sequence([_code("102540008", "SCT", "headfirst")])


_MODULES = {"CT": _ct, "PT": _pt, "T1": _t1, "T2FS": _t2fs}


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _image_reference(scan: Scan, k: int, seed: int) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = _STORAGE[scan.channel]
    item.ReferencedSOPInstanceUID = uid(seed, scan.channel, "image", k)
    return item


def _referenced_study(scan: Scan, seed: int) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = uid(seed, scan.channel, "series")
    series.ContourImageSequence = Sequence(
        [_image_reference(scan, k, seed) for k in range(scan.grid.shape[2])]
    )
    study = Dataset()
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    study.ReferencedSOPInstanceUID = uid(seed, _DATE[scan.channel], "study")
    study.RTReferencedSeriesSequence = Sequence([series])
    return study


def _roi(number: int, name: str, scan: Scan) -> Dataset:
    item = Dataset()
    item.ROINumber, item.ROIName = str(number), name
    item.ReferencedFrameOfReferenceUID = scan.grid.frame_of_reference_uid
    item.ROIGenerationAlgorithm = "MANUAL"
    return item


def _contours(number: int, contours: tuple[FloatArray, ...], scan: Scan, seed: int) -> Dataset:
    item = Dataset()
    item.ReferencedROINumber = str(number)
    item.ROIDisplayColor = ["255", "80", "0"]
    item.ContourSequence = Sequence([_contour(points, scan, seed) for points in contours])
    return item


def _contour(points: FloatArray, scan: Scan, seed: int) -> Dataset:
    item = Dataset()
    k = round(float(scan.grid.indices(points[0])[2]))
    item.ContourImageSequence = Sequence([_image_reference(scan, k, seed)])
    item.ContourGeometricType = "CLOSED_PLANAR"
    item.NumberOfContourPoints = str(len(points))
    item.ContourData = [f"{x:.3f}" for x in points.ravel()]
    return item


def _observation(number: int) -> Dataset:
    item = Dataset()
    item.ObservationNumber = item.ReferencedROINumber = str(number)
    item.RTROIInterpretedType, item.ROIInterpreter = "GTV", ""
    return item
