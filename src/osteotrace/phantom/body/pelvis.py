"""Hip bones and femora. Left is drawn; right is its mirror image."""

from __future__ import annotations

import itertools

import numpy as np
from scipy.interpolate import CubicSpline

from osteotrace.phantom.body.shapes import (
    Bar,
    Canvas,
    Ellipsoid,
    Primitive,
    Shape,
    Spot,
    ball_bar,
    cropped,
    normalised,
    outer_box,
    sheet_distance,
    smooth_max,
    smooth_min,
)
from osteotrace.phantom.body.spine_curve import Spine, turned
from osteotrace.phantom.field import Field, Float32Array
from osteotrace.space import FloatArray

# Left hip bone of an adult of 1.70 m, from the middle of the endplate of S1; sacral slope 38 degrees.
_REFERENCE_SLOPE_DEG = -38.0
_CREST = (
    (119, -66, -26),
    (132, -50, 2),
    (138, -28, 26),
    (132, 2, 42),
    (108, 30, 40),
    (78, 52, 20),
    (48, 68, -16),
)
_BRIM = (
    (104, -54, -62),
    (97, -38, -76),
    (86, -14, -78),
    (72, 8, -68),
    (62, 26, -58),
    (55, 42, -58),
    (48, 60, -46),
)
_HIP_CENTRE = (89.0, -24.0, -102.0)
_TUBER = (62.0, 6.0, -168.0)
_PUBIS = (13.0, -72.0, -124.0)
_GAP_OF_JOINT_MM = 1.4
_ACETABULUM_MM = 26.0
_HEAD_MM = 23.5


def pelvic_axes(spine: Spine) -> FloatArray:
    """How the pelvis is turned against the reference, shape (3, 3)."""
    return np.asarray(spine.sacral_axes @ turned(_REFERENCE_SLOPE_DEG, 0.0, 0.0).T)


def hip_centre(spine: Spine) -> FloatArray:
    """Centre of the left femoral head, body frame, mm."""
    return np.asarray(pelvic_axes(spine) @ (spine.scale * np.array(_HIP_CENTRE)))


def hip_fields(spine: Spine, sacrum: Field, step: float) -> tuple[Field, Field]:
    """Left and right hip bone."""
    k, axes = spine.scale, pelvic_axes(spine)
    solid = _hip_shapes(k)
    canvas = Canvas(*outer_box(solid), step, axes=axes)
    canvas.unite_all(solid, 9.0)
    wing = sheet_distance(canvas, _wing_points(k) @ axes.T) - 2.7
    canvas.values = smooth_min(canvas.values, np.minimum(wing, 10.0), 9.0)
    centre = tuple(k * np.array(_HIP_CENTRE))
    canvas.cut(Ellipsoid(centre, (_ACETABULUM_MM * k,) * 3), 1.5)
    mouth = np.array(centre) + np.array((26.0, -8.0, -14.0)) * k
    canvas.cut(Bar(centre, mouth, (22 * k, 22 * k), (27 * k, 27 * k)), 3.0)
    canvas.cut(_obturator(k), 3.0)
    values = smooth_max(canvas.values, _GAP_OF_JOINT_MM - _on_lattice(sacrum, canvas), 1.0)
    left = cropped(Field(normalised(values, step), canvas.origin, step))
    return left, mirrored(left)


def _on_lattice(field: Field, canvas: Canvas) -> Float32Array:
    """Values of a field of the same step and lattice on a canvas; far where it has none."""
    found = np.full(canvas.shape, 10.0, dtype=np.float32)
    shift = np.round((field.origin - canvas.origin) / canvas.step).astype(int)
    start, stop = np.maximum(shift, 0), np.minimum(shift + field.values.shape, canvas.shape)
    if (stop > start).all():
        here = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        there = tuple(slice(a, b) for a, b in zip(start - shift, stop - shift, strict=True))
        found[here] = field.values[there]
    return found


