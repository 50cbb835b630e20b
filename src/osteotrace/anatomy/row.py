"""Which of the bodies found stand in one row, from head to tail."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.space import FloatArray, Grid

_NEAREST_MM, _FARTHEST_MM = 8.0, 80.0  # of the centres of neighbours; a missed body doubles their distance
_STEEPEST = 0.35  # share of a step that must go down the lattice; S1 lies well behind L5
_SIDEWAYS = 0.5  # share of a step that may go to the side


def longest_row(bodies: NDArray[np.int32], lattice: Grid) -> list[int]:
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
    follows = _follows(centres)
    best, before = volumes.copy(), np.full(len(labels), -1)
    for lower in range(len(labels)):
        for upper in range(lower):
            if follows[upper, lower] and best[upper] + volumes[lower] > best[lower]:
                best[lower], before[lower] = best[upper] + volumes[lower], upper
    row = [int(best.argmax())]
    while before[row[-1]] >= 0:
        row.append(int(before[row[-1]]))
    return [labels[order[n]] for n in reversed(row)]


def _follows(centres: FloatArray) -> NDArray[np.bool_]:
    """Whether the second body (column) can be the next below the first (row); centres in mm."""
    step = centres[None] - centres[:, None]
    length = np.linalg.norm(step, axis=-1)
    length[length == 0] = np.inf
    near = (length > _NEAREST_MM) & (length < _FARTHEST_MM)
    down = step[..., 0] > _STEEPEST * length
    straight = np.abs(step[..., 2]) < _SIDEWAYS * length
    return np.asarray(near & down & straight)
