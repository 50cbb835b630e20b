"""Binary masks on cropped grids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from osteotrace.errors import LatticeMismatchError, SpaceError
from osteotrace.space.grid import FloatArray, Grid, frozen_array


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """Voxels that belong to something, on the smallest box of the source lattice that holds them.

    Attributes
    ----------
    values : ndarray of bool, shape (i, j, k)
        At least one is true.
    grid : Grid
        The box; shares the lattice of the image that the mask was drawn on.
    """

    values: NDArray[np.bool_]
    grid: Grid

    def __post_init__(self) -> None:
        """Check and freeze."""
        values = frozen_array(self.values, bool)
        if values.shape != self.grid.shape:
            raise LatticeMismatchError(f"mask shape {values.shape}", expected=f"{self.grid.shape}")
        if not values.any():
            raise SpaceError("the mask is empty", expected="at least one voxel")
        object.__setattr__(self, "values", values)

    @classmethod
    def from_array(cls, values: NDArray[np.bool_], grid: Grid) -> Mask:
        """Crop a boolean array on ``grid`` to its content.

        Raises
        ------
        SpaceError
            When no voxel is true.
        """
        if values.shape != grid.shape:
            raise LatticeMismatchError(f"mask shape {values.shape}", expected=f"{grid.shape}")
        box = bounding_box(values)
        if box is None:
            raise SpaceError("the mask is empty", expected="at least one voxel")
        start, stop = box
        cut = values[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
        return cls(np.array(cut, dtype=bool), grid.crop(start, stop))

    @property
    def n_voxels(self) -> int:
        """Number of true voxels."""
        return int(np.count_nonzero(self.values))

    @property
    def volume_ml(self) -> float:
        """Volume, mL."""
        return self.n_voxels * self.grid.voxel_volume_mm3 / 1000.0

    @property
    def points(self) -> FloatArray:
        """Centres of the true voxels; LPS mm, shape (n, 3)."""
        return self.grid.points(np.argwhere(self.values))

    @property
    def centroid(self) -> FloatArray:
        """Centre of mass; LPS mm, shape (3,)."""
        return np.asarray(self.grid.points(np.argwhere(self.values).mean(axis=0)))

    def on(self, grid: Grid) -> NDArray[np.bool_]:
        """Write the mask into an array of ``grid`` (same lattice); shape ``grid.shape``.

        Voxels outside ``grid`` are left out.

        Raises
        ------
        LatticeMismatchError
            When the lattices differ.
        """
        offset = np.array(self.grid.offset_in(grid))
        out = np.zeros(grid.shape, dtype=bool)
        low = np.maximum(offset, 0)
        high = np.minimum(offset + self.grid.shape, grid.shape)
        if (high > low).all():
            target = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            source = tuple(slice(a, b) for a, b in zip(low - offset, high - offset, strict=True))
            out[target] = self.values[source]
        return out


def bounding_box(values: NDArray[np.bool_]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """First (included) and last (excluded) index of the true voxels along each axis, or None."""
    start, stop = [], []
    for axis in range(values.ndim):
        line = np.flatnonzero(values.any(axis=tuple(a for a in range(values.ndim) if a != axis)))
        if line.size == 0:
            return None
        start.append(int(line[0]))
        stop.append(int(line[-1]) + 1)
    return tuple(start), tuple(stop)
