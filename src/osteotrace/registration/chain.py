"""Motions of bones that hang on each other: what each image says, held together by the joints.

All bones are found at once as the mean of a normal distribution: each measured motion pulls with its
precision, each joint with that of a usual joint. Measurements that the neighbours contradict lose weight
(Student's t), so that one vertebra that slid to the next one does not drag the row; its covariance is what
the rest leaves open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from osteotrace.space import FloatArray, motion_of, twist_of

_ROUNDS = 8
_FREEDOM = 3.0  # of Student's t
_LOOSE_MM, _LOOSE_RAD = 200.0, 1.0  # how far the whole may lie from the start: free


@dataclass(frozen=True, slots=True, eq=False)
class Joint:
    """Two bones that move alike at a point.

    Attributes
    ----------
    one, other : int
        Bones.
    place : ndarray, shape (3,)
        Fixed frame, LPS mm.
    slide_mm, turn_deg : float
        Standard deviation of the relative motion there, about each axis.
    """

    one: int
    other: int
    place: FloatArray
    slide_mm: float
    turn_deg: float


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What the images say of one bone.

    Attributes
    ----------
    bone : int
    motion : ndarray, shape (4, 4)
        Fixed frame to moving frame.
    precision : ndarray, shape (6, 6)
        Of turn (rad) and place (mm) at the centre of the bone, fixed frame.
    """

    bone: int
    motion: FloatArray
    precision: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Motions of all bones.

    Attributes
    ----------
    motions : ndarray, shape (n, 4, 4)
        Fixed frame to moving frame.
    covariance : ndarray, shape (n, 6, 6)
        Of turn (rad) and place (mm) at the centre of each bone.
    trust : ndarray, shape (n,)
        Weight that was left to the measurement of each bone, 0 (none or contradicted) to 1 and a little more.
    misfit : ndarray, shape (n,)
        Square of what the measurement of each bone lies off, in its nominal standard deviations, with that
        weight; 0 without one.
    redundancy : ndarray, shape (n,)
        Its expectation by the nominal precisions, 0 (nothing else tells this bone) to 6: the redundancy
        number of least squares adjustment.
    """

    motions: FloatArray
    covariance: FloatArray
    trust: FloatArray
    misfit: FloatArray
    redundancy: FloatArray


def joined(
    centres: FloatArray, start: FloatArray, measured: Sequence[Measured], joints: Sequence[Joint]
) -> Chain:
    """Motions that measurements and joints agree on.

    Parameters
    ----------
    centres : ndarray, shape (n, 3)
        Of the bones, fixed frame, LPS mm.
    start : ndarray, shape (4, 4)
        Motion of the whole, about which is linearised.
    measured : sequence of Measured
        Several of one bone add up; trust, misfit and redundancy are those of the last of them.
    joints : sequence of Joint
    """
    n = len(centres)
    base = np.zeros((6 * n, 6 * n))
    base[np.diag_indices(6 * n)] = np.tile(np.r_[[_LOOSE_RAD**-2.0] * 3, [_LOOSE_MM**-2.0] * 3], n)
    for joint in joints:
        _add_joint(base, centres, joint)
    told = [_increment(m.motion, start, centres[m.bone]) for m in measured]
    trust: FloatArray = np.ones(len(measured))
    off: list[float] = []
    state: FloatArray = np.zeros(6 * n)
    covariance: FloatArray = np.eye(6 * n)
    for _ in range(_ROUNDS):
        system, right = base.copy(), np.zeros(6 * n)
        for m, value, weight in zip(measured, told, trust, strict=True):
            part = slice(6 * m.bone, 6 * m.bone + 6)
            system[part, part] += weight * m.precision
            right[part] += weight * m.precision @ value
        covariance = np.asarray(np.linalg.inv(system), dtype=np.float64)
        state = covariance @ right
        off = [
            float(away @ m.precision @ away)
            for m, value in zip(measured, told, strict=True)
            for away in [value - state[6 * m.bone : 6 * m.bone + 6]]
        ]
        trust = np.asarray((_FREEDOM + 6.0) / (_FREEDOM + np.array(off)))
    motions = np.array([moved_by(start, c, state[6 * i : 6 * i + 6]) for i, c in enumerate(centres)])
    blocks = np.array([covariance[6 * i : 6 * i + 6, 6 * i : 6 * i + 6] for i in range(n)])
    left, misfit, redundancy = np.zeros((3, n))
    for m, square, weight in zip(measured, off, trust, strict=True):
        left[m.bone], misfit[m.bone] = weight, weight * square
        redundancy[m.bone] = max(6.0 - float(weight * np.trace(m.precision @ blocks[m.bone])), 0.0)
    return Chain(motions, blocks, left, misfit, redundancy)


def _increment(motion: FloatArray, start: FloatArray, centre: FloatArray) -> FloatArray:
    """Small motion about a centre, before the start, that makes the motion: turn (rad), shift (mm)."""
    own = np.linalg.inv(start) @ motion
    turn = twist_of(own)[0, :3]
    return np.concatenate([turn, own[:3, :3] @ centre + own[:3, 3] - centre])


def moved_by(start: FloatArray, centre: FloatArray, state: FloatArray) -> FloatArray:
    """A motion after a small one about a centre: turn (rad), shift (mm)."""
    own = motion_of(np.r_[state[:3], 0.0, 0.0, 0.0])[0]
    own[:3, 3] = centre - own[:3, :3] @ centre + state[3:]
    return np.asarray(start @ own)


def _add_joint(system: FloatArray, centres: FloatArray, joint: Joint) -> None:
    one, other = _at(centres[joint.one], joint.place), _at(centres[joint.other], joint.place)
    precision = np.r_[[np.radians(joint.turn_deg) ** -2.0] * 3, [joint.slide_mm**-2.0] * 3]
    rows = np.concatenate([one, -other], axis=1)
    index = _indices(joint)
    system[np.ix_(index, index)] += rows.T @ (precision[:, None] * rows)


def _at(centre: FloatArray, place: FloatArray) -> FloatArray:
    """From the motion about a centre to that at a place, shape (6, 6)."""
    x, y, z = place - centre
    out = np.eye(6)
    out[3:, :3] = [[0.0, z, -y], [-z, 0.0, x], [y, -x, 0.0]]  # turn × (place - centre)
    return out


def _indices(joint: Joint) -> NDArray[np.intp]:
    step = np.arange(6, dtype=np.intp)
    return np.concatenate([6 * joint.one + step, 6 * joint.other + step])
