"""Tracks: one identity per lesion, and what each series says of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from osteotrace.matching.assign import groups_of, links_between
from osteotrace.matching.cost import Link, MatchCriteria, match_criteria
from osteotrace.model.alignment import Alignment, route
from osteotrace.model.criteria import Criteria
from osteotrace.model.imaging import Exam, NuclearFacts, Series
from osteotrace.model.lesion import (
    Finding,
    Lesion,
    LesionTrack,
    NotCovered,
    NotSeen,
    Presence,
    Seen,
    Unassessable,
)
from osteotrace.model.patient import Timeline
from osteotrace.model.values import Verdict

Course = Literal["single", "persistent", "new", "resolved", "undetermined"]


@dataclass(frozen=True, slots=True)
class Decisions:
    """A person's word on identity, as pairs of outline ids; it comes before any computed link."""

    same: tuple[tuple[str, str], ...] = ()
    different: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Scene:
    """What every track needs to look at."""

    timeline: Timeline
    alignments: tuple[Alignment, ...]
    findings: Mapping[tuple[str, str], Finding]
    links: Sequence[Link]
    read: frozenset[str]
    rules: MatchCriteria


def link_lesions(
    lesions: Sequence[Lesion],
    findings: Sequence[Finding],
    timeline: Timeline,
    alignments: tuple[Alignment, ...],
    criteria: Criteria,
    decisions: Decisions | None = None,
) -> tuple[LesionTrack, ...]:
    """Give one identity to each lesion over all series, modalities and dates.

    Returns
    -------
    tuple of LesionTrack
        ``L1`` is the one with the largest outline; each has one presence per series of the patient.
    """
    rules = match_criteria(criteria)
    decided = decisions or Decisions()
    links = links_between(lesions, alignments, rules)
    groups = groups_of(lesions, links, decided.same, decided.different)
    by_id = {lesion.id: lesion for lesion in lesions}
    members = sorted(
        ([by_id[x] for x in group] for group in groups), key=lambda g: (-max(x.volume_ml for x in g), g[0].id)
    )
    scene = _Scene(
        timeline=timeline,
        alignments=alignments,
        findings={(f.lesion_id, f.series_id): f for f in findings},
        links=links,
        read=frozenset(lesion.series_id for lesion in lesions),
        rules=rules,
    )
    return tuple(_track(f"L{n}", group, scene) for n, group in enumerate(members, start=1))


def _track(track_id: str, group: Sequence[Lesion], scene: _Scene) -> LesionTrack:
    presence = tuple(
        _presence(group, exam, series, scene) for exam in scene.timeline.exams for series in exam.series
    )
    return LesionTrack(
        id=track_id,
        tracking_uid=tracking_uid(group),
        name=_name(group),
        lesion_ids=tuple(lesion.id for lesion in group),
        presence=presence,
        course=course_of(presence, scene.timeline),
    )


def _name(group: Sequence[Lesion]) -> str:
    names = sorted({lesion.name for lesion in group if lesion.name})
    return " / ".join(names)


def tracking_uid(group: Sequence[Lesion]) -> str:
    """Tracking UID of a lesion: the one its sources agree on, else made from the first outline's source.

    The same drawings give the same UID in every run (PS3.5 B.2: a UUID under 2.25).
    """
    given = {lesion.tracking_uid for lesion in group if lesion.tracking_uid}
    if len(given) == 1:
        return given.pop()
    first = min((lesion.origin.source_uid, lesion.origin.number) for lesion in group)
    digest = hashlib.sha256(f"osteotrace lesion {first[0]} {first[1]}".encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def _presence(group: Sequence[Lesion], exam: Exam, series: Series, scene: _Scene) -> Presence:
    here = next((lesion for lesion in group if lesion.series_id == series.id), None)
    if here is not None:
        return _seen(here, group, exam, scene)
    if series.grid is None:
        return Unassessable(exam.id, series.id, "a planar image; its uptake is not measured")
    frame = series.grid.frame_of_reference_uid
    reachable = [x for x in group if _connected(scene.alignments, x, frame)]
    if not reachable:
        return Unassessable(exam.id, series.id, "no usable alignment with the series it was outlined on")
    found = [f for x in reachable if (f := scene.findings.get((x.id, series.id))) is not None]
    best = max(found, key=lambda f: (f.coverage, -f.error_mm), default=None)
    if best is None or best.coverage < scene.rules.coverage_min:
        return NotCovered(exam.id, series.id, best.coverage if best is not None else 0.0)
    if series.id not in scene.read:
        return Unassessable(exam.id, series.id, "nobody outlined lesions on this series", best.id)
    reason = "lesions were outlined on this series, not this one"
    return NotSeen(exam.id, series.id, reason, best.id)


def _connected(alignments: tuple[Alignment, ...], lesion: Lesion, frame: str) -> bool:
    way = route(alignments, lesion.mask.grid.frame_of_reference_uid, frame)
    return way is not None and way.verdict_at(lesion.centroid_mm) is not Verdict.FAILED


def _seen(here: Lesion, group: Sequence[Lesion], exam: Exam, scene: _Scene) -> Seen:
    ids = {lesion.id for lesion in group}
    mine = [x for x in scene.links if here.id in (x.first, x.second) and {x.first, x.second} <= ids]
    if not mine:
        confidence = 1.0 if len(group) == 1 else 0.0
        return Seen(exam.id, here.series_id, here.id, 0.0, 1.0, 0.0, confidence, Verdict.GOOD)
    best = min(mine, key=lambda x: (x.cost, x.first, x.second))
    return Seen(
        exam_id=exam.id,
        series_id=here.series_id,
        lesion_id=here.id,
        distance_mm=best.distance_mm,
        overlap=best.overlap,
        cost=best.cost,
        confidence=best.confidence,
        verdict=best.verdict,
    )


def course_of(presence: Sequence[Presence], timeline: Timeline) -> Course:
    """What became of a lesion over dates.

    New and resolved are said only within one modality and tracer, where an earlier or later exam covers the
    place and was read. Without that it is undetermined; seen on one date only is single.
    """
    exams = {exam.id: exam for exam in timeline.exams}
    seen = {exams[p.exam_id].day for p in presence if isinstance(p, Seen)}
    if None in seen or not seen:
        return "undetermined"
    days = sorted(d for d in seen if d is not None)
    gone_before, gone_after = _absences(presence, exams, days)
    if gone_before and gone_after:
        return "undetermined"
    if gone_before:
        return "new"
    if gone_after:
        return "resolved"
    return "persistent" if len(days) > 1 else "single"


def _absences(
    presence: Sequence[Presence], exams: Mapping[str, Exam], days: Sequence[int]
) -> tuple[bool, bool]:
    kinds = {_kind(exams[p.exam_id], p.series_id) for p in presence if isinstance(p, Seen)}
    absent = [
        day
        for p in presence
        if isinstance(p, NotSeen)
        and _kind(exams[p.exam_id], p.series_id) in kinds
        and (day := exams[p.exam_id].day) is not None
    ]
    first, last = (int(np.min(days)), int(np.max(days)))
    return any(d < first for d in absent), any(d > last for d in absent)


def _kind(exam: Exam, series_id: str) -> tuple[str, str]:
    """What shows the same things: the modality, and the tracer; an unknown tracer is like no other."""
    facts = next((s.facts for s in exam.series if s.id == series_id), None)
    tracer = (facts.tracer.value or series_id) if isinstance(facts, NuclearFacts) else ""
    return exam.modality.value, tracer
