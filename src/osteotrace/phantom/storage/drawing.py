"""What structure sets and segmentations have in common: a reader's drawing on one series."""

from __future__ import annotations

from datetime import timedelta

from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
)

from osteotrace.errors import InputError
from osteotrace.phantom.protocols import Acquisition, CtProtocol, MrProtocol
from osteotrace.phantom.storage import common
from osteotrace.phantom.storage.context import StudyContext, uid
from osteotrace.phantom.storage.elements import dataset, day_text, time_text
from osteotrace.space import Grid

_READ_AFTER = timedelta(hours=2)  # the drawing was made, after the scan
_SERIES_OF_DRAWINGS = 2000  # above the minutes of a day, which number the image series


def grid_of(acquisition: Acquisition) -> Grid:
    """Grid that was drawn on.

    Raises
    ------
    InputError
        When the acquisition is planar.
    """
    if acquisition.grid is None:
        raise InputError(f"{acquisition.id} has no slices", expected="a series of slices to draw on")
    return acquisition.grid


def drawing(
    context: StudyContext, acquisition: Acquisition, modality: str, sop_class: UID, label: str
) -> Dataset:
    """Patient, study, series and equipment of a drawing; ``label`` tells several on one series apart."""
    made = common.general(context, acquisition.session)
    common.dated(made, context, acquisition)
    moment = context.start(acquisition) + _READ_AFTER
    made.update(
        dataset(
            SOPClassUID=sop_class,
            SOPInstanceUID=uid(context.seed, acquisition.id, modality, label),
            Modality=modality,
            SeriesInstanceUID=uid(context.seed, acquisition.id, modality, label, "series"),
            SeriesNumber=str(_SERIES_OF_DRAWINGS + acquisition.minute),
            SeriesDescription=f"{label} on {acquisition.protocol.name}",
            SeriesDate=day_text(moment),
            SeriesTime=time_text(moment),
            InstanceNumber="1",
            FrameOfReferenceUID=grid_of(acquisition).frame_of_reference_uid,
            PositionReferenceIndicator="",
        )
    )
    return made


def image_class(acquisition: Acquisition) -> UID:
    """SOP class of the images of an acquisition with slices."""
    if isinstance(acquisition.protocol, CtProtocol):
        return CTImageStorage
    if isinstance(acquisition.protocol, MrProtocol):
        return MRImageStorage
    return PositronEmissionTomographyImageStorage


def image_reference(context: StudyContext, acquisition: Acquisition, k: int) -> Dataset:
    """Reference to slice k."""
    return dataset(
        ReferencedSOPClassUID=image_class(acquisition),
        ReferencedSOPInstanceUID=context.image_uid(acquisition, k),
    )
