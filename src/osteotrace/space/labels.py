"""Label images: one number for each structure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteotrace.errors import LatticeMismatchError
from osteotrace.space.grid import Grid, frozen_array


@dataclass(frozen=True, slots=True, eq=False)
class LabelImage:
    """Whole numbers on a grid; 0 is background.

    Attributes
    ----------
    values : ndarray of uint16, shape grid.shape
        Read-only.
    grid : Grid
        Where they are.
    """

    values: NDArray[Any]
    grid: Grid

    def __post_init__(self) -> None:
        """Check and freeze."""
        values = frozen_array(self.values, np.uint16)
        if values.shape != self.grid.shape:
            raise LatticeMismatchError(f"labels have shape {values.shape}", expected=f"{self.grid.shape}")
        object.__setattr__(self, "values", values)
