"""The outline of the trunk and of its cavities, as sections along the body."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from osteotrace.phantom.body.pelvis import hip_centre, pelvic_axes
from osteotrace.phantom.body.shapes import Coordinates, Shape
from osteotrace.phantom.body.spine_curve import Spine, Vertebra
from osteotrace.phantom.body.thorax import Chest, Rib
from osteotrace.phantom.field import Float32Array
from osteotrace.phantom.records import Person
from osteotrace.space import FloatArray

_SECTION_MM = 8.0
_USUAL_BMI = 23.0


@dataclass(frozen=True, slots=True)
class Sections:
    """Outlines, each between an ellipse and a rectangle, at rising heights; body frame, mm.

    Attributes
    ----------
    z, middle, half_width, front, back : ndarray, shape (n,)
    """

    z: FloatArray
    middle: FloatArray
    half_width: FloatArray
    front: FloatArray
    back: FloatArray
    squareness: float = 0.4

    def at(self, z: float) -> tuple[float, float, float, float]:
        """Middle, half width, front and back at a height."""
        knots = (self.middle, self.half_width, self.front, self.back)
        a, b, c, d = (float(np.interp(z, self.z, k)) for k in knots)
        return a, b, c, d

    def inset(
        self, side: FloatArray | float, front: FloatArray | float, back: FloatArray | float
    ) -> Sections:
        """The sections made smaller, mm."""
        return Sections(
            self.z,
            self.middle,
            np.maximum(self.half_width - side, 4.0),
            np.minimum(self.front + front, self.back - back - 8.0),
            self.back - back,
            self.squareness,
        )

    def shape(self, low: float | None = None, high: float | None = None) -> Shape:
        """The column between two heights."""
        bottom = float(self.z[0]) if low is None else low
        top = float(self.z[-1]) if high is None else high
        widest = float(np.abs(self.middle).max() + self.half_width.max())

        def of(at: Coordinates) -> Float32Array:
            x, y, z = at
            line = np.ravel(z[0, 0, :]).astype(float)
            middle, half, front, back = (
                np.interp(line, self.z, k).astype(np.float32)[None, None, :]
                for k in (self.middle, self.half_width, self.front, self.back)
            )
            depth = (back - front) / 2
            u2, v2 = ((x - middle) / half) ** 2, ((y - (front + back) / 2) / depth) ** 2
            k0 = (1 - self.squareness) * np.sqrt(u2 + v2) + self.squareness * (
                u2 * u2 + v2 * v2
            ) ** np.float32(0.25)
            side = (k0 - 1) * np.minimum(half, depth)
            return np.asarray(np.maximum(np.maximum(side, z - top), bottom - z), dtype=np.float32)

        return Shape((-widest, float(self.front.min()), bottom), (widest, float(self.back.max()), top), of)


def obesity(person: Person) -> float:
    """Body mass index above the usual, kg/m2."""
    return person.weight_kg / person.size_m**2 - _USUAL_BMI


def fat_mm(person: Person, site: str) -> float:
    """Thickness of the subcutaneous fat, mm."""
    lean, gain, female = {
        "chest": (7.0, 0.9, 3.0),
        "belly": (15.0, 1.9, 5.0),
        "back": (9.0, 1.0, 2.0),
        "hip": (19.0, 1.4, 8.0),
        "neck": (5.0, 0.4, 1.0),
        "limb": (6.0, 0.7, 5.0),
    }[site]
    return max(lean + gain * obesity(person) + (female if person.sex == "F" else 0.0), 3.0)


def rib_cage(spine: Spine, chest: Chest, ribs: list[Rib]) -> Sections:
    """The outline of the centre lines of ribs and sternum."""
    line = np.vstack([rib.tube.line for rib in ribs])
    z = np.arange(float(spine.of("L2").centre[2]), float(spine.of("T1").centre[2]) + 12.0, _SECTION_MM)
    rows = []
    for height in z:
        near = line[np.abs(line[:, 2] - height) < 16.0]
        if not len(near):
            near = line[np.argsort(np.abs(line[:, 2] - height))[:40]]
        left, right = near[:, 0].max(), near[:, 0].min()
        rows.append(((left + right) / 2, (left - right) / 2, chest.sternum_at(height)[1], near[:, 1].max()))
    middle, half, front, back = np.array(rows).T
    half = np.minimum(
        half, np.interp(z, [spine.of("T3").centre[2], spine.of("T1").centre[2] + 12], [400, 38])
    )
    smooth = [ndimage.gaussian_filter1d(v, 2.0, mode="nearest") for v in (middle, half, front, back)]
    return Sections(z, *smooth)


Row = tuple[float, float, float, float, float]
"""Height, middle, half width, front and back of a section, mm."""


def trunk(spine: Spine, chest: Chest, cage: Sections, ribs: list[Rib], person: Person) -> Sections:
    """The skin from the groin to the neck, without arms."""
    fat = {site: fat_mm(person, site) for site in ("chest", "belly", "back", "hip", "neck")}
    rows = [
        *_pelvic_rows(spine, person, fat),
        *_belly_rows(spine, person, fat),
        *_chest_rows(spine, chest, cage, fat),
        *_neck_rows(spine, fat),
    ]
    z, middle, half, front, back = np.array(sorted(rows)).T
    fine = np.arange(z[0], z[-1], _SECTION_MM)
    curves = (np.interp(fine, z, v) for v in (middle, half, front, back))
    middle, half, front, back = (ndimage.gaussian_filter1d(v, 2.5, mode="nearest") for v in curves)
    tips = np.array([_spinous_tip(v) for v in spine.vertebrae[:5:-1]])
    over = np.interp(fine, tips[:, 2], tips[:, 1], left=-1e3, right=-1e3) + 5.0 + 0.6 * fat["neck"]
    back = ndimage.gaussian_filter1d(np.maximum(back, over), 0.8, mode="nearest")
    line = np.vstack([rib.tube.line for rib in ribs])
    return _around(Sections(fine, middle, half, front, back), line, fat["chest"] + 9.0)


def _around(skin: Sections, points: FloatArray, margin: float) -> Sections:
    """Widen sections until points lie deeper than a margin inside."""
    depth, centre = (skin.back - skin.front) / 2, (skin.back + skin.front) / 2
    wider = np.ones(len(skin.z))
    for row, z in enumerate(skin.z):
        near = points[np.abs(points[:, 2] - z) < 1.5 * _SECTION_MM]
        if len(near):
            u2 = ((near[:, 0] - skin.middle[row]) / (skin.half_width[row] - margin)) ** 2
            v2 = ((near[:, 1] - centre[row]) / (depth[row] - margin)) ** 2
            k0 = (1 - skin.squareness) * np.sqrt(u2 + v2) + skin.squareness * (u2 * u2 + v2 * v2) ** 0.25
            wider[row] = max(float(k0.max()), 1.0)
    wider = ndimage.gaussian_filter1d(ndimage.maximum_filter1d(wider, 3), 1.0, mode="nearest")
    front, back = centre - depth * wider, centre + depth * wider
    return Sections(skin.z, skin.middle, skin.half_width * wider, front, back, skin.squareness)


def _belly_mm(spine: Spine, person: Person) -> float:
    """From the vertebral bodies to the skin in front."""
    return 96 * spine.scale + 2.2 * max(obesity(person), -4.0)


def _behind(vertebra: Vertebra) -> float:
    """How far back the tip of the spinous process lies, y in mm."""
    return float(_spinous_tip(vertebra)[1])


def _spinous_tip(vertebra: Vertebra) -> FloatArray:
    """Tip of the spinous process, body frame, mm."""
    size = vertebra.sizes
    slope = np.radians(size["spinous_slope"])
    root = size["depth"] / 2 + size["canal_depth"] + 2.5
    tip = (0.0, root + size["spinous_length"] * np.cos(slope), -size["spinous_length"] * np.sin(slope))
    return vertebra.place(tip)


def _pelvic_rows(spine: Spine, person: Person, fat: dict[str, float]) -> list[Row]:
    k, hip, turn = spine.scale, hip_centre(spine), pelvic_axes(spine)
    female = 1.05 if person.sex == "F" else 1.0
    pubis = float((turn @ (k * np.array([0.0, -72.0, -124.0])))[1])
    spike = turn @ (k * np.array([119.0, -66.0, -26.0]))
    wide = (float(hip[0]) + 62 * k) * female + fat["hip"]
    y, z = float(hip[1]), float(hip[2])
    front = min(
        float(spine.vertebrae[-1].centre[1]) - _belly_mm(spine, person), float(spike[1]) - 20 - fat["belly"]
    )
    return [
        (z - 68 * k, 0.0, wide * 0.5, pubis + 15, y + 55 * k),
        (z - 45 * k, 0.0, wide - 4, pubis - 20, y + 98 * k + fat["back"]),
        (z - 20 * k, 0.0, wide, pubis - 14 - fat["belly"] * 0.6, y + 108 * k + fat["hip"] * 0.5),
        (float(spike[2]), 0.0, 148 * k * female + fat["hip"], front, 88 * k + fat["back"]),
    ]


def _belly_rows(spine: Spine, person: Person, fat: dict[str, float]) -> list[Row]:
    k = spine.scale
    side = 120 * k + fat["belly"] + 8 + 1.2 * max(obesity(person), 0.0)
    rows = []
    for level, ahead in (("L4", 14.0), ("L2", 14.0), ("T12", 8.0)):
        v = spine.of(level)
        front = float(v.centre[1]) - _belly_mm(spine, person) - ahead * k
        rows.append((float(v.centre[2]), float(v.centre[0]) * 0.6, side, front, _behind(v) + 7 + fat["back"]))
    return rows


def _chest_rows(spine: Spine, chest: Chest, cage: Sections, fat: dict[str, float]) -> list[Row]:
    k = spine.scale
    rows = []
    for level in ("T10", "T8", "T6", "T4"):
        v = spine.of(level)
        middle, half, front, back = cage.at(float(v.centre[2]))
        back = max(back + 26 * k, _behind(v) + 7) + fat["back"]
        rows.append(
            (float(v.centre[2]), middle, half + 16 * k + fat["chest"], front - 16 - fat["chest"], back)
        )
    return rows


def _neck_rows(spine: Spine, fat: dict[str, float]) -> list[Row]:
    k = spine.scale
    rows = []
    for level, half, ahead in (
        ("T2", 112, 60),
        ("T1", 82, 58),
        ("C7", 64, 62),
        ("C5", 56, 60),
        ("C3", 55, 56),
    ):
        v = spine.of(level)
        y = float(v.centre[1])
        back = max(y + 56 * k, _behind(v) + 9) + fat["neck"]
        rows.append(
            (
                float(v.centre[2]),
                float(v.centre[0]),
                half * k + fat["neck"],
                y - ahead * k - fat["neck"],
                back,
            )
        )
    x, y, z = (float(value) for value in spine.of("C1").centre)
    return [*rows, (z + 30, x, 50 * k, y - 45 * k, y + 62 * k)]
