"""MR signal of a material: equations of the sequences, fat and water apart."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from osteotrace.phantom.protocols import MrProtocol
from osteotrace.phantom.records import Material
from osteotrace.phantom.scanner.constants import number


class Signal(NamedTuple):
    """Signed signal of the water and of the fat of a material, relative to the equilibrium of pure water."""

    water: float
    fat: float


def signal(material: Material, protocol: MrProtocol) -> Signal:
    """Signal of a material before fat suppression.

    Gadolinium counts when the protocol has contrast: 1/T = 1/T0 + relaxivity times concentration.
    """
    dose = material.gadolinium_mm if protocol.contrast else 0.0
    t1 = _shortened(material.t1_ms, number("mr.relaxivity_r1"), dose)
    t2 = _shortened(material.t2_ms, number("mr.relaxivity_r2"), dose)
    fat_t2 = number("mr.fat_t2_train_ms" if protocol.echo_train > 1 else "mr.fat_t2_ms")
    return Signal(
        material.pd * (1 - material.fat) * magnetisation(t1, t2, protocol),
        material.pd * material.fat * magnetisation(number("mr.fat_t1_ms"), fat_t2, protocol),
    )


def magnetisation(t1_ms: float, t2_ms: float, protocol: MrProtocol) -> float:
    """Transverse magnetisation at the echo for a proton density of 1.

    - SE, TSE: (1 - exp(-TR/T1)) exp(-TE/T2)
    - IR: (1 - 2 exp(-TI/T1) + exp(-TR/T1)) exp(-TE/T2), signed
    - GRE: sin a (1 - E1) / (1 - cos a E1) exp(-TE/T2*), E1 = exp(-TR/T1), 1/T2* = 1/T2 + 1/T2'

    Raises
    ------
    ValueError
        When an inversion recovery has no inversion time.
    """
    recovery = np.exp(-protocol.tr_ms / t1_ms)
    if protocol.sequence == "GRE":
        angle = np.radians(protocol.flip_deg)
        rate = 1 / t2_ms + 1 / number("mr.field_dispersion_ms")
        steady = np.sin(angle) * (1 - recovery) / (1 - np.cos(angle) * recovery)
        return float(steady * np.exp(-protocol.te_ms * rate))
    longitudinal = 1 - recovery
    if protocol.sequence == "IR":
        if protocol.ti_ms is None:
            raise ValueError("an inversion recovery needs an inversion time")
        longitudinal = 1 - 2 * np.exp(-protocol.ti_ms / t1_ms) + recovery
    return float(longitudinal * np.exp(-protocol.te_ms / t2_ms))


def fat_left(protocol: MrProtocol) -> float:
    """Share of the fat signal that fat suppression leaves where it works; 1 without.

    STIR suppresses by its inversion time, which is part of the signal.
    """
    if protocol.fat_suppression == "FATSAT":
        return number("mr.fat_left")
    if protocol.fat_suppression == "DIXON_WATER":
        return number("mr.fat_left_dixon")
    return 1.0


def total(material: Material, protocol: MrProtocol) -> float:
    """Magnitude of the signal of a material where fat suppression works."""
    water, fat = signal(material, protocol)
    return abs(water + fat_left(protocol) * fat)


def fat_shift_pixels(protocol: MrProtocol) -> float:
    """Chemical shift of fat along the frequency axis, pixels; negative: towards lower frequency."""
    hertz = number("mr.fat_shift_ppm") * number("mr.gyromagnetic_mhz_t") * protocol.field_t
    return hertz / protocol.bandwidth_hz_px


def _shortened(time_ms: float, relaxivity: float, dose_mm: float) -> float:
    return 1 / (1 / time_ms + relaxivity * dose_mm / 1000)
