"""One figure for each exam: its spine, sagittal and coronal, with the levels and their certainty."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from osteotrace.model.anatomy import Bone, Certainty, Numbering
from osteotrace.model.imaging import Exam, Series
from osteotrace.model.label_schemes import structure
from osteotrace.model.patient import PatientImages
from osteotrace.model.skeleton import Skeleton
from osteotrace.model.workup import Workup
from osteotrace.outputs.figures.curved import STEP_MM, Curved, curved_pictures, row_of
from osteotrace.outputs.figures.drawing import DPI, INK, PALE, empty_axes, grey_map, label
from osteotrace.outputs.figures.picture import Picture, drawable, picture_of
from osteotrace.outputs.figures.settings import DisplaySettings
from osteotrace.outputs.figures.window import Window, windows_of
from osteotrace.outputs.words import exam_label, level_mark

_TALLEST, _TOP, _FOOT, _GAP = 6.4, 0.52, 0.28, 0.08  # inches
_MM_PER_INCH: Final = 62.0  # as large as the tallest picture allows
_MOST = 4  # volumes of one exam in one figure
_BAR_MM = 50
_LEAST_PIXELS = 6  # of a bone that is outlined
_COLOURS: Final = {
    Certainty.CERTAIN: ("#4ade80", "solid"),
    Certainty.PROBABLE: ("#facc15", "dashed"),
    Certainty.UNCERTAIN: ("#fb7141", "dotted"),
}
_OTHER: Final = ("#7cc4ff", "solid")
_LEGEND: Final = (
    "Levels: certain (green, solid), probable (yellow, dashed, ?), uncertain (orange, dotted, with the "
    "alternatives); other bones blue. Each row is cut through the middle of the vertebral bodies at its "
    "height. Dark blue: outside the field of view."
)


@dataclass(frozen=True, slots=True, eq=False)
class _Panel:
    """One volume: its two pictures."""

    series: Series
    skeleton: Skeleton
    pictures: tuple[Curved, ...]
    window: Window


def spine_figures(workup: Workup, images: PatientImages, settings: DisplaySettings) -> tuple[Picture, ...]:
    """Figures of all exams in which a vertebra was found, in order of time."""
    found = ((exam, list(_panels(exam, workup, images, settings))) for exam in workup.timeline.exams)
    return tuple(_figure(exam, panels, workup.numbering) for exam, panels in found if panels)


def _panels(exam: Exam, workup: Workup, images: PatientImages, settings: DisplaySettings) -> Iterator[_Panel]:
    """The volumes of an exam, the uppermost first."""
    skeletons = {s.series_id: s for s in workup.skeletons}
    here = [(s, skeletons[s.id]) for s in exam.series if s.id in skeletons and row_of(skeletons[s.id])]
    here.sort(key=lambda pair: -row_of(pair[1])[0].centroid_mm[2])
    for series, skeleton in here:
        volume = images.volume(series.id)
        if volume is not None:
            pictures = curved_pictures(volume, skeleton, _credible(skeleton, workup.numbering))
            window = windows_of(series.quantity, [p.values for p in pictures], settings)[0]
            yield _Panel(series, skeleton, pictures, window)


def _credible(skeleton: Skeleton, numbering: Numbering) -> tuple[Bone, ...]:
    """The row without detections that most probably are no vertebrae; all where nothing else is left."""
    row = row_of(skeleton)
    taken = [(bone, numbering.of(skeleton.series_id, bone.id)) for bone in row]
    kept = tuple(bone for bone, vertebra in taken if vertebra is None or vertebra.possible)
    return kept if any(bone.name != "sacrum" for bone in kept) else row


def _figure(exam: Exam, panels: list[_Panel], numbering: Numbering) -> Picture:
    shown = panels[:_MOST]
    pictures = [picture for panel in shown for picture in panel.pictures]
    scale = max(_MM_PER_INCH, max(p.values.shape[0] for p in pictures) * STEP_MM / _TALLEST)
    sizes = [np.array(p.values.shape) * STEP_MM / scale for p in pictures]
    height = max(float(size[0]) for size in sizes) + _TOP + _FOOT
    width = sum(float(size[1]) + _GAP for size in sizes) + _GAP
    figure = Figure(figsize=(width, height), facecolor="white")
    left = _GAP
    for panel in shown:
        start = left
        for picture in panel.pictures:
            rows, columns = np.array(picture.values.shape) * STEP_MM / scale
            box = (left / width, (height - _TOP - rows) / height, columns / width, rows / height)
            _draw(empty_axes(figure, box), picture, panel, numbering)
            left += columns + _GAP
        _title(figure, exam, panel, start)
    _legend(figure)
    return picture_of(figure, f"spine_{exam.id}", _caption(exam, panels), DPI)


def _caption(exam: Exam, panels: list[_Panel]) -> str:
    names = "; ".join(panel.series.name for panel in panels[:_MOST])
    more = f" {len(panels) - _MOST} more series are not shown." if len(panels) > _MOST else ""
    return f"{exam_label(exam)}: spine, sagittal and coronal; {names}. {_LEGEND}{more}"


def _title(figure: Figure, exam: Exam, panel: _Panel, left: float) -> None:
    width, height = figure.get_size_inches()
    lines = (
        (drawable(f"{exam_label(exam)} · {panel.series.name}", 44), 8.5, "bold", INK),
        (drawable(panel.window.label, 52), 7.0, "normal", PALE),
    )
    for number, (text, size, weight, colour) in enumerate(lines):
        y = (height - 0.14 - 0.19 * number) / height
        label(figure, left / width, y, text, size=size, weight=weight, color=colour, va="center")


def _legend(figure: Figure) -> None:
    width, height = figure.get_size_inches()
    left = _GAP
    entries = ((str(c), colour) for c, (colour, _) in _COLOURS.items())
    for text, colour in (*entries, ("other bones", _OTHER[0])):
        figure.add_artist(_swatch(figure, left, colour))
        label(figure, (left + 0.2) / width, 0.12 / height, text, size=7.0, color=INK, va="center")
        left += 0.34 + 0.062 * len(text)


def _swatch(figure: Figure, left: float, colour: str) -> Any:
    width, height = figure.get_size_inches()
    return Rectangle(
        (left / width, 0.07 / height), 0.14 / width, 0.1 / height, transform=figure.transFigure,
        facecolor=colour, edgecolor=INK, linewidth=0.4,
    )  # fmt: skip


def _draw(axes: Axes, picture: Curved, panel: _Panel, numbering: Numbering) -> None:
    box = picture.box
    inverse = panel.window.inverse
    axes.imshow(
        picture.values, cmap=grey_map(inverse=inverse), vmin=panel.window.low, vmax=panel.window.high,
        extent=box, interpolation="bilinear",
    )  # fmt: skip
    for bone in panel.skeleton.bones:
        _outline(axes, picture, bone, _style(bone, panel.skeleton, numbering)[0:2])
    for bone in row_of(panel.skeleton):
        _name(axes, picture, bone, panel.skeleton, numbering)
    axes.set_xlim(box[0], box[1])
    axes.set_ylim(box[2], box[3])
    letters = picture.view.letters
    for x, y, text, ha, va in (
        (0.02, 0.5, letters[0], "left", "center"),
        (0.98, 0.5, letters[1], "right", "center"),
        (0.93, 0.99, letters[2], "center", "top"),
        (0.93, 0.01, letters[3], "center", "bottom"),
    ):
        axes.text(
            x, y, text, transform=axes.transAxes, ha=ha, va=va, fontsize=8.0, color="white",
            parse_math=False, path_effects=[withStroke(linewidth=2.0, foreground="black")],
        )  # fmt: skip
    _scale_bar(axes, box)


def _style(bone: Bone, skeleton: Skeleton, numbering: Numbering) -> tuple[str, str, str]:
    """Colour, line and mark of a bone."""
    if structure(bone.name).kind != "vertebra":
        return (*_OTHER, bone.name)
    vertebra = numbering.of(skeleton.series_id, bone.id)
    certainty = Certainty.UNCERTAIN if vertebra is None else vertebra.certainty
    return (*_COLOURS[certainty], level_mark(vertebra))


def _outline(axes: Axes, picture: Curved, bone: Bone, style: tuple[str, ...]) -> None:
    inside = picture.labels == bone.label
    if inside.sum() < _LEAST_PIXELS:
        return
    left, _, _, top = picture.box
    rows, columns = inside.shape
    x = left + (np.arange(columns) + 0.5) * STEP_MM
    y = top - (np.arange(rows) + 0.5) * STEP_MM
    axes.contour(
        x, y, inside.astype(np.float32), levels=[0.5], colors=[style[0]], linewidths=0.9, linestyles=style[1]
    )


def _name(axes: Axes, picture: Curved, bone: Bone, skeleton: Skeleton, numbering: Numbering) -> None:
    """The level beside the body: in front of it, or on the right of the patient."""
    colour, _, mark = _style(bone, skeleton, numbering)
    axis = 1 if picture.view.name == "sagittal" else 0
    beside = _edge(picture, bone, bone.centroid_mm[axis])
    axes.text(
        beside - 3.0, bone.centroid_mm[2], mark, ha="right", va="center", fontsize=7.0, color=colour,
        clip_on=True, parse_math=False, path_effects=[withStroke(linewidth=1.8, foreground="black")],
    )  # fmt: skip


def _edge(picture: Curved, bone: Bone, otherwise: float) -> float:
    """Left border of a bone at the height of its centre, mm."""
    row = round((picture.top_mm - bone.centroid_mm[2]) / STEP_MM)
    if not 0 <= row < picture.labels.shape[0]:
        return otherwise
    columns = np.flatnonzero(picture.labels[row] == bone.label)
    return picture.left_mm + float(columns[0]) * STEP_MM if columns.size else otherwise - 18.0


def _scale_bar(axes: Axes, box: tuple[float, float, float, float]) -> None:
    start, y = box[0] + 5.0, box[2] + 7.0
    stroke = [withStroke(linewidth=3.2, foreground="black")]
    axes.plot(
        [start, start + _BAR_MM], [y, y], color="white", linewidth=1.8, path_effects=stroke,
        solid_capstyle="butt",
    )  # fmt: skip
    axes.text(
        start, y + 3.0, f"{_BAR_MM} mm", ha="left", va="bottom", fontsize=6.5, color="white",
        parse_math=False, path_effects=[withStroke(linewidth=2.0, foreground="black")],
    )  # fmt: skip
