"""C1, C2, sacrum and coccyx."""

from __future__ import annotations

import numpy as np

from osteotrace.phantom.body.shapes import Bar, Canvas, Ellipsoid, Primitive, ball_bar, outer_box
from osteotrace.phantom.body.spine_curve import Spine, Vertebra
from osteotrace.phantom.body.vertebra import body_shape, joined, posterior_shapes
from osteotrace.phantom.field import Field
from osteotrace.space import FloatArray

_SACRAL_STEPS_MM = (0.0, 30.0, 24.0, 21.0, 18.0, 15.0)
_SACRAL_TURN_DEG = (0.0, 4.0, 10.0, 14.0, 20.0, 18.0)
_SACRAL_WIDTH_MM = (50.0, 36.0, 30.0, 27.0, 25.0, 22.0)
_SACRAL_DEPTH_MM = (33.0, 24.0, 19.0, 15.0, 12.0, 9.0)
_HALF_OUTLINE_MM = (54.0, 55.0, 48.0, 38.0, 31.0, 19.0)
_COCCYX_STEPS_MM = (9.0, 9.0, 8.0, 7.0)


def atlas_fields(vertebra: Vertebra, step: float) -> tuple[Field, Field, Field]:
    """C1: anterior arch, lateral masses, posterior arch, transverse processes."""
    scale = vertebra.sizes["canal_width"] / 27.0
    front, rear = -9.5 * scale, 27.0 * scale
    anterior: list[Primitive] = [Ellipsoid((0.0, front - 1.0, 0.0), (5.0, 4.0, 5.5))]
    posterior: list[Primitive] = [Ellipsoid((0.0, rear + 2.0, 0.0), (5.0, 4.0, 4.5))]
    for side in (1.0, -1.0):
        mass = (side * 18.5 * scale, -1.0, 0.0)
        anterior.append(Bar(mass, (0.0, front, 0.0), (5.0, 4.0), (5.0, 3.2), (0, 0, 1)))
        anterior.append(Ellipsoid(mass, (8.0, 9.5, 8.0)))
        corner = (side * 19.0 * scale, 14.0 * scale, 1.0)
        posterior.append(Bar((side * 18.0 * scale, 5.0, 1.0), corner, (4.0, 3.4), (3.6, 3.2), (0, 0, 1)))
        posterior.append(Bar(corner, (0.0, rear, 0.0), (3.6, 3.2), (4.2, 3.2), (0, 0, 1)))
        tip = (side * 38.0 * scale, 3.0, -1.0)
        posterior.append(Bar((side * 24.0 * scale, -3.0, 0.0), tip, (3.0, 2.6), (4.5, 4.0), (0, 0, 1)))
        posterior.append(Bar((side * 22.0 * scale, 7.0, 0.0), tip, (3.0, 2.6), (4.5, 4.0), (0, 0, 1)))
    holes: list[Primitive] = [
        ball_bar((side * 28.0 * scale, 2.0, -9.0), (side * 28.0 * scale, 2.0, 9.0), 3.0)
        for side in (1.0, -1.0)
    ]
    for side in (1.0, -1.0):
        holes.append(Ellipsoid((side * 19.0 * scale, -1.0, 13.5), (8.0, 13.0, 8.5)))
        holes.append(Ellipsoid((side * 18.0 * scale, -1.0, -13.0), (10.0, 11.0, 7.5)))
    return _three(vertebra, anterior, posterior, holes, 2.0, step)


def axis_fields(vertebra: Vertebra, step: float) -> tuple[Field, Field, Field]:
    """C2: body with dens, broad superior facets, bifid spinous process."""
    size = vertebra.sizes
    half = size["height"] / 2
    body: list[Primitive] = [
        body_shape(vertebra),
        Bar((0.0, -0.5, half - 5.0), (0.0, -1.0, half + 14.0), (5.5, 5.2), (4.8, 4.6)),
    ]
    arch = posterior_shapes(vertebra)
    for side in (1.0, -1.0):
        body.append(Ellipsoid((side * 14.0, 2.0, half - 4.5), (8.0, 8.5, 5.0), _tilt(side * 22.0)))
    holes = _canal(vertebra)
    holes += [ball_bar((side * 20.0, 3.0, -10.0), (side * 18.0, 3.0, 10.0), 2.7) for side in (1.0, -1.0)]
    return _three(vertebra, body, arch, holes, 2.5, step)


