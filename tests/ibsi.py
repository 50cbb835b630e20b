"""The digital phantom of the Image Biomarker Standardisation Initiative, and volumes made of it.

Zwanenburg 2016, arXiv:1612.07003, section "Digital phantom": 5 x 4 x 4 voxels of 2 mm. A line is a slice, a
word a row; a dot lies outside the region.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteotrace.model.imaging import UNKNOWN, OtherFacts, Series, Volume
from osteotrace.model.values import UCUM_OF_QUANTITY, Modality, Quantity
from osteotrace.space import Grid, Mask
from strategies import centred_grid

_SLICES = """
14411 14611 41641 44641
14411 11611 .1311 44611
144.. 11111 11.11 11611
144.. 11111 11111 11611
"""


def volume_of(values: NDArray[Any], grid: Grid, quantity: Quantity = Quantity.SUVBW) -> Volume:
    """Volume of a series called 1.5."""
    series = Series(
        "1.5",
        "1.5",
        "1.4",
        "1.2.840.10008.5.1.4.1.1.128",
        Modality.PT,
        "PET",
        "",
        UNKNOWN,
        None,
        quantity,
        UCUM_OF_QUANTITY[quantity],
        grid,
        OtherFacts(),
        1,
    )
    return Volume(values, grid, series)


def digital_phantom() -> tuple[Volume, Mask]:
    """Image and region of interest, indexed (i, j, k) as the phantom's x, y, z."""
    rows = [line.split() for line in _SLICES.split("\n") if line]
    drawn = np.array([[list(row) for row in one] for one in rows]).T  # z, y, x to x, y, z
    inside = drawn != "."
    grid = centred_grid((5, 4, 4), (2.0, 2.0, 2.0))
    values = np.where(inside, drawn, "0").astype(np.float32)
    return volume_of(values, grid), Mask.from_array(inside, grid)
