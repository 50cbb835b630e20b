"""Geometry of the instances of a label image."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.model.anatomy import BodySize, Vector
from osteotrace.space import FloatArray, Grid

_CORE: Final = 0.6  # of the depth of the deepest voxel: what is left of a vertebra is the inside of its body
_SACRUM_TOP_MM: Final = 30.0
_RIB_REACH_MM: Final = 12.0  # from a rib, as programs outline it, to the vertebra that it joins
_SIDE_MM: Final = 45.0  # lateral view that a rib needs to be seen
_MIDDLE_MM: Final = 6.0  # radius of the column in which the height of a body is measured


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """The voxels of one label.

    Attributes
    ----------
    label : int
    indices : ndarray of int, shape (n, 3)
        Of its voxels.
    points : ndarray of float64, shape (n, 3)
        Their centres; LPS mm.
    largest_share : float
        Share of its greatest connected part.
    touches_edge : bool
        Whether a voxel lies at the edge of the field of view.
    """

    label: int
    indices: NDArray[np.intp]
    points: FloatArray
    largest_share: float
    touches_edge: bool


def instances(labels: NDArray[np.integer[Any]], grid: Grid, wanted: Collection[int]) -> dict[int, Instance]:
    """Those of the wanted labels that are in an image."""
    found = {}
    for label, box in enumerate(ndimage.find_objects(labels), 1):
        if box is not None and label in wanted:
            inside = labels[box] == label
            indices = np.argwhere(inside) + [side.start for side in box]
            parts, n = ndimage.label(inside, np.ones((3, 3, 3)))
            largest = np.bincount(parts.ravel())[1:].max() if n else 0
            found[label] = Instance(
                label, indices, grid.points(indices), largest / len(indices), _at_edge(indices, grid)
            )
    return found


def _at_edge(indices: NDArray[np.intp], grid: Grid) -> bool:
    last = np.array(grid.shape) - 1
    return bool((((indices == 0) | (indices == last)) & (last > 0)).any())


def body_centre(instance: Instance, grid: Grid, body: NDArray[np.bool_] | None) -> Vector:
    """Centre of the body of a vertebra; LPS mm.

    Parameters
    ----------
    body : ndarray of bool or None
        Which voxels of the instance are body, where the program tells. Without it the thickest part of the
        vertebra is taken, which is inside the body.
    """
    points = instance.points[_core(instance, grid) if body is None or not body.any() else body]
    return _vector(points.mean(axis=0))


def _core(instance: Instance, grid: Grid) -> NDArray[np.bool_]:
    start = instance.indices.min(axis=0) - 1
    box = np.zeros(instance.indices.max(axis=0) - start + 2, dtype=bool)
    local = tuple((instance.indices - start).T)
    box[local] = True
    depth = ndimage.distance_transform_edt(box, sampling=grid.spacing)
    core, n = ndimage.label(depth >= _CORE * depth.max(), np.ones((3, 3, 3)))
    largest = int(np.argmax(np.bincount(core.ravel(), minlength=n + 1)[1:])) + 1
    return np.asarray(core[local] == largest)


def top_centre(points: FloatArray) -> Vector:
    """Centre of the uppermost 30 mm; LPS mm."""
    return _vector(points[points[:, 2] >= points[:, 2].max() - _SACRUM_TOP_MM].mean(axis=0))


def centre(points: FloatArray) -> Vector:
    """Centre of mass; LPS mm."""
    return _vector(points.mean(axis=0))


def body_size(body: FloatArray, cranial: Vector, grid: Grid) -> BodySize:
    """Size of a vertebral body from its points (LPS mm), along its axis and across at half height."""
    middle = body.mean(axis=0)
    axis = np.array(cranial)
    up = (body - middle) @ axis
    across = (body - middle) - up[:, None] * axis
    step = float(np.abs(grid.affine[:3, :3].T @ axis).max())
    column = up[np.linalg.norm(across, axis=1) <= _MIDDLE_MM]
    level = across[np.abs(up) <= step]
    width, depth = (float(np.ptp(level[:, i]) + grid.spacing.min()) if len(level) else None for i in (0, 1))
    return BodySize(float(np.ptp(column)) + step if column.size else None, width, depth)


def axes(centres: FloatArray) -> FloatArray:
    """Unit vectors towards the head along a row of vertebrae (head first), shape (n, 3)."""
    if len(centres) < 2:
        return np.tile([0.0, 0.0, 1.0], (len(centres), 1))
    way = -np.gradient(centres, axis=0)
    return np.asarray(way / np.linalg.norm(way, axis=1, keepdims=True))


def rib_signs(
    labels: NDArray[np.integer[Any]], grid: Grid, vertebrae: Mapping[int, Instance], ribs: frozenset[int]
) -> dict[int, float | None]:
    """Probability that a rib joins each vertebra, by label.

    Each rib joins the vertebra that it is nearest to: a rib reaches the body above as well, but lies along
    the transverse process of its own vertebra.

    Returns
    -------
    dict of int to float or None
        None where a rib could not have been seen: the field of view ends beside the vertebra, or cuts it.
    """
    near = {label: _distances(labels, grid, item, ribs) for label, item in vertebrae.items()}
    joined: dict[int, int] = dict.fromkeys(vertebrae, 0)
    for rib in ribs:
        best = min(near, key=lambda label: near[label].get(rib, np.inf), default=None)
        if best is not None and rib in near[best]:
            joined[best] += 1
    return {
        label: _rib_probability(joined[label], _sees_sides(item, grid)) for label, item in vertebrae.items()
    }


def _distances(
    labels: NDArray[np.integer[Any]], grid: Grid, vertebra: Instance, ribs: frozenset[int]
) -> dict[int, float]:
    """Distance of each rib within reach of a vertebra, mm."""
    margin = np.ceil(_RIB_REACH_MM / grid.spacing).astype(int)
    start = np.maximum(vertebra.indices.min(axis=0) - margin, 0)
    stop = np.minimum(vertebra.indices.max(axis=0) + margin + 1, grid.shape)
    box = labels[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    distance = ndimage.distance_transform_edt(box != vertebra.label, sampling=grid.spacing)
    nearest = {
        rib: float(distance[box == rib].min(initial=np.inf)) for rib in ribs & {*np.unique(box).tolist()}
    }
    return {rib: least for rib, least in nearest.items() if least <= _RIB_REACH_MM}


def _rib_probability(joined: int, sees_sides: bool) -> float | None:
    if joined:
        return 0.99 if joined > 1 else 0.95
    return 0.01 if sees_sides else None


def _sees_sides(vertebra: Instance, grid: Grid) -> bool:
    if vertebra.touches_edge:
        return False
    middle = vertebra.points.mean(axis=0)
    sides = middle + np.array([[_SIDE_MM, 0.0, 0.0], [-_SIDE_MM, 0.0, 0.0]])
    return bool(grid.contains(sides).all())


def _vector(values: FloatArray) -> Vector:
    return float(values[0]), float(values[1]), float(values[2])
