"""Grids as a technologist plans them."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from osteotrace.phantom.protocols import CtProtocol, MrProtocol, PetProtocol
from osteotrace.space import FloatArray, Grid

# Directions of i (along a row), j (down the rows) and k (from slice to slice) in LPS, as columns.
_AXES = {
    "sagittal": np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]], dtype=np.float64),
    "coronal": np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], dtype=np.float64),
    "axial": np.eye(3),
}


def plan_mr(
    protocol: MrProtocol,
    center: FloatArray,
    frame_of_reference_uid: str,
    *,
    tilt_deg: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Grid:
    """Slices of an MR protocol.

    Sagittal: rows run to the back, columns to the feet, slices from right to left. Coronal: rows to the left,
    columns to the feet, slices to the back. Axial: rows to the left, columns to the back, slices to the head.

    Parameters
    ----------
    center : ndarray, shape (3,)
        Exam point in the middle of the field of view, mm; its fraction of a voxel is kept.
    tilt_deg : tuple of float
        Rotation of the slices about the patient's x, y and z axis.
    """
    turn = Rotation.from_euler("xyz", tilt_deg, degrees=True).as_matrix()
    spacing = (protocol.pixel_mm, protocol.pixel_mm, protocol.thickness_mm + protocol.gap_mm)
    shape = (protocol.matrix, protocol.matrix, protocol.slices)
    return _centered(shape, turn @ _AXES[protocol.plane] * np.array(spacing), center, frame_of_reference_uid)


def plan_axial(
    protocol: CtProtocol | PetProtocol, center: FloatArray, length_mm: float, frame_of_reference_uid: str
) -> Grid:
    """Slices of a CT or PET protocol over a length along the table, from the feet to the head.

    Parameters
    ----------
    center : ndarray, shape (3,)
        Exam point in the middle of the field of view, mm.
    """
    count = max(1, round(length_mm / protocol.slice_mm))
    spacing = np.array([protocol.pixel_mm, protocol.pixel_mm, protocol.slice_mm])
    shape = (protocol.matrix, protocol.matrix, count)
    return _centered(shape, _AXES["axial"] * spacing, center, frame_of_reference_uid)


def _centered(shape: tuple[int, int, int], steps: FloatArray, center: FloatArray, frame: str) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = steps
    affine[:3, 3] = np.asarray(center) - steps @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine, frame)
