"""Pictures of the re-enacted index case: one plate as in the report, and one figure per exam.

``python docs/gallery.py --patient DIR -o docs/gallery`` reads what ``osteotrace phantom --case index -o DIR``
wrote: the images through intake, the truth only to know where to cut and where to point. Nothing is measured
here but the PET maximum that the plate names.
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
from osteotrace.outputs.figures.planes import VIEWS, View
from osteotrace.outputs.figures.settings import DisplaySettings, display_settings
from osteotrace.outputs.figures.window import Window, windows_of
from osteotrace.space import FloatArray

Truth = dict[str, Any]
Style = dict[str, Any]
Pixels = NDArray[np.float32]
Size = tuple[float, float]  # width and height, mm

_PLATE = (1600, 1_000_000)  # width in pixels, bytes
_EXAM = (1200, 330_000)
_TALL = (1000, 330_000)  # mr68 has three rows
_GREYS = (96, 64, 48, 40, 32, 24)  # levels that are tried until the file is small enough
_COLOURS, _COLOURED = 48, 20  # palette entries; difference of channels that is not grey
_MARGIN, _GAP, _HEAD = 0.08, 0.07, 0.56  # inch; the head of a panel holds three lines
_BAR_MM = 50.0
_SIDE_SHARE = 0.35  # of a direction that earns a second orientation letter
_LUNG = Window(-1350.0, 150.0, False, "lung", "W 1500 L -600 HU")
_SUV_TOP = 3.5  # g/mL; the focus in T11 is faint
_MR_TOP = 98.0  # percentile that is white
_CSF = 0.65  # of it where CSF outshines the rest
_MARK, _MARK_ON_WHITE = "#ffe14a", "#c62f00"
_AXIAL, _CORONAL, _SAGITTAL = VIEWS
_MASS, _PIN, _ILIUM, _T11 = "M01", "P01", "B17", "B01"
_SPINE = [f"vertebrae_{c}{n}" for c, count in (("C", 7), ("T", 12), ("L", 5)) for n in range(1, count + 1)]
_BOTH = (Projection.ANTERIOR, Projection.POSTERIOR)
_HOT_BONE = 2.0  # bone tracer relative to normal bone


# --- planes -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """Where a picture is taken: points of shape (rows, columns, 3), LPS mm, in the frame of the series.

    ``right`` and ``down`` are unit vectors along the columns and rows before bending.
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


def flat_plane(center: FloatArray, view: View, size: Size, step_mm: float, words: str) -> Plane:
    """A plane of one orientation around a point, LPS mm."""
    right, down = np.array(view.right, dtype=np.float64), np.array(view.down, dtype=np.float64)
    across, along = (_offsets(length, step_mm) for length in size)
    points = center + across[None, :, None] * right + along[:, None, None] * down
    return Plane(points, right, down, step_mm, words)


def _offsets(length_mm: float, step_mm: float) -> FloatArray:
    count = max(round(length_mm / step_mm), 1)
    return np.asarray((np.arange(count) - (count - 1) / 2) * step_mm, dtype=np.float64)


def bent(plane: Plane, line: FloatArray, axis: int, aside_mm: float = 0.0) -> Plane:
    """The plane with one coordinate taken from the spine at the same height.

    Parameters
    ----------
    line : ndarray, shape (n, 4)
        As of :func:`spine_line`; beyond its ends the nearest vertebra counts.
    axis : int
        0 follows the spine to the left and right and turns with it, 1 follows it to the front and back.
    aside_mm : float
        Parallel to the spine at this distance.
    """
    points = plane.points.copy()
    x, y, turn = (np.interp(points[..., 2], line[:, 2], line[:, n]) for n in (0, 1, 3))
    points[..., axis] = (x + turn * (points[..., 1] - y) if axis == 0 else y) + aside_mm
    return replace(plane, points=points)


