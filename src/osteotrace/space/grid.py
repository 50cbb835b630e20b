"""Voxel lattices in patient space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from osteotrace.errors import FrameMismatchError, LatticeMismatchError, SpaceError

FloatArray = NDArray[np.float64]

# Two lattices are the same when no corner of the field of view moves further than this (mm): far
# below any scanner's resolution, far above the rounding of decimal strings in a header.
LATTICE_TOLERANCE_MM = 1e-2

# No scanner images in other steps or farther from its centre: a damaged header, and arithmetic overflows.
SMALLEST_STEP_MM, LARGEST_STEP_MM, FARTHEST_MM = 1e-3, 1e3, 1e6


def frozen_array(values: ArrayLike, dtype: Any = None) -> NDArray[Any]:
    """Read-only view of an array (a copy only when the type changes)."""
    array = np.asarray(values, dtype=dtype).view()
    array.setflags(write=False)
    return array


def apply_affine(matrix: FloatArray, points: ArrayLike) -> FloatArray:
    """Map points of shape (..., 3) by a 4x4 matrix.

    Sums of columns, not a matrix product: a multi-threaded BLAS is many times slower on three columns
    when the cores are busy.
    """
    point = np.asarray(points, dtype=np.float64)
    columns = matrix[:3, :3].T
    return np.asarray(
        point[..., 0:1] * columns[0]
        + point[..., 1:2] * columns[1]
        + point[..., 2:3] * columns[2]
        + matrix[:3, 3]
    )


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """A lattice of voxel centres in one frame of reference.

    Attributes
    ----------
    shape : tuple of int
        Number of voxels (i, j, k): i along a row of the image (the DICOM column index), j down the
        rows, k from slice to slice.
    affine : ndarray of float64, shape (4, 4)
        Maps (i, j, k, 1) to the voxel centre in LPS, mm (DICOM PS3.3 C.7.6.2.1.1, with i and j in the
        order column, row). Shear is allowed (gantry tilt).
    frame_of_reference_uid : str
        The frame in which the millimetres are meant.

    Raises
    ------
    SpaceError
        When the shape is empty, or the affine is not finite, singular or not of a scanner's size.
    """

    shape: tuple[int, int, int]
    affine: FloatArray
    frame_of_reference_uid: str

    def __post_init__(self) -> None:
        """Check and freeze."""
        affine = np.array(self.affine, dtype=np.float64)
        is_affine = affine.shape == (4, 4) and (affine[3] == (0, 0, 0, 1)).all()
        if not (is_affine and np.isfinite(affine).all()):
            raise SpaceError("the affine is not a finite 4x4 matrix", expected="index to LPS mm")
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise SpaceError(f"the grid shape is {self.shape}", expected="three positive sizes (i, j, k)")
        if abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise SpaceError("the affine is singular: two axes of the grid are parallel or have no length")
        edges = np.linalg.norm(affine[:3, :3], axis=0)
        if edges.min() < SMALLEST_STEP_MM or edges.max() > LARGEST_STEP_MM:
            shown = " x ".join(f"{e:.4g}" for e in edges)
            raise SpaceError(f"the voxels measure {shown} mm", expected="voxels of a scanner")
        if np.abs(affine[:3, 3]).max() > FARTHEST_MM:
            far = np.abs(affine[:3, 3]).max()
            raise SpaceError(f"the grid lies {far:.3g} mm from the origin", expected="a place in a scanner")
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        object.__setattr__(self, "affine", frozen_array(affine))

    @property
    def spacing(self) -> FloatArray:
        """Distance between neighbouring voxel centres along i, j, k; mm, shape (3,)."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0), dtype=np.float64)

    @property
    def direction(self) -> FloatArray:
        """Unit vectors of i, j, k as columns; shape (3, 3)."""
        return np.asarray(self.affine[:3, :3] / self.spacing, dtype=np.float64)

    @property
    def origin(self) -> FloatArray:
        """Centre of voxel (0, 0, 0); LPS mm, shape (3,)."""
        return np.asarray(self.affine[:3, 3])

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of a voxel, mm³ (true for a sheared grid too)."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def is_sheared(self) -> bool:
        """Whether the axes are not at right angles (cosine above 1e-4)."""
        gram = self.direction.T @ self.direction
        return bool(np.abs(gram - np.eye(3)).max() > 1e-4)

    @property
    def center(self) -> FloatArray:
        """Centre of the field of view; LPS mm, shape (3,)."""
        return self.points((np.array(self.shape) - 1) / 2.0)

    @property
    def corners(self) -> FloatArray:
        """Outer corners of the field of view (half a voxel beyond the centres); LPS mm, shape (8, 3)."""
        ends = [(-0.5, n - 0.5) for n in self.shape]
        return self.points(np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, -1).T)

    def points(self, indices: ArrayLike) -> FloatArray:
        """Patient points of (fractional) voxel indices.

        Parameters
        ----------
        indices : array_like, shape (..., 3)
            Voxel indices (i, j, k).

        Returns
        -------
        ndarray of float64, shape (..., 3)
            LPS, mm.
        """
        return apply_affine(self.affine, indices)

    def indices(self, points: ArrayLike) -> FloatArray:
        """Fractional voxel indices of patient points (LPS mm), shape (..., 3)."""
        return apply_affine(np.asarray(np.linalg.inv(self.affine), dtype=np.float64), points)

    def contains(self, points: ArrayLike) -> NDArray[np.bool_]:
        """Whether patient points (LPS mm, shape (..., 3)) lie inside the field of view; shape (...)."""
        index = self.indices(points)
        inside = (index >= -0.5) & (index <= np.array(self.shape) - 0.5)
        return np.asarray(inside.all(axis=-1))

    def crop(self, start: ArrayLike, stop: ArrayLike) -> Grid:
        """Sub-grid of the voxels start (included) to stop (excluded), clipped to this grid."""
        low = np.clip(np.asarray(start, dtype=int), 0, np.array(self.shape) - 1)
        high = np.clip(np.asarray(stop, dtype=int), low + 1, self.shape)
        affine = self.affine.copy()
        affine[:3, 3] = self.points(low)
        i, j, k = (int(n) for n in high - low)
        return Grid((i, j, k), affine, self.frame_of_reference_uid)

    def offset_in(self, other: Grid) -> tuple[int, int, int]:
        """Index of this grid's first voxel in a grid of the same lattice.

        Raises
        ------
        LatticeMismatchError
            When the two grids do not share the lattice.
        FrameMismatchError
            When they are in different frames of reference.
        """
        require_same_frame(self, other)
        index = other.indices(self.origin)
        step_error = np.abs(self.affine[:3, :3] - other.affine[:3, :3]) @ np.array(self.shape)
        start_error = np.abs(other.affine[:3, :3] @ (index - np.round(index)))
        if max(step_error.max(), start_error.max()) > LATTICE_TOLERANCE_MM:
            raise LatticeMismatchError(
                "the voxels of the two grids do not coincide",
                expected=f"the same steps and whole-voxel offsets within {LATTICE_TOLERANCE_MM} mm",
                remedy="resample one onto the other",
            )
        i, j, k = (int(n) for n in np.round(index))
        return (i, j, k)

    def same_as(self, other: Grid) -> bool:
        """Whether both grids have the same voxels in the same frame."""
        if self.shape != other.shape or self.frame_of_reference_uid != other.frame_of_reference_uid:
            return False
        return bool(np.abs(self.corners - other.corners).max() <= LATTICE_TOLERANCE_MM)

    def isotropic(self, spacing_mm: float) -> Grid:
        """Grid of cubic voxels over the same field of view, along the same (orthogonalised) axes."""
        q, _ = np.linalg.qr(self.direction)
        axes = q * np.sign((q * self.direction).sum(axis=0))
        local = self.corners @ axes
        low, high = local.min(axis=0), local.max(axis=0)
        i, j, k = (int(n) for n in np.maximum(1, np.ceil((high - low) / spacing_mm - 1e-6)))
        first = (low + high) / 2 - (np.array([i, j, k]) - 1) / 2 * spacing_mm
        affine = np.eye(4)
        affine[:3, :3] = axes * spacing_mm
        affine[:3, 3] = axes @ first
        return Grid((i, j, k), affine, self.frame_of_reference_uid)

    def __repr__(self) -> str:
        """Shape, spacing, origin."""
        size = " x ".join(str(n) for n in self.shape)
        step = " x ".join(f"{s:.3f}" for s in self.spacing)
        place = ", ".join(f"{x:.1f}" for x in self.origin)
        return f"Grid({size}, {step} mm, origin LPS ({place}) mm)"


def require_same_frame(a: Grid, b: Grid) -> None:
    """Raise FrameMismatchError unless both grids are in the same frame of reference."""
    if a.frame_of_reference_uid != b.frame_of_reference_uid:
        raise FrameMismatchError(
            "two frames of reference are mixed",
            where=f"{a.frame_of_reference_uid} and {b.frame_of_reference_uid}",
            expected="one frame, or a transform between them",
            remedy="align the exams first",
        )
