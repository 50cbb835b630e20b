"""Modules that every object of the phantom has (PS3.3 C.7.1 to C.7.6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from osteotrace import __version__
from osteotrace.phantom.protocols import Acquisition
from osteotrace.phantom.storage.context import Session, StudyContext
from osteotrace.phantom.storage.elements import dataset, day_text, decimal, decimals, time_text
from osteotrace.phantom.storage.habits import habits_of
from osteotrace.space import Grid

_IMPORTED_AFTER = timedelta(days=1)  # a study of another hospital came to the archive


@dataclass(frozen=True, slots=True, eq=False)
class Files:
    """The files of one series.

    Attributes
    ----------
    constant : Dataset
        What is the same in all of them.
    varying : callable
        What belongs to file k alone, from 0, pixels included.
    count : int
        Number of files.
    """

    constant: Dataset
    varying: Callable[[int], Dataset]
    count: int


def general(context: StudyContext, session_name: str) -> Dataset:
    """Patient, Patient Study, General Study and General Equipment."""
    session, person = context.session(session_name), context.person
    habits = habits_of(session.scanner.vendor)
    return dataset(
        SpecificCharacterSet="ISO_IR 192",
        PatientName=context.patient_name,
        PatientID=context.patient_id,
        IssuerOfPatientID=context.issuer,
        PatientBirthDate=f"{context.birth_date:%Y%m%d}",
        PatientSex=person.sex,
        PatientComments="Synthetic patient: osteotrace phantom",
        QualityControlSubject="YES",
        PatientSize=decimal(person.size_m),
        PatientWeight=decimal(person.weight_kg),
        StudyInstanceUID=context.study_uid(session_name),
        StudyID=str(context.session_number(session_name)),
        StudyDescription=session.description,
        AccessionNumber=f"OT{context.seed % 10**8:08d}{context.session_number(session_name):02d}",
        ReferringPhysicianName=session.referring_physician,
        Manufacturer=habits.manufacturer,
        ManufacturerModelName=session.scanner.model,
        StationName=session.scanner.station,
        InstitutionName=session.scanner.institution,
        DeviceSerialNumber=session.scanner.station,
        SoftwareVersions=f"{habits.software} {__version__}",
    )


def dated(made: Dataset, context: StudyContext, acquisition: Acquisition) -> None:
    """Age of the patient, date and time of the study, and that it was imported, by the day of a series."""
    session = context.session(acquisition.session)
    began = context.moment(acquisition.day, session.minute)
    if session.foreign_id:
        made.OriginalAttributesSequence = [_imported(session, began + _IMPORTED_AFTER)]
    made.PatientAge = f"{context.age_years(acquisition.day):03d}Y"
    made.StudyDate, made.StudyTime = day_text(began), time_text(began)


def image_series(context: StudyContext, acquisition: Acquisition, modality: str) -> Dataset:
    """Everything of an image series that does not depend on its kind."""
    made = general(context, acquisition.session)
    dated(made, context, acquisition)
    start = context.start(acquisition)
    made.update(
        dataset(
            Modality=modality,
            SeriesInstanceUID=context.series_uid(acquisition),
            SeriesNumber=str(acquisition.minute),
            SeriesDescription=acquisition.protocol.name,
            ProtocolName=acquisition.protocol.name,
            BodyPartExamined=context.session(acquisition.session).body_part,
            SeriesDate=day_text(start),
            SeriesTime=time_text(start),
            ContentDate=day_text(start),
            ContentTime=time_text(start),
            PositionReferenceIndicator="",
            SamplesPerPixel=1,
            PhotometricInterpretation="MONOCHROME2",
        )
    )
    return made


def _imported(session: Session, moment: datetime) -> Dataset:
    """Patient ID before the import (PS3.3 C.12.1.1.9)."""
    before = dataset(PatientID=session.foreign_id, IssuerOfPatientID=session.foreign_issuer)
    return dataset(
        SourceOfPreviousValues=session.scanner.institution,
        AttributeModificationDateTime=f"{moment:%Y%m%d%H%M%S}",
        ModifyingSystem="osteotrace phantom",
        ReasonForTheAttributeModification="COERCE",
        ModifiedAttributesSequence=[before],
    )


def acquired(made: Dataset, moment: datetime) -> None:
    """Acquisition Date and Time."""
    made.AcquisitionDate, made.AcquisitionTime = day_text(moment), time_text(moment)


def plane(made: Dataset, grid: Grid, thickness_mm: float) -> None:
    """Frame of Reference and what Image Plane (PS3.3 C.7.6.2) says of all slices."""
    made.FrameOfReferenceUID = grid.frame_of_reference_uid
    made.ImageOrientationPatient = decimals((*grid.direction[:, 0], *grid.direction[:, 1]))
    made.PixelSpacing = decimals((grid.spacing[1], grid.spacing[0]))
    made.SliceThickness = decimal(thickness_mm)
    made.Columns, made.Rows = grid.shape[:2]


def slice_of(context: StudyContext, acquisition: Acquisition, k: int) -> Dataset:
    """What Image Plane and General Image say of slice k."""
    assert acquisition.grid is not None
    origin = acquisition.grid.points((0, 0, k))
    normal = np.cross(acquisition.grid.direction[:, 0], acquisition.grid.direction[:, 1])
    return dataset(
        SOPInstanceUID=context.image_uid(acquisition, k),
        InstanceNumber=str(k + 1),
        ImagePositionPatient=decimals(origin),
        SliceLocation=decimal(float(origin @ normal)),
    )


def pixel_format(made: Dataset, bits: int, *, signed: bool = False) -> None:
    """Image Pixel (PS3.3 C.7.6.3): 16 bits allocated."""
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, bits, bits - 1
    made.PixelRepresentation = int(signed)


def pixels(values: NDArray[np.float32], bits: int, *, signed: bool = False) -> DataElement:
    """Pixel Data: whole numbers of frames (..., columns, rows), row by row; what does not fit is clipped."""
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    whole = np.clip(np.rint(values.swapaxes(-2, -1)), low, high)
    return DataElement(Tag("PixelData"), "OW", whole.astype("<i2" if signed else "<u2").tobytes())
