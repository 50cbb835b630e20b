"""Which bones hang on each other, and how much they usually move there."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.spatial import cKDTree

from osteotrace.registration.chain import Joint
from osteotrace.registration.settings import BoneSettings
from osteotrace.registration.skeleton import SeenBone

_SOCKET_MM = 25.0  # of the socket: the head of a femur, whose radius is 20 to 27 mm
_HELD = ("vertebra", "sacrum", "hip bone", "rib", "femur", "skull")
_SEGMENT_MM = 32.0  # a usual distance of two vertebrae; farther ones have a missed one between them


def joints_of(bones: Sequence[SeenBone], settings: BoneSettings) -> list[Joint]:
    """Joints of a skeleton.

    Vertebra to vertebra, the lowest to the sacrum, sacrum to hip bones, rib to the nearest vertebra, femur to
    its hip bone, about the middle of its head; skull to the uppermost vertebra; any other bone loosely to the
    nearest one.

    Parameters
    ----------
    bones : sequence of SeenBone
        Of one frame.
    settings : BoneSettings
    """
    row = sorted((i for i, b in enumerate(bones) if b.is_vertebra), key=lambda i: -bones[i].centre[2])
    out = [_between(bones, a, b, settings) for a, b in pairwise(row)]
    for number, bone in enumerate(bones):
        if bone.is_vertebra:
            continue
        joint = _hanging(bones, number, row, settings)
        if joint is not None:
            out.append(joint)
    return out


def is_loose(bone: SeenBone) -> bool:
    """Whether it hangs on others by free joints only: sternum, scapula ..."""
    return not bone.name.startswith(_HELD)


def _between(bones: Sequence[SeenBone], a: int, b: int, s: BoneSettings) -> Joint:
    middle = (bones[a].centre + bones[b].centre) / 2.0
    steps = max(1.0, float(np.linalg.norm(bones[a].centre - bones[b].centre)) / _SEGMENT_MM)
    return Joint(a, b, middle, s.disc_slide_mm * steps**0.5, s.disc_turn_deg * steps**0.5)


def _hanging(bones: Sequence[SeenBone], number: int, row: Sequence[int], s: BoneSettings) -> Joint | None:
    """What a bone that is no vertebra hangs on; None when it is alone."""
    name = bones[number].name
    others = {b.name: i for i, b in enumerate(bones) if not b.is_vertebra and i != number}
    if name == "sacrum":
        return _between(bones, row[-1], number, s) if row else None
    if name.startswith("hip bone") and "sacrum" in others:
        return _touching(bones, number, [others["sacrum"]], s.fixed_slide_mm, s.fixed_turn_deg)
    if name.startswith("rib") and row:
        return _touching(bones, number, row, s.rib_slide_mm, s.rib_turn_deg)
    hip = others.get(f"hip bone {name.rpartition(' ')[2]}")
    if name.startswith("femur") and hip is not None:
        return _in_socket(bones, number, hip, s)
    if name == "skull" and row:
        return _touching(bones, number, [row[0]], s.rib_slide_mm, s.rib_turn_deg)
    rest = [i for i in range(len(bones)) if i != number]
    return _touching(bones, number, rest, s.loose_slide_mm, s.loose_turn_deg) if rest else None


def _in_socket(bones: Sequence[SeenBone], number: int, socket: int, s: BoneSettings) -> Joint:
    """Ball joint: the bone turns about the middle of what lies in the socket, not where it comes nearest."""
    points = bones[number].points
    distance = cKDTree(bones[socket].points).query(points)[0]
    place = points[distance <= max(_SOCKET_MM, float(distance.min()))].mean(axis=0)
    return Joint(socket, number, place, s.rib_slide_mm, s.loose_turn_deg)


def _touching(
    bones: Sequence[SeenBone], number: int, others: Sequence[int], slide_mm: float, turn_deg: float
) -> Joint:
    """Joint where a bone comes nearest to any of the others."""
    there = np.concatenate([bones[i].points for i in others])
    owner = np.repeat(others, [len(bones[i].points) for i in others])
    distance, index = cKDTree(there).query(bones[number].points)
    nearest = int(distance.argmin())
    place = bones[number].points[nearest]
    return Joint(int(owner[index[nearest]]), number, place, slide_mm, turn_deg)
