"""Small parts that all figures share; nothing global is touched."""

from __future__ import annotations

from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

DPI = 110
INK = "#1b1f24"
PALE = "#5c6670"
OUTSIDE = "#26344a"  # outside the field of view: neither black nor white


def grey_map(*, inverse: bool) -> Colormap:
    """Grey scale in which what was not imaged is dark blue."""
    return colormaps["gray_r" if inverse else "gray"].with_extremes(bad=OUTSIDE)


def empty_axes(figure: Figure, box: tuple[float, float, float, float]) -> Axes:
    """Axes without ticks; ``box`` is left, bottom, width, height as shares of the figure."""
    axes = figure.add_axes(box)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def page_axes(figure: Figure) -> Axes:
    """Axes over the whole figure, in inches from its lower left corner, without anything of their own.

    Axes of its own for each of very many pictures take longer than the pictures.
    """
    width, height = figure.get_size_inches()
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(0.0, width)
    axes.set_ylim(0.0, height)
    axes.autoscale(enable=False)
    return axes


def label(
    figure: Figure, x: float, y: float, text: str, *, size: float, color: str = INK, **more: Any
) -> None:
    """Text on the figure, never read as mathematics."""
    figure.text(x, y, text, fontsize=size, color=color, parse_math=False, **more)
