"""Exams and events on one axis of days."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from osteotrace.model.patient import Event, Timeline
from osteotrace.model.workup import Workup
from osteotrace.outputs.figures.drawing import DPI, INK, PALE
from osteotrace.outputs.figures.picture import Picture, drawable, picture_of

_WIDTH, _LANE, _FOOT = 10.0, 0.42, 0.48  # inches
_EVENT_LANE = "event"
_NEAR = 0.12  # share of the axis within which two labels would collide
_COLORS = {"MR": "#2a6f97", "CT": "#52796f", "PT": "#bc4b51", "NM": "#8a5a9e", "RTDOSE": "#b08900"}
_EVENT_COLOR = "#5c6670"
_EVENT_WORDS = {
    "surgery": "surgery",
    "radiotherapy": "radiotherapy",
    "drug": "drugs",
    "biopsy": "biopsy",
    "pathology": "pathology",
    "symptom": "symptom",
    "reading": "earlier reading",
}


@dataclass(frozen=True, slots=True)
class _Mark:
    day: int
    lane: str
    text: str
    is_exam: bool


def event_word(event: Event) -> str:
    """Kind of an event in plain words."""
    return _EVENT_WORDS[event.kind]


def timeline_figure(workup: Workup) -> Picture | None:
    """Exams in one lane for each modality, events in lanes below; None when all is of one day or undated."""
    marks = _marks(workup.timeline)
    if len({m.day for m in marks}) < 2:
        return None
    lanes = _stacked(marks)
    figure = Figure(figsize=(_WIDTH, _FOOT + _LANE * len(lanes)), facecolor="white")
    _draw(figure, lanes, marks)
    undated = sum(e.day is None for e in (*workup.timeline.exams, *workup.timeline.events))
    note = f" {undated} without a date are not shown." if undated else ""
    caption = f"Exams (circles) and events (diamonds) by days since the first dated exam.{note}"
    return picture_of(figure, "timeline", caption, DPI)


def _marks(timeline: Timeline) -> list[_Mark]:
    exams = [_Mark(e.day, str(e.modality), e.id, True) for e in timeline.exams if e.day is not None]
    events = [_Mark(e.day, _EVENT_LANE, event_word(e), False) for e in timeline.events if e.day is not None]
    return exams + events


def _stacked(marks: list[_Mark]) -> list[tuple[str, list[_Mark]]]:
    """Lanes from above; marks of one lane that lie too near to each other go to a second one."""
    first, last = min(m.day for m in marks), max(m.day for m in marks)
    gap = max((last - first) * _NEAR, 1e-9)
    lanes: list[tuple[str, list[_Mark]]] = []
    for name in dict.fromkeys(m.lane for m in marks):
        rows: list[list[_Mark]] = []
        for mark in sorted((m for m in marks if m.lane == name), key=lambda m: m.day):
            free = next((r for r in rows if mark.day - r[-1].day >= gap), None)
            if free is None:
                rows.append([mark])
            else:
                free.append(mark)
        lanes.extend((name, row) for row in rows)
    return lanes


def _draw(figure: Figure, lanes: list[tuple[str, list[_Mark]]], marks: list[_Mark]) -> None:
    _, height = figure.get_size_inches()
    axes = figure.add_axes((0.09, _FOOT / height, 0.88, 1 - _FOOT / height))
    for number, (name, row) in enumerate(lanes):
        axes.axhline(-number, color="#e3e7eb", linewidth=1.0, zorder=0)
        _draw_lane(axes, -number, _COLORS.get(name, _EVENT_COLOR), row)
    axes.set_ylim(-len(lanes) + 0.4, 0.6)
    names = [name if not i or lanes[i - 1][0] != name else "" for i, (name, _) in enumerate(lanes)]
    axes.set_yticks([-n for n in range(len(lanes))], names)
    first, last = min(m.day for m in marks), max(m.day for m in marks)
    margin = max((last - first) * 0.04, 0.5)
    axes.set_xlim(first - margin, last + margin + (last - first) * 0.1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
    axes.set_xlabel("days since the first dated exam", fontsize=8, color=PALE)
    axes.tick_params(axis="both", labelsize=8, length=0, labelcolor=INK)
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)


def _draw_lane(axes: Axes, y: float, color: str, row: list[_Mark]) -> None:
    for mark in row:
        shape = "o" if mark.is_exam else "D"
        axes.plot([mark.day], [y], marker=shape, markersize=8 if mark.is_exam else 6.5, color=color)
        axes.annotate(
            drawable(mark.text, 28), (mark.day, y), xytext=(8, 0), textcoords="offset points", va="center",
            fontsize=8, color=INK, parse_math=False,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )  # fmt: skip
