"""What fills each voxel: the truth of bones and inserts on any grid."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from osteotrace.phantom.field import Float32Array
from osteotrace.phantom.posture import exam_points
from osteotrace.phantom.records import Insert
from osteotrace.phantom.scanner.blocks import Blocks, Reach, half_extent, placements, touched
from osteotrace.phantom.scanner.render import THREADS, averaged, batches, refined, stroke_shares
from osteotrace.phantom.scanner.scene import Scene, Stroke, strokes
from osteotrace.space import Grid, box_around

# A voxel belongs to what fills it by half or more.
_HALF = 0.5


def bone_labels(
    scene: Scene, grid: Grid, *, samples: tuple[int, int, int] = (1, 1, 1), threads: int = THREADS
) -> NDArray[np.uint16]:
    """Number of the bone that fills each voxel by half or more: place in ``body.bones`` + 1.

    Returns
    -------
    ndarray of uint16, shape grid.shape
    """
    return _labels(scene, grid, lambda stroke: stroke.bone, samples, threads)


def insert_labels(
    scene: Scene, grid: Grid, *, samples: tuple[int, int, int] = (1, 1, 1), threads: int = THREADS
) -> NDArray[np.uint16]:
    """Number of the insert that fills each voxel by half or more: place in ``scene.inserts`` + 1.

    Returns
    -------
    ndarray of uint16, shape grid.shape
    """
    return _labels(scene, grid, lambda stroke: stroke.insert, samples, threads)


def insert_share(
    scene: Scene, insert_id: str, grid: Grid, *, samples: tuple[int, int, int] = (1, 1, 1)
) -> Float32Array:
    """Share of each voxel that one insert fills, its core included; shape grid.shape.

    Raises
    ------
    KeyError
        When there is no such insert.
    """
    out = np.zeros(grid.shape, dtype=np.float32)
    stroke = _stroke_of(scene, insert_id)
    box = _box(scene, stroke, grid)
    if box is not None:
        low = box.offset_in(grid)
        out[_at(low, box)] = _share(scene, stroke, box, samples)
    return out


def insert_box(scene: Scene, insert_id: str, grid: Grid, margin_mm: float) -> Grid | None:
    """Part of a grid around an insert, or None when it lies outside.

    Raises
    ------
    KeyError
        When there is no such insert.
    """
    return _box(scene, _stroke_of(scene, insert_id), grid, margin_mm)


def insert_of(scene: Scene, insert_id: str) -> Insert:
    """The insert of this id; KeyError when there is none."""
    for insert in scene.inserts:
        if insert.id == insert_id:
            return insert
    raise KeyError(insert_id)


def _stroke_of(scene: Scene, insert_id: str) -> Stroke:
    insert = insert_of(scene, insert_id)
    return next(s for s in strokes(scene) if s.insert >= 0 and scene.inserts[s.insert] is insert)


def _box(scene: Scene, stroke: Stroke, grid: Grid, margin_mm: float = 0.0) -> Grid | None:
    ends = np.stack([stroke.shape.low, stroke.shape.high])
    corners = np.stack(np.meshgrid(*ends.T, indexing="ij"), axis=-1).reshape(-1, 3)
    reach = margin_mm + max(stroke.growth_mm, 0.0)
    return box_around(grid, exam_points(scene.posture, stroke.carrier, corners), reach)


def _at(low: tuple[int, int, int], box: Grid) -> tuple[slice, ...]:
    return tuple(slice(a, a + n) for a, n in zip(low, box.shape, strict=True))


def _share(scene: Scene, stroke: Stroke, grid: Grid, samples: tuple[int, int, int]) -> Float32Array:
    blocks = Blocks.of(refined(grid, samples))
    place = placements(blocks, scene.posture, {stroke.carrier})[stroke.carrier]
    reach = Reach.of(stroke.shape, half_extent(blocks, scene.posture, stroke.carrier))
    surface, inside = touched(blocks, place, stroke.shape, reach, stroke.growth_mm, 0.0)
    canvas = np.zeros((1, blocks.number, blocks.samples), dtype=np.float32)
    if stroke.confined is None:
        canvas[0, inside] = 1.0
    else:
        surface = np.union1d(surface, inside)
    for ids in batches(surface, blocks):
        canvas[0, ids] = stroke_shares(blocks, place, stroke, ids)[0]
    return np.asarray(averaged(blocks.assembled(canvas), samples)[0])


def _labels(
    scene: Scene,
    grid: Grid,
    number: Callable[[Stroke], int],
    samples: tuple[int, int, int],
    threads: int,
) -> NDArray[np.uint16]:
    out = np.zeros(grid.shape[::-1], dtype=np.uint16).transpose(2, 1, 0)

    def work(stroke: Stroke) -> tuple[Stroke, Grid, NDArray[np.bool_]] | None:
        box = _box(scene, stroke, grid)
        return None if box is None else (stroke, box, _share(scene, stroke, box, samples) >= _HALF)

    todo = [stroke for stroke in strokes(scene) if number(stroke) >= 0]
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for found in pool.map(work, todo):
            if found is not None:
                stroke, box, filled = found
                out[_at(box.offset_in(grid), box)][filled] = number(stroke) + 1
    return out
