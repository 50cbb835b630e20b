"""Small blocks of samples: where each lies in the body, and which of them a shape can touch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.phantom.field import Field, Float32Array
from osteotrace.phantom.records import Posture, SoftMap
from osteotrace.space import FloatArray, Grid

IndexArray = NDArray[np.intp]

# Edge of a block, mm: small against a bone, large against the work that a block costs.
_BLOCK_MM = 6.0
_MOST_SAMPLES = 16
# A soft map may stretch by so much, and a field may be so much steeper than a distance.
_SLACK = 1.2
# A lattice reaches so far beyond its surface (see Field).
_RIM_MM = 3.0


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
        """Blocks of about 6 mm."""
        size = np.clip(np.round(_BLOCK_MM / grid.spacing), 2, _MOST_SAMPLES).astype(int)
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
    def radius_mm(self) -> float:
        """From the centre of a block to the outer corner of its outermost voxel."""
        return float(np.linalg.norm(self.grid.spacing * self.size) / 2)

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

    def indices(self, blocks: Blocks, ids: IndexArray, origin: FloatArray, step: float) -> FloatArray:
        """Lattice indices of all samples of some blocks, shape (3, n, *blocks.size)."""
        start = (self.centers[ids] - origin) / step
        steps = (self.steps if len(self.steps) == 1 else self.steps[ids]) / step
        x, y, z = (np.arange(n) - (n - 1) / 2 for n in blocks.size)
        found = np.empty((3, len(ids), *blocks.size))
        for axis in range(3):
            g = steps[:, axis]
            plane = (start[:, axis, None] + g[:, 0, None] * x)[:, :, None] + (g[:, 1, None] * y)[:, None, :]
            np.add(plane[..., None], (g[:, 2, None] * z)[:, None, None, :], out=found[axis])
        return found


def rigid_placement(blocks: Blocks, to_exam: FloatArray) -> Placement:
    """Placement of a bone; ``to_exam`` maps body points to exam points, shape (4, 4)."""
    motion = np.linalg.inv(to_exam) @ blocks.grid.affine
    return Placement(blocks.centers() @ motion[:3, :3].T + motion[:3, 3], motion[None, :3, :3])


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
    blocks: Blocks, place: Placement, shape: Field, growth_mm: float, depth_mm: float
) -> tuple[IndexArray, IndexArray]:
    """Blocks that a shape may touch, and those of them that lie deeper than ``depth_mm`` in it.

    Returns
    -------
    tuple of two ndarrays
        Ids in ascending order; the second are not among the first.
    """
    radius = blocks.radius_mm * _SLACK
    reach = radius + max(0.0, growth_mm)
    low, high = shape.low - reach + _RIM_MM, shape.high + reach - _RIM_MM
    near = np.flatnonzero(((place.centers >= low) & (place.centers <= high)).all(axis=1))
    if near.size == 0:
        return near, near
    centers = place.centers[near]
    clipped = np.clip(centers, shape.low, shape.high)
    beyond = np.linalg.norm(centers - clipped, axis=1)
    distance = shape.at(clipped) - growth_mm
    slope = _SLACK * (radius / _SLACK + beyond)
    reached = distance <= slope
    deep = (distance < -(depth_mm + slope)) & (beyond == 0)
    return near[reached & ~deep], near[deep]


def _mean_of_corners(values: FloatArray, axes: tuple[int, ...]) -> FloatArray:
    for axis in axes:
        n = values.shape[axis]
        values = (np.take(values, range(1, n), axis=axis) + np.take(values, range(n - 1), axis=axis)) / 2
    return values
