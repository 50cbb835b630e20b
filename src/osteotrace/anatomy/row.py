"""Which of the bodies found stand in one row, from head to tail."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.anatomy.settings import MrSettings
from osteotrace.space import FloatArray, Grid


def longest_row(
    bodies: NDArray[np.int32], canal: NDArray[np.bool_], lattice: Grid, settings: MrSettings
) -> list[int]:
    """Labels of the bodies that stand in one row, from head to tail.

    Of all rows in which each body lies below the one before, neither too near nor too far nor to its side,
    the one that holds the most volume; what has no canal behind it counts less where most have one, and does
    not begin the row. Bodies outside of it (in skull, ribs, vessels, pelvis or gut) are no vertebrae.

    Parameters
    ----------
    bodies : ndarray of int32, shape lattice.shape
    canal : ndarray of bool, shape lattice.shape
        Where the spinal canal is seen.
    """
    labels = [int(n) for n in np.unique(bodies) if n]
    if not labels:
        return []
    centres = np.array(ndimage.center_of_mass(bodies > 0, bodies, labels)) * lattice.spacing
    volumes = np.bincount(bodies.ravel())[labels].astype(float)
    order = np.argsort(centres[:, 0])
    with_canal = _before_canal(bodies, canal, labels, lattice, settings)
    if volumes[with_canal].sum() <= 0.5 * volumes.sum():  # the canal is not seen
        with_canal[:] = True
    volumes = np.where(with_canal, volumes, settings.no_canal_weight * volumes)
    centres, volumes, with_canal = centres[order], volumes[order], with_canal[order]
    follows = _follows(centres, settings)
    best, before = volumes.copy(), np.full(len(labels), -1)
    for lower in range(len(labels)):
        for upper in range(lower):
            if follows[upper, lower] and best[upper] + volumes[lower] > best[lower]:
                best[lower], before[lower] = best[upper] + volumes[lower], upper
    row = [int(best.argmax())]
    while before[row[-1]] >= 0:
        row.append(int(before[row[-1]]))
    kept = row[::-1]
    while not with_canal[kept[0]] and len(kept) > 1:  # base of the skull
        kept = kept[1:]
    first, last = _without_strays(centres[kept], volumes[kept], settings)
    return [labels[order[n]] for n in kept[first:last]]


def _before_canal(
    bodies: NDArray[np.int32],
    canal: NDArray[np.bool_],
    labels: list[int],
    lattice: Grid,
    settings: MrSettings,
) -> NDArray[np.bool_]:
    """Whether the canal, in its largest part, is seen just behind each body, at most of its heights."""
    parts, count = ndimage.label(canal)
    canal = parts == (np.bincount(parts.ravel())[1:].argmax() + 1 if count else -1)
    boxes = ndimage.find_objects(bodies)
    reach = int(np.ceil(settings.canal_of_body_mm / lattice.spacing[1]))
    out = []
    for n in labels:
        i, j, k = boxes[n - 1]
        box = (i, slice(j.start, j.stop + reach), k)
        body = bodies[box] == n
        behind = ndimage.maximum_filter1d(body, 2 * reach + 1, axis=1, origin=reach) & ~body
        out.append((behind & canal[box]).any(axis=(1, 2)).mean() >= settings.canal_of_body_share)
    return np.array(out, bool)


def _without_strays(centres: FloatArray, volumes: FloatArray, settings: MrSettings) -> tuple[int, int]:
    """First and end of the part of a row that holds the most volume between steps that lead off the spine.

    Such a step is longer than those before and after it, and the row bends there as no spine does: the
    vertebrae of a gibbus lie near to each other.
    """
    if len(centres) < 3:
        return 0, len(centres)
    step = np.diff(centres, axis=0)
    length = np.linalg.norm(step, axis=1)
    sharp = np.abs(np.diff(np.rad2deg(np.arctan2(step[:, 1], step[:, 0])))) > settings.stray_bend_deg
    beside = np.maximum(np.r_[0.0, length[:-1]], np.r_[length[1:], 0.0])
    stray = (np.r_[False, sharp] | np.r_[sharp, False]) & (length > settings.stray_step * beside)
    ends = [0, *(np.flatnonzero(stray) + 1), len(centres)]
    first, last = max(itertools.pairwise(ends), key=lambda part: float(volumes[part[0] : part[1]].sum()))
    return int(first), int(last)


def _follows(centres: FloatArray, settings: MrSettings) -> NDArray[np.bool_]:
    """Whether the second body (column) can be the next below the first (row); centres in mm."""
    step = centres[None] - centres[:, None]
    length = np.linalg.norm(step, axis=-1)
    length[length == 0] = np.inf
    near = (length > settings.row_nearest_mm) & (length < settings.row_farthest_mm)
    down = step[..., 0] > settings.row_down_share * length
    straight = np.abs(step[..., 2]) < settings.row_side_share * length
    return np.asarray(near & down & straight)
