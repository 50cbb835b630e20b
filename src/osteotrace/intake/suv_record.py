"""What a PET series says about its uptake values, and what follows from it; free of DICOM toolkits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from enum import StrEnum

from osteotrace.errors import SuvError


class SuvVariant(StrEnum):
    """The body measure that an uptake value is normalised by (DICOM CID 85)."""

    BW = "SUVbw"
    LBM = "SUVlbm"
    LBM_JAMES128 = "SUVlbm(James128)"
    LBM_JANMA = "SUVlbm(Janma)"
    IBW = "SUVibw"
    BSA = "SUVbsa"


@dataclass(frozen=True, slots=True)
class CodedText:
    """Code Value, Coding Scheme Designator and Code Meaning of one coded entry (PS3.3 8.8)."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PetHeader:
    """The attributes of one PET series that its uptake values hang on. None: absent or empty.

    Dates and times are wall-clock times of the scanner, in the zone that the series declares, if any.

    Attributes
    ----------
    series_instance_uid : str
        Series Instance UID (0020,000E).
    units, suv_type, decay_correction : str or None
        (0054,1001), (0054,1006), (0054,1102).
    corrected_image : tuple of str
        Corrected Image (0028,0051), sorted.
    series_datetime : datetime or None
        Series Date and Time (0008,0021), (0008,0031).
    acquisition_datetimes : tuple of datetime or None
        Per instance, Acquisition Date and Time (0008,0022), (0008,0032): the start of the frame.
    frame_reference_times_ms, frame_durations_ms : tuple of float or None
        Per instance, (0054,1300) and (0018,1242), ms.
    decay_factors : tuple of float or None
        Per instance, Decay Factor (0054,1321).
    injection_datetime : datetime or None
        Radiopharmaceutical Start DateTime (0018,1078).
    injection_time : time or None
        Radiopharmaceutical Start Time (0018,1072).
    utc_offset_min, injection_utc_offset_min : int or None
        Timezone Offset From UTC (0008,0201) and the offset inside (0018,1078), minutes east of UTC.
    dose_bq, half_life_s : float or None
        Radionuclide Total Dose (0018,1074), Radionuclide Half Life (0018,1075).
    weight_kg, size_m : float or None
        Patient's Weight (0010,1030), Patient's Size (0010,1020).
    sex : str or None
        Patient's Sex (0010,0040).
    radionuclide : CodedText or None
        Radionuclide Code Sequence (0054,0300).
    radiopharmaceutical : str
        Radiopharmaceutical (0018,0031).
    radiopharmaceutical_codes : tuple of CodedText
        Radiopharmaceutical Code Sequence (0054,0304).
    description : str
        Series and study description, for a last guess at the tracer.
    philips_suv_factor, philips_activity_factor : float or None
        (7053,xx00) and (7053,xx09) of the private block "Philips PET Private Group".
    ge_scan_datetime, ge_injection_datetime : datetime or None
        (0009,xx0D) and (0009,xx3B) of the private block "GEMS_PETD_01".
    notes : tuple of str
        What could not be read as it stood.
    """

    series_instance_uid: str
    units: str | None
    suv_type: str | None
    decay_correction: str | None
    corrected_image: tuple[str, ...]
    series_datetime: datetime | None
    acquisition_datetimes: tuple[datetime | None, ...]
    frame_reference_times_ms: tuple[float | None, ...]
    frame_durations_ms: tuple[float | None, ...]
    decay_factors: tuple[float | None, ...]
    injection_datetime: datetime | None
    injection_time: time | None
    utc_offset_min: int | None = None
    injection_utc_offset_min: int | None = None
    dose_bq: float | None
    half_life_s: float | None
    weight_kg: float | None
    size_m: float | None = None
    sex: str | None = None
    radionuclide: CodedText | None = None
    radiopharmaceutical: str = ""
    radiopharmaceutical_codes: tuple[CodedText, ...] = ()
    description: str = ""
    philips_suv_factor: float | None = None
    philips_activity_factor: float | None = None
    ge_scan_datetime: datetime | None = None
    ge_injection_datetime: datetime | None = None
    notes: tuple[str, ...] = ()

    def refusal(self, found: str, *, expected: str, remedy: str) -> SuvError:
        """The error that refuses an uptake value of this series."""
        where = f"series {self.series_instance_uid}" if self.series_instance_uid else "PET series"
        return SuvError(found, where=where, expected=expected, remedy=remedy)


@dataclass(frozen=True, slots=True)
class SuvFactor:
    """How the rescaled values of a series become SUVbw.

    SUVbw = (stored value × Rescale Slope + Rescale Intercept) × factor, with the slope of each slice.

    Attributes
    ----------
    factor : float
        g/mL per unit of the rescaled image.
    basis : str
        How the reference time of the decay, or the factor itself, was found.
    decayed_dose_bq : float or None
        Dose at the reference time, Bq; None when the factor was not made from a dose.
    scan_datetime, injection_datetime : datetime or None
        Reference time of the decay, and injection; None when not known or contradictory.
    decay_s : float or None
        Seconds between them that the dose was decayed by; 0 for ADMIN, None as for the dose.
    notes : tuple of str
        Everything that was inferred.
    variant : SuvVariant
        Always SUVbw.
    """

    factor: float
    basis: str
    decayed_dose_bq: float | None = None
    scan_datetime: datetime | None = None
    injection_datetime: datetime | None = None
    decay_s: float | None = None
    notes: tuple[str, ...] = ()
    variant: SuvVariant = SuvVariant.BW


@dataclass(frozen=True, slots=True)
class RealWorldValue:
    """One linear real-world value mapping (PS3.3 C.7.6.16.2.11).

    Attributes
    ----------
    slope, intercept : float
        (0040,9225) and (0040,9224).
    unit : str
        UCUM code of the Measurement Units Code Sequence (0040,08EA), as written.
    label : str
        LUT Label (0040,9210).
    series_uids, sop_uids : tuple of str
        Referenced series and instances, each once, in order.
    """

    slope: float
    intercept: float
    unit: str
    label: str
    series_uids: tuple[str, ...]
    sop_uids: tuple[str, ...]

    @property
    def variant(self) -> SuvVariant | None:
        """The SUV variant that the unit names, ``{SUVbw}g/ml`` and ``g/ml{SUVbw}`` alike."""
        matches = [v for v in SuvVariant if f"{{{v}}}".casefold() in self.unit.casefold()]
        return matches[0] if matches else None
