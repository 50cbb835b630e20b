"""Ribs, costal cartilages and sternum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.interpolate import CubicSpline

from osteotrace.phantom.body.options import BodyOptions
from osteotrace.phantom.body.shapes import Bar, Canvas, Ellipsoid, Primitive, Tube, ball_bar, outer_box
from osteotrace.phantom.body.spine_curve import Spine, Vertebra, table
from osteotrace.phantom.body.vertebra import transverse_tip
from osteotrace.phantom.field import Field
from osteotrace.space import FloatArray

_SAMPLES = 34
_SQUARE = 0.86  # below 1: the chest is squarer than an ellipse
_BEHIND_TUBERCLE_MM = 15.0
_FREE_RIBS = 2  # the last ones end in muscle


@dataclass(frozen=True, slots=True)
class Chest:
    """The front of the chest: middle of the sternum's upper and lower end, body frame, mm."""

    top: FloatArray
    bottom: FloatArray
    scale: float

    def sternum_at(self, z: float) -> FloatArray:
        """Point of the sternum's line at a height, prolonged at both ends, shape (3,)."""
        share = (z - self.top[2]) / (self.bottom[2] - self.top[2])
        return np.asarray(self.top + share * (self.bottom - self.top))


@dataclass(frozen=True, slots=True)
class Rib:
    """One rib: centre line from head to end, and its section."""

    number: int
    side: int
    tube: Tube

    @property
    def end(self) -> FloatArray:
        """Where bone ends, shape (3,)."""
        return np.asarray(self.tube.line[-1])


def chest_of(spine: Spine, options: BodyOptions) -> Chest:
    """Where the sternum lies."""
    k = spine.scale * (0.95 if options.sex == "F" else 1.0)
    upper, lower = spine.of("T3"), spine.of("T9")
    top = upper.centre + np.array([0.0, -60.0 * k, 12.0])
    bottom = lower.centre + np.array([0.0, -128.0 * k, -16.0])
    top[0], bottom[0] = upper.centre[0] * 0.7, lower.centre[0] * 0.5
    return Chest(top, bottom, k)


def ribs_of(spine: Spine, chest: Chest, options: BodyOptions) -> list[Rib]:
    """All ribs, from the first down; right, then left."""
    shapes = table("morphology.toml")["rib"]
    return [
        _rib(spine.of(level), number, side, chest, shapes)
        for number, level in enumerate(options.ribbed_levels, start=1)
        for side in (-1, 1)
    ]


def _rib(vertebra: Vertebra, number: int, side: int, chest: Chest, shapes: dict[str, Any]) -> Rib:
    row = min(number, 12) - 1
    last = number == 13
    k = chest.scale
    head, neck, tubercle = _joints(vertebra, number, side)
    width = shapes["half_width"][row] * k
    turn = shapes["turn"][row] * (0.72 if last else 1.0)
    drop = shapes["drop"][row] * k * (0.6 if last else 1.0)
    axis_x = vertebra.centre[0]
    front = chest.sternum_at(tubercle[2] - drop)[1] + (4.0 if number > 7 else 0.0) * k
    back = tubercle[1] + _BEHIND_TUBERCLE_MM * k * (0.4 if number == 1 else 1.0)
    middle, depth = (front + back) / 2, (back - front) / 2
    first = np.degrees(np.arcsin(np.clip((abs(tubercle[0] - axis_x) + 20.0 * k) / width, 0.1, 0.95)))
    angles = np.radians(np.linspace(first, max(turn, first + 8.0), 9))
    share = np.linspace(0.12, 1.0, 9)
    x = axis_x + side * width * np.abs(np.sin(angles)) ** _SQUARE
    y = middle + depth * np.sign(np.cos(angles)) * np.abs(np.cos(angles)) ** _SQUARE
    z = tubercle[2] - drop * (share - 0.1 * np.sin(np.pi * share) * (1 if number > 2 else 0))
    points = np.vstack([head, neck, tubercle, np.column_stack([x, y, z])])
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    line = CubicSpline(along, points)(np.linspace(0, along[-1], _SAMPLES))
    return Rib(number, side, _section(line, number, side, shapes, row, k))


