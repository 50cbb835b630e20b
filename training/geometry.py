"""Targets that the label maps do not hold, from the shape of the bones: bodies, discs, canal."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

# The canal behind a body, mm: how far its middle lies behind the posterior wall, the half axes that are
# surely canal, and those outside which surely nothing is (from the front to the back, and sideways).
CANAL_DEPTH_MM = 9.0
CANAL_CORE_MM = (4.5, 6.0)
CANAL_REACH_MM = (11.0, 16.0)

DISC_GAP_MM = 22.0  # facing endplates that are farther apart are not neighbours
BIN_MM = 1.5


def body_of_vertebra(
    vertebra: np.ndarray, canal: np.ndarray, axis: np.ndarray, spacing: np.ndarray
) -> np.ndarray:
    """Part of a whole vertebra that is its body: what lies before the posterior wall of the canal.

    Parameters
    ----------
    vertebra : ndarray of bool, shape (i, j, k)
        Axes inferior, posterior, left.
    canal : ndarray, shape (n, 3)
        Points of the cord or canal, mm from the first voxel.
    axis : ndarray, shape (3,)
        Direction of the spine here, from head to tail, mm.
    spacing : ndarray, shape (3,)
        mm.

    Returns
    -------
    ndarray of bool, shape (i, j, k)
    """
    points = np.argwhere(vertebra) * spacing
    front = np.array([0.0, -1.0, 0.0]) + axis * axis[1]
    front /= np.linalg.norm(front)
    height = points @ axis
    low, high = points.min(axis=0) - 40.0, points.max(axis=0) + 40.0
    canal = canal[((canal > low) & (canal < high)).all(axis=1)]
    near = canal[(canal @ axis >= height.min()) & (canal @ axis <= height.max())]
    if len(near) < 5:
        return np.zeros_like(vertebra)
    middle = near.mean(axis=0)
    side = np.cross(axis, front)
    ahead = (points - middle) @ front
    across = np.abs((points - middle) @ side)
    wall = ahead[(across < 5.0) & (ahead > 0.0)]
    cut = np.percentile(wall, 3.0) if len(wall) > 20 else 7.0
    is_body = (ahead > cut) & (across < 45.0)
    out = np.zeros_like(vertebra)
    out[tuple(np.argwhere(vertebra)[is_body].T)] = True
    return largest(ndimage.binary_opening(out, iterations=1))


def box_around(boxes: list[tuple[slice, ...]], shape: tuple[int, ...], margin: int) -> tuple[slice, ...]:
    """Smallest box that holds some boxes and a margin of voxels, within an array."""
    return tuple(
        slice(max(0, min(b[a].start for b in boxes) - margin), min(n, max(b[a].stop for b in boxes) + margin))
        for a, n in enumerate(shape)
    )


def largest(mask: np.ndarray) -> np.ndarray:
    """Largest connected part of a mask."""
    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return parts == sizes.argmax()


def disc_between(upper: np.ndarray, lower: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Voxels between the facing endplates of two bodies; both bool, shape (i, j, k)."""
    above, below = np.argwhere(upper) * spacing, np.argwhere(lower) * spacing
    axis = below.mean(axis=0) - above.mean(axis=0)
    axis /= np.linalg.norm(axis)
    side = np.cross(axis, [0.0, 1.0, 0.0])
    side /= np.linalg.norm(side)
    ahead = np.cross(side, axis)
    both = np.argwhere(upper | lower)
    low, high = both.min(axis=0), both.max(axis=0) + 1
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    points = np.moveaxis(np.indices(high - low), 0, -1) + low
    points = points * spacing
    middle = (above.mean(axis=0) + below.mean(axis=0)) / 2

    def bins(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        u = np.round(((p - middle) @ side) / BIN_MM).astype(int) + 40
        v = np.round(((p - middle) @ ahead) / BIN_MM).astype(int) + 40
        return np.clip(u, 0, 80), np.clip(v, 0, 80)

    floor = np.full((81, 81), -np.inf)
    np.maximum.at(floor, bins(above), above @ axis)
    roof = np.full((81, 81), np.inf)
    np.minimum.at(roof, bins(below), below @ axis)
    u, v = bins(points)
    depth = points @ axis
    between = (depth > floor[u, v]) & (depth < roof[u, v]) & (roof[u, v] - floor[u, v] < DISC_GAP_MM)
    out = np.zeros_like(upper)
    out[box] = between & ~upper[box] & ~lower[box]
    return out


def inner_share(instances: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """How deep a voxel lies in its instance: 0 at the border, 1 at the deepest place; float32."""
    share = np.zeros(instances.shape, np.float32)
    for label, box in enumerate(ndimage.find_objects(instances), start=1):
        if box is None:
            continue
        wide = tuple(
            slice(max(0, s.start - 1), min(n, s.stop + 1)) for s, n in zip(box, instances.shape, strict=True)
        )
        inside = instances[wide] == label
        depth = ndimage.distance_transform_edt(np.pad(inside, 1, mode="edge"), sampling=spacing)
        depth = depth[1:-1, 1:-1, 1:-1]
        share[wide] = np.where(inside, depth / max(depth.max(), 1e-3), share[wide])
    return share


def centroids(instances: np.ndarray, spacing: np.ndarray) -> dict[int, np.ndarray]:
    """Centre of each instance, mm from the first voxel."""
    labels = [int(n) for n in np.unique(instances) if n]
    centres = ndimage.center_of_mass(instances > 0, instances, labels)
    return {n: np.array(c) * spacing for n, c in zip(labels, centres, strict=True)}


def canal_behind(instances: np.ndarray, spacing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is surely canal behind a row of bodies, and what may be; bool, shape (i, j, k).

    A guess from the bodies alone, for images in which nobody has outlined the canal.
    """
    walls = []
    for label in np.unique(instances)[1:]:
        points = np.argwhere(instances == label) * spacing
        centre = points.mean(axis=0)
        middle = points[np.abs(points[:, 2] - centre[2]) < 8.0]
        for height in np.percentile(middle[:, 0], (15, 50, 85)):
            row = middle[np.abs(middle[:, 0] - height) < 2.0]
            walls.append((height, np.percentile(row[:, 1], 97), centre[2]))
    walls = np.array(sorted(walls))
    rows = np.arange(instances.shape[0]) * spacing[0]
    back = np.interp(rows, walls[:, 0], walls[:, 1])[:, None, None]
    left = np.interp(rows, walls[:, 0], walls[:, 2])[:, None, None]
    j = (np.arange(instances.shape[1]) * spacing[1])[None, :, None]
    k = (np.arange(instances.shape[2]) * spacing[2])[None, None, :]
    inside = ((rows >= walls[0, 0]) & (rows <= walls[-1, 0]))[:, None, None]

    def tube(axes: tuple[float, float]) -> np.ndarray:
        return inside & (((j - back - CANAL_DEPTH_MM) / axes[0]) ** 2 + ((k - left) / axes[1]) ** 2 < 1)

    free = instances == 0
    return tube(CANAL_CORE_MM) & free, tube(CANAL_REACH_MM) & free


def ends(instances: np.ndarray, spacing: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Voxels beyond a row of bodies labelled from head to tail.

    Returns
    -------
    above, below : ndarray of bool
        Above the uppermost and below the lowest body.
    near_above, near_below : ndarray of bool
        Those of them in which further bodies, not outlined, can lie: all that
        continue the row upwards, one below.
    """
    centre = centroids(instances, spacing)
    order = sorted(centre)
    points = np.moveaxis(np.indices(instances.shape), 0, -1) * spacing.astype(np.float32)

    def beyond(last: int, before: int, reach_mm: float) -> tuple[np.ndarray, np.ndarray]:
        axis = centre[last] - centre[before]
        axis = axis / np.linalg.norm(axis)
        own = np.argwhere(instances == last) * spacing
        far = np.percentile(own @ axis, 90.0)
        depth = points @ axis.astype(np.float32)
        away = points - (centre[last] + axis * (far - centre[last] @ axis)).astype(np.float32)
        off_axis = np.sqrt(np.maximum((away**2).sum(-1) - (depth - far) ** 2, 0))
        out = (depth > far) & (instances == 0)
        return out, out & (off_axis < 40.0 + 0.6 * (depth - far)) & (depth < far + reach_mm)

    above, near_above = beyond(order[0], order[1], 1000.0)
    below, near_below = beyond(order[-1], order[-2], 45.0)
    return above, below, near_above, near_below
