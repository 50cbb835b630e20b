"""Where one vertebra ends and the next begins, along the line through the bodies of a CT."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.anatomy.ct_answer import CtAnswer
from osteotrace.space import FloatArray

STEP_MM: Final = 1.0  # of the line
_RADIUS_MM: Final = 8.0  # of the column around the line that is looked at
_FEWEST_VOXELS: Final = 25  # of a row of the lattice that holds a part of the column
_SMOOTH_MM: Final = 12.0  # of the line
_BRIDGE: Final = 3  # voxels on both sides, over which parts of the column are one
_GAP_MM: Final = 16.0  # a dip wider than this is no disc
_WIDE_MM: Final = 26.0
_SHORTEST_MM, _LONGEST_MM = 11.0, 48.0  # distance of two discs
_PART: Final = 0.45  # of the usual height, that the piece beyond the last disc must have
_NEED: Final = 0.3  # of evidence, for one disc more
_LONG_END: Final = 1.35  # the piece beyond the last disc is at most this much taller than its neighbour
_END_MM: Final = 6  # of the line at both its ends, in which what ends is the line
_DISC_MM: Final = 8.0  # a dark gap between two endplates that is no marrow: marrow is taller
_BAND_MM: Final = 18.0  # a bright band that is two endplates with a disc between them, and no dense body
_GREY_HU: Final = 120.0  # how much darker a disc, or brighter a pair of endplates is, to count as one half
_TALLER, _RATIO = 0.035, 0.12  # log of how much taller a vertebra is than the one above; its spread
_LOWER, _PITCH = 0.93, 0.3  # distance of discs over the depth of the bodies; spread of its log
_WEIGHT: Final = 0.3  # of these two against the evidence
# Need, spread, and error of the depth of the bodies, under which a sure disc is found as well.
_OTHERS: Final = ((0.12, 0.3, 1.0), (0.45, 0.22, 1.0), (0.3, 0.3, 0.8), (0.3, 0.3, 1.2))
_SAME_MM: Final = 5.0  # of a disc, in which it is found again


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A line through the bodies, from head to tail.

    Attributes
    ----------
    points : ndarray, shape (n, 3)
        Every millimetre; voxels of the lattice.
    along, back, left : ndarray, shape (n, 3)
        Unit vectors.
    """

    points: FloatArray
    along: FloatArray
    back: FloatArray
    left: FloatArray


def line_through(found: CtAnswer) -> Line | None:
    """The line through the greatest column of bodies and discs; None where there is none."""
    column = found.of("vertebra body", "intervertebral disc")
    parts, count = ndimage.label(ndimage.binary_dilation(column, iterations=_BRIDGE))
    if count == 0:
        return None
    sizes = np.bincount(parts[column], minlength=count + 1)
    box = ndimage.find_objects(parts)[int(sizes[1:].argmax())]
    own = column[box] & (parts[box] == int(sizes[1:].argmax()) + 1)
    filled = np.flatnonzero(own.sum(axis=(1, 2)) >= _FEWEST_VOXELS)
    if len(filled) < 2 * _SHORTEST_MM / found.lattice.spacing[0]:
        return None
    where = np.argwhere(own)
    number = np.bincount(where[:, 0], minlength=own.shape[0])
    rows = np.arange(filled[0], filled[-1] + 1)
    middle = []
    for axis in (1, 2):
        mean = np.bincount(where[:, 0], weights=where[:, axis], minlength=own.shape[0]) / np.maximum(
            number, 1
        )
        track = np.interp(rows, filled, mean[filled])
        sigma = _SMOOTH_MM / found.lattice.spacing[0]
        middle.append(ndimage.gaussian_filter1d(track, sigma, mode="nearest") + box[axis].start)
    return _even(np.column_stack([rows + box[0].start, *middle]).astype(float), found.lattice.spacing)


