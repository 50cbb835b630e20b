"""Body measures that uptake values are normalised by.

Lean body mass: James 1976 (DICOM type LBM, factor 120), the factor 128 of Sugawara 1999 (LBMJAMES128) and
Janmahasatian 2005 (LBMJANMA). Ideal body weight: Sugawara 1999. Body surface area: DuBois 1916.
"""

from __future__ import annotations

from osteotrace.errors import SuvError
from osteotrace.intake.suv_record import PetHeader, SuvVariant
from osteotrace.model.criteria import Criteria

_CM_PER_M = 100.0
_G_PER_KG = 1000.0
_SEX_WORD = {"M": "male", "F": "female"}
_JAMES = {SuvVariant.LBM: "suv.lbm_james", SuvVariant.LBM_JAMES128: "suv.lbm_james128"}
LEAN_VARIANTS = frozenset({*_JAMES, SuvVariant.LBM_JANMA})


def lean_body_mass(
    weight_kg: float, size_m: float, sex: str | None, criteria: Criteria, variant: SuvVariant = SuvVariant.LBM
) -> float:
    """Lean body mass in kg.

    Parameters
    ----------
    weight_kg, size_m : float
        Weight in kg, height in m.
    sex : {"M", "F"}
        Patient's Sex (0010,0040).
    criteria : Criteria
        Holds the coefficients.
    variant : SuvVariant
        LBM (James), LBM_JAMES128 or LBM_JANMA.

    Raises
    ------
    SuvError
        The sex is not M or F, or the formula leaves its range: James falls at high weight and ends below
        zero, and all give more than the weight for the very thin.
    """
    word = _sex_word(sex)
    if variant in _JAMES:
        a, b = criteria.numbers(f"{_JAMES[variant]}_{word}")
        mass = a * weight_kg - b * (weight_kg / (size_m * _CM_PER_M)) ** 2
    elif variant is SuvVariant.LBM_JANMA:
        a, b, c = criteria.numbers(f"suv.lbm_janmahasatian_{word}")
        mass = a * weight_kg / (b + c * weight_kg / size_m**2)
    else:
        raise SuvError(f"{variant} has no lean body mass", expected=", ".join(sorted(LEAN_VARIANTS)))
    if not 0 < mass <= weight_kg:
        raise SuvError(
            f"the lean body mass for {variant} is {mass:.1f} kg at {weight_kg:g} kg and {size_m:g} m",
            expected="more than 0 and not more than the weight",
            remedy=f"use {SuvVariant.LBM_JANMA if variant in _JAMES and mass <= 0 else SuvVariant.BW}",
        )
    return mass


def ideal_body_weight(size_m: float, sex: str | None, criteria: Criteria) -> float:
    """Ideal body weight in kg (Sugawara 1999; not clamped for small heights).

    Raises
    ------
    SuvError
        The sex is not M or F, or the height is so small that nothing is left.
    """
    a, b, c = criteria.numbers(f"suv.ibw_{_sex_word(sex)}")
    weight = a + b * (size_m * _CM_PER_M - c)
    if weight <= 0:
        raise SuvError(
            f"the ideal body weight is {weight:.1f} kg at {size_m:g} m",
            expected="a height within the range of the formula",
            remedy=f"use {SuvVariant.BW}",
        )
    return weight


def body_surface_area(weight_kg: float, size_m: float, criteria: Criteria) -> float:
    """Body surface area in cm² (DuBois 1916)."""
    a, b, c = criteria.numbers("suv.bsa")
    return float(weight_kg**a * (size_m * _CM_PER_M) ** b * c)


def normaliser(header: PetHeader, variant: SuvVariant | str, criteria: Criteria) -> float:
    """Ratio of an SUV variant to SUVbw of the same voxel.

    Parameters
    ----------
    header : PetHeader
        Gives weight, height and sex.
    variant : SuvVariant
        Wanted variant.
    criteria : Criteria
        Coefficients and plausible ranges.

    Returns
    -------
    float
        Dimensionless (lean and ideal weight over weight), or cm²/g for SUVbsa.

    Raises
    ------
    SuvError
        Weight, height or sex is missing or not plausible.
    """
    variant = SuvVariant(variant)
    if variant is SuvVariant.BW:
        return 1.0
    weight, size = plausible_weight(header, criteria), _plausible_size(header, variant, criteria)
    if variant is SuvVariant.BSA:
        return body_surface_area(weight, size, criteria) / (weight * _G_PER_KG)
    if header.sex not in _SEX_WORD:
        raise header.refusal(
            f"PatientSex is {header.sex or 'missing'}, which {variant} needs",
            expected="M or F",
            remedy=f"use {SuvVariant.BW}, or complete the header",
        )
    if variant is SuvVariant.IBW:
        return ideal_body_weight(size, header.sex, criteria) / weight
    return lean_body_mass(weight, size, header.sex, criteria, variant) / weight


def plausible_weight(header: PetHeader, criteria: Criteria) -> float:
    """Weight in kg.

    Raises
    ------
    SuvError
        Missing, zero, or outside the plausible range.
    """
    weight = header.weight_kg
    low, high = criteria.number("suv.weight_min_kg"), criteria.number("suv.weight_max_kg")
    if weight is None or weight == 0:
        raise header.refusal(
            f"PatientWeight is {'missing' if weight is None else '0'}",
            expected=f"{low:g} to {high:g} kg",
            remedy="complete the header with the weight at the scan",
        )
    if not low <= weight <= high:
        raise header.refusal(
            f"PatientWeight is {weight:g} kg",
            expected=f"{low:g} to {high:g} kg",
            remedy="correct the header (pounds or grams?)",
        )
    return weight


def _plausible_size(header: PetHeader, variant: SuvVariant, criteria: Criteria) -> float:
    size = header.size_m
    low, high = criteria.number("suv.size_min_m"), criteria.number("suv.size_max_m")
    if size is None or not low <= size <= high:
        raise header.refusal(
            f"PatientSize is {'missing' if size is None else f'{size:g} m'}, which {variant} needs",
            expected=f"{low:g} to {high:g} m",
            remedy=f"use {SuvVariant.BW}, or correct the header (height in cm?)",
        )
    return size


def _sex_word(sex: str | None) -> str:
    if sex not in _SEX_WORD:
        raise SuvError(f"the sex is {sex or 'missing'}", expected="M or F", remedy=f"use {SuvVariant.BW}")
    return _SEX_WORD[sex]