def spine_line(truth: Truth) -> FloatArray:
    """Vertebrae in the frame of one series from below, shape (n, 4).

    Centroid, LPS mm, and how far to the left one goes per mm to the back: the turn of the patient.
    """
    bones = [truth["bones"][name] for name in _SPINE if name in truth["bones"]]
    back = np.array([bone["motion"] for bone in bones])[:, :2, 1]
    line = np.column_stack([[bone["centroid"] for bone in bones], back[:, 0] / back[:, 1]])
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


def projected(volume: Volume, plane: Plane, depths_mm: Iterable[float]) -> Pixels:
    """Maximum over parallel planes; a depth lies along right × down."""
    normal = np.cross(plane.right, plane.down)
    picture = np.full(plane.points.shape[:2], np.nan, dtype=np.float32)
    for depth in depths_mm:
        picture = np.fmax(picture, cut(volume, plane.points + depth * normal))
    return picture


# --- panels -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mark:
    """An arrow (with a tail) or an arrowhead; pixels of its tip, and 1 where it points right, -1 left."""

    column: float
    row: float
    way: int
    tail: bool


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """One picture of a figure: values with a window, or red, green, blue from 0 to 1 without one.

    ``letters`` stand at the left, right, upper and lower edge, ``lines`` above the picture, ``words`` in the
    middle of a panel without a picture.
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
        return float(columns / rows)


def blank(title: str, words: str, aspect: float) -> Panel:
    """A panel for what the phantom has not."""
    return Panel(np.full((100, round(100 * aspect), 3), 0.92), 1.0, None, (), (title,), words=words)


def lettered(panels: Sequence[Panel], letters: str) -> list[Panel]:
    """The panels with the letters of the plate."""
    titled = zip(panels, letters, strict=True)
    return [replace(p, lines=(f"{x}  {p.lines[0]}", *p.lines[1:])) for p, x in titled]


def mr_window(picture: Pixels, settings: DisplaySettings, share: float = 1.0) -> Window:
    """From the lowest signal of the body to a share of the highest, as width and level."""
    limits = replace(settings, percentiles=(settings.percentiles[0], _MR_TOP))
    window = windows_of(Quantity.MR_SIGNAL, [picture], limits)[0]
    high = max(window.high * share, window.low + 1.0)
    label = f"W {high - window.low:.0f} L {(high + window.low) / 2:.0f}"
    return replace(window, high=high, label=label)


def fused(ct: Pixels, pet: Pixels, window: Window, suv_max: float) -> NDArray[np.float64]:
    """CT in grey under PET in colour, the more opaque the higher the uptake."""
    grey = np.clip((np.nan_to_num(ct, nan=-1000.0) - window.low) / (window.high - window.low), 0, 1)
    share = np.clip(np.nan_to_num(pet) / suv_max, 0, 1)
    opaque = (0.8 * share)[..., None]
    mixed = grey[..., None] * (1 - opaque) + colormaps["hot"](share)[..., :3] * opaque
    return np.asarray(np.clip(mixed, 0, 1), dtype=np.float64)


# --- the patient ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One series with its share of the truth."""

    truth: Truth
    settings: DisplaySettings
    volume: Volume

    def bone(self, name: str) -> FloatArray:
        """Centroid of a bone, LPS mm."""
        return np.array(self.truth["bones"][name]["centroid"])

    def lesion(self, name: str) -> FloatArray:
        """Centroid of a lesion that is there on the day, LPS mm."""
        return next(np.array(x["centroid"]) for x in self.truth["lesions"] if x["id"] == name)

    def window(self, picture: Pixels) -> Window:
        """That of the quantity."""
        series = self.volume.series
        if series.quantity is Quantity.MR_SIGNAL:
            return mr_window(picture, self.settings, _CSF if series.name == "T2 FS" else 1.0)
        return windows_of(series.quantity, [picture], replace(self.settings, suv_max=_SUV_TOP))[0]

    def panel(
        self,
        plane: Plane,
        window: Window | None = None,
        marks: tuple[Mark, ...] = (),
        picture: Pixels | None = None,
    ) -> Panel:
        """The series on a plane, or a picture made on it."""
        picture = cut(self.volume, plane.points) if picture is None else picture
        window = window or self.window(picture)
        title = f"{self.volume.series.description} · day {self.truth['day']}"
        letters = edge_letters(plane.right, plane.down)
        return Panel(picture, plane.step_mm, window, letters, (title, plane.words, window.label), marks)

    def sagittal(self, size: Size, aside_mm: float = 0.0, height: float | None = None) -> Plane:
        """Sagittal plane that follows the spine from side to side, around the middle of the image."""
        line, middle = spine_line(self.truth), self.volume.grid.center.copy()
        middle[2] = middle[2] if height is None else height
        middle[1] = line[np.abs(line[:, 2] - middle[2]) < size[1] / 2, 1].mean()
        side = (
            f", {abs(aside_mm):.0f} mm {'left' if aside_mm > 0 else 'right'}" if aside_mm else " along spine"
        )
        return bent(flat_plane(middle, _SAGITTAL, size, 0.6, f"sagittal{side}"), line, 0, aside_mm)

    def coronal(self, size: Size, before_mm: float = 0.0, step_mm: float = 0.8) -> Plane:
        """Coronal plane that follows the spine from front to back."""
        words = f"coronal, {before_mm:.0f} mm before spine" if before_mm else "coronal along spine"
        flat = flat_plane(self.volume.grid.center, _CORONAL, size, step_mm, words)
        return bent(flat, spine_line(self.truth), 1, -before_mm)

    def marks(self, plane: Plane, near_mm: float, *only: str) -> tuple[Mark, ...]:
        """Arrowheads at bone lesions from the left of the picture, arrows at the cord mass from the right."""
        found: list[Mark] = []
        for lesion in (x for x in self.truth["lesions"] if x["present"] and (not only or x["id"] in only)):
            column, row, distance = plane.pixel(np.array(lesion["centroid"]))
            half = lesion["longest_mm"] / 2 / plane.step_mm
            if distance > near_mm or not 2 < row < len(plane.points) - 3:
                continue
            if lesion["id"] == _MASS:
                side, beside = column + 8.0 / plane.step_mm, (0.0,) if plane.down[1] else (-0.6, 0.6)
                found += [Mark(side, row + s * half, -1, True) for s in beside]
            elif lesion["id"].startswith("B"):
                found.append(Mark(column - half - 2.0 / plane.step_mm, row, 1, False))
        return tuple(found)


