"""Cavities, lungs, heart, vessels and abdominal organs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from osteotrace.phantom.body.axial import sacral_frames
from osteotrace.phantom.body.contour import Sections
from osteotrace.phantom.body.pelvis import hip_centre, pelvic_axes
from osteotrace.phantom.body.shapes import (
    Bar,
    Canvas,
    Coordinates,
    Ellipsoid,
    Primitive,
    Shape,
    ball_bar,
    cropped,
    noise,
    normalised,
    sampled,
    triple,
)
from osteotrace.phantom.body.spine_curve import Spine
from osteotrace.phantom.body.thorax import Chest
from osteotrace.phantom.body.vertebra import outer_box
from osteotrace.phantom.field import Field, Float32Array
from osteotrace.phantom.records import Person
from osteotrace.space import FloatArray

_STEP_MM = 2.0
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
        return self.spine.of(name).centre

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
            top[2] - drop * (((x - top[0]) / a) ** 2 + ((y - top[1]) / b) ** 2) for top, (a, b, drop) in self.domes()
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
        middle, half, front, back = (float(np.interp(height, muscle.z, v)) for v in (muscle.middle, muscle.half_width, muscle.front, muscle.back))
        line = _spine_front(spine, float(height))
        deep = 30.0 if height > 0 else 10.0
        rows.append((middle, half - 16.0, front + 11.0, min(line + deep, back - 30.0)))
    middle, half, front, back = np.array(rows).T
    rib_half, rib_front, rib_back = (np.interp(z, inner.z, v) for v in (inner.half_width, inner.front, inner.back))
    chest_part = z > float(spine.of("L1").centre[2])
    half = np.where(chest_part, np.minimum(half, rib_half - 1.0), half)
    front = np.where(z > float(spine.of("T11").centre[2]), np.maximum(front, rib_front), front)
    back = np.where(chest_part, np.minimum(np.maximum(back, rib_back - 6.0), rib_back), back)
    pelvic = np.interp(z, [z[0], z[0] + 20, -70 * k, -25 * k, 30.0], [16.0 * k, 38 * k, 54 * k, 86 * k, 400.0])
    half = np.minimum(half, pelvic)
    front = np.maximum(front, np.interp(z, [z[0], -80 * k, 0.0], [-58 * k, -70 * k, -400.0]))
    return Cavities(spine, chest, thorax, Sections(z, middle, half, front, np.maximum(back, front + 30.0), 0.35), person)


def _spine_front(spine: Spine, z: float) -> float:
    """Where the front of the vertebral bodies and of the sacrum lies at a height, y."""
    sacral = [place + axes @ np.array([0.0, -d / 2, -6.0]) for (place, axes), d in _sacral_fronts(spine)]
    lumbar = [v.place((0.0, -v.sizes["depth"] / 2, 0.0)) for v in spine.vertebrae]
    points = np.array(sorted([*sacral, *lumbar], key=lambda p: float(p[2])))
    return float(np.interp(z, points[:, 2], points[:, 1]))


def _sacral_fronts(spine: Spine) -> list[tuple[tuple[FloatArray, FloatArray], float]]:
    depths = (33.0, 24.0, 19.0, 15.0, 12.0, 9.0)
    return list(zip(sacral_frames(spine), (d * spine.scale for d in depths), strict=True))


def _drawn(shapes: list[Primitive], step: float = _STEP_MM, blend: float = 6.0) -> Field:
    return Canvas(*outer_box(shapes), step).unite_all(shapes, blend).field()


def tube(points: FloatArray, radii: FloatArray | float, samples: int = 24) -> list[Primitive]:
    """A round tube through points, shape (n, 3)."""
    t = np.linspace(0, 1, len(points))
    fine = np.linspace(0, 1, samples)
    line = CubicSpline(t, points)(fine)
    r = np.interp(fine, t, np.broadcast_to(radii, len(points)))
    return [ball_bar(a, b, float(ra), float(rb)) for a, b, ra, rb in zip(line[:-1], line[1:], r[:-1], r[1:], strict=True)]


def cavity_fields(room: Cavities) -> tuple[Field, Field]:
    """Thoracic and abdominal cavity."""
    top = float(room.level("T1")[2]) + 4.0
    column = room.thorax.shape(float(room.level("L1")[2]), top)
    canvas = Canvas(*column.box, _COARSE_MM).unite(column)
    low, high = column.box
    canvas.cut(Shape(triple(low), triple(high), lambda at: -room.above_diaphragm(at)), 4.0)
    belly = room.abdomen.shape()
    below = Canvas(*belly.box, _COARSE_MM).unite(belly)
    low, high = belly.box
    below.cut(Shape(triple(low), triple(high), lambda at: room.above_diaphragm(at) - _DIAPHRAGM_MM), 4.0)
    return canvas.field(), below.field()


def mediastinum(room: Cavities) -> list[Primitive]:
    """What is not lung between the lungs."""
    k = room.k
    heart, radii, axes = heart_shape(room)
    points = []
    for name in ("T2", "T4", "T6", "T8", "T10", "T12"):
        middle = room.level(name)
        front = room.chest.sternum_at(float(middle[2]))[1]
        points.append((middle[0], middle[1], front, middle[2]))
    column: list[Primitive] = []
    for (x1, y1, f1, z1), (x2, y2, f2, z2) in zip(points[:-1], points[1:], strict=True):
        ahead = (x1 + 4, (y1 + f1) / 2, z1), (x2 + 4, (y2 + f2) / 2, z2)
        depth = ((y1 - f1) / 2 + 12, (y2 - f2) / 2 + 12)
        column.append(Bar(*ahead, (13 * k, depth[0]), (13 * k, depth[1]), (1, 0, 0)))
        column.append(Bar((x1, y1 + 4, z1), (x2, y2 + 4, z2), (24 * k, 22 * k), (25 * k, 24 * k), (1, 0, 0)))
    upper: list[Primitive] = [ball_bar(room.level("T2") + (0, -34 * k, 0), room.level("T5") + (6, -44 * k, 0), 22 * k, 27 * k)]
    grown = (radii[0] + 5, radii[1] + 5, radii[2] + 5)
    return [*column, *upper, Ellipsoid(triple(heart), grown, axes), *heart_shapes(room)[1:]]


def heart_shape(room: Cavities) -> tuple[FloatArray, tuple[float, float, float], FloatArray]:
    """Centre, radii and axes of the heart."""
    k = room.k
    z = float(room.level("T7")[2]) - 12.0 * k
    spine_front = _spine_front(room.spine, z)
    sternum = float(room.chest.sternum_at(z)[1])
    centre = np.array([float(room.level("T7")[0]) + 20.0 * k, sternum * 0.58 + spine_front * 0.42 - 2.0, z])
    along = np.array([0.72, -0.42, -0.55])
    along /= np.linalg.norm(along)
    side = np.cross(along, np.array([0.0, 0.0, 1.0]))
    side /= np.linalg.norm(side)
    axes = np.column_stack([along, side, np.cross(along, side)])
    deep = min(40.0 * k, (spine_front - sternum) / 2 - 6.0)
    return centre, (60.0 * k, deep, 42.0 * k), axes


def heart_shapes(room: Cavities) -> list[Primitive]:
    """Ventricles, right atrium, left atrium, root of the great vessels."""
    centre, radii, axes = heart_shape(room)
    k = room.k
    deep = radii[1]
    return [
        Ellipsoid(triple(centre), radii, axes),
        Ellipsoid(triple(centre + k * np.array([-40, 2, -2])), (25 * k, deep * 0.78, 36 * k)),
        Ellipsoid(triple(centre + k * np.array([-8, 0, 18]) + np.array([0, deep * 0.62, 0])), (34 * k, deep * 0.5, 26 * k)),
        ball_bar(centre + k * np.array([-18, -8, 20]), centre + k * np.array([-12, -14, 48]), 22 * k, 16 * k),
    ]


def lung_fields(room: Cavities) -> dict[str, Field]:
    """The five lobes."""
    top = float(room.level("T1")[2]) + 12.0
    column = room.thorax.inset(2.0, 2.0, 2.0).shape(float(room.level("L1")[2]), top)
    canvas = Canvas(*column.box, _STEP_MM).unite(column)
    low, high = column.box
    canvas.cut(Shape(triple(low), triple(high), lambda at: -room.above_diaphragm(at) - 1.5), 5.0)
    for shape in mediastinum(room):
        canvas.cut(shape, 6.0)
    return {name: _lobe(canvas, shape) for name, shape in _lobes(room, canvas).items()}


def _lobe(canvas: Canvas, border: Float32Array) -> Field:
    values = np.maximum(canvas.values, border)
    return cropped(Field(normalised(values, canvas.step), canvas.origin, canvas.step))


def _lobes(room: Cavities, canvas: Canvas) -> dict[str, Float32Array]:
    """Fissures: negative inside of each lobe."""
    x, y, z = canvas.local()
    spine_x = np.interp(np.ravel(z), room.thorax.z, room.thorax.middle).astype(np.float32)[None, None, :]
    right, left = x - spine_x, spine_x - x
    rear, front = room.level("T4") + (0, 40, 0), room.level("T10") + (0, -120 * room.k, 0)
    normal = np.array([0.0, rear[2] - front[2], front[1] - rear[1]])
    normal /= np.linalg.norm(normal)
    oblique = ((y - np.float32(rear[1])) * normal[1] + (z - np.float32(rear[2])) * normal[2]).astype(np.float32)
    if normal[2] < 0:
        oblique = -oblique
    level = np.float32(room.level("T6")[2] - 8.0)
    full = canvas.shape

    def lobe(*sides: Float32Array) -> Float32Array:
        found = np.broadcast_to(sides[0], full)
        for other in sides[1:]:
            found = np.maximum(found, other)
        return np.asarray(found, dtype=np.float32)

    return {
        "lung_upper_lobe_left": lobe(left, -oblique + 0.15),
        "lung_lower_lobe_left": lobe(left, oblique + 0.15),
        "lung_upper_lobe_right": lobe(right, -oblique + 0.15, level - z + 0.15),
        "lung_middle_lobe_right": lobe(right, -oblique + 0.15, z - level + 0.15),
        "lung_lower_lobe_right": lobe(right, oblique + 0.15),
    }


def vessel_fields(room: Cavities) -> dict[str, Field]:
    """Aorta, caval, iliac, neck and portal vessels."""
    k = room.k
    heart = heart_shape(room)[0]
    before = lambda name, x, y: room.level(name) + np.array([x * k, -room.spine.of(name).sizes["depth"] / 2 - y * k, 0.0])  # noqa: E731
    arch = room.level("T4") + np.array([0.0, -38.0 * k, 4.0])
    aorta = np.array([heart + k * np.array([-14, 0, 16]), arch + k * np.array([-20, -16, -22]), arch + k * np.array([-8, -8, 0]), arch + k * np.array([14, 14, -2]), before("T6", 21, 4), before("T9", 16, 9), before("T12", 8, 12), before("L2", 7, 13), before("L4", 4, 12)])
    cava = np.array([heart + k * np.array([-38, 14, -22]), before("T11", -24, 20), before("L1", -21, 15), before("L3", -18, 13), before("L5", -12, 13)])
    superior = np.array([heart + k * np.array([-36, 4, 30]), arch + k * np.array([-30, -6, -14]), room.level("T2") + k * np.array([-22, -34, 0])])
    found = {"aorta": tube(aorta, np.array([15, 15.5, 14, 13.5, 12.5, 12, 10.5, 9.5, 9]) * k, 40), "inferior_vena_cava": tube(cava, np.array([13, 12.5, 12, 11, 9]) * k), "superior_vena_cava": tube(superior, 9.5 * k)}
    split = before("L4", 4, 12)
    drain = before("L5", -12, 13)
    turn, hip = pelvic_axes(room.spine), hip_centre(room.spine)
    for word, side in (("left", 1.0), ("right", -1.0)):
        groin = hip * np.array([side, 1, 1]) + k * np.array([-16 * side, -36, 6])
        brim = turn @ (k * np.array([side * 50, -8, -34]))
        found[f"iliac_artery_{word}"] = tube(np.array([split, (split + brim) / 2 + (0, -4, 0), brim, groin]), np.array([6.5, 6, 5, 4.5]) * k)
        inner = k * np.array([-6 * side, 9, -4])
        found[f"iliac_vena_{word}"] = tube(np.array([drain, (drain + brim + inner) / 2, brim + inner, groin + inner * 0.8]), np.array([8, 7, 6, 5]) * k)
        neck = room.level("C4") + k * np.array([side * 26, -24, 0])
        found[f"common_carotid_artery_{word}"] = tube(np.array([arch + k * np.array([side * 8 - 2, -6, 10]), room.level("T1") + k * np.array([side * 20, -28, 0]), neck]), 3.4 * k)
        found[f"brachiocephalic_vein_{word}"] = tube(np.array([room.level("T2") + k * np.array([-20, -36, 0]), room.level("T2") + k * np.array([side * 26, -38, 12]), room.level("T1") + k * np.array([side * 40, -34, 12])]), 6.5 * k)
    gate = np.array([before("L2", -6, 30), before("L1", -8, 34), before("T12", -34, 36)])
    found["portal_vein_and_splenic_vein"] = [*tube(gate, 6.0 * k), *tube(np.array([gate[0], before("L1", 30, 22), before("T12", 76, 2)]), 4.0 * k)]
    return {name: _drawn(bars, 1.5, 1.5) for name, bars in found.items()}


def airway_fields(room: Cavities) -> dict[str, Field]:
    """Trachea with main bronchi, oesophagus, thyroid."""
    k = room.k
    before = lambda name, y: room.level(name) + np.array([0.0, -room.spine.of(name).sizes["depth"] / 2 - y * k, 0.0])  # noqa: E731
    carina = before("T5", 14) + (2, 0, 6)
    trachea = tube(np.array([before("C6", 12), before("T1", 15), before("T3", 15), carina]), 8.2 * k)
    for side, reach in ((1.0, 44.0), (-1.0, 32.0)):
        trachea += tube(np.array([carina, carina + k * np.array([side * reach * 0.5, 0, -18]), carina + k * np.array([side * reach, 6, -34])]), np.array([7, 6, 5]) * k, 10)
    gullet = tube(np.array([before("C6", 3), before("T2", 5), before("T6", 8), before("T9", 14) + (8, 0, 0), before("T11", 26) + (18 * k, 0, 0)]), 6.0 * k)
    gland: list[Primitive] = [
        Ellipsoid(triple(before("C7", 17) + (side * 15 * k, 0, 6)), (8 * k, 9 * k, 19 * k)) for side in (1, -1)
    ]
    gland.append(ball_bar(before("C7", 24) + (-10, 0, 0), before("C7", 24) + (10, 0, 0), 3.5))
    return {"trachea": _drawn(trachea, 1.5, 1.0), "esophagus": _drawn(gullet, 1.5, 1.0), "thyroid_gland": _drawn(gland, 1.5, 2.0)}


def lung_vessel_field(room: Cavities, lungs: Sequence[Field], rng: np.random.Generator) -> Field:
    """Vessels that branch from both hila through the lungs."""
    hilum = room.level("T6") + room.k * np.array([0.0, -34.0, 4.0])
    bars: list[Primitive] = []
    for side in (1.0, -1.0):
        root = hilum + room.k * np.array([side * 30.0, 0.0, -6.0])
        inside = [f for f in lungs if np.sign(f.low[0] + f.high[0]) == side]
        for _ in range(11):
            away = rng.standard_normal(3) + np.array([side * 0.9, 0.1, -0.1])
            bars += _branches(root, away / np.linalg.norm(away), 3.6 * room.k, 5, inside, rng)
    return Canvas(*outer_box(bars), 1.25).unite_all(bars, 0.0).field(normalise=False)


def _branches(
    root: FloatArray,
    along: FloatArray,
    radius: float,
    depth: int,
    lungs: Sequence[Field],
    rng: np.random.Generator,
) -> list[Primitive]:
    """One vessel and the two it parts into, as long as they stay in the lung."""
    end = root + along * float(rng.uniform(13.0, 26.0))
    if depth < 5 and all(float(f.at(end[None])[0]) > -3.0 for f in lungs):
        return []
    found: list[Primitive] = [ball_bar(root, end, radius, radius * 0.8)]
    if depth:
        for _ in range(2):
            turned = along + 0.62 * rng.standard_normal(3)
            found += _branches(end, turned / np.linalg.norm(turned), radius * 0.74, depth - 1, lungs, rng)
    return found


def organ_fields(room: Cavities, belly: Field, rng: np.random.Generator) -> dict[str, Field]:
    """Abdominal and pelvic organs, inside of the abdominal cavity."""
    shapes = {**_upper(room), **_lower(room)}
    found = {}
    for name, bars in shapes.items():
        field_ = _drawn(bars, _STEP_MM, 8.0)
        found[name] = _clipped(field_, belly, 2.0)
    found["liver"] = _liver(room, belly)
    return {**found, **_bowel(room, belly, rng)}


def _clipped(inner: Field, outer: Field, inset: float) -> Field:
    lines = [np.arange(n) * inner.step + o for n, o in zip(inner.values.shape, inner.origin, strict=True)]
    values = np.maximum(inner.values, sampled(outer, lines) + np.float32(inset))
    return cropped(Field(values, inner.origin, inner.step))


def _liver(room: Cavities, belly: Field) -> Field:
    """The liver fills the right dome, and reaches over the middle."""
    k = room.k
    (top, _), _ = room.domes()
    shapes: list[Primitive] = [
        Ellipsoid(triple(top + k * np.array([-6, 6, -70])), (92 * k, 96 * k, 88 * k)),
        Ellipsoid(triple(top + k * np.array([62, -30, -52])), (72 * k, 48 * k, 38 * k)),
        Ellipsoid(triple(top + k * np.array([-30, 8, -118])), (46 * k, 54 * k, 52 * k)),
    ]
    canvas = Canvas(*outer_box(shapes), _STEP_MM).unite_all(shapes, 16.0)
    front = room.level("L1")
    canvas.cut(Ellipsoid(triple(front + k * np.array([10, -44, 6])), (62 * k, 40 * k, 46 * k)), 14.0)
    canvas.cut(Ellipsoid(triple(front + k * np.array([-58, 6, -14])), (37 * k, 34 * k, 58 * k)), 6.0)
    canvas.cut(Ellipsoid(triple(room.level("T11")), (36 * k, 36 * k, 90 * k)), 6.0)
    return _clipped(canvas.field(), belly, 0.3)


def _upper(room: Cavities) -> dict[str, list[Primitive]]:
    k, person = room.k, room.person
    t12, l1, l2 = room.level("T12"), room.level("L1"), room.level("L2")
    lean = lambda side: _axes((side * 0.2, -0.12, 1.0))  # noqa: E731
    (_, _), (dome, _) = room.domes()
    kidney = {
        f"kidney_{word}": [Ellipsoid(triple(l2 + k * np.array([side * 60, 6, 14 + rise])), (27 * k, 25 * k, 54 * k), lean(-side))]
        for word, side, rise in (("left", 1.0, 10.0), ("right", -1.0, -4.0))
    }
    stomach = tube(np.array([t12 + k * np.array([62, -34, 18]), t12 + k * np.array([70, -58, -22]), l1 + k * np.array([48, -84, -26]), l1 + k * np.array([0, -86, -32])]), np.array([34, 34, 27, 17]) * k, 14)
    pancreas = tube(np.array([l2 + k * np.array([-30, -40, 4]), l2 + k * np.array([-4, -46, 10]), l1 + k * np.array([34, -34, -4]), t12 + k * np.array([78, -6, -12])]), np.array([14, 10, 9, 7]) * k, 14)
    duodenum = tube(np.array([l1 + k * np.array([-14, -72, -28]), l1 + k * np.array([-44, -48, -30]), l2 + k * np.array([-46, -30, -28]), room.level("L3") + k * np.array([-20, -34, -4]), room.level("L3") + k * np.array([26, -36, 6])]), 12.5 * k, 18)
    return {
        "spleen": [Ellipsoid(triple(dome + k * np.array([34, 42, -50])), (34 * k, 42 * k, 54 * k), _axes((0.3, 0.3, 1.0)))],
        **kidney,
        "gallbladder": [ball_bar(l1 + k * np.array([-58, -74, -12]), l1 + k * np.array([-64, -92, -44]), 9 * k, 15 * k)],
        "stomach": stomach,
        "pancreas": pancreas,
        "duodenum": duodenum,
        **{
            f"adrenal_gland_{word}": [
                Bar(triple(t12 + k * np.array([side * 36, 0, -20])), triple(t12 + k * np.array([side * 46, 8, -34])), (9 * k, 3.0), (12 * k, 3.0), (0, 0.3, 1))
            ]
            for word, side in (("left", 1.0), ("right", -1.0))
        },
    }  # fmt: skip


def _axes(cranial: tuple[float, float, float]) -> FloatArray:
    up = np.array(cranial) / np.linalg.norm(cranial)
    left = np.cross(np.array([0.0, 1.0, 0.0]), up)
    left /= np.linalg.norm(left)
    return np.column_stack([left, np.cross(up, left), up])


def _lower(room: Cavities) -> dict[str, list[Primitive]]:
    k, turn = room.k, pelvic_axes(room.spine)
    at = lambda x, y, z: triple(turn @ (k * np.array([x, y, z], float)))  # noqa: E731
    found: dict[str, list[Primitive]] = {"urinary_bladder": [Ellipsoid(at(0, -52, -84), (38 * k, 30 * k, 30 * k))]}
    if room.person.sex == "M":
        found["prostate"] = [Ellipsoid(at(0, -42, -122), (22 * k, 17 * k, 18 * k))]
    return found


def _bowel(room: Cavities, belly: Field, rng: np.random.Generator) -> dict[str, Field]:
    """Colon as a frame with gas and stool, small bowel as a coil of loops."""
    k, turn = room.k, pelvic_axes(room.spine)
    z = float(room.level("L3")[2])
    middle, half, front, back = room.abdomen.at(z)
    out = half - 26 * k
    l1, l4 = room.level("L1"), room.level("L4")
    frame = np.array([
        (middle - out * 0.86, back - 32 * k, float(l4[2]) - 40 * k), (middle - out, back - 30 * k, float(l4[2]) + 6),
        (middle - out, back - 34 * k, float(l1[2]) - 34 * k), (middle - out * 0.75, front + 34 * k, float(l1[2]) - 40 * k),
        (middle, front + 26 * k, float(room.level("L2")[2]) - 16 * k), (middle + out * 0.8, front + 34 * k, float(l1[2]) - 8 * k),
        (middle + out, back - 36 * k, float(l1[2]) + 6 * k), (middle + out, back - 30 * k, float(l4[2]) + 10),
        (middle + out * 0.86, back - 38 * k, float(l4[2]) - 46 * k), tuple(turn @ (k * np.array([34, -40, -50]))),
        tuple(turn @ (k * np.array([-6, -8, -54]))), tuple(turn @ (k * np.array([0, 26, -92]))), tuple(turn @ (k * np.array([0, 22, -132]))),
    ])  # fmt: skip
    radii = np.array([27, 26, 24, 21, 20, 20, 20, 17, 17, 15, 15, 19, 14]) * k
    radii = radii * (1 + 0.14 * rng.standard_normal(len(radii)).clip(-1.5, 1.5))
    bars = tube(frame, radii, 70)
    colon = _clipped(_drawn(bars, _STEP_MM, 2.0), belly, 1.5)
    level = _fluid_level(colon, rng)
    y = colon.origin[1] + colon.step * np.arange(colon.values.shape[1])[None, :, None]
    gas = Field(np.maximum(colon.values + 3.5, (y - level).astype(np.float32)), colon.origin, colon.step)
    stool = Field(np.maximum(colon.values + 3.0, (level - y).astype(np.float32)), colon.origin, colon.step)
    return {
        "small_bowel": _loops(room, belly, rng),
        "colon": colon,
        "colon_stool": cropped(stool),
        "colon_gas": cropped(gas),
    }


def _fluid_level(colon: Field, rng: np.random.Generator) -> FloatArray:
    """Height of the gas in the colon of a person who lies on the back: y of its lower border, shape (x, 1, z)."""
    inside = colon.values < 0
    y = colon.origin[1] + colon.step * np.arange(colon.values.shape[1])[None, :, None]
    middle = (inside * y).sum(axis=1, keepdims=True) / np.maximum(inside.sum(axis=1, keepdims=True), 1)
    shape = (inside.shape[0], 2, inside.shape[2])
    filling = noise(shape, (14, 2, 14), rng)[:, :1]
    return np.asarray(middle - 4.0 + 11.0 * filling, dtype=np.float64)


def _loops(room: Cavities, belly: Field, rng: np.random.Generator) -> Field:
    """Loops of small bowel: a winding tube in the middle of the belly."""
    k = room.k
    low, high = -62.0 * k, float(room.level("L2")[2]) - 10.0
    count = 46
    t = np.linspace(0, 1, count)
    points = []
    for share in t:
        z = high + (low - high) * share + rng.normal(0, 9.0)
        middle, half, front, back = room.abdomen.at(float(z))
        limit = _spine_front(room.spine, float(z)) if z > 0 else back
        wide = max(half - 56 * k, 24 * k)
        points.append((middle + wide * np.sin(14.0 * share + rng.normal(0, 0.5)), front + 24 + (max(limit - front - 50, 10.0)) * rng.uniform(0, 1), z))
    bars = tube(np.array(points), (11.5 + 2.0 * rng.standard_normal(count).clip(-1.5, 1.5)) * k, 220)
    return _clipped(_drawn(bars, _STEP_MM, 0.5), belly, 2.0)


def heart_field(room: Cavities) -> Field:
    """The heart."""
    return _drawn(heart_shapes(room), _STEP_MM, 10.0)
