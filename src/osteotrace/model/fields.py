"""How geometry and masks cross the border to JSON.

Grids and transforms are written out in full. Voxels are not: a mask or label image becomes an
:class:`ArrayRef` to a NIfTI file beside ``workup.json``. The caller passes
``context={"refs": {id(mask): ArrayRef}}`` when it writes, and ``context={"root": folder}`` when it reads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import PlainSerializer, PlainValidator, SerializationInfo, ValidationInfo, WithJsonSchema

from osteotrace.errors import DeclarationError, InputError, SpaceError
from osteotrace.space import FloatArray, Grid, LabelImage, Mask, NiftiImage, RigidTransform, read_nifti

_MATRIX_SCHEMA: dict[str, Any] = {
    "type": "array",
    "items": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4},
    "minItems": 4,
    "maxItems": 4,
}
_GRID_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Grid",
    "properties": {
        "shape": {"type": "array", "items": {"type": "integer"}, "minItems": 3, "maxItems": 3},
        "affine": _MATRIX_SCHEMA | {"description": "voxel index (i, j, k) to LPS, mm"},
        "frame_of_reference_uid": {"type": "string"},
    },
    "required": ["shape", "affine", "frame_of_reference_uid"],
    "additionalProperties": False,
}
_TRANSFORM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "RigidTransform",
    "properties": {
        "matrix": _MATRIX_SCHEMA | {"description": "points of from_frame to points of to_frame, LPS mm"},
        "from_frame": {"type": "string"},
        "to_frame": {"type": "string"},
    },
    "required": ["matrix", "from_frame", "to_frame"],
    "additionalProperties": False,
}
_REF_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "ArrayRef",
    "properties": {
        "path": {"type": "string", "description": "relative to the folder of workup.json"},
        "sha256": {"type": "string"},
        "grid": _GRID_SCHEMA,
    },
    "required": ["path", "sha256", "grid"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True, eq=False)
class ArrayRef:
    """Where the voxels of a mask or label image are: a NIfTI file, its hash, and the grid with its frame."""

    path: str
    sha256: str
    grid: Grid


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _grid_to_json(grid: Grid) -> dict[str, Any]:
    return {
        "shape": list(grid.shape),
        "affine": grid.affine.tolist(),
        "frame_of_reference_uid": grid.frame_of_reference_uid,
    }


def _grid_from_json(data: Any) -> Grid:
    if isinstance(data, Grid):
        return data
    if not isinstance(data, dict) or set(data) != {"shape", "affine", "frame_of_reference_uid"}:
        raise ValueError("a grid has shape, affine and frame_of_reference_uid")
    shape = data["shape"]
    if not isinstance(shape, list) or len(shape) != 3 or not all(type(n) is int for n in shape):
        raise ValueError("the shape of a grid is three whole numbers")
    with _as_value_error():
        return Grid(
            (shape[0], shape[1], shape[2]), _matrix(data["affine"]), str(data["frame_of_reference_uid"])
        )


def _transform_to_json(transform: RigidTransform) -> dict[str, Any]:
    return {
        "matrix": transform.matrix.tolist(),
        "from_frame": transform.from_frame,
        "to_frame": transform.to_frame,
    }


def _transform_from_json(data: Any) -> RigidTransform:
    if isinstance(data, RigidTransform):
        return data
    if not isinstance(data, dict) or set(data) != {"matrix", "from_frame", "to_frame"}:
        raise ValueError("a transform has matrix, from_frame and to_frame")
    with _as_value_error():
        return RigidTransform(_matrix(data["matrix"]), str(data["from_frame"]), str(data["to_frame"]))


@contextmanager
def _as_value_error() -> Iterator[None]:
    """Turn a mistake in geometry into the error to which pydantic adds the place."""
    try:
        yield
    except (SpaceError, InputError) as error:
        raise ValueError(str(error)) from error


def _matrix(data: Any) -> FloatArray:
    """A list of lists as an array; anything else is a ValueError that pydantic reports with its place."""
    try:
        return np.array(data, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError("a matrix is four lists of four numbers") from error


def _array_to_json(item: Mask | LabelImage, info: SerializationInfo) -> dict[str, Any]:
    refs: Mapping[int, ArrayRef] = (info.context or {}).get("refs", {})
    ref = refs.get(id(item))
    if ref is None:
        raise DeclarationError(
            "a mask has no file", expected="every mask saved before workup.json is written"
        )
    return {"path": ref.path, "sha256": ref.sha256, "grid": _grid_to_json(ref.grid)}


def _mask_from_json(data: Any, info: ValidationInfo) -> Mask:
    if isinstance(data, Mask):
        return data
    image = _array_from_json(data, info)
    with _as_value_error():
        return Mask(image.values > 0, image.grid)


def _labels_from_json(data: Any, info: ValidationInfo) -> LabelImage:
    if isinstance(data, LabelImage):
        return data
    image = _array_from_json(data, info)
    with _as_value_error():
        return LabelImage(image.values, image.grid)


def _array_from_json(data: Any, info: ValidationInfo) -> NiftiImage:
    """Values of a file that is still what it was, on the grid of the reference."""
    if not isinstance(data, dict) or set(data) != {"path", "sha256", "grid"}:
        raise ValueError("an array reference has path, sha256 and grid")
    root = (info.context or {}).get("root")
    if root is None:
        raise DeclarationError("masks are in files of their own", expected="the folder of workup.json")
    path = Path(root) / str(data["path"])
    if not path.resolve().is_relative_to(Path(root).resolve()):
        raise DeclarationError("the path leaves the result folder", where=str(data["path"]))
    if not path.is_file() or file_sha256(path) != data["sha256"]:
        raise DeclarationError(
            "the mask file is absent or was changed",
            where=str(data["path"]),
            expected=f"sha256 {data['sha256']}",
        )
    grid = _grid_from_json(data["grid"])
    with _as_value_error():
        return NiftiImage(read_nifti(path, grid.frame_of_reference_uid).values, grid)


GridField = Annotated[
    Grid, PlainValidator(_grid_from_json), PlainSerializer(_grid_to_json), WithJsonSchema(_GRID_SCHEMA)
]
TransformField = Annotated[
    RigidTransform,
    PlainValidator(_transform_from_json),
    PlainSerializer(_transform_to_json),
    WithJsonSchema(_TRANSFORM_SCHEMA),
]
MaskField = Annotated[
    Mask, PlainValidator(_mask_from_json), PlainSerializer(_array_to_json), WithJsonSchema(_REF_SCHEMA)
]
LabelsField = Annotated[
    LabelImage,
    PlainValidator(_labels_from_json),
    PlainSerializer(_array_to_json),
    WithJsonSchema(_REF_SCHEMA),
]
