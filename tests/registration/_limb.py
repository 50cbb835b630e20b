"""A synthetic limb without symmetry, seen by two kinds of scanner."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from osteotrace.model.imaging import UNKNOWN, OtherFacts, Series, Volume
from osteotrace.model.values import Modality, Quantity
from osteotrace.space import FloatArray, Grid

SPACING_MM = 4.0
SHAPE = (36, 36, 36)

# Tissue: 0 air, 1 fat, 2 muscle, 3 other muscle, 4 bone, 5 mass.
CT_HU = np.array([-1000.0, -100.0, 50.0, 65.0, 700.0, 30.0])
MR_SIGNAL = np.array([10.0, 800.0, 300.0, 420.0, 90.0, 650.0])
UPTAKE = np.array([0.02, 0.3, 0.8, 0.9, 0.6, 8.0])


def tissue_at(points: FloatArray) -> NDArray[np.int8]:
    """Tissue of anatomical points (mm, shape (..., 3)); the limb runs along z and leans."""
    x, y, z = np.moveaxis(points, -1, 0)
    x = x - 0.15 * z
    tissue = np.zeros(points.shape[:-1], dtype=np.int8)
    radius = 56.0 + 0.12 * z
    tissue[(x / 1.1) ** 2 + y**2 < radius**2] = 1
    tissue[(x / 1.1 - 3) ** 2 + (y - 5) ** 2 < (radius - 10) ** 2] = 2
    tissue[((x - 18) / 22) ** 2 + ((y + 14) / 15) ** 2 + ((z - 20) / 60) ** 2 < 1] = 3
    tissue[(x + 16) ** 2 + (y + 12) ** 2 < 12**2] = 4
    tissue[((x + 30) / 18) ** 2 + ((y + 18) / 12) ** 2 + ((z - 48) / 14) ** 2 < 1] = 4
    tissue[((x - 8) / 20) ** 2 + ((y - 22) / 15) ** 2 + ((z + 12) / 26) ** 2 < 1] = 5
    return tissue


def motion(turn_deg: tuple[float, float, float], shift_mm: tuple[float, float, float]) -> FloatArray:
    """4x4 motion from anatomy to a scanner's frame."""
    out = np.eye(4)
    out[:3, :3] = Rotation.from_rotvec(turn_deg, degrees=True).as_matrix()
    out[:3, 3] = shift_mm
    return out


def scan(
    name: str,
    modality: Modality,
    signal: FloatArray,
    frame: str,
    pose: FloatArray | None = None,
    *,
    shape: tuple[int, int, int] = SHAPE,
    seed: int = 0,
    mirror: bool = False,
) -> Volume:
    """Image of the limb in a frame of reference; ``pose`` maps anatomy to that frame."""
    pose = np.eye(4) if pose is None else pose
    affine = np.diag([SPACING_MM] * 3 + [1.0])
    affine[:3, 3] = pose[:3, 3] - SPACING_MM * (np.array(shape) - 1) / 2
    grid = Grid(shape, affine, frame)
    points = grid.points(np.moveaxis(np.indices(shape), 0, -1))
    anatomy = (points - pose[:3, 3]) @ pose[:3, :3]
    values = signal[tissue_at(anatomy * (np.array([-1.0, 1.0, 1.0]) if mirror else 1.0))]
    noise = np.random.default_rng(seed).normal(size=shape) * 0.03 * float(np.ptp(signal[1:]))
    blurred = ndimage.gaussian_filter(values, 0.5) + np.where(values == signal[0], 0, noise)
    return volume(name, modality, blurred, grid)


def volume(name: str, modality: Modality, values: FloatArray, grid: Grid) -> Volume:
    """Record of an image."""
    quantity = {Modality.CT: Quantity.HU, Modality.PT: Quantity.SUVBW}.get(modality, Quantity.MR_SIGNAL)
    series = Series(
        id=name,
        series_instance_uid=name,
        study_instance_uid="1.2",
        sop_class_uid="1.2.3",
        modality=modality,
        name=name,
        description="",
        body_part=UNKNOWN,
        datetime=None,
        quantity=quantity,
        unit="1",
        grid=grid,
        facts=OtherFacts(),
        n_instances=1,
    )
    return Volume(np.asarray(values, dtype=np.float32), grid, series)
