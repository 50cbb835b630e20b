"""Organs of belly and pelvis."""

from __future__ import annotations

import numpy as np

from osteotrace.phantom.body.cavities import Cavities, spine_front
from osteotrace.phantom.body.pelvis import pelvic_axes
from osteotrace.phantom.body.shapes import (
    Bar,
    Canvas,
    Ellipsoid,
    Primitive,
    Spot,
    ball_bar,
    cropped,
    drawn,
    noise,
    outer_box,
    sampled,
    tube,
)
from osteotrace.phantom.field import Field
from osteotrace.space import FloatArray

_STEP_MM = 2.0


def organ_fields(room: Cavities, belly: Field, rng: np.random.Generator) -> dict[str, Field]:
    """Abdominal and pelvic organs, inside of the abdominal cavity."""
    shapes = {**_upper(room), **_lower(room)}
    found = {}
    for name, bars in shapes.items():
        field_ = drawn(bars, _STEP_MM, 8.0)
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
        Ellipsoid(top + k * np.array([-6, 6, -70]), (92 * k, 96 * k, 88 * k)),
        Ellipsoid(top + k * np.array([62, -30, -52]), (72 * k, 48 * k, 38 * k)),
        Ellipsoid(top + k * np.array([-30, 8, -118]), (46 * k, 54 * k, 52 * k)),
    ]
    canvas = Canvas(*outer_box(shapes), _STEP_MM).unite_all(shapes, 16.0)
    front = room.level("L1")
    canvas.cut(Ellipsoid(front + k * np.array([10, -44, 6]), (62 * k, 40 * k, 46 * k)), 14.0)
    canvas.cut(Ellipsoid(front + k * np.array([-58, 6, -14]), (37 * k, 34 * k, 58 * k)), 6.0)
    canvas.cut(Ellipsoid(room.level("T11"), (36 * k, 36 * k, 90 * k)), 6.0)
    return _clipped(canvas.field(), belly, 0.3)


def _upper(room: Cavities) -> dict[str, list[Primitive]]:
    """Organs under the diaphragm and on the back wall."""
    k = room.k
    t12, l1, l2, l3 = (room.near(name) for name in ("T12", "L1", "L2", "L3"))
    dome = Spot(room.domes()[1][0], k)
    stomach = [t12(62, -34, 18), t12(70, -58, -22), l1(48, -84, -26), l1(0, -86, -32)]
    pancreas = [l2(-30, -40, 4), l2(-4, -46, 10), l1(34, -34, -4), t12(78, -6, -12)]
    duodenum = [l1(-14, -72, -28), l1(-44, -48, -30), l2(-46, -30, -28), l3(-20, -34, -4), l3(26, -36, 6)]
    found: dict[str, list[Primitive]] = {
        "spleen": [Ellipsoid(dome(34, 42, -50), (34 * k, 42 * k, 54 * k), _axes((0.3, 0.3, 1.0)))],
        "gallbladder": [ball_bar(l1(-58, -74, -12), l1(-64, -92, -44), 9 * k, 15 * k)],
        "stomach": [*tube(stomach, np.array([34, 34, 27, 17]) * k, 14)],
        "pancreas": [*tube(pancreas, np.array([14, 10, 9, 7]) * k, 14)],
        "duodenum": [*tube(duodenum, 12.5 * k, 18)],
    }
    for word, side, rise in (("left", 1.0, 10.0), ("right", -1.0, -4.0)):
        middle, axes = l2(side * 60, 6, 14 + rise), _axes((-side * 0.2, -0.12, 1.0))
        found[f"kidney_{word}"] = [Ellipsoid(middle, (27 * k, 25 * k, 54 * k), axes)]
        gland = Bar(t12(side * 36, 0, -20), t12(side * 46, 8, -34), (9 * k, 3.0), (12 * k, 3.0), (0, 0.3, 1))
        found[f"adrenal_gland_{word}"] = [gland]
    return found


def _axes(cranial: tuple[float, float, float]) -> FloatArray:
    up = np.array(cranial) / np.linalg.norm(cranial)
    left = np.cross(np.array([0.0, 1.0, 0.0]), up)
    left /= np.linalg.norm(left)
    return np.column_stack([left, np.cross(up, left), up])


def _lower(room: Cavities) -> dict[str, list[Primitive]]:
    k, turn = room.k, pelvic_axes(room.spine)
    at = Spot(np.zeros(3), k, axes=turn)
    found: dict[str, list[Primitive]] = {
        "urinary_bladder": [Ellipsoid(at(0, -52, -84), (38 * k, 30 * k, 30 * k))]
    }
    if room.person.sex == "M":
        found["prostate"] = [Ellipsoid(at(0, -42, -122), (22 * k, 17 * k, 18 * k))]
    return found


def _bowel(room: Cavities, belly: Field, rng: np.random.Generator) -> dict[str, Field]:
    """Colon as a frame with gas and stool, small bowel as a coil of loops."""
    k, turn = room.k, pelvic_axes(room.spine)
    z = float(room.level("L3")[2])
    middle, half, front, back = room.abdomen.at(z)
    out = half - 26 * k
    z1, z2, z4 = (float(room.level(name)[2]) for name in ("L1", "L2", "L4"))
    pelvis = Spot(np.zeros(3), k, axes=turn)
    right, left = middle - out, middle + out
    frame = [
        np.array([right + out * 0.14, back - 32 * k, z4 - 40 * k]),
        np.array([right, back - 30 * k, z4 + 6]),
        np.array([right, back - 34 * k, z1 - 34 * k]),
        np.array([right + out * 0.25, front + 34 * k, z1 - 40 * k]),
        np.array([middle, front + 26 * k, z2 - 16 * k]),
        np.array([left - out * 0.2, front + 34 * k, z1 - 8 * k]),
        np.array([left, back - 36 * k, z1 + 6 * k]),
        np.array([left, back - 30 * k, z4 + 10]),
        np.array([left - out * 0.14, back - 38 * k, z4 - 46 * k]),
        *(pelvis(34, -40, -50), pelvis(-6, -8, -54), pelvis(0, 26, -92), pelvis(0, 22, -132)),
    ]
    radii = np.array([27, 26, 24, 21, 20, 20, 20, 17, 17, 15, 15, 19, 14]) * k
    radii = radii * (1 + 0.14 * rng.standard_normal(len(radii)).clip(-1.5, 1.5))
    bars = tube(frame, radii, 70)
    colon = _clipped(drawn(bars, _STEP_MM, 2.0), belly, 1.5)
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
    """How far down gas reaches in the colon of a person on the back: y, shape (x, 1, z)."""
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
        limit = spine_front(room.spine, float(z)) if z > 0 else back
        wide = max(half - 56 * k, 24 * k)
        x = middle + wide * np.sin(14.0 * share + rng.normal(0, 0.5))
        y = front + 24 + max(limit - front - 50, 10.0) * rng.uniform(0, 1)
        points.append(np.array([x, y, z]))
    bars = tube(points, (11.5 + 2.0 * rng.standard_normal(count).clip(-1.5, 1.5)) * k, 220)
    return _clipped(drawn(bars, _STEP_MM, 0.5), belly, 2.0)
