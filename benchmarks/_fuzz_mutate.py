"""Ways to damage a file: its bytes, its DICOM elements, its TOML lines."""

from __future__ import annotations

import gzip
import io
import random
import re
import warnings
import zlib
from collections.abc import Callable, Sequence

import pydicom
from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import BaseTag, Tag

from _fuzz_seeds import Seed
from _tiny import to_bytes

_HEADER = 4096  # bytes in which damage does more than in the pixels
_GZIP = b"\x1f\x8b"
_MOST_MUTATIONS = 4

# Attributes that decide how much is read and where it lies; damaged more often than others.
_DECISIVE = (
    "Rows",
    "Columns",
    "NumberOfFrames",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "RescaleSlope",
    "RescaleIntercept",
    "PixelPaddingValue",
    "GridFrameOffsetVector",
    "ContourData",
    "SegmentNumber",
    "ReferencedSegmentNumber",
    "FrameOfReferenceUID",
    "SeriesDate",
    "AcquisitionTime",
    "PatientWeight",
    "PatientSize",
    "PatientAge",
    "PatientBirthDate",
    "Units",
    "DecayCorrection",
    "CorrectedImage",
    "ImageType",
    "SpecificCharacterSet",
    "PatientName",
    "InstanceNumber",
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "EchoTime",
    "GraphicData",
    "RealWorldValueSlope",
)
_VALUES = (
    b"",
    b" ",
    b"\0\0",
    b"\xff\xff",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x80",
    b"0 ",
    b"-1",
    b"1e400 ",
    b"-1e308 ",
    b"1e-308",
    b"nan ",
    b"inf ",
    b"1_000 ",
    b"99999999999999999999",
    b"65535 ",
    b"2147483648",
    b"1\\2\\3 ",
    b"1\\0\\0\\0\\1\\0 ",
    b"\\\\\\\\",
    b"0\\0\\0\\0\\0\\0 ",
    b"1e200\\1e200\\1e200 ",
    b"20000230",
    b"00000000",
    b"00010101",
    b"99991231",
    b"235960",
    b"240000.999999 ",
    b"000Y",
    b"999Y",
    b"\x1b$B&$\x1b(B",
    b"ISO_IR 999",
    b"\\ISO 2022 IR 87 ",
    "Müller^Jürgen ".encode("latin-1"),
    "山田^太郎".encode(),
    b"<script>[bold]'\"&\r\n\t",
    b"A" * 70000,
    b"9" * 5000,
    b"1.2.840.10008.5.1.4.1.1.2 ",
    b"1.2.840.10008.5.1.4.1.1.128 ",
    b"1.2.840.10008.5.1.4.1.1.4.1 ",
    b"1.2.840.10008.5.1.4.1.1.20",
    b"1.2.840.10008.5.1.4.1.1.481.2 ",
    b"1.2.840.10008.5.1.4.1.1.481.3 ",
    b"1.2.840.10008.5.1.4.1.1.66.4",
    b"1.2.840.10008.5.1.4.1.1.88.33 ",
    b"1.2.840.10008.5.1.4.1.1.67",
    b"1.2.840.10008.5.1.4.1.1.7 ",
)
_SHORT_VRS = tuple(re.findall("..", "AEASATCSDADSDTFDFLISLOLTPNSHSLSSSTTMUIULUS"))
_VRS = (*_SHORT_VRS, *re.findall("..", "OBODOFOLOVOWSVUCUNURUTUV"))
_TOML_WORDS = (
    "nan",
    "inf",
    "-1",
    "1e400",
    "9999999999999999999999",
    "true",
    '""',
    '"../../x.nii"',
    '"*"',
    '"**/*.nii.gz"',
    '"/etc/passwd"',
    '"\\u0000"',
    "[]",
    "[[]]",
    "{}",
    "{ 1 = 2 }",
    "{ -1 = 'a', 99999999999999999999999 = 'b' }",
    "0001-01-01",
    "9999-12-31T23:59:59Z",
    "12:00:00",
    "'''\n\n'''",
    '"E1-R1"',
    "[" * 3000,
)


def mutated(seed: Seed, rng: random.Random, others: Sequence[Seed]) -> dict[str, bytes]:
    """Files of a seed with one or more of its targets damaged.

    Half of the time all targets get the same damage, so that it is not found out by comparing them.
    """
    files = dict(seed.files)
    chosen = list(seed.targets) if rng.random() < 0.5 else [rng.choice(seed.targets)]
    state = rng.getrandbits(64)
    donor = _donor(rng, others)
    for name in chosen:
        files[name] = _damaged(files[name], name, random.Random(state), donor)
    if rng.random() < 0.05:
        files["copy-" + chosen[0]] = files[chosen[0]]
    return files


