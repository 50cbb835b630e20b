"""NIfTI files: the only place where RAS becomes LPS and back."""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, HeaderTypeError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from osteotrace.errors import GeometryError, PixelError, SpaceError, UnreadableFileError
from osteotrace.space.grid import Grid

_GZIP = b"\x1f\x8b"
_NIFTI1, _NIFTI2 = b"n+1\0", b"n+2\0"

# What nibabel, gzip and numpy raise on a file that is cut, damaged or something else.
_NOT_WHOLE = (
    ImageFileError,
    HeaderDataError,
    HeaderTypeError,
    WrapStructError,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    OverflowError,
    MemoryError,
    zlib.error,
)

_FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, slots=True, eq=False)
class NiftiImage:
    """Values and grid of a NIfTI file; the affine has been turned from RAS to LPS."""

    values: NDArray[Any]
    grid: Grid


def read_nifti(path: Path, frame_of_reference_uid: str) -> NiftiImage:
    """Read a 3D NIfTI image into LPS.

    Parameters
    ----------
    frame_of_reference_uid : str
        NIfTI has none; the caller says in which frame the millimetres are meant.

    Raises
    ------
    UnreadableFileError
        When the file is not a whole NIfTI image.
    PixelError
        When the values are complex or coloured.
    GeometryError
        When it is not 3D, or has neither a usable sform nor qform.
    """
    try:
        with np.errstate(all="ignore"):  # numbers that are none in a header are refused below
            image = _parsed(path.read_bytes())
            data, affine = np.asarray(image.dataobj), _FLIP @ np.asarray(image.affine, dtype=np.float64)
    except _NOT_WHOLE as error:
        raise UnreadableFileError(
            f"not a readable NIfTI image ({type(error).__name__})",
            where=path.name,
            expected=".nii or .nii.gz",
        ) from error
    if data.dtype.kind not in "biuf":
        raise PixelError(f"the values are {data.dtype}", where=path.name, expected="one real number a voxel")
    if data.ndim > 3 and all(n == 1 for n in data.shape[3:]):
        data = data.reshape(data.shape[:3])
    if data.ndim != 3 or min(data.shape) < 1:
        raise GeometryError(f"the image has shape {data.shape}", where=path.name, expected="three dimensions")
    if int(image.header["sform_code"]) == 0 and int(image.header["qform_code"]) == 0:
        raise GeometryError(
            "the file does not say where it lies (sform_code and qform_code are 0)",
            where=path.name,
            expected="an affine in scanner coordinates",
            remedy="write the image with its affine",
        )
    i, j, k = data.shape
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise GeometryError("the affine is singular or not finite", where=path.name, expected="a 4x4 matrix")
    try:
        grid = Grid((i, j, k), affine, frame_of_reference_uid)
    except SpaceError as error:
        raise GeometryError(error.found, where=path.name, expected=error.expected) from error
    return NiftiImage(data, grid)


def write_nifti(path: Path, values: NDArray[Any], grid: Grid) -> None:
    """Write values (shape grid.shape) as NIfTI; LPS becomes RAS. A mask is written as uint8."""
    data = values.astype(np.uint8) if values.dtype == bool else values
    image = nib.Nifti1Image(np.asarray(data), _FLIP @ grid.affine)
    image.header.set_xyzt_units("mm")
    temporary = path.with_name(".part-" + path.name)
    try:
        nib.save(image, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _parsed(data: bytes) -> Any:
    """Image of a file's bytes. All of a compressed file is read, so that its checksum is compared."""
    plain = gzip.decompress(data) if data.startswith(_GZIP) else data
    if plain[4:8] == _NIFTI2:
        image: Any = nib.Nifti2Image.from_bytes(plain)
    elif plain[344:348] == _NIFTI1:
        image = nib.Nifti1Image.from_bytes(plain)
    else:
        raise ImageFileError("no NIfTI header")
    if math.prod(image.shape) * image.get_data_dtype().itemsize > len(plain):
        raise EOFError("fewer bytes than voxels")  # before room is made for all of them
    return image
