"""Vertebrae on CT: bodies by the MR network on a picture that looks like MR, the rest by the bone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.anatomy import mr
from osteotrace.anatomy.network import Network, canonical_grid, on_lattice
from osteotrace.space import Grid, resample

# Hounsfield units and the signal they are given: fat and marrow bright, muscle and disc darker, cortex dark.
_HU = (-1100.0, -300.0, -120.0, -60.0, 30.0, 90.0, 130.0, 260.0, 420.0, 700.0, 3000.0)
_SIGNAL = (0.0, 0.0, 0.7, 0.75, 0.3, 0.33, 0.5, 0.6, 0.3, 0.08, 0.02)

BONE_HU = 160.0
DENSE_HU = 240.0  # joints are narrower than this leaves open
_MARROW_HU = -60.0
_AIR_HU = -1024.0
_BODY_HU = -300.0

_COARSE_MM = (4.0, 4.0, 4.0)
_BESIDE_MM = 60.0  # of the midline of the bones, that is searched for bodies
_FRONT_SHARE = 0.35  # of the depth of the trunk, from the front, in which no spine is sought
_LEAST_BONE_ML = 5.0
_SHELL_MM = 4.0  # cortex of a body, and what its border missed
_BAND_ABOVE = (
    -0.35
)  # share of the distance of two bodies by which an arch begins above the centre of its body
_ARCH_MM = 65.0  # from the posterior wall to the tip of a spinous process
_ARCH_SIDE_MM = 20.0  # how much wider than its body a vertebra is, on either side


def find_bodies(values: NDArray[np.generic], grid: Grid, network: Network) -> mr.MrBodies | None:
    """Vertebral bodies of a CT volume, on a lattice around the spine; None when there is hardly any bone.

    Parameters
    ----------
    values : ndarray, shape grid.shape
        HU.
    """
    lattice = spine_region(values, grid)
    if lattice is None:
        return None
    hu = on_lattice(values, grid, lattice)
    signal = np.where(np.isfinite(hu), np.interp(hu, _HU, _SIGNAL), np.nan).astype(np.float32)
    return mr.bodies_in(signal, lattice, network)


def spine_region(values: NDArray[np.generic], grid: Grid) -> Grid | None:
    """Lattice of the network over the part of a volume in which its spine can be; None without bone."""
    coarse = canonical_grid(grid, _COARSE_MM)
    hu = np.nan_to_num(on_lattice(values, grid, coarse), nan=_AIR_HU)
    trunk = np.flatnonzero((hu > _BODY_HU).any(axis=(0, 2)))
    bone = hu > BONE_HU
    if trunk.size == 0 or bone.sum() * coarse.voxel_volume_mm3 / 1000.0 < _LEAST_BONE_ML:
        return None
    front = int(trunk[0] + _FRONT_SHARE * (trunk[-1] - trunk[0]))
    if np.ptp(trunk) * _COARSE_MM[1] < 150.0:  # a small field of view is searched whole
        front = int(trunk[0])
    behind = np.argwhere(bone[:, front:])
    if len(behind) == 0:
        return None
    middle = float(np.median(behind[:, 2]))
    reach = _BESIDE_MM / _COARSE_MM[2]
    low = coarse.points((-0.5, front - 0.5, middle - reach))
    high = coarse.points((coarse.shape[0] - 0.5, trunk[-1] + 0.5, middle + reach))
    fine = canonical_grid(grid, mr.LATTICE_MM)
    start, stop = np.floor(fine.indices(low)), np.ceil(fine.indices(high)) + 1
    return fine.crop(start, stop)


def whole_vertebrae(
    found: mr.MrBodies, network: Network, values: NDArray[np.generic], grid: Grid
) -> NDArray[np.int32]:
    """Bodies with their cortex, arches and processes; on the lattice of the bodies.

    The bone behind the row of bodies is shared out among them along the bone itself: each voxel goes to the
    body from which it is reached first.
    """
    hu = np.nan_to_num(on_lattice(values, grid, found.lattice), nan=_AIR_HU)
    spacing = tuple(float(s) for s in found.lattice.spacing)
    shell = ndimage.distance_transform_edt(found.bodies == 0, sampling=spacing) < _SHELL_MM
    place = shell | _behind(found, spacing)
    bodies = found.bodies > 0
    bone = place & (ndimage.gaussian_filter(hu, (0.5, 0.5, 0.3)) > BONE_HU)
    bands = _bands(found, spacing)
    dense = spread_along(found.bodies, bodies | (place & (hu > DENSE_HU)), bands)
    own = spread_along(dense, bodies | bone, bands)
    whole = spread_along(own, bodies | bone)
    canal = found.probability[mr.channel(network, "canal")] > 0.5
    return _filled(whole, place & ~canal & (hu > _MARROW_HU))


def _filled(labels: NDArray[np.int32], free: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Instances with the marrow that their cortex surrounds."""
    out = labels.copy()
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        own = np.pad(labels[box] == number, 3)
        closed = ndimage.binary_closing(own, iterations=3)
        closed = np.stack([ndimage.binary_fill_holes(plane) for plane in closed])[3:-3, 3:-3, 3:-3]
        out[box][closed & free[box] & (out[box] == 0)] = number
    return out


