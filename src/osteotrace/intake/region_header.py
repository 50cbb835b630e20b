"""Reading the file of a drawing, and the attributes without which it is no drawing."""

from __future__ import annotations

import re
import warnings
from collections.abc import Generator
from contextlib import contextmanager

import numpy as np
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from osteotrace.errors import RegionError, UnreadableFileError
from osteotrace.intake import header as hd
from osteotrace.intake.region_object import RegionObject
from osteotrace.model.codes import Code
from osteotrace.model.problem import Problem
from osteotrace.model.values import Severity
from osteotrace.space import FloatArray

# Pixel data beyond this many bytes stay in the file until they are wanted.
_DEFER_BYTES = 1 << 20
FAR_MM = 1e6  # no patient has coordinates of a kilometre; damaged numbers do
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


def read_object(source: RegionObject) -> Dataset:
    """Read the file of a drawing; large values are left in it until they are wanted.

    Raises
    ------
    UnreadableFileError
        When it is not a readable DICOM file.
    """
    try:
        return dcmread(source.path, force=True, defer_size=_DEFER_BYTES)
    except Exception as error:  # pydicom raises many kinds of error on damaged files
        raise UnreadableFileError(
            f"the drawing cannot be read ({type(error).__name__})",
            where=source.path.name,
            expected="a whole DICOM file",
            remedy="export the file again",
        ) from error


@contextmanager
def recorded_warnings(source: RegionObject, into: list[Problem]) -> Generator[None, None, None]:
    """Record what the reader warns of as problems; quoted values (they may name the patient) are left out."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    said = dict.fromkeys(_QUOTED.sub("'...'", str(w.message)) for w in caught)
    into += [Problem(Severity.INFO, "dicom-warning", text, source.path.name) for text in said]


def whole(dataset: Dataset, keyword: str) -> int:
    """Whole number of a required attribute.

    Raises
    ------
    RegionError
        When it is absent or not a whole number.
    """
    found = hd.number(dataset, keyword)
    if found is None or found != int(found):
        raise RegionError(f"{keyword} is absent or no whole number", expected="a whole number")
    return int(found)


def numbers(dataset: Dataset, keyword: str, count: int) -> FloatArray:
    """Finite numbers of a required attribute, shape (count,).

    Raises
    ------
    RegionError
        When it is absent, or has another number of values.
    """
    found = hd.numbers(dataset, keyword)
    if len(found) != count:
        raise RegionError(f"{keyword} has {len(found)} usable values", expected=f"{count} finite numbers")
    return np.array(found, dtype=np.float64)


def points(dataset: Dataset, keyword: str) -> FloatArray:
    """Points (x, y, z) of a long list of numbers, shape (n, 3); not kept in any cache.

    Raises
    ------
    RegionError
        When it is absent, not finite, or not whole triplets.
    """
    try:
        element = dataset.get_item(keyword)
        raw = isinstance(element, RawDataElement) and element.value and element.VR in {"DS", "UN", None}
        values = bytes(element.value).decode("ascii").split("\\") if raw else dataset.get(keyword)
        array = np.array(values, dtype=np.float64).reshape(-1, 3)
    except Exception as error:  # pydicom raises many kinds of error on damaged elements
        raise RegionError(
            f"{keyword} cannot be read ({type(error).__name__})", expected="triplets x, y, z"
        ) from error
    if len(array) == 0 or not (np.abs(array) < FAR_MM).all():
        raise RegionError(f"{keyword} is empty or has impossible values", expected="triplets x, y, z in mm")
    return array


def code(dataset: Dataset, keyword: str) -> Code | None:
    """First concept of a code sequence; None when absent or without a value."""
    item = hd.first_item(dataset, keyword)
    value = hd.text(item, "CodeValue") or hd.text(item, "LongCodeValue") or hd.text(item, "URNCodeValue")
    return (
        Code(value, hd.text(item, "CodingSchemeDesignator"), hd.text(item, "CodeMeaning")) if value else None
    )
