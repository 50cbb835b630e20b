"""The result in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from osteotrace.model.lesion import LesionTrack, NotCovered, NotSeen, Presence, Seen, Unassessable
from osteotrace.model.site import BoneSite
from osteotrace.model.values import Verdict
from osteotrace.model.workup import Workup
from osteotrace.outputs.words import joined, track_label

_NO_LESION = "No lesion was outlined; nothing was searched for."
_COURSES = {
    "persistent": "It persists over the dates.",
    "new": "It is new: an earlier exam covered the place and was read.",
    "resolved": "It has resolved: a later exam covers the place and was read.",
}


@dataclass(frozen=True, slots=True)
class Sentence:
    """A statement about one lesion, or about the whole patient when the anchor is empty."""

    text: str
    details: tuple[str, ...] = ()
    anchor: str = ""


def summary(workup: Workup) -> tuple[Sentence, ...]:
    """One sentence for each lesion; an honest one when there is none."""
    if not workup.tracks:
        return (Sentence(_NO_LESION),)
    names = _series_names(workup)
    return tuple(_sentence(track, names) for track in workup.tracks)


def _series_names(workup: Workup) -> dict[str, str]:
    """Name of every series; with its exam where two series have the same name."""
    every = [(e, s) for e in workup.timeline.exams for s in e.series]
    names = [s.name for _, s in every]
    return {s.id: s.name if names.count(s.name) == 1 else f"{s.name} ({e.name})" for e, s in every}


def _sentence(track: LesionTrack, names: dict[str, str]) -> Sentence:
    seen = [p for p in track.presence if isinstance(p, Seen)]
    places = list(dict.fromkeys(names[p.series_id] for p in seen))
    label = track_label(track)
    if len(places) > 1:
        text = f"{label} is the same lesion in {joined(places)}."
    elif len(names) > 1:
        text = f"{label} was outlined in {joined(places)} only."
    else:
        text = f"{label} was outlined in {joined(places)}."
    return Sentence(text, tuple(_details(track, seen, names)), f"lesion-{track.id}")


def _details(track: LesionTrack, seen: list[Seen], names: dict[str, str]) -> Iterator[str]:
    if isinstance(track.site, BoneSite):
        yield f"Place: {track.site}."
    if track.site_disagreements:
        yield f"Exams that disagree on the bone: {'; '.join(track.site_disagreements)}."
    doubtful = [names[p.series_id] for p in seen if p.verdict is Verdict.DOUBTFUL]
    if doubtful:
        yield f"The link to {joined(doubtful)} is doubtful."
    if track.course in _COURSES:
        yield _COURSES[track.course]
    for reason, places in _reasons(track.presence, NotSeen, names).items():
        yield f"Not seen in {joined(places)}: {reason}."
    outside = [names[p.series_id] for p in track.presence if isinstance(p, NotCovered)]
    if outside:
        yield f"Not covered by {joined(outside)}."
    for reason, places in _reasons(track.presence, Unassessable, names).items():
        yield f"Cannot be assessed in {joined(places)}: {reason}."


def _reasons(
    presence: tuple[Presence, ...], kind: type[NotSeen] | type[Unassessable], names: dict[str, str]
) -> dict[str, list[str]]:
    """Series with the same answer for the same reason."""
    groups: dict[str, list[str]] = {}
    for entry in presence:
        if isinstance(entry, kind):
            groups.setdefault(entry.reason.rstrip("."), []).append(names[entry.series_id])
    return groups