@dataclass(frozen=True, slots=True, eq=False)
class Phantom:
    """The patient's images, and the truth to point with, by series id (``mr0-t1``)."""

    images: PatientImages
    series: dict[str, Truth]
    settings: DisplaySettings

    def __getitem__(self, name: str) -> Shown:
        """The volume of a series."""
        uid = self.series[name]["series_instance_uid"]
        volume = next(v for v in self.images.volumes if v.series.series_instance_uid == uid)
        return Shown(self.series[name], self.settings, volume)

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


# --- what is shown ----------------------------------------------------------------------------------


def mr_row(phantom: Phantom, names: Sequence[str], size: Size, aside_mm: float = 0.0) -> list[Panel]:
    """Series of one MR station on the sagittal plane of the spine."""
    shown = [phantom[name] for name in names]
    planes = [s.sagittal(size, aside_mm) for s in shown]
    return [s.panel(p, None, s.marks(p, 9.0)) for s, p in zip(shown, planes, strict=True)]


def mr_figure(phantom: Phantom, *stations: tuple[str, ...]) -> list[list[Panel]]:
    """Sagittal planes of all series, then parasagittal, coronal and axial planes of the last T1."""
    size = (200.0, 315.0)
    shown = phantom[stations[-1][1]]
    mass = shown.lesion(_MASS) + np.array([0.0, 5.0, 0.0])
    planes = [
        *(shown.sagittal(size, side) for side in (-16.0, 16.0)),
        shown.coronal((74.0, 315.0)),
        flat_plane(mass, _AXIAL, (74.0, 120.0), 0.5, "axial at the cord mass"),
    ]
    return [
        *(mr_row(phantom, names, size) for names in stations),
        [shown.panel(p, None, shown.marks(p, 7.0)) for p in planes],
    ]


