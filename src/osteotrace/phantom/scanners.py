"""What each scanner of the phantom shows: grids, poses and values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from osteotrace.phantom.anatomy import Body, lesions
from osteotrace.space import FloatArray, Grid, RigidTransform

# Illustrative signal per tissue, not for measurement: HU, SUV, MR signal.
_HU: dict[int, float] = {
    0: -1000,
    1: -100,
    2: 55,
    3: 60,
    4: -800,
    5: 45,
    6: 35,
    7: 700,
    8: 170,
    9: 90,
    10: 10,
    11: 800,
    12: 30,
}
_SUV: dict[int, float] = {
    0: 0,
    1: 0.3,
    2: 0.7,
    3: 2.1,
    4: 0.4,
    5: 1.5,
    6: 3.0,
    7: 0.6,
    8: 1.1,
    9: 0.5,
    10: 0.3,
}
_T1: dict[int, float] = {
    0: 2,
    1: 420,
    2: 130,
    3: 170,
    4: 15,
    5: 40,
    6: 120,
    7: 15,
    8: 260,
    9: 120,
    10: 50,
    11: 70,
    12: 95,
}
_T2FS: dict[int, float] = {
    0: 2,
    1: 60,
    2: 90,
    3: 120,
    4: 10,
    5: 30,
    6: 230,
    7: 8,
    8: 90,
    9: 170,
    10: 420,
    11: 190,
    12: 300,
}

Channel = Literal["CT", "PT", "T1", "T2FS"]
_VALUES: dict[Channel, dict[int, float]] = {"CT": _HU, "PT": _SUV, "T1": _T1, "T2FS": _T2FS}


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """One series to be made.

    Attributes
    ----------
    to_body : RigidTransform
        From the frame of the scanner to the frame of the body.
    blur_mm : float
        Full width at half maximum of the point spread.
    noise : float
        SD in units of the image.
    """

    channel: Channel
    grid: Grid
    to_body: RigidTransform
    blur_mm: float
    noise: float


def sample(scan: Scan, body: Body, seed: int) -> NDArray[np.float32]:
    """Values of a scan; each voxel is the mean of 2 x 2 x 2 points, blurred, with noise; shape grid.shape."""
    total = np.zeros(scan.grid.shape, dtype=np.float64)
    table = _table(scan.channel)
    index = np.moveaxis(np.indices(scan.grid.shape), 0, -1).reshape(-1, 3).astype(np.float64)
    for shift in np.ndindex(2, 2, 2):
        points = scan.grid.points(index + (np.array(shift) - 0.5) / 2)
        total += table[body.tissue_at(scan.to_body.apply(points))].reshape(scan.grid.shape)
    sigma = scan.blur_mm / 2.355 / scan.grid.spacing
    values = ndimage.gaussian_filter(total / 8, sigma)
    noise = np.random.default_rng(seed).normal(0.0, scan.noise, scan.grid.shape)
    if scan.channel in ("T1", "T2FS"):
        second = np.random.default_rng(seed + 1).normal(0.0, scan.noise, scan.grid.shape)
        return np.asarray(np.hypot(values + noise, second), dtype=np.float32)
    return np.asarray(values + noise, dtype=np.float32)


def _table(channel: Channel) -> FloatArray:
    values = _VALUES[channel]
    table = np.zeros(256)
    for tissue, value in values.items():
        table[tissue] = value
    for number, lesion in enumerate(lesions()):
        table[100 + number] = lesion.uptake if channel == "PT" else values[int(lesion.solid.tissue)]
    return table


def scans(frames: tuple[str, str], body: str) -> tuple[Scan, ...]:
    """CT and PET in one frame, sagittal T1 and fat-suppressed T2 in another, the patient turned in it."""
    tomograph = RigidTransform(_pose((1.0, -2.0, 3.0), (4.0, -150.0, 812.0)).matrix, frames[0], body)
    magnet = RigidTransform(_pose((3.0, 2.0, 14.0), (-6.0, 22.0, -35.0)).matrix, frames[1], body)
    ct = _axial((140, 100, 105), (2.5, 2.5, 4.0), tomograph)
    pet = _axial((88, 64, 105), (4.0, 4.0, 4.0), tomograph)
    mr = _sagittal((112, 120, 19), (2.0, 2.2, 5.0), magnet)
    return (
        Scan("CT", ct, tomograph, 1.5, 12.0),
        Scan("PT", pet, tomograph, 6.0, 0.12),
        Scan("T1", mr, magnet, 1.5, 8.0),
        Scan("T2FS", mr, magnet, 1.5, 8.0),
    )


def _pose(angles_deg: tuple[float, float, float], shift: tuple[float, float, float]) -> RigidTransform:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return RigidTransform(matrix, "", "")


def _axial(shape: tuple[int, int, int], spacing: tuple[float, float, float], to_body: RigidTransform) -> Grid:
    affine = np.diag([*spacing, 1.0])
    return _centered(shape, affine, to_body, (0.0, 0.0, 40.0))


def _sagittal(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], to_body: RigidTransform
) -> Grid:
    affine = np.eye(4)
    affine[:3, 0] = (0.0, spacing[0], 0.0)  # along a row: to the back
    affine[:3, 1] = (0.0, 0.0, -spacing[1])  # down the rows: to the feet
    affine[:3, 2] = (spacing[2], 0.0, 0.0)  # slices: to the left
    return _centered(shape, affine, to_body, (0.0, 30.0, -20.0))


def _centered(
    shape: tuple[int, int, int],
    affine: FloatArray,
    to_body: RigidTransform,
    body_center: tuple[float, float, float],
) -> Grid:
    center = to_body.inverse.apply(body_center)
    placed = affine.copy()
    placed[:3, 3] = center - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, placed, to_body.from_frame)
