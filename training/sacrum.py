"""The body of S1 in a sacrum that was outlined as one bone: where it surely is, and where it may be."""

from __future__ import annotations

import numpy as np

from codes import CANAL_TISSUE, Code

SACRUM, CORD = 25, 79
MIDLINE_MM = 6.0
HIGH_MM = (24.0, 32.0)  # below the upper end of the sacrum: S1 to here, something else from here
WIDE_MM = (19.0, 28.0)  # beside the midline, in the same way
DEEP_MM = 15.0  # half the depth of the body, for its core


def codes_of_sacrum(
    tissue: np.ndarray, spacing: np.ndarray
) -> tuple[tuple[np.ndarray, ...], np.ndarray, np.ndarray] | None:
    """Codes of the voxels of a whole sacrum, and how deep they lie in S1; None where there is none.

    Returns
    -------
    where : tuple of ndarray
        Indices of the voxels.
    code, share : ndarray of uint8
        One each; 200 is deepest.
    """
    where = np.nonzero(tissue == SACRUM)
    if len(where[0]) < 1000:
        return None
    points = np.stack(where, axis=1) * spacing
    middle = float(np.median(points[:, 2]))
    wall = canal_front(tissue, spacing, middle)
    ahead = points[:, 1] < wall[where[0]]
    line = points[ahead & (np.abs(points[:, 2] - middle) < MIDLINE_MM)]
    if len(line) < 100:
        return None
    centre = line.mean(axis=0)
    axis = np.linalg.svd((line - centre)[:, :2], full_matrices=False)[2][0]
    axis = axis * np.sign(axis[0])
    depth = (points - centre)[:, :2] @ axis
    depth = depth - np.percentile((line - centre)[:, :2] @ axis, 2.0)
    across = (points - centre)[:, :2] @ np.array([-axis[1], axis[0]])
    across = across - np.median((line - centre)[:, :2] @ np.array([-axis[1], axis[0]]))
    beside = np.abs(points[:, 2] - middle)
    code = np.full(len(points), Code.SACRUM, np.uint8)
    code[ahead & (depth < HIGH_MM[1]) & (beside < WIDE_MM[1])] = Code.WHOLE_SACRUM
    code[ahead & (depth < HIGH_MM[0]) & (beside < WIDE_MM[0])] = Code.S1
    half = HIGH_MM[0] / 2
    inner = 1 - np.maximum.reduce(
        [np.abs(depth - half) / (half + 2), beside / (WIDE_MM[0] + 2), np.abs(across) / DEEP_MM]
    )
    return where, code, np.round(np.clip(inner, 0, 1) * 200).astype(np.uint8)


def canal_front(tissue: np.ndarray, spacing: np.ndarray, middle: float) -> np.ndarray:
    """Where the canal begins from the front in each row of the image, near the midline; mm."""
    near = slice(max(0, int((middle - MIDLINE_MM) / spacing[2])), int((middle + MIDLINE_MM) / spacing[2]) + 1)
    canal = np.isin(tissue[:, :, near], (CORD, CANAL_TISSUE)).any(axis=2)
    rows = np.flatnonzero(canal.any(axis=1))
    if len(rows) == 0:
        return np.full(len(tissue), np.inf)
    return np.interp(np.arange(len(tissue)), rows, canal[rows].argmax(axis=1) * spacing[1])
