"""Where points lie in the skeleton of one volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import edt
import numpy as np
from numpy.typing import NDArray

from osteotrace.model.anatomy import Anatomy, Bone
from osteotrace.model.criteria import Criteria
from osteotrace.model.label_schemes import structure
from osteotrace.model.site import Part
from osteotrace.space import FloatArray, Mask

_MOST_POINTS: Final = 4000  # of a lesion; more do not move its share in a bone
_STEP_MM: Final = 1.5  # distances are measured on voxels about this large
_MOST: Final = 0.5
_CANAL_MM: Final = 60.0  # from a lesion in a vertebra to the canal, at most
_SLAB_MM: Final = 10.0  # of the canal, above and below the lesion
_FRONT_PERCENTILE: Final = 5.0  # of the canal's voxels: its front without single voxels


@dataclass(frozen=True, slots=True)
class Reach:
    """Criteria ``site.*``; each is explained there."""

    near_mm: float
    also_share: float
    part_share: float

    @classmethod
    def of(cls, criteria: Criteria) -> Reach:
        """Read the criteria."""
        return cls(
            criteria.number("site.near_mm"),
            criteria.number("site.also_share"),
            criteria.number("site.part_share"),
        )


@dataclass(frozen=True, slots=True)
class Hit:
    """The bone in which points lie.

    Attributes
    ----------
    share : float
        Of the points inside the bone, 0 to 1.
    distance_mm : float
        From the nearest point to the bone; 0 when one is inside.
    rivals : tuple of (Bone, float)
        Bones in which they may lie as well, with a weight from 0 to 1 beside the 1 of the bone: it falls in a
        straight line with the distance from the centre of the points, to 0 at the predicted error.
    also : tuple of Bone
        Other bones that hold a part of the points.
    """

    bone: Bone
    share: float
    distance_mm: float
    rivals: tuple[tuple[Bone, float], ...]
    also: tuple[Bone, ...]
    part: Part


def some_points(mask: Mask) -> FloatArray:
    """Voxel centres of a mask, thinned to what a place needs, each time alike; LPS mm, shape (n, 3).

    Drawn and not in steps: steps would take the same columns of the lattice again and again.
    """
    index = np.argwhere(mask.values)
    if len(index) > _MOST_POINTS:
        index = index[np.random.default_rng(0).choice(len(index), _MOST_POINTS, replace=False)]
    return mask.grid.points(index)


def covers(anatomy: Anatomy, points: FloatArray) -> bool:
    """Whether the labels of a volume hold most of the points (LPS mm in its frame, shape (n, 3))."""
    return bool(anatomy.grid.contains(points).mean() >= _MOST)


def bone_at(points: FloatArray, anatomy: Anatomy, error_mm: float, reach: Reach) -> Hit | None:
    """The bone that holds most of the points, else the nearest one; None when none is within reach.

    Parameters
    ----------
    points : ndarray, shape (n, 3)
        Voxel centres of a lesion, LPS mm in the frame of the anatomy.
    error_mm : float
        Predicted 95% radius of their place.
    """
    bones = {bone.label: bone for bone in anatomy.bones}
    shares = _shares(points, anatomy, bones)
    around = _around(points, anatomy, reach.near_mm + error_mm)
    if around is None:
        return None
    label, distance_mm = max(shares, key=lambda n: (shares[n], -n), default=0), 0.0
    if not shares:
        distances = _distances(points, around, bones)
        label = min(distances, key=lambda n: (distances[n], n), default=0)
        distance_mm = distances.get(label, np.inf)
        if distance_mm > reach.near_mm:
            return None
    tolerance = error_mm if shares else max(error_mm, float(anatomy.grid.spacing.max()))
    return Hit(
        bone=bones[label],
        share=shares.get(label, 0.0),
        distance_mm=distance_mm,
        rivals=_rivals(label, points.mean(axis=0), around, bones, tolerance),
        also=tuple(b for n, b in bones.items() if n != label and shares.get(n, 0.0) >= reach.also_share),
        part=_part(points, anatomy, bones[label], reach.part_share),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Around:
    """Labels near a lesion, thinned."""

    labels: NDArray[np.uint16]
    first: NDArray[np.int_]
    step: NDArray[np.int_]
    anatomy: Anatomy

    def place(self, index: NDArray[np.int_]) -> FloatArray:
        """Points of voxel indices of the thinned box."""
        return self.anatomy.grid.points(self.first + index * self.step)


def _indices(points: FloatArray, anatomy: Anatomy) -> NDArray[np.int_]:
    """Nearest voxels of the points that lie in the grid; shape (m, 3)."""
    inside = points[anatomy.grid.contains(points)]
    nearest = np.rint(anatomy.grid.indices(inside)).astype(int)
    return np.asarray(np.clip(nearest, 0, np.array(anatomy.grid.shape) - 1))


def _shares(points: FloatArray, anatomy: Anatomy, bones: dict[int, Bone]) -> dict[int, float]:
    """Part of the points in each bone, of those that hold any."""
    i, j, k = _indices(points, anatomy).T
    labels, counts = np.unique(anatomy.labels[i, j, k], return_counts=True)
    return {
        int(n): float(count) / len(points) for n, count in zip(labels, counts, strict=True) if int(n) in bones
    }


def _around(points: FloatArray, anatomy: Anatomy, margin_mm: float) -> _Around | None:
    index = _indices(points, anatomy)
    if not len(index):
        return None
    spacing = anatomy.grid.spacing
    margin = np.ceil(margin_mm / spacing).astype(int) + 1
    step = np.maximum(1, np.rint(_STEP_MM / spacing)).astype(int)
    first = np.maximum(index.min(axis=0) - margin, 0)
    last = np.minimum(index.max(axis=0) + margin + 1, anatomy.grid.shape)
    box = tuple(slice(a, b, s) for a, b, s in zip(first, last, step, strict=True))
    return _Around(anatomy.labels[box], first, step, anatomy)


def _distances(points: FloatArray, around: _Around, bones: dict[int, Bone]) -> dict[int, float]:
    """From the nearest point to the nearest voxel of each bone in the box, mm."""
    outside = np.ones(around.labels.shape, dtype=bool)
    index = (_indices(points, around.anatomy) - around.first) // around.step
    i, j, k = np.clip(index, 0, np.array(outside.shape) - 1).T
    outside[i, j, k] = False
    far = edt.edt(outside, anisotropy=tuple(around.anatomy.grid.spacing * around.step))
    present = (int(n) for n in np.unique(around.labels) if int(n) in bones)
    return {n: float(far[around.labels == n].min()) for n in present}


def _rivals(
    label: int, centre: FloatArray, around: _Around, bones: dict[int, Bone], tolerance_mm: float
) -> tuple[tuple[Bone, float], ...]:
    if tolerance_mm <= 0:
        return ()
    distance = {}
    for n in (int(n) for n in np.unique(around.labels) if int(n) in bones):
        voxels = around.place(np.argwhere(around.labels == n))
        distance[n] = float(np.linalg.norm(voxels - centre, axis=1).min())
    own = distance.get(label, 0.0)
    weights = {n: min(1.0, 1.0 - (d - own) / tolerance_mm) for n, d in distance.items() if n != label}
    return tuple((bones[n], w) for n, w in sorted(weights.items(), key=lambda item: -item[1]) if w > 0)


def _part(points: FloatArray, anatomy: Anatomy, bone: Bone, least: float) -> Part:
    """Body or posterior elements, told by the front of the spinal canal at the height of the points."""
    canal = next((s for s in anatomy.structures if s.name == "spinal canal"), None)
    if canal is None or structure(bone.name).kind != "vertebra":
        return ""
    i, j, k = _indices(points, anatomy).T
    if float((anatomy.labels[i, j, k] == canal.label).mean()) >= _MOST:
        return "spinal canal"
    around = _around(points, anatomy, _CANAL_MM)
    if around is None:
        return ""
    voxels = around.place(np.argwhere(around.labels == canal.label))
    up = np.array(bone.orientation.cranial if bone.orientation else (0.0, 0.0, 1.0))
    level = voxels[np.abs((voxels - points.mean(axis=0)) @ up) <= _SLAB_MM]
    if not len(level):
        return ""
    back = level.mean(axis=0) - np.array(bone.centroid_mm)
    back -= (back @ up) * up
    length = float(np.linalg.norm(back))
    if length < _STEP_MM:
        return ""
    back /= length
    front = float(np.percentile(level @ back, _FRONT_PERCENTILE))
    ahead = float((points @ back < front).mean())
    if ahead > 1.0 - least:
        return "body"
    return "posterior elements" if ahead < least else "body and posterior elements"
