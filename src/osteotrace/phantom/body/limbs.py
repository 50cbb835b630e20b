"""Lower legs and forearms: plain shapes that move with femur and humerus, for views of the whole body."""

from __future__ import annotations

import itertools

import numpy as np

from osteotrace.phantom.body.pelvis import hip_centre, mirrored
from osteotrace.phantom.body.shapes import Bar, Ellipsoid, Primitive, Spot, ball_bar, drawn
from osteotrace.phantom.body.shoulder import shoulder_centre
from osteotrace.phantom.body.spine_curve import Spine
from osteotrace.phantom.body.thorax import Chest
from osteotrace.phantom.field import Field

_BONE_MM = 1.5
_SOFT_MM = 3.0


def leg_bones(spine: Spine) -> dict[str, tuple[Field, Field]]:
    """Patella, tibia, fibula and foot; left and right of each."""
    at, k = Spot(hip_centre(spine), spine.scale), spine.scale
    tibia: list[Primitive] = [
        Bar(at(5, 12, -446), at(6, 10, -462), (36 * k, 24 * k), (32 * k, 21 * k)),
        ball_bar(at(6, 8, -470), at(6, 8, -540), 20 * k, 13 * k),
        ball_bar(at(6, 8, -540), at(8, 16, -740), 13 * k, 12 * k),
        ball_bar(at(8, 16, -740), at(8, 18, -808), 12 * k, 20 * k),
    ]
    fibula: list[Primitive] = [
        ball_bar(at(38, 26, -462), at(38, 28, -484), 8 * k, 6 * k),
        ball_bar(at(38, 28, -484), at(36, 28, -790), 6 * k, 6 * k),
        ball_bar(at(36, 28, -790), at(34, 26, -826), 8 * k, 8 * k),
    ]
    foot: list[Primitive] = [
        Ellipsoid(at(10, 20, -838), (22 * k, 28 * k, 18 * k)),
        ball_bar(at(14, 58, -862), at(12, 26, -858), 19 * k, 15 * k),
        Bar(at(10, 0, -850), at(12, -50, -866), (24 * k, 15 * k), (30 * k, 10 * k)),
    ]
    for ray in range(5):
        start, end = at(-6 + 10 * ray, -50, -866), at(-14 + 15 * ray, -108 + 6 * ray, -876)
        foot.append(ball_bar(start, end, 6.5 * k, 5.5 * k))
        foot.append(ball_bar(end, at(-15 + 15 * ray, -150 + 9 * ray, -878), 5 * k, 3.5 * k))
    knee: list[Primitive] = [Ellipsoid(at(8, -32, -408), (21 * k, 11 * k, 22 * k))]
    return {
        name: _both(shapes, 3.0)
        for name, shapes in _named(patella=knee, tibia=tibia, fibula=fibula, foot=foot)
    }


def arm_bones(spine: Spine, chest: Chest) -> dict[str, tuple[Field, Field]]:
    """Radius, ulna and hand; left and right of each."""
    at, k = Spot(shoulder_centre(spine, chest), chest.scale), chest.scale
    ulna: list[Primitive] = [
        Bar(at(38, 32, -294), at(38, 22, -330), (13 * k, 12 * k), (10 * k, 10 * k)),
        ball_bar(at(38, 22, -330), at(34, 6, -540), 8 * k, 6.5 * k),
    ]
    radius: list[Primitive] = [
        ball_bar(at(56, 12, -312), at(54, 10, -336), 11 * k, 7 * k),
        ball_bar(at(54, 10, -336), at(52, 0, -500), 7.5 * k, 8 * k),
        ball_bar(at(52, 0, -500), at(46, -2, -540), 8 * k, 15 * k),
    ]
    hand: list[Primitive] = [Bar(at(42, 0, -562), at(42, -2, -580), (24 * k, 11 * k), (27 * k, 10 * k))]
    for ray in range(4):
        start, end = at(28 + 10 * ray, -2, -586), at(22 + 14 * ray, -8, -642)
        hand.append(ball_bar(start, end, 5.5 * k, 5.5 * k))
        hand.append(ball_bar(end, at(20 + 15 * ray, -16, -720), 5 * k, 3.5 * k))
    hand.append(ball_bar(at(58, -8, -576), at(74, -18, -626), 6 * k, 5 * k))
    return {name: _both(shapes, 2.0) for name, shapes in _named(ulna=ulna, radius=radius, hand=hand)}


def _named(**shapes: list[Primitive]) -> list[tuple[str, list[Primitive]]]:
    return list(shapes.items())


def _both(shapes: list[Primitive], blend: float) -> tuple[Field, Field]:
    left = drawn(shapes, _BONE_MM, blend)
    return left, mirrored(left)


def _sleeve(points: list[np.ndarray], radii: list[float], inset: float) -> tuple[Field, Field]:
    pairs = zip(itertools.pairwise(points), itertools.pairwise(radii), strict=True)
    bars: list[Primitive] = [ball_bar(a, b, ra - inset, rb - inset) for (a, b), (ra, rb) in pairs]
    left = drawn(bars, _SOFT_MM, 6.0)
    return left, mirrored(left)


def leg_sleeves(spine: Spine, inset: float) -> tuple[Field, Field]:
    """Outline of the lower legs with feet, inside of the skin by `inset` mm."""
    at, k = Spot(hip_centre(spine), spine.scale), spine.scale
    points = [
        at(8, 6, -400),
        at(8, 8, -452),
        at(12, 22, -560),
        at(12, 18, -760),
        at(12, 26, -840),
        at(14, -60, -862),
        at(14, -140, -876),
    ]
    return _sleeve(points, [r * k for r in (60, 57, 58, 40, 44, 36, 24)], inset)


def arm_sleeves(spine: Spine, chest: Chest, inset: float) -> tuple[Field, Field]:
    """Outline of the forearms with hands, inside of the skin by `inset` mm."""
    at, k = Spot(shoulder_centre(spine, chest), chest.scale), chest.scale
    points = [
        at(42, 18, -280),
        at(46, 16, -340),
        at(44, 4, -520),
        at(42, -2, -570),
        at(42, -6, -640),
        at(40, -14, -712),
    ]
    return _sleeve(points, [r * k for r in (40, 41, 29, 30, 28, 18)], inset)
