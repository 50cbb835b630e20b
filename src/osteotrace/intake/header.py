"""Single attributes of a DICOM header, read without ever failing: what cannot be read is absent.

Numbers and plain text are taken from the raw bytes of the element. pydicom's own conversion builds objects
that are ten times as slow, which is felt in series of hundreds of files; it is used only for text in other
character sets and for sequences.
"""

from __future__ import annotations

import datetime as dt
import math
import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag

from osteotrace.intake.dicom_time import parse_date, parse_datetime, parse_time

_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
_NUMBER_TEXT = frozenset({"DS", "IS"})
_ESCAPE = 0x1B  # announces another character set (ISO 2022)


@lru_cache(maxsize=1024)
def _tag(keyword: str) -> BaseTag:
    number = tag_for_keyword(keyword)
    if number is None:
        raise KeyError(keyword)
    return BaseTag(number)


@lru_cache(maxsize=1024)
def _vr(keyword: str) -> str:
    return dictionary_VR(_tag(keyword))


def _element(header: Dataset, keyword: str) -> Any:
    """The raw or converted element, or None."""
    try:
        return header.get_item(_tag(keyword))
    except Exception:  # pydicom raises many kinds of error on damaged elements
        return None


def numbers(header: Dataset, keyword: str) -> tuple[float, ...]:
    """All values of a numeric element; empty when it is absent, not numeric or not finite."""
    element = _element(header, keyword)
    if element is None:
        return ()
    if isinstance(element, RawDataElement):
        vr = element.VR if element.VR in _BINARY or element.VR in _NUMBER_TEXT else _vr(keyword)
        return _numbers_of(bytes(element.value or b""), vr, element.is_little_endian)
    return _converted(element.value)


def number(header: Dataset, keyword: str) -> float | None:
    """First value of a numeric element, or None."""
    values = numbers(header, keyword)
    return values[0] if values else None


def whole(header: Dataset, keyword: str, default: int = 0) -> int:
    """First value of a numeric element as a whole number."""
    value = number(header, keyword)
    return default if value is None else int(value)


@lru_cache(maxsize=65536)
def _numbers_of(value: bytes, vr: str, little_endian: bool) -> tuple[float, ...]:
    try:
        if vr in _NUMBER_TEXT:
            text = value.decode("ascii").strip(" \0\r\n\t")
            values = tuple(float(part) for part in text.split("\\")) if text else ()
        elif vr in _BINARY:
            size = struct.calcsize(_BINARY[vr])
            code = f"{'<' if little_endian else '>'}{len(value) // size}{_BINARY[vr]}"
            values = tuple(float(v) for v in struct.unpack_from(code, value))
        else:
            return ()
    except (ValueError, struct.error):
        return ()
    return values if all(math.isfinite(v) for v in values) else ()


def _converted(value: Any) -> tuple[float, ...]:
    try:
        parts = value if isinstance(value, MultiValue | list | tuple) else (value,)
        values = tuple(float(v) for v in parts)
    except (TypeError, ValueError, OverflowError):
        return ()
    return values if all(math.isfinite(v) for v in values) else ()


def text(header: Dataset, keyword: str) -> str:
    """Text of an element without padding, several values joined by a backslash; empty when absent."""
    element = _element(header, keyword)
    if element is None:
        return ""
    if isinstance(element, RawDataElement):
        value = bytes(element.value or b"")
        if value.isascii() and _ESCAPE not in value:
            return value.decode("ascii").strip(" \0\r\n\t")
    return _converted_text(header, keyword)


def _converted_text(header: Dataset, keyword: str) -> str:
    try:
        value = header.get(_tag(keyword)).value
        parts = value if isinstance(value, MultiValue | list | tuple) else (value,)
        return "\\".join(str(part) for part in parts).strip(" \0\r\n\t") if value is not None else ""
    except Exception:  # pydicom raises many kinds of error on damaged elements
        return ""


def words(header: Dataset, keyword: str) -> tuple[str, ...]:
    """Values of a text element, each without padding; empty when absent."""
    value = text(header, keyword)
    return tuple(part.strip() for part in value.split("\\")) if value else ()


def items(header: Dataset, keyword: str) -> tuple[Dataset, ...]:
    """Items of a sequence; empty when it is absent or cannot be read."""
    try:
        element = header.get(_tag(keyword))
        sequence = [] if element is None or element.value is None else list(element.value)
    except Exception:  # pydicom raises many kinds of error on damaged elements
        return ()
    return tuple(item for item in sequence if isinstance(item, Dataset))


def first_item(header: Dataset, keyword: str) -> Dataset:
    """First item of a sequence; an empty dataset when there is none."""
    found = items(header, keyword)
    return found[0] if found else Dataset()


def moment(header: Dataset, prefix: str) -> dt.datetime | None:
    """Date and time of ``prefix``: Series, Acquisition, Content or Study; None without a valid date.

    A date without a time is taken as midnight.
    """
    day = parse_date(text(header, f"{prefix}Date"))
    if day is None:
        return _date_time(header, prefix)
    return dt.datetime.combine(day, parse_time(text(header, f"{prefix}Time")) or dt.time.min)


def _date_time(header: Dataset, prefix: str) -> dt.datetime | None:
    keyword = f"{prefix}DateTime"
    if tag_for_keyword(keyword) is None:
        return None
    parsed = parse_datetime(text(header, keyword))
    return parsed[0] if parsed else None


def elements(header: Dataset) -> Iterator[Any]:
    """Elements of a dataset as they were read, not converted."""
    for tag in list(header.keys()):
        yield header.get_item(tag)


def macros(groups: Dataset) -> Iterator[tuple[str, Dataset]]:
    """Keyword and first item of every sequence in an item of functional groups (PS3.3 C.7.6.16)."""
    for tag in list(groups.keys()):
        keyword = keyword_for_tag(tag)
        if keyword.endswith("Sequence"):
            yield keyword, first_item(groups, keyword)