def _even(points: FloatArray, spacing: FloatArray) -> Line:
    """The same line in even steps, with its directions."""
    lengths = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(points, axis=0) * spacing, axis=1))]
    at = np.arange(0.0, lengths[-1], STEP_MM)
    even = np.column_stack([np.interp(at, lengths, points[:, axis]) for axis in range(3)])
    along = np.gradient(even * spacing, axis=0)
    along = np.column_stack([ndimage.gaussian_filter1d(along[:, a], 10.0, mode="nearest") for a in range(3)])
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    left = np.array([0.0, 0.0, 1.0]) - along[:, 2:] * along
    left /= np.linalg.norm(left, axis=1, keepdims=True)
    return Line(even, along, np.cross(left, along), left)


def evidence(found: CtAnswer, line: Line) -> tuple[FloatArray, FloatArray]:
    """Evidence of a disc at each point of the line, and the usual depth of the bodies there (mm).

    In thin slices a disc is a dark gap between two bright endplates; in thick ones, where the disc is thin,
    the three are one bright band, and it is the marrow between two bands that is dark.
    """
    bone = _column(found.vertebra, found, line)
    core = _column(found.core, found, line)
    disc = _column(found.of("intervertebral disc").astype(np.float32), found, line)
    ahead = np.zeros(len(bone))
    for axis in range(3):
        ahead += _column(found.to_centre[axis], found, line) * line.along[:, axis]
    jump = np.gradient(ndimage.gaussian_filter1d(ahead, 2.0))
    grey = _column(found.hu, found, line)
    dark = 0.5 * np.minimum(_dip(grey, _DISC_MM) / _GREY_HU, 1.2)
    bright = 0.5 * np.minimum(_band(ndimage.gaussian_filter1d(grey, 1.5)) / _GREY_HU, 1.2)
    highest = np.maximum(ndimage.maximum_filter1d(core, int(2 * _WIDE_MM)), 0.2)
    seen = disc + 1.2 * _dip(bone, _GAP_MM) + 0.8 * _dip(core, _WIDE_MM) / highest
    seen += dark + bright + np.clip(0.3 * jump, 0.0, 0.6)
    seen = ndimage.gaussian_filter1d(seen, 1.5)
    seen[:_END_MM] = seen[-_END_MM:] = 0.0
    return seen, _depth(found, line)


def _column(values: NDArray[np.float32], found: CtAnswer, line: Line) -> FloatArray:
    """Mean over a round plate across the line, at each of its points."""
    side = np.arange(-_RADIUS_MM, _RADIUS_MM + 0.1, 2.0)
    u, v = (g.ravel() for g in np.meshgrid(side, side))
    inside = np.hypot(u, v) <= _RADIUS_MM
    offset = u[inside, None] * line.back[:, None] + v[inside, None] * line.left[:, None]
    index = line.points[:, None] + offset / found.lattice.spacing
    sampled = ndimage.map_coordinates(values, np.moveaxis(index, -1, 0), order=1, mode="nearest")
    return np.asarray(sampled.mean(axis=1), float)


def _dip(values: FloatArray, width_mm: float) -> FloatArray:
    """How far a value lies below those around it on both sides."""
    size = int(width_mm / STEP_MM)
    wide = ndimage.minimum_filter1d(ndimage.maximum_filter1d(values, size), size)
    return np.asarray(wide - values)


def _band(values: FloatArray) -> FloatArray:
    """How far a value lies above those around it on both sides, thin gaps between two peaks filled."""
    joined = values + _dip(values, _DISC_MM)
    size = int(_BAND_MM / STEP_MM)
    return np.asarray(joined - ndimage.maximum_filter1d(ndimage.minimum_filter1d(joined, size), size))