def _donor(rng: random.Random, others: Sequence[Seed]) -> bytes:
    return rng.choice(rng.choice(others).files)[1]


def _damaged(content: bytes, name: str, rng: random.Random, donor: bytes) -> bytes:
    is_dicom = name.endswith(".dcm")
    if is_dicom and rng.random() < 0.8:
        content = damaged_elements(content, rng, donor)
        if rng.random() < 0.7:
            return content
    for _ in range(rng.randint(1, _MOST_MUTATIONS)):
        if name.endswith(".toml"):
            content = rng.choice((_toml_line, _toml_line, _toml_line, damaged_bytes))(content, rng, donor)
        elif content.startswith(_GZIP) and rng.random() < 0.8:
            content = _inside_gzip(content, rng, donor)
        else:
            content = damaged_bytes(content, rng, donor)
    return content


def _inside_gzip(content: bytes, rng: random.Random, donor: bytes) -> bytes:
    try:
        plain = gzip.decompress(content)
    except (OSError, EOFError, ValueError, zlib.error):
        return damaged_bytes(content, rng, donor)
    return gzip.compress(damaged_bytes(plain, rng, donor), compresslevel=1, mtime=0)


def damaged_bytes(content: bytes, rng: random.Random, donor: bytes = b"") -> bytes:
    """One kind of damage that knows nothing of the format."""
    return rng.choice(_BYTE_DAMAGE)(content, rng, donor)


def _place(content: bytes, rng: random.Random) -> int:
    """Mostly in the header."""
    end = min(len(content), _HEADER) if rng.random() < 0.7 else len(content)
    return rng.randrange(end) if end else 0


