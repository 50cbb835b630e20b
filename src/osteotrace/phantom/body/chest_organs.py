"""Heart, lungs, airways and vessels."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from osteotrace.phantom.body.cavities import Cavities, spine_front
from osteotrace.phantom.body.pelvis import hip_centre, pelvic_axes
from osteotrace.phantom.body.shapes import (
    Bar,
    Canvas,
    Ellipsoid,
    Primitive,
    Shape,
    Spot,
    ball_bar,
    cropped,
    drawn,
    normalised,
    outer_box,
    tube,
)
from osteotrace.phantom.field import Field, Float32Array
from osteotrace.space import FloatArray

_STEP_MM = 2.0


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
    for (x1, y1, f1, z1), (x2, y2, f2, z2) in itertools.pairwise(points):
        ahead = (x1 + 4, (y1 + f1) / 2, z1), (x2 + 4, (y2 + f2) / 2, z2)
        depth = ((y1 - f1) / 2 + 12, (y2 - f2) / 2 + 12)
        column.append(Bar(*ahead, (13 * k, depth[0]), (13 * k, depth[1]), (1, 0, 0)))
        column.append(Bar((x1, y1 + 4, z1), (x2, y2 + 4, z2), (24 * k, 22 * k), (25 * k, 24 * k), (1, 0, 0)))
    upper: list[Primitive] = [
        ball_bar(
            (room.level("T2") + np.array([0, -34 * k, 0])),
            (room.level("T5") + np.array([6, -44 * k, 0])),
            22 * k,
            27 * k,
        )
    ]
    grown = (radii[0] + 5, radii[1] + 5, radii[2] + 5)
    return [*column, *upper, Ellipsoid(heart, grown, axes), *heart_shapes(room)[1:]]


def heart_shape(room: Cavities) -> tuple[FloatArray, tuple[float, float, float], FloatArray]:
    """Centre, radii and axes of the heart."""
    k = room.k
    z = float(room.level("T7")[2]) - 12.0 * k
    rear = spine_front(room.spine, z)
    sternum = float(room.chest.sternum_at(z)[1])
    centre = np.array([float(room.level("T7")[0]) + 20.0 * k, sternum * 0.58 + rear * 0.42 - 2.0, z])
    along = np.array([0.72, -0.42, -0.55])
    along /= np.linalg.norm(along)
    side = np.cross(along, np.array([0.0, 0.0, 1.0]))
    side /= np.linalg.norm(side)
    axes = np.column_stack([along, side, np.cross(along, side)])
    deep = min(40.0 * k, (rear - sternum) / 2 - 6.0)
    return centre, (60.0 * k, deep, 42.0 * k), axes


def heart_shapes(room: Cavities) -> list[Primitive]:
    """Ventricles, right atrium, left atrium, root of the great vessels."""
    centre, radii, axes = heart_shape(room)
    k = room.k
    deep = radii[1]
    return [
        Ellipsoid(centre, radii, axes),
        Ellipsoid(centre + k * np.array([-40, 2, -2]), (25 * k, deep * 0.78, 36 * k)),
        Ellipsoid(
            centre + k * np.array([-8, 0, 18]) + np.array([0, deep * 0.62, 0]),
            (34 * k, deep * 0.5, 26 * k),
        ),
        ball_bar(centre + k * np.array([-18, -8, 20]), centre + k * np.array([-12, -14, 48]), 22 * k, 16 * k),
    ]


def heart_field(room: Cavities) -> Field:
    """The heart."""
    return drawn(heart_shapes(room), _STEP_MM, 10.0)


def lung_fields(room: Cavities) -> dict[str, Field]:
    """The five lobes."""
    top = float(room.level("T1")[2]) + 12.0
    column = room.thorax.inset(2.0, 2.0, 2.0).shape(float(room.level("L1")[2]), top)
    canvas = Canvas(*column.box, _STEP_MM).unite(column)
    low, high = column.box
    canvas.cut(Shape(low, high, lambda at: -room.above_diaphragm(at) - 1.5), 5.0)
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
    rear, front = (
        (room.level("T4") + np.array([0, 40, 0])),
        (room.level("T10") + np.array([0, -120 * room.k, 0])),
    )
    normal = np.array([0.0, rear[2] - front[2], front[1] - rear[1]])
    normal /= np.linalg.norm(normal)
    oblique = ((y - np.float32(rear[1])) * normal[1] + (z - np.float32(rear[2])) * normal[2]).astype(
        np.float32
    )
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
    k, before = room.k, room.before
    heart, arch = Spot(heart_shape(room)[0], k), Spot(room.level("T4") + np.array([0, -38 * k, 4]), k)
    upper = room.near("T2")
    aorta = [heart(-14, 0, 16), arch(-20, -16, -22), arch(-8, -8, 0), arch(14, 14, -2)]
    aorta += [
        before("T6", 21, 4),
        before("T9", 16, 9),
        before("T12", 8, 12),
        before("L2", 7, 13),
        before("L4", 4, 12),
    ]
    cava = [heart(-38, 14, -22), before("T11", -24, 20), before("L1", -21, 15), before("L3", -18, 13)]
    superior = [heart(-36, 4, 30), arch(-30, -6, -14), upper(-22, -34, 0)]
    gate = [before("L2", -6, 30), before("L1", -8, 34), before("T12", -34, 36)]
    splenic = [gate[0], before("L1", 30, 22), before("T12", 76, 2)]
    found = {
        "aorta": tube(aorta, np.array([15, 15.5, 14, 13.5, 12.5, 12, 10.5, 9.5, 9]) * k, 40),
        "inferior_vena_cava": tube([*cava, before("L5", -12, 13)], np.array([13, 12.5, 12, 11, 9]) * k),
        "superior_vena_cava": tube(superior, 9.5 * k),
        "portal_vein_and_splenic_vein": [*tube(gate, 6.0 * k), *tube(splenic, 4.0 * k)],
    }
    for word, side in (("left", 1.0), ("right", -1.0)):
        neck = [
            arch(side * 8 - 2, -6, 10),
            room.near("T1")(side * 20, -28, 0),
            room.near("C4")(side * 26, -24, 0),
        ]
        found[f"common_carotid_artery_{word}"] = tube(neck, 3.4 * k)
        arm = [upper(-20, -36, 0), upper(side * 26, -38, 12), room.near("T1")(side * 40, -34, 12)]
        found[f"brachiocephalic_vein_{word}"] = tube(arm, 6.5 * k)
        found.update(_iliac(room, word, side))
    return {name: drawn(bars, 1.5, 1.5) for name, bars in found.items()}


def _iliac(room: Cavities, word: str, side: float) -> dict[str, list[Primitive]]:
    """Iliac artery and vein of one side."""
    k = room.k
    split, drain = room.before("L4", 4, 12), room.before("L5", -12, 13)
    groin = Spot(hip_centre(room.spine) * np.array([side, 1, 1]), k, side)(-16, -36, 6)
    brim = Spot(np.zeros(3), k, side, pelvic_axes(room.spine))(50, -8, -34)
    inner = k * np.array([-6 * side, 9, -4])
    artery = [split, (split + brim) / 2 - np.array([0, 4, 0]), brim, groin]
    vein = [drain, (drain + brim + inner) / 2, brim + inner, groin + inner * 0.8]
    return {
        f"iliac_artery_{word}": tube(artery, np.array([6.5, 6, 5, 4.5]) * k),
        f"iliac_vena_{word}": tube(vein, np.array([8, 7, 6, 5]) * k),
    }


def airway_fields(room: Cavities) -> dict[str, Field]:
    """Trachea with main bronchi, oesophagus, thyroid."""
    k = room.k
    carina = room.before("T5", 0, 14) + np.array([2, 0, 6])
    trachea = tube(
        [room.before("C6", 0, 12), room.before("T1", 0, 15), room.before("T3", 0, 15), carina],
        8.2 * k,
    )
    for side, reach in ((1.0, 44.0), (-1.0, 32.0)):
        trachea += tube(
            [
                carina,
                carina + k * np.array([side * reach * 0.5, 0, -18]),
                carina + k * np.array([side * reach, 6, -34]),
            ],
            np.array([7, 6, 5]) * k,
            10,
        )
    gullet = tube(
        [
            room.before("C6", 0, 3),
            room.before("T2", 0, 5),
            room.before("T6", 0, 8),
            (room.before("T9", 0, 14) + np.array([8, 0, 0])),
            (room.before("T11", 0, 26) + np.array([18 * k, 0, 0])),
        ],
        6.0 * k,
    )
    gland: list[Primitive] = [
        Ellipsoid((room.before("C7", 0, 17) + np.array([side * 15 * k, 0, 6])), (8 * k, 9 * k, 19 * k))
        for side in (1, -1)
    ]
    gland.append(
        ball_bar(
            (room.before("C7", 0, 24) + np.array([-10, 0, 0])),
            (room.before("C7", 0, 24) + np.array([10, 0, 0])),
            3.5,
        )
    )
    return {
        "trachea": drawn(trachea, 1.5, 1.0),
        "esophagus": drawn(gullet, 1.5, 1.0),
        "thyroid_gland": drawn(gland, 1.5, 2.0),
    }


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