def _tilt(angle: float) -> FloatArray:
    a = np.radians(angle)
    return np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])


def _canal(vertebra: Vertebra) -> list[Primitive]:
    radii = (vertebra.sizes["canal_width"] / 2, vertebra.sizes["canal_depth"] / 2)
    back = vertebra.canal_back
    return [Bar((0, back, -24.0), (0, back, 24.0), radii, radii)]


def _three(
    vertebra: Vertebra,
    front: list[Primitive],
    rear: list[Primitive],
    holes: list[Primitive],
    blend: float,
    step: float,
) -> tuple[Field, Field, Field]:
    def drawn(shapes: list[Primitive], cut: list[Primitive]) -> Field:
        canvas = Canvas(*outer_box(shapes), step, vertebra.centre, vertebra.axes)
        return joined(canvas, shapes, cut, blend).field()

    return drawn([*front, *rear], holes), drawn(front, holes), drawn(rear, [*holes, *front[:1]])


def sacral_frames(spine: Spine) -> list[tuple[FloatArray, FloatArray]]:
    """Centre of the upper end of S1 to S5 and the lower end of S5, with axes; body frame."""
    axes, place = spine.sacral_axes, np.zeros(3)
    found = []
    for step, turn in zip(_SACRAL_STEPS_MM, _SACRAL_TURN_DEG, strict=True):
        angle = np.radians(turn)
        place = place - axes[:, 2] * step * spine.scale
        lean = np.array([[1, 0, 0], [0, np.cos(angle), np.sin(angle)], [0, -np.sin(angle), np.cos(angle)]])
        axes = np.asarray(lean @ axes)
        found.append((place, axes))
    return found


def sacral_canal(spine: Spine) -> FloatArray:
    """Centre line of the sacral canal from S1 to S4, shape (n, 3), body frame, mm."""
    return np.array(
        [
            place + axes @ np.array([0.0, (depth / 2 + 8.5 - 1.3 * row) * spine.scale, 0.0])
            for row, ((place, axes), depth) in enumerate(
                zip(sacral_frames(spine)[:5], _SACRAL_DEPTH_MM[:5], strict=True)
            )
        ]
    )


def sacrum_field(spine: Spine, step: float) -> Field:
    """The sacrum: five fused bodies, wings, foramina, canal, crests."""
    k = spine.scale
    frames = sacral_frames(spine)
    solid: list[Primitive] = []
    holes: list[Primitive] = []
    for row in range(5):
        (top, axes), (bottom, lower) = frames[row], frames[row + 1]
        w, d = _SACRAL_WIDTH_MM[row] * k / 2, _SACRAL_DEPTH_MM[row] * k / 2
        w2, d2 = _SACRAL_WIDTH_MM[row + 1] * k / 2, _SACRAL_DEPTH_MM[row + 1] * k / 2
        start = top if row == 0 else top + axes[:, 2] * 2
        solid.append(Bar(start - axes[:, 2] * 8, bottom, (w, d), (w2, d2), axes[:, 0]))
        if row == 0:
            solid.append(Ellipsoid(top - axes[:, 2] * 7, (w, d, 7.5), axes))
        solid += _wings(row, top, axes, bottom, lower, k)
        solid.append(_crest(row, top, axes, k))
        holes += _foramina(row, bottom, lower, k)
    canal = sacral_canal(spine)
    for a, b, ra, rb in zip(canal[:-1], canal[1:], (12.5, 11, 8.5, 6.5), (11, 8.5, 6.5, 4.0), strict=True):
        holes.append(Bar(a, b, (ra * k, 6.5 * k), (rb * k, 5.0 * k)))
    up = frames[0][1]
    holes.append(Bar(canal[0], canal[0] + up[:, 2] * 22, (13 * k, 7 * k), (15 * k, 10 * k)))
    holes.append(Ellipsoid(up[:, 2] * 22.5, (24 * k, 22 * k, 22.0), up))
    canvas = Canvas(*outer_box(solid), step, margin=9.0)
    canvas.unite_all(solid, 7.0)
    for hole in holes:
        canvas.cut(hole, 2.0)
    return canvas.field()


