"""One DICOM image file: who it is, and where its pixels lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

UNDEFINED_LENGTH = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class PixelElement:
    """Where the pixel data of a file is.

    Attributes
    ----------
    keyword : {"PixelData", "FloatPixelData", "DoubleFloatPixelData"}
    transfer_syntax_uid : str
        Transfer Syntax UID (0002,0010), or the one that pydicom concluded.
    offset : int
        Byte at which the value starts; 0 when the whole dataset is deflated.
    length : int
        Bytes of the value; ``UNDEFINED_LENGTH`` when it is encapsulated.
    available : int
        Bytes from ``offset`` to the end of the file.
    """

    keyword: str
    transfer_syntax_uid: str
    offset: int
    length: int
    available: int

    @property
    def is_encapsulated(self) -> bool:
        """Whether the value is a sequence of fragments."""
        return self.length == UNDEFINED_LENGTH

    @property
    def is_deflated(self) -> bool:
        """Whether the bytes are only there after the dataset has been inflated."""
        return self.offset == 0


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How a frame is stored (PS3.3 C.7.6.3.1)."""

    rows: int
    columns: int
    samples_per_pixel: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    photometric_interpretation: str
    number_of_frames: int


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """A DICOM file with an image, as the header scan found it.

    Attributes
    ----------
    header : Dataset
        Header without pixels and without private groups that nothing reads.
    pixels : PixelElement or None
        None when the file ends before its pixels.
    modality : str
        By the SOP class: CT, MR, PT, NM or RTDOSE.
    instance_number : int
        Instance Number (0020,0013); 0 when absent.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    modality: str
    instance_number: int
    header: Dataset
    pixels: PixelElement | None
    format: PixelFormat
