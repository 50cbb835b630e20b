"""When the tracer was given, and the time that the voxels were decay-corrected to.

All images of a series are decay-corrected to the same time (PS3.3 C.8.9.1, Decay Correction); START means
the start of the acquisition. The rules follow the vendor-neutral pseudo-code of QIBA.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from osteotrace.intake.suv_record import PetHeader
from osteotrace.intake.tracer import nuclide_of
from osteotrace.model.criteria import Criteria

_MS_PER_S = 1000.0
_S_PER_MIN = 60.0
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Moment:
    """A date and time, how it was found, and what was inferred on the way."""

    when: datetime
    basis: str
    notes: tuple[str, ...] = ()


def half_life(header: PetHeader, criteria: Criteria) -> float:
    """Half-life in s, checked against the radionuclide that the header names.

    Raises
    ------
    SuvError
        Missing, not positive, or another radionuclide's.
    """
    value = header.half_life_s
    if value is None or value <= 0:
        raise header.refusal(
            f"RadionuclideHalfLife is {'missing' if value is None else f'{value:g} s'}",
            expected="the half-life in seconds",
            remedy="complete the header",
        )
    nuclide = nuclide_of(header.radionuclide)
    if nuclide is not None:
        expected = criteria.number(f"suv.half_life_{nuclide}_s")
        if abs(value / expected - 1) > criteria.number("suv.half_life_tolerance"):
            raise header.refusal(
                f"RadionuclideHalfLife is {value:g} s, but the radionuclide is {nuclide.capitalize()}",
                expected=f"{expected:g} s",
                remedy="correct the header",
            )
    return value


def average_activity_time(half_life_s: float, duration_s: float) -> float:
    """Seconds from the start of a frame to its average activity: 1/λ · ln(λT / (1 − exp(−λT))).

    PS3.3 C.8.9.4.1.5, example 2. A little less than half the frame.
    """
    decay = math.log(2) / half_life_s * duration_s
    return half_life_s / math.log(2) * math.log(decay / -math.expm1(-decay))


def reference_time(header: PetHeader, criteria: Criteria) -> Moment:
    """The time that a series with Decay Correction START was corrected to.

    Series Date and Time, if it is not after the earliest acquisition; else the scan time in GE's private
    block; else back from each frame's Frame Reference Time; else the earliest acquisition.

    Raises
    ------
    SuvError
        Dates or times are missing, or the frames contradict each other.
    """
    acquisitions = _acquisitions(header)
    earliest = min(acquisitions)
    series = header.series_datetime
    if series is None:
        raise header.refusal(
            "SeriesDate or SeriesTime is missing", expected="date and time", remedy="complete the header"
        )
    lead_max = timedelta(seconds=criteria.number("suv.series_lead_max_s"))
    if timedelta(0) <= earliest - series <= lead_max:
        found = Moment(series, "series date and time")
    else:
        apart = _distance(series, earliest)
        note = f"the series date and time are {apart} the earliest acquisition: not used"
        found = _without_series_time(header, acquisitions, criteria, note)
    return Moment(found.when, found.basis, (*found.notes, *_decay_factor_notes(header, found.when, criteria)))


def _acquisitions(header: PetHeader) -> tuple[datetime, ...]:
    known = tuple(moment for moment in header.acquisition_datetimes if moment is not None)
    missing = len(header.acquisition_datetimes) - len(known)
    if missing or not known:
        raise header.refusal(
            f"AcquisitionDate or AcquisitionTime is missing in {missing} of {len(known) + missing} instances",
            expected="date and time in each",
            remedy="complete the headers",
        )
    return known


def _without_series_time(
    header: PetHeader, acquisitions: tuple[datetime, ...], criteria: Criteria, note: str
) -> Moment:
    earliest, private = min(acquisitions), header.ge_scan_datetime
    notes: tuple[str, ...] = (note,)
    if private is not None:
        if abs((earliest - private).total_seconds()) <= criteria.number("suv.series_lead_max_s"):
            return Moment(private, "GE private scan date and time", notes)
        apart = _distance(private, earliest)
        notes = (*notes, f"GE's private scan time is {apart} the earliest acquisition: not used")
    computed = _back_computed(header, acquisitions, criteria)
    if not computed:
        notes = (*notes, "no frame reference times to compute back from")
        return Moment(earliest, "earliest acquisition", notes)
    spread = (max(computed) - min(computed)).total_seconds()
    if spread > criteria.number("suv.reference_time_spread_max_s"):
        raise header.refusal(
            f"the frames give decay reference times {spread:.0f} s apart",
            expected="one decay reference time for the series (Decay Correction START)",
            remedy="restore SeriesTime or the frame reference times",
        )
    if spread > 0:
        notes = (*notes, f"the frames' reference times differ by {spread:.3g} s: the median is used")
    seconds = median((moment - earliest).total_seconds() for moment in computed)
    return Moment(_shifted(header, earliest, seconds), "frame reference time", notes)


def _back_computed(
    header: PetHeader, acquisitions: tuple[datetime, ...], criteria: Criteria
) -> tuple[datetime, ...]:
    """Each frame's own idea of the reference time; empty unless all frames have usable times."""
    lasting = half_life(header, criteria)
    moments = []
    frames = zip(acquisitions, header.frame_reference_times_ms, header.frame_durations_ms, strict=True)
    for start, reference_ms, duration_ms in frames:
        if not reference_ms or not duration_ms or reference_ms <= 0 or duration_ms <= 0:
            return ()
        within = average_activity_time(lasting, duration_ms / _MS_PER_S)
        moments.append(_shifted(header, start, within - reference_ms / _MS_PER_S))
    return tuple(moments)


