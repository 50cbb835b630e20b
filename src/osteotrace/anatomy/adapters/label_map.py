"""Label maps of other programs as NIfTI.

TotalSegmentator (tasks total, total_mr, vertebrae_mr), TotalSpineSeg, SPINEPS and TPTBox, MOOSE, VerSe: their
numbers are the schemes of :mod:`osteotrace.model.label_schemes`. The levels are taken as the program declares
them; `osteotrace.anatomy.number` weighs them against all else that was seen.
"""

from __future__ import annotations

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
from osteotrace.space import FloatArray, Grid, read_nifti

_LEAST_MM3: Final = 1500.0  # of a vertebra among vertebrae that share a label
_OPEN_MM: Final = 3.0  # bridges thinner than twice this are cut between them


def read_label_map(
    path: Path,
    scheme: LabelScheme,
    *,
    series_id: str,
    frame_of_reference_uid: str,
    bodies: tuple[Path, LabelScheme] | None = None,
) -> Anatomy:
    """Read a label map of another program.

    Parameters
    ----------
    scheme : LabelScheme
        What its numbers mean.
    series_id, frame_of_reference_uid : str
        The volume that it was made of, and its frame: NIfTI has none.
    bodies : tuple of (Path, LabelScheme), optional
        A second map of the same volume that tells bodies from posterior parts, as SPINEPS writes.

    Raises
    ------
    UnreadableFileError, PixelError, GeometryError
        A file is no image in space.
    RegionError
        The values are no labels, or none of them is known.
    LatticeMismatchError
        The two maps are on different lattices.
    """
    image = read_nifti(path, frame_of_reference_uid)
    inside = None
    if bodies is not None:
        second = read_nifti(bodies[0], frame_of_reference_uid)
        if not second.grid.same_as(image.grid):
            raise LatticeMismatchError(
                "the two label maps lie on different lattices",
                where=bodies[0].name,
                expected=f"that of {path.name}",
            )
        body = bodies[1].label_of(structure("vertebral body"))
        inside = np.asarray(second.values == body) if body is not None else None
    return from_label_map(
        image.values, image.grid, scheme, series_id=series_id, where=path.name, bodies=inside
    )


def from_label_map(
    labels: FloatArray | NDArray[np.integer[Any]],
    grid: Grid,
    scheme: LabelScheme,
    *,
    series_id: str,
    where: str = "",
    bodies: NDArray[np.bool_] | None = None,
) -> Anatomy:
    """Make an Anatomy of a label image; parameters and errors as in `read_label_map`."""
    values = whole_numbers(labels)
    if values is None:
        raise RegionError(
            "the values are no labels", where=where, expected="whole numbers from 0", remedy="do not resample"
        )
    present = [int(n) for n in np.flatnonzero(np.bincount(values.ravel())) if n]
    meaning = scheme.structures_in(present)
    if present and not meaning:
        raise RegionError(
            f"none of the labels {', '.join(str(n) for n in present[:5])} is known to {scheme.name}",
            where=where,
            expected=f"labels of {scheme.source}",
            remedy="name the program that made the file",
        )
    problems = _unknown(sorted(set(present) - set(meaning)), scheme, where)
    shared = [n for n, item in meaning.items() if item == structure("vertebra")]
    if shared:
        values, meaning = _told_apart(values, meaning, shared[0], grid)
        problems += (_not_told_apart(scheme, where),)
    return build(
        values,
        grid,
        meaning,
        series_id=series_id,
        searched=_searched(scheme),
        made_by=scheme.name,
        bodies=bodies,
        problems=problems,
    )


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


def _not_told_apart(scheme: LabelScheme, where: str) -> Problem:
    return Problem(
        Severity.INFERRED,
        "vertebrae-split",
        f"{scheme.name} has one label for all vertebrae; they were told apart by their shape",
        where=where,
        remedy="use a program that labels each vertebra",
    )


def _unknown(labels: list[int], scheme: LabelScheme, where: str) -> tuple[Problem, ...]:
    if not labels:
        return ()
    named = ", ".join(str(n) for n in labels)
    return (
        Problem(
            Severity.EXCLUDED,
            "label-unknown",
            f"{scheme.name} does not tell what label {named} means; left out",
            where=where,
            expected=f"labels of {scheme.source}",
        ),
    )
