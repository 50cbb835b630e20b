"""Vertebral bodies, sacrum, discs, canal and muscles on sagittal MR, by the embedded network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.anatomy.mr_instances import instances
from osteotrace.anatomy.mr_sacrum import first_sacral
from osteotrace.anatomy.network import (
    Network,
    TileSettings,
    canonical_axes,
    on_lattice,
    probabilities,
    resample_part,
)
from osteotrace.anatomy.row import longest_row
from osteotrace.anatomy.settings import MrSettings, packaged_settings
from osteotrace.anatomy.slices import own_slices, reading_grid
from osteotrace.space import FloatArray, Grid

LATTICE_MM = (1.25, 1.25, 2.5)  # where there are no slices to follow
TILES = TileSettings((320, 320, 40), (48, 48, 8), (16, 16, 8))


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
    upright : float
        Mean over the bodies of chest and loin of the probability that head and feet, front and back are where
        the header says; NaN where there is none: necks have taught the network nothing of it.
    """

    lattice: Grid
    bodies: NDArray[np.int32]
    sacral: int
    probability: NDArray[np.float32]
    inside: NDArray[np.bool_]
    upright: float

    @property
    def count(self) -> int:
        """Number of bodies, S1 included."""
        return int(self.bodies.max(initial=0))


def slices_are_sagittal(grid: Grid, settings: MrSettings) -> bool:
    """Whether thick slices, if there are any, lie across the left-right axis."""
    thickest = int(grid.spacing.argmax())
    others = np.delete(grid.spacing, thickest)
    if (
        grid.spacing[thickest] < settings.thick_slices_mm
        or grid.spacing[thickest] < settings.thick_slices_ratio * others.max()
    ):
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


def find_bodies(values: NDArray[np.generic], grid: Grid, network: Network, settings: MrSettings) -> MrBodies:
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
    return bodies_in(on_lattice(own, own_grid, lattice), lattice, network, settings)


def bodies_in(
    signal: NDArray[np.float32], lattice: Grid, network: Network, settings: MrSettings | None = None
) -> MrBodies:
    """As :func:`find_bodies`, of a signal on the network's lattice; NaN where the volume has no values."""
    settings = settings or packaged_settings()
    image, inside = normalised(signal)
    probability = probabilities(network, image, TILES)
    probability *= inside
    return bodies_of(probability, inside, lattice, network, settings)


def bodies_of(
    probability: NDArray[np.float32],
    inside: NDArray[np.bool_],
    lattice: Grid,
    network: Network,
    settings: MrSettings,
) -> MrBodies:
    """Instances in the answer (channels, *lattice.shape) of the network, where there is a signal."""
    body, core = probability[channel(network, "body")], probability[channel(network, "core")]
    bodies = instances(body, core, lattice, settings)
    canal = probability[channel(network, "canal")] > settings.body_probability
    kept = longest_row(bodies, canal, lattice, settings)
    s1 = probability[channel(network, "s1")]
    shares = np.array([_share_of(s1, bodies == label) for label in kept])
    centres = np.array([np.argwhere(bodies == label).mean(axis=0) * lattice.spacing for label in kept])
    last = first_sacral(centres, shares, settings)
    kept = kept if last is None else kept[: last + 1]  # what is called a body below S1 is none
    ordered = np.zeros_like(bodies)
    for number, label in enumerate(kept, start=1):
        ordered[(bodies == label) & (body > settings.border_probability)] = number
    if not _credible(ordered, body, settings):
        ordered[:] = 0
    small = np.bincount(ordered.ravel()) * lattice.voxel_volume_mm3 / 1000.0 < settings.upright_body_min_ml
    small[0] = True
    judged = ~small[ordered]
    upright = float(probability[channel(network, "upright")][judged].mean()) if judged.any() else np.nan
    sacral = len(kept) if last is not None and ordered.any() else 0
    return MrBodies(lattice, ordered, sacral, probability, inside, upright)


