"""SUV of a PET series from its header: the factor, or the reason why there is none.

Pure rules over :class:`PetHeader`, after the vendor-neutral pseudo-code of QIBA: refuse or record, never
guess. What is read from DICOM is in :mod:`osteotrace.intake.pet_header`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from osteotrace.errors import SuvError
from osteotrace.intake.suv_body import (
    body_surface_area,
    ideal_body_weight,
    lean_body_mass,
    normaliser,
    plausible_weight,
)
from osteotrace.intake.suv_record import CodedText, PetHeader, RealWorldValue, SuvFactor, SuvVariant
from osteotrace.intake.suv_time import half_life, injection, reference_time
from osteotrace.intake.tracer import Tracer, identify_tracer
from osteotrace.model.criteria import Criteria
from osteotrace.model.problem import Problem
from osteotrace.model.values import Severity

__all__ = [
    "CodedText",
    "PetHeader",
    "RealWorldValue",
    "SuvFactor",
    "SuvVariant",
    "Tracer",
    "body_surface_area",
    "check_real_world_value",
    "ideal_body_weight",
    "lean_body_mass",
    "normaliser",
    "suv_factor",
    "tracer_of",
    "uptake_time",
]

_G_PER_KG = 1000.0
_VARIANT_OF_TYPE = {
    "BW": SuvVariant.BW,
    "LBM": SuvVariant.LBM,
    "LBMJAMES128": SuvVariant.LBM_JAMES128,
    "LBMJANMA": SuvVariant.LBM_JANMA,
    "IBW": SuvVariant.IBW,
    "BSA": SuvVariant.BSA,
}
# A factor that is off by a power of ten (a wrong unit) is called so when it is within this of the power.
_POWER_OF_TEN_TOLERANCE = 0.05


@dataclass(frozen=True, slots=True)
class _Decay:
    """The dose at the reference time of the decay correction, and how it was reached."""

    dose_bq: float
    basis: str
    scan: datetime | None
    injection: datetime | None
    seconds: float
    notes: tuple[str, ...]


def suv_factor(header: PetHeader, criteria: Criteria) -> SuvFactor:
    """Factor from rescaled values to SUVbw.

    Parameters
    ----------
    header : PetHeader
        One series.
    criteria : Criteria
        The ``suv.*`` criteria.

    Returns
    -------
    SuvFactor
        With how it was found and everything that was inferred.

    Raises
    ------
    SuvError
        Units that are no activity, counts or SUV; attenuation or decay not corrected; weight, dose,
        half-life or times missing or not plausible; decay time negative or too long.
    """
    _check_units(header, criteria)
    _check_corrections(header, criteria)
    if header.units in {"GML", "CM2ML"}:
        return _from_suv(header, criteria)
    if header.units == "CNTS":
        return _from_counts(header, criteria)
    return _from_activity(header, criteria)


def _check_units(header: PetHeader, criteria: Criteria) -> None:
    accepted = criteria.texts("suv.units_accepted")
    if header.units not in accepted:
        raise header.refusal(
            f"Units is {header.units or 'missing'}",
            expected=", ".join(accepted),
            remedy="use the attenuation-corrected series in Bq/mL",
        )


def _check_corrections(header: PetHeader, criteria: Criteria) -> None:
    required = criteria.texts("suv.corrections_required")
    lacking = [term for term in required if term not in header.corrected_image]
    if lacking:
        made = "/".join(header.corrected_image) or "missing"
        raise header.refusal(
            f"CorrectedImage is {made}: without {' and '.join(lacking)}",
            expected=" and ".join(required),
            remedy="use the series with attenuation and decay corrected",
        )
    accepted = criteria.texts("suv.decay_corrections_accepted")
    if header.decay_correction not in accepted:
        raise header.refusal(
            f"DecayCorrection is {header.decay_correction or 'missing'}",
            expected=" or ".join(accepted),
            remedy="reconstruct with decay correction",
        )


def _from_activity(header: PetHeader, criteria: Criteria, bq_per_ml: float = 1.0) -> SuvFactor:
    """Factor of values that times ``bq_per_ml`` are Bq/mL."""
    weight = plausible_weight(header, criteria)
    decay = _decayed(header, criteria)
    return SuvFactor(
        factor=bq_per_ml * weight * _G_PER_KG / decay.dose_bq,
        basis=decay.basis,
        decayed_dose_bq=decay.dose_bq,
        scan_datetime=decay.scan,
        injection_datetime=decay.injection,
        decay_s=decay.seconds,
        notes=(*header.notes, *decay.notes, *_philips_notes(header, weight / decay.dose_bq, criteria)),
    )


def _decayed(header: PetHeader, criteria: Criteria) -> _Decay:
    dose = _plausible_dose(header, criteria)
    if header.decay_correction == "ADMIN":
        scan, given = _uptake_or_none(header, criteria)
        return _Decay(dose, "administration", scan, given, 0.0, ())
    lasting = half_life(header, criteria)
    scan, given, basis, notes = _uptake(header, criteria)
    seconds = (scan - given).total_seconds()
    return _Decay(dose * 2 ** (-seconds / lasting), basis, scan, given, seconds, notes)


def _plausible_dose(header: PetHeader, criteria: Criteria) -> float:
    dose, low = header.dose_bq, criteria.number("suv.dose_min_bq")
    if dose is None or dose <= 0:
        raise header.refusal(
            f"RadionuclideTotalDose is {'missing' if dose is None else f'{dose:g}'}",
            expected="the injected activity in Bq",
            remedy="complete the header",
        )
    if dose < low:
        raise header.refusal(
            f"RadionuclideTotalDose is {dose:g} Bq",
            expected=f"at least {low:g} Bq",
            remedy="correct the header: the dose seems to be typed in MBq",
        )
    return dose


def _uptake(header: PetHeader, criteria: Criteria) -> tuple[datetime, datetime, str, tuple[str, ...]]:
    """Reference time, injection, basis and notes; the time between is checked."""
    scan = reference_time(header, criteria)
    given = injection(header, scan.when, criteria)
    lasting, seconds = half_life(header, criteria), (scan.when - given.when).total_seconds()
    most = criteria.number("suv.decay_half_lives_max")
    if not 0 <= seconds <= most * lasting:
        lives = f"{seconds / lasting:.1f} half-lives before"
        raise header.refusal(
            f"the injection ({given.basis}) is {'after' if seconds < 0 else lives} the scan ({scan.basis}):"
            f" {seconds:.0f} s of decay",
            expected=f"0 to {most:g} half-lives ({most * lasting:.0f} s)",
            remedy="correct the dates and times (de-identification may have shifted only some of them)",
        )
    return scan.when, given.when, scan.basis, (*scan.notes, *given.notes)


def _uptake_or_none(header: PetHeader, criteria: Criteria) -> tuple[datetime | None, datetime | None]:
    """Reference time and injection where the factor does not need them."""
    try:
        scan, given, _, _ = _uptake(header, criteria)
    except SuvError:
        return None, None
    return scan, given


def uptake_time(header: PetHeader, criteria: Criteria) -> float:
    """Seconds from injection to the start of the scan.

    Raises
    ------
    SuvError
        Times are missing or contradict each other.
    """
    scan, given, _, _ = _uptake(header, criteria)
    return (scan - given).total_seconds()


def _from_counts(header: PetHeader, criteria: Criteria) -> SuvFactor:
    """Philips: counts with a private factor to SUVbw or to Bq/mL."""
    if header.philips_suv_factor is not None and header.philips_suv_factor > 0:
        scan, given = _uptake_or_none(header, criteria)
        return SuvFactor(
            factor=header.philips_suv_factor,
            basis="Philips private SUV factor",
            scan_datetime=scan,
            injection_datetime=given,
            notes=(*header.notes, *_counts_notes(header, criteria)),
        )
    if header.philips_activity_factor is not None and header.philips_activity_factor > 0:
        return _from_activity(header, criteria, header.philips_activity_factor)
    raise header.refusal(
        "Units is CNTS and no factor to SUV or to Bq/mL is given: not convertible",
        expected="(7053,1000) or (7053,1009) of the private block Philips PET Private Group",
        remedy="use a series in Bq/mL, or a copy whose private attributes were kept",
    )


def _counts_notes(header: PetHeader, criteria: Criteria) -> tuple[str, ...]:
    try:
        own = plausible_weight(header, criteria) / _decayed(header, criteria).dose_bq
    except SuvError as error:
        return (f"the Philips SUV factor could not be checked: {error.found}",)
    return _philips_notes(header, own, criteria)


def _philips_notes(header: PetHeader, kg_per_bq: float, criteria: Criteria) -> tuple[str, ...]:
    """Where Philips' two private factors give another SUV per Bq/mL than the header, say so."""
    suv, activity = header.philips_suv_factor, header.philips_activity_factor
    if not suv or not activity:
        return ()
    ratio = suv / activity / (kg_per_bq * _G_PER_KG)
    if abs(ratio - 1) <= criteria.number("suv.rwv_tolerance"):
        return ()
    return (f"the Philips private factors give {ratio:.4g} times the SUV of the standard attributes",)