def _flip(content: bytes, rng: random.Random, donor: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        if changed:
            changed[_place(content, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _overwrite(content: bytes, rng: random.Random, donor: bytes) -> bytes:
    start = _place(content, rng)
    new = rng.choice(
        (b"\0", b"\xff", b"\x7f", b"\x80\0", b"\xff\xff\xff\xff", rng.randbytes(4), rng.randbytes(64))
    )
    return content[:start] + new + content[start + len(new) :]


def _truncate(content: bytes, rng: random.Random, donor: bytes) -> bytes:
    return content[: _place(content, rng)]


def _repeat(content: bytes, rng: random.Random, donor: bytes) -> bytes:
    start, size = _place(content, rng), rng.choice((1, 2, 4, 8, 100, 1000))
    return (
        content[: start + size]
        + content[start : start + size] * rng.choice((1, 1, 50))
        + content[start + size :]
    )


def _remove(content: bytes, rng: random.Random, donor: bytes) -> bytes:
    start = _place(content, rng)
    return content[:start] + content[start + rng.choice((1, 2, 4, 8, 100, 1000)) :]


def _insert(content: bytes, rng: random.Random, donor: bytes) -> bytes:
    start = _place(content, rng)
    return content[:start] + rng.choice(_VALUES)[:200] + content[start:]


def _head_swap(content: bytes, rng: random.Random, donor: bytes) -> bytes:
    """Header of one file, rest of another."""
    cut = _place(content, rng)
    return content[:cut] + donor[cut:] if rng.random() < 0.5 else donor[:cut] + content[cut:]


_Damage = Callable[[bytes, random.Random, bytes], bytes]
_BYTE_DAMAGE: tuple[_Damage, ...] = (
    _flip,
    _flip,
    _overwrite,
    _truncate,
    _repeat,
    _remove,
    _insert,
    _head_swap,
)


def damaged_elements(content: bytes, rng: random.Random, donor: bytes = b"") -> bytes:
    """Change some elements of a DICOM file; what cannot be parsed or written gets its bytes damaged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(io.BytesIO(content), force=True)
            for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
                _change_element(dataset, rng)
            return to_bytes(dataset)
        except Exception:  # pydicom raises many kinds of error on what was damaged before
            return damaged_bytes(content, rng, donor)


def _change_element(dataset: Dataset, rng: random.Random) -> None:
    where = _anywhere(dataset, rng)
    tags = list(where.keys())
    if rng.random() < 0.4:
        tags = [t for t in map(Tag, _DECISIVE) if t in where] or tags
    if not tags:
        return
    tag = Tag(rng.choice(tags))
    rng.choice(_ELEMENT_DAMAGE)(where, tag, rng)


def _anywhere(dataset: Dataset, rng: random.Random) -> Dataset:
    """The dataset, or an item of one of its sequences at any depth."""
    if rng.random() < 0.05 and hasattr(dataset, "file_meta"):
        return dataset.file_meta
    while rng.random() < 0.6:
        nested = [e.value for e in dataset if e.VR == "SQ" and len(e.value)]
        if not nested:
            break
        dataset = rng.choice(rng.choice(nested))
    return dataset


def _delete(where: Dataset, tag: BaseTag, rng: random.Random) -> None:
    del where[tag]


def _new_value(where: Dataset, tag: BaseTag, rng: random.Random) -> None:
    element = where[tag]
    if element.VR == "SQ":
        element.value = Items([])
        return
    _put(where, tag, element.VR, rng.choice((rng.choice(_VALUES), rng.randbytes(rng.choice((2, 4, 8, 16))))))


def _new_vr(where: Dataset, tag: BaseTag, rng: random.Random) -> None:
    element = where[tag]
    value = b"1\\2 " if element.VR == "SQ" else str(element.value).encode()[:1000]
    _put(where, tag, rng.choice(_VRS), value + b" " * (len(value) % 2))


def _empty(where: Dataset, tag: BaseTag, rng: random.Random) -> None:
    if where[tag].VR == "SQ":
        where[tag].value = Items([Dataset()])
    else:
        _put(where, tag, where[tag].VR, b"")


def _multiply(where: Dataset, tag: BaseTag, rng: random.Random) -> None:
    """Wrong multiplicity: values, or items of a sequence, many times; or only one of many."""
    element = where[tag]
    value = element.value
    many = value if isinstance(value, Items | list | pydicom.multival.MultiValue) else [value]
    if rng.random() < 0.3:
        element.value = list(many)[:1]
    else:
        element.value = list(many) * rng.choice((2, 3, 40))


def _nest(where: Dataset, tag: BaseTag, rng: random.Random) -> None:
    """An item that holds the dataset itself, up to some depth."""
    inner = Dataset()
    inner.update({e.tag: e for e in where if e.VR != "SQ" and e.tag != 0x7FE00010})
    for _ in range(rng.choice((1, 3, 60))):
        outer = Dataset()
        setattr(outer, keyword_for_tag(tag) or "ContentSequence", Items([inner]))
        inner = outer
    where[tag] = pydicom.DataElement(tag, "SQ", Items([inner]))


def _move(where: Dataset, tag: BaseTag, rng: random.Random) -> None:
    """The value of another element."""
    other = where[rng.choice(list(where.keys()))]
    if other.VR != "SQ":
        _put(where, tag, where[tag].VR if where[tag].VR != "SQ" else "UN", str(other.value).encode()[:1000])


def _put(where: Dataset, tag: BaseTag, vr: str, value: bytes) -> None:
    """Any bytes under any value representation."""
    value += b" " * (len(value) % 2)
    if vr in _SHORT_VRS:
        value = value[:65534]
    where[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)


_ELEMENT_DAMAGE: tuple[Callable[[Dataset, BaseTag, random.Random], None], ...] = (
    _delete,
    _new_value,
    _new_value,
    _new_value,
    _new_vr,
    _empty,
    _multiply,
    _nest,
    _move,
)


def _toml_line(content: bytes, rng: random.Random, donor: bytes) -> bytes:
    lines = content.decode("utf-8", "replace").split("\n")
    n = rng.randrange(len(lines))
    key, equals, _ = lines[n].partition(" = ")
    kind = rng.randrange(5)
    if kind == 0:
        del lines[n]
    elif kind == 1:
        lines.insert(rng.randrange(len(lines)), lines[n])
    elif kind == 2 and equals:
        lines[n] = f"{key} = {rng.choice(_TOML_WORDS)}"
    elif kind == 3 and equals:
        other = rng.choice(("date", "day", "file", "label", "labels", "x.y", "ü"))
        lines[n] = f"{other} = {lines[n].partition(' = ')[2]}"
    else:
        lines[n] = lines[n].replace(rng.choice(("[[", "]]", '"', "=", " ")), rng.choice(("", "[", '"', "\t")))
    return "\n".join(lines).encode()