def axial_at(shown: Shown, point: FloatArray, words: str, size: Size = (390.0, 260.0)) -> Plane:
    """Axial plane of the trunk at the height of a point, its middle before the spine."""
    line = spine_line(shown.truth)
    x, y = (np.interp(point[2], line[:, 2], line[:, n]) for n in (0, 1))
    return flat_plane(np.array([x, y - 30.0, point[2]]), _AXIAL, size, 0.8, f"axial at {words}")


def ct_figure(phantom: Phantom) -> list[list[Panel]]:
    """Trunk CT in bone, soft tissue and lung windows."""
    ct = phantom["ct69"]
    bone, soft = phantom.ct_window("bone"), phantom.ct_window("soft tissue")
    front = ct.coronal((390.0, 660.0), 45.0)
    planes = [*(ct.sagittal((230.0, 660.0), side) for side in (0.0, 18.0)), ct.coronal((390.0, 660.0))]
    axial = [
        (axial_at(ct, ct.bone("vertebrae_T6"), "T6"), _LUNG),
        (axial_at(ct, ct.bone("vertebrae_L1"), "L1"), soft),
        (axial_at(ct, ct.lesion(_T11), "T11"), bone),
        (axial_at(ct, ct.lesion(_ILIUM), "right iliac lesion"), bone),
    ]
    return [
        [
            *(ct.panel(p, bone, tuple(m for m in ct.marks(p, 9.0) if not m.tail)) for p in planes),
            ct.panel(front, soft),
            ct.panel(front, _LUNG),
        ],
        [ct.panel(p, w, ct.marks(p, 6.0) if w is bone else ()) for p, w in axial],
    ]


