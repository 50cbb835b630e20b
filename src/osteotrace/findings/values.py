"""What is measured in which quantity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from osteotrace.findings.measures import (
    ACTIVITY,
    ADC,
    COUNTS,
    DIAMETER,
    DOSE,
    HU,
    MAXIMUM,
    MEAN,
    MEDIAN,
    MINIMUM,
    MR_SIGNAL,
    MTV,
    P10,
    PEAK,
    SD,
    SUL_PEAK,
    SUV,
    TLG,
    VARIATION,
    VOLUME,
    Measure,
)
from osteotrace.findings.place import Place
from osteotrace.measure import RoiStatistics, core, peak, roi_statistics, roi_values
from osteotrace.model.criteria import Criteria
from osteotrace.model.imaging import CtFacts, NuclearFacts
from osteotrace.model.lesion import Measurement, Missing, Value
from osteotrace.model.values import Quantity
from osteotrace.space import FloatArray

# A lesion counts as wholly inside when no more than this share of its voxels is cut off: rounding at the
# edge of a field of view, not anatomy.
_WHOLE = 0.999


def values_of(place: Place, criteria: Criteria) -> tuple[Value, ...]:
    """Size and signal of a lesion on one volume."""
    quantity = place.target.volume.series.quantity
    return (*_size(place), *_BY_QUANTITY[quantity](place, criteria))


def _size(place: Place) -> tuple[Value, ...]:
    if not place.drawn:
        reason = f"carried over from {place.lesion.id}: the size was not measured on this series"
        return (_missing(place, VOLUME, reason), _missing(place, DIAMETER, reason))
    lesion = place.lesion
    n = lesion.mask.n_voxels
    return (
        _value(place, VOLUME, lesion.volume_ml, n),
        _value(place, DIAMETER, lesion.longest_diameter_mm, n),
    )


def _hu(place: Place, criteria: Criteria) -> tuple[Value, ...]:
    facts = place.target.volume.series.facts
    limit = criteria.number("ct.diameter_slice_factor_min")
    thickness = facts.slice_thickness_mm if isinstance(facts, CtFacts) else None
    thickness = thickness or float(place.target.volume.grid.spacing.max())
    if place.lesion.longest_diameter_mm < limit * thickness:
        reason = f"longest diameter below {limit:g} slices of {thickness:g} mm (ct.diameter_slice_factor_min)"
        return tuple(_missing(place, m, reason) for m in HU.values())
    depth = criteria.number("ct.roi_erosion_mm")
    inner = core(place.mask, depth)
    how = (
        f"rim of {depth:g} mm or a voxel left out (ct.roi_erosion_mm)"
        if inner
        else "whole region, too thin for a rim"
    )
    stats = roi_statistics(roi_values(place.target.volume, inner or place.mask))
    return _statistics(place, HU, stats, how)


def _suv(place: Place, criteria: Criteria) -> tuple[Value, ...]:
    data = roi_values(place.target.volume, place.mask)
    stats = roi_statistics(data)
    return (
        *_statistics(place, SUV, stats, "voxels of the region"),
        *_peaks(place, criteria),
        *_metabolic(place, data, criteria),
    )


def _peaks(place: Place, criteria: Criteria) -> tuple[Value, ...]:
    size = criteria.number("suv.peak_sphere_volume_cm3")
    found = peak(place.target.volume, place.mask, size)
    if found is None:
        reason = f"a sphere of {size:g} mL does not fit into the field of view"
        return (_missing(place, PEAK, reason), _missing(place, SUL_PEAK, reason))
    how = f"highest mean of a sphere of {size:g} mL, placed freely in the region (suv.peak_sphere_volume_cm3)"
    value = _value(place, PEAK, found.value, found.n_voxels, how, "suv.peak_sphere_volume_cm3")
    facts = place.target.volume.series.facts
    share = _lean_share(facts) if isinstance(facts, NuclearFacts) else None
    if share is None:
        lacking = "height, weight or sex is not known, so lean body mass is not"
        return (value, _missing(place, SUL_PEAK, lacking))
    how += "; lean body mass by Janmahasatian 2005"
    return (
        value,
        _value(place, SUL_PEAK, found.value * share, found.n_voxels, how, "suv.peak_sphere_volume_cm3"),
    )


def _lean_share(facts: NuclearFacts) -> float | None:
    if facts.lean_body_mass_kg is None or not facts.weight_kg:
        return None
    return facts.lean_body_mass_kg / facts.weight_kg


def _metabolic(place: Place, data: FloatArray, criteria: Criteria) -> tuple[Value, ...]:
    cut = [reason for ok, reason in _metabolic_gates(place, data) if not ok]
    if cut:
        return (_missing(place, MTV, cut[0]), _missing(place, TLG, cut[0]))
    fraction = criteria.number("pet.relative_suvmax_fraction")
    hot = data[data >= fraction * data.max()]
    volume_ml = hot.size * place.mask.grid.voxel_volume_mm3 / 1000.0
    how = f"voxels of the region at {fraction:.0%} of SUVmax or more (pet.relative_suvmax_fraction)"
    return (
        _value(place, MTV, volume_ml, hot.size, how, "pet.relative_suvmax_fraction"),
        _value(place, TLG, volume_ml * float(hot.mean()), hot.size, how, "pet.relative_suvmax_fraction"),
    )


def _metabolic_gates(place: Place, data: FloatArray) -> tuple[tuple[bool, str], ...]:
    return (
        (place.coverage >= _WHOLE, f"only {place.coverage:.0%} of the lesion is in the field of view"),
        (float(data.max()) > 0, "no positive uptake in the region"),
    )


def _mr(place: Place, criteria: Criteria) -> tuple[Value, ...]:
    stats = roi_statistics(roi_values(place.target.volume, place.mask))
    values = _statistics(place, MR_SIGNAL, stats, "voxels of the region; arbitrary units of this series")
    if stats.mean <= 0:
        return (*values, _missing(place, VARIATION, "the mean signal is not positive"))
    how = "standard deviation over mean of the region, no bias correction"
    return (*values, _value(place, VARIATION, stats.sd / stats.mean, stats.n_voxels, how))


def _plain(measures: dict[str, Measure]) -> Callable[[Place, Criteria], tuple[Value, ...]]:
    def values(place: Place, criteria: Criteria) -> tuple[Value, ...]:
        stats = roi_statistics(roi_values(place.target.volume, place.mask))
        return _statistics(place, measures, stats, "voxels of the region")

    return values


def _unknown(place: Place, criteria: Criteria) -> tuple[Value, ...]:
    return ()


_BY_QUANTITY: dict[Quantity, Callable[[Place, Criteria], tuple[Value, ...]]] = {
    Quantity.HU: _hu,
    Quantity.SUVBW: _suv,
    Quantity.ACTIVITY: _plain(ACTIVITY),
    Quantity.COUNTS: _plain(COUNTS),
    Quantity.MR_SIGNAL: _mr,
    Quantity.ADC: _plain(ADC),
    Quantity.DOSE: _plain(DOSE),
    Quantity.UNKNOWN: _unknown,
}

_STATISTIC: dict[str, Callable[[RoiStatistics], float]] = {
    MEAN: lambda s: s.mean,
    SD: lambda s: s.sd,
    MINIMUM: lambda s: s.minimum,
    MAXIMUM: lambda s: s.maximum,
    MEDIAN: lambda s: s.median,
    P10: lambda s: s.p10,
}


def _statistics(
    place: Place, measures: dict[str, Measure], stats: RoiStatistics, how: str
) -> tuple[Value, ...]:
    if place.coverage < _WHOLE:
        how += f"; {place.coverage:.0%} of the lesion is in the field of view"
    return tuple(
        _value(place, measure, _STATISTIC[statistic](stats), stats.n_voxels, how)
        for statistic, measure in measures.items()
    )


def _value(
    place: Place,
    measure: Measure,
    value: float,
    n_voxels: int,
    method: str | None = None,
    criterion_id: str | None = None,
) -> Value:
    if not np.isfinite(value):
        return _missing(place, measure, "the image has no finite values there")
    return Measurement(
        id=f"{place.finding_id}/{measure.key}",
        name=measure.name,
        concept=measure.concept,
        value=float(value),
        unit=measure.unit,
        method=method or measure.method,
        n_voxels=int(n_voxels),
        derivation=measure.derivation,
        criterion_id=criterion_id,
    )


def _missing(place: Place, measure: Measure, reason: str) -> Missing:
    return Missing(f"{place.finding_id}/{measure.key}", measure.name, reason, measure.concept)
