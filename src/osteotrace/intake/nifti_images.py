"""NIfTI images whose meaning a person declared, in a sidecar or in ``case.toml``."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteotrace.errors import (
    InputError,
    OsteotraceError,
    PixelError,
    QuantityError,
    UnreadableFileError,
    one_line,
)
from osteotrace.intake.describe import short_name
from osteotrace.intake.mr import NO, YES
from osteotrace.intake.nifti_masks import import_masks
from osteotrace.model.case import Case, ImageDeclaration, MaskDeclaration, read_sidecar, sidecar_path
from osteotrace.model.fields import file_sha256
from osteotrace.model.imaging import (
    UNKNOWN,
    Attribute,
    CtFacts,
    Facts,
    MrFacts,
    NuclearFacts,
    OtherFacts,
    Region,
    Series,
    Volume,
)
from osteotrace.model.problem import Problem, problem_of
from osteotrace.model.values import Basis, Modality, Severity
from osteotrace.space import Grid, read_nifti

Declaration = ImageDeclaration | MaskDeclaration

_INT16 = np.iinfo(np.int16)
_UID_BITS = 120  # of a hash; "2.25." and 37 digits stay within the 64 characters of a UID


@dataclass(slots=True)
class ReadNifti:
    """What was made of the NIfTI files of a patient."""

    series: list[Series] = field(default_factory=list)
    volumes: list[Volume] = field(default_factory=list)
    regions: list[Region] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read_nifti_files(files: Iterable[Path], case: Case, *, pixels: bool) -> ReadNifti:
    """Read declared NIfTI images and the drawings on them; what is not declared is left out by name.

    ``case`` comes before sidecars.
    """
    read = ReadNifti()
    masks = list(case.masks)
    of_case: dict[Path, Declaration] = {f.resolve(): d for d in case.images for f in d.files}
    of_case |= {f.resolve(): m for m in case.masks for f in m.files}
    by_path: dict[Path, Volume] = {}
    listed = dict.fromkeys((*files, *(f for d in case.images for f in d.files)))
    for path in {p.resolve(): p for p in listed}.values():
        try:
            declaration = of_case.get(path.resolve()) or _sidecar(path)
            if isinstance(declaration, MaskDeclaration):
                masks += [declaration] if declaration not in masks else []
                continue
            if declaration is None:
                read.problems.append(_undeclared(path))
                continue
            volume = read_image(path, declaration)
        except InputError as error:
            read.problems.append(problem_of(error))
            continue
        if volume.series.id in {s.id for s in read.series}:
            read.problems.append(_repeated(path))
            continue
        read.series.append(volume.series)
        by_path[path.resolve()] = volume
    if pixels:
        read.volumes += by_path.values()
        regions, problems = import_masks(masks, by_path)
        read.regions += regions
        read.problems += problems
    return read


def _sidecar(path: Path) -> Declaration | None:
    sidecar = sidecar_path(path)
    return read_sidecar(sidecar, path) if sidecar.is_file() else None


def _undeclared(path: Path) -> Problem:
    return Problem(
        Severity.EXCLUDED,
        "nifti",
        "a NIfTI file does not say what its values mean",
        path.name,
        "modality, quantity and date",
        f"declare it in a case.toml that is given with --case, or write {sidecar_path(path).name} beside it,"
        ' for example with the lines modality = "MR", quantity = "MR signal", date = 2000-01-31;'
        ' of a drawing: mask_of = "t1.nii.gz"',
    )


def _repeated(path: Path) -> Problem:
    return Problem(
        Severity.WARNING, "duplicate-file", "the same NIfTI file is there twice; read once", path.name
    )


def read_image(path: Path, declaration: ImageDeclaration) -> Volume:
    """Read one declared image.

    Raises
    ------
    InputError
        When the file is unreadable, lies nowhere, or holds no single finite value per voxel.
    """
    try:
        digest = file_sha256(path)
    except OSError as error:
        raise UnreadableFileError(
            f"the file cannot be opened ({type(error).__name__})",
            where=path.name,
            remedy="check its permissions",
        ) from error
    try:
        image = read_nifti(path, _frame_uid(declaration, digest))
    except OsteotraceError:
        raise
    except Exception as error:  # nibabel raises many kinds of error on damaged files
        raise UnreadableFileError(
            f"not a readable NIfTI image ({type(error).__name__})",
            where=path.name,
            expected=".nii or .nii.gz",
        ) from error
    values = _values(image.values, declaration.scale, path)
    return Volume(values, image.grid, _series(path, declaration, digest, image.grid))


def _frame_uid(declaration: ImageDeclaration, digest: str) -> str:
    """One frame for all images that a declaration puts into it; else one of the file's own."""
    if not declaration.frame:
        return uid_of(digest)
    return uid_of(hashlib.sha256(declaration.frame.encode()).hexdigest())


