"""One figure for each lesion: the same place in every exam, side by side."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from matplotlib.patheffects import withStroke

from osteotrace.model.lesion import LesionTrack
from osteotrace.model.patient import PatientImages
from osteotrace.model.site import BoneSite
from osteotrace.model.workup import Workup
from osteotrace.outputs.figures.drawing import (
    DPI,
    INK,
    PALE,
    grey_map,
    label,
    page_axes,
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
    page = page_axes(figure)
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
            _draw_column(page, column, _LEFT + place * (_PANEL + _GAP), top, side_mm)
    if notes:
        text = drawable("Not shown — " + "; ".join(notes), limit=int(width * 17))
        label(figure, _LEFT / width, 0.12 / height, text, size=7.5, va="center", color=PALE)
    return figure


def _draw_column(page: Axes, column: _Column, left: float, top: float, side_mm: float) -> None:
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
        y = top - 0.11 - 0.15 * number
        page.text(
            left + 0.03, y, text, fontsize=size, weight=weight, color=color, va="center", parse_math=False
        )
    for row, one in enumerate(panel.slices):
        square = _Square(page, left, top - _TOP - (row + 1) * _PANEL - row * _GAP)
        _draw_slice(square, one, panel, window, side_mm)
        if row == 0:
            words = drawable(window.label)
            _on_image(square, 0.98, 0.985, words, ha="right", va="top", size=6.5, inverse=window.inverse)


@dataclass(frozen=True, slots=True, eq=False)
class _Square:
    """Where a picture is drawn: its lower left corner on the page, inches."""

    page: Axes
    left: float
    bottom: float

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top edge, inches."""
        return self.left, self.left + _PANEL, self.bottom, self.bottom + _PANEL

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Place on the page of shares of the square, to the right and upwards."""
        return self.left + x * _PANEL, self.bottom + y * _PANEL

    def clip(self, artist: Artist) -> None:
        """Leave out what reaches beyond the square."""
        rectangle = Rectangle((self.left, self.bottom), _PANEL, _PANEL, transform=self.page.transData)
        artist.set_clip_path(rectangle)


def _draw_slice(square: _Square, one: Slice, panel: SeriesPanel, window: Window, side_mm: float) -> None:
    scale: Colormap = grey_map(inverse=window.inverse)
    square.page.imshow(
        one.values, cmap=scale, vmin=window.low, vmax=window.high, extent=square.box,
        interpolation="bilinear", aspect="auto",
    )  # fmt: skip
    drawn = panel.finding.region == "drawn"
    if one.inside.max() > 0.5:
        rows, columns = one.inside.shape
        x = [square.at((c + 0.5) / columns, 0.0)[0] for c in range(columns)]
        y = [square.at(0.0, 1.0 - (r + 0.5) / rows)[1] for r in range(rows)]
        style = "solid" if drawn else "dashed"
        outline = square.page.contour(
            x, y, one.inside, levels=[0.5], colors=[_OUTLINE], linewidths=1.1, linestyles=style
        )
        square.clip(outline)
    if not drawn and panel.finding.error_mm > 0:
        circle = Circle(
            square.at(0.5, 0.5), panel.finding.error_mm / side_mm * _PANEL, fill=False, edgecolor=_OUTLINE,
            linestyle=":", linewidth=1.0,
        )  # fmt: skip
        square.page.add_patch(circle)
        square.clip(circle)
    _letters(square, one, inverse=window.inverse)
    _scale_bar(square, side_mm, inverse=window.inverse)


def _letters(square: _Square, one: Slice, *, inverse: bool) -> None:
    left, right, top, bottom = one.view.letters
    for x, y, text, ha, va in (
        (0.02, 0.5, left, "left", "center"),
        (0.98, 0.5, right, "right", "center"),
        (0.5, 0.98, top, "center", "top"),
        (0.5, 0.03, bottom, "center", "bottom"),
    ):
        _on_image(square, x, y, text, ha=ha, va=va, size=8.0, inverse=inverse)


def _scale_bar(square: _Square, side_mm: float, *, inverse: bool) -> None:
    length = next((bar for bar in _BARS_MM if bar <= side_mm / 3), _BARS_MM[-1])
    start, y = square.at(0.04, 0.05)
    ink, halo = _inks(inverse=inverse)
    stroke = [withStroke(linewidth=3.2, foreground=halo)]
    square.page.plot(
        [start, start + length / side_mm * _PANEL],
        [y, y],
        color=ink,
        linewidth=1.8,
        path_effects=stroke,
        solid_capstyle="butt",
    )
    _on_image(square, 0.04, 0.075, f"{length} mm", ha="left", va="bottom", size=6.5, inverse=inverse)


def _on_image(
    square: _Square, x: float, y: float, text: str, *, ha: str, va: str, size: float, inverse: bool
) -> None:
    ink, halo = _inks(inverse=inverse)
    square.page.text(
        *square.at(x, y), text, ha=ha, va=va, fontsize=size, color=ink, parse_math=False,
        path_effects=[withStroke(linewidth=2.0, foreground=halo)],
    )  # fmt: skip


def _inks(*, inverse: bool) -> tuple[str, str]:
    """Ink and halo: dark letters on pictures whose background is white."""
    return ("black", "white") if inverse else ("white", "black")