def mirrored(field: Field) -> Field:
    """The field of the other side of the body."""
    high = field.high[0]
    origin = np.array([-high, field.origin[1], field.origin[2]])
    return Field(np.ascontiguousarray(field.values[::-1]), origin, field.step, field.beyond)


def _wing_points(k: float) -> FloatArray:
    """Samples of the iliac wing between brim and crest, shape (n, 3)."""
    s = np.linspace(0, 1, 260)
    t = np.linspace(0, 1, 130)
    knots = np.linspace(0, 1, len(_CREST))
    crest = CubicSpline(knots, np.array(_CREST, float))(s)
    brim = CubicSpline(knots, np.array(_BRIM, float))(s)
    bulge = np.sin(np.pi * t)[None, :, None] * np.array([7.0, 5.0, 0.0])
    surface = brim[:, None] * (1 - t)[None, :, None] + crest[:, None] * t[None, :, None] + bulge
    return np.asarray(surface.reshape(-1, 3) * k)


def _hip_shapes(k: float) -> list[Primitive]:
    p = [k * np.array(point, float) for point in _CREST]
    hip, tuber, pubis = (k * np.array(x) for x in (_HIP_CENTRE, _TUBER, _PUBIS))
    brim = [k * np.array(point, float) for point in _BRIM]
    fine = CubicSpline(np.arange(len(p)), np.array(p))(np.linspace(0, len(p) - 1, 19))
    crest: list[Primitive] = [ball_bar(a, b, 4.8 * k) for a, b in itertools.pairwise(fine)]
    rear = k * np.array([[56, 54, -12], [54, 52, -40], [58, 36, -34]])
    thick: list[Primitive] = [
        ball_bar(rear[0], rear[1], 8.5 * k, 8.0 * k),
        ball_bar(rear[2], brim[4] + (0, 0, 4 * k), 7.5 * k, 7.0 * k),
        *[ball_bar(a, b, 7.0 * k, 7.0 * k) for a, b in itertools.pairwise(brim)],
        ball_bar(p[0] + (-2, 2, -3), brim[0] + (0, 0, 2), 5.0 * k, 7.5 * k),
    ]
    socket: list[Primitive] = [
        Ellipsoid(hip + k * np.array([-6, 3, 4]), (30 * k, 32 * k, 33 * k)),
    ]
    ischium_top = hip + k * np.array([-14, 24, -22])
    lower = tuber + k * np.array([-10, -14, -2])
    pubic: list[Primitive] = [
        Bar(
            hip + k * np.array([-20, -22, -6]),
            pubis + k * np.array([8, 0, 4]),
            (9 * k, 8 * k),
            (8 * k, 6.5 * k),
            (0, 0, 1),
        ),
        Bar(
            pubis + k * np.array([0, 0, 8]),
            pubis + k * np.array([-1, 6, -18]),
            (9.5 * k, 7 * k),
            (8 * k, 6 * k),
        ),
        Bar(pubis + k * np.array([6, 8, -18]), lower, (4.5 * k, 7.5 * k), (5 * k, 9 * k)),
        Bar(ischium_top, tuber, (13 * k, 12 * k), (13 * k, 12 * k)),
        Ellipsoid(tuber, (13 * k, 16 * k, 17 * k)),
        ball_bar(hip + k * np.array([-20, 28, 2]), hip + k * np.array([-37, 50, -4]), 8.0 * k, 2.6 * k),
        ball_bar(hip + k * np.array([-16, 18, 16]), brim[3], 11.0 * k, 8.0 * k),
    ]
    return [*crest, *thick, *socket, *pubic]


def _obturator(k: float) -> Shape:
    """The obturator foramen."""
    a, b = k * np.array([50, -44, -122]), k * np.array([48, -24, -148])
    wide = Bar(a, b, (16 * k, 15 * k), (15 * k, 13 * k))
    low, high = wide.box
    return Shape(low, high, wide.distance)


