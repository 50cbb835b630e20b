"""The unit of ADC maps: declared, or concluded from the values and recorded, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from osteotrace.errors import QuantityError
from osteotrace.intake import header as hd
from osteotrace.intake.pet_header import real_world_values
from osteotrace.model.criteria import Criteria
from osteotrace.model.problem import Problem
from osteotrace.model.values import Severity

# Spellings of a unit without blanks, in lower case, and the factor to um2/s (= 1e-6 mm2/s).
_SCALE = {
    "um2/s": 1.0,
    "10-6.mm2/s": 1.0,
    "10*-6.mm2/s": 1.0,
    "1e-6mm2/s": 1.0,
    "10^-6mm2/s": 1.0,
    "10-3.mm2/s": 1e3,
    "1e-3mm2/s": 1e3,
    "10^-3mm2/s": 1e3,
    "mm2/s": 1e6,
}
# The units in which ADC maps are stored, from the smallest.
_CANDIDATES = (1.0, 1e3, 1e6)


def declared_adc_scale(header: Dataset) -> float | None:
    """Factor from rescaled values to 1e-6 mm²/s as the header declares it.

    From Rescale Type (0028,1054), else from the unit of a Real World Value Mapping.

    Returns
    -------
    float or None
        None when the header does not tell.
    """
    named = _scale(hd.text(header, "RescaleType"))
    if named is not None:
        return named
    slope = hd.number(header, "RescaleSlope") or 1.0
    for value in real_world_values(header):
        scale = _scale(value.unit)
        if scale is not None and value.intercept == 0 and not hd.number(header, "RescaleIntercept"):
            return scale * value.slope / slope
    return None


def _scale(unit: str) -> float | None:
    return _SCALE.get(unit.replace(" ", "").replace("²", "2").replace("µ", "u").lower())


def inferred_adc_scale(values: NDArray[Any], criteria: Criteria, where: str) -> tuple[float, Problem]:
    """Conclude the unit of an ADC map from its values.

    The median of the positive values of a body has to fall into the range of tissue
    (``mr.adc_body_median_range``) in exactly one of the usual units; they are a thousandfold apart.

    Raises
    ------
    QuantityError
        When it falls into the range in none.
    """
    low, high = criteria.numbers("mr.adc_body_median_range")
    positive = values[values > 0]
    median = float(np.median(positive)) if positive.size else 0.0
    for scale in _CANDIDATES:
        if low <= median * scale <= high:
            return scale, _inferred(scale, median, where)
    raise QuantityError(
        f"the unit of the ADC map is not declared, and a median of {median:g} fits none",
        where=where,
        expected=f"a median of {low:g} to {high:g} x 10-6 mm2/s in some usual unit",
        remedy="export the map with Real World Value Mapping or Rescale Type",
    )


def _inferred(scale: float, median: float, where: str) -> Problem:
    return Problem(
        Severity.INFERRED,
        "adc-unit",
        f"the unit of the ADC map is not declared; taken as {scale:g} x 10-6 mm2/s per unit,"
        f" because the median of the positive values is {median:g}",
        where,
        "Real World Value Mapping or Rescale Type",
    )