def lesion_places(truth: Truth, posterior: PlanarImage) -> FloatArray:
    """Pixels left of the midline and row of lesions that take up tracer, shape (n, 2).

    The truth has no geometry of the planar image. Its columns are centred on L1; the rows are shifted to
    where the most counts of the posterior view lie under the lesions.
    """
    step = (posterior.pixel_mm or (1.0, 1.0))[0]
    found = [x for x in truth["lesions"] if x["id"].startswith("B") and x["present"]]
    hot = np.array([x["centroid"] for x in found if x["material"]["bone_tracer"] >= _HOT_BONE])
    away = (hot - truth["bones"]["vertebrae_L1"]["centroid"]) / step
    columns, rows = posterior.counts.shape
    index = np.round((columns - 1) / 2 - away[:, 0]).astype(int)
    shifts = range(rows // 4, rows * 3 // 4)
    best = max(shifts, key=lambda s: int(posterior.counts[index, np.round(s - away[:, 2]).astype(int)].sum()))
    return np.column_stack([away[:, 0], best - away[:, 2]])


def nm_panels(phantom: Phantom) -> list[Panel]:
    """Both views of the bone scan, cropped to the patient, with arrows at lesions."""
    images = {view: phantom.planar(view) for view in _BOTH}
    places = lesion_places(phantom.series["nm70"], images[Projection.POSTERIOR])
    counts = np.stack([image.counts for image in images.values()])
    across, along = (np.flatnonzero(counts.mean(axis=(0, a)) > 0.25) for a in (2, 1))
    first, last = (across[0], along[0]), (across[-1] + 1, along[-1] + 1)
    step = (images[Projection.POSTERIOR].pixel_mm or (1.0, 1.0))[0]
    high = float(np.percentile(counts[counts > 0], 99.5))
    panels = []
    for view, image in images.items():
        sign, letters = (1, ("R", "L", "H", "F")) if view is _BOTH[0] else (-1, ("L", "R", "H", "F"))
        window = Window(0.0, high, True, "", f"0–{high:.0f} counts")
        picture = image.counts[first[0] : last[0], first[1] : last[1]].T.astype(np.float32)
        middle = (image.counts.shape[0] - 1) / 2 - first[0]
        ways = [(sign * x, 1 if sign * x < 0 else -1, row - first[1]) for x, row in places]
        marks = tuple(Mark(middle + x - way * 12.0 / step, row, way, True) for x, way, row in ways)
        lines = ("bone scan · day 70", f"{view}", window.label)
        panels.append(Panel(picture, step, window, letters, lines, marks))
    return panels


def nm_figure(phantom: Phantom) -> list[list[Panel]]:
    """The whole patient with arrows, the trunk without."""
    whole = nm_panels(phantom)
    trunk = [replace(p, picture=p.picture[: int(0.55 * len(p.picture))], marks=()) for p in whole]
    return [[*whole, *trunk]]


def pet_panels(phantom: Phantom) -> dict[str, Panel]:
    """Projections and sections of the PET, alone and over its CT."""
    pet, ct, soft = phantom["pet71-pet"], phantom["pet71-ct"], phantom.ct_window("soft tissue")
    center, depths = pet.volume.grid.center, np.arange(-220.0, 221.0, 4.0)
    axial = axial_at(pet, pet.lesion(_T11), "T11", (340.0, 255.0))
    sagittal, coronal = pet.sagittal((230.0, 430.0)), pet.coronal((390.0, 660.0), 0.0, 2.0)
    found = {
        "ct": ct.panel(axial, soft),
        "pet": pet.panel(axial, None, pet.marks(axial, 9.0, _T11)),
        "coronal": pet.panel(coronal, None, pet.marks(coronal, 9.0, _T11)),
    }
    for name, view, width in (("front", _CORONAL, 480.0), ("side", _SAGITTAL, 300.0)):
        plane = flat_plane(center, view, (width, 860.0), 2.0, f"MIP from the {name}")
        marks = pet.marks(plane, np.inf, _T11)
        found[name] = pet.panel(plane, None, marks, projected(pet.volume, plane, depths))
    for name, plane in (("fusion", axial), ("fusion sagittal", sagittal)):
        colours = fused(cut(ct.volume, plane.points), cut(pet.volume, plane.points), soft, _SUV_TOP)
        lines = ("PET-CT · day 71", plane.words, f"{soft.label}; SUVbw 0–{_SUV_TOP:g}")
        letters = edge_letters(plane.right, plane.down)
        found[name] = Panel(colours, plane.step_mm, None, letters, lines, pet.marks(plane, 9.0, _T11))
    return found


def pet_figure(phantom: Phantom) -> list[list[Panel]]:
    """Projections, sections and fusion."""
    found = pet_panels(phantom)
    rows = (("front", "side", "coronal", "fusion sagittal"), ("ct", "pet", "fusion"))
    return [[found[name] for name in row] for row in rows]


def highest_near(volume: Volume, point: FloatArray, reach_mm: float = 12.0) -> float:
    """Highest value in a cube around a point."""
    low, high = (volume.grid.indices(point) + s * reach_mm / volume.grid.spacing for s in (-1, 1))
    box = tuple(slice(max(round(a), 0), round(b) + 1) for a, b in zip(low, high, strict=True))
    return float(volume.values[box].max())


def pin_panels(phantom: Phantom) -> list[Panel]:
    """Planes through the tip of the pin, which is the middle of the lesion, and the one that holds it."""
    ct, bone = phantom["pin90"], phantom.ct_window("bone")
    tip = ct.lesion(_ILIUM)
    away = ct.lesion(_PIN) - tip
    across = away[:2] / np.hypot(*away[:2])
    upright = View("vertical", (float(across[0]), float(across[1]), 0.0), (0.0, 0.0, -1.0), ("", "", "", ""))
    middle = np.array([ct.volume.grid.center[0], tip[1] - 10.0, tip[2]])
    side = (130.0, 130.0)
    planes = [
        flat_plane(middle, _AXIAL, (350.0, 230.0), 0.7, "axial at the tip"),
        flat_plane(tip + away * (0.6, 0.6, -0.2), upright, side, 0.5, "vertical plane of the pin"),
        flat_plane(tip, _CORONAL, side, 0.5, "coronal at the tip"),
        flat_plane(tip, _SAGITTAL, side, 0.5, "sagittal at the tip"),
    ]
    tips = [(plane, plane.pixel(tip)) for plane in planes]
    return [ct.panel(p, bone, (Mark(c - 8.0 / p.step_mm, r, 1, True),)) for p, (c, r, _) in tips]


def plate(phantom: Phantom) -> list[list[Panel]]:
    """Panels A to L in the order of the report."""
    size, bone = (190.0, 300.0), phantom.ct_window("bone")
    first = mr_row(phantom, ("mr0-t2fs", "mr0-t1", "mr0-t1fsce"), size)
    later = mr_row(phantom, ("mr68-t2-lower", "mr68-t1-lower", "mr68-t1ce-lower"), size)
    ct, pet, pin = phantom["ct69"], pet_panels(phantom), pin_panels(phantom)
    spine = ct.sagittal(size, height=float(ct.bone("vertebrae_L2")[2]))
    reformat = ct.panel(spine, bone, tuple(m for m in ct.marks(spine, 9.0) if not m.tail))
    shown = phantom["pet71-pet"]
    highest = highest_near(shown.volume, shown.lesion(_T11))
    fusion = replace(pet["fusion"], lines=(f"fusion, SUVmax {highest:.2f} in T11", *pet["fusion"].lines[1:]))
    no_slide = "no slide\nin the phantom"
    return [
        [*lettered(first, "ABC"), blank("D  histology, cord mass", no_slide, 0.63)],
        lettered([*later, reformat], "EFGH"),
        lettered([*nm_panels(phantom), pet["front"], fusion], "IIJJ"),
        [*lettered(pin[:2], "KK"), blank("L  histology, iliac bone", no_slide, 0.6)],
    ]


# --- drawing ----------------------------------------------------------------------------------------


def draw(rows: Sequence[Sequence[Panel]], width_px: int) -> Figure:
    """Rows of panels, each row as wide as the figure."""
    width = width_px / DPI
    free = [width - 2 * _MARGIN - _GAP * (len(row) - 1) for row in rows]
    heights = [f / sum(panel.aspect for panel in row) for f, row in zip(free, rows, strict=True)]
    total = sum(heights) + len(rows) * (_HEAD + _GAP)
    figure = Figure(figsize=(width, total), dpi=DPI, facecolor="white")
    top = total
    for row, height in zip(rows, heights, strict=True):
        left = _MARGIN
        for panel in row:
            for text, below in zip(panel.lines, (0.12, 0.29, 0.45), strict=False):
                style: Style = {"weight": "bold"} if below < 0.2 else {"color": PALE}
                size = min(
                    8.5 if below < 0.2 else 7.5, 72 * panel.aspect * height / (0.62 * max(len(text), 1))
                )
                label(figure, left / width, (top - below) / total, text, va="center", size=size, **style)
            box = (left, top - _HEAD - height, panel.aspect * height, height)
            share = (box[0] / width, box[1] / total, box[2] / width, box[3] / total)
            _draw_panel(empty_axes(figure, share), panel)
            left += box[2] + _GAP
        top -= _HEAD + height + _GAP
    return figure


def _draw_panel(axes: Axes, panel: Panel) -> None:
    window, (rows, columns) = panel.window, panel.picture.shape[:2]
    inverse = window is not None and window.inverse
    limits: Style = {} if window is None else {"vmin": window.low, "vmax": window.high}
    axes.imshow(panel.picture, cmap=grey_map(inverse=inverse), aspect="auto", **limits)
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    if panel.words:
        axes.text(columns / 2, rows / 2, panel.words, ha="center", va="center", color=PALE, fontsize=9)
        return
    ink, edge_ink = (INK, "white") if inverse else ("white", "black")
    edge = [patheffects.withStroke(linewidth=1.6, foreground=edge_ink)]
    right, bar = 0.97, _BAR_MM / panel.step_mm / columns
    low = 0.5 if right - bar > 0.55 else (right - bar) / 2  # beside a long bar
    places = [(0.015, 0.5, "left", "center"), (0.985, 0.5, "right", "center")]
    places += [(0.5, 0.985, "center", "top"), (low, 0.015, "center", "bottom")]
    style: Style = {"color": ink, "path_effects": edge, "transform": axes.transAxes}
    for letter, (x, y, ha, va) in zip(panel.letters, places, strict=True):
        axes.text(x, y, letter, fontsize=8.5, ha=ha, va=va, **style)
    axes.plot([right - bar, right], [0.025, 0.025], lw=2.0, solid_capstyle="butt", **style)
    words: Style = {"xycoords": "axes fraction", "textcoords": "offset points", "path_effects": edge}
    axes.annotate("5 cm", (right - bar / 2, 0.025), (0, 3), ha="center", color=ink, fontsize=7, **words)
    for mark in panel.marks:
        _draw_mark(axes, mark, _MARK_ON_WHITE if inverse else _MARK)


def _draw_mark(axes: Axes, mark: Mark, colour: str) -> None:
    if not mark.tail:
        style: Style = {"ms": 6.5, "mec": "black", "mew": 0.5, "color": colour}
        axes.plot(mark.column, mark.row, marker=(3, 0, -90.0 * mark.way), **style)
        return
    arrow = {"arrowstyle": "-|>", "color": colour, "lw": 1.3, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 9}
    tail = (-14.0 * mark.way, 0.0)
    axes.annotate("", (mark.column, mark.row), tail, textcoords="offset points", arrowprops=arrow)


def small_png(content: bytes, limit: int) -> bytes:
    """The picture with as many grey levels as fit into ``limit`` bytes, or with the fewest."""
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    coloured = np.ptp(pixels, axis=-1) > _COLOURED
    few = Image.fromarray(pixels[coloured][None]).quantize(_COLOURS) if coloured.any() else None
    for levels in _GREYS:
        greys = np.linspace(0, 255, levels).round().astype(np.uint8)
        index = (pixels.mean(axis=-1) * (levels - 1) / 255).round().astype(np.uint8)
        palette = np.repeat(greys, 3).tolist()
        if few is not None:
            index[coloured] = levels + np.asarray(few)[0]
            palette += few.getpalette() or []
        image = Image.fromarray(index)
        image.putpalette(palette)
        stream = io.BytesIO()
        image.save(stream, "PNG", optimize=True)
        if stream.tell() <= limit:
            break
    return stream.getvalue()


FIGURES: dict[str, Callable[[Phantom], list[list[Panel]]]] = {
    "plate": plate,
    "mr0": lambda p: mr_figure(p, ("mr0-t2fs", "mr0-t1", "mr0-t1fsce")),
    "mr68": lambda p: mr_figure(
        p, *(tuple(f"mr68-{key}-{s}" for key in ("t2", "t1", "t1ce")) for s in ("upper", "lower"))
    ),
    "ct69": ct_figure,
    "nm70": nm_figure,
    "pet71": pet_figure,
    "pin90": lambda p: [pin_panels(p)[:2], pin_panels(p)[2:]],
}


def main() -> None:
    """Make the figures."""
    parser = ArgumentParser(description="Pictures of the re-enacted index case.")
    parser.add_argument("--patient", type=Path, required=True, help="folder that osteotrace phantom wrote")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the pictures")
    parser.add_argument("--only", nargs="*", choices=list(FIGURES), default=list(FIGURES))
    arguments = parser.parse_args()
    phantom = read_phantom(arguments.patient)
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name in arguments.only:
        width, limit = {"plate": _PLATE, "mr68": _TALL}.get(name, _EXAM)
        content = picture_of(draw(FIGURES[name](phantom), width), name, "", DPI).png
        (arguments.output / f"{name}.png").write_bytes(small_png(content, limit))


if __name__ == "__main__":
    main()
