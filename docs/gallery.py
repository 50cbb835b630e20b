"""Pictures of the re-enacted index case: one plate as in the report, and one figure per exam.

``python docs/gallery.py --patient DIR -o docs/gallery`` reads what ``osteotrace phantom --case index -o DIR``
wrote: the images through intake, the truth only to know where to cut and where to point. Nothing is measured
here except the PET maximum that panel J names.
"""

from __future__ import annotations

import io
import json
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps, patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import map_coordinates

from osteotrace.intake import read_study
from osteotrace.model.criteria import load_criteria
from osteotrace.model.imaging import PlanarImage, Volume
from osteotrace.model.patient import PatientImages
from osteotrace.model.values import Quantity
from osteotrace.model.values import View as Projection
from osteotrace.outputs.figures.drawing import DPI, INK, PALE, empty_axes, grey_map, label
from osteotrace.outputs.figures.picture import picture_of
from osteotrace.outputs.figures.planes import VIEWS
from osteotrace.outputs.figures.settings import DisplaySettings, display_settings
from osteotrace.outputs.figures.window import Window, windows_of
from osteotrace.space import FloatArray

Truth = dict[str, Any]
Pixels = NDArray[np.float32]

WIDTH_PX = 1600
_PLATE_BYTES, _EXAM_BYTES = 1_000_000, 330_000
_COLOURS = (128, 96, 64, 48, 40, 32, 24)  # tried until the file is small enough
_MARGIN, _GAP, _HEAD = 0.08, 0.07, 0.56  # inch; the head of a panel holds three lines
_BAR_MM = 50.0
_SIDE_SHARE = 0.35  # of a direction that earns a second orientation letter
_LUNG = Window(-1350.0, 150.0, False, "lung", "W 1500 L -600 HU")
_MARK = "#ffd21f"
_AXIAL, _CORONAL, _SAGITTAL = VIEWS
_MASS, _PIN, _TARGET, _HOT = "M01", "P01", "B17", "B01"
_SPINE = [f"vertebrae_{c}{n}" for c, count in (("C", 7), ("T", 12), ("L", 5)) for n in range(1, count + 1)]


