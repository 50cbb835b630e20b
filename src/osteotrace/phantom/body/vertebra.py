"""Shapes of the vertebrae C3 to L6, and of the discs."""

from __future__ import annotations

import numpy as np

from osteotrace.phantom.body.shapes import (
    Bar,
    Canvas,
    Coordinates,
    Ellipsoid,
    Primitive,
    Shape,
    ball_bar,
    outer_box,
    smooth_max,
)
from osteotrace.phantom.body.spine_curve import Vertebra
from osteotrace.phantom.field import Field, Float32Array
from osteotrace.space import FloatArray

WAIST = {"C": 0.04, "T": 0.09, "L": 0.12}
DISH = {"C": 0.8, "T": 1.1, "L": 1.6}


def body_shape(vertebra: Vertebra) -> Shape:
    """The body: bean-shaped section with a waist between two dished endplates."""
    size, region = vertebra.sizes, vertebra.level[0]
    half_width, half_depth, half_height = size["width"] / 2, size["depth"] / 2, size["height"] / 2
    lost = vertebra.wedge * size["height"]
    edge = 2.6

    def of(at: Coordinates) -> Float32Array:
        u, v, w = at
        r = np.clip(w / half_height, -1.2, 1.2)
        waist = 1.0 - WAIST[region] * np.maximum(1.0 - r * r, 0.0)
        if vertebra.worn_above or vertebra.worn_below:
            waist = waist + _lips(vertebra, u, v, r)
        side = section(u, v, half_width * waist, half_depth * waist, region)
        rho = (u / half_width) ** 2 + (v / half_depth) ** 2
        dish = DISH[region] * np.maximum(1.0 - rho, 0.0)
        top = half_height - dish - np.clip((0.5 - v / (2 * half_depth)) * lost, 0.0, lost)
        bottom = half_height - dish * 0.9
        ends = np.asarray(w - top, np.float32), np.asarray(-w - bottom, np.float32)
        return smooth_max(smooth_max(side, ends[0], edge), ends[1], edge)

    low = (-half_width - 4, -half_depth - 4, -half_height)
    return Shape(low, (half_width + 4, half_depth + 2, half_height), of)


def section(
    u: Float32Array, v: Float32Array, a: Float32Array | float, b: Float32Array | float, region: str
) -> Float32Array:
    """Distance to the outline of a body or disc: an ellipse with a flat or hollow back."""
    hollow = {"C": 0.06, "T": 0.12, "L": 0.1}[region]
    shifted = v / b + 0.04
    k0 = np.sqrt((u / a) ** 2 + shifted**2 + 1e-6)
    k1 = np.sqrt((u / (a * a)) ** 2 + (shifted / b) ** 2 + 1e-9)
    round_side = np.maximum(k0 * (k0 - 1.0) / k1, -0.9 * np.min(b))
    back = v - b * (0.84 + hollow * np.minimum((u / a) ** 2, 1.0))
    return smooth_max(round_side, back, 5.0)


def _lips(vertebra: Vertebra, u: Float32Array, v: Float32Array, r: Float32Array) -> Float32Array:
    """Osteophytes: the rim swells out in front and at the sides, more at some angles."""
    angle = np.arctan2(u, -v + 4.0)
    strength = 0.13 * np.clip(np.cos(angle) + 0.35, 0.0, 1.0) * (0.75 + 0.25 * np.cos(5 * angle + 1.0))
    above = np.exp(-(((r - 0.95) / 0.22) ** 2)) if vertebra.worn_above else 0.0
    below = np.exp(-(((r + 0.95) / 0.22) ** 2)) if vertebra.worn_below else 0.0
    return np.asarray(strength * (above + below), dtype=np.float32)


def posterior_shapes(vertebra: Vertebra) -> list[Primitive]:
    """Pedicles, laminae, articular, transverse and spinous processes."""
    both = [*_pedicles(vertebra), *_laminae(vertebra), *_facets(vertebra), *_transverse(vertebra)]
    return [*both, *_spinous(vertebra)]


def _rise(vertebra: Vertebra) -> float:
    """Pedicles leave the upper half of the body, mm."""
    return {"C": 0.02, "T": 0.16, "L": 0.18}[vertebra.level[0]] * vertebra.sizes["height"]


def pedicle_place(vertebra: Vertebra) -> tuple[float, float, float]:
    """Middle of the left pedicle, local."""
    size = vertebra.sizes
    aside = (size["canal_width"] + size["pedicle_width"]) / 2
    if vertebra.level[0] != "C":
        aside = max(aside * 0.5 + size["pedicle_distance"] / 4, size["canal_width"] / 2 + 2.5)
    return aside, size["depth"] / 2 + 1.0 + 0.25 * size["canal_depth"], _rise(vertebra)


