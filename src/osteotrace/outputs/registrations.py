"""Alignments as files: DICOM registration objects and ITK transforms."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count
from typing import TypeAlias

import numpy as np

from osteotrace.model.alignment import Alignment
from osteotrace.model.imaging import Exam, Series
from osteotrace.model.values import Verdict
from osteotrace.model.workup import Workup
from osteotrace.outputs.dicom import deformable_registration, spatial_registration
from osteotrace.outputs.dicom.common import as_bytes, is_uid
from osteotrace.outputs.folder import OutputFolder
from osteotrace.space import FloatArray, Grid, write_itk_field, write_itk_rigid

_STEP_MM = 10.0  # of the lattice on which the motions of the bones are written
_MARGIN_MM = 60.0  # around the bones, where the fixed series is not known


Fields: TypeAlias = dict[str, tuple[FloatArray, Grid]]
"""What the bones do in each alignment that follows them, and where, by the name of its files."""


def fields_of(workup: Workup) -> Fields:
    """Displacements of all alignments of which :func:`save_registrations` writes them; takes some seconds."""
    out: Fields = {}
    for name, alignment, _ in _named(workup):
        if alignment.bones:
            grid = lattice(workup, alignment)
            out[name] = displacements(alignment, grid), grid
    return out


def save_registrations(workup: Workup, folder: OutputFolder, fields: Fields) -> None:
    """Write every alignment between two frames that did not fail.

    ``transforms/*.tfm`` and ``dicom/registration/*_rigid.dcm`` hold the motion of the whole; where bones were
    followed, ``transforms/*_bones.h5`` and ``*_bones.dcm`` hold theirs. All ITK files map fixed to moving. A
    frame whose name is no UID (NIfTI) gives no DICOM object.

    Parameters
    ----------
    fields : dict
        Of :func:`fields_of`.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    for name, alignment, exam in _named(workup):
        dicom = all(is_uid(frame) for frame in alignment.frames)
        folder.save(f"transforms/{name}.tfm", partial(write_itk_rigid, alignment.transform))
        if dicom:
            made = spatial_registration(workup, alignment, exam)
            folder.save(f"dicom/registration/{name}_rigid.dcm", as_bytes(made))
        if name in fields:
            field, grid = fields[name]
            folder.save(
                f"transforms/{name}_bones.h5", partial(write_itk_field, alignment.transform, field, grid)
            )
            if dicom:
                deformed = deformable_registration(workup, alignment, exam, field, grid)
                folder.save(f"dicom/registration/{name}_bones.dcm", as_bytes(deformed))


def lattice(workup: Workup, alignment: Alignment) -> Grid:
    """Upright lattice in the fixed frame that holds the fixed series, or else the bones."""
    series = _series(workup).get(alignment.fixed_series)
    if series is not None and series[1].grid is not None:
        points, margin = series[1].grid.corners, 0.0
    else:
        points = np.array([anchor for bone in alignment.bones for anchor in bone.anchors_mm])
        margin = _MARGIN_MM
    low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
    affine = np.diag([_STEP_MM, _STEP_MM, _STEP_MM, 1.0])
    affine[:3, 3] = low
    shape = np.ceil((high - low) / _STEP_MM).astype(int) + 1
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine, alignment.frames[0])


def displacements(alignment: Alignment, grid: Grid) -> FloatArray:
    """What the bones do before the motion of the whole at lattice points; shape (i, j, k, 3), mm."""
    points = grid.points(np.moveaxis(np.indices(grid.shape), 0, -1))
    return np.asarray(alignment.transform.inverse.apply(alignment.apply(points)) - points)


def _named(workup: Workup) -> Iterator[tuple[str, Alignment, Exam]]:
    """Names without patient data: ``01_ct-day069_to_mr-day000``; and the exam of the fixed series."""
    known = _series(workup)
    number = count(1)
    for alignment in workup.alignments:
        fixed, moving = (known.get(s) for s in (alignment.fixed_series, alignment.moving_series))
        between = alignment.frames[0] != alignment.frames[1]
        if between and alignment.verdict is not Verdict.FAILED and fixed is not None and moving is not None:
            yield f"{next(number):02d}_{_word(fixed[0])}_to_{_word(moving[0])}", alignment, fixed[0]


def _word(exam: Exam) -> str:
    day = "undated" if exam.day is None else f"day{exam.day:03d}"
    return f"{exam.modality.lower()}-{day}"


def _series(workup: Workup) -> dict[str, tuple[Exam, Series]]:
    return {series.id: (exam, series) for exam in workup.timeline.exams for series in exam.series}
