"""The room for the viscera: cavities of chest and belly, and the diaphragm between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from osteotrace.phantom.body.axial import sacral_frames
from osteotrace.phantom.body.contour import Sections
from osteotrace.phantom.body.pelvis import hip_centre
from osteotrace.phantom.body.shapes import Canvas, Coordinates, Shape, Spot
from osteotrace.phantom.body.spine_curve import Spine
from osteotrace.phantom.body.thorax import Chest
from osteotrace.phantom.field import Field, Float32Array
from osteotrace.phantom.records import Person
from osteotrace.space import FloatArray

_COARSE_MM = 3.0
_DIAPHRAGM_MM = 3.5


@dataclass(frozen=True, slots=True)
class Cavities:
    """The room for the viscera: columns of chest and belly, the diaphragm between them."""

    spine: Spine
    chest: Chest
    thorax: Sections
    abdomen: Sections
    person: Person

    @property
    def k(self) -> float:
        """Scale of the chest."""
        return self.chest.scale

    def level(self, name: str) -> FloatArray:
        """Centre of a vertebral body, shape (3,)."""
        return np.asarray(self.spine.of(name).centre)

    def near(self, name: str) -> Spot:
        """Points around the centre of a vertebral body, in steps scaled to the chest."""
        return Spot(self.level(name), self.k)

    def before(self, name: str, left: float, ahead: float) -> FloatArray:
        """A point in front of a vertebral body, in steps scaled to the chest, shape (3,)."""
        back = -self.spine.of(name).sizes["depth"] / 2 - ahead * self.k
        return np.asarray(self.level(name) + np.array([left * self.k, back, 0.0]))

    def domes(self) -> list[tuple[FloatArray, tuple[float, float, float]]]:
        """Top of the right and the left dome, and how fast they fall."""
        z = float(self.level("T9")[2]) - 6.0
        found = []
        for side, rise in ((-1.0, 6.0), (1.0, -8.0)):
            middle, half, front, back = self.thorax.at(z)
            top = np.array([middle + side * half * 0.5, front * 0.52 + back * 0.48, z + rise * self.k])
            found.append((top, (half * 0.6, (back - front) * 0.62, 88.0 * self.k)))
        return found

    def above_diaphragm(self, at: Coordinates) -> Float32Array:
        """Negative above the diaphragm, mm."""
        x, y, z = at
        heights = [
            top[2] - drop * (((x - top[0]) / a) ** 2 + ((y - top[1]) / b) ** 2)
            for top, (a, b, drop) in self.domes()
        ]
        dome = np.maximum(heights[0], heights[1])
        steep = np.float32(1.6)
        return np.asarray((dome - z) / steep, dtype=np.float32)


def cavities_of(spine: Spine, chest: Chest, cage: Sections, muscle: Sections, person: Person) -> Cavities:
    """Columns inside of the ribs, and inside of the abdominal wall down to the pelvic floor."""
    k = chest.scale
    inner = cage.inset(7.5, 13.0, 8.0)
    wall = np.interp(inner.z, muscle.z, muscle.front) + 13.0
    thorax = Sections(inner.z, inner.middle, inner.half_width, np.maximum(inner.front, wall), inner.back, 0.3)
    z = np.arange(float(hip_centre(spine)[2]) - 36 * k, float(spine.of("T8").centre[2]), 8.0)
    rows = []
    for height in z:
        middle, half, front, back = (
            float(np.interp(height, muscle.z, v))
            for v in (muscle.middle, muscle.half_width, muscle.front, muscle.back)
        )
        line = spine_front(spine, float(height))
        deep = 30.0 if height > 0 else 10.0
        rows.append((middle, half - 16.0, front + 11.0, min(line + deep, back - 30.0)))
    middle, half, front, back = np.array(rows).T
    rib_half, rib_front, rib_back = (
        np.interp(z, inner.z, v) for v in (inner.half_width, inner.front, inner.back)
    )
    chest_part = z > float(spine.of("L1").centre[2])
    half = np.where(chest_part, np.minimum(half, rib_half - 1.0), half)
    front = np.where(z > float(spine.of("T11").centre[2]), np.maximum(front, rib_front), front)
    back = np.where(chest_part, np.minimum(np.maximum(back, rib_back - 6.0), rib_back), back)
    pelvic = np.interp(
        z, [z[0], z[0] + 20, -70 * k, -25 * k, 30.0], [16.0 * k, 38 * k, 54 * k, 86 * k, 400.0]
    )
    half = np.minimum(half, pelvic)
    front = np.maximum(front, np.interp(z, [z[0], -80 * k, 0.0], [-58 * k, -70 * k, -400.0]))
    return Cavities(
        spine, chest, thorax, Sections(z, middle, half, front, np.maximum(back, front + 30.0), 0.35), person
    )


def spine_front(spine: Spine, z: float) -> float:
    """Where the front of the vertebral bodies and of the sacrum lies at a height, y."""
    sacral = [place + axes @ np.array([0.0, -d / 2, -6.0]) for (place, axes), d in _sacral_fronts(spine)]
    lumbar = [v.place((0.0, -v.sizes["depth"] / 2, 0.0)) for v in spine.vertebrae]
    points = np.array(sorted([*sacral, *lumbar], key=lambda p: float(p[2])))
    return float(np.interp(z, points[:, 2], points[:, 1]))


def _sacral_fronts(spine: Spine) -> list[tuple[tuple[FloatArray, FloatArray], float]]:
    depths = (33.0, 24.0, 19.0, 15.0, 12.0, 9.0)
    return list(zip(sacral_frames(spine), (d * spine.scale for d in depths), strict=True))


def cavity_fields(room: Cavities) -> tuple[Field, Field]:
    """Thoracic and abdominal cavity."""
    top = float(room.level("T1")[2]) + 4.0
    column = room.thorax.shape(float(room.level("L1")[2]), top)
    canvas = Canvas(*column.box, _COARSE_MM).unite(column)
    low, high = column.box
    canvas.cut(Shape(low, high, lambda at: -room.above_diaphragm(at)), 4.0)
    belly = room.abdomen.shape()
    below = Canvas(*belly.box, _COARSE_MM).unite(belly)
    low, high = belly.box
    below.cut(Shape(low, high, lambda at: room.above_diaphragm(at) - _DIAPHRAGM_MM), 4.0)
    return canvas.field(), below.field()