def _pedicles(vertebra: Vertebra) -> list[Primitive]:
    size = vertebra.sizes
    aside, _, up = pedicle_place(vertebra)
    radii = (size["pedicle_width"] / 2, size["pedicle_height"] / 2)
    root = (min(aside * 0.9, size["width"] / 2 - 3.0), size["depth"] / 2 - 6.0, up)
    end = (aside + 0.5, size["depth"] / 2 + 0.52 * size["canal_depth"], up - 1.0)
    found: list[Primitive] = []
    for side in (1.0, -1.0):
        found.append(Bar((side * root[0], root[1], root[2]), (side * end[0], end[1], end[2]), radii, radii))
    return found


def _laminae(vertebra: Vertebra) -> list[Primitive]:
    size = vertebra.sizes
    aside, _, up = pedicle_place(vertebra)
    rear = size["depth"] / 2 + size["canal_depth"]
    thick = {"C": 1.6, "T": 2.9, "L": 3.2}[vertebra.level[0]]
    tall = {"C": 0.36, "T": 0.46, "L": 0.36}[vertebra.level[0]] * size["height"]
    low = {"C": -0.12, "T": -0.22, "L": -0.18}[vertebra.level[0]] * size["height"]
    outer = (aside + 0.5, size["depth"] / 2 + 0.55 * size["canal_depth"], up * 0.3)
    found: list[Primitive] = []
    for side in (1.0, -1.0):
        found.append(
            Bar(
                (side * outer[0], outer[1], outer[2] + low * 0.4),
                (side * 1.0, rear + thick + 0.4, low),
                (tall * 0.85, thick),
                (tall, thick),
                (0.0, 0.25, 1.0),
            )
        )
    return found


def _facets(vertebra: Vertebra) -> list[Primitive]:
    """Articular processes: plates that overlap those of the neighbour behind the foramen."""
    size, region = vertebra.sizes, vertebra.level[0]
    gap = size["facet_gap"] / 2 + size["facet_height"] * 0.3
    tall, half = size["facet_height"] / 2, size["height"] / 2
    found: list[Primitive] = []
    back = size["depth"] / 2 + 0.62 * size["canal_depth"]
    last = vertebra.level in ("T12", "T13")
    for side in (1.0, -1.0):
        if region == "L":
            upper = (side * (gap + 2.5), back - 0.5, half + 1.0)
            lower = (side * (gap - 3.5), back + 4.5, -half - 7.0)
            found.append(
                Bar(
                    (side * (gap + 1.5), back, half * 0.15), upper, (4.2, 4.5), (3.6, 5.6), (1, side * 0.6, 0)
                )
            )
            found.append(
                Bar(
                    (side * (gap - 1), back + 3, -half * 0.2),
                    lower,
                    (4.0, 4.2),
                    (3.3, 4.6),
                    (1, side * 0.6, 0),
                )
            )
        else:
            lean = 0.45 if region == "C" else 0.22
            start = (side * gap, back + 0.5, 0.0)
            upper = (side * gap, back - 1.0 - lean * 3, half + (1.0 if region == "C" else 2.0))
            lower = (
                side * gap * (0.95 if not last else 0.9),
                back + 3.5 + lean * 3,
                -half - (1.5 if not last else 6.0),
            )
            found.append(Bar(start, upper, (tall, 3.6), (tall * 0.85, 2.0), (1, 0, 0)))
            found.append(Bar(start, lower, (tall, 3.6), (tall * 0.85, 2.0), (1, 0, 0)))
    return found


def transverse_tip(vertebra: Vertebra) -> tuple[float, float, float]:
    """End of the left transverse process, local."""
    size = vertebra.sizes
    root = size["depth"] / 2 + 0.5 * size["canal_depth"]
    return size["transverse_span"] / 2 - 4.0, root + size["transverse_back"] * 0.75, size["transverse_rise"]


def _transverse(vertebra: Vertebra) -> list[Primitive]:
    size, region = vertebra.sizes, vertebra.level[0]
    tip = transverse_tip(vertebra)
    aside, _, up = pedicle_place(vertebra)
    found: list[Primitive] = []
    for side in (1.0, -1.0):
        root = (side * aside, size["depth"] / 2 + 0.55 * size["canal_depth"], up * 0.6)
        end = (side * tip[0], tip[1], tip[2])
        if region == "C":
            front = (side * size["width"] * 0.42, 0.0, 0.0)
            found.append(Bar(front, (side * (tip[0] - 2), 2.0, -3.0), (2.2, 2.4), (2.4, 2.2)))
            found.append(Bar(root, (side * (tip[0] - 2), 7.0, -3.0), (2.6, 2.6), (2.4, 2.2)))
        elif region == "T":
            found.append(Bar(root, end, (4.2, 4.6), (4.4, 4.6), (0, 0, 1)))
        else:
            stout = 1.0 if vertebra.level in ("L5", "L6") else 0.0
            found.append(
                Bar(root, end, (5.5 + 2 * stout, 3.2 + 2 * stout), (3.8 + stout, 2.2 + stout), (0, 0, 1))
            )
    return found


