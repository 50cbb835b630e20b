"""Which of the bodies found stand in one row, from head to tail."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.anatomy.settings import MrSettings
from osteotrace.space import FloatArray, Grid


def longest_row(bodies: NDArray[np.int32], lattice: Grid, settings: MrSettings) -> list[int]:
    """Labels of the bodies that stand in one row, from head to tail.

    Of all rows in which each body lies below the one before, neither too near nor too far nor to its side,
    the one that holds the most volume. Bodies outside of it (in ribs, pelvis or gut) are no vertebrae.
    """
    labels = [int(n) for n in np.unique(bodies) if n]
    if not labels:
        return []
    centres = np.array(ndimage.center_of_mass(bodies > 0, bodies, labels)) * lattice.spacing
    volumes = np.bincount(bodies.ravel())[labels].astype(float)
    order = np.argsort(centres[:, 0])
    centres, volumes = centres[order], volumes[order]
    follows = _follows(centres, settings)
    best, before = volumes.copy(), np.full(len(labels), -1)
    for lower in range(len(labels)):
        for upper in range(lower):
            if follows[upper, lower] and best[upper] + volumes[lower] > best[lower]:
                best[lower], before[lower] = best[upper] + volumes[lower], upper
    row = [int(best.argmax())]
    while before[row[-1]] >= 0:
        row.append(int(before[row[-1]]))
    return [labels[order[n]] for n in reversed(row)]


def _follows(centres: FloatArray, settings: MrSettings) -> NDArray[np.bool_]:
    """Whether the second body (column) can be the next below the first (row); centres in mm."""
    step = centres[None] - centres[:, None]
    length = np.linalg.norm(step, axis=-1)
    length[length == 0] = np.inf
    near = (length > settings.row_nearest_mm) & (length < settings.row_farthest_mm)
    down = step[..., 0] > settings.row_down_share * length
    straight = np.abs(step[..., 2]) < settings.row_side_share * length
    return np.asarray(near & down & straight)