def _joints(vertebra: Vertebra, number: int, side: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Head, neck and tubercle of a rib at its vertebra."""
    size = vertebra.sizes
    shared = 2 <= number <= 10
    up = size["height"] * (0.5 if shared else 0.12)
    tip = transverse_tip(vertebra)
    head = (side * (size["width"] / 2 + 1.5), size["depth"] * 0.36, up)
    ahead = 7.0 if number <= 10 else 5.0
    neck = (side * (size["width"] / 4 + tip[0] / 2 + 1.0), (head[1] + tip[1]) / 2 - 2.0, up * 0.75)
    tubercle = (side * (tip[0] + 1.0), tip[1] - ahead, tip[2] + (1.0 if number > 1 else 2.0))
    return vertebra.place(head), vertebra.place(neck), vertebra.place(tubercle)


def _section(line: FloatArray, number: int, side: int, shapes: dict[str, Any], row: int, k: float) -> Tube:
    """Flat section that stands in the wall of the chest."""
    tangent = np.gradient(line, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    outward = np.cross(tangent, np.array([0.0, 0.0, 1.0])) * side
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    wide = np.cross(tangent, outward)
    share = np.linspace(0, 1, len(line))
    tall = (
        np.interp(share, [0, 0.05, 0.2, 0.9, 1], [0.8, 0.62, 0.95, 1.0, 1.12]) * shapes["height"][row] * k / 2
    )
    thin = (
        np.interp(share, [0, 0.05, 0.2, 0.9, 1], [1.15, 0.9, 1.1, 0.95, 1.0])
        * shapes["thickness"][row]
        * k
        / 2
    )
    if number >= 11:
        taper = np.interp(share, [0, 0.75, 1], [1, 1, 0.6])
        tall, thin = tall * taper, thin * taper
    return Tube(line, wide, np.column_stack([tall, thin]))


def rib_field(rib: Rib, step: float) -> Field:
    """Field of one rib, with its tubercle."""
    bars = rib.tube.bars()
    canvas = Canvas(*outer_box(list(bars)), step)
    canvas.unite_all(bars, 0.8)
    return canvas.field()


def _lateral_of_sternum(chest: Chest, number: int, side: int) -> FloatArray:
    """Where a cartilage meets the sternum."""
    share = (0.03, 0.25, 0.40, 0.53, 0.65, 0.75, 0.82)[number - 1]
    point = chest.top + share * (chest.bottom - chest.top)
    wide = (24.0, 17.0, 15.0, 16.0, 17.5, 17.5, 13.0)[number - 1] * chest.scale
    return np.asarray(point + np.array([side * wide, 1.0, 0.0]))


def cartilage_field(ribs: list[Rib], chest: Chest, step: float) -> Field:
    """Costal cartilages of both sides in one."""
    bars: list[Primitive] = []
    k = chest.scale
    for side in (-1, 1):
        joined = {rib.number: rib for rib in ribs if rib.side == side and rib.number <= 10}
        meets: dict[int, FloatArray] = {}
        for number, rib in joined.items():
            if number <= 7:
                target = _lateral_of_sternum(chest, number, side)
            else:
                target = joined[number - 1].end * 0.45 + meets[number - 1] * 0.55 + np.array([0, 1.0, -4.0])
            dip = np.array([0.0, -3.0 * k, -0.16 * abs(rib.end[0] - target[0]) if number > 4 else 0.0])
            middle = (rib.end + target) / 2 + dip
            meets[number] = middle
            radii = (6.2 * k, 4.0 * k)
            for a, b in ((rib.end, middle), (middle, target)):
                bars.append(Bar(a, b, radii, radii, (0, 0, 1)))
    return Canvas(*outer_box(bars), step).unite_all(bars, 3.0).field()


def sternum_field(chest: Chest, step: float) -> Field:
    """Manubrium, body and xiphoid."""
    k, down = chest.scale, chest.bottom - chest.top
    at = [chest.top + share * down for share in (-0.02, 0.06, 0.23, 0.27, 0.5, 0.72, 0.82, 0.99)]
    solid: list[Primitive] = [
        Bar(at[0], at[2], (26 * k, 6.5 * k), (15 * k, 5.5 * k)),
        Bar(at[3], at[4], (13 * k, 5.5 * k), (15.5 * k, 5.5 * k)),
        Bar(at[4], at[5], (15.5 * k, 5.5 * k), (16 * k, 5 * k)),
        Bar(at[5], at[6], (16 * k, 5 * k), (9 * k, 4 * k)),
        Bar(at[6], at[7], (6 * k, 3.2 * k), (3.2 * k, 2.5 * k)),
    ]
    canvas = Canvas(*outer_box(solid), step).unite_all(solid, 2.0)
    notch = chest.top - 0.1 * down + np.array([0, 0, 1.0])
    canvas.cut(Ellipsoid(notch, (13 * k, 14 * k, 9 * k)), 3.0)
    joint = chest.top + 0.25 * down
    canvas.cut(ball_bar(joint - np.array([30, 0, 0]), joint + np.array([30, 0, 0]), 1.0), 1.0)
    return canvas.field()
