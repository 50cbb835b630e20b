"""Skin, fat and muscle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from osteotrace.phantom.body.contour import Sections, fat_mm, obesity
from osteotrace.phantom.body.pelvis import hip_centre, pelvic_axes
from osteotrace.phantom.body.shapes import (
    Bar,
    Canvas,
    Ellipsoid,
    Primitive,
    Spot,
    ball_bar,
    cropped,
    noise,
    normalised,
    outer_box,
    sampled,
)
from osteotrace.phantom.body.shoulder import shoulder_centre, skull_centre
from osteotrace.phantom.body.spine_curve import Spine
from osteotrace.phantom.body.thorax import Chest
from osteotrace.phantom.field import Field
from osteotrace.phantom.records import Person
from osteotrace.space import FloatArray

_COARSE_MM = 3.0
_MUSCLE_MM = 2.0


@dataclass(frozen=True, slots=True)
class Outline:
    """The trunk's skin and the inner border of its fat."""

    skin: Sections
    muscle: Sections


def outline_of(skin: Sections, spine: Spine, person: Person) -> Outline:
    """Thickness of the fat, by site along the body."""
    hip = float(hip_centre(spine)[2])
    z = [
        hip,
        -10.0,
        float(spine.of("L3").centre[2]),
        float(spine.of("T10").centre[2]),
        float(spine.of("T2").centre[2]),
        float(spine.of("C4").centre[2]),
    ]
    f = {site: fat_mm(person, site) for site in ("chest", "belly", "back", "hip", "neck")}
    side = np.interp(skin.z, z, [f["hip"], f["hip"], f["belly"] * 0.8, f["chest"], f["chest"], f["neck"]])
    front = np.interp(
        skin.z, z, [f["belly"] * 0.8, f["belly"], f["belly"], f["chest"], f["chest"], f["neck"]]
    )
    back = np.interp(skin.z, z, [f["hip"], f["back"] * 1.5, f["back"] * 1.2, f["back"], f["back"], f["neck"]])
    return Outline(skin, skin.inset(side, front, back))


def _thigh(spine: Spine, hip: FloatArray, inset: float) -> list[Primitive]:
    k = spine.scale
    line = hip + k * np.array([[6, 12, -40], [12, 8, -110], [12, 4, -230], [8, 6, -380], [6, 8, -440]], float)
    radii = np.array([92, 88, 74, 60, 60]) * k - inset
    sides: list[Primitive] = []
    for side in (1.0, -1.0):
        at = line * np.array([side, 1, 1])
        sides += [
            ball_bar(a, b, ra, rb)
            for a, b, ra, rb in zip(at[:-1], at[1:], radii[:-1], radii[1:], strict=True)
        ]
    return sides


def _shoulders(spine: Spine, chest: Chest, inset: float) -> list[Primitive]:
    k, head = chest.scale, shoulder_centre(spine, chest)
    sides: list[Primitive] = []
    for side in (1.0, -1.0):
        shoulder = head * np.array([side, 1, 1])
        neck = spine.of("T1").centre + np.array([side * 44 * k, 4, 6])
        armpit = shoulder + np.array([-side * 40, 6, -70]) * k
        sides.append(
            ball_bar(neck, shoulder + np.array([-side * 6, 4, 4]) * k, 36 * k - inset, 44 * k - inset)
        )
        sides.append(
            ball_bar(shoulder + np.array([-side * 6, 4, 4]) * k, armpit, 46 * k - inset, 52 * k - inset)
        )
    return sides


def _head(spine: Spine, inset: float) -> list[Primitive]:
    k, c = spine.scale, skull_centre(spine)
    at = Spot(c, k)
    return [
        Ellipsoid(at(0, 0, 3), (80 * k - inset, 97 * k - inset, 71 * k - inset)),
        Ellipsoid(at(0, -42, -58), (74 * k - inset, 58 * k - inset, 62 * k - inset)),
        Ellipsoid(at(0, -96, -44), (15 * k - inset, 20 * k - inset, 22 * k - inset)),
        Ellipsoid(at(0, 18, -54), (80 * k - inset, 54 * k - inset, 46 * k - inset)),
        Ellipsoid(at(0, -70, -94), (44 * k - inset, 35 * k - inset, 34 * k - inset)),
        Ellipsoid(at(0, 36, -40), (60 * k - inset, 50 * k - inset, 44 * k - inset)),
    ]


def _breasts(chest: Chest, person: Person) -> list[Primitive]:
    """Breasts of a woman who lies on her back."""
    if person.sex == "M":
        return []
    k, size = chest.scale, 1.0 + 0.02 * max(obesity(person), -4.0)
    at = Spot(chest.sternum_at(float(chest.top[2]) * 0.45 + float(chest.bottom[2]) * 0.55), k)
    return [
        Ellipsoid(at(side * 82, -4, 0), (60 * k * size, 44 * k * size, 58 * k * size)) for side in (1, -1)
    ]


