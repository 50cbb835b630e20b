"""How the line through the vertebral bodies bends from front to back."""

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
