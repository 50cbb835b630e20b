"""A DICOM object that draws regions, as the header scan found it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RegionObject:
    """Header of an RTSTRUCT, SEG or SR.

    Attributes
    ----------
    path : Path
        The file.
    sop_class_uid, sop_instance_uid, series_instance_uid, study_instance_uid : str
        From the header; empty when absent.
    frame_of_reference_uid : str
        Frame of Reference UID (0020,0052) of the object itself; empty when absent (an SR has none, an
        RTSTRUCT often names it only inside its sequences).
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    frame_of_reference_uid: str = ""
