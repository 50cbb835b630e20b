"""Exams on a timeline, and stations of one spine examination."""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from osteotrace.model.criteria import Criteria
from osteotrace.model.imaging import Exam, MrFacts, Series
from osteotrace.model.patient import Timeline
from osteotrace.model.values import Modality

_MODALITY_NAMES = {Modality.PT: "PET", Modality.RTDOSE: "dose"}


def build_timeline(series: Iterable[Series], criteria: Criteria) -> Timeline:
    """Exams in order of time: one modality, one study, one day; the undated come last."""
    groups: dict[Hashable, list[Series]] = {}
    for one in series:
        day = one.datetime.date() if one.datetime else None
        groups.setdefault((one.modality, one.study_instance_uid, day), []).append(one)
    ordered = sorted(groups.values(), key=_exam_order)
    starts = [_start(group) for group in ordered]
    day_zero = next((s.date() for s in starts if s is not None), None)
    exams = tuple(
        _exam(f"E{n}", group, start, day_zero, criteria)
        for n, (group, start) in enumerate(zip(ordered, starts, strict=True), start=1)
    )
    return Timeline(day_zero, exams)


def _exam_order(group: Sequence[Series]) -> tuple[bool, dt.datetime, str, str]:
    start = _start(group)
    return (start is None, start or dt.datetime.min, group[0].modality.value, group[0].id)


def _start(group: Iterable[Series]) -> dt.datetime | None:
    return min((s.datetime for s in group if s.datetime is not None), default=None)


def _exam(
    exam_id: str,
    group: Sequence[Series],
    start: dt.datetime | None,
    day_zero: dt.date | None,
    criteria: Criteria,
) -> Exam:
    modality = group[0].modality
    name = _MODALITY_NAMES.get(modality, modality.value)
    return Exam(
        id=exam_id,
        name=f"{name} {start.date().isoformat()}" if start else f"{name}, no date",
        modality=modality,
        datetime=start,
        day=(start.date() - day_zero).days if start and day_zero else None,
        series=tuple(sorted(group, key=_series_order)),
        stations=stations(group, criteria) if modality is Modality.MR else (),
    )


def _series_order(series: Series) -> tuple[dt.datetime, str, str]:
    """Order inside an exam: the NIfTI id is a hash, so files of one time follow their names."""
    name = series.description if series.source == "nifti" else ""
    return (series.datetime or dt.datetime.max, name, series.id)


def stations(series: Sequence[Series], criteria: Criteria) -> tuple[tuple[str, ...], ...]:
    """Series ids of one sequence at neighbouring table positions, each tuple from head to foot.

    Two series are stations when weighting, fat suppression, contrast, quantity, plane and frame of reference
    are the same, and their fields of view follow each other along the body with little in common
    (``mr.station_overlap_max``, ``mr.station_gap_max_mm``).
    """
    alike: dict[Hashable, list[Series]] = {}
    for one in series:
        key = _sequence_key(one)
        if key is not None:
            alike.setdefault(key, []).append(one)
    chains = (chain for group in alike.values() for chain in _chains(group, criteria))
    return tuple(tuple(s.id for s in chain) for chain in chains if len(chain) > 1)


def _sequence_key(series: Series) -> Hashable:
    facts, grid = series.facts, series.grid
    if grid is None or not isinstance(facts, MrFacts) or facts.weighting.value is None:
        return None
    plane = int(np.argmax(np.abs(grid.direction[:, 2])))
    attributes = (facts.weighting.value, facts.fat_suppression.value, facts.contrast.value, facts.b_value)
    return (*attributes, series.quantity, plane, grid.frame_of_reference_uid)


def _chains(group: Sequence[Series], criteria: Criteria) -> list[list[Series]]:
    """Runs of neighbours along the body (z of LPS points to the head)."""
    ordered = sorted(group, key=lambda s: -_extent(s)[1])
    chains: list[list[Series]] = []
    for one in ordered:
        if chains and _are_neighbours(chains[-1][-1], one, criteria):
            chains[-1].append(one)
        else:
            chains.append([one])
    return chains


def _are_neighbours(upper: Series, lower: Series, criteria: Criteria) -> bool:
    (upper_low, upper_high), (lower_low, lower_high) = _extent(upper), _extent(lower)
    common = min(upper_high, lower_high) - max(upper_low, lower_low)
    shorter = min(upper_high - upper_low, lower_high - lower_low)
    is_near = common >= -criteria.number("mr.station_gap_max_mm")
    return is_near and common <= criteria.number("mr.station_overlap_max") * shorter


def _extent(series: Series) -> tuple[float, float]:
    """Lowest and highest z of the field of view, mm."""
    assert series.grid is not None
    z = series.grid.corners[:, 2]
    return (float(z.min()), float(z.max()))