def envelope(
    spine: Spine,
    chest: Chest,
    sections: Sections,
    insets: tuple[float, float, float],
    person: Person | None = None,
) -> Field:
    """Trunk, shoulders, head and thighs in one.

    Parameters
    ----------
    insets : tuple of float
        Of thighs, shoulders and head, mm.
    person : Person or None
        With breasts, where the skin is meant.
    """
    column = sections.shape()
    hip = hip_centre(spine)
    limbs = [*_thigh(spine, hip, insets[0]), *_shoulders(spine, chest, insets[1]), *_head(spine, insets[2])]
    limbs += [] if person is None else _breasts(chest, person)
    canvas = Canvas(*outer_box([column, *limbs]), _COARSE_MM, margin=9.0, far=40.0)
    canvas.unite(column).unite_all(limbs, 24.0)
    return cropped(Field(normalised(canvas.values, _COARSE_MM), canvas.origin, _COARSE_MM), 9.0)


def arm_fields(spine: Spine, chest: Chest, inset: float) -> tuple[Field, Field]:
    """Left and right upper arm, inside the fat by `inset`; they move with the humerus."""
    k, head = chest.scale, shoulder_centre(spine, chest)
    line = head + k * np.array([[4, 2, 0], [26, 6, -70], [36, 12, -170], [43, 19, -290]], float)
    radii = np.array([46, 47, 46, 40]) * k - inset
    found = []
    for side in (1.0, -1.0):
        at = line * np.array([side, 1, 1])
        bars: list[Primitive] = [
            ball_bar(a, b, ra, rb)
            for a, b, ra, rb in zip(at[:-1], at[1:], radii[:-1], radii[1:], strict=True)
        ]
        canvas = Canvas(*outer_box(bars), _COARSE_MM, margin=9.0).unite_all(bars, 6.0)
        found.append(canvas.field())
    return found[0], found[1]


def _paraspinal(spine: Spine, side: float) -> list[Primitive]:
    """The erector spinae and multifidus of one side, from C2 to the sacrum."""
    points, radii = [], []
    for v in spine.vertebrae[1:]:
        size, region = v.sizes, v.level[0]
        rear = size["depth"] / 2 + size["canal_depth"]
        wide, deep = {"C": (15.0, 13.0), "T": (20.0, 12.0), "L": (29.0, 20.0)}[region]
        if v.level in ("T10", "T11", "T12", "T13"):
            wide, deep = 25.0, 16.0
        middle = rear + {"C": 9.0, "T": 8.0, "L": 13.0}[region]
        points.append(v.place((side * (wide * 0.92 + 3.0), middle, -4.0)))
        radii.append((wide * spine.scale, deep * spine.scale))
    turn = spine.sacral_axes
    for y, z, wide, deep in ((48.0, -20.0, 25.0, 13.0), (58.0, -55.0, 14.0, 7.0)):
        points.append(turn @ np.array([side * (wide * 0.92 + 3.0), y, z]))
        radii.append((wide * spine.scale, deep * spine.scale))
    return [
        Bar(a, b, ra, rb) for a, b, ra, rb in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True)
    ]


def _psoas(spine: Spine, side: float) -> list[Primitive]:
    """Psoas and iliacus of one side."""
    k, turn = spine.scale, pelvic_axes(spine)
    hip = hip_centre(spine) * np.array([side, 1, 1])
    lumbar = [v for v in spine.vertebrae if v.level[0] == "L"]
    sizes = np.interp(np.linspace(0, 1, len(lumbar)), [0, 1], [9.0, 23.0]) * k
    points = [
        v.place((side * (v.sizes["width"] / 2 + r * 0.72), 4.0, 0.0))
        for v, r in zip(lumbar, sizes, strict=True)
    ]
    rest = [turn @ (k * np.array(p)) for p in ((side * 58, -22, -26), (side * 76, -56, -66))]
    rest += [hip + k * np.array([side * 4, -34, -6]), hip + k * np.array([side * 18, 6, -62])]
    line = [*points, *rest]
    radii = [
        *((r, r * 1.15) for r in sizes),
        (22 * k, 20 * k),
        (17 * k, 15 * k),
        (16 * k, 12 * k),
        (7 * k, 7 * k),
    ]
    bars: list[Primitive] = [
        Bar(a, b, ra, rb) for a, b, ra, rb in zip(line[:-1], line[1:], radii[:-1], radii[1:], strict=True)
    ]
    fossa = [
        turn @ (k * np.array(p))
        for p in ((side * 112, -14, 16), (side * 96, -30, -30), (side * 86, -50, -66))
    ]
    across = turn @ np.array([side * 0.35, 1.0, 0.0])
    bars.append(Bar(fossa[0], fossa[1], (24 * k, 7 * k), (28 * k, 11 * k), across))
    bars.append(Bar(fossa[1], fossa[2], (28 * k, 11 * k), (18 * k, 12 * k), across))
    return bars


