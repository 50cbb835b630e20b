"""DICOM dates and times as text (PS3.5 6.2: DA, TM, DT), as files really have them."""

from __future__ import annotations

import re
from datetime import date, datetime, time

# Blanks and NUL pad; points and colons are the separators of ACR-NEMA 2.0, still met in old archives.
_DATE = re.compile(r"(\d{4})[.\-]?(\d{2})[.\-]?(\d{2})")
_TIME = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d+))?)?)?")
_DATE_TIME = re.compile(r"(\d{8})(\d{2}(?:\d{2}(?:\d{2}(?:\.\d+)?)?)?)([+-]\d{4})?")
_OFFSET = re.compile(r"([+-])(\d{2})(\d{2})")
_PADDING = " \0"
_MICROSECOND_DIGITS = 6
_LEAP_SECOND = 60


def parse_date(text: str) -> date | None:
    """Date of a DA value; None when the text is not a date of the calendar (``00000000``, say)."""
    match = _DATE.fullmatch(text.strip(_PADDING))
    if match is None:
        return None
    try:
        return date(*(int(part) for part in match.groups()))
    except ValueError:
        return None


def parse_time(text: str) -> time | None:
    """Time of day of a TM value, to the microsecond; None when the text is not one.

    A leap second (60) is read as the last microsecond of the minute.
    """
    match = _TIME.fullmatch(text.strip(_PADDING))
    if match is None:
        return None
    hour, minute, second = (int(part or 0) for part in match.groups()[:3])
    fraction = (match[4] or "")[:_MICROSECOND_DIGITS].ljust(_MICROSECOND_DIGITS, "0")
    if second == _LEAP_SECOND:
        second, fraction = second - 1, "9" * _MICROSECOND_DIGITS
    try:
        return time(hour, minute, second, int(fraction))
    except ValueError:
        return None


def parse_datetime(text: str) -> tuple[datetime, int | None] | None:
    """Wall-clock date and time of a DT value, and its offset in minutes east of UTC, if it has one.

    None when the text is not a date with at least an hour.
    """
    match = _DATE_TIME.fullmatch(text.strip(_PADDING))
    if match is None:
        return None
    day, clock = parse_date(match[1]), parse_time(match[2])
    if day is None or clock is None:
        return None
    return datetime.combine(day, clock), parse_utc_offset(match[3] or "")


def parse_utc_offset(text: str) -> int | None:
    """Minutes east of UTC of an offset such as ``-0500``; None when the text is not one."""
    match = _OFFSET.fullmatch(text.strip(_PADDING))
    if match is None:
        return None
    minutes = int(match[2]) * 60 + int(match[3])
    return -minutes if match[1] == "-" else minutes