def _from_suv(header: PetHeader, criteria: Criteria) -> SuvFactor:
    """Values that are an SUV already, of whatever variant."""
    default = "BSA" if header.units == "CM2ML" else criteria.text("suv.type_default")
    suv_type = header.suv_type or default
    variant = _VARIANT_OF_TYPE.get(suv_type)
    if variant is None or (variant is SuvVariant.BSA) != (header.units == "CM2ML"):
        raise header.refusal(
            f"SUVType is {suv_type} and Units is {header.units}",
            expected=", ".join(criteria.texts("suv.types")) + "; BSA with CM2ML and the others with GML",
            remedy="correct the header",
        )
    converted = (f"converted from {variant} through the header's body measures",)
    scan, given = _uptake_or_none(header, criteria)
    return SuvFactor(
        factor=1.0 / normaliser(header, variant, criteria),
        basis=f"stored as {variant}",
        scan_datetime=scan,
        injection_datetime=given,
        notes=header.notes if variant is SuvVariant.BW else (*header.notes, *converted),
    )


def tracer_of(header: PetHeader) -> Tracer:
    """The tracer that the header names; F-18 alone names none."""
    return identify_tracer(header.radiopharmaceutical_codes, header.radiopharmaceutical, header.description)


def check_real_world_value(
    slope: float,
    factor: float | None,
    tolerance: float,
    *,
    rescale_slope: float | None = None,
    where: str = "",
) -> Problem | None:
    """Compare a real-world value mapping with the factor from the headers of the series it refers to.

    Parameters
    ----------
    slope : float
        Real World Value Slope (0040,9225).
    factor : float or None
        Factor from rescaled values to the same SUV variant; None when the SUV of the series was refused.
    tolerance : float
        Relative difference that is still agreement.
    rescale_slope : float, optional
        Rescale Slope of the image, if it is one for all: by PS3.3 C.7.6.16.2.11 the mapping is of *stored*
        values, so that ``rescale_slope × factor`` is right as well; some programs write the factor alone.
    where : str
        File or SOP Instance UID, for the message.

    Returns
    -------
    Problem or None
        None when they agree. Real-world values of a series without an SUV never do.
    """
    if factor is None:
        found = f"the real-world value slope {slope:g} makes an SUV of a series whose SUV is refused"
        return _not_used(found, where, "real-world values of series with an SUV only", "no SUV is given")
    rights = [factor] if rescale_slope is None else [factor, factor * rescale_slope]
    ratio = min((slope / right for right in rights), key=lambda r: abs(r - 1))
    if abs(ratio - 1) <= tolerance:
        return None
    found = f"the real-world value slope is {slope:g}, {_times(ratio)} the factor from the headers"
    expected = f"{factor:g} within {tolerance:.0%}"
    return _not_used(found, where, expected, "the factor from the headers is used")


def _not_used(found: str, where: str, expected: str, instead: str) -> Problem:
    remedy = f"correct or remove the real-world value file; {instead}"
    return Problem(Severity.WARNING, "real-world-value", found, where, expected, remedy)


def _times(ratio: float) -> str:
    if ratio > 0:
        power = round(math.log10(ratio))
        if power and abs(ratio / 10.0**power - 1) <= _POWER_OF_TEN_TOLERANCE:
            return f"10^{power} times"
    return f"{ratio:.4g} times"