def femur_fields(spine: Spine, step: float) -> tuple[tuple[Field, Field], tuple[Field, Field]]:
    """Left and right femur; left and right thick cortex of the shaft."""
    k, hip = spine.scale, hip_centre(spine)
    at = Spot(hip, k)
    shaft = _shaft_line(hip, k)
    radii = (
        np.interp(np.linspace(0, 1, len(shaft)), [0, 0.1, 0.3, 0.7, 0.85, 1], [17, 15, 13.5, 14, 18, 26]) * k
    )
    rod: list[Primitive] = [
        ball_bar(a, b, ra, rb)
        for a, b, ra, rb in zip(shaft[:-1], shaft[1:], radii[:-1], radii[1:], strict=True)
    ]
    solid: list[Primitive] = [
        Bar(hip, at(40, 9, -32), (15 * k, 12.5 * k), (19 * k, 13 * k), (0, 0, 1)),
        Ellipsoid(at(46, 16, -12), (12 * k, 15 * k, 20 * k)),
        Ellipsoid(at(24, 22, -62), (9 * k, 9 * k, 11 * k)),
        Bar(at(44, 12, -34), shaft[2], (15 * k, 15 * k), (15 * k, 15 * k)),
    ]
    knee = shaft[-1]
    for side in (1.0, -1.0):
        solid.append(Ellipsoid(knee + k * np.array([side * 23, 10, -12]), (16 * k, 29 * k, 21 * k)))
    canvas = Canvas(*outer_box([*rod, *solid, Ellipsoid(hip, (_HEAD_MM * k,) * 3)]), step)
    canvas.unite_all(rod, 0.3).unite_all(solid, 8.0)
    canvas.unite(Ellipsoid(hip, (_HEAD_MM * k,) * 3), 3.0)
    canvas.cut(
        Bar(
            knee + k * np.array([0, 18, -30]),
            knee + k * np.array([0, 34, -5]),
            (8 * k, 12 * k),
            (9 * k, 14 * k),
        ),
        4.0,
    )
    left = canvas.field()
    cortex = _shaft_cortex(left, shaft, radii)
    return (left, mirrored(left)), (cortex, mirrored(cortex))


def _shaft_line(hip: FloatArray, k: float) -> FloatArray:
    """Axis of the shaft from the trochanters to the knee, shape (n, 3)."""
    points = [(42, 10, -40), (40, 6, -90), (32, -4, -180), (22, -6, -270), (13, 0, -350), (6, 6, -410)]
    spline = CubicSpline(np.linspace(0, 1, len(points)), hip + k * np.array(points, dtype=float))
    return np.asarray(spline(np.linspace(0, 1, 16)))


def _shaft_cortex(bone: Field, shaft: FloatArray, radii: FloatArray) -> Field:
    """The part of the shaft outside of its marrow cavity."""
    share = np.linspace(0, 1, len(shaft))
    wall = np.interp(share, [0, 0.12, 0.3, 0.6, 0.8, 0.9, 1.0], [1.0, 3.0, 6.5, 7.0, 4.0, 1.2, 0.8])
    cavity = [
        ball_bar(a, b, max(ra - wa, 2.0), max(rb - wb, 2.0))
        for a, b, ra, rb, wa, wb in zip(
            shaft[:-1], shaft[1:], radii[:-1], radii[1:], wall[:-1], wall[1:], strict=True
        )
    ]
    low, high = outer_box(list(cavity[1:12]))
    canvas = Canvas(low - 15, high + 15, bone.step, margin=0.0)
    canvas.unite_all(cavity, 0.0)
    ends = np.maximum(canvas.local()[2] - shaft[1][2], shaft[12][2] - canvas.local()[2])
    solid = np.maximum(_on_lattice(bone, canvas), ends)
    values = smooth_max(np.asarray(solid, np.float32), -canvas.values, 1.0)
    return cropped(Field(values, canvas.origin, bone.step))
