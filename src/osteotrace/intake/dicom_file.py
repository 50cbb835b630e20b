"""The header of one file and the place of its pixels."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import pydicom
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from osteotrace.errors import UnreadableFileError
from osteotrace.intake import header as hd
from osteotrace.intake.instance import PixelElement, PixelFormat

ByteOrder = Literal["little", "big"]

_PREAMBLE = 128
_MAGIC = b"DICM"
_KEYWORDS = {0x0010: "PixelData", 0x0008: "FloatPixelData", 0x0009: "DoubleFloatPixelData"}
_LONG_VRS = frozenset({b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN"})
# A dataset without preamble starts with group 2 (meta) or 8 and a small element number, and a VR or a length
# that fits in the first kilobytes.
# Private groups in which a scanner's b-value, scan time, scale or SUV factor may stand.
_PRIVATE_READ = frozenset({0x0009, 0x0019, 0x0043, 0x2001, 0x2005, 0x7053})
_FIRST_GROUPS = frozenset({0x0002, 0x0008})
_FIRST_ELEMENT_MAX = 0x0070
_FIRST_LENGTH_MAX = 1024


@dataclass(frozen=True, slots=True, eq=False)
class DicomFile:
    """A file that was recognised as DICOM."""

    path: Path
    header: Dataset
    pixels: PixelElement | None


def looks_like_dicom(start: bytes) -> bool:
    """Whether the first bytes of a file (132 or more) are those of DICOM, with or without preamble."""
    if start[_PREAMBLE : _PREAMBLE + 4] == _MAGIC:
        return True
    return _looks_like_element(start, "little") or _looks_like_element(start, "big")


def _looks_like_element(start: bytes, order: ByteOrder) -> bool:
    if len(start) < 8:
        return False
    group, number = (int.from_bytes(start[n : n + 2], order) for n in (0, 2))
    if group not in _FIRST_GROUPS or number > _FIRST_ELEMENT_MAX:
        return False
    if start[4:6].isalpha() and start[4:6].isupper():
        return True
    return order == "little" and int.from_bytes(start[4:8], "little") <= _FIRST_LENGTH_MAX


def read_dicom(path: Path) -> DicomFile | None:
    """Read the header of a file; None when the file is not DICOM.

    Raises
    ------
    UnreadableFileError
        When the file cannot be opened, or is DICOM but its header cannot be read.
    """
    try:
        with path.open("rb") as stream:
            if not looks_like_dicom(stream.read(_PREAMBLE + 4)):
                return None
            stream.seek(0)
            return _read(path, stream)
    except OSError as error:
        raise UnreadableFileError(
            f"the file cannot be opened ({type(error).__name__})",
            where=path.name,
            remedy="check its permissions",
        ) from error


def _read(path: Path, stream: BinaryIO) -> DicomFile:
    try:
        header = pydicom.dcmread(stream, stop_before_pixels=True, force=True)
        pixels = _pixel_element(header, stream)
        _drop_private(header)
    except Exception as error:  # pydicom raises many kinds of error on damaged files
        if isinstance(error, OSError) and error.errno is not None:  # of the disk, not of the content
            raise
        raise UnreadableFileError(
            f"the DICOM header cannot be read ({type(error).__name__})",
            where=path.name,
            expected="a whole DICOM file",
            remedy="export the file again",
        ) from error
    return DicomFile(path, header, pixels)


def _drop_private(header: FileDataset) -> None:
    """Forget private groups that nothing here reads; Siemens alone writes 100 kB of them into every slice."""
    for tag in [t for t in header.keys() if t.is_private and t.group not in _PRIVATE_READ]:  # noqa: SIM118
        del header[tag]


def transfer_syntax(header: FileDataset) -> str:
    """Transfer Syntax UID (0002,0010); concluded from the encoding that pydicom found when it is absent."""
    declared = hd.text(header.file_meta, "TransferSyntaxUID") if hasattr(header, "file_meta") else ""
    if declared:
        return declared
    is_implicit, is_little = header.original_encoding
    if is_implicit or is_implicit is None:
        return str(ImplicitVRLittleEndian)
    return "1.2.840.10008.1.2.1" if is_little else str(ExplicitVRBigEndian)


def _pixel_element(header: FileDataset, stream: BinaryIO) -> PixelElement | None:
    syntax = transfer_syntax(header)
    if syntax == DeflatedExplicitVRLittleEndian:
        return PixelElement("PixelData", syntax, 0, 0, 0)
    start = stream.tell()
    size = os.fstat(stream.fileno()).st_size
    head = stream.read(12)
    is_implicit, is_little = header.original_encoding
    order: ByteOrder = "little" if is_little else "big"
    if len(head) < 12 or int.from_bytes(head[:2], order) != 0x7FE0:
        return None
    keyword = _KEYWORDS.get(int.from_bytes(head[2:4], order))
    if keyword is None:
        return None
    is_long = not is_implicit and head[4:6] in _LONG_VRS
    if is_implicit:
        width, length = 8, int.from_bytes(head[4:8], "little")
    elif is_long:
        width, length = 12, int.from_bytes(head[8:12], order)
    else:
        width, length = 8, int.from_bytes(head[6:8], order)
    return PixelElement(keyword, syntax, start + width, length, size - start - width)


def pixel_format(header: Dataset) -> PixelFormat:
    """Image Pixel module (PS3.3 C.7.6.3); rows and columns are 0 when absent."""
    bits = hd.whole(header, "BitsAllocated")
    stored = hd.whole(header, "BitsStored", bits) or bits
    return PixelFormat(
        rows=hd.whole(header, "Rows"),
        columns=hd.whole(header, "Columns"),
        samples_per_pixel=hd.whole(header, "SamplesPerPixel", 1),
        bits_allocated=bits,
        bits_stored=stored,
        high_bit=hd.whole(header, "HighBit", stored - 1),
        is_signed=hd.whole(header, "PixelRepresentation") == 1,
        photometric_interpretation=hd.text(header, "PhotometricInterpretation") or "MONOCHROME2",
        number_of_frames=max(1, hd.whole(header, "NumberOfFrames", 1)),
    )
