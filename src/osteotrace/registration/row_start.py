"""Rigid starts from two rows of vertebrae: one for every way to count them against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.transform import Rotation

from osteotrace.registration.skeleton import SeenBone, Skeleton
from osteotrace.space import FloatArray
from osteotrace.space.grid import apply_affine

_REACH_MM = 16.0  # two centres closer than this can be one vertebra
_ROUNDS = 6
# Points beside each centre, along the axes of the patient, keep a straight row from turning about itself.
_AXIS_MM = 30.0
_AXIS_WEIGHT = 0.15
_LEAST = 2


@dataclass(frozen=True, slots=True, eq=False)
class RowStart:
    """One way to count two rows against each other.

    Attributes
    ----------
    pose : ndarray, shape (4, 4)
        First frame to second frame, LPS mm.
    pairs : tuple of (int, int)
        Bones of the two skeletons that are the same.
    residual_mm : float
        Root mean square distance of the centres of the row.
    sacrum_mm : float or None
        Distance of the sacra; None unless both are seen.
    """

    pose: FloatArray
    pairs: tuple[tuple[int, int], ...]
    residual_mm: float
    sacrum_mm: float | None = None


def row_starts(first: Skeleton, second: Skeleton) -> list[RowStart]:
    """All distinct ways, those that bring most vertebrae together first."""
    here, there = first.row, second.row
    if len(here) < _LEAST or len(there) < _LEAST:
        return []
    found: dict[tuple[tuple[int, int], ...], RowStart] = {}
    for shift in range(-len(here) + _LEAST, len(there) - _LEAST + 1):
        index = [(i, i + shift) for i in range(len(here)) if 0 <= i + shift < len(there)]
        start = _settled(first, second, index)
        if start is not None and start.pairs not in found:
            found[start.pairs] = start
    return sorted(found.values(), key=lambda s: (-len(s.pairs), s.residual_mm))


def same_bones(first: Skeleton, second: Skeleton, pose: FloatArray) -> tuple[tuple[int, int], ...]:
    """Bones that a pose brings together: vertebrae by place, the others by name and place."""
    return _match(first.bones, second.bones, pose)


def _settled(first: Skeleton, second: Skeleton, index: Sequence[tuple[int, int]]) -> RowStart | None:
    """Turn an index-by-index count into one by place, which a missed vertebra does not shift."""
    here, there = np.array([b.centre for b in first.row]), np.array([b.centre for b in second.row])
    middle = index[len(index) // 2]
    near = [pair for pair in index if abs(pair[0] - middle[0]) <= 1]
    pose = fitted([here[i] for i, _ in near], [there[j] for _, j in near])
    pairs: tuple[tuple[int, int], ...] = ()
    for _ in range(_ROUNDS):
        new = _match(first.row, second.row, pose)
        if len(new) < _LEAST or new == pairs:
            break
        pairs = new
        pose = fitted([here[i] for i, _ in pairs], [there[j] for _, j in pairs])
    if len(pairs) < _LEAST:
        return None
    off = apply_affine(pose, here[[i for i, _ in pairs]]) - there[[j for _, j in pairs]]
    residual = float(np.sqrt((off**2).sum(axis=1).mean()))
    return RowStart(pose, same_bones(first, second, pose), residual, _sacrum_apart(first, second, pose))


def _sacrum_apart(first: Skeleton, second: Skeleton, pose: FloatArray) -> float | None:
    places = [[b.centre for b in skeleton.bones if b.name == "sacrum"] for skeleton in (first, second)]
    if not places[0] or not places[1]:
        return None
    return float(np.linalg.norm(apply_affine(pose, places[0][0]) - places[1][0]))


def fitted(here: Sequence[FloatArray], there: Sequence[FloatArray]) -> FloatArray:
    """Rigid motion that brings points to points; patient axes are taken to agree more or less."""
    one, other = np.asarray(here), np.asarray(there)
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


def _match(
    first: Sequence[SeenBone], second: Sequence[SeenBone], pose: FloatArray
) -> tuple[tuple[int, int], ...]:
    places = apply_affine(pose, np.array([bone.centre for bone in first]))
    out: list[tuple[int, int]] = []
    one = [i for i, bone in enumerate(first) if bone.is_vertebra]
    other = [j for j, bone in enumerate(second) if bone.is_vertebra]
    if one and other:
        distance = np.linalg.norm(
            places[one][:, None] - np.array([second[j].centre for j in other])[None], axis=-1
        )
        rows = zip(*linear_sum_assignment(np.minimum(distance, _REACH_MM)), strict=True)
        out += [(one[i], other[j]) for i, j in rows if distance[i, j] < _REACH_MM]
    names = {bone.name: j for j, bone in enumerate(second) if not bone.is_vertebra}
    for i, bone in enumerate(first):
        j = names.get(bone.name)
        if j is not None and float(np.linalg.norm(places[i] - second[j].centre)) < 3.0 * _REACH_MM:
            out.append((i, j))
    return tuple(sorted(out))
