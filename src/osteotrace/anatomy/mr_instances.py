"""Vertebral bodies told apart in the answer of the network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.anatomy.settings import MrSettings
from osteotrace.space import Grid


def instances(
    body: NDArray[np.float32], core: NDArray[np.float32], lattice: Grid, settings: MrSettings
) -> NDArray[np.int32]:
    """Bodies told apart by their cores.

    Parameters
    ----------
    body, core : ndarray of float32, shape lattice.shape
        Probability that a voxel is in a body, and deep in one.

    Returns
    -------
    ndarray of int32, shape lattice.shape
        1, 2, ... in no order; too small ones are left out.
    """
    mask = body > settings.body_probability
    voxel_ml = lattice.voxel_volume_mm3 / 1000.0
    seeds, count = ndimage.label(mask & (core > settings.body_probability))
    sizes = np.bincount(seeds.ravel(), minlength=count + 1)
    seeds[sizes[seeds] * voxel_ml < settings.core_volume_min_ml] = 0
    seeds = _joined_cores(seeds, mask, lattice, settings)
    if not seeds.any():
        return np.zeros(mask.shape, np.int32)
    near = _nearest(seeds, mask, lattice)
    split = _split_cores(seeds, near, core, lattice, settings)
    if split is not seeds:
        seeds = split
        near = _nearest(seeds, mask, lattice)
    out = np.zeros(mask.shape, np.int32)
    for label, box in enumerate(ndimage.find_objects(near), start=1):
        if box is None:
            continue
        own = near[box] == label
        parts, _ = ndimage.label(own)
        main = np.bincount(parts[seeds[box] == label]).argmax()
        own = ndimage.binary_fill_holes(parts == main)
        if own.sum() * voxel_ml >= settings.body_volume_min_ml:
            out[box][own] = label
    return out


def _nearest(seeds: NDArray[np.int32], mask: NDArray[np.bool_], lattice: Grid) -> NDArray[np.int32]:
    """Number of the nearest seed at each voxel of a mask that holds all seeds; 0 elsewhere."""
    box = ndimage.find_objects(mask.view(np.uint8))[0]
    own = seeds[box]
    index = ndimage.distance_transform_edt(
        own == 0, sampling=lattice.spacing, return_distances=False, return_indices=True
    )
    out = np.zeros_like(seeds)
    out[box] = np.where(mask[box], own[tuple(index)], 0)
    return out


def _split_cores(
    seeds: NDArray[np.int32],
    near: NDArray[np.int32],
    core: NDArray[np.float32],
    lattice: Grid,
    settings: MrSettings,
) -> NDArray[np.int32]:
    """Cores of bodies much larger than the others, parted where the network is less sure of them."""
    volumes = np.bincount(near.ravel())
    volumes[0] = 0
    if (volumes > 0).sum() < settings.compared_bodies_min:
        return seeds
    large = np.flatnonzero(volumes > settings.two_in_one_volume * np.median(volumes[volumes > 0]))
    out, number = seeds, int(seeds.max())
    for label in large:
        for threshold in settings.surer_probabilities:
            parts, count = ndimage.label((seeds == label) & (core > threshold))
            sizes = np.bincount(parts.ravel(), minlength=count + 1) * lattice.voxel_volume_mm3 / 1000.0
            kept = [n for n in range(1, count + 1) if sizes[n] >= settings.core_volume_min_ml]
            if len(kept) > 1:
                out = np.where(seeds == label, 0, out)
                for index, part in enumerate(kept):
                    out[parts == part] = label if index == 0 else number + index
                number += len(kept) - 1
                break
    return out


def _joined_cores(
    seeds: NDArray[np.int32], mask: NDArray[np.bool_], lattice: Grid, settings: MrSettings
) -> NDArray[np.int32]:
    """Cores that lie too near to each other, in one connected part of the mask, become one."""
    labels = [int(n) for n in np.unique(seeds) if n]
    if len(labels) < 3:
        return seeds
    centres = np.array(ndimage.center_of_mass(seeds > 0, seeds, labels)) * lattice.spacing
    distances = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    usual = float(np.median(distances.min(axis=1)))
    parts, _ = ndimage.label(mask)
    part_of = [int(np.bincount(parts[seeds == n]).argmax()) for n in labels]
    out = seeds.copy()
    for a in range(len(labels)):
        for b in range(a):
            if part_of[a] == part_of[b] and distances[a, b] < settings.joined_cores_share * usual:
                out[out == labels[a]] = out[seeds == labels[b]][0]
    return out
