"""NIfTI: RAS in the file, LPS in memory; nibabel itself is the witness."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given

from osteotrace.errors import GeometryError, PixelError, UnreadableFileError
from osteotrace.space import Grid, read_nifti, write_nifti
from strategies import FRAME, centred_grid, grids, voxel_centers


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nifti")


@given(grids(max_shape=5))
def test_what_was_written_is_read(scratch: Path, grid: Grid) -> None:
    values = np.arange(np.prod(grid.shape), dtype=np.int16).reshape(grid.shape)
    write_nifti(scratch / "x.nii", values, grid)
    image = read_nifti(scratch / "x.nii", FRAME)
    assert image.grid.same_as(grid)
    np.testing.assert_array_equal(image.values, values)


@given(grids(max_shape=5))
def test_nibabel_sees_the_same_points_in_ras(scratch: Path, grid: Grid) -> None:
    values = np.zeros(grid.shape, dtype=np.uint8)
    write_nifti(scratch / "x.nii", values, grid)
    ras = nib.affines.apply_affine(nib.load(scratch / "x.nii").affine, np.stack(np.indices(grid.shape), -1))
    np.testing.assert_allclose(ras * (-1, -1, 1), voxel_centers(grid), atol=1e-2)


@pytest.mark.parametrize(
    ("axes", "codes"),
    [
        (np.eye(3), ("L", "P", "S")),  # an axial DICOM series, slices upward
        (np.diag([1, 1, -1]), ("L", "P", "I")),
        (np.diag([-1, -1, 1]), ("R", "A", "S")),
        (np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]]), ("P", "I", "L")),  # a sagittal series
        (np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]), ("L", "I", "P")),  # a coronal series
    ],
)
def test_the_orientation_codes_of_nibabel(tmp_path: Path, axes: np.ndarray, codes: tuple[str, ...]) -> None:
    affine = np.eye(4)
    affine[:3, :3] = axes * (0.5, 0.6, 4.0)
    write_nifti(tmp_path / "x.nii.gz", np.zeros((3, 3, 3), np.uint8), Grid((3, 3, 3), affine, FRAME))
    assert nib.aff2axcodes(nib.load(tmp_path / "x.nii.gz").affine) == codes


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz", "größe.nii.gz"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_the_types_are_kept(tmp_path: Path, name: str, dtype: type) -> None:
    values = np.array([[[0, 1, 200]]], dtype=dtype)
    write_nifti(tmp_path / name, values, centred_grid((1, 1, 3), (1.0, 1.0, 1.0)))
    back = read_nifti(tmp_path / name, FRAME).values
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, values)


def test_a_mask_is_written_as_bytes(tmp_path: Path) -> None:
    write_nifti(tmp_path / "m.nii.gz", np.array([[[True, False]]]), centred_grid((1, 1, 2), (1.0, 1.0, 1.0)))
    values = read_nifti(tmp_path / "m.nii.gz", FRAME).values
    assert values.dtype == np.uint8
    assert values.tolist() == [[[1, 0]]]


def test_the_unit_is_the_millimetre_and_nothing_is_left_beside(tmp_path: Path) -> None:
    write_nifti(tmp_path / "x.nii.gz", np.zeros((2, 2, 2)), centred_grid((2, 2, 2), (1.0, 1.0, 1.0)))
    assert nib.load(tmp_path / "x.nii.gz").header.get_xyzt_units()[0] == "mm"
    assert [p.name for p in tmp_path.iterdir()] == ["x.nii.gz"]


def test_slope_and_intercept_are_applied(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.array([[[0.0, 1000.0]]]), np.eye(4))
    image.set_data_dtype(np.int16)
    image.header.set_slope_inter(0.5, -10)
    nib.save(image, tmp_path / "x.nii")
    np.testing.assert_allclose(read_nifti(tmp_path / "x.nii", FRAME).values, [[[-10.0, 490.0]]])


def test_a_fourth_dimension_of_one_is_dropped(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((2, 3, 4, 1), np.uint8), np.eye(4)), tmp_path / "x.nii")
    assert read_nifti(tmp_path / "x.nii", FRAME).grid.shape == (2, 3, 4)


def test_nifti_2_is_read(tmp_path: Path) -> None:
    nib.save(nib.Nifti2Image(np.ones((2, 3, 4), np.int16), np.diag([-2, -2, 3, 1])), tmp_path / "x.nii.gz")
    image = read_nifti(tmp_path / "x.nii.gz", FRAME)
    np.testing.assert_allclose(image.grid.affine, np.diag([2, 2, 3, 1]))
    assert (image.values == 1).all()


def test_only_the_qform_is_enough(tmp_path: Path) -> None:
    affine = np.diag([-2.0, -2.0, 3.0, 1.0])
    image = nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), None)
    image.set_qform(affine, code=1)
    image.set_sform(None, code=0)
    nib.save(image, tmp_path / "x.nii")
    np.testing.assert_allclose(read_nifti(tmp_path / "x.nii", FRAME).grid.affine, np.diag([2, 2, 3, 1]))


def saved(image: nib.Nifti1Image) -> Callable[[Path], None]:
    return lambda path: nib.save(image, path)


def without_place() -> nib.Nifti1Image:
    image = nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), None)
    image.set_qform(None, code=0)
    image.set_sform(None, code=0)
    return image


def with_affine(rows: list[list[float]]) -> nib.Nifti1Image:
    header = nib.Nifti1Header()
    header.set_data_shape((2, 2, 2))
    header.set_data_dtype(np.uint8)
    header["sform_code"] = 1
    header["srow_x"], header["srow_y"], header["srow_z"] = rows
    return nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), None, header)


def cut_short(path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 255, (40, 40, 40), dtype=np.uint8)
    whole = path.with_name("whole-" + path.name)
    nib.save(nib.Nifti1Image(values, np.eye(4)), whole)
    path.write_bytes(whole.read_bytes()[:20_000])


def with_bad_checksum(path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((9, 9, 9), np.uint8), np.eye(4)), path)
    data = bytearray(path.read_bytes())
    data[-8:-4] = b"\0\0\0\1"
    path.write_bytes(bytes(data))


def with_noise_inside(path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 255, (40, 40, 40), dtype=np.uint8)
    nib.save(nib.Nifti1Image(values, np.eye(4)), path)
    data = bytearray(path.read_bytes())
    data[2000:2400] = bytes(400)
    path.write_bytes(bytes(data))


UNREADABLE = "not a readable NIfTI image ({}) [{}]; expected: .nii or .nii.gz"


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("absent.nii.gz", lambda p: None, "FileNotFoundError"),
        ("cut.nii.gz", cut_short, "EOFError"),
        ("cut.nii", cut_short, "EOFError"),
        ("text.nii", lambda p: p.write_text("not an image " * 100), "ImageFileError"),
        ("text.nii.gz", lambda p: p.write_text("not gzip"), "ImageFileError"),
        ("empty.nii.gz", lambda p: p.touch(), "ImageFileError"),
        ("header.nii.gz", lambda p: p.write_bytes(gzip.compress(bytes(100))), "ImageFileError"),
        ("short2.nii", lambda p: p.write_bytes(b"\x1c\x02\0\0n+2\0" + bytes(100)), "WrapStructError"),
        ("folder.nii", lambda p: p.mkdir(), "IsADirectoryError"),
        ("sum.nii.gz", with_bad_checksum, "BadGzipFile"),
        ("noise.nii.gz", with_noise_inside, "BadGzipFile"),
        ("damaged.nii.gz", lambda p: p.write_bytes(gzip.compress(bytes(5000))[:10] + b"\xff" * 99), "error"),
    ],
)
def test_what_is_no_whole_image_is_refused(
    tmp_path: Path, name: str, make: Callable[[Path], None], reason: str
) -> None:
    make(tmp_path / name)
    with pytest.raises(UnreadableFileError) as caught:
        read_nifti(tmp_path / name, FRAME)
    assert str(caught.value) == UNREADABLE.format(reason, name)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            saved(nib.Nifti1Image(np.zeros((2, 3, 4, 5), np.uint8), np.eye(4))),
            "the image has shape (2, 3, 4, 5) [x.nii]; expected: three dimensions",
        ),
        (
            saved(nib.Nifti1Image(np.zeros((2, 3), np.uint8), np.eye(4))),
            "the image has shape (2, 3) [x.nii]; expected: three dimensions",
        ),
        (
            saved(without_place()),
            "the file does not say where it lies (sform_code and qform_code are 0) [x.nii]; "
            "expected: an affine in scanner coordinates; do: write the image with its affine",
        ),
        (
            saved(with_affine([[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]])),
            "the affine is singular or not finite [x.nii]; expected: a 4x4 matrix",
        ),
        (
            saved(with_affine([[1, 0, 0, np.nan], [0, 1, 0, 0], [0, 0, 1, 0]])),
            "the affine is singular or not finite [x.nii]; expected: a 4x4 matrix",
        ),
    ],
)
def test_an_image_without_a_place_in_space_is_refused(
    tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    make(tmp_path / "x.nii")
    with pytest.raises(GeometryError) as caught:
        read_nifti(tmp_path / "x.nii", FRAME)
    assert str(caught.value) == message


def test_values_that_are_no_real_numbers_are_refused(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), np.complex64), np.eye(4)), tmp_path / "x.nii")
    with pytest.raises(PixelError) as caught:
        read_nifti(tmp_path / "x.nii", FRAME)
    assert str(caught.value) == "the values are complex64 [x.nii]; expected: one real number a voxel"


@pytest.mark.parametrize("length", [348, 352, 400, 1000])
def test_any_header_is_read_or_refused(tmp_path: Path, length: int) -> None:
    """Each byte of a header in turn made wrong: nothing but named errors comes out."""
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3), np.uint8), np.eye(4)), tmp_path / "good.nii")
    good = (tmp_path / "good.nii").read_bytes()[:length]
    path = tmp_path / "x.nii"
    refused = 0
    for place in range(0, 348, 2):
        path.write_bytes(good[:place] + b"\xff\x7f" + good[place + 2 :])
        try:
            read_nifti(path, FRAME)
        except (GeometryError, PixelError, UnreadableFileError):
            refused += 1
    assert refused >= 10


def test_nothing_is_left_when_writing_fails(tmp_path: Path) -> None:
    with pytest.raises(nib.spatialimages.HeaderDataError):
        write_nifti(tmp_path / "x.nii", np.zeros((1, 1, 1), np.float16), centred_grid((1, 1, 1), (1, 1, 1)))
    assert list(tmp_path.iterdir()) == []


def test_a_header_that_claims_more_than_the_file_holds_is_refused_before_room_is_made(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros((2, 2, 2), dtype=np.uint8), np.eye(4))
    data = bytearray(image.to_bytes())
    data[40:48] = np.array([3, 2000, 2000, 300], dtype="<i2").tobytes()
    (tmp_path / "x.nii").write_bytes(bytes(data))
    with pytest.raises(UnreadableFileError, match=r"not a readable NIfTI image \(EOFError\)"):
        read_nifti(tmp_path / "x.nii", FRAME)
