"""Attributes, numbers and coded entries in DICOM's notation."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pydicom.dataset import Dataset


def dataset(**values: object) -> Dataset:
    """A dataset of attributes by keyword; a list of datasets is a sequence."""
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def decimal(value: float) -> str:
    """A number as decimal string of at most 16 characters (PS3.5 6.2), to ten digits."""
    return f"{value + 0.0:.10g}"


def decimals(values: Iterable[float]) -> list[str]:
    """Numbers as decimal strings."""
    return [decimal(float(v)) for v in values]


def coded(value: str, scheme: str, meaning: str) -> list[Dataset]:
    """A code sequence of one item (PS3.3 8.8)."""
    return [dataset(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)]


def day_text(moment: datetime) -> str:
    """Date of a moment, VR DA."""
    return f"{moment:%Y%m%d}"


def time_text(moment: datetime) -> str:
    """Time of day of a moment, VR TM."""
    return f"{moment:%H%M%S}"
