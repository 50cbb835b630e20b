"""Rendering with partial volume: every sample takes its share of each tissue from signed distances."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.errors import SpaceError
from osteotrace.phantom.field import Field, Float32Array
from osteotrace.phantom.scanner.blocks import (
    Blocks,
    IndexArray,
    Placement,
    Reach,
    half_extent,
    placements,
    touched,
)
from osteotrace.phantom.scanner.scene import Paint, Scene, Stroke, strokes
from osteotrace.phantom.scanner.texture import Texture, sampled, texture
from osteotrace.space import Grid, require_same_frame

THREADS = 2
# Samples that are drawn at a time, and samples of a slab: the arrays stay in the cache, the slabs in memory.
_BATCH_SAMPLES = 2**17
_SLAB_SAMPLES = 2**23
# So many slabs at least, to share them out among threads, unless they had fewer slices than this.
_FEWEST_SLABS, _THIN_SLAB = 6, 12
# Two samples cannot tell shapes apart below this share of the finest spacing.
_LEAST_RAMP = 0.5
# A lattice reaches 3 mm beyond its surface; a wider ramp would see its edge.
_WIDEST_RAMP_MM = 5.9
_FIRST, _LAST = slice(0, 1), slice(-1, None)


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """What a stroke touches in a slab: blocks at its surface, blocks wholly inside."""

    stroke: Stroke
    surface: IndexArray
    inside: IndexArray


def render(
    scene: Scene,
    grid: Grid,
    paint: Paint,
    *,
    samples: tuple[int, int, int] = (1, 1, 1),
    threads: int = THREADS,
) -> Float32Array:
    """Values of every channel on a grid: the mean over each voxel.

    A sample's share of a shape is a linear ramp of the signed distance over the sample's own width across
    the surface; exact for a plane along the axes of the grid.

    Parameters
    ----------
    grid : Grid
        In the frame of reference of the posture.
    samples : tuple of int
        Samples along each edge of a voxel.

    Returns
    -------
    ndarray of float32, shape (channels, *grid.shape)
        The same for any number of threads.

    Raises
    ------
    FrameMismatchError
        When the grid is not in the exam's frame of reference.
    SpaceError
        When the samples are too far apart.
    """
    _check(scene, grid, samples)
    todo = strokes(scene)
    pattern = texture(scene.seed)
    whole = Blocks.of(refined(grid, samples))
    halves = {name: half_extent(whole, scene.posture, name) for name in carriers(todo)}
    with ThreadPoolExecutor(max_workers=threads) as pool:
        reaches = list(pool.map(lambda stroke: Reach.of(stroke.shape, halves[stroke.carrier]), todo))
    out = slice_ordered(len(paint.background), grid)

    def work(slab: slice) -> None:
        part = refined(grid.crop((0, 0, slab.start), (*grid.shape[:2], slab.stop)), samples)
        blocks = Blocks.of(part)
        values = blocks.assembled(_paint_slab(blocks, scene, todo, reaches, paint, pattern))
        out[..., slab] = averaged(values, samples)

    with ThreadPoolExecutor(max_workers=threads) as pool:
        list(pool.map(work, slabs(grid, samples)))
    return out


def slice_ordered(channels: int, grid: Grid) -> Float32Array:
    """Empty values of shape (channels, *grid.shape) whose slices are contiguous in memory, row by row."""
    return np.empty((channels, *grid.shape[::-1]), dtype=np.float32).transpose(0, 3, 2, 1)


def refined(grid: Grid, samples: tuple[int, int, int]) -> Grid:
    """The grid of the samples of all voxels."""
    number = np.array(samples)
    affine = grid.affine.copy()
    affine[:3, :3] /= number
    affine[:3, 3] = grid.points(-0.5 + 0.5 / number)
    i, j, k = (int(n) for n in grid.shape * number)
    return Grid((i, j, k), affine, grid.frame_of_reference_uid)


def averaged(values: Float32Array, samples: tuple[int, int, int]) -> Float32Array:
    """Means over the samples of each voxel; the last three axes are those of the grid."""
    for axis, n in zip((-3, -2, -1), samples, strict=True):
        if n > 1:
            shape = list(values.shape)
            at = len(shape) + axis
            shape[at : at + 1] = [shape[at] // n, n]
            values = values.reshape(shape).mean(axis=at + 1, dtype=np.float32)
    return values


def slabs(grid: Grid, samples: tuple[int, int, int] = (1, 1, 1)) -> list[slice]:
    """Runs of slices of bounded size; they depend on the grid only."""
    per_slice = int(np.prod(grid.shape[:2])) * int(np.prod(samples))
    slices = grid.shape[2]
    number = max(-(-slices * per_slice // _SLAB_SAMPLES), min(_FEWEST_SLABS, slices // _THIN_SLAB), 1)
    n = -(-slices // number)
    return [slice(k, min(k + n, slices)) for k in range(0, slices, n)]


def carriers(todo: tuple[Stroke, ...]) -> set[str]:
    """Names of all that carries something."""
    return {stroke.carrier for stroke in todo}


def shares(
    blocks: Blocks, place: Placement, ids: IndexArray, surface: Field, depths_mm: tuple[float, ...]
) -> list[Float32Array]:
    """Share of each sample that lies deeper than each depth below a surface.

    Parameters
    ----------
    depths_mm : tuple of float
        Positive inwards.

    Returns
    -------
    list of ndarray of float32, shape (len(ids), blocks.samples)
    """
    index = place.indices(blocks.offsets, ids, surface.origin, surface.step)
    distance = np.empty(index.shape[1:], dtype=np.float32)
    ndimage.map_coordinates(
        surface.values, index, order=1, cval=surface.beyond, prefilter=False, output=distance
    )
    distance, inverse = _ramp(distance, blocks.grid)
    distance *= inverse
    found = []
    for depth in depths_mm:
        share = np.float32(0.5) - distance
        if depth != 0:
            share -= np.float32(depth) * inverse
        found.append(np.clip(share, 0, 1, out=share).reshape(len(ids), -1))
    return found


def batches(ids: IndexArray, blocks: Blocks) -> list[IndexArray]:
    """The ids in runs of bounded size."""
    n = max(1, _BATCH_SAMPLES // blocks.samples)
    return [ids[first : first + n] for first in range(0, len(ids), n)]


def _check(scene: Scene, grid: Grid, samples: tuple[int, int, int]) -> None:
    frame = Grid(grid.shape, grid.affine, scene.posture.frame_of_reference_uid)
    require_same_frame(grid, frame)
    width = float(np.linalg.norm(grid.spacing / np.array(samples)))
    if width > _WIDEST_RAMP_MM:
        raise SpaceError(
            f"the samples measure {width:.1f} mm across",
            expected=f"at most {_WIDEST_RAMP_MM} mm",
            remedy="take more samples in each voxel",
        )


def _ramp(distance: Float32Array, grid: Grid) -> tuple[Float32Array, Float32Array]:
    """Mean distance over each sample's own box, mm, and one over its width across the surface, 1/mm.

    Both from the values of the block alone. A box of edges s has the mean d + sum of s² d'' / 24, which keeps
    the volume of curved shapes, and seen along n a width of equal variance of sqrt(sum of (n s)²).
    """
    edges = grid.spacing.astype(np.float32)
    bend = np.zeros_like(distance)
    square = np.zeros_like(distance)
    for axis in (1, 2, 3):
        ahead: tuple[slice, ...] = (slice(None),) * axis
        change = np.diff(distance, axis=axis)
        second = np.diff(change, axis=axis)
        np.clip(second, -2 * edges[axis - 1], 2 * edges[axis - 1], out=second)  # a kink bends no more
        bend[(*ahead, slice(1, -1))] += second
        bend[(*ahead, _FIRST)] += second[(*ahead, _FIRST)]
        bend[(*ahead, _LAST)] += second[(*ahead, _LAST)]
        change *= change
        square[(*ahead, slice(1, None))] += change
        square[(*ahead, slice(None, -1))] += change
        square[(*ahead, _FIRST)] += change[(*ahead, _FIRST)]
        square[(*ahead, _LAST)] += change[(*ahead, _LAST)]
    bend *= np.float32(1 / 24)
    bend += distance
    square *= np.float32(0.5)
    least, most = _LEAST_RAMP * grid.spacing.min(), np.linalg.norm(grid.spacing)
    np.clip(square, np.float32(least**2), np.float32(most**2), out=square)
    np.sqrt(square, out=square)
    return bend, np.asarray(np.divide(np.float32(1), square, out=square))


def _paint_slab(
    blocks: Blocks,
    scene: Scene,
    todo: tuple[Stroke, ...],
    reaches: list[Reach],
    paint: Paint,
    pattern: Texture,
) -> Float32Array:
    places = placements(blocks, scene.posture, carriers(todo))
    jobs, first = _jobs(blocks, places, todo, reaches)
    canvas = np.empty((len(paint.background), blocks.number, blocks.samples), dtype=np.float32)
    for channel, value in enumerate(paint.background):
        canvas[channel] = value
    for number, job in enumerate(jobs):
        place = places[job.stroke.carrier]
        brush = _Brush(blocks, place, job.stroke, paint, pattern)
        for ids in batches(job.inside[first[job.inside] == number], blocks):
            brush.fill(canvas, ids)
        for ids in batches(job.surface[first[job.surface] <= number], blocks):
            brush.blend(canvas, ids)
    return canvas


def _jobs(
    blocks: Blocks, places: dict[str, Placement], todo: tuple[Stroke, ...], reaches: list[Reach]
) -> tuple[list[_Job], NDArray[np.int32]]:
    """The strokes that touch the slab, and for each block the last of them that covers it wholly."""
    jobs: list[_Job] = []
    first = np.full(blocks.number, -1, dtype=np.int32)
    for stroke, reach in zip(todo, reaches, strict=True):
        depth = stroke.layers[-1][0]
        place = places[stroke.carrier]
        surface, inside = touched(blocks, place, stroke.shape, reach, stroke.growth_mm, depth)
        if stroke.confined is not None or stroke.layers[-1][2] is not None:
            surface, inside = np.union1d(surface, inside), inside[:0]
        if surface.size or inside.size:
            first[inside] = len(jobs)
            jobs.append(_Job(stroke, surface, inside))
    return jobs, first


@dataclass(frozen=True, slots=True, eq=False)
class _Brush:
    """Draws one stroke on the blocks of a slab."""

    blocks: Blocks
    place: Placement
    stroke: Stroke
    paint: Paint
    pattern: Texture

    def fill(self, canvas: Float32Array, ids: IndexArray) -> None:
        """Cover blocks that lie wholly inside."""
        material = self.stroke.layers[-1][1]
        noise = self._noise(ids, len(self.stroke.layers) - 1)
        for channel, (mean, sd) in enumerate(
            zip(self.paint.mean(material), self.paint.sd(material), strict=True)
        ):
            canvas[channel, ids] = mean if noise is None or sd == 0 else mean + np.float32(sd) * noise

    def blend(self, canvas: Float32Array, ids: IndexArray) -> None:
        """Draw blocks at the surface, each layer nested in the one outside of it."""
        covers = stroke_shares(self.blocks, self.place, self.stroke, ids)
        used = np.flatnonzero(covers[0].any(axis=1))
        if used.size == 0:
            return
        ids, covers = ids[used], [cover[used] for cover in covers]
        weights = [outer - inner for outer, inner in pairwise(covers)] + [covers[-1]]
        noises = [self._noise(ids, layer) for layer in range(len(weights))]
        for channel in range(len(canvas)):
            values = canvas[channel, ids]
            values -= values * covers[0]
            for weight, (_, material, _), noise in zip(weights, self.stroke.layers, noises, strict=True):
                mean, sd = self.paint.mean(material)[channel], self.paint.sd(material)[channel]
                if noise is None or sd == 0:
                    values += weight * np.float32(mean)
                else:
                    values += weight * (np.float32(mean) + np.float32(sd) * noise)
            canvas[channel, ids] = values

    def _noise(self, ids: IndexArray, layer: int) -> Float32Array | None:
        material = self.stroke.layers[layer][1]
        if not any(self.paint.sd(material)):
            return None
        sample = float(np.prod(self.blocks.grid.spacing) ** (1 / 3))
        lattice, step = self.pattern.level(material.grain_mm, sample)
        index = self.place.indices(self.blocks.offsets, ids, np.zeros(3), step)
        return sampled(lattice, index).reshape(len(ids), -1)


def stroke_shares(blocks: Blocks, place: Placement, stroke: Stroke, ids: IndexArray) -> list[Float32Array]:
    """Share of every layer of a stroke, the inner ones counted to the outer; each at most that outside it."""
    depths = tuple(depth - stroke.growth_mm for depth, _, surface in stroke.layers if surface is None)
    covers = shares(blocks, place, ids, stroke.shape, depths)
    for _, _, surface in stroke.layers:
        if surface is not None:
            covers += shares(blocks, place, ids, surface, (-stroke.growth_mm,))
    if stroke.confined is not None:
        (allowed,) = shares(blocks, place, ids, stroke.confined[0], (stroke.confined[1],))
        covers[0] = covers[0] * allowed
    for outer, inner in pairwise(covers):
        np.minimum(outer, inner, out=inner)
    return covers