def _depth(found: CtAnswer, line: Line) -> FloatArray:
    """Depth of the bodies, front to back, from the area of the column; mm."""
    reach = np.arange(-36.0, 36.1, 3.0)
    u, v = (g.ravel() for g in np.meshgrid(reach, reach))
    some = line.points[::3], line.back[::3], line.left[::3]
    offset = u[:, None] * some[1][:, None] + v[:, None] * some[2][:, None]
    index = some[0][:, None] + offset / found.lattice.spacing
    column = found.of("vertebra body", "intervertebral disc").astype(np.float32)
    inside = ndimage.map_coordinates(column, np.moveaxis(index, -1, 0), order=0, mode="constant")
    area = inside.sum(axis=1) * 9.0
    area = ndimage.median_filter(area, 25, mode="nearest")
    depth = np.sqrt(area / 1.05)
    return np.asarray(np.interp(np.arange(len(line.points)), np.arange(len(area)) * 3, depth))


def discs(seen: FloatArray, depth: FloatArray, need: float = _NEED, spread: float = _PITCH) -> list[int]:
    """Points of the line at which a vertebra ends and the next begins; empty for a line too short for it.

    The row of discs that has most evidence, with heights that change little from one to the next and suit the
    depth of the bodies: a best path over the place of a disc and the height above it. The row goes from one
    end of the line to the other.

    Parameters
    ----------
    need : float
        Evidence that one disc more must bring.
    spread : float
        Of the log of the distance of discs over what the depth of the bodies lets expect.
    """
    n = len(seen)
    heights = np.arange(int(_SHORTEST_MM), int(_LONGEST_MM) + 1)
    usual = np.clip(depth, 14.0, 37.0)
    gain = seen - need
    best = np.full((n, len(heights)), -np.inf)
    before = np.full((n, len(heights)), -1)
    # [height of the upper, height of the lower]
    ratio = _WEIGHT * 0.5 * ((np.log(heights[None] / heights[:, None]) - _TALLER) / _RATIO) ** 2
    for at in range(n):
        pitch = _WEIGHT * 0.5 * (np.log(heights / (_LOWER * usual[at])) / spread) ** 2
        for index, height in enumerate(heights):
            above = at - height
            if above < 0:
                break
            options = best[above] - ratio[:, index]
            previous = int(options.argmax())
            best[at, index], before[at, index] = options[previous], previous
            first = above <= _LONG_END * height
            if first and gain[above] >= options[previous]:
                best[at, index], before[at, index] = gain[above], -1
            best[at, index] += gain[at] - pitch[index]
    rest = n - 1 - np.arange(n)
    best[rest[:, None] > _LONG_END * heights] = -np.inf
    if not np.isfinite(best).any():
        return []
    at, index = (int(x) for x in np.unravel_index(int(best.argmax()), best.shape))
    row = [at]
    while index >= 0:
        index, at = int(before[at, index]), at - int(heights[index])
        row.append(at)
    return row[::-1]


def borders(row: list[int], count: int) -> list[int]:
    """Ends of the vertebrae of a line of `count` points: discs, and the ends of the line where they count."""
    if len(row) < 2:
        return []
    out = list(row)
    if row[0] >= _PART * (row[1] - row[0]):
        out.insert(0, 0)
    if count - row[-1] >= _PART * (row[-1] - row[-2]):
        out.append(count)
    return out


def sure(ends: list[int], seen: FloatArray, depth: FloatArray, least: float) -> list[bool]:
    """Per vertebra between two ends, whether both are sure; an end of the line is.

    A disc is sure when it is seen (evidence of `least`), and found again when evidence counts for more, or
    for less, and when the bodies are thought deeper, or less deep.
    """
    last = len(seen)
    others = [[0, last, *discs(seen, depth * error, need, spread)] for need, spread, error in _OTHERS]
    clear = [
        end in (0, last)
        or bool(
            seen[max(0, end - 2) : end + 3].max() >= least
            and all(np.abs(np.array(other) - end).min() <= _SAME_MM for other in others)
        )
        for end in ends
    ]
    return [a and b for a, b in itertools.pairwise(clear)]
