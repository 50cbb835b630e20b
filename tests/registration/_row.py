"""A small trunk with a row of vertebrae of different sizes, scanned bent and in two contrasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from osteotrace.model.alignment import Alignment
from osteotrace.model.anatomy import Anatomy, Bone
from osteotrace.model.imaging import Volume
from osteotrace.model.values import Modality
from osteotrace.space import FloatArray, Grid, Polyrigid, motion_of

from ._limb import volume

HEIGHTS = np.array([62.0, 34.0, 5.0, -27.0, -61.0])  # of the centres, head to tail
CENTRES = np.stack([np.zeros(5), np.array([2.0, 0.0, -1.0, -2.0, 0.0]), HEIGHTS], axis=1)
RADII = np.array([11.0, 12.0, 13.0, 14.0, 15.0])
#          air, fat, muscle, cortex, marrow, disc, canal, vessel, gut, lesion
CT_HU = np.array([-1000.0, -90.0, 55.0, 600.0, 170.0, 90.0, 15.0, 45.0, 0.0, 800.0])
MR_T1 = np.array([4.0, 900.0, 320.0, 60.0, 640.0, 260.0, 150.0, 30.0, 480.0, 200.0])


def tissue(points: FloatArray, *, lesion: bool = False) -> FloatArray:
    """Number of the tissue at points of the body, shape (n, 3) to (n,)."""
    x, y, z = points.T
    kind = np.where(np.hypot(x, y * 1.1) < 46.0, 1, 0)
    kind[np.hypot(np.abs(x) - 20, y - 20) < 13.0] = 2
    kind[np.hypot(x - 16, y + 26 + 3 * np.sin(z / 19)) < 8.0] = 7
    kind[np.hypot(x + 18, np.hypot(y + 24, (z - 12 * np.sign(z)) / 2)) < 14.0] = 8
    kind[np.hypot(x, y - 19) < 6.5] = 6
    inside_row = (z < HEIGHTS[0] + 12) & (z > HEIGHTS[-1] - 14)
    kind[(np.hypot(x, y) < 11.0) & inside_row] = 5
    for (cx, cy, cz), r in zip(CENTRES, RADII, strict=True):
        along = np.abs(z - cz)
        across = np.hypot((x - cx) / 1.2, y - cy)
        kind[(across < r) & (along < r - 1.0)] = 3
        kind[(across < r - 1.8) & (along < r - 2.8)] = 4
        arch = (np.abs(x) < 4.0) & (np.abs(y - 31) < 7.0) & (np.abs(z - cz + 4) < 5.0 + r / 4)
        kind[arch] = 3
    if lesion:
        kind[np.linalg.norm(points - CENTRES[2] - [3.0, -2.0, 1.0], axis=1) < 7.0] = 9
    return kind


def bent(deg: float = 4.0, seed: int = 0) -> Polyrigid:
    """Body to exam: every joint turns by some degrees, on top of a shift and a small turn of the whole."""
    rng = np.random.default_rng(seed)
    common = motion_of([[0.05, -0.03, 0.06, 40.0, -25.0, 300.0]])[0]
    motions, own = [], np.eye(4)
    for number, centre in enumerate(CENTRES):
        turn = np.radians([deg, deg / 3, 0.0]) * (number > 0) + rng.normal(0, np.radians(0.4), 3)
        step = motion_of(np.r_[turn, 0, 0, 0])[0]
        middle = centre + np.array([0.0, 0.0, 15.0])
        step[:3, 3] = middle - step[:3, :3] @ middle + rng.normal(0, 0.2, 3)
        own = own @ step
        motions.append(common @ own)
    return Polyrigid.of(common, motions, [[c, c + np.array([0, 30, -4])] for c in CENTRES], 8.0)


STRAIGHT = Polyrigid.of(np.eye(4), [np.eye(4)] * 5, [[c] for c in CENTRES], 8.0)


@cache
def _body(pose: Polyrigid) -> tuple[Grid, FloatArray]:
    """Lattice of a scan in a pose (any frame), and the body point of each voxel."""
    affine = np.diag([2.5, 2.5, 2.5, 1.0])
    affine[:3, 3] = pose.apply([0.0, 0.0, 0.0]) - [50.0, 50.0, 90.0]
    grid = Grid((40, 40, 72), affine, "")
    points = grid.points(np.moveaxis(np.indices(grid.shape), 0, -1)).reshape(-1, 3)
    return grid, pose.invert(points)


def scanned(
    name: str,
    modality: Modality,
    signal: FloatArray,
    frame: str,
    pose: Polyrigid = STRAIGHT,
    *,
    lesion: bool = False,
) -> Volume:
    """Image of the trunk in a pose, 2.5 mm voxels."""
    grid, body = _body(pose)
    values = signal[tissue(body, lesion=lesion)].reshape(grid.shape)
    noise = np.random.default_rng(len(name)).normal(0, 0.02 * np.ptp(signal[1:9]), grid.shape)
    return volume(name, modality, values + noise, replace(grid, frame_of_reference_uid=frame))


def outlined(image: Volume, pose: Polyrigid, seen: Sequence[int] = range(5), seed: int = 0) -> Anatomy:
    """Bodies of these vertebrae, their centres off by 1 mm."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(image.grid.shape, np.uint16)
    body = _body(pose)[1].reshape(*image.grid.shape, 3)
    bones = []
    for number, i in enumerate(seen, start=1):
        off = body - CENTRES[i]
        across = np.hypot(off[..., 0] / 1.2, off[..., 1])
        labels[(across < RADII[i]) & (np.abs(off[..., 2]) < RADII[i] - 1.0)] = number
        x, y, z = (float(v) for v in pose.apply(CENTRES[i]) + rng.normal(0, 1.0, 3))
        cut = not bool(image.grid.contains(pose.apply(CENTRES[i] + [0, 0, 14.0])))
        bones.append(Bone(f"V{number}", "vertebra", number, (x, y, z), 0.9, cut))
    return Anatomy(image.series.id, labels, image.grid, tuple(bones), (), frozenset({"vertebra"}), "test")


def error_mm(
    alignment: Alignment, moving: Polyrigid, which: Sequence[int] = range(5), *, rigid: bool = False
) -> FloatArray:
    """Distance between where an alignment of F and M puts points of each vertebra and where they are."""
    around = np.array([[0, 0, 0], [9, 0, 0], [-9, 0, 0], [0, -9, 0], [0, 28, -4], [0, 0, 9]])
    points = np.concatenate([CENTRES[i] + around for i in which])
    poses = {"F": STRAIGHT, "M": moving}
    here, there = (poses[frame].apply(points) for frame in alignment.frames)
    moved = alignment.transform.apply(here) if rigid else alignment.apply(here)
    return np.asarray(np.linalg.norm(moved - there, axis=1))