def _decay_factor_notes(header: PetHeader, scan: datetime, criteria: Criteria) -> tuple[str, ...]:
    """Where the earliest frame's Decay Factor means another start of the scan, say so.

    Decay Factor = exp(λ·s) · λT / (1 − exp(−λT)) with the start s of the frame after the reference time.
    """
    frames = zip(header.acquisition_datetimes, header.decay_factors, header.frame_durations_ms, strict=True)
    # A factor of 1 says nothing: a frame takes time, so that its average is corrected by more than that.
    usable = [(a, f, d) for a, f, d in frames if a is not None and f and d and f > 1 and d > 0]
    if not usable:
        return ()
    start, factor, duration_ms = min(usable)
    lasting = half_life(header, criteria)
    within = average_activity_time(lasting, duration_ms / _MS_PER_S)
    apart = math.log2(factor) * lasting - within - (start - scan).total_seconds()
    if abs(apart) <= criteria.number("suv.reference_time_spread_max_s"):
        return ()
    which = "earlier" if apart > 0 else "later"
    return (f"DecayFactor puts the decay reference time {abs(apart):.0f} s {which}",)


def injection(header: PetHeader, scan: datetime, criteria: Criteria) -> Moment:
    """When the tracer was given, on the clock of the scan.

    Raises
    ------
    SuvError
        No time, or a time whose day or zone cannot be known.
    """
    if header.injection_datetime is not None:
        return _stated_injection(header, header.injection_datetime, criteria)
    if header.injection_time is not None:
        return _injection_by_time_of_day(header, scan, criteria)
    if header.ge_injection_datetime is not None:
        return Moment(header.ge_injection_datetime, "GE private", ("injection time from GE's private block",))
    raise header.refusal(
        "RadiopharmaceuticalStartDateTime and RadiopharmaceuticalStartTime are missing",
        expected="the time of injection",
        remedy="complete the header",
    )


def _stated_injection(header: PetHeader, stated: datetime, criteria: Criteria) -> Moment:
    offset, zone = header.injection_utc_offset_min, header.utc_offset_min
    agrees = _time_of_day_agrees(header, stated, criteria)
    if offset is not None and zone is None and not agrees:
        raise header.refusal(
            "RadiopharmaceuticalStartDateTime has a UTC offset, the series no TimezoneOffsetFromUTC",
            expected="both in one known zone",
            remedy="complete the header",
        )
    if offset is not None and zone is not None and offset != zone:
        note = f"injection time converted from UTC{offset:+d} min to the series' UTC{zone:+d} min"
        moved = _shifted(header, stated, (zone - offset) * _S_PER_MIN)
        return Moment(moved, "RadiopharmaceuticalStartDateTime", (note,))
    differs = "RadiopharmaceuticalStartTime differs from RadiopharmaceuticalStartDateTime: the latter is used"
    notes = (differs,) if agrees is False else ()
    return Moment(stated, "RadiopharmaceuticalStartDateTime", notes)


def _time_of_day_agrees(header: PetHeader, stated: datetime, criteria: Criteria) -> bool | None:
    """Whether the two statements of the time of injection agree; None with only one."""
    if header.injection_time is None:
        return None
    apart = abs((datetime.combine(stated.date(), header.injection_time) - stated).total_seconds())
    apart = min(apart, _DAY.total_seconds() - apart)
    return apart <= criteria.number("suv.time_of_day_agreement_s")


def _injection_by_time_of_day(header: PetHeader, scan: datetime, criteria: Criteria) -> Moment:
    assert header.injection_time is not None
    if half_life(header, criteria) > criteria.number("suv.time_only_half_life_max_s"):
        raise header.refusal(
            f"the injection has a time but no date, and the half-life is {header.half_life_s:g} s",
            expected="RadiopharmaceuticalStartDateTime, because the day of injection is open",
            remedy="complete the header",
        )
    when = datetime.combine(scan.date(), header.injection_time)
    if when <= scan:
        return Moment(when, "RadiopharmaceuticalStartTime", ("injection date taken from the scan",))
    moved = "injection moved to the day before the scan (midnight)"
    before = _shifted(header, when, -_DAY.total_seconds())
    return Moment(before, "RadiopharmaceuticalStartTime", (moved,))


def _shifted(header: PetHeader, moment: datetime, seconds: float) -> datetime:
    try:
        return moment + timedelta(seconds=seconds)
    except (OverflowError, ValueError) as error:
        raise header.refusal(
            f"a time of the header leads out of the calendar ({seconds:.4g} s from {moment:%Y-%m-%d})",
            expected="dates and times of one examination",
            remedy="correct the header",
        ) from error


def _distance(moment: datetime, other: datetime) -> str:
    seconds = (moment - other).total_seconds()
    size = abs(seconds)
    text = f"{size / _DAY.total_seconds():.1f} days" if size >= _DAY.total_seconds() else f"{size:.6g} s"
    return f"{text} {'after' if seconds > 0 else 'before'}"
