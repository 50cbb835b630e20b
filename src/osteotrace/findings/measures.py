"""The measures of a finding: key, words, coded concept, unit."""

from __future__ import annotations

from dataclasses import dataclass

from osteotrace.model import codes
from osteotrace.model.codes import Code
from osteotrace.model.values import UCUM_OF_QUANTITY, Quantity

_SUV_UNIT = UCUM_OF_QUANTITY[Quantity.SUVBW]
_P10 = Code("QG58", "IBSI", "10th Intensity Percentile")
_COEFFICIENT_OF_VARIATION = Code("7TET", "IBSI", "Intensity Coefficient of Variation")
_TOMOGRAPHIC_ACTIVITY = Code("110821", "DCM", "Nuclear Medicine Tomographic Activity")


@dataclass(frozen=True, slots=True)
class Measure:
    """What is measured.

    Attributes
    ----------
    key : str
        Last part of the measurement's id.
    unit : str
        UCUM.
    derivation : Code or None
        The statistic (DICOM CID 7464, or IBSI).
    """

    key: str
    name: str
    concept: Code
    unit: str
    derivation: Code | None = None
    method: str = ""


VOLUME = Measure("volume", "volume", codes.VOLUME, "ml", None, "voxels of the outline times voxel volume")
DIAMETER = Measure(
    "diameter",
    "longest diameter",
    codes.LONGEST_DIAMETER_3D,
    "mm",
    None,
    "farthest two points of the surface",
)
PEAK = Measure("suv-peak", "SUVpeak", codes.SUVBW, _SUV_UNIT, codes.PEAK)
SUL_PEAK = Measure("sul-peak", "SULpeak", codes.SUVLBM_JANMAHASATIAN, "g/ml{SUVlbm(Janma)}", codes.PEAK)
MTV = Measure("mtv", "MTV", codes.METABOLIC_VOLUME, "ml")
TLG = Measure("tlg", "TLG", codes.TOTAL_LESION_GLYCOLYSIS, "g")
VARIATION = Measure("signal-cv", "signal CV", codes.MR_SIGNAL, "1", _COEFFICIENT_OF_VARIATION)

MEAN, SD, MINIMUM, MAXIMUM, MEDIAN, P10 = "mean", "SD", "min", "max", "median", "P10"
_DERIVATION = {
    MEAN: codes.MEAN,
    SD: codes.STANDARD_DEVIATION,
    MINIMUM: codes.MINIMUM,
    MAXIMUM: codes.MAXIMUM,
    MEDIAN: codes.MEDIAN,
    P10: _P10,
}


def _statistics(
    key: str, name: str, concept: Code, quantity: Quantity, statistics: tuple[str, ...]
) -> dict[str, Measure]:
    unit = UCUM_OF_QUANTITY[quantity]
    return {
        s: Measure(f"{key}-{s.lower()}", f"{name} {s}", concept, unit, _DERIVATION[s]) for s in statistics
    }


HU = _statistics("hu", "HU", codes.ATTENUATION, Quantity.HU, (MEAN, SD, MEDIAN, MINIMUM, MAXIMUM))
SUV = {
    MAXIMUM: Measure("suv-max", "SUVmax", codes.SUVBW, _SUV_UNIT, codes.MAXIMUM),
    MEAN: Measure("suv-mean", "SUVmean", codes.SUVBW, _SUV_UNIT, codes.MEAN),
    SD: Measure("suv-sd", "SUV SD", codes.SUVBW, _SUV_UNIT, codes.STANDARD_DEVIATION),
}
ACTIVITY = _statistics("activity", "activity", _TOMOGRAPHIC_ACTIVITY, Quantity.ACTIVITY, (MEAN, SD, MAXIMUM))
COUNTS = _statistics("counts", "counts", _TOMOGRAPHIC_ACTIVITY, Quantity.COUNTS, (MEAN, SD, MAXIMUM))
ADC = _statistics("adc", "ADC", codes.ADC, Quantity.ADC, (MEAN, SD, MEDIAN, P10))
MR_SIGNAL = _statistics("signal", "signal", codes.MR_SIGNAL, Quantity.MR_SIGNAL, (MEAN, SD, MEDIAN))
DOSE = _statistics("dose", "dose", codes.ABSORBED_DOSE, Quantity.DOSE, (MEAN, MINIMUM, MAXIMUM))
