"""Rigid starts from two rows of vertebrae: one for every way to count them against each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.transform import Rotation

from osteotrace.registration.skeleton import Skeleton
from osteotrace.space import FloatArray
from osteotrace.space.grid import apply_affine

_REACH_MM = 14.0  # two centres closer than this can be one vertebra
_NAMED_REACH_MM = 60.0  # the same of the only bone of its name
_ROUNDS = 8
# Points beside each centre, along the axes of the patient, keep a straight row from turning about itself.
_AXIS_MM = 30.0
_AXIS_WEIGHT = 0.15
_LEAST = 2
_SPACING_MM = 4.0  # difference of distances of vertebrae, at which a way to count is worth 1/e
_SACRUM_MM, _SACRUM_WORTH = 14.0, 0.5  # sacra that lie apart speak against a way to count

Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class RowStart:
    """One way to count two rows against each other.

    Attributes
    ----------
    pose : ndarray, shape (4, 4)
        First frame to second frame, LPS mm.
    pairs : tuple of (int, int)
        Vertebrae of the two rows that are the same.
    spacing_mm : float
        Root mean square difference of the distances from one vertebra to the next: no pose changes it.
    stretch : float
        Length of the common row in the second frame over that in the first, less 1.
    sacrum_mm : float or None
        Distance of the sacra where the lowest common vertebra is brought together; None unless both are seen.
    """

    pose: FloatArray
    pairs: Pairs
    spacing_mm: float
    stretch: float
    sacrum_mm: float | None

    @property
    def worth(self) -> float:
        """How well distances and sacra agree, 0 to 1."""
        apart = self.sacrum_mm is not None and self.sacrum_mm > _SACRUM_MM
        return float(np.exp(-((self.spacing_mm / _SPACING_MM) ** 2))) * (_SACRUM_WORTH if apart else 1.0)


def row_starts(first: Skeleton, second: Skeleton) -> list[RowStart]:
    """All distinct ways, those that bring most vertebrae together first."""
    here, there = first.row, second.row
    if len(here) < _LEAST or len(there) < _LEAST:
        return []
    found: dict[Pairs, RowStart] = {}
    for i, j in _seeds(len(here), len(there)):
        start = _settled(first, second, i, j)
        if start is not None and start.pairs not in found:
            found[start.pairs] = start
    return sorted(found.values(), key=lambda s: -len(s.pairs) * s.worth)


def same_bones(first: Skeleton, second: Skeleton, pose: FloatArray) -> Pairs:
    """Bones that a pose brings together, as indices of `Skeleton.bones`.

    Vertebrae by place, following the bend of the row; the others by name, near where the row takes them.
    """
    here, there = _centres(first), _centres(second)
    pairs, bend = _followed(here, there, pose)
    out = list(pairs)  # vertebrae come first among the bones
    names = {bone.name: j for j, bone in enumerate(second.bones) if not bone.is_vertebra}
    for i, bone in enumerate(first.bones):
        j = None if bone.is_vertebra else names.get(bone.name)
        if j is not None:
            nearest = _nearest(here, bone.centre)
            place = apply_affine(pose, bone.centre) + (bend[nearest] if nearest is not None else 0.0)
            if float(np.linalg.norm(place - second.bones[j].centre)) < _NAMED_REACH_MM:
                out.append((i, j))
    return tuple(out)


def fitted(one: FloatArray, other: FloatArray) -> FloatArray:
    """Rigid motion that brings points (n, 3) to points; patient axes are taken to agree more or less."""
    beside = np.concatenate([np.eye(3), -np.eye(3)]) * _AXIS_MM
    weights = np.r_[np.ones(len(one)), np.full(len(beside) * len(one), _AXIS_WEIGHT / len(beside))]
    one = np.concatenate([one, *(one + step for step in beside)])
    other = np.concatenate([other, *(other + step for step in beside)])
    from_middle, to_middle = (np.average(p, axis=0, weights=weights) for p in (one, other))
    turn, _ = Rotation.align_vectors(other - to_middle, one - from_middle, weights=weights)
    pose = np.eye(4)
    pose[:3, :3] = turn.as_matrix()
    pose[:3, 3] = to_middle - pose[:3, :3] @ from_middle
    return pose


def _seeds(n: int, m: int) -> list[tuple[int, int]]:
    """Pairs to start from: three vertebrae of the shorter row with each one of the longer."""
    few = sorted({round(share * (min(n, m) - 1)) for share in (0.25, 0.5, 0.75)})
    return [(i, j) if n <= m else (j, i) for i in few for j in range(max(n, m))]


def _settled(first: Skeleton, second: Skeleton, i: int, j: int) -> RowStart | None:
    """Follow both rows from one pair of vertebrae by place, which a missed vertebra does not shift."""
    here, there = _centres(first), _centres(second)
    pose = np.eye(4)
    pose[:3, 3] = there[j] - here[i]
    pairs, _ = _followed(here, there, pose)
    if len(pairs) < _LEAST:
        return None
    one, other = here[[i for i, _ in pairs]], there[[j for _, j in pairs]]
    steps = [np.linalg.norm(np.diff(row, axis=0), axis=1) for row in (one, other)]
    spacing = float(np.sqrt(np.mean((steps[0] - steps[1]) ** 2)))
    stretch = float(steps[1].sum() / steps[0].sum()) - 1.0
    return RowStart(
        fitted(one, other), pairs, spacing, stretch, _sacra_apart(first, second, one[-1], other[-1])
    )


def _followed(here: FloatArray, there: FloatArray, pose: FloatArray) -> tuple[Pairs, FloatArray]:
    """Match centres by place; each one is looked for where the matched ones next to it lie off by."""
    places = apply_affine(pose, here)
    bend = np.zeros_like(places)
    pairs: Pairs = ()
    if not len(here) or not len(there):
        return pairs, bend
    for _ in range(_ROUNDS):
        distance = np.linalg.norm((places + bend)[:, None] - there[None], axis=-1)
        rows = zip(*linear_sum_assignment(np.minimum(distance, _REACH_MM)), strict=True)
        new = tuple((int(i), int(j)) for i, j in rows if distance[i, j] < _REACH_MM)
        if not new or new == pairs:
            break
        pairs = new
        known = np.array([i for i, _ in pairs])
        off = there[[j for _, j in pairs]] - places[known]
        bend = off[np.abs(known[:, None] - np.arange(len(here))[None]).argmin(axis=0)]
    return pairs, bend


def _centres(skeleton: Skeleton) -> FloatArray:
    return np.array([bone.centre for bone in skeleton.row]).reshape(-1, 3)


def _nearest(centres: FloatArray, point: FloatArray) -> int | None:
    return int(np.linalg.norm(centres - point, axis=1).argmin()) if len(centres) else None


def _sacra_apart(first: Skeleton, second: Skeleton, low: FloatArray, other_low: FloatArray) -> float | None:
    places = [[b.centre for b in skeleton.bones if b.name == "sacrum"] for skeleton in (first, second)]
    if not places[0] or not places[1]:
        return None
    lengths = [float(np.linalg.norm(places[0][0] - low)), float(np.linalg.norm(places[1][0] - other_low))]
    return abs(lengths[0] - lengths[1])