def _glutei(spine: Spine, side: float) -> dict[str, list[Primitive]]:
    k, turn = spine.scale, pelvic_axes(spine)
    hip = hip_centre(spine) * np.array([side, 1, 1])
    at = Spot(hip, k, side)
    sacral = turn @ (k * np.array([side * 58, 74, -40]))
    across = (0.6 * side, 0.0, 0.8)
    return {
        "gluteus_maximus": [
            Bar(sacral, at(-14, 84, -26), (40 * k, 15 * k), (56 * k, 27 * k), across),
            Bar(at(-14, 84, -26), at(46, 38, -84), (56 * k, 27 * k), (36 * k, 13 * k), across),
        ],
        "gluteus_medius": [
            Bar(at(50, 26, 108), at(58, 14, 40), (40 * k, 12 * k), (36 * k, 17 * k), (0, 1, 0)),
            Bar(at(58, 14, 40), at(62, 6, -6), (36 * k, 17 * k), (14 * k, 8 * k), (0, 1, 0)),
        ],
        "gluteus_minimus": [
            Bar(at(34, 8, 62), at(50, -4, 12), (26 * k, 8 * k), (14 * k, 9 * k), (0, 1, 0)),
        ],
    }


def muscles_of(spine: Spine) -> dict[str, Field]:
    """Named muscles of the trunk, by part name."""
    found = {}
    for word, side in (("left", 1.0), ("right", -1.0)):
        groups = {
            "iliopsoas": _psoas(spine, side),
            "autochthon": _paraspinal(spine, side),
            **_glutei(spine, side),
        }
        for name, bars in groups.items():
            found[f"{name}_{word}"] = (
                Canvas(*outer_box(bars), _MUSCLE_MM).unite_all(bars, 6.0).field(margin=6.0)
            )
    return found


def ischioanal_field(spine: Spine) -> Field:
    """Fat below the pelvic floor, beside and behind the rectum."""
    k, hip = spine.scale, hip_centre(spine)
    shapes: list[Primitive] = []
    for side in (1.0, -1.0):
        at = hip * np.array([side, 1, 1])
        shapes.append(
            ball_bar(
                at + k * np.array([-52 * side, 62, -30]),
                at + k * np.array([-48 * side, 40, -84]),
                17 * k,
                20 * k,
            )
        )
    return Canvas(*outer_box(shapes), _MUSCLE_MM).unite_all(shapes, 8.0).field()


def within(inner: Field, outer: Field, inset: float) -> Field:
    """The part of a shape that lies deeper than `inset` inside another one."""
    lines = [np.arange(n) * inner.step + o for n, o in zip(inner.values.shape, inner.origin, strict=True)]
    limit = sampled(outer, lines)
    return cropped(Field(np.maximum(inner.values, limit + np.float32(inset)), inner.origin, inner.step))


def streaks(
    shape: Field, share: float, grain: tuple[float, float, float], inset: float, rng: np.random.Generator
) -> Field:
    """Strands inside a shape that fill about `share` of it: fat in muscle.

    Parameters
    ----------
    grain : tuple of float
        Correlation length along left, back and head, mm.
    """
    n = noise(shape.values.shape, tuple(g / shape.step for g in grain), rng)
    level = float(np.quantile(n[shape.values < 0], 1 - share)) if (shape.values < 0).any() else 9.0
    slope = np.sqrt(sum(g * g for g in np.gradient(n, shape.step)))
    strand = (level - n) / np.maximum(slope, 0.5 / max(grain))
    return cropped(
        Field(np.maximum(np.clip(strand, -8, 8), shape.values + np.float32(inset)), shape.origin, shape.step)
    )


def septa(
    shape: Field, thick: float, grain: tuple[float, float, float], inset: float, rng: np.random.Generator
) -> Field:
    """Sheets of fat between the muscles inside a shape, `thick` mm in the mean."""
    n = noise(shape.values.shape, tuple(g / shape.step for g in grain), rng)
    slope = np.sqrt(sum(g * g for g in np.gradient(n, shape.step)))
    sheet = np.abs(n) / np.maximum(slope, 0.4 / max(grain)) - np.float32(thick / 2)
    return cropped(
        Field(np.maximum(np.minimum(sheet, 8), shape.values + np.float32(inset)), shape.origin, shape.step)
    )
