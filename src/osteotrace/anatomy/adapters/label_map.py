"""Label maps of other programs as NIfTI.

TotalSegmentator (tasks total, total_mr, vertebrae_mr), TotalSpineSeg, SPINEPS and TPTBox, MOOSE, VerSe: their
numbers are the schemes of :mod:`osteotrace.model.label_schemes`. The levels are taken as the program declares
them; `osteotrace.anatomy.number` weighs them against all else that was seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.anatomy.adapters.build import build, whole_numbers
from osteotrace.errors import LatticeMismatchError, RegionError
from osteotrace.model.anatomy import Anatomy
from osteotrace.model.label_schemes import LabelScheme, Structure, structure
from osteotrace.model.problem import Problem
from osteotrace.model.values import Severity
from osteotrace.space import Grid, read_nifti

_LEAST_MM3: Final = 1500.0  # of a vertebra among vertebrae that share a label
_OPEN_MM: Final = 3.0  # bridges thinner than twice this are cut between them


@dataclass(frozen=True, slots=True, eq=False)
class LabelMap:
    """A label image and what its numbers mean.

    Attributes
    ----------
    values : ndarray, shape (i, j, k)
        Whole numbers, of any type; 0 is background.
    scheme : LabelScheme
    name : str
        For messages: a file name.
    """

    values: NDArray[Any]
    scheme: LabelScheme
    name: str = ""


def read_label_maps(
    maps: Sequence[tuple[Path, LabelScheme]], *, series_id: str, frame_of_reference_uid: str
) -> Anatomy:
    """Read the label maps that another program made of one volume.

    Parameters
    ----------
    maps : sequence of (Path, LabelScheme)
        Most programs write one. SPINEPS writes a second one that tells bodies from posterior parts, MOOSE one
        for vertebrae and one for ribs. Where two have a voxel, the first has it.
    series_id, frame_of_reference_uid : str
        The volume that they were made of, and its frame: NIfTI has none.

    Raises
    ------
    UnreadableFileError, PixelError, GeometryError
        A file is no image in space.
    RegionError
        The values are no labels, or none of them is known.
    LatticeMismatchError
        Two maps are on different lattices.
    """
    images = [read_nifti(path, frame_of_reference_uid) for path, _ in maps]
    for (path, _), image in zip(maps, images, strict=True):
        if not image.grid.same_as(images[0].grid):
            raise LatticeMismatchError(
                "the label maps lie on different lattices",
                where=path.name,
                expected=f"that of {maps[0][0].name}",
            )
    pairs = zip(maps, images, strict=True)
    read = [LabelMap(image.values, scheme, path.name) for (path, scheme), image in pairs]
    return from_label_maps(read, images[0].grid, series_id=series_id)


def from_label_maps(maps: Sequence[LabelMap], grid: Grid, *, series_id: str) -> Anatomy:
    """Make an Anatomy of label images of one lattice; errors as in `read_label_maps`."""
    joined = np.zeros(grid.shape, dtype=np.int32)
    bodies = np.zeros(grid.shape, dtype=bool)
    numbers: dict[Structure, int] = {}
    problems: list[Problem] = []
    for item in maps:
        values, meaning = _understood(item)
        problems += _unknown(values, meaning, item)
        table = np.zeros(int(values.max()) + 1, dtype=np.int32)
        for label, what in meaning.items():
            if what == structure("vertebral body"):
                bodies |= values == label
            elif what.kind != "vertebra part":
                table[label] = numbers.setdefault(what, len(numbers) + 1)
        joined = np.where(joined == 0, table[values], joined)
    meaning = {number: what for what, number in numbers.items()}
    shared = numbers.get(structure("vertebra"))
    if shared is not None:
        joined, meaning = _told_apart(joined, meaning, shared, grid)
        problems.append(_not_told_apart(maps))
    return build(
        joined,
        grid,
        meaning,
        series_id=series_id,
        searched=frozenset().union(*(_searched(item.scheme) for item in maps)),
        made_by=", ".join(dict.fromkeys(item.scheme.name for item in maps)),
        bodies=bodies if bodies.any() else None,
        problems=tuple(problems),
    )


def _understood(item: LabelMap) -> tuple[NDArray[np.int32], dict[int, Structure]]:
    values = whole_numbers(item.values)
    if values is None:
        raise RegionError(
            "the values are no labels",
            where=item.name,
            expected="whole numbers from 0",
            remedy="do not resample",
        )
    present = _labels_in(values)
    meaning = item.scheme.structures_in(present)
    if present and not meaning:
        raise RegionError(
            f"none of the labels {', '.join(str(n) for n in present[:5])} is known to {item.scheme.name}",
            where=item.name,
            expected=f"labels of {item.scheme.source}",
            remedy="name the program that made the file",
        )
    return values, meaning


def _labels_in(values: NDArray[np.int32]) -> list[int]:
    return [int(n) for n in np.flatnonzero(np.bincount(values.ravel())) if n]


def _searched(scheme: LabelScheme) -> frozenset[str]:
    """Names that the program can find, vertebrae without their level."""
    presacral = structure("vertebra").name
    return frozenset(
        presacral if item.kind == "vertebra" and not item.level.startswith("S") else item.name
        for item in scheme.labels.values()
    )


def _told_apart(
    values: NDArray[np.int32], meaning: dict[int, Structure], label: int, grid: Grid
) -> tuple[NDArray[np.int32], dict[int, Structure]]:
    """Give each vertebra a label of its own, where the program has one for all of them."""
    inside = values == label
    depth = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=grid.spacing)[1:-1, 1:-1, 1:-1]
    cores, n = ndimage.label(depth > _OPEN_MM)
    nearest = ndimage.distance_transform_edt(
        cores == 0, sampling=grid.spacing, return_distances=False, return_indices=True
    )
    grown = np.where(inside, cores[tuple(nearest)], 0)
    volume = np.bincount(grown.ravel(), minlength=n + 1) * grid.voxel_volume_mm3
    new, told = np.where(inside, 0, values), {k: v for k, v in meaning.items() if k != label}
    first = int(values.max()) + 1
    for core in range(1, n + 1):
        if volume[core] >= _LEAST_MM3:
            new[grown == core] = first
            told[first] = structure("vertebra")
            first += 1
    return new.astype(np.int32), told


def _not_told_apart(maps: Sequence[LabelMap]) -> Problem:
    return Problem(
        Severity.INFERRED,
        "vertebrae-split",
        f"{maps[0].scheme.name} has one label for all vertebrae; they were told apart by their shape",
        where=maps[0].name,
        remedy="use a program that labels each vertebra",
    )


def _unknown(values: NDArray[np.int32], meaning: dict[int, Structure], item: LabelMap) -> list[Problem]:
    unknown = sorted(set(_labels_in(values)) - set(meaning))
    if not unknown:
        return []
    named = ", ".join(str(n) for n in unknown)
    return [
        Problem(
            Severity.EXCLUDED,
            "label-unknown",
            f"{item.scheme.name} does not tell what label {named} means; left out",
            where=item.name,
            expected=f"labels of {item.scheme.source}",
        )
    ]
