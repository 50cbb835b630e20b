"""What lies in the spinal canal: epidural fat, thecal sac, cord, roots; and the brain."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from scipy.interpolate import CubicSpline

from osteotrace.phantom.body.axial import sacral_canal
from osteotrace.phantom.body.options import USUAL_LEVELS
from osteotrace.phantom.body.shapes import Bar, Canvas, Primitive, ball_bar, noise, outer_box, smooth_max
from osteotrace.phantom.body.shoulder import cranial_cavity, skull_centre
from osteotrace.phantom.body.spine_curve import Spine, Vertebra
from osteotrace.phantom.field import Field
from osteotrace.space import FloatArray

_STEP_MM = 1.0
# Half axes of the cord (left-right, front-back), mm: cervical and lumbar swelling, conus.
_CORD = {
    "C1": (5.4, 4.4),
    "C5": (6.6, 3.9),
    "T1": (5.0, 3.6),
    "T6": (4.1, 3.4),
    "T10": (4.4, 3.7),
    "T12": (4.6, 3.9),
}
_SAC = {
    "C1": (9.5, 7.5),
    "C4": (10.0, 6.2),
    "T1": (8.2, 6.6),
    "T6": (7.2, 6.4),
    "T12": (8.8, 7.2),
    "L3": (8.8, 6.8),
    "L5": (7.6, 6.2),
}
_SAC_OF_SACRUM = ((6.6, 5.0), (3.0, 2.6))
_ROOTS = 9
# Half height and half depth of a foramen, radius of the nerve in it, mm.
_FORAMEN = {"C": (4.5, 3.5, 2.2), "T": (5.5, 4.5, 2.2), "L": (8.5, 5.5, 2.9)}


class CanalLine:
    """The middle of the spinal canal as a smooth curve; the parameter rises by one a vertebra.

    Parameters
    ----------
    vertebrae : sequence of Vertebra
        From the head down, without a gap.
    above, below : sequence of ndarray, shape (3,)
        Points of the canal before the first and after the last vertebra, body frame, mm.
    """

    def __init__(
        self, vertebrae: Sequence[Vertebra], above: Sequence[FloatArray], below: Sequence[FloatArray]
    ) -> None:
        self.vertebrae = tuple(vertebrae)
        points = np.array([*above, *(v.canal_centre for v in vertebrae), *below])
        self._curve = CubicSpline(np.arange(len(points)) - float(len(above)), points)
        self.start = -float(len(above))
        self.last = len(vertebrae) - 1.0
        self.end = self.last + len(below)

    def at(self, parameter: FloatArray | float) -> FloatArray:
        """Points, shape (..., 3), body frame, mm; 0 is the first vertebra."""
        return np.asarray(self._curve(parameter))

    def index(self, level: str) -> float:
        """Parameter of a level, beyond the ends where the level is not there."""
        levels = [v.level for v in self.vertebrae]
        if level in levels:
            return float(levels.index(level))
        away = {
            known: USUAL_LEVELS.index(level) - USUAL_LEVELS.index(known)
            for known in levels
            if known in USUAL_LEVELS
        }
        nearest = min(away, key=lambda known: abs(away[known]))
        return float(levels.index(nearest) + away[nearest])

    def half_sizes(self, at: FloatArray) -> FloatArray:
        """Half width and half depth of the bony canal, mm, shape (n, 2)."""
        known = np.arange(len(self.vertebrae))
        rows = [[v.sizes[key] / 2 for v in self.vertebrae] for key in ("canal_width", "canal_depth")]
        half = np.column_stack([np.interp(at, known, row) for row in rows])
        below = np.maximum(at - self.last, 0.0)[:, None]
        return np.asarray(half * np.interp(below, [0.0, 4.0], [1.0, 0.4]))


def canal_of(spine: Spine) -> CanalLine:
    """The canal of a whole spine, from the foramen magnum to S4."""
    head = spine.vertebrae[0].canal_centre + np.array([0.0, -2.0, 26.0])
    return CanalLine(spine.vertebrae, [head], list(sacral_canal(spine)[1:]))


def _radii(line: CanalLine, table: dict[str, tuple[float, float]], at: FloatArray) -> FloatArray:
    known = np.array([line.index(level) for level in table])
    values = np.array(list(table.values()))
    return np.column_stack([np.interp(at, known, values[:, i]) for i in range(2)])


def _tube(line: FloatArray, radii: FloatArray) -> list[Primitive]:
    return [
        Bar(a, b, _pair(ra), _pair(rb))
        for a, b, ra, rb in zip(line[:-1], line[1:], radii[:-1], radii[1:], strict=True)
    ]


def _pair(values: FloatArray) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def _drawn(shapes: list[Primitive]) -> Field:
    return Canvas(*outer_box(shapes), _STEP_MM).unite_all(shapes, 0.3).field()


def epidural_field(line: CanalLine) -> Field:
    """Everything in the bony canal; bones are drawn over it."""
    at = np.arange(max(line.start, -0.6), line.end + 0.01, 0.34)
    return _drawn(_tube(line.at(at), line.half_sizes(at) + 0.8))


def sac_field(line: CanalLine) -> Field:
    """Thecal sac from the foramen magnum to S2."""
    stop = min(line.last + 1.9, line.end)
    at = np.append(np.arange(line.start, stop - 0.2, 0.34), stop)
    radii = _radii(line, _SAC, at)
    low = at > line.last + 0.5
    ends = [
        np.interp(at, [line.last + 0.5, line.last + 1.9], pair) for pair in zip(*_SAC_OF_SACRUM, strict=True)
    ]
    radii = np.where(low[:, None], np.column_stack(ends), radii)
    return _drawn(_tube(line.at(at), np.minimum(radii, line.half_sizes(at) - 1.2)))


def cord_end(line: CanalLine) -> float:
    """Parameter of the tip of the conus: the middle of L1."""
    return line.index("L1") + 0.15


def cord_field(line: CanalLine) -> Field | None:
    """Cord from the medulla to the conus; None where the spine begins below it."""
    tip = cord_end(line)
    if tip < line.start + 0.5:
        return None
    stop = min(tip, line.end)
    at = np.append(np.arange(line.start, stop - 0.2, 0.25), stop)
    radii = np.minimum(_radii(line, _CORD, at), line.half_sizes(at) - 2.7)
    taper = np.interp(at, [tip - 1.0, tip - 0.4, tip], [1.0, 0.62, 0.25])[:, None]
    return _drawn(_tube(line.at(at) - np.array([0.0, 0.4, 0.0]), radii * taper))


def roots_field(line: CanalLine, rng: np.random.Generator) -> Field | None:
    """Roots of the cauda equina: thin strands at the back of the sac; None above L1."""
    start = max(cord_end(line) - 0.5, line.start)
    if start > line.end - 2.0:
        return None
    strands: list[Primitive] = []
    for _ in range(_ROOTS):
        stop = float(min(rng.uniform(start + 1.6, line.last + 1.3), line.end))
        side, depth = float(rng.uniform(-1, 1)), float(rng.uniform(-0.1, 0.9))
        at = np.arange(start, max(stop, start + 0.9), 0.4)
        share = (at - start) / (stop - start)
        sac = np.minimum(_radii(line, _SAC, at), line.half_sizes(at) - 1.2) - 1.8
        sway = 0.12 * np.sin(3.0 * share + 6.28 * side)
        back = (0.2 + 0.6 * depth * np.sqrt(share)) * np.sqrt(max(1 - side**2 * 0.6, 0.2))
        points = line.at(at)
        points[:, 0] += sac[:, 0] * (0.25 * side + 0.5 * side * share + sway)
        points[:, 1] += sac[:, 1] * back
        strands += [ball_bar(a, b, 0.75) for a, b in itertools.pairwise(points)]
    return Canvas(*outer_box(strands), 0.75).unite_all(strands, 0.5).field(normalise=False)


def foraminal_fields(line: CanalLine) -> tuple[Field, Field]:
    """Fat of the intervertebral foramina, and the nerves with their ganglia in it."""
    fat: list[Primitive] = []
    nerves: list[Primitive] = []
    for v in line.vertebrae[1:]:
        size, region = v.sizes, v.level[0]
        tall, deep, nerve = _FORAMEN[region]
        wide, back = size["canal_width"] / 2, size["depth"] / 2 + 0.32 * size["canal_depth"]
        low = -size["height"] / 2 - (0.5 if region == "C" else -1.5)
        for side in (1.0, -1.0):
            inner, outer = (
                v.place((side * (wide - 2), back, low)),
                v.place((side * (wide + 11), back - 2, low - 2)),
            )
            fat.append(Bar(inner, outer, (tall, deep), (tall * 0.9, deep), v.axes[:, 2]))
            start, ganglion = (
                v.place((side * (wide - 5), back + 2, low + 5)),
                v.place((side * (wide + 5), back, low + 1)),
            )
            end = v.place((side * (wide + 17), back - 5, low - 11))
            nerves += [
                ball_bar(start, ganglion, nerve * 0.7, nerve),
                ball_bar(ganglion, end, nerve, nerve * 0.7),
            ]
    step = 1.25
    return (
        Canvas(*outer_box(fat), step).unite_all(fat, 1.0).field(),
        Canvas(*outer_box(nerves), step).unite_all(nerves, 0.5).field(),
    )


def brain_fields(spine: Spine, rng: np.random.Generator) -> tuple[Field, Field]:
    """Cranial CSF, and the brain in it with brain stem."""
    k = spine.scale
    cavity = cranial_cavity(spine)
    stem_top = skull_centre(spine) + np.array([0, 10, -8]) * k
    magnum = canal_of(spine).at(-1.0)
    stem: list[Primitive] = [ball_bar(stem_top, magnum, 14 * k, 6.0)]
    step = 1.5
    water = Canvas(*outer_box([*cavity, *stem]), step).unite_all(cavity, 10.0).unite_all(stem, 5.0)
    brain = Canvas(*outer_box([*cavity, *stem]), step).unite_all(cavity, 10.0)
    centre = skull_centre(spine)
    shrunk = brain.values + 2.5
    x, _, z = brain.local()
    fissure = np.minimum(np.float32(1.4) - np.abs(x), z - np.float32(centre[2] + 18 * k))
    folds = noise(brain.shape, (9.0, 9.0, 9.0), rng)
    steep = np.sqrt(sum(g * g for g in np.gradient(folds, step)))
    sulci = np.minimum(1.1 - np.abs(folds) / np.maximum(steep, 0.03), shrunk + 13.0)
    cut = np.maximum(np.broadcast_to(fissure, brain.shape), sulci)
    brain.values = smooth_max(shrunk, np.asarray(cut, dtype=np.float32), 0.8)
    for side in (1, -1):
        a, b = centre + k * np.array([side * 9, -26, 12]), centre + k * np.array([side * 14, 24, 16])
        brain.cut(ball_bar(a, b, 5.0 * k, 6.0 * k), 1.0)
    brain.unite_all(stem, 4.0)
    return water.field(), brain.field()
