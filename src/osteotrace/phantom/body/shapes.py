"""Smooth primitives as signed distances, and the canvas that unites them on a lattice.

A primitive is a function of local coordinates (left, posterior, cranial; mm) with a box around its inside.
Distances are exact or of first order (|gradient| near 1 at the surface).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import edt
import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage
from scipy.interpolate import CubicSpline

from osteotrace.phantom.field import Field, Float32Array
from osteotrace.space import FloatArray

FAR_MM = 10.0
"""Distances beyond this are not kept."""
REACH_MM = 5.0
"""A primitive is drawn this far around its box."""

Point: TypeAlias = tuple[float, float, float] | FloatArray
Coordinates: TypeAlias = tuple[Float32Array, Float32Array, Float32Array]
Box: TypeAlias = tuple[FloatArray, FloatArray]


class Primitive(Protocol):
    """A shape in local coordinates."""

    @property
    def box(self) -> Box:
        """Lowest and highest local coordinates of the inside, mm."""

    def distance(self, at: Coordinates) -> Float32Array:
        """Signed distance, mm, negative inside."""


def smooth_min(a: Float32Array, b: Float32Array, blend: float) -> Float32Array:
    """Union of two shapes with a fillet of about `blend` mm."""
    if blend <= 0.0:
        return np.minimum(a, b)
    h = np.maximum(blend - np.abs(a - b), 0.0) / blend
    return np.asarray(np.minimum(a, b) - h * h * (blend / 4), dtype=np.float32)


def smooth_max(a: Float32Array, b: Float32Array, blend: float) -> Float32Array:
    """Intersection of two shapes with a rounded edge of about `blend` mm."""
    return -smooth_min(-a, -b, blend)


def _scaled(parts: Sequence[Float32Array], radii: Sequence[Float32Array | float]) -> Float32Array:
    """Distance to an ellipsoid from coordinates along its axes (first order)."""
    tiny = np.float32(1e-6)
    k0 = np.sqrt(sum((p / r) ** 2 for p, r in zip(parts, radii, strict=True)) + tiny)
    k1 = np.sqrt(sum((p / (r * r)) ** 2 for p, r in zip(parts, radii, strict=True)) + tiny * tiny)
    smallest = np.float32(min(float(np.min(r)) for r in radii))
    return np.asarray(np.maximum(k0 * (k0 - 1.0) / k1, -smallest), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """Ellipsoid along the local axes, or along the columns of `axes`."""

    centre: Point
    radii: tuple[float, float, float]
    axes: FloatArray | None = None

    @property
    def box(self) -> Box:
        """Lowest and highest local coordinates."""
        radii = np.array(self.radii)
        reach = radii if self.axes is None else np.sqrt((self.axes**2) @ radii**2)
        return np.array(self.centre) - reach, np.array(self.centre) + reach

    def distance(self, at: Coordinates) -> Float32Array:
        """Signed distance."""
        shifted = [a - np.float32(c) for a, c in zip(at, self.centre, strict=True)]
        if self.axes is not None:
            turned = self.axes.astype(np.float32)
            shifted = [sum(shifted[i] * turned[i, j] for i in range(3)) for j in range(3)]
        return _scaled(shifted, self.radii)


@dataclass(frozen=True, slots=True)
class Bar:
    """A straight bar with round ends and an elliptic section that changes linearly from `a` to `b`.

    Attributes
    ----------
    wide : tuple of float
        Direction of the first radius of the section; the second is across.
    radii_a, radii_b : tuple of float
        Half axes of the section at both ends, mm.
    """

    a: Point
    b: Point
    radii_a: tuple[float, float]
    radii_b: tuple[float, float]
    wide: Point = (1.0, 0.0, 0.0)

    @property
    def box(self) -> Box:
        """Lowest and highest local coordinates."""
        ends = np.array([self.a, self.b])
        radii = np.array([max(self.radii_a), max(self.radii_b)])[:, None]
        return (ends - radii).min(axis=0), (ends + radii).max(axis=0)

    def distance(self, at: Coordinates) -> Float32Array:
        """Signed distance."""
        start, along = np.array(self.a), np.array(self.b) - np.array(self.a)
        length = max(float(np.linalg.norm(along)), 1e-3)
        along = along / length
        wide = np.array(self.wide) - np.dot(self.wide, along) * along
        wide = wide / np.linalg.norm(wide)
        across = np.cross(along, wide)
        s, w, t = _project(at, start, (along, wide, across))
        inside = np.clip(s, 0.0, np.float32(length))
        share = inside / np.float32(length)
        first = np.float32(self.radii_a[0]) + share * np.float32(self.radii_b[0] - self.radii_a[0])
        second = np.float32(self.radii_a[1]) + share * np.float32(self.radii_b[1] - self.radii_a[1])
        return _scaled((s - inside, w, t), (np.minimum(first, second), first, second))


def ball_bar(a: Point, b: Point, radius_a: float, radius_b: float | None = None) -> Bar:
    """A round bar."""
    end = radius_a if radius_b is None else radius_b
    direction = np.asarray(b, dtype=float) - np.asarray(a, dtype=float)
    wide = np.eye(3)[int(np.argmin(np.abs(direction)))]
    return Bar(a, b, (radius_a, radius_a), (end, end), wide)


@dataclass(frozen=True, slots=True)
class Spot:
    """Points around a landmark, in steps scaled to the person's size.

    Attributes
    ----------
    centre : ndarray, shape (3,)
    scale : float
        Millimetres of a step.
    side : float
        -1 mirrors left and right.
    axes : ndarray, shape (3, 3), or None
        Directions of the steps as columns.
    """

    centre: FloatArray
    scale: float
    side: float = 1.0
    axes: FloatArray | None = None

    def __call__(self, left: float, back: float, up: float) -> FloatArray:
        """The point so many steps to the left, back and up, shape (3,)."""
        steps = self.scale * np.array([self.side * left, back, up])
        return np.asarray(self.centre + (steps if self.axes is None else self.axes @ steps))


def _project(at: Coordinates, start: FloatArray, directions: Sequence[FloatArray]) -> list[Float32Array]:
    shifted = [a - np.float32(c) for a, c in zip(at, start, strict=True)]
    return [
        np.asarray(sum(s * np.float32(d) for s, d in zip(shifted, direction, strict=True)), dtype=np.float32)
        for direction in directions
    ]


@dataclass(frozen=True, slots=True)
class Shape:
    """Any function of local coordinates, with its box."""

    low: Point
    high: Point
    of: Callable[[Coordinates], Float32Array]

    @property
    def box(self) -> Box:
        """Lowest and highest local coordinates."""
        return np.array(self.low), np.array(self.high)

    def distance(self, at: Coordinates) -> Float32Array:
        """Signed distance."""
        return self.of(at)


@dataclass(frozen=True, slots=True)
class Tube:
    """A swept tube: centre line, first direction of the section, half axes of the section per point.

    Attributes
    ----------
    line : ndarray, shape (n, 3)
    wide : ndarray, shape (n, 3)
        Direction of the first radius.
    radii : ndarray, shape (n, 2)
    """

    line: FloatArray
    wide: FloatArray
    radii: FloatArray

    def bars(self) -> list[Bar]:
        """The tube as short bars."""
        return [
            Bar(
                self.line[i],
                self.line[i + 1],
                (float(self.radii[i, 0]), float(self.radii[i, 1])),
                (float(self.radii[i + 1, 0]), float(self.radii[i + 1, 1])),
                self.wide[i] + self.wide[i + 1],
            )
            for i in range(len(self.line) - 1)
        ]


class Canvas:
    """A lattice in the body frame on which primitives of a local frame are united and cut.

    Parameters
    ----------
    low, high : array_like, shape (3,)
        Box of the shape in local coordinates, mm; the lattice reaches `margin` further.
    centre, axes : ndarray, shape (3,) and (3, 3)
        Local origin in the body frame, and the local axes as columns.
    far : float
        Distances beyond this are not kept, mm; at least as large as any fillet.
    """

    def __init__(
        self,
        low: ArrayLike,
        high: ArrayLike,
        step: float,
        centre: ArrayLike = (0.0, 0.0, 0.0),
        axes: FloatArray | None = None,
        margin: float = 6.5,
        far: float = FAR_MM,
    ) -> None:
        self.far = np.float32(far)
        self.centre = np.asarray(centre, dtype=np.float64)
        self.axes = np.eye(3) if axes is None else axes
        self.step = step
        bottom, top = self._body_box((np.asarray(low, float), np.asarray(high, float)))
        self.origin = np.floor((bottom - margin) / step) * step
        self.shape = tuple(int(n) for n in np.ceil((top + margin - self.origin) / step).astype(int) + 1)
        self.values: Float32Array = np.full(self.shape, self.far, dtype=np.float32)

    def _body_box(self, box: Box) -> Box:
        corners = np.array(
            [[box[i][0], box[j][1], box[k][2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)]
        )
        placed = corners @ self.axes.T + self.centre
        return placed.min(axis=0), placed.max(axis=0)

    def _window(self, box: Box, reach: float) -> tuple[slice, ...] | None:
        bottom, top = self._body_box(box)
        start = np.maximum(np.floor((bottom - reach - self.origin) / self.step), 0).astype(int)
        stop = np.minimum(np.ceil((top + reach - self.origin) / self.step) + 1, self.shape).astype(int)
        return tuple(slice(a, b) for a, b in zip(start, stop, strict=True)) if (stop > start).all() else None

    def local(self, window: tuple[slice, ...] | None = None) -> Coordinates:
        """Local coordinates of the samples of a window, or of all."""
        window = window or tuple(slice(0, n) for n in self.shape)
        lines = [
            (self.origin[i] + np.arange(window[i].start, window[i].stop) * self.step - self.centre[i]).astype(
                np.float32
            )
            for i in range(3)
        ]
        x, y, z = np.ix_(*lines)
        turned = self.axes.astype(np.float32)
        if np.array_equal(self.axes, np.eye(3)):
            return x, y, z
        u, v, w = (x * turned[0, j] + y * turned[1, j] + z * turned[2, j] for j in range(3))
        return u, v, w

    def unite(self, shape: Primitive, blend: float = 0.0) -> Canvas:
        """Add a primitive."""
        window = self._window(shape.box, REACH_MM + blend / 2)
        if window is not None:
            near = np.minimum(shape.distance(self.local(window)), self.far)
            there = self.values[window]
            blended = smooth_min(there, near, blend)
            self.values[window] = np.where(near < self.far, blended, there) if blend > 0 else blended
        return self

    def unite_all(self, shapes: Sequence[Primitive], blend: float = 0.0) -> Canvas:
        """Add primitives one after the other."""
        for shape in shapes:
            self.unite(shape, blend)
        return self

    def cut(self, shape: Primitive, blend: float = 0.0) -> Canvas:
        """Take a primitive away."""
        window = self._window(shape.box, REACH_MM + blend / 2)
        if window is not None:
            near = shape.distance(self.local(window))
            self.values[window] = smooth_max(self.values[window], -near, blend)
        return self

    def field(self, *, normalise: bool = True, margin: float = 4.0) -> Field:
        """The field, cropped to a margin around the shape, with |gradient| mended near the surface."""
        values = normalised(self.values, self.step) if normalise else self.values
        return cropped(Field(values, self.origin, self.step), margin)


def normalised(values: Float32Array, step: float) -> Float32Array:
    """Distance of first order: the value over its gradient where the surface is near."""
    steep = np.zeros_like(values)
    for axis in range(3):
        slope = _slope(values, axis)
        slope *= slope
        steep += slope
    np.sqrt(steep, out=steep)
    steep /= np.float32(2 * step)
    np.clip(steep, 0.5, 3.0, out=steep)
    steep[np.abs(values) > 6.0] = 1.0
    return np.asarray(values / steep, dtype=np.float32)


def _slope(values: Float32Array, axis: int) -> Float32Array:
    """Difference of the two neighbours of each sample; twice the one-sided one at the ends."""
    found = np.empty_like(values)
    at = [slice(None)] * 3

    def part(a: int | None, b: int | None) -> tuple[slice, ...]:
        return (*at[:axis], slice(a, b), *at[axis + 1 :])

    np.subtract(values[part(2, None)], values[part(None, -2)], out=found[part(1, -1)])
    found[part(0, 1)] = 2 * (values[part(1, 2)] - values[part(0, 1)])
    found[part(-1, None)] = 2 * (values[part(-1, None)] - values[part(-2, -1)])
    return found


def cropped(field: Field, margin: float = 4.0) -> Field:
    """Cut a field down to its inside and a margin."""
    inside = field.values < margin
    keep = []
    for axis in range(3):
        others = tuple(i for i in range(3) if i != axis)
        found = np.flatnonzero(inside.any(axis=others))
        low = max(int(found[0]) - 1, 0) if len(found) else 0
        high = min(int(found[-1]) + 2, inside.shape[axis]) if len(found) else 1
        keep.append(slice(low, high))
    start = np.array([k.start for k in keep])
    return Field(
        np.ascontiguousarray(field.values[tuple(keep)]), field.origin + start * field.step, field.step
    )


def sheet_distance(canvas: Canvas, points: FloatArray) -> Float32Array:
    """Unsigned distance to a densely sampled sheet of body points, shape (n, 3), on a canvas."""
    index = np.round((points - canvas.origin) / canvas.step).astype(int)
    index = index[((index >= 0) & (index < canvas.shape)).all(axis=1)]
    empty = np.ones(canvas.shape, dtype=bool)
    empty[tuple(index.T)] = False
    found = edt.edt(empty, anisotropy=(canvas.step,) * 3, black_border=False)
    return np.asarray(ndimage.gaussian_filter(found, 1.0), dtype=np.float32)


def redistanced(inside: Float32Array, step: float, smooth: float = 1.0) -> Float32Array:
    """Signed distance of the half level of a smooth 0 to 1 image, mm."""
    outer = edt.edt(inside < 0.5, anisotropy=(step,) * 3, black_border=False)
    inner = edt.edt(inside >= 0.5, anisotropy=(step,) * 3, black_border=False)
    signed = np.clip(outer - inner, -4 * FAR_MM, 4 * FAR_MM)
    signed = np.where(signed > 0, signed - step / 2, signed + step / 2)
    return np.asarray(ndimage.gaussian_filter(signed, smooth), dtype=np.float32)


def noise(shape: Sequence[int], grain: Sequence[float], rng: np.random.Generator) -> Float32Array:
    """Smooth noise of mean 0 and SD 1; `grain` is the correlation length in samples per axis."""
    coarse = tuple(int(np.ceil(n / g)) + 4 for n, g in zip(shape, grain, strict=True))
    draws = ndimage.gaussian_filter(rng.standard_normal(coarse).astype(np.float32), 0.6)
    lines = [np.arange(n) / g + 1.0 for n, g in zip(shape, grain, strict=True)]
    found = along_lines(draws, lines)
    return np.asarray((found - found.mean()) / (found.std() + 1e-6), dtype=np.float32)


def along_lines(values: Float32Array, lines: Sequence[FloatArray]) -> Float32Array:
    """Linear interpolation on a lattice: one line of indices per axis; the edge value beyond."""
    for axis, line in enumerate(lines):
        base = np.clip(np.floor(line).astype(int), 0, max(values.shape[axis] - 2, 0))
        share = np.clip(line - base, 0.0, 1.0).astype(np.float32)
        form = [1, 1, 1]
        form[axis] = -1
        low = np.take(values, base, axis)
        high = np.take(values, np.minimum(base + 1, values.shape[axis] - 1), axis)
        values = low + (high - low) * share.reshape(form)
    return np.asarray(values, dtype=np.float32)


def sampled(field: Field, lines: Sequence[FloatArray]) -> Float32Array:
    """Values of a field on the lattice of three lines of coordinates, mm."""
    index = [(np.asarray(line) - o) / field.step for line, o in zip(lines, field.origin, strict=True)]
    return along_lines(field.values, index)


def outer_box(shapes: Sequence[Primitive]) -> tuple[FloatArray, FloatArray]:
    """Box that holds all shapes, local."""
    boxes = [shape.box for shape in shapes]
    return np.min([b[0] for b in boxes], axis=0), np.max([b[1] for b in boxes], axis=0)


def drawn(shapes: Sequence[Primitive], step: float, blend: float) -> Field:
    """The union of some primitives of the body frame, with fillets."""
    return Canvas(*outer_box(shapes), step).unite_all(shapes, blend).field()


def tube(
    points: Sequence[FloatArray] | FloatArray, radii: FloatArray | float, samples: int = 24
) -> list[Primitive]:
    """A round tube through points."""
    t = np.linspace(0, 1, len(points))
    fine = np.linspace(0, 1, samples)
    line = CubicSpline(t, np.array(points))(fine)
    r = np.interp(fine, t, np.broadcast_to(radii, len(points)))
    return [
        ball_bar(a, b, float(ra), float(rb))
        for a, b, ra, rb in zip(line[:-1], line[1:], r[:-1], r[1:], strict=True)
    ]