def _spinous(vertebra: Vertebra) -> list[Primitive]:
    size, region = vertebra.sizes, vertebra.level[0]
    rear = size["depth"] / 2 + size["canal_depth"] + 2.5
    slope = np.radians(size["spinous_slope"])
    low = {"C": -0.12, "T": -0.25, "L": -0.28}[region] * size["height"]
    start = np.array([0.0, rear, low])
    end = start + (size["spinous_length"] - 4.0) * np.array([0.0, np.cos(slope), -np.sin(slope)])
    tall = size["spinous_height"] / 2
    up = (0.0, np.sin(slope), np.cos(slope))
    bar = Bar(start, end, (tall * 0.95, 2.8), (tall, 3.4 if region == "L" else 2.6), up)
    if region == "C" and vertebra.level != "C7":
        forks = [
            ball_bar(end - (0, 3, 0), end + np.array([side * 4.0, 2.5, -1.5]), 2.6, 2.4) for side in (1, -1)
        ]
        return [bar, *forks]
    return [bar, Ellipsoid(end, (3.6, 3.4, tall * 1.02))]


def _holes(vertebra: Vertebra) -> list[Primitive]:
    """The canal, and the foramina of the vertebral artery."""
    size = vertebra.sizes
    radii = (size["canal_width"] / 2, size["canal_depth"] / 2)
    reach = size["height"]
    canal = Bar((0, vertebra.canal_back, -reach), (0, vertebra.canal_back, reach), radii, radii)
    if vertebra.level[0] != "C" or vertebra.level == "C7":
        return [canal]
    aside = size["width"] / 2 + 5.0
    artery = [ball_bar((side * aside, 3.5, -9.0), (side * aside, 3.5, 9.0), 2.7) for side in (1.0, -1.0)]
    return [canal, *artery]


def joined(canvas: Canvas, shapes: list[Primitive], holes: list[Primitive], blend: float) -> Canvas:
    """Unite shapes with fillets and cut holes."""
    canvas.unite_all(shapes, blend)
    for hole in holes:
        canvas.cut(hole, 1.0)
    return canvas


def vertebra_fields(vertebra: Vertebra, step: float) -> tuple[Field, Field, Field]:
    """Whole vertebra, body, posterior elements."""
    body, arch, holes = body_shape(vertebra), posterior_shapes(vertebra), _holes(vertebra)
    blend = {"C": 1.5, "T": 3.0, "L": 3.5}[vertebra.level[0]]

    def canvas(shapes: list[Primitive]) -> Canvas:
        return Canvas(*outer_box(shapes), step, vertebra.centre, vertebra.axes)

    whole = joined(canvas([body, *arch]), [body, *arch], holes, blend).field()
    front = joined(canvas([body]), [body], holes, 0.0).field()
    rear = joined(canvas(arch), arch, [*holes, body], blend).field()
    return whole, front, rear


def disc_shape(upper: Vertebra, lower: Vertebra) -> tuple[Shape, FloatArray, FloatArray]:
    """Shape of the disc between two bodies, its centre and axes."""
    top = upper.place((0, 0, -upper.sizes["height"] / 2))
    bottom = lower.place((0, 0, lower.sizes["height"] / 2))
    axes = upper.axes + lower.axes
    axes, _ = np.linalg.qr(axes)
    axes = axes * np.sign((axes * upper.axes).sum(axis=0))
    a = (upper.sizes["width"] + lower.sizes["width"]) / 4 * 0.98
    b = (upper.sizes["depth"] + lower.sizes["depth"]) / 4 * 0.98
    half = max(float(np.linalg.norm(top - bottom)) / 2, 1.5)
    tilt = upper.axes.T @ axes, lower.axes.T @ axes
    region = lower.level[0]

    def of(at: Coordinates) -> Float32Array:
        u, v, w = at
        side = section(u, v, a, b, region)
        over = float(tilt[0][2, 1]) * v + float(tilt[0][2, 2]) * w - half - 2.0
        under = -(float(tilt[1][2, 1]) * v + float(tilt[1][2, 2]) * w) - half - 2.0
        return np.asarray(np.maximum(np.maximum(side, over), under), dtype=np.float32)

    tall = half + 2.0 + 0.2 * b
    return Shape((-a, -b, -tall), (a, b, tall), of), (top + bottom) / 2, axes


def disc_fields(upper: Vertebra, lower: Vertebra, step: float) -> tuple[Field, Field]:
    """The disc (it reaches under the endplates, which are drawn over it) and its nucleus."""
    shape, centre, axes = disc_shape(upper, lower)
    low, high = shape.box
    whole = Canvas(low, high, step, centre, axes).unite(shape).field()
    half = max(float(high[2]) * 0.42, 2.0)
    core = Ellipsoid((0.0, float(high[1]) * 0.12, 0.0), (float(high[0]) * 0.55, float(high[1]) * 0.55, half))
    nucleus = Canvas(*core.box, step, centre, axes).unite(core).field()
    return whole, nucleus
