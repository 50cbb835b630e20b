from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from osteotrace.errors import DeclarationError
from osteotrace.model.fields import ArrayRef, GridField, MaskField, TransformField, file_sha256
from osteotrace.space import Grid, Mask, RigidTransform, write_nifti

GRID: TypeAdapter[Grid] = TypeAdapter(GridField)
TRANSFORM: TypeAdapter[RigidTransform] = TypeAdapter(TransformField)
MASK: TypeAdapter[Mask] = TypeAdapter(MaskField)

finite = st.floats(-1e4, 1e4)


def mask() -> Mask:
    values = np.zeros((3, 4, 2), dtype=bool)
    values[1:, 2:, 1] = True
    return Mask(values, Grid((3, 4, 2), np.diag([1.5, 2.0, 3.0, 1.0]), "1.2.3"))


def saved(folder: Path) -> tuple[Mask, dict[int, ArrayRef]]:
    one = mask()
    write_nifti(folder / "m.nii.gz", one.values, one.grid)
    return one, {id(one): ArrayRef("m.nii.gz", file_sha256(folder / "m.nii.gz"), one.grid)}


@given(
    st.tuples(*[st.integers(1, 500)] * 3),
    st.tuples(*[st.floats(0.1, 50.0)] * 3),
    st.tuples(finite, finite, finite),
    st.floats(-0.5, 0.5),
)
def test_grids_come_back_to_the_last_bit(
    shape: tuple[int, int, int], steps: tuple[float, ...], origin: tuple[float, ...], shear: float
) -> None:
    affine = np.diag([*steps, 1.0])
    affine[:3, 3] = origin
    affine[1, 2] = shear
    grid = Grid(shape, affine, "1.2.840.1")
    back = GRID.validate_json(GRID.dump_json(grid))
    assert back.shape == grid.shape
    assert np.array_equal(back.affine, grid.affine)
    assert back.frame_of_reference_uid == "1.2.840.1"


@given(st.floats(-np.pi, np.pi), st.tuples(finite, finite, finite))
def test_transforms_come_back_with_their_direction(angle: float, shift: tuple[float, ...]) -> None:
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = shift
    transform = RigidTransform(matrix, "1.2.1", "1.2.2")
    back = TRANSFORM.validate_json(TRANSFORM.dump_json(transform))
    assert np.array_equal(back.matrix, transform.matrix)
    assert (back.from_frame, back.to_frame) == ("1.2.1", "1.2.2")


def test_a_record_itself_passes() -> None:
    assert GRID.validate_python(mask().grid).shape == (3, 4, 2)
    assert TRANSFORM.validate_python(RigidTransform.identity("1")).to_frame == "1"
    assert MASK.validate_python(mask()).n_voxels == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": None}, "three whole numbers"),
        ({"shape": [1, 2]}, "three whole numbers"),
        ({"shape": [1.5, 2, 3]}, "three whole numbers"),
        ({"shape": "123"}, "three whole numbers"),
        ({"affine": "x"}, "four lists of four numbers"),
        ({"affine": [[1], [1, 2]]}, "four lists of four numbers"),
        ({"more": 1}, "a grid has shape, affine and frame_of_reference_uid"),
    ],
)
def test_a_wrong_grid_is_a_validation_error(change: dict[str, object], message: str) -> None:
    data = json.loads(GRID.dump_json(mask().grid)) | change
    with pytest.raises(ValidationError, match=message):
        GRID.validate_python(data)


@pytest.mark.parametrize("data", [7, {}, {"matrix": []}, None])
def test_a_wrong_transform_is_a_validation_error(data: object) -> None:
    with pytest.raises(ValidationError, match="a transform has matrix, from_frame and to_frame"):
        TRANSFORM.validate_python(data)


def test_masks_come_back_from_their_file(tmp_path: Path) -> None:
    one, refs = saved(tmp_path)
    text = MASK.dump_json(one, context={"refs": refs})
    assert json.loads(text)["path"] == "m.nii.gz"
    back = MASK.validate_json(text, context={"root": tmp_path})
    assert np.array_equal(back.values, one.values)
    assert np.array_equal(back.grid.affine, one.grid.affine)
    assert back.grid.frame_of_reference_uid == "1.2.3"


def test_a_mask_without_a_file_is_an_error() -> None:
    with pytest.raises(PydanticSerializationError, match="a mask has no file"):
        MASK.dump_python(mask(), mode="json")


def test_masks_need_the_folder(tmp_path: Path) -> None:
    one, refs = saved(tmp_path)
    text = MASK.dump_json(one, context={"refs": refs})
    with pytest.raises(DeclarationError, match=r"the folder of workup\.json"):
        MASK.validate_json(text)


def test_a_changed_mask_file_is_noticed(tmp_path: Path) -> None:
    one, refs = saved(tmp_path)
    text = MASK.dump_json(one, context={"refs": refs})
    write_nifti(tmp_path / "m.nii.gz", ~one.values, one.grid)
    with pytest.raises(DeclarationError, match="absent or was changed"):
        MASK.validate_json(text, context={"root": tmp_path})
    (tmp_path / "m.nii.gz").unlink()
    with pytest.raises(DeclarationError, match="absent or was changed"):
        MASK.validate_json(text, context={"root": tmp_path})


@pytest.mark.parametrize("path", ["../m.nii.gz", "/etc/passwd", "a/../../m.nii.gz"])
def test_a_path_out_of_the_folder_is_refused(tmp_path: Path, path: str) -> None:
    root = tmp_path / "out"
    root.mkdir()
    one, refs = saved(tmp_path)
    data = json.loads(MASK.dump_json(one, context={"refs": refs})) | {"path": path}
    with pytest.raises(DeclarationError, match="leaves the result folder"):
        MASK.validate_python(data, context={"root": root})


def test_an_incomplete_reference_is_a_validation_error(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="path, sha256 and grid"):
        MASK.validate_python({"path": "m.nii.gz"}, context={"root": tmp_path})
