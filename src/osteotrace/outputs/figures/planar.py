"""Planar nuclear medicine images: the views of a series side by side."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from osteotrace.model.imaging import Exam, PlanarImage
from osteotrace.model.patient import PatientImages
from osteotrace.model.values import View
from osteotrace.model.workup import Workup
from osteotrace.outputs.figures.drawing import DPI, INK, PALE, empty_axes, grey_map, label
from osteotrace.outputs.figures.picture import Picture, drawable, picture_of
from osteotrace.outputs.figures.settings import DisplaySettings
from osteotrace.outputs.words import exam_label

_HEIGHT, _TOP, _GAP, _WIDEST, _NARROWEST = 5.2, 0.5, 0.1, 5.2, 2.0  # inches
_ORDER = (View.ANTERIOR, View.POSTERIOR, View.UNKNOWN)
_BAR_MM = 100
_MOST = 6  # views of one exam; a dynamic study has many more


def planar_figures(workup: Workup, images: PatientImages, settings: DisplaySettings) -> tuple[Picture, ...]:
    """One figure for each exam with planar images; the same grey scale for views of one series."""
    found = ((exam, _of_exam(exam, images)) for exam in workup.timeline.exams)
    return tuple(_figure(exam, views, settings) for exam, views in found if views)


def _of_exam(exam: Exam, images: PatientImages) -> list[PlanarImage]:
    order = {s.id: number for number, s in enumerate(exam.series)}
    here = [p for p in images.planar if p.series.id in order]
    return sorted(here, key=lambda p: (order[p.series.id], _ORDER.index(p.view)))


def _figure(exam: Exam, views: list[PlanarImage], settings: DisplaySettings) -> Picture:
    shown = views[:_MOST]
    widths = [_width(view) for view in shown]
    width, height = sum(widths) + _GAP * (len(shown) - 1), _HEIGHT + _TOP
    figure = Figure(figsize=(width, height), facecolor="white")
    left = 0.0
    for view, panel_width in zip(shown, widths, strict=True):
        _draw(
            figure, view, (left, panel_width), [v for v in views if v.series.id == view.series.id], settings
        )
        left += panel_width + _GAP
    words = ", ".join(f"{v.series.name} {_view_word(v)}" for v in shown)
    more = f" {len(views) - _MOST} more views are not shown." if len(views) > _MOST else ""
    caption = f"{exam_label(exam)}: {words}. Counts, dark is high.{more}"
    return picture_of(figure, f"planar_{exam.id}", caption, DPI)


def _width(view: PlanarImage) -> float:
    i, j = view.counts.shape
    step_i, step_j = view.pixel_mm or (1.0, 1.0)
    return float(np.clip(_HEIGHT * (i * step_i) / (j * step_j), _NARROWEST, _WIDEST))


def _draw(
    figure: Figure,
    view: PlanarImage,
    place: tuple[float, float],
    series: list[PlanarImage],
    settings: DisplaySettings,
) -> None:
    width, height = figure.get_size_inches()
    left, panel_width = place
    axes = empty_axes(figure, (left / width, 0.0, panel_width / width, _HEIGHT / height))
    step_i, step_j = view.pixel_mm or (1.0, 1.0)
    high = _upper([v.counts for v in series], settings.planar_percentile)
    axes.imshow(view.counts.T, cmap=grey_map(inverse=True), vmin=0.0, vmax=high, aspect=step_j / step_i)
    axes.set_anchor("N")
    if view.pixel_mm is not None:
        _scale_bar(axes, view.counts.shape[1], step_i)
    middle = (left + panel_width / 2) / width
    name, word = drawable(view.series.name, 26), _view_word(view)
    label(figure, middle, (height - 0.13) / height, name, size=8.5, weight="bold", ha="center", va="center")
    note = f"{word} · 0–{high:.0f} counts"
    label(figure, middle, (height - 0.33) / height, note, size=7.0, color=PALE, ha="center", va="center")


def _scale_bar(axes: Axes, rows: int, step_mm: float) -> None:
    start, length, y = 0.04 * _BAR_MM / step_mm, _BAR_MM / step_mm, rows * 0.985
    axes.plot([start, start + length], [y, y], color=INK, linewidth=1.8, solid_capstyle="butt")
    axes.text(start, y - 0.008 * rows, f"{_BAR_MM} mm", fontsize=6.5, color=INK, ha="left", va="bottom")


def _view_word(view: PlanarImage) -> str:
    return "view unknown" if view.view is View.UNKNOWN else str(view.view)


def _upper(counts: list[np.ndarray], percentile: float) -> float:
    """Upper end of the grey scale: a percentile of the pixels with counts."""
    above = np.concatenate([c[c > 0].ravel() for c in counts])
    return max(float(np.percentile(above, percentile)), 1.0) if above.size else 1.0