def uid_of(digest: str) -> str:
    """UID of a hexadecimal digest, under the root 2.25 (PS3.5 B.2)."""
    return f"2.25.{int(digest, 16) >> (len(digest) * 4 - _UID_BITS)}"


def _values(values: NDArray[Any], scale: float, path: Path) -> NDArray[Any]:
    if values.dtype.kind not in "iufb":
        raise PixelError(f"the voxels are of type {values.dtype}", where=path.name, expected="numbers")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise QuantityError("some voxels are not finite", where=path.name, expected="numbers")
    if scale != 1:
        return np.asarray(values * scale, dtype=np.float32)
    if values.dtype.kind != "f" and _INT16.min <= int(values.min()) and int(values.max()) <= _INT16.max:
        return values.astype(np.int16)
    return values.astype(np.float32)


def _series(path: Path, declaration: ImageDeclaration, digest: str, grid: Grid) -> Series:
    uid = uid_of(digest)
    facts = _facts(declaration)
    name = one_line(path.name.removesuffix(".gz").removesuffix(".nii"))
    return Series(
        id=uid,
        series_instance_uid=uid,
        study_instance_uid=_study_uid(declaration),
        sop_class_uid="",
        modality=declaration.modality,
        name=short_name(declaration.modality, declaration.quantity, facts, name),
        description=name,
        body_part=_declared(declaration.body_part or None, declaration, "body_part"),
        datetime=declaration.start,
        quantity=declaration.quantity,
        unit=declaration.unit,
        grid=grid,
        facts=facts,
        n_instances=1,
        source="nifti",
    )


def _study_uid(declaration: ImageDeclaration) -> str:
    """One study for the images of one modality and day."""
    day: dt.date | None = declaration.start.date() if declaration.start else None
    return uid_of(hashlib.sha256(f"{declaration.modality}|{day}".encode()).hexdigest())


def _facts(declaration: ImageDeclaration) -> Facts:
    if declaration.modality is Modality.MR:
        return MrFacts(
            _declared(declaration.weighting or None, declaration, "weighting"),
            _fat_suppression(declaration),
            _declared(_YES_NO[declaration.contrast], declaration, "contrast"),
            field_strength_t=declaration.field_strength_t,
        )
    if declaration.modality is Modality.CT:
        return CtFacts(contrast=_declared(_YES_NO[declaration.contrast], declaration, "contrast"))
    if declaration.modality in (Modality.PT, Modality.NM):
        return NuclearFacts(_declared(declaration.tracer or None, declaration, "tracer"))
    return OtherFacts()


def _fat_suppression(declaration: ImageDeclaration) -> Attribute:
    """As declared; STIR suppresses fat without a word about it."""
    if declaration.fat_suppression is None and declaration.weighting == "STIR":
        return Attribute(YES, Basis.DECLARED, f"{declaration.where}: weighting STIR")
    return _declared(_YES_NO[declaration.fat_suppression], declaration, "fat_suppression")


_YES_NO: Mapping[bool | None, str | None] = {True: YES, False: NO, None: None}


def _declared(value: str | None, declaration: ImageDeclaration, key: str) -> Attribute:
    return UNKNOWN if value is None else Attribute(value, Basis.DECLARED, f"{declaration.where}: {key}")