def canal_lies_in_front(found: MrBodies, network: Network, settings: MrSettings) -> bool:
    """Whether the canal is seen before the bodies: front and back of the image are exchanged."""
    behind = behind_bodies_mm(found)[:, :, None]
    seen = found.probability[channel(network, "canal")] > settings.body_probability
    seen &= np.abs(sideways_mm(found)) < settings.canal_side_mm
    seen &= (np.abs(behind) > settings.canal_behind_mm) & (np.abs(behind) < settings.canal_reach_mm)
    if seen.sum() * found.lattice.voxel_volume_mm3 / 1000.0 < settings.canal_volume_min_ml:
        return False
    return bool((seen & (behind < 0)).sum() > settings.front_share_max * seen.sum())


def behind_bodies_mm(found: MrBodies) -> FloatArray:
    """How far behind the middle of the row of bodies a place is; NaN above and below; shape (i, j)."""
    rows, middle = _middle(found, axis=1)
    j = np.arange(found.bodies.shape[1])
    out = np.full(found.bodies.shape[:2], np.nan)
    out[rows] = (j[None, :] - middle[:, None]) * found.lattice.spacing[1]
    return out


def sideways_mm(found: MrBodies) -> FloatArray:
    """How far to the left of the row of bodies a place is; NaN above and below; shape (i, 1, k)."""
    rows, middle = _middle(found, axis=2)
    k = np.arange(found.bodies.shape[2])
    out = np.full((found.bodies.shape[0], 1, found.bodies.shape[2]), np.nan)
    out[rows, 0] = (k[None, :] - middle[:, None]) * found.lattice.spacing[2]
    return out


def _middle(found: MrBodies, axis: int) -> tuple[NDArray[np.int_], FloatArray]:
    """Rows between the first and the last body, and the index of the middle of the bodies in each."""
    centres = _centres(found)
    there = np.flatnonzero((found.bodies > 0).any(axis=(1, 2)))
    rows = np.arange(there[0], there[-1] + 1)
    return rows, np.interp(rows, centres[:, 0], centres[:, axis])


def _centres(found: MrBodies) -> FloatArray:
    """Indices of the centres of the bodies, from head to tail; shape (count, 3)."""
    return np.array([np.argwhere(found.bodies == n).mean(axis=0) for n in range(1, found.count + 1)])


def channel(network: Network, name: str) -> int:
    """Index of a channel."""
    return network.channels.index(name)


def around(mask: NDArray[np.bool_], reach_mm: float, lattice: Grid) -> tuple[slice, ...]:
    """Box of all voxels that lie within a distance of a mask, and more; the mask holds a voxel."""
    wide = np.ceil(reach_mm / lattice.spacing).astype(int) + 1
    box = ndimage.find_objects(mask.view(np.uint8))[0]
    return tuple(slice(max(0, s.start - w), s.stop + w) for s, w in zip(box, wide, strict=True))


def _credible(bodies: NDArray[np.int32], body: NDArray[np.float32], settings: MrSettings) -> bool:
    return (
        int(bodies.max(initial=0)) >= settings.bodies_min
        and _share_of(body, bodies > 0) > settings.mean_probability_min
    )


def _share_of(probability: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    return float(probability[mask].mean()) if mask.any() else 0.0


def bodies_on(
    found: MrBodies, network: Network, grid: Grid, settings: MrSettings | None = None
) -> NDArray[np.uint16]:
    """The bodies on another lattice of the same frame, with borders finer than the network's voxels."""
    settings = settings or packaged_settings()
    body = found.probability[channel(network, "body")]
    sampling = tuple(float(s) for s in found.lattice.spacing)
    reach = 2 * max(sampling)
    box = around(found.bodies > 0, reach, found.lattice)
    bodies = found.bodies[box]
    distance, nearest = ndimage.distance_transform_edt(bodies == 0, sampling=sampling, return_indices=True)
    spread = np.zeros_like(found.bodies)
    spread[box] = np.where(distance < reach, bodies[tuple(nearest)], 0)
    share = resample_part(np.where(spread > 0, body, np.float32(0)), found.lattice, grid)
    label = resample_part(spread.astype(np.float32), found.lattice, grid, order=0)
    return np.where(share > settings.border_probability, np.round(label), 0).astype(np.uint16)
