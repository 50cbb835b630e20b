"""Small blocks of samples: where each lies in the body, and which of them a shape can touch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.phantom.field import Field, Float32Array
from osteotrace.phantom.records import Posture, SoftMap
from osteotrace.space import FloatArray, Grid
from osteotrace.space.grid import apply_affine

IndexArray = NDArray[np.intp]
Offsets: TypeAlias = tuple[FloatArray, FloatArray, FloatArray]

# Bounds of the shapes that are alive: they are the same for every exam.
_CELLS: WeakKeyDictionary[Field, tuple[int, Float32Array, Float32Array]] = WeakKeyDictionary()

# Edge of a block, mm, and its least number of samples: small against a bone, large against the work that a
# block costs by itself.
_BLOCK_MM = 6.0
_LEAST_SAMPLES = 200
_SHORTEST, _LONGEST = 3, 16
# A soft map may stretch and turn by so much.
_STRAIN = 0.3
# A distance may grow by so much per mm near its surface.
_STEEPEST = 1.5
# Cells in which the bounds of a shape are kept, mm; what is added to them; the value outside of a lattice.
_CELL_MM = 4.0
_SAFETY_MM = 0.3
_OUTSIDE = np.float32(1e3)


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """The samples of a grid, cut into blocks; the last ones reach beyond the grid.

    Attributes
    ----------
    grid : Grid
        The samples.
    size : tuple of int
        Samples along each edge of a block.
    counts : tuple of int
        Blocks along each axis.
    """

    grid: Grid
    size: tuple[int, int, int]
    counts: tuple[int, int, int]

    @classmethod
    def of(cls, grid: Grid) -> Blocks:
        """Blocks of about 6 mm, larger ones where samples are far apart."""
        edge = max(_BLOCK_MM, np.cbrt(_LEAST_SAMPLES * np.prod(grid.spacing)))
        size = np.clip(np.round(edge / grid.spacing), _SHORTEST, _LONGEST).astype(int)
        counts = -(-np.array(grid.shape) // size)
        a, b, c = (int(n) for n in size)
        p, q, r = (int(n) for n in counts)
        return cls(grid, (a, b, c), (p, q, r))

    @property
    def number(self) -> int:
        """How many."""
        return int(np.prod(self.counts))

    @property
    def samples(self) -> int:
        """Samples in a block."""
        return int(np.prod(self.size))

    @property
    def offsets(self) -> Offsets:
        """Samples from the centre of a block to each of its samples, along each axis."""
        x, y, z = self.size
        return _around(x), _around(y), _around(z)

    @property
    def eighths(self) -> Offsets:
        """Samples from the centre of a block to the centres of its eighths, along each axis."""
        x, y, z = self.size
        return _around(2) * x / 2, _around(2) * y / 2, _around(2) * z / 2

    def centers(self) -> FloatArray:
        """Fractional sample indices of the centres of all blocks, shape (number, 3)."""
        lines = [np.arange(n) * s + (s - 1) / 2 for n, s in zip(self.counts, self.size, strict=True)]
        return np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, 3)

    def assembled(self, canvas: Float32Array) -> Float32Array:
        """Values per block, shape (channels, number, samples), as (channels, *grid.shape)."""
        parts = canvas.reshape(-1, *self.counts, *self.size).transpose(0, 1, 4, 2, 5, 3, 6)
        whole = [n * s for n, s in zip(self.counts, self.size, strict=True)]
        i, j, k = self.grid.shape
        return np.asarray(parts.reshape(-1, *whole)[:, :i, :j, :k])


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """Body points of the samples of all blocks: in each block an affine map.

    Attributes
    ----------
    centers : ndarray of float64, shape (number, 3)
        Body points of the centres of the blocks, mm.
    steps : ndarray of float64, shape (number or 1, 3, 3)
        Columns: body vector from one sample to the next along each axis.
    """

    centers: FloatArray
    steps: FloatArray

    def indices(self, offsets: Offsets, ids: IndexArray, origin: FloatArray, step: float) -> FloatArray:
        """Lattice indices at the same offsets from the centres of some blocks, shape (3, n, a, b, c)."""
        start = (self.centers[ids] - origin) / step
        steps = (self.steps if len(self.steps) == 1 else self.steps[ids]) / step
        x, y, z = offsets
        found = np.empty((3, len(ids), len(x), len(y), len(z)))
        for axis in range(3):
            g = steps[:, axis]
            plane = (start[:, axis, None] + g[:, 0, None] * x)[:, :, None] + (g[:, 1, None] * y)[:, None, :]
            np.add(plane[..., None], (g[:, 2, None] * z)[:, None, None, :], out=found[axis])
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """Bounds of a shape's distance in a block anywhere: per coarse cell that holds the centre of the block.

    Attributes
    ----------
    lowest, highest : ndarray of float32, shape (x, y, z)
        mm.
    origin : ndarray of float64, shape (3,)
        Corner of the first cell, body frame, mm.
    step : float
        Edge of a cell, mm.
    """

    lowest: Float32Array
    highest: Float32Array
    origin: FloatArray
    step: float

    @classmethod
    def of(cls, shape: Field, half_mm: FloatArray) -> Reach:
        """Bounds for blocks that reach so far to both sides of their centre along x, y, z of the body."""
        n, lowest, highest = _cells(shape)
        edge = n * shape.step
        window = np.ceil(half_mm / edge).astype(int)
        pad = [(w, w) for w in window]
        size = tuple(2 * window + 1)
        lowest = ndimage.minimum_filter(np.pad(lowest, pad, constant_values=_OUTSIDE), size, mode="nearest")
        highest = ndimage.maximum_filter(np.pad(highest, pad, constant_values=_OUTSIDE), size, mode="nearest")
        return cls(lowest, highest, shape.low - window * edge, edge)


def half_extent(blocks: Blocks, posture: Posture, carrier: str) -> FloatArray:
    """How far a block may reach to both sides of its centre along x, y, z of the body, mm; shape (3,)."""
    edges = blocks.grid.affine[:3, :3] * np.array(blocks.size) / 2
    if carrier in posture.rigid:
        turned = np.linalg.inv(posture.rigid[carrier][:3, :3]) @ edges
        return np.asarray(np.abs(turned).sum(axis=1))
    return np.asarray(np.abs(edges).sum(axis=1) + _STRAIN * np.linalg.norm(edges))


def rigid_placement(blocks: Blocks, to_exam: FloatArray) -> Placement:
    """Placement of a bone; ``to_exam`` maps body points to exam points, shape (4, 4)."""
    motion = np.linalg.inv(to_exam) @ blocks.grid.affine
    return Placement(apply_affine(motion, blocks.centers()), motion[None, :3, :3])


def soft_placement(blocks: Blocks, soft: SoftMap) -> Placement:
    """Placement of a soft tissue: the map at the corners of the blocks, linear inside."""
    lines = [np.arange(n + 1) * s - 0.5 for n, s in zip(blocks.counts, blocks.size, strict=True)]
    exam = blocks.grid.points(np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1))
    index = np.moveaxis((exam - soft.origin) / soft.step, -1, 0)
    moved = [
        ndimage.map_coordinates(soft.displacement[..., a], index, order=1, mode="nearest") for a in range(3)
    ]
    body = exam + np.stack(moved, axis=-1)
    centers = _mean_of_corners(body, axes=(0, 1, 2)).reshape(-1, 3)
    steps = np.empty((len(centers), 3, 3))
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        change = _mean_of_corners(np.diff(body, axis=axis), axes=others) / blocks.size[axis]
        steps[:, :, axis] = change.reshape(-1, 3)
    return Placement(centers, steps)


def placements(blocks: Blocks, posture: Posture, carriers: set[str]) -> dict[str, Placement]:
    """Placement of every carrier."""
    return {
        name: soft_placement(blocks, posture.soft[name])
        if name in posture.soft
        else rigid_placement(blocks, posture.rigid[name])
        for name in sorted(carriers)
    }


def touched(
    blocks: Blocks, place: Placement, shape: Field, reach: Reach, growth_mm: float, depth_mm: float
) -> tuple[IndexArray, IndexArray]:
    """Blocks that a shape may touch, and those of them that lie deeper than ``depth_mm`` in it.

    Returns
    -------
    tuple of two ndarrays
        Ids in ascending order; the second are not among the first.
    """
    index = (place.centers - reach.origin) / reach.step
    near = np.flatnonzero(((index >= 0) & (index < reach.lowest.shape)).all(axis=1))
    if near.size == 0:
        return near, near
    cells = tuple(index[near].astype(np.intp).T)
    found = reach.lowest[cells] < growth_mm + _SAFETY_MM
    near, cells = near[found], tuple(c[found] for c in cells)
    deep = reach.highest[cells] < growth_mm - depth_mm - _SAFETY_MM
    surface = near[~deep]
    lowest, highest = _probed(blocks, place, surface, shape)
    found, filled = lowest < growth_mm, highest < growth_mm - depth_mm
    return surface[found & ~filled], np.union1d(near[deep], surface[found & filled])


def _cells(shape: Field) -> tuple[int, Float32Array, Float32Array]:
    """Nodes along the edge of a cell; lowest and highest value of a shape in every cell of its lattice."""
    if shape not in _CELLS:
        n = max(2, round(_CELL_MM / shape.step))
        _CELLS[shape] = (n, _pooled(shape.values, n, np.minimum), _pooled(shape.values, n, np.maximum))
    return _CELLS[shape]


def _pooled(values: Float32Array, n: int, pool: np.ufunc) -> Float32Array:
    """Extreme of n + 1 neighbours along each axis, every n-th: cells share their faces."""
    for axis in range(3):
        moved = np.moveaxis(values, axis, 0)
        count = max(1, -(-(len(moved) - 1) // n))
        last = len(moved) - 1
        planes = [pool.reduce(moved[k * n : min(k * n + n, last) + 1], axis=0) for k in range(count)]
        values = np.moveaxis(np.stack(planes), 0, axis)
    return np.ascontiguousarray(values)


def _probed(
    blocks: Blocks, place: Placement, ids: IndexArray, shape: Field
) -> tuple[Float32Array, Float32Array]:
    """Closer bounds of a shape's distance in some blocks: from the centres of their eighths.

    They hold where the shape is not too steep; far from the surface it may be what it likes.
    """
    index = place.indices(blocks.eighths, ids, shape.origin, shape.step)
    found = ndimage.map_coordinates(
        shape.values, index, order=1, cval=shape.beyond, prefilter=False, output=np.float32
    ).reshape(len(ids), 8)
    margin = np.float32(_STEEPEST * np.linalg.norm(blocks.grid.spacing * blocks.size) / 4)
    return found.min(axis=1) - margin, found.max(axis=1) + margin


def _around(count: int) -> FloatArray:
    """Numbers one apart with mean 0."""
    return np.asarray(np.arange(count) - (count - 1) / 2)


def _mean_of_corners(values: FloatArray, axes: tuple[int, ...]) -> FloatArray:
    for axis in axes:
        n = values.shape[axis]
        values = (np.take(values, range(1, n), axis=axis) + np.take(values, range(n - 1), axis=axis)) / 2
    return values