# --- planes -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """Where a picture is taken.

    Attributes
    ----------
    points : ndarray of float64, shape (rows, columns, 3)
        LPS, mm, in the frame of the series; may be bent.
    right, down : ndarray of float64, shape (3,)
        Unit vectors along the columns and rows before bending.
    step_mm : float
        Distance of pixels.
    words : str
        What the figure says of it.
    """

    points: FloatArray
    right: FloatArray
    down: FloatArray
    step_mm: float
    words: str

    def pixel(self, point: FloatArray) -> tuple[float, float, float]:
        """Column and row of the nearest pixel, and its distance from the point in mm."""
        away = np.linalg.norm(self.points - point, axis=-1)
        row, column = np.unravel_index(int(away.argmin()), away.shape)
        return float(column), float(row), float(away[row, column])


def flat_plane(
    center: FloatArray,
    directions: tuple[Sequence[float], Sequence[float]],
    size_mm: tuple[float, float],
    step_mm: float,
    words: str,
) -> Plane:
    """A plane of width and height ``size_mm`` around a point, LPS mm; ``directions`` are right and down."""
    right, down = (np.asarray(d, dtype=np.float64) / np.linalg.norm(d) for d in directions)
    across, along = (_offsets(length, step_mm) for length in size_mm)
    points = center + across[None, :, None] * right + along[:, None, None] * down
    return Plane(points, right, down, step_mm, words)


def _offsets(length_mm: float, step_mm: float) -> FloatArray:
    count = max(round(length_mm / step_mm), 1)
    return (np.arange(count) - (count - 1) / 2) * step_mm


def bent(plane: Plane, line: FloatArray, axis: int, aside_mm: float = 0.0) -> Plane:
    """The plane with one coordinate taken from a line at the same height.

    Parameters
    ----------
    line : ndarray, shape (n, 3)
        Points of ascending z, LPS mm; beyond its ends the nearest one counts.
    axis : int
        0 follows the line to the left and right, 1 to the front and back.
    aside_mm : float
        Parallel to the line at this distance.
    """
    points = plane.points.copy()
    points[..., axis] = np.interp(points[..., 2], line[:, 2], line[:, axis]) + aside_mm
    return replace(plane, points=points)


def spine_line(truth: Truth) -> FloatArray:
    """Centroids of the vertebrae in the frame of one series, from below, shape (n, 3), LPS mm."""
    line = np.array([truth["bones"][name]["centroid"] for name in _SPINE if name in truth["bones"]])
    return np.asarray(line[np.argsort(line[:, 2])], dtype=np.float64)


def edge_letters(right: FloatArray, down: FloatArray) -> tuple[str, str, str, str]:
    """Orientation at the left, right, upper and lower edge (PS3.3 C.7.6.1.1.1; H and F for head and feet)."""
    return (_letters(-right), _letters(right), _letters(-down), _letters(down))


def _letters(direction: FloatArray) -> str:
    order = np.argsort(-np.abs(direction))[:2]
    named = ["RAF"[n] if direction[n] < 0 else "LPH"[n] for n in order]
    return named[0] + (named[1] if abs(direction[order[1]]) >= _SIDE_SHARE else "")


def cut(volume: Volume, points: FloatArray) -> Pixels:
    """Values at points of shape (rows, columns, 3), linear; NaN outside the image."""
    index = np.moveaxis(volume.grid.indices(points.reshape(-1, 3)).reshape(points.shape), -1, 0)
    found = map_coordinates(volume.values, index, output=np.float32, order=1, cval=np.nan)
    return np.asarray(found, dtype=np.float32)


def projected(
    volume: Volume,
    plane: Plane,
    depths_mm: Iterable[float],
    join: Callable[..., Any] = np.fmax,
) -> Pixels:
    """Maximum over parallel planes; a depth lies along right × down."""
    normal = np.cross(plane.right, plane.down)
    picture = np.full(plane.points.shape[:2], np.nan, dtype=np.float32)
    for depth in depths_mm:
        picture = join(picture, cut(volume, plane.points + depth * normal))
    return picture


# --- panels -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mark:
    """An arrow (with a tail) or an arrowhead whose tip is near a pixel.

    Attributes
    ----------
    angle_deg : float
        Where it points to: 0 to the right, 90 down.
    """

    column: float
    row: float
    angle_deg: float
    tail: bool


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """One picture of a figure.

    Attributes
    ----------
    picture : ndarray, shape (rows, columns) or (rows, columns, 3)
        Values, or red, green, blue from 0 to 1.
    window : Window or None
        None for colours.
    letters : tuple of str
        At the left, right, upper and lower edge; empty where there is nothing to orient.
    lines : tuple of str
        Title and up to two lines below it.
    words : str
        Written in the middle of a panel without a picture.
    """

    picture: NDArray[Any]
    step_mm: float
    window: Window | None
    letters: tuple[str, ...]
    lines: tuple[str, ...]
    marks: tuple[Mark, ...] = ()
    words: str = ""

    @property
    def aspect(self) -> float:
        """Width by height."""
        rows, columns = self.picture.shape[:2]
        return columns / rows


def blank(title: str, words: str, aspect: float) -> Panel:
    """A panel for what the phantom has not."""
    picture = np.full((100, max(round(100 * aspect), 1), 3), 0.92)
    return Panel(picture, 1.0, None, (), (title, "", ""), words=words)


def width_level(low: float, high: float, unit: str = "") -> str:
    """``W 400 L 40 HU``."""
    digits = 0 if high - low >= 20 else 1
    return f"W {high - low:.{digits}f} L {(high + low) / 2:.{digits}f} {unit}".rstrip()


def log_counts(counts: NDArray[Any], high: float) -> tuple[Pixels, Window]:
    """Logarithm of counts + 1 and its inverse window from 0 to ``high`` counts."""
    top = float(np.log1p(max(high, 1.0)))
    return np.log1p(counts.T).astype(np.float32), Window(0.0, top, True, "", f"log, 0–{high:.0f} counts")


def fused(ct: Pixels, pet: Pixels, window: Window, suv_max: float) -> NDArray[np.float64]:
    """CT in grey under PET in colour; opaque where the uptake is high."""
    grey = np.clip((np.nan_to_num(ct, nan=-1000.0) - window.low) / (window.high - window.low), 0, 1)
    share = np.clip(np.nan_to_num(pet) / suv_max, 0, 1)
    opaque = np.clip(1.4 * share, 0, 0.85)[..., None]
    colour = colormaps["hot"](share)[..., :3]
    return np.asarray(grey[..., None] * (1 - opaque) + colour * opaque, dtype=np.float64)


# --- the patient ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One series with its share of the truth."""

    truth: Truth
    settings: DisplaySettings
    volume: Volume

    @property
    def name(self) -> str:
        """Series and day, for a title."""
        series = self.volume.series
        return f"{series.description} · day {self.truth['day']}"

    def bone(self, name: str) -> FloatArray:
        """Centroid of a bone, LPS mm."""
        return np.array(self.truth["bones"][name]["centroid"])

    def lesion(self, name: str) -> FloatArray:
        """Centroid of a lesion that is there on the day, LPS mm."""
        return next(np.array(x["centroid"]) for x in self.truth["lesions"] if x["id"] == name)

    def panel(
        self, plane: Plane, window: Window | None = None, marks: tuple[Mark, ...] = (), title: str = ""
    ) -> Panel:
        """The series on a plane; without a window the one of its quantity."""
        picture = cut(self.volume, plane.points)
        return self.shown(plane, picture, window, marks, title)

    def shown(
        self, plane: Plane, picture: NDArray[Any], window: Window | None, marks: tuple[Mark, ...], title: str
    ) -> Panel:
        """A picture that was taken on a plane."""
        if window is None:
            window = windows_of(self.volume.series.quantity, [picture], self.settings)[0]
        if self.volume.series.quantity is Quantity.MR_SIGNAL:
            window = replace(window, label=width_level(window.low, window.high))
        letters = edge_letters(plane.right, plane.down)
        lines = (title or self.name, plane.words, window.label)
        return Panel(picture, plane.step_mm, window, letters, lines, marks)

    def sagittal(self, size_mm: tuple[float, float], aside_mm: float = 0.0, ahead_mm: float = 0.0) -> Plane:
        """Sagittal plane that follows the spine from side to side, around the middle of the image."""
        line = spine_line(self.truth)
        middle = self.volume.grid.center.copy()
        near = line[np.abs(line[:, 2] - middle[2]) < size_mm[1] / 2]
        middle[1] = (near if len(near) else line)[:, 1].mean() - ahead_mm
        side = f", {abs(aside_mm):.0f} mm {'left' if aside_mm > 0 else 'right'}" if aside_mm else ""
        flat = flat_plane(middle, (_SAGITTAL.right, _SAGITTAL.down), size_mm, 0.6, "sagittal along spine" + side)
        return bent(flat, line, 0, aside_mm)

    def marks(self, plane: Plane, near_mm: float, *, mass: bool = True) -> tuple[Mark, ...]:
        """Arrowheads at bone lesions from the left of the picture, arrows at the cord mass from the right."""
        found = []
        for lesion in self.truth["lesions"]:
            name = lesion["id"]
            if not lesion["present"] or not (name.startswith("B") or (mass and name == _MASS)):
                continue
            column, row, distance = plane.pixel(np.array(lesion["centroid"]))
            if distance > near_mm:
                continue
            aside = (lesion["longest_mm"] / 2 + 4.0) / plane.step_mm
            if name == _MASS:
                up = 0.3 * lesion["longest_mm"] / plane.step_mm
                found += [Mark(column + 8.0 / plane.step_mm, row + s * up, 180.0, True) for s in (-1, 1)]
            else:
                found.append(Mark(column - aside, row, 0.0, False))
        return tuple(found)


@dataclass(frozen=True, slots=True, eq=False)
class Phantom:
    """The patient's images, and the truth to point with."""

    images: PatientImages
    series: dict[str, Truth]
    settings: DisplaySettings

    def __getitem__(self, name: str) -> Shown:
        """The volume of a series id of the truth, for example ``mr0-t1``."""
        truth = self.series[name]
        volume = next(
            v for v in self.images.volumes if v.series.series_instance_uid == truth["series_instance_uid"]
        )
        return Shown(truth, self.settings, volume)

    def planar(self, view: Projection) -> PlanarImage:
        """The bone scan from one side."""
        return next(p for p in self.images.planar if p.view is view)

    def ct_window(self, name: str) -> Window:
        """``bone`` or ``soft tissue``."""
        return next(w for w in windows_of(Quantity.HU, [], self.settings) if w.name == name)


def read_phantom(folder: Path) -> Phantom:
    """Read ``dicom`` and ``truth/truth.json`` of a phantom patient."""
    truth = json.loads((folder / "truth" / "truth.json").read_text(encoding="utf-8"))
    images = read_study(folder / "dicom")
    return Phantom(images, {s["id"]: s for s in truth["series"]}, display_settings(load_criteria()))
