"""Volumes from stacks of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteotrace.errors import GeometryError, InputError, PixelError, SpaceError
from osteotrace.intake import storage
from osteotrace.intake.adc import inferred_adc_scale
from osteotrace.intake.describe import series_record
from osteotrace.intake.dose import dose_frames
from osteotrace.intake.frames import Frame
from osteotrace.intake.geometry import slice_order, stack_affine
from osteotrace.intake.meaning import Meaning, meaning_of
from osteotrace.intake.nuclear import Mapping
from osteotrace.intake.repeats import without_repeated_slices
from osteotrace.intake.series import Stack
from osteotrace.intake.voxels import stack_values
from osteotrace.model.criteria import Criteria
from osteotrace.model.imaging import Series, Volume
from osteotrace.model.problem import Problem
from osteotrace.model.values import Severity
from osteotrace.space import Grid


@dataclass(frozen=True, slots=True, eq=False)
class ReadVolume:
    """A stack that was read.

    Attributes
    ----------
    volume : Volume or None
        None when pixels were not asked for.
    sop_uids : tuple of str
        SOP Instance UIDs of its files.
    """

    series: Series
    volume: Volume | None
    sop_uids: tuple[str, ...]
    problems: tuple[Problem, ...]


def read_volume(stack: Stack, mappings: Sequence[Mapping], criteria: Criteria, *, pixels: bool) -> ReadVolume:
    """Read a stack of CT, MR or PET frames, or a dose.

    Raises
    ------
    GeometryError, PixelError, QuantityError
        When it makes no volume; ``where`` names the series.
    """
    try:
        return _read(stack, mappings, criteria, pixels)
    except InputError as error:
        raise _at_series(error, stack) from error


def _read(stack: Stack, mappings: Sequence[Mapping], criteria: Criteria, pixels: bool) -> ReadVolume:
    placed = dose_frames(stack.frames) if _is_dose(stack) else stack.frames
    frames, problems = without_repeated_slices(_ordered(placed), stack.where)
    grid = _grid(frames)
    meaning = meaning_of(frames, mappings, criteria)
    problems = (*problems, *meaning.problems, *_frame_unnamed(frames, stack.where))
    series = series_record(stack.id, frames, meaning.modality, meaning.quantity, grid, meaning.facts)
    volume = None
    if pixels:
        values, more = _values(frames, meaning, criteria, stack.where)
        volume, problems = Volume(values, grid, series), (*problems, *more)
    else:
        _check_pixels(frames)
    return ReadVolume(
        series, volume, tuple(dict.fromkeys(f.instance.sop_instance_uid for f in stack.frames)), problems
    )


def _is_dose(stack: Stack) -> bool:
    return stack.frames[0].instance.sop_class_uid == storage.DOSE


def _ordered(frames: Sequence[Frame]) -> tuple[Frame, ...]:
    planes = [f.plane for f in frames if f.plane is not None]
    if len(planes) < len(frames):
        raise GeometryError(
            "the header does not place the image",
            expected="Image Position, Image Orientation (Patient) and Pixel Spacing",
            remedy="export the original images, not screen captures",
        )
    return tuple(frames[int(n)] for n in slice_order(planes))


def _grid(frames: Sequence[Frame]) -> Grid:
    if len(frames) < 2:
        raise GeometryError("a single slice makes no volume", expected="two or more parallel slices")
    form = frames[0].instance.format
    if min(form.rows, form.columns) < 1:
        raise PixelError(f"{form.rows} rows and {form.columns} columns", expected="an image")
    frame_uid = str(frames[0].key[0]) or f"{frames[0].instance.series_instance_uid}.unnamed-frame"
    planes = [f.plane for f in frames if f.plane is not None]
    affine = stack_affine(planes)
    try:
        return Grid((form.columns, form.rows, len(frames)), affine, frame_uid)
    except SpaceError as error:
        raise GeometryError(error.found, expected=error.expected, remedy="export the series again") from error


def _frame_unnamed(frames: Sequence[Frame], where: str) -> tuple[Problem, ...]:
    if frames[0].key[0]:
        return ()
    found = "Frame of Reference UID is absent; the image is taken to be in a frame of its own"
    return (Problem(Severity.WARNING, "frame-of-reference", found, where),)


def _check_pixels(frames: Sequence[Frame]) -> None:
    bare = next((f for f in frames if f.instance.pixels is None), None)
    if bare is not None:
        raise PixelError("the file ends before its pixels", where=bare.instance.path.name)


def _values(
    frames: Sequence[Frame], meaning: Meaning, criteria: Criteria, where: str
) -> tuple[NDArray[Any], tuple[Problem, ...]]:
    values = stack_values(frames, meaning.factor)
    problems = _padding(frames, where)
    if meaning.is_scale_declared:
        return values, problems
    scale, problem = inferred_adc_scale(values, criteria, where)
    return values if scale == 1 else (values.T * np.float32(scale)).T, (*problems, problem)


def _padding(frames: Sequence[Frame], where: str) -> tuple[Problem, ...]:
    """Record Pixel Padding Value (0028,0120): voxels of it are outside the reconstruction, not tissue."""
    stored = frames[0].padding
    if stored is None:
        return ()
    rescaled = stored * frames[0].slope + frames[0].intercept
    return (
        Problem(Severity.INFO, "padding", f"voxels of {rescaled:g} lie outside the reconstruction", where),
    )


def _at_series(error: InputError, stack: Stack) -> InputError:
    """The same error with the series in front of what it says about the place."""
    where = f"{stack.where}: {error.where}" if error.where and stack.where not in error.where else stack.where
    return type(error)(error.found, where=where, expected=error.expected, remedy=error.remedy)
