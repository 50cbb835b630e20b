"""Which values are black and which are white."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteotrace.model.values import Quantity
from osteotrace.outputs.figures.settings import DisplaySettings


@dataclass(frozen=True, slots=True)
class Window:
    """A grey scale.

    Attributes
    ----------
    low, high : float
        Values of the two ends, in the unit of the image.
    inverse : bool
        High values are dark, as usual for nuclear medicine.
    name : str
        ``bone``, or empty.
    label : str
        What the figure says of it.
    """

    low: float
    high: float
    inverse: bool
    name: str
    label: str


def windows_of(
    quantity: Quantity, pictures: Sequence[NDArray[Any]], settings: DisplaySettings
) -> tuple[Window, ...]:
    """The windows in which a series is shown: two for CT, one otherwise.

    Parameters
    ----------
    quantity : Quantity
        Of the values.
    pictures : sequence of ndarray
        All slices that are shown; NaN is outside the field of view.
    """
    if quantity is Quantity.HU:
        return tuple(_ct_window(name, width, level) for name, width, level in settings.ct_windows)
    if quantity is Quantity.SUVBW:
        return (Window(0.0, settings.suv_max, True, "", f"SUVbw 0–{settings.suv_max:g} g/mL"),)
    if quantity is Quantity.ADC:
        return (Window(0.0, settings.adc_max, False, "", f"ADC 0–{settings.adc_max:g} µm²/s"),)
    low, high = _body_range(pictures, settings)
    inverse = quantity in (Quantity.ACTIVITY, Quantity.COUNTS)
    first, last = settings.percentiles
    return (Window(low, high, inverse, "", f"{_short(low)}–{_short(high)} (P{first:g}–P{last:g})"),)


def _ct_window(name: str, width: float, level: float) -> Window:
    return Window(level - width / 2, level + width / 2, False, name, f"W {width:g} L {level:g} HU")


def _body_range(pictures: Sequence[NDArray[Any]], settings: DisplaySettings) -> tuple[float, float]:
    """Percentiles of what is not air; the ends differ even when the picture is even."""
    seen = np.concatenate([p[np.isfinite(p)].ravel() for p in pictures])
    if seen.size == 0:
        return (0.0, 1.0)
    body = seen[seen > settings.body_min_share * np.percentile(seen, settings.percentiles[1])]
    low, high = np.percentile(body if body.size else seen, settings.percentiles)
    return (float(low), float(high if high > low else low + 1.0))


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.2g}"
