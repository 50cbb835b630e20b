"""One figure for each lesion: the same place in every exam, side by side."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke

from osteotrace.model.lesion import LesionTrack
from osteotrace.model.patient import PatientImages
from osteotrace.model.site import BoneSite
from osteotrace.model.workup import Workup
from osteotrace.outputs.figures.drawing import (
    DPI,
    INK,
    PALE,
    empty_axes,
    grey_map,
    label,
)
from osteotrace.outputs.figures.panels import SeriesPanel, left_out, panels_of
from osteotrace.outputs.figures.picture import Picture, drawable, picture_of
from osteotrace.outputs.figures.planes import VIEWS, Slice
from osteotrace.outputs.figures.settings import DisplaySettings
from osteotrace.outputs.figures.window import Window
from osteotrace.outputs.words import exam_label, track_label

_PANEL, _GAP, _LEFT, _TOP, _NOTE = 2.05, 0.05, 0.28, 0.81, 0.34  # inches
_COLUMNS = 5  # side by side; more go below
_OUTLINE = "#ff5a1f"
_LEGEND = (
    "Solid outline: drawn on this series. Dashed: carried over from where it was drawn; dotted circle: "
    "predicted 95% error of the place. Dark blue: outside the field of view."
)
_BARS_MM = (100, 50, 20, 10, 5)


@dataclass(frozen=True, slots=True, eq=False)
class _Column:
    panel: SeriesPanel
    window: Window


def lesion_figure(
    workup: Workup, images: PatientImages, track: LesionTrack, settings: DisplaySettings
) -> Picture | None:
    """Orthogonal slices through a lesion in every series that shows its place.

    All panels have the same side in mm, and the orientation of one frame of reference: other series are
    turned to it through the alignment, which the title says. Solid outline: drawn there. Dashed: carried
    over, with the circle of the predicted error.

    Returns
    -------
    Picture or None
        None when no image shows the place.
    """
    largest = max(workup.lesion(i).longest_diameter_mm for i in track.lesion_ids)
    side = settings.field_of_view(largest)
    panels = panels_of(workup, images, track, side, settings)
    columns = [_Column(panel, window) for panel in panels for window in panel.windows]
    if not columns:
        return None
    notes = left_out(workup, track, panels)
    blocks = [columns[i : i + _COLUMNS] for i in range(0, len(columns), _COLUMNS)]
    figure = _draw(blocks, side, notes)
    return picture_of(figure, f"lesion_{track.id}", _caption(track, panels, side), DPI)


def _caption(track: LesionTrack, panels: tuple[SeriesPanel, ...], side_mm: float) -> str:
    places = "; ".join(f"{p.series_name}, {p.exam.name}: {p.place}" for p in panels)
    rows = f"Rows: axial, coronal and sagittal slice through its centre; side {side_mm:.0f} mm."
    site = f", {track.site}" if isinstance(track.site, BoneSite) else ""
    return f"{track_label(track)}{site}. {rows} {places}. {_LEGEND}"


def _draw(blocks: list[list[_Column]], side_mm: float, notes: tuple[str, ...]) -> Figure:
    block_height = _TOP + len(VIEWS) * (_PANEL + _GAP)
    width = _LEFT + max(len(b) for b in blocks) * (_PANEL + _GAP)
    height = len(blocks) * block_height + (_NOTE if notes else 0.0)
    figure = Figure(figsize=(width, height), facecolor="white")
    for number, block in enumerate(blocks):
        top = height - number * block_height
        for row, view in enumerate(VIEWS):
            middle = top - _TOP - row * (_PANEL + _GAP) - _PANEL / 2
            label(
                figure,
                0.14 / width,
                middle / height,
                view.name,
                size=8,
                rotation=90,
                ha="center",
                va="center",
            )
        for place, column in enumerate(block):
            _draw_column(figure, column, _LEFT + place * (_PANEL + _GAP), top, side_mm)
    if notes:
        text = drawable("Not shown — " + "; ".join(notes), limit=int(width * 17))
        label(figure, _LEFT / width, 0.12 / height, text, size=7.5, va="center", color=PALE)
    return figure


def _draw_column(figure: Figure, column: _Column, left: float, top: float, side_mm: float) -> None:
    width, height = figure.get_size_inches()
    panel, window = column.panel, column.window
    name = f"{panel.series_name} · {window.name}" if window.name else panel.series_name
    lines = (
        (drawable(name, 30), 8.5, "bold", INK),
        (drawable(exam_label(panel.exam), 38), 7.0, "normal", INK),
        (drawable(panel.word, 38), 7.0, "normal", INK),
        (drawable(panel.basis, 38), 7.0, "normal", INK),
        (drawable(panel.turned, 38), 7.0, "normal", PALE),
    )
    for number, (text, size, weight, color) in enumerate(lines):
        y = (top - 0.11 - 0.15 * number) / height
        label(figure, (left + 0.03) / width, y, text, size=size, weight=weight, color=color, va="center")
    for row, one in enumerate(panel.slices):
        bottom = top - _TOP - (row + 1) * _PANEL - row * _GAP
        axes = empty_axes(figure, (left / width, bottom / height, _PANEL / width, _PANEL / height))
        _draw_slice(axes, one, panel, window, side_mm)
        if row == 0:
            words = drawable(window.label)
            _on_image(axes, 0.98, 0.985, words, ha="right", va="top", size=6.5, inverse=window.inverse)


def _draw_slice(axes: Axes, one: Slice, panel: SeriesPanel, window: Window, side_mm: float) -> None:
    half = side_mm / 2
    box = (-half, half, half, -half)
    scale: Colormap = grey_map(inverse=window.inverse)
    axes.imshow(
        one.values, cmap=scale, vmin=window.low, vmax=window.high, extent=box, interpolation="bilinear"
    )
    drawn = panel.finding.region == "drawn"
    if one.inside.max() > 0.5:
        rows, columns = one.inside.shape
        step = side_mm / columns
        x = [-half + (c + 0.5) * step for c in range(columns)]
        y = [-half + (r + 0.5) * step for r in range(rows)]
        axes.contour(
            x,
            y,
            one.inside,
            levels=[0.5],
            colors=[_OUTLINE],
            linewidths=1.1,
            linestyles="solid" if drawn else "dashed",
        )
    if not drawn and panel.finding.error_mm > 0:
        circle = Circle(
            (0, 0), panel.finding.error_mm, fill=False, edgecolor=_OUTLINE, linestyle=":", linewidth=1.0
        )
        axes.add_patch(circle)
    axes.set_xlim(-half, half)
    axes.set_ylim(half, -half)
    _letters(axes, one, inverse=window.inverse)
    _scale_bar(axes, side_mm, inverse=window.inverse)


def _letters(axes: Axes, one: Slice, *, inverse: bool) -> None:
    left, right, top, bottom = one.view.letters
    for x, y, text, ha, va in (
        (0.02, 0.5, left, "left", "center"),
        (0.98, 0.5, right, "right", "center"),
        (0.5, 0.98, top, "center", "top"),
        (0.5, 0.03, bottom, "center", "bottom"),
    ):
        _on_image(axes, x, y, text, ha=ha, va=va, size=8.0, inverse=inverse)


def _scale_bar(axes: Axes, side_mm: float, *, inverse: bool) -> None:
    length = next((bar for bar in _BARS_MM if bar <= side_mm / 3), _BARS_MM[-1])
    start, y = -side_mm / 2 + 0.04 * side_mm, side_mm / 2 - 0.05 * side_mm
    ink, halo = _inks(inverse=inverse)
    stroke = [withStroke(linewidth=3.2, foreground=halo)]
    axes.plot(
        [start, start + length],
        [y, y],
        color=ink,
        linewidth=1.8,
        path_effects=stroke,
        solid_capstyle="butt",
    )
    _on_image(axes, 0.04, 0.075, f"{length} mm", ha="left", va="bottom", size=6.5, inverse=inverse)


def _on_image(
    axes: Axes, x: float, y: float, text: str, *, ha: str, va: str, size: float, inverse: bool
) -> None:
    ink, halo = _inks(inverse=inverse)
    axes.text(
        x, y, text, transform=axes.transAxes, ha=ha, va=va, fontsize=size, color=ink, parse_math=False,
        path_effects=[withStroke(linewidth=2.0, foreground=halo)],
    )  # fmt: skip


def _inks(*, inverse: bool) -> tuple[str, str]:
    """Ink and halo: dark letters on pictures whose background is white."""
    return ("black", "white") if inverse else ("white", "black")
