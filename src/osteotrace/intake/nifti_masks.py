"""Drawings in NIfTI files: label maps that a person declared to be of an image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteotrace.errors import OsteotraceError, RegionError, one_line
from osteotrace.intake.region_problem import refused
from osteotrace.intake.region_voxels import on_image, on_own_lattice, whole_steps
from osteotrace.model.case import MaskDeclaration, sidecar_path
from osteotrace.model.fields import file_sha256
from osteotrace.model.imaging import Attribute, Region, Volume
from osteotrace.model.problem import Problem
from osteotrace.model.values import Basis, Severity
from osteotrace.space import Grid, Mask, NiftiImage, read_nifti

# A file with more values than this is an image, not a drawing.
_MAX_LABELS = 1024


def import_masks(
    declarations: Iterable[MaskDeclaration], image_of: Mapping[Path, Volume]
) -> tuple[tuple[Region, ...], tuple[Problem, ...]]:
    """Regions of NIfTI label maps, one for every label.

    Parameters
    ----------
    image_of : mapping
        Resolved path of a NIfTI image to the volume that was made of it.

    Returns
    -------
    regions, problems : tuple
        A file or a label that cannot be used is a problem; the others go on.
    """
    regions: list[Region] = []
    problems: list[Problem] = []
    for declaration in declarations:
        for path in declaration.files:
            try:
                found, notes = _import_file(path, declaration, image_of)
            except (OsteotraceError, OSError) as error:
                problems.append(_refused_file(error, path))
                continue
            regions += found
            problems += notes
    return tuple(regions), tuple(problems)


def _refused_file(error: OsteotraceError | OSError, path: Path) -> Problem:
    if isinstance(error, OSError):
        error = RegionError(f"the file cannot be read ({type(error).__name__})", expected="a NIfTI file")
    return refused(error, "drawing", path.name)


def _import_file(
    path: Path, declaration: MaskDeclaration, image_of: Mapping[Path, Volume]
) -> tuple[list[Region], list[Problem]]:
    volume = image_of.get(declaration.image.resolve())
    if volume is None:
        raise RegionError(
            "the image of the drawing was not read", where=declaration.where, expected=declaration.image.name
        )
    image = read_nifti(path, volume.grid.frame_of_reference_uid)
    present = _labels_present(image.values)
    names = dict(declaration.labels) or {n: _name(path, n, len(present)) for n in present}
    placed = Attribute(volume.series.id, Basis.DECLARED, declaration.where)
    uid = file_sha256(path)
    regions, problems = [], _undeclared(path, present, names)
    for label, name in names.items():
        where = f"{path.name}, label {label} {name}"
        try:
            mask, notes = _mask(image, label, volume.grid, where)
        except RegionError as error:
            problems.append(refused(error, "label", where))
            continue
        regions.append(Region(name, mask, volume.series.id, uid, "NIfTI", label, placed))
        problems += notes
    return regions, problems


def _name(path: Path, label: int, n_labels: int) -> str:
    stem = one_line(sidecar_path(path).stem)
    return stem if n_labels == 1 else f"{stem} {label}"


def _labels_present(values: NDArray[Any]) -> list[int]:
    """Labels above 0 in a file.

    Raises
    ------
    RegionError
        When the values are no labels, or there is none.
    """
    distinct = np.unique(values)
    if not np.isfinite(distinct).all() or (distinct != np.round(distinct)).any():
        odd = distinct[~np.isfinite(distinct) | (distinct != np.round(distinct))][0]
        raise RegionError(
            f"the file holds values that are no labels, such as {float(odd):.4g}",
            expected="0 outside and whole numbers inside",
            remedy="apply the threshold that you mean and save a label map",
        )
    if distinct[0] < 0 or distinct.size > _MAX_LABELS:
        raise RegionError(
            f"the file holds {distinct.size} values from {float(distinct[0]):.4g} on",
            expected=f"labels from 0 on, at most {_MAX_LABELS}",
        )
    labels = [int(n) for n in distinct if n > 0]
    if not labels:
        raise RegionError("the drawing is empty", expected="at least one voxel above 0")
    return labels


def _undeclared(path: Path, present: list[int], names: Mapping[int, str]) -> list[Problem]:
    left_out = [n for n in present if n not in names]
    if not left_out:
        return []
    said = ", ".join(str(n) for n in left_out[:10]) + (" ..." if len(left_out) > 10 else "")
    found = f"labels without a declared name were left out: {said}"
    return [Problem(Severity.EXCLUDED, "region", found, path.name, "a name for every label")]


def _mask(image: NiftiImage, label: int, grid: Grid, where: str) -> tuple[Mask, list[Problem]]:
    values = image.values == label
    if not values.any():
        raise RegionError("no voxel has this label", expected="a label of the file")
    own = image.grid
    size = np.array(own.shape, dtype=np.float64)
    index_map = whole_steps(own.origin, own.affine[:3, :3], size, grid)
    if index_map is not None:
        return on_image(np.argwhere(values) @ index_map[:, :3].T + index_map[:, 3], grid, where)
    return on_own_lattice(Mask.from_array(values, own), grid, where)