def _bands(found: mr.MrBodies, spacing: tuple[float, ...]) -> NDArray[np.int32]:
    """At which body's level a voxel lies, across the axis of the spine; arches lie lower than bodies."""
    numbers = range(1, found.count + 1)
    centres = [np.argwhere(found.bodies == n).mean(axis=0) * spacing for n in numbers]
    i, j = np.meshgrid(
        *(np.arange(n) * s for n, s in zip(found.bodies.shape[:2], spacing[:2], strict=True)), indexing="ij"
    )
    out = np.zeros(found.bodies.shape[:2], np.int32)
    for index, centre in enumerate(centres):
        above, below = centres[max(0, index - 1)], centres[min(len(centres) - 1, index + 1)]
        axis = (below - above)[:2]
        length = np.linalg.norm(axis)
        distance = length / (2.0 if 0 < index < len(centres) - 1 else 1.0)
        along = ((i - centre[0]) * axis[0] + (j - centre[1]) * axis[1]) / length / distance
        out[(along >= _BAND_ABOVE) & (along < 1.0 + _BAND_ABOVE)] = index + 1
    return np.repeat(out[:, :, None], found.bodies.shape[2], axis=2)


def spread_along(
    seeds: NDArray[np.int32], mask: NDArray[np.bool_], allowed: NDArray[np.int32] | None = None
) -> NDArray[np.int32]:
    """Give each voxel of a mask the seed from which it is reached in the fewest steps; 0 where from none.

    With ``allowed``, a voxel takes that seed only.
    """
    labels = np.pad(np.where(mask, seeds, 0), 1)
    free = np.pad(mask, 1) & (labels == 0)
    flat, open_ = labels.reshape(-1), free.reshape(-1)
    _, nj, nk = labels.shape
    only = None if allowed is None else np.pad(allowed, 1).reshape(-1)
    front = np.flatnonzero(flat)
    while front.size:
        reached = []
        for step in (1, -1, nk, -nk, nj * nk, -nj * nk):
            there = front + step
            ok = open_[there] if only is None else open_[there] & (only[there] == flat[front])
            there, source = there[ok], front[ok]
            flat[there] = flat[source]
            open_[there] = False
            reached.append(there)
        front = np.unique(np.concatenate(reached))
    return np.ascontiguousarray(labels[1:-1, 1:-1, 1:-1])


def _behind(found: mr.MrBodies, spacing: tuple[float, ...]) -> NDArray[np.bool_]:
    """Where the arches of the bodies can be."""
    shape = found.bodies.shape
    heights, walls, middles, widths = [], [], [], []
    for number in range(1, found.count + 1):
        points = np.argwhere(found.bodies == number) * spacing
        heights.append(points[:, 0].mean())
        walls.append(np.percentile(points[:, 1], 90.0))
        middles.append(points[:, 2].mean())
        widths.append(np.ptp(np.percentile(points[:, 2], (2.0, 98.0))) / 2)
    rows = np.arange(shape[0]) * spacing[0]
    wall, middle, width = (np.interp(rows, heights, v)[:, None, None] for v in (walls, middles, widths))
    j = (np.arange(shape[1]) * spacing[1])[None, :, None]
    k = (np.arange(shape[2]) * spacing[2])[None, None, :]
    tall = (rows > heights[0] - 25.0) & (rows < heights[-1] + 45.0)
    behind = (j > wall - 4.0) & (j < wall + _ARCH_MM)
    return np.asarray(behind & (np.abs(k - middle) < width + _ARCH_SIDE_MM) & tall[:, None, None])


def on_grid(labels: NDArray[np.int32], lattice: Grid, grid: Grid) -> NDArray[np.uint16]:
    """Instances on another lattice of the same frame."""
    spacing = tuple(float(s) for s in lattice.spacing)
    distance, nearest = ndimage.distance_transform_edt(labels == 0, sampling=spacing, return_indices=True)
    spread = np.where(distance < 2 * max(spacing), labels[tuple(nearest)], 0)
    share = resample((labels > 0).astype(np.float32), lattice, grid, fill=0.0)
    number = resample(spread.astype(np.float32), lattice, grid, order=0, fill=0.0)
    return np.where(share > 0.5, np.round(number), 0).astype(np.uint16)
