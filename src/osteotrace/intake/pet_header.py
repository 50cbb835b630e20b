"""DICOM PET instances of one series → :class:`PetHeader`; real-world value mappings; tracers.

Numbers are read as text, so that a damaged one is refused by name. Private attributes are found by
their creator, never by an absolute address.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from pydicom.dataset import Dataset
from pydicom.tag import Tag

from osteotrace.errors import SuvError
from osteotrace.intake.dicom_time import parse_date, parse_datetime, parse_time, parse_utc_offset
from osteotrace.intake.header import items, number, text, words
from osteotrace.intake.suv_record import CodedText, PetHeader, RealWorldValue
from osteotrace.intake.tracer import Tracer, identify_tracer

T = TypeVar("T")

_PHILIPS = (0x7053, "Philips PET Private Group")
_GE = (0x0009, "GEMS_PETD_01")
_PRIVATE_BLOCKS = range(0x10, 0x100)
_PADDING = " \0"
_VALUES_SHOWN = 5


def pet_header(datasets: Sequence[Dataset]) -> PetHeader:
    """Read the header of one PET series.

    Parameters
    ----------
    datasets : sequence of Dataset
        All instances of the series, pixels not needed; the per-instance fields keep this order.

    Returns
    -------
    PetHeader
        Absent or empty attributes are None; they are refused where they are needed.

    Raises
    ------
    SuvError
        No instances; a value that must be one for the series differs between instances; a number that is
        none; more than one radiopharmaceutical.
    """
    if not datasets:
        raise SuvError("a PET series without instances", expected="at least one")
    series = _Series(tuple(datasets), text(datasets[0], "SeriesInstanceUID"))
    agents = tuple(_agent(series, dataset) for dataset in datasets)
    drug = _Series(agents, series.uid)
    injected, offset, notes = _stated_datetime(drug.one("RadiopharmaceuticalStartDateTime"))
    return PetHeader(
        series_instance_uid=series.uid,
        units=series.one("Units"),
        suv_type=series.one("SUVType"),
        decay_correction=series.one("DecayCorrection"),
        corrected_image=series.same_words("CorrectedImage"),
        series_datetime=_combined(series.one("SeriesDate"), series.one("SeriesTime")),
        acquisition_datetimes=tuple(_acquisition_datetime(dataset) for dataset in datasets),
        frame_reference_times_ms=series.each_number("FrameReferenceTime"),
        frame_durations_ms=series.each_number("ActualFrameDuration"),
        decay_factors=series.each_number("DecayFactor"),
        injection_datetime=injected,
        injection_time=parse_time(drug.one("RadiopharmaceuticalStartTime") or ""),
        utc_offset_min=parse_utc_offset(series.one("TimezoneOffsetFromUTC") or ""),
        injection_utc_offset_min=offset,
        dose_bq=drug.number("RadionuclideTotalDose"),
        half_life_s=drug.number("RadionuclideHalfLife"),
        weight_kg=series.number("PatientWeight"),
        size_m=series.number("PatientSize"),
        sex=series.one("PatientSex"),
        radionuclide=next(iter(_codes(agents[0], "RadionuclideCodeSequence")), None),
        radiopharmaceutical=drug.one("Radiopharmaceutical") or "",
        radiopharmaceutical_codes=_codes(agents[0], "RadiopharmaceuticalCodeSequence"),
        description=_description(datasets[0]),
        philips_suv_factor=series.private_number(*_PHILIPS, 0x00),
        philips_activity_factor=series.private_number(*_PHILIPS, 0x09),
        ge_scan_datetime=series.private_datetime(*_GE, 0x0D),
        ge_injection_datetime=series.private_datetime(*_GE, 0x3B),
        notes=notes,
    )


class _Series:
    """Values that have to be the same in all instances of a series."""

    def __init__(self, datasets: tuple[Dataset, ...], uid: str) -> None:
        self.datasets = datasets
        self.uid = uid

    def one(self, keyword: str) -> str | None:
        """Text of an attribute; None when absent or empty everywhere."""
        return self._same(keyword, [text(dataset, keyword) or None for dataset in self.datasets])

    def same_words(self, keyword: str) -> tuple[str, ...]:
        """Values of an attribute, in alphabetical order."""
        return self._same(keyword, [tuple(sorted(set(words(dataset, keyword)))) for dataset in self.datasets])

    def number(self, keyword: str) -> float | None:
        """Number of an attribute; None when absent or empty everywhere."""
        return self._same(keyword, self.each_number(keyword))

    def each_number(self, keyword: str) -> tuple[float | None, ...]:
        """Number of an attribute in each instance."""
        return tuple(self._number(keyword, text(dataset, keyword)) for dataset in self.datasets)

    def private_number(self, group: int, creator: str, element: int) -> float | None:
        """Number of a private attribute."""
        name = f"({group:04X},xx{element:02X}) of {creator}"
        texts = [_private_text(dataset, group, creator, element) for dataset in self.datasets]
        return self._same(name, [self._number(name, found) for found in texts])

    def private_datetime(self, group: int, creator: str, element: int) -> datetime | None:
        """Date and time of a private attribute."""
        name = f"({group:04X},xx{element:02X}) of {creator}"
        texts = [_private_text(dataset, group, creator, element) for dataset in self.datasets]
        moment = parse_datetime(self._same(name, texts))
        return moment[0] if moment else None

    def _same(self, name: str, values: Sequence[T]) -> T:
        different = list(dict.fromkeys(values))
        if len(different) > 1:
            shown = sorted("absent" if value in (None, ()) else str(value) for value in different)
            raise self.refusal(
                f"{name} is not one value in the series: {', '.join(shown[:_VALUES_SHOWN])}",
                expected="one value in all instances",
                remedy="split the series, or correct the headers",
            )
        return different[0]

    def _number(self, name: str, found: str) -> float | None:
        if not found:
            return None
        try:
            value = float(found)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.refusal(f"{name} is {found!r}", expected="one number", remedy="correct the header")
        return value

    def refusal(self, found: str, *, expected: str, remedy: str) -> SuvError:
        """The error that refuses the series."""
        where = f"series {self.uid}" if self.uid else "PET series"
        return SuvError(found, where=where, expected=expected, remedy=remedy)


def real_world_values(dataset: Dataset) -> tuple[RealWorldValue, ...]:
    """The linear real-world value mappings of a Real World Value Mapping instance or of an image.

    Parameters
    ----------
    dataset : Dataset
        With Referenced Image Real World Value Mapping Sequence (0040,9094), or the Real World Value
        Mapping Sequence (0040,9096) itself.

    Returns
    -------
    tuple of RealWorldValue
        In order; mappings by a look-up table have no slope and are left out.
    """
    referenced = items(dataset, "ReferencedImageRealWorldValueMappingSequence")
    if not referenced:
        own = ((text(dataset, "SeriesInstanceUID"),), (text(dataset, "SOPInstanceUID"),))
        return _linear_mappings(dataset, *own)
    series = tuple(text(item, "SeriesInstanceUID") for item in items(dataset, "ReferencedSeriesSequence"))
    return tuple(
        value for item in referenced for value in _linear_mappings(item, series, _referenced_instances(item))
    )


def _linear_mappings(
    item: Dataset, series_uids: tuple[str, ...], sop_uids: tuple[str, ...]
) -> tuple[RealWorldValue, ...]:
    found = []
    for mapping in items(item, "RealWorldValueMappingSequence"):
        slope = number(mapping, "RealWorldValueSlope")
        if slope is None:
            continue
        intercept = number(mapping, "RealWorldValueIntercept") or 0.0
        unit = next((code.value for code in _codes(mapping, "MeasurementUnitsCodeSequence")), "")
        label = text(mapping, "LUTLabel")
        found.append(RealWorldValue(slope, intercept, unit, label, series_uids, sop_uids))
    return tuple(found)


def _referenced_instances(item: Dataset) -> tuple[str, ...]:
    uids = (text(image, "ReferencedSOPInstanceUID") for image in items(item, "ReferencedImageSequence"))
    return tuple(dict.fromkeys(uid for uid in uids if uid))


def tracer_in(dataset: Dataset) -> Tracer:
    """The tracer of a PET or NM instance, from its Radiopharmaceutical Information Sequence (0054,0016)."""
    agents = items(dataset, "RadiopharmaceuticalInformationSequence")
    codes = [code for agent in agents for code in _codes(agent, "RadiopharmaceuticalCodeSequence")]
    names = (text(agent, "Radiopharmaceutical") for agent in agents)
    return identify_tracer(codes, "; ".join(name for name in names if name), _description(dataset))


def _agent(series: _Series, dataset: Dataset) -> Dataset:
    agents = items(dataset, "RadiopharmaceuticalInformationSequence")
    if len(agents) > 1:
        raise series.refusal(
            f"{len(agents)} radiopharmaceuticals are given", expected="one", remedy="treat the series by hand"
        )
    return agents[0] if agents else Dataset()


def _stated_datetime(stated: str | None) -> tuple[datetime | None, int | None, tuple[str, ...]]:
    if stated is None:
        return None, None, ()
    moment = parse_datetime(stated)
    if moment is None:
        return None, None, (f"RadiopharmaceuticalStartDateTime is {stated!r}, no date and time: not used",)
    return moment[0], moment[1], ()


def _acquisition_datetime(dataset: Dataset) -> datetime | None:
    parts = _combined(text(dataset, "AcquisitionDate"), text(dataset, "AcquisitionTime"))
    if parts is not None:
        return parts
    moment = parse_datetime(text(dataset, "AcquisitionDateTime"))
    return moment[0] if moment else None


def _combined(date_text: str | None, time_text: str | None) -> datetime | None:
    day, clock = parse_date(date_text or ""), parse_time(time_text or "")
    return None if day is None or clock is None else datetime.combine(day, clock)


def _description(dataset: Dataset) -> str:
    texts = (text(dataset, keyword) for keyword in ("SeriesDescription", "StudyDescription"))
    return " ".join(found for found in texts if found)


def _codes(dataset: Dataset, keyword: str) -> tuple[CodedText, ...]:
    return tuple(
        CodedText(text(code, "CodeValue"), text(code, "CodingSchemeDesignator"), text(code, "CodeMeaning"))
        for code in items(dataset, keyword)
    )


def _private_text(dataset: Dataset, group: int, creator: str, element: int) -> str:
    """Text of a private element, in whichever block its creator has reserved (PS3.5 7.8.1)."""
    for tag in dataset.keys():  # noqa: SIM118  (iterating a Dataset would convert every element)
        if tag >> 16 != group or (tag & 0xFFFF) not in _PRIVATE_BLOCKS:
            continue
        if _text_at(dataset, group, tag & 0xFFFF).casefold() == creator.casefold():
            found = _text_at(dataset, group, ((tag & 0xFFFF) << 8) + element)
            if found:
                return found
    return ""


def _text_at(dataset: Dataset, group: int, element: int) -> str:
    tag = Tag(group, element)
    value = dataset.get_item(tag).value if tag in dataset else None
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return "" if value is None else str(value).strip(_PADDING)
