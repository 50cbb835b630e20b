"""The line through the vertebral bodies: how it bends, and what stands beside it."""

from __future__ import annotations

import numpy as np

from osteotrace.space import FloatArray


def sagittal_bends_deg(points: FloatArray) -> FloatArray:
    """Bend of the line at each of its points, in the sagittal plane.

    Parameters
    ----------
    points : ndarray of float64, shape (n, 3)
        From head to tail, LPS mm.

    Returns
    -------
    ndarray of float64, shape (n,)
        Degrees by which the line turns backward; positive in a lordosis. NaN at both ends.
    """
    bends = np.full(len(points), np.nan)
    if len(points) > 2:
        step = np.diff(points, axis=0)
        tilt = np.arctan2(step[:, 1], -step[:, 2])
        turn = np.diff(tilt)
        bends[1:-1] = np.degrees((turn + np.pi) % (2 * np.pi) - np.pi)
    return bends


def aside_mm(points: FloatArray) -> FloatArray:
    """How far each point stands beside the line through its neighbours.

    Parameters
    ----------
    points : ndarray of float64, shape (n, 3)
        From head to tail, LPS mm.

    Returns
    -------
    ndarray of float64, shape (n,)
        mm. The neighbours are those on both sides; of an end, the next two. NaN for fewer than three points.
    """
    n = len(points)
    if n < 3:
        return np.full(n, np.nan)
    index = np.arange(n)
    first = np.where(index == 0, 1, index - 1)
    second = np.select([index == 0, index == n - 1], [2, n - 3], index + 1)
    line = points[second] - points[first]
    length = np.maximum(np.linalg.norm(line, axis=1), 1e-6)
    return np.asarray(np.linalg.norm(np.cross(points - points[first], line), axis=1) / length)
