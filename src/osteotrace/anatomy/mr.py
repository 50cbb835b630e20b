"""Vertebral bodies, sacrum, discs, canal and muscles on sagittal MR, by the embedded network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.anatomy.network import (
    Network,
    TileSettings,
    canonical_axes,
    on_lattice,
    probabilities,
)
from osteotrace.anatomy.row import longest_row
from osteotrace.anatomy.slices import own_slices, reading_grid
from osteotrace.space import Grid, resample

LATTICE_MM = (1.25, 1.25, 2.5)  # where there are no slices to follow
TILES = TileSettings((256, 176, 40), (48, 48, 8), (16, 16, 8))

_THRESHOLD = 0.5  # of body and core, to find a body and tell it from the next
_BORDER = 0.6  # of body, where its border is drawn
_CORTEX = 0.65  # signal over that of the body's own marrow below which its outermost layer is cortex
_CORTEX_MM = 4.0  # how deep that layer can be; dark marrow farther inside is marrow
_THICK_MM = 2.5  # slices thicker than this can be read across their plane only
_THIN_RATIO = 1.8
_FEWEST_BODIES = 2
_LEAST_BODY_ML = 1.2
_LEAST_CORE_ML = 0.15
_CERTAIN_BODY = 0.6  # mean probability in a body below which nothing is believed
_LEAST_CANAL_ML = 3.0
_CANAL_BEHIND_MM = 8.0  # of the middle of the bodies; the middle of the canal lies some 20 mm behind it
_SPLIT_SHARE = 0.55  # two cores nearer than this share of the usual distance are one body
_LARGE = 1.55  # volume over the median from which on a body may be two
_SURER = (0.6, 0.7, 0.8, 0.9, 0.95)  # of core, at which two bodies in one come apart
_FEWEST_TO_COMPARE = 3
_SACRUM = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class MrBodies:
    """What the network saw on one MR volume, on its own lattice.

    Attributes
    ----------
    lattice : Grid
        Axes near inferior, posterior, left.
    bodies : ndarray of int32, shape lattice.shape
        Instances, numbered from head to tail; 0 elsewhere.
    sacral : int
        Number of the instance that is the body of S1; 0 where it was not seen.
    probability : ndarray of float32, shape (channels, i, j, k)
    inside : ndarray of bool, shape lattice.shape
        Where the volume has values.
    """

    lattice: Grid
    bodies: NDArray[np.int32]
    sacral: int
    probability: NDArray[np.float32]
    inside: NDArray[np.bool_]

    @property
    def count(self) -> int:
        """Number of bodies, S1 included."""
        return int(self.bodies.max(initial=0))


def slices_are_sagittal(grid: Grid) -> bool:
    """Whether thick slices, if there are any, lie across the left-right axis."""
    thickest = int(grid.spacing.argmax())
    others = np.delete(grid.spacing, thickest)
    if grid.spacing[thickest] < _THICK_MM or grid.spacing[thickest] < _THIN_RATIO * others.max():
        return True
    left = canonical_axes(grid)[:, 2]
    return bool(np.abs(grid.direction[:, thickest] @ left) > 0.9 and np.abs(left[0]) > 0.7)


def normalised(image: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Signal as the network takes it, and where there is any; NaN is outside of the volume."""
    inside = np.isfinite(image)
    seen = image[inside]
    low, high = np.percentile(seen[:: max(1, seen.size // 200_000)], (0.5, 99.5))
    x = np.sqrt(np.clip((image - low) / max(high - low, 1e-6), 0.0, 1.5))
    mean, deviation = x[inside].mean(), max(float(x[inside].std()), 1e-3)
    x = np.where(inside, x, 0.0)
    return ((x - mean) / deviation).astype(np.float32), inside


def find_bodies(values: NDArray[np.generic], grid: Grid, network: Network) -> MrBodies:
    """Vertebral bodies of an MR volume.

    Parameters
    ----------
    values : ndarray, shape grid.shape
    network : Network
        With the channels body, core, s1 ...

    Returns
    -------
    MrBodies
        Without any body where there is no spine.
    """
    own, own_grid = own_slices(values, grid)
    lattice = reading_grid(own_grid)
    return bodies_in(on_lattice(own, own_grid, lattice), lattice, network)


def bodies_in(signal: NDArray[np.float32], lattice: Grid, network: Network) -> MrBodies:
    """As :func:`find_bodies`, of a signal on the network's lattice; NaN where the volume has no values."""
    image, inside = normalised(signal)
    probability = probabilities(network, image, TILES)
    probability *= inside
    body, core = probability[channel(network, "body")], probability[channel(network, "core")]
    bodies = instances(body, core, lattice)
    cortex = _cortex(np.nan_to_num(signal), bodies, core, lattice)
    body[cortex] = np.minimum(body[cortex], 0.5 * _BORDER)
    kept = longest_row(bodies, lattice)
    s1 = probability[channel(network, "s1")]
    kept = _ended_at_sacrum(bodies, kept, s1)
    ordered = np.zeros_like(bodies)
    for number, label in enumerate(kept, start=1):
        ordered[(bodies == label) & (body > _BORDER)] = number
    sacral = len(kept) if kept and _share_of(s1, bodies == kept[-1]) > _SACRUM else 0
    if not _credible(ordered, body):
        return MrBodies(lattice, np.zeros_like(bodies), 0, probability, inside)
    return MrBodies(lattice, ordered, sacral, probability, inside)


def faces_backwards(found: MrBodies, network: Network) -> bool:
    """Whether the canal lies in front of the bodies: the image is turned, or its header is wrong."""
    rows = (found.bodies > 0).any(axis=(1, 2), keepdims=True)
    canal = (found.probability[channel(network, "canal")] > _THRESHOLD) & rows
    if canal.sum() * found.lattice.voxel_volume_mm3 / 1000.0 < _LEAST_CANAL_ML:
        return False
    behind = np.argwhere(canal)[:, 1].mean() - np.argwhere(found.bodies > 0)[:, 1].mean()
    return bool(behind * found.lattice.spacing[1] < _CANAL_BEHIND_MM)


def channel(network: Network, name: str) -> int:
    """Index of a channel."""
    return network.channels.index(name)


def instances(body: NDArray[np.float32], core: NDArray[np.float32], lattice: Grid) -> NDArray[np.int32]:
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
    mask = body > _THRESHOLD
    voxel_ml = lattice.voxel_volume_mm3 / 1000.0
    seeds, count = ndimage.label(mask & (core > _THRESHOLD))
    sizes = np.bincount(seeds.ravel(), minlength=count + 1)
    seeds[sizes[seeds] * voxel_ml < _LEAST_CORE_ML] = 0
    seeds = _joined_cores(seeds, mask, lattice)
    if not seeds.any():
        return np.zeros(mask.shape, np.int32)
    near = np.where(mask, _nearest(seeds, lattice), 0)
    split = _split_cores(seeds, near, core, lattice)
    if split is not seeds:
        seeds = split
        near = np.where(mask, _nearest(seeds, lattice), 0)
    out = np.zeros(mask.shape, np.int32)
    for label, box in enumerate(ndimage.find_objects(near), start=1):
        if box is None:
            continue
        own = near[box] == label
        parts, _ = ndimage.label(own)
        main = np.bincount(parts[seeds[box] == label]).argmax()
        own = ndimage.binary_fill_holes(parts == main)
        if own.sum() * voxel_ml >= _LEAST_BODY_ML:
            out[box][own] = label
    return out


def _cortex(
    signal: NDArray[np.float32], bodies: NDArray[np.int32], core: NDArray[np.float32], lattice: Grid
) -> NDArray[np.bool_]:
    """Outermost voxels of the bodies that are far darker than their marrow: they are no part of it."""
    labels = np.arange(int(bodies.max(initial=0)) + 1)
    deep = np.where(core > _THRESHOLD, bodies, 0)
    marrow = np.array([0.0, *np.ravel(ndimage.median(signal, deep, labels[1:]))])
    smooth = ndimage.gaussian_filter(signal, (0.5, 0.5, 0.0))
    i, j, _ = lattice.spacing
    depth = ndimage.distance_transform_edt(bodies > 0, sampling=(i, j, 1e3))  # in the sagittal plane
    return np.asarray((bodies > 0) & (depth < _CORTEX_MM) & (smooth < _CORTEX * marrow[bodies]))


def _nearest(seeds: NDArray[np.int32], lattice: Grid) -> NDArray[np.int32]:
    """Number of the nearest seed at each voxel."""
    index = ndimage.distance_transform_edt(
        seeds == 0, sampling=lattice.spacing, return_distances=False, return_indices=True
    )
    return np.asarray(seeds[tuple(index)])


def _split_cores(
    seeds: NDArray[np.int32], near: NDArray[np.int32], core: NDArray[np.float32], lattice: Grid
) -> NDArray[np.int32]:
    """Cores of bodies much larger than the others, parted where the network is less sure of them."""
    volumes = np.bincount(near.ravel())
    volumes[0] = 0
    if (volumes > 0).sum() < _FEWEST_TO_COMPARE:
        return seeds
    large = np.flatnonzero(volumes > _LARGE * np.median(volumes[volumes > 0]))
    out, number = seeds, int(seeds.max())
    for label in large:
        for threshold in _SURER:
            parts, count = ndimage.label((seeds == label) & (core > threshold))
            sizes = np.bincount(parts.ravel(), minlength=count + 1) * lattice.voxel_volume_mm3 / 1000.0
            kept = [n for n in range(1, count + 1) if sizes[n] >= _LEAST_CORE_ML]
            if len(kept) > 1:
                out = np.where(seeds == label, 0, out)
                for index, part in enumerate(kept):
                    out[parts == part] = label if index == 0 else number + index
                number += len(kept) - 1
                break
    return out


def _joined_cores(seeds: NDArray[np.int32], mask: NDArray[np.bool_], lattice: Grid) -> NDArray[np.int32]:
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
            if part_of[a] == part_of[b] and distances[a, b] < _SPLIT_SHARE * usual:
                out[out == labels[a]] = out[seeds == labels[b]][0]
    return out


def _ended_at_sacrum(bodies: NDArray[np.int32], chain: list[int], s1: NDArray[np.float32]) -> list[int]:
    """The chain up to the first body that is S1: what is called a body below it is none."""
    for index, label in enumerate(chain):
        if _share_of(s1, bodies == label) > _SACRUM:
            return chain[: index + 1]
    return chain


def _credible(bodies: NDArray[np.int32], body: NDArray[np.float32]) -> bool:
    return int(bodies.max(initial=0)) >= _FEWEST_BODIES and _share_of(body, bodies > 0) > _CERTAIN_BODY


def _share_of(probability: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    return float(probability[mask].mean()) if mask.any() else 0.0


def bodies_on(found: MrBodies, network: Network, grid: Grid) -> NDArray[np.uint16]:
    """The bodies on another lattice of the same frame, with borders finer than the network's voxels."""
    body = found.probability[channel(network, "body")]
    sampling = tuple(float(s) for s in found.lattice.spacing)
    distance, nearest = ndimage.distance_transform_edt(
        found.bodies == 0, sampling=sampling, return_indices=True
    )
    spread = np.where(distance < 2 * max(sampling), found.bodies[tuple(nearest)], 0)
    share = resample(np.where(spread > 0, body, 0.0), found.lattice, grid, fill=0.0)
    label = resample(spread.astype(np.float32), found.lattice, grid, order=0, fill=0.0)
    return np.where(share > _BORDER, np.round(label), 0).astype(np.uint16)
