"""The skeleton and the lesions over the views of a bone scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from scipy.optimize import isotonic_regression

from osteotrace.model.bone_scan import BoneScan, LesionFootprint, Point, RegionOutline, Spot, ViewFootprint
from osteotrace.model.imaging import Exam, PlanarImage
from osteotrace.model.patient import PatientImages
from osteotrace.model.planar import FittedView, PlanarFit
from osteotrace.model.values import Verdict, View
from osteotrace.model.workup import Workup
from osteotrace.outputs.figures.drawing import DPI, INK, PALE, empty_axes, grey_map, label
from osteotrace.outputs.figures.picture import Picture, drawable, picture_of
from osteotrace.outputs.figures.settings import DisplaySettings
from osteotrace.outputs.words import exam_label
from osteotrace.space import FloatArray

_HEIGHT, _TOP, _SIDE, _GAP, _FOOT = 9.2, 0.62, 0.62, 0.3, 0.16  # inches; the side holds the labels
_WIDEST, _NARROWEST = 5.4, 1.6
_ORDER: Final = (View.ANTERIOR, View.POSTERIOR, View.UNKNOWN)
_EDGES: Final = {View.ANTERIOR: ("R", "L"), View.POSTERIOR: ("L", "R"), View.UNKNOWN: ("", "")}
_LESION, _SPOT = "#c2410c", "#be0f6b"
_COLOURS: Final = {"spine": "#1d6fb8", "skull": "#6b7280", "pelvis": "#0f8a6d", "sternum": "#9333a8"}
_SIDES: Final = {"thorax": "#b7791f", "shoulder": "#4d7c0f", "arm": "#8b5e83", "leg": "#3f6f7a"}
_TRUSTED: Final[dict[Verdict, Any]] = {
    Verdict.GOOD: "solid",
    Verdict.DOUBTFUL: (0, (5, 1.2)),
    Verdict.FAILED: (0, (1, 2)),
}
_ROUND = np.linspace(0.0, 2.0 * np.pi, 49)
_RING_MM = 14.0  # radius of the ring about a hot spot, which leaves the spot itself free
_LABEL_STEP = 0.018  # of the height of the view, between labels
_MIDDLE = 0.08  # of the width, to both sides of the middle
_MARGIN_MM = 25.0
_BAR_MM = 100
_DARK_SHARE = 0.02  # of the fullest row: less is outside of the body
_LEGEND: Final = (
    "Dark is high. Thin lines: the projected skeleton by region (dashed: doubtful, dotted: failed). Orange "
    "ellipses: where each lesion would show, with its number (dashed: doubtful); dotted circle: predicted "
    "95% error of the place. An ellipse says where to look, not that something is there."
)
_SPOTS_LEGEND: Final = " Rings with F1, F2 ...: foci that a reader points at."


@dataclass(frozen=True, slots=True)
class _Tag:
    """A number beside the view and the place that it belongs to.

    ``reach`` is how far (columns) what is drawn there extends to either side.
    """

    text: str
    colour: str
    place: Point
    reach: float


@dataclass(frozen=True, slots=True, eq=False)
class _Panel:
    """One view as it is drawn."""

    view: FittedView
    image: PlanarImage
    first_row: float
    last_row: float


def bone_scan_figures(
    workup: Workup, images: PatientImages, settings: DisplaySettings
) -> tuple[Picture, ...]:
    """One figure for each bone scan whose skeleton was fitted."""
    exams = {exam.id: exam for exam in workup.timeline.exams}
    found = (bone_scan_figure(exams[scan.exam_id], scan, images, settings) for scan in workup.bone_scans)
    return tuple(picture for picture in found if picture is not None)


def bone_scan_figure(
    exam: Exam, scan: BoneScan, images: PatientImages, settings: DisplaySettings
) -> Picture | None:
    """The views of a bone scan with the skeleton and the lesions over them.

    As a nuclear physician sees it: in the anterior view the patient's right is on the left of the picture, in
    the posterior view the patient's left.

    Returns
    -------
    Picture or None
        None when every fit failed.
    """
    fit = scan.shown
    panels = [] if fit is None else _panels(fit, images, scan.spots)
    return None if fit is None or not panels else _figure(exam, scan, fit, panels, settings)


def _panels(fit: PlanarFit, images: PatientImages, spots: Sequence[Spot]) -> list[_Panel]:
    """Views in the usual order, with their images, cut to the rows of the body and of the spots."""
    out = []
    for view in sorted(fit.views, key=lambda v: _ORDER.index(v.view)):
        image = _image(view, images)
        if image is not None:
            rows = image.counts.sum(axis=0)
            body = np.flatnonzero(rows > _DARK_SHARE * rows.max())
            margin = _MARGIN_MM / view.pixel_mm[1]
            rows_shown = [*body[[0, -1]], *_rows(spots, view)] if body.size else [0, view.shape[1] - 1]
            first, last = min(rows_shown), max(rows_shown)
            out.append(
                _Panel(view, image, max(first - margin, -0.5), min(last + margin, view.shape[1] - 0.5))
            )
    return out


def _rows(spots: Sequence[Spot], view: FittedView) -> list[float]:
    return [spot.place[1] for spot in _spots_of(spots, view)]


def _spots_of(spots: Sequence[Spot], view: FittedView) -> list[Spot]:
    return [spot for spot in spots if (spot.series_id, spot.view) == (view.series_id, view.view)]


def _image(view: FittedView, images: PatientImages) -> PlanarImage | None:
    """The image of a view: of its series, whatever the header calls the view."""
    here = [p for p in images.planar if p.series.id == view.series_id]
    return next((p for p in here if p.view is view.view), here[0] if here else None)


def _figure(
    exam: Exam, scan: BoneScan, fit: PlanarFit, panels: list[_Panel], settings: DisplaySettings
) -> Picture:
    widths = [_width(panel) for panel in panels]
    width = sum(widths) + 2 * _SIDE * len(panels) + _GAP * (len(panels) - 1)
    height = _HEIGHT + _TOP + _FOOT
    figure = Figure(figsize=(width, height), facecolor="white")
    left = 0.0
    for panel, panel_width in zip(panels, widths, strict=True):
        box = ((left + _SIDE) / width, _FOOT / height, panel_width / width, _HEIGHT / height)
        axes = empty_axes(figure, box)
        _draw(axes, panel, scan, fit, settings)
        middle = (left + _SIDE + panel_width / 2) / width
        name = drawable(f"{exam_label(exam)} · {panel.view.view}", 34)
        label(
            figure, middle, (height - 0.16) / height, name, size=9.0, weight="bold", ha="center", va="center"
        )
        note = f"skeleton: {'CT' if fit.source == 'ct' else 'standard'} · fit {fit.verdict}"
        label(figure, middle, (height - 0.38) / height, note, size=7.5, color=PALE, ha="center", va="center")
        left += panel_width + 2 * _SIDE + _GAP
    return picture_of(figure, f"bone_scan_{exam.id}", _caption(exam, scan, fit), DPI)


def _caption(exam: Exam, scan: BoneScan, fit: PlanarFit) -> str:
    source = "the patient's CT" if fit.source == "ct" else "the standard skeleton, not the patient's own"
    legend = _LEGEND + (_SPOTS_LEGEND if scan.spots else "")
    lesions = f"{len(scan.footprints)} lesions" if len(scan.footprints) != 1 else "1 lesion"
    return f"{exam_label(exam)}: bone scan with {source} and {lesions}; the fit is {fit.verdict}. {legend}"


def _width(panel: _Panel) -> float:
    rows_mm = (panel.last_row - panel.first_row) * panel.view.pixel_mm[1]
    columns_mm = panel.view.shape[0] * panel.view.pixel_mm[0]
    return float(np.clip(_HEIGHT * columns_mm / rows_mm, _NARROWEST, _WIDEST))


def _draw(axes: Axes, panel: _Panel, scan: BoneScan, fit: PlanarFit, settings: DisplaySettings) -> None:
    view, counts = panel.view, np.asarray(panel.image.counts, np.float64)
    high = _upper(counts, settings.planar_percentile)
    shown = np.clip(counts / high, 0.0, 1.0) ** settings.planar_gamma
    axes.imshow(
        shown.T, cmap=grey_map(inverse=True), vmin=0.0, vmax=1.0, aspect="auto", interpolation="bilinear"
    )
    for outline in scan.outlines:
        _outline(axes, outline, view, fit)
    axes.set_xlim(-0.5, view.shape[0] - 0.5)
    axes.set_ylim(panel.last_row, panel.first_row)
    here = [(one, shape) for one in scan.footprints if (shape := _of_view(one, view)) is not None]
    for one, shape in here:
        _ellipse(axes, one, shape, view)
    spots = _spots_of(scan.spots, view)
    for spot in spots:
        _ring(axes, spot, view)
    _numbers(axes, [*(_tag(*pair, view) for pair in here), *(_spot_tag(spot, view) for spot in spots)], panel)
    _letters(axes, view, sure=not any("left and right" in reason for reason in fit.reasons))
    _scale_bar(axes, panel)


def _upper(counts: FloatArray, percentile: float) -> float:
    above = counts[counts > 0]
    return max(float(np.percentile(above, percentile)), 1.0) if above.size else 1.0


def _outline(axes: Axes, outline: RegionOutline, view: FittedView, fit: PlanarFit) -> None:
    region = fit.region(outline.region)
    style = _TRUSTED[Verdict.FAILED if region is None else region.verdict]
    for line in outline.lines:
        pixels = view.pixels(line)
        axes.plot(
            pixels[:, 0],
            pixels[:, 1],
            color=_colour(outline.region),
            linewidth=0.8,
            alpha=0.8,
            linestyle=style,
        )


def _colour(region: str) -> str:
    return _COLOURS.get(region) or _SIDES.get(region.split(" ", maxsplit=1)[0], PALE)


def _of_view(one: LesionFootprint, view: FittedView) -> ViewFootprint | None:
    """Its footprint in a view that covers it."""
    return next(
        (v for v in one.views if v.covered and (v.series_id, v.view) == (view.series_id, view.view)), None
    )


def _ellipse(axes: Axes, one: LesionFootprint, shape: ViewFootprint, view: FittedView) -> None:
    step = np.array(view.pixel_mm)
    if shape.half_axes_mm is not None:
        long, short = shape.half_axes_mm
        along = np.array([np.cos(shape.turn), np.sin(shape.turn)])
        across = np.array([-along[1], along[0]])
        edge = long * np.cos(_ROUND)[:, None] * along + short * np.sin(_ROUND)[:, None] * across
        axes.add_patch(
            Polygon(
                np.array(shape.place) + edge / step, fill=False, edgecolor=_LESION, linewidth=1.1,
                linestyle=_TRUSTED[one.verdict],
            )
        )  # fmt: skip
    circle = one.error_mm * np.stack([np.cos(_ROUND), np.sin(_ROUND)], axis=-1)
    axes.add_patch(
        Polygon(
            np.array(shape.place) + circle / step, fill=False, edgecolor=_LESION, linewidth=0.6,
            linestyle="dotted", alpha=0.8,
        )
    )  # fmt: skip


def _ring(axes: Axes, spot: Spot, view: FittedView) -> None:
    """A ring with four ticks outwards, white below, so that it shows on dark counts and on none."""
    step = np.array(view.pixel_mm)
    circle = _RING_MM * np.stack([np.cos(_ROUND), np.sin(_ROUND)], axis=-1)
    for width, colour in ((2.6, "white"), (1.3, _SPOT)):
        axes.add_patch(
            Polygon(np.array(spot.place) + circle / step, fill=False, edgecolor=colour, linewidth=width)
        )
        for way in ((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)):
            ends = np.array(spot.place) + np.outer([_RING_MM, 1.6 * _RING_MM], way) / step
            axes.plot(ends[:, 0], ends[:, 1], color=colour, linewidth=width)


def _tag(one: LesionFootprint, shape: ViewFootprint, view: FittedView) -> _Tag:
    long, short = shape.half_axes_mm or (0.0, 0.0)
    reach = float(np.hypot(long * np.cos(shape.turn), short * np.sin(shape.turn))) / view.pixel_mm[0]
    return _Tag(one.track_id, _LESION, shape.place, reach)


def _spot_tag(spot: Spot, view: FittedView) -> _Tag:
    return _Tag(spot.id, _SPOT, spot.place, 1.6 * _RING_MM / view.pixel_mm[0])


def _numbers(axes: Axes, tags: list[_Tag], panel: _Panel) -> None:
    """Numbers of lesions and spots beside the view, each with a thin line to its place."""
    columns = panel.view.shape[0]
    for on_left, side in zip((True, False), _sides(tags, columns), strict=True):
        rows = spread_rows(
            [tag.place[1] for tag in side],
            _LABEL_STEP * (panel.last_row - panel.first_row),
            panel.first_row,
            panel.last_row,
        )
        edge = -0.5 if on_left else columns - 0.5
        away = (-0.03 if on_left else 0.03) * columns
        for tag, row in zip(side, rows, strict=True):
            beside = tag.place[0] + (-tag.reach if on_left else tag.reach)
            axes.plot(
                [beside, edge, edge + away], [tag.place[1], row, row],
                color=tag.colour, linewidth=0.5, alpha=0.75, clip_on=False,
            )  # fmt: skip
            axes.text(
                edge + 1.5 * away, row, tag.text, fontsize=8.0, color=tag.colour, weight="bold",
                ha="right" if on_left else "left", va="center", parse_math=False,
            )  # fmt: skip


def _sides(tags: list[_Tag], columns: int) -> tuple[list[_Tag], list[_Tag]]:
    """Numbers by the side on which they stand, from the head down.

    What lies near the middle goes where there are fewer.
    """
    offset = {tag.text: tag.place[0] / columns - 0.5 for tag in tags}
    left = [tag for tag in tags if offset[tag.text] < -_MIDDLE]
    right = [tag for tag in tags if offset[tag.text] > _MIDDLE]
    middle = [tag for tag in tags if abs(offset[tag.text]) <= _MIDDLE]
    for tag in sorted(middle, key=_row):
        (left if len(left) < len(right) else right).append(tag)
    return sorted(left, key=_row), sorted(right, key=_row)


def _row(tag: _Tag) -> float:
    return tag.place[1]


def spread_rows(rows: list[float], step: float, first: float, last: float) -> list[float]:
    """Rows at least a step apart, in their order, as near as can be to where they were.

    They stay between ``first`` and ``last``; the step is smaller when there is no room for it.

    Parameters
    ----------
    rows : list of float
        Rising.
    """
    if not rows:
        return []
    step = min(step, (last - first) / len(rows))
    shift = step * np.arange(len(rows))
    # At least a step apart means: rising once the steps are taken away.
    rising = isotonic_regression(np.asarray(rows) - shift).x
    return [float(row) for row in np.clip(rising, first, last - shift[-1]) + shift]


def _letters(axes: Axes, view: FittedView, *, sure: bool) -> None:
    for x, letter, ha in zip((0.015, 0.985), _EDGES[view.view], ("left", "right"), strict=True):
        axes.text(
            x, 0.995, letter if sure or not letter else f"{letter}?", transform=axes.transAxes, ha=ha,
            va="top", fontsize=9.0, weight="bold", color=INK, parse_math=False,
        )  # fmt: skip


def _scale_bar(axes: Axes, panel: _Panel) -> None:
    length = _BAR_MM / panel.view.pixel_mm[0]
    start, y = 0.03 * panel.view.shape[0], panel.last_row - 0.012 * (panel.last_row - panel.first_row)
    axes.plot([start, start + length], [y, y], color=INK, linewidth=1.8, solid_capstyle="butt")
    lift = 0.006 * (panel.last_row - panel.first_row)
    axes.text(start, y - lift, f"{_BAR_MM} mm", fontsize=6.5, color=INK, ha="left", va="bottom")