def _wings(
    row: int, top: FloatArray, axes: FloatArray, bottom: FloatArray, lower: FloatArray, k: float
) -> list[Primitive]:
    """The lateral masses of one segment, both sides."""
    found: list[Primitive] = []
    width, after = _HALF_OUTLINE_MM[row] * k, _HALF_OUTLINE_MM[row + 1] * k
    thick = (15.0, 13.0, 10.5, 7.5, 5.5)[row] * k
    back = (11.0, 9.5, 7.0, 5.0, 4.0)[row] * k
    drop = (12.0, 11.0, 9.0, 8.0, 6.0)[row]
    for side in (1.0, -1.0):
        inner = top + axes @ np.array([side * width * 0.42, back * 0.6, -drop])
        outer = top + axes @ np.array([side * (width - thick * 0.75), back, -drop])
        follow = bottom + lower @ np.array([side * (after - thick * 0.7), back * 0.8, -drop * 0.7])
        tall = 0.5 * float(np.linalg.norm(top - bottom)) + 2.0
        found.append(Bar(inner, outer, (tall, thick * 0.85), (tall, thick), axes[:, 2]))
        if row < 4:
            found.append(Bar(outer, follow, (thick * 0.8, thick * 0.9), (thick * 0.6, thick * 0.7)))
        roof = top + axes @ np.array([0.0, (32.0 - 4.6 * row) * k, -drop])
        wall = top + axes @ np.array([side * width * 0.5, (24.0 - 3.4 * row) * k, -drop])
        found.append(Bar(wall, roof, (tall * 0.9, 3.2), (tall * 0.8, 3.0), axes[:, 2]))
        found.append(Bar(inner, wall, (tall * 0.8, 5.5), (tall * 0.8, 4.5), axes[:, 2]))
    return found


def _crest(row: int, top: FloatArray, axes: FloatArray, k: float) -> Primitive:
    """A spinous tubercle."""
    tip = top + axes @ np.array([0.0, (38.0 - 5.8 * row) * k, -13.0])
    return Ellipsoid(tip, (3.6, (6.5 - row) * k, 8.5), axes)


def _foramina(row: int, bottom: FloatArray, lower: FloatArray, k: float) -> list[Primitive]:
    """Anterior and posterior foramina between two segments; none below S4."""
    if row == 4:
        return []
    aside = (23.0, 20.5, 18.0, 16.0)[row] * k
    wide = (5.6, 5.0, 4.4, 3.8)[row] * k
    found: list[Primitive] = []
    for side in (1.0, -1.0):
        inner = bottom + lower @ np.array([side * (aside - 6.0), 17.0 - 3.0 * row, 2.0])
        front = bottom + lower @ np.array([side * (aside + 5.0), -16.0, -2.0])
        rear = bottom + lower @ np.array([side * (aside - 2.0), 36.0 - 4.0 * row, -1.0])
        found.append(ball_bar(inner, front, wide * 0.8, wide * 1.15))
        found.append(ball_bar(inner, rear, wide * 0.7, wide * 0.55))
    return found


def coccyx_field(spine: Spine, step: float) -> Field:
    """The coccyx: four rudimentary bodies."""
    place, axes = sacral_frames(spine)[-1]
    k = spine.scale
    solid: list[Primitive] = []
    at, down = place - axes[:, 2] * 3.0, -axes[:, 2]
    for row, length in enumerate(_COCCYX_STEPS_MM):
        angle = np.radians(12.0)
        down = np.array(
            [
                0.0,
                np.cos(angle) * down[1] + np.sin(angle) * down[2],
                np.cos(angle) * down[2] - np.sin(angle) * down[1],
            ]
        )
        end = at + down * length * k
        wide = (9.5, 6.5, 4.8, 3.6)[row] * k
        solid.append(Bar(at, end - down * 2.5, (wide, 3.6 * k), (wide * 0.75, 3.2 * k)))
        at = end
    return Canvas(*outer_box(solid), step).unite_all(solid, 2.5).field()
