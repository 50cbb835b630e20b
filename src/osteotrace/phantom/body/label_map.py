"""Shapes and vertebrae read from a label map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.phantom.body.labels import number_of
from osteotrace.phantom.body.options import USUAL_LEVELS
from osteotrace.phantom.body.shapes import cropped, normalised, redistanced
from osteotrace.phantom.body.spine_curve import Vertebra, table
from osteotrace.phantom.field import Field
from osteotrace.space import FloatArray, NiftiImage

_MARGIN_MM = 6.0
_SMOOTH_VOXELS = 0.6
_LEAST_ML = 0.3
_CORE = 0.55  # voxels at least this share as deep as the deepest one are the body's core
_PROFILE_MM = 0.5
_LONGEST_MM = 70.0
_CORD_REACH_MM = 6.0


@dataclass(frozen=True, slots=True, eq=False)
class LabelMap:
    """A label map with the box of each label.

    Attributes
    ----------
    image : NiftiImage
    boxes : dict of int to tuple of slice
        Of each label that holds at least `_LEAST_ML`.
    """

    image: NiftiImage
    boxes: dict[int, tuple[slice, ...]]

    def has(self, name: str) -> bool:
        """Whether a TotalSegmentator class is there."""
        return number_of(name) in self.boxes

    def whole(self, name: str) -> bool:
        """Whether a class ends inside of the map."""
        box = self.boxes[number_of(name)]
        return all(s.start > 0 and s.stop < n for s, n in zip(box, self.image.values.shape, strict=True))

    def points(self, name: str) -> FloatArray:
        """Centres of the voxels of a class, shape (n, 3), LPS mm."""
        box = self.boxes[number_of(name)]
        index = np.argwhere(self.image.values[box] == number_of(name)) + [s.start for s in box]
        return np.asarray(self.image.grid.points(index), dtype=np.float64)


def label_map(image: NiftiImage) -> LabelMap:
    """Find the labels of an image."""
    values = np.asarray(image.values).astype(np.int16)
    counts = np.bincount(values.ravel().clip(0), minlength=118)
    least = _LEAST_ML * 1000 / image.grid.voxel_volume_mm3
    boxes = ndimage.find_objects(values.clip(0))
    kept = {
        number: box
        for number, box in enumerate(boxes, start=1)
        if box is not None and number <= 117 and counts[number] >= least
    }
    return LabelMap(NiftiImage(values, image.grid), kept)


def shape_of(labels: LabelMap, names: Sequence[str], step: float) -> Field:
    """Signed distance of the union of some classes, on a lattice of the body frame."""
    numbers = [number_of(name) for name in names if labels.has(name)]
    boxes = [labels.boxes[number] for number in numbers]
    start = np.min([[s.start for s in box] for box in boxes], axis=0)
    stop = np.max([[s.stop for s in box] for box in boxes], axis=0)
    pad = 3
    low, high = np.maximum(start - pad, 0), np.minimum(stop + pad, labels.image.values.shape)
    window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    inside = np.isin(labels.image.values[window], numbers).astype(np.float32)
    inside = ndimage.gaussian_filter(np.pad(inside, pad), _SMOOTH_VOXELS)
    return _placed(inside, low - pad, labels, step)


def _placed(inside: NDArray[np.float32], first: NDArray[np.int_], labels: LabelMap, step: float) -> Field:
    """Resample an occupancy that starts at a voxel, and turn it into distances."""
    grid = labels.image.grid
    ends = np.array([[0, n - 1] for n in inside.shape]) + first[:, None]
    corners = grid.points(np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, -1).T)
    origin = np.floor((corners.min(axis=0)) / step) * step
    shape = np.ceil((corners.max(axis=0) - origin) / step).astype(int) + 1
    inverse = np.linalg.inv(grid.affine)
    matrix = inverse[:3, :3] * step
    offset = inverse[:3, :3] @ origin + inverse[:3, 3] - first
    found = ndimage.affine_transform(inside, matrix, offset, tuple(shape), order=1, mode="constant", cval=0.0)
    return cropped(Field(normalised(redistanced(found, step, 0.8 / step), step), origin, step), _MARGIN_MM)


def vertebrae_of(labels: LabelMap, fields: dict[str, Field]) -> tuple[Vertebra, ...]:
    """The vertebrae as frames with sizes, from the head down.

    Parameters
    ----------
    fields : dict of str to Field
        Shapes of the vertebrae, by level; one that the border of the map cuts gets no frame.
    """
    levels = [level for level in USUAL_LEVELS if level in fields and labels.whole(f"vertebrae_{level}")]
    if len(levels) < 2:
        return ()
    centres = np.array([_body_centre(fields[level]) for level in levels])
    up = -np.gradient(centres, axis=0)
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    cord = labels.points("spinal_cord") if labels.has("spinal_cord") else np.zeros((0, 3))
    found = []
    for row, level in enumerate(levels):
        axes = _axes(centres[row], up[row], fields[level])
        gaps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
        around = gaps[max(row - 1, 0) : row + 1]
        found.append(_sized(level, centres[row], axes, float(around.mean()), fields[level], cord))
    return tuple(found)


def _body_centre(field: Field) -> FloatArray:
    """The thickest part of a vertebra is the middle of its body."""
    depth = -field.values
    core = np.argwhere(depth >= _CORE * depth.max())
    weights = depth[tuple(core.T)]
    deepest = np.array(np.unravel_index(int(depth.argmax()), depth.shape))
    near = np.linalg.norm((core - deepest) * field.step, axis=1) < 22.0
    middle = np.average(core[near], axis=0, weights=weights[near])
    return np.asarray(field.origin + middle * field.step)


def _axes(centre: FloatArray, up: FloatArray, field: Field) -> FloatArray:
    """Left, posterior and cranial: the arch tells where the back is."""
    inside = np.argwhere(field.values < 0) * field.step + field.origin
    back = inside.mean(axis=0) - centre
    back[0] *= 0.3  # a half-seen vertebra must not turn the frame
    back -= (back @ up) * up
    back /= np.linalg.norm(back)
    return np.column_stack([np.cross(back, up), back, up])


def _sized(
    level: str, centre: FloatArray, axes: FloatArray, gap: float, field: Field, cord: FloatArray
) -> Vertebra:
    """Sizes along the axes: half as measured, the rest as usual for the level."""
    usual = table("morphology.toml")["vertebra"]
    row = USUAL_LEVELS.index(level)
    sizes = {key: float(values[row]) for key, values in usual.items() if key != "levels"}
    front, rear = _reach(field, centre, -axes[:, 1]), _reach(field, centre, axes[:, 1])
    side = (_reach(field, centre, axes[:, 0]) + _reach(field, centre, -axes[:, 0])) / 2
    centre = centre + axes[:, 1] * (rear - front) / 2
    sizes["depth"] = float(np.clip(front + rear, 10.0, 50.0))
    sizes["width"] = float(np.clip(2 * side, 12.0, 65.0))
    sizes["disc"] = sizes["disc_share"] * gap
    sizes["height"] = gap - sizes["disc"]
    sizes["gap"] = gap
    sizes["canal_depth"] = _canal_depth(field, centre, axes, sizes)
    if len(cord):
        across = np.abs((cord - centre) @ axes[:, 2]) < _CORD_REACH_MM
        if across.any():
            middle = float(((cord[across] - centre) @ axes[:, 1]).mean())
            sizes["canal_depth"] = float(np.clip(2 * (middle - sizes["depth"] / 2), 11.0, 22.0))
    return Vertebra(level, centre, axes, sizes)


def _reach(field: Field, centre: FloatArray, along: FloatArray) -> float:
    """Distance from a point inside to the surface, mm."""
    line = np.arange(0.0, _LONGEST_MM, _PROFILE_MM)
    values = field.at(centre + line[:, None] * along)
    outside = np.flatnonzero(values > 0)
    return float(line[outside[0]]) if len(outside) else 0.0


def _canal_depth(field: Field, centre: FloatArray, axes: FloatArray, sizes: dict[str, float]) -> float:
    """From the back of the body to the laminae: the shortest way at several heights."""
    line = np.arange(sizes["depth"] / 2 + 2.0, sizes["depth"] / 2 + 30.0, _PROFILE_MM)
    found = []
    for height in np.arange(-10.0, 8.1, 2.0):
        values = field.at(centre + height * axes[:, 2] + line[:, None] * axes[:, 1])
        inside = np.flatnonzero(values < 0)
        if len(inside) and inside[0] > 0:
            found.append(float(line[inside[0]]) - sizes["depth"] / 2)
    return float(np.clip(min(found), 11.0, 24.0)) if found else sizes["canal_depth"]


def split(vertebra: Vertebra, field: Field) -> tuple[tuple[str, Field], ...]:
    """Body and posterior elements, cut at the back wall of the body."""
    offset = (field.lattice_points() - vertebra.centre) @ vertebra.axes[:, 1] - vertebra.sizes["depth"] / 2
    wall = offset.astype(np.float32)
    front = cropped(Field(np.maximum(field.values, wall), field.origin, field.step))
    rear = cropped(Field(np.maximum(field.values, -wall), field.origin, field.step))
    return ("body", front), ("posterior", rear)
