"""Clavicles, scapulae and humeri (arms along the body), and the skull."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from osteotrace.phantom.body.pelvis import mirrored
from osteotrace.phantom.body.shapes import (
    Bar,
    Canvas,
    Ellipsoid,
    Primitive,
    Spot,
    ball_bar,
    cropped,
    normalised,
    outer_box,
    sheet_distance,
    smooth_max,
    smooth_min,
)
from osteotrace.phantom.body.spine_curve import Spine
from osteotrace.phantom.body.thorax import Chest, Rib
from osteotrace.phantom.field import Field
from osteotrace.space import FloatArray

_HUMERAL_HEAD_MM = 23.0


def shoulder_centre(spine: Spine, chest: Chest) -> FloatArray:
    """Centre of the left humeral head, body frame, mm."""
    k = chest.scale
    return np.array([166.0 * k, spine.of("T3").centre[1] - 4.0, chest.top[2] + 6.0 * k])


def clavicle_fields(spine: Spine, chest: Chest, step: float) -> tuple[Field, Field]:
    """Left and right clavicle."""
    k, head = chest.scale, shoulder_centre(spine, chest)
    start = chest.top + np.array([27.0, 0.0, 6.0]) * k
    end = head + np.array([-8.0, 8.0, 29.0]) * k
    across = end - start
    points = np.array(
        [
            start,
            start + 0.28 * across + np.array([0, -9.0, 1.0]) * k,
            start + 0.6 * across + np.array([0, -2.0, 3.0]) * k,
            start + 0.85 * across + np.array([0, 5.0, 2.0]) * k,
            end,
        ]
    )
    line = CubicSpline([0, 0.28, 0.6, 0.85, 1], points)(np.linspace(0, 1, 12))
    flat = np.interp(np.linspace(0, 1, 12), [0, 0.2, 0.7, 1], [10.0, 6.5, 6.5, 10.0]) * k
    tall = np.interp(np.linspace(0, 1, 12), [0, 0.2, 0.7, 1], [9.5, 6.0, 5.5, 5.0]) * k
    bars: list[Primitive] = [
        Bar(a, b, (f1, t1), (f2, t2), (0, 1, 0))
        for a, b, f1, t1, f2, t2 in zip(
            line[:-1], line[1:], flat[:-1], tall[:-1], flat[1:], tall[1:], strict=True
        )
    ]
    left = Canvas(*outer_box(bars), step).unite_all(bars, 1.5).field()
    return left, mirrored(left)


def scapula_fields(spine: Spine, chest: Chest, ribs: list[Rib], step: float) -> tuple[Field, Field]:
    """Left and right scapula: blade, spine, acromion, coracoid, glenoid."""
    k, head = chest.scale, shoulder_centre(spine, chest)
    glenoid = head + np.array([-27.0, 7.0, 0.0]) * k
    upper = _behind(ribs, 72.0 * k, float(spine.of("T2").centre[2]))
    lower = _behind(ribs, 84.0 * k, float(spine.of("T7").centre[2]) - 4.0)
    root = _behind(ribs, 68.0 * k, float(spine.of("T3").centre[2]) + 2.0)
    crest = head + np.array([6.0, 30.0, 27.0]) * k
    neck = glenoid + np.array([-8.0, 4.0, 0.0]) * k
    below = neck + np.array([-2.0, 4.0, -16.0]) * k
    above = neck + np.array([-4.0, 2.0, 16.0]) * k
    solid: list[Primitive] = [
        Bar(neck, glenoid, (15 * k, 9 * k), (19 * k, 13 * k), (0, 0, 1)),
        ball_bar(below, lower, 6.0 * k, 4.5 * k),
        ball_bar(upper, root, 2.6 * k),
        ball_bar(root, lower, 2.8 * k),
        ball_bar(above, upper, 3.0 * k, 2.4 * k),
        Bar(root, crest - np.array([16, 2, 4]) * k, (3 * k, 4 * k), (8 * k, 5 * k), (0, 1, 0)),
        Bar(
            crest - np.array([16, 2, 4]) * k,
            head + np.array([5, -2, 31]) * k,
            (11 * k, 4.5 * k),
            (10 * k, 4.5 * k),
            (1, 0.4, 0),
        ),
        ball_bar(above, head + np.array([-30, -14, 30]) * k, 7.0 * k, 6.0 * k),
        ball_bar(head + np.array([-30, -14, 30]) * k, head + np.array([-14, -30, 20]) * k, 6.0 * k, 5.0 * k),
    ]
    canvas = Canvas(*outer_box(solid), step)
    canvas.unite_all(solid, 4.0)
    plates = np.vstack(
        [
            _triangle(upper, lower, below),
            _triangle(upper, below, above),
            _triangle(root, crest - np.array([18, 4, 6]) * k, (root + neck) / 2),
            _triangle(crest - np.array([18, 4, 6]) * k, (root + neck) / 2, neck + np.array([0, 8, 8]) * k),
        ]
    )
    blade = sheet_distance(canvas, plates) - 1.9
    canvas.values = smooth_min(canvas.values, np.minimum(blade, 10.0), 4.0)
    canvas.cut(Ellipsoid(head, ((_HUMERAL_HEAD_MM + 2.0) * k,) * 3), 1.0)
    left = canvas.field()
    return left, mirrored(left)


def _behind(ribs: list[Rib], x: float, z: float) -> FloatArray:
    """A point of the left side behind the ribs, shape (3,)."""
    line = np.vstack([rib.tube.line for rib in ribs if rib.side == 1 and rib.number > 1])
    near = line[(np.abs(line[:, 2] - z) < 25) & (np.abs(line[:, 0] - x) < 25)]
    back = near[:, 1].max() if len(near) else line[:, 1].max()
    return np.array([x, back + 15.0, z])


def _triangle(a: FloatArray, b: FloatArray, c: FloatArray) -> FloatArray:
    """Samples of a triangle, about 0.7 mm apart, shape (n, 3)."""
    u, v = np.meshgrid(np.linspace(0, 1, 200), np.linspace(0, 1, 130), indexing="ij")
    mid = a + u[..., None] * (b - a)
    return np.asarray((mid + v[..., None] * (c - mid)).reshape(-1, 3))


def humerus_fields(
    spine: Spine, chest: Chest, step: float
) -> tuple[tuple[Field, Field], tuple[Field, Field]]:
    """Left and right humerus; left and right thick cortex of the shaft."""
    k, head = chest.scale, shoulder_centre(spine, chest)
    knots = head + np.array([[14, 2, -16], [28, 6, -80], [36, 12, -170], [42, 18, -250], [44, 20, -296]]) * k
    line = CubicSpline(np.linspace(0, 1, 5), knots)(np.linspace(0, 1, 12))
    radii = np.interp(np.linspace(0, 1, 12), [0, 0.15, 0.4, 0.8, 1], [19, 12.5, 11, 11, 13]) * k
    rod: list[Primitive] = [
        ball_bar(a, b, ra, rb)
        for a, b, ra, rb in zip(line[:-1], line[1:], radii[:-1], radii[1:], strict=True)
    ]
    solid: list[Primitive] = [
        Ellipsoid(head, (_HUMERAL_HEAD_MM * k,) * 3),
        Ellipsoid(head + np.array([19, 4, -2]) * k, (10 * k, 14 * k, 16 * k)),
        Ellipsoid(line[-1], (29 * k, 11 * k, 13 * k)),
    ]
    left = Canvas(*outer_box([*rod, *solid]), step).unite_all(rod, 0.3).unite_all(solid, 4.0).field()
    hollow = Canvas(*outer_box([*rod, *solid]), step)
    hollow.unite_all(
        [
            ball_bar(a, b, max(ra - 4.5, 2), max(rb - 4.5, 2))
            for a, b, ra, rb in zip(line[2:-2], line[3:-1], radii[2:-2], radii[3:-1], strict=True)
        ]
    )
    z = hollow.local()[2]
    whole = Canvas(*outer_box([*rod, *solid]), step).unite_all(rod, 0.3).unite_all(solid, 4.0)
    ends = np.maximum(z - line[2][2], line[-2][2] - z)
    wall = smooth_max(np.asarray(np.maximum(whole.values, ends), np.float32), -hollow.values, 0.5)
    cortex = cropped(Field(wall, whole.origin, step))
    return (left, mirrored(left)), (cortex, mirrored(cortex))


def skull_centre(spine: Spine) -> FloatArray:
    """Middle of the cranium, body frame, mm."""
    atlas = spine.vertebrae[0]
    k = spine.scale
    return np.asarray(atlas.canal_centre + np.array([0.0, -26.0, 79.0]) * k)


def cranial_cavity(spine: Spine) -> list[Primitive]:
    """Inside of the cranium: cerebrum on the two fossae, cerebellum behind."""
    k, c = spine.scale, skull_centre(spine)
    return [
        Ellipsoid(c + np.array([0, 0, 3]) * k, (67 * k, 83 * k, 58 * k)),
        Ellipsoid(c + np.array([0, 38, -34]) * k, (52 * k, 40 * k, 33 * k)),
        Ellipsoid(c + np.array([0, -12, -26]) * k, (58 * k, 36 * k, 28 * k)),
    ]


def skull_field(spine: Spine, step: float) -> Field:
    """Cranium, base, face and lower jaw."""
    k, c = spine.scale, skull_centre(spine)
    at = Spot(c, k)
    shell: list[Primitive] = [
        Ellipsoid(at(0, 0, 3), (73.5 * k, 90 * k, 64.5 * k)),
        Ellipsoid(at(0, 38, -34), (58 * k, 46 * k, 38.5 * k)),
        Ellipsoid(at(0, -12, -26), (64 * k, 42 * k, 34 * k)),
    ]
    face = _face(at, k)
    canvas = Canvas(*outer_box([*shell, *face]), step)
    canvas.unite_all(shell, 10.0).unite_all(face, 5.0)
    inside = Canvas(*outer_box([*shell, *face]), step).unite_all(cranial_cavity(spine), 10.0)
    values = smooth_max(canvas.values, -inside.values, 1.0)
    canvas.values = values
    magnum = spine.vertebrae[0].canal_centre
    for hole in _openings(at, k, magnum):
        canvas.cut(hole, 2.0)
    return cropped(Field(normalised(canvas.values, step), canvas.origin, step))


def _face(at: Spot, k: float) -> list[Primitive]:
    parts: list[Primitive] = [
        Ellipsoid(at(0, -68, -56), (30 * k, 26 * k, 32 * k)),
        ball_bar(at(0, -18, -52), at(0, 14, -66), 12 * k, 9 * k),
        Ellipsoid(at(0, -88, -28), (8 * k, 8 * k, 14 * k)),
        Ellipsoid(at(0, -86, -99), (15 * k, 8 * k, 13 * k)),
    ]
    for side in (1, -1):
        parts += [
            Ellipsoid(at(side * 48, 20, -48), (17 * k, 14 * k, 16 * k)),
            Ellipsoid(at(side * 52, 38, -62), (9 * k, 10 * k, 15 * k)),
            ball_bar(at(side * 28, 12, -46), at(side * 50, 20, -46), 11 * k, 12 * k),
            Ellipsoid(at(side * 19, 19, -70), (8 * k, 11 * k, 7 * k)),
            Bar(at(side * 40, -72, -42), at(side * 62, -30, -42), (8 * k, 5 * k), (5 * k, 3 * k), (0, 0, 1)),
            ball_bar(at(side * 62, -30, -42), at(side * 62, 6, -40), 3.5 * k, 4.0 * k),
            Bar(
                at(side * 50, -2, -50), at(side * 47, -10, -88), (15 * k, 4.5 * k), (15 * k, 5 * k), (0, 1, 0)
            ),
            Bar(
                at(side * 47, -16, -94),
                at(side * 10, -85, -99),
                (13 * k, 5.5 * k),
                (13 * k, 6 * k),
                (0, 0, 1),
            ),
            Bar(at(side * 38, -62, -14), at(side * 44, -74, -40), (6 * k, 5 * k), (7 * k, 5 * k), (0, 1, 0)),
        ]
    return parts


def _openings(at: Spot, k: float, magnum: FloatArray) -> list[Primitive]:
    """Foramen magnum, orbits, nasal cavity, maxillary sinuses, mouth."""
    holes: list[Primitive] = [
        ball_bar(magnum - np.array([0, 0, 8]), magnum + np.array([0, 0, 30]), 14.5 * k, 16.5 * k),
        Ellipsoid(at(0, -66, -52), (12 * k, 34 * k, 18 * k)),
        Ellipsoid(at(0, -62, -92), (24 * k, 36 * k, 12 * k)),
    ]
    for side in (1, -1):
        holes.append(Bar(at(side * 33, -92, -27), at(side * 22, -50, -25), (19 * k, 17 * k), (8 * k, 8 * k)))
        holes.append(Ellipsoid(at(side * 25, -64, -54), (10 * k, 15 * k, 14 * k)))
    return holes
