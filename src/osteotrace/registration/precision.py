"""How exactly the images tell each motion of a bone: the curvature of their agreement."""

from __future__ import annotations

import numpy as np

from osteotrace.registration.evidence import torque
from osteotrace.registration.local import agreement
from osteotrace.registration.patches import Patch
from osteotrace.space import FloatArray, motion_of
from osteotrace.space.grid import apply_affine

_STEP_MM = 1.5
_LEAST = 0.01  # of the usual curvature: what changes nothing is not told


def curvature(
    patch: Patch, table: FloatArray, motion: FloatArray, centre: FloatArray, size_mm: float
) -> FloatArray:
    """Minus the second derivative of the agreement of a bone at a motion.

    Parameters
    ----------
    patch : Patch
    table : ndarray
        The relation of the values.
    motion : ndarray, shape (4, 4)
        Fixed frame to moving frame.
    centre : ndarray, shape (3,)
        Of the bone, fixed frame, LPS mm.
    size_mm : float
        By which turns become lengths.

    Returns
    -------
    ndarray, shape (6, 6)
        By turns about the centre times the size (mm) and shifts (mm), before the motion; nats/mm²; symmetric.
    """
    scale = np.r_[[size_mm] * 3, [1.0] * 3]
    rows = []
    for axis in range(6):
        step = np.zeros(6)
        step[axis] = _STEP_MM / scale[axis]
        ahead, behind = (_slope(patch, table, motion, centre, side * step) for side in (1.0, -1.0))
        rows.append((behind - ahead) / (2.0 * _STEP_MM) / scale)
    out = np.array(rows)
    return np.asarray((out + out.T) / 2.0)


def _slope(
    patch: Patch, table: FloatArray, motion: FloatArray, centre: FloatArray, step: FloatArray
) -> FloatArray:
    """Gradient of the agreement after a small motion about the centre, by such a motion; shape (6,)."""
    own = motion_of(np.r_[step[:3], 0.0, 0.0, 0.0])[0]
    own[:3, 3] = centre - own[:3, :3] @ centre + step[3:]
    moved = motion @ own
    _, slope = agreement(patch.field, patch.samples, table, patch.pose(moved))
    there = apply_affine(moved, centre) if patch.forward else centre
    turn = slope[:3] - torque(np.outer(slope[3:], there))
    if not patch.forward:  # the field lies in the fixed frame: what moves there is the inverse
        return -np.concatenate([turn, slope[3:]])
    back = moved[:3, :3].T
    return np.concatenate([back @ turn, back @ slope[3:]])


def precision_of(usual: FloatArray, curved: FloatArray, steep: float) -> FloatArray:
    """Precision of a motion: the usual one, less along what changes the agreement less than usual.

    Parameters
    ----------
    usual : ndarray, shape (6,)
        Of turns (1/rad²) and places (1/mm²).
    curved : ndarray, shape (6, 6)
        As :func:`curvature` gives it.
    steep : float
        Usual curvature, nats/mm².

    Returns
    -------
    ndarray, shape (6, 6)
        Of turn (rad) and place (mm) at the centre.
    """
    values, axes = np.linalg.eigh(curved)
    part = (axes * np.clip(values / max(steep, 1e-12), _LEAST, 1.0)) @ axes.T
    root = np.sqrt(usual)
    return np.asarray(root[:, None] * part * root)
