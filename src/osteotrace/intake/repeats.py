"""Slices that lie at the same place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from osteotrace.errors import GeometryError
from osteotrace.intake.frames import Frame
from osteotrace.intake.geometry import SAME_PLACE_MM, depths
from osteotrace.intake.pixels import stored_values
from osteotrace.model.problem import Problem
from osteotrace.model.values import Severity


def without_repeated_slices(
    frames: Sequence[Frame], where: str
) -> tuple[tuple[Frame, ...], tuple[Problem, ...]]:
    """Drop a slice that has the same place and the same pixels as the one before it.

    Parameters
    ----------
    frames : sequence of Frame
        In the order of their normal.

    Raises
    ------
    GeometryError
        When two slices at one place differ: nothing tells which belongs to the image.
    PixelError
        When their pixels cannot be compared.
    """
    kept: list[Frame] = []
    dropped: list[Frame] = []
    depth = depths([f.plane for f in frames if f.plane is not None])
    for frame, is_repeat in zip(frames, (False, *(np.diff(depth) <= SAME_PLACE_MM)), strict=True):
        if is_repeat and _same_pixels(kept[-1], frame):
            dropped.append(frame)
        else:
            kept.append(frame)
    if not dropped:
        return tuple(kept), ()
    are = "slice is" if len(dropped) == 1 else "slices are"
    found = f"{len(dropped)} {are} there twice with the same pixels; one of each was read"
    name = dropped[0].instance.path.name
    return tuple(kept), (Problem(Severity.WARNING, "duplicate-slice", found, f"{where}: {name}"),)


def _same_pixels(a: Frame, b: Frame) -> bool:
    same_scale = (a.slope, a.intercept) == (b.slope, b.intercept)
    if same_scale and np.array_equal(stored_values([a]), stored_values([b])):
        return True
    raise GeometryError(
        "two different slices lie at the same place",
        where=f"{a.instance.path.name} and {b.instance.path.name}",
        expected="one slice at each place, or an attribute that tells them apart",
        remedy="remove the slice that does not belong to the series",
    )
