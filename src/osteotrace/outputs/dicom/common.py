"""What every DICOM object of osteotrace has: patient, study, equipment, identity."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import re

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from osteotrace import __version__
from osteotrace.model.imaging import Exam
from osteotrace.model.workup import Workup

_UID = re.compile(r"(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))+")
_LONGEST_UID = 64
_UNDATED = dt.datetime(1900, 1, 1)
_WORDS = 64  # of a LO


def is_uid(text: str) -> bool:
    """Whether DICOM takes a text for a UID; frames of NIfTI images can have other names."""
    return len(text) <= _LONGEST_UID and _UID.fullmatch(text) is not None


def uid(*parts: str) -> str:
    """A UID that is the same for the same parts (root 2.25)."""
    digest = hashlib.sha256("\0".join(["osteotrace", *parts]).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def dated(exam: Exam) -> dt.datetime:
    """When an exam was made; a conventional date where nobody may know."""
    return exam.datetime or _UNDATED


def new_object(
    workup: Workup, exam: Exam, sop_class: str, identity: tuple[str, ...], modality: str
) -> FileDataset:
    """Dataset with the modules that do not depend on its content, in the study of an exam.

    Parameters
    ----------
    identity : tuple of str
        What makes the object this one; the same identity gives the same UIDs.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = UID(uid(*identity, "instance"))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)  # type: ignore[arg-type]
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID, made.SOPInstanceUID = sop_class, str(meta.MediaStorageSOPInstanceUID)
    _patient(made, workup)
    _study(made, exam)
    made.Modality = modality
    made.SeriesInstanceUID = uid(*identity, "series")
    made.SeriesNumber = None
    made.Laterality = ""  # the whole body, as far as it goes
    made.InstanceNumber = "1"
    made.Manufacturer, made.ManufacturerModelName = "osteotrace", "osteotrace"
    made.SoftwareVersions, made.DeviceSerialNumber = __version__, "0"
    when = dated(exam)
    made.ContentDate, made.ContentTime = when.strftime("%Y%m%d"), when.strftime("%H%M%S")
    return made


def _patient(made: Dataset, workup: Workup) -> None:
    patient = workup.patient
    made.PatientName, made.PatientID = patient.name, patient.patient_id
    made.PatientBirthDate, made.PatientSex = "", patient.sex


def _study(made: Dataset, exam: Exam) -> None:
    study = exam.series[0].study_instance_uid
    made.StudyInstanceUID = study if is_uid(study) else uid(study, "study")
    made.StudyDate = exam.datetime.strftime("%Y%m%d") if exam.datetime else ""
    made.StudyTime = exam.datetime.strftime("%H%M%S") if exam.datetime else ""
    made.StudyID = made.AccessionNumber = made.ReferringPhysicianName = ""


def words(text: str) -> str:
    """A text as a LO: one line of at most 64 characters without backslash."""
    return " ".join(text.replace("\\", " ").split())[:_WORDS].rstrip()


def as_bytes(made: FileDataset) -> bytes:
    """The object as a file."""
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
