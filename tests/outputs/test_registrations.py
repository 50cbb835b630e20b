"""Alignments as DICOM and ITK files: both must move points as the record does."""

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pydicom
import pytest

from osteotrace.errors import LatticeMismatchError
from osteotrace.model.alignment import Alignment, BoneMotion
from osteotrace.model.criteria import load_criteria
from osteotrace.model.values import Verdict
from osteotrace.outputs import deidentify, write_outputs
from osteotrace.outputs.dicom.common import is_uid
from osteotrace.outputs.folder import OutputFolder
from osteotrace.outputs.registrations import displacements, fields_of, lattice, save_registrations
from osteotrace.space import Grid, RigidTransform, map_by_itk_file, write_itk_field, write_itk_rigid
from outputs.factory import FRAME_CT, FRAME_MR, PATIENT_NAME, make_case, tilted

POINTS = np.array([[0.0, 0.0, 0.0], [40.0, 20.0, 10.0], [-35.0, 15.0, 30.0]])


@pytest.fixture(scope="module")
def case():
    return make_case(step=8.0)


def bone(name, centre, shift):
    whole = tilted().matrix.copy()
    whole[:3, 3] += shift
    return BoneMotion(
        name,
        name,
        name,
        "ct",
        "mr",
        RigidTransform(whole, FRAME_CT, FRAME_MR),
        centre,
        (centre,),
        "images",
        1.0,
        1.0,
        0.2,
        2.0,
        0.1,
        Verdict.GOOD,
    )


def with_bones(workup):
    """The alignment of CT and MR, with two bones that moved against each other."""
    moved = [a for a in workup.alignments if a.frames == (FRAME_CT, FRAME_MR)]
    bones = (bone("V1", (0.0, 0.0, 30.0), (0.0, 3.0, 1.0)), bone("V2", (0.0, 0.0, -30.0), (2.0, -4.0, 0.0)))
    bent = replace(moved[0], method="bones", bones=bones)
    return replace(workup, alignments=(bent, *(a for a in workup.alignments if a is not moved[0])))


def saved(workup, folder):
    out = OutputFolder.open(folder)
    save_registrations(workup, out, fields_of(workup))
    out.finish()
    return sorted(
        str(p.relative_to(folder)) for p in folder.rglob("*") if p.suffix in (".dcm", ".tfm", ".h5")
    )


def by_matrix(item, points):
    matrix = np.array(item.FrameOfReferenceTransformationMatrix, float).reshape(4, 4)
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def aligned(workup) -> Alignment:
    return next(a for a in workup.alignments if a.frames == (FRAME_CT, FRAME_MR))


def test_names_tell_exams_and_no_patient(case, tmp_path):
    names = saved(with_bones(case.workup), tmp_path)
    assert any(name.startswith("dicom/registration/01_") and name.endswith("_rigid.dcm") for name in names)
    assert any(name.endswith("_bones.dcm") for name in names)
    assert any(name.endswith("_bones.h5") for name in names)
    assert not any("Doe" in name for name in names)


def test_only_alignments_between_frames_that_did_not_fail(case, tmp_path):
    workup = case.workup
    usable = [a for a in workup.alignments if a.frames[0] != a.frames[1] and a.verdict is not Verdict.FAILED]
    names = saved(workup, tmp_path)
    assert len([n for n in names if n.endswith(".tfm")]) == len(usable) < len(workup.alignments)
    failed = replace(workup, alignments=tuple(replace(a, verdict=Verdict.FAILED) for a in workup.alignments))
    assert saved(failed, tmp_path / "none") == []


def test_itk_maps_fixed_to_moving(case, tmp_path):
    names = saved(case.workup, tmp_path)
    file = tmp_path / next(n for n in names if n.endswith(".tfm"))
    assert np.allclose(map_by_itk_file(file, POINTS), aligned(case.workup).apply(POINTS), atol=1e-6)


def test_dicom_maps_the_moving_frame_to_the_registered_one(case, tmp_path):
    names = saved(case.workup, tmp_path)
    made = pydicom.dcmread(tmp_path / next(n for n in names if n.endswith("_rigid.dcm")))
    assert made.FrameOfReferenceUID == FRAME_CT
    items = {item.FrameOfReferenceUID: item for item in made.RegistrationSequence}
    moving = aligned(case.workup).apply(POINTS)
    back = by_matrix(items[FRAME_MR].MatrixRegistrationSequence[0].MatrixSequence[0], moving)
    assert np.allclose(back, POINTS, atol=1e-4)
    assert np.allclose(
        by_matrix(items[FRAME_CT].MatrixRegistrationSequence[0].MatrixSequence[0], POINTS), POINTS
    )


def test_bones_in_the_itk_file(case, tmp_path):
    workup = with_bones(case.workup)
    names = saved(workup, tmp_path)
    file = tmp_path / next(n for n in names if n.endswith("_bones.h5"))
    expected = workup.alignments[0].apply(POINTS)
    assert np.linalg.norm(map_by_itk_file(file, POINTS) - expected, axis=1).max() < 0.3
    assert np.linalg.norm(tilted().apply(POINTS) - expected, axis=1).max() > 1.0  # the bones matter


def test_bones_in_the_dicom_file_are_displacements_before_the_whole(case, tmp_path):
    workup = with_bones(case.workup)
    names = saved(workup, tmp_path)
    made = pydicom.dcmread(tmp_path / next(n for n in names if n.endswith("_bones.dcm")))
    item = made.DeformableRegistrationSequence[0]
    grid = item.DeformableRegistrationGridSequence[0]
    shape = tuple(grid.GridDimensions)
    field = np.frombuffer(grid.VectorGridData, "<f4").reshape(*shape[::-1], 3).transpose(2, 1, 0, 3)
    at = (shape[0] // 2, shape[1] // 3, shape[2] // 4)
    place = np.array(grid.ImagePositionPatient, float) + np.array(at) * np.array(grid.GridResolution)
    post = item.PostDeformationMatrixRegistrationSequence[0]
    mapped = by_matrix(post, place + field[at])
    assert item.SourceFrameOfReferenceUID == FRAME_MR
    assert np.allclose(mapped, workup.alignments[0].apply(place), atol=1e-3)
    assert list(grid.ImageOrientationPatient) == [1, 0, 0, 0, 1, 0]


def test_without_the_fixed_series_the_lattice_holds_the_bones(case):
    alignment = replace(with_bones(case.workup).alignments[0], fixed_series="unknown")
    grid = lattice(case.workup, alignment)
    assert all(grid.contains(np.array(b.centre_mm)) for b in alignment.bones)
    assert displacements(alignment, grid).shape == (*grid.shape, 3)


def test_a_frame_that_is_no_uid_gives_an_itk_file_only(case, tmp_path):
    one = aligned(case.workup)
    other = replace(one, transform=RigidTransform(one.transform.matrix, FRAME_CT, "nifti:frame"))
    names = saved(replace(case.workup, alignments=(other,)), tmp_path)
    assert [n.split("/")[0] for n in names] == ["transforms"]


@pytest.mark.parametrize(
    ("text", "good"), [("1.2.840.10008", True), ("1.02", False), ("a", False), ("1." * 40 + "1", False)]
)
def test_uids(text, good):
    assert is_uid(text) is good


def test_dciodvfy_has_no_error(case, tmp_path):
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed")
    for workup, folder in ((with_bones(case.workup), "named"), (deidentify(with_bones(case.workup)), "none")):
        names = [n for n in saved(workup, tmp_path / folder) if n.endswith(".dcm")]
        assert names
        for name in names:
            told = subprocess.run(
                ["dciodvfy", str(tmp_path / folder / name)], capture_output=True, text=True, check=False
            )
            assert [line for line in told.stderr.splitlines() if line.startswith("Error")] == []


def test_the_same_result_gives_the_same_files(case, tmp_path):
    workup = with_bones(case.workup)
    first, second = saved(workup, tmp_path / "a"), saved(workup, tmp_path / "b")
    assert first == second
    for name in (n for n in first if n.endswith(".dcm")):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_de_identified_run_names_nobody(case, tmp_path):
    workup = deidentify(case.workup)
    for name in (n for n in saved(workup, tmp_path) if n.endswith(".dcm")):
        content = (tmp_path / name).read_bytes()
        assert PATIENT_NAME.encode() not in content
        assert FRAME_CT.encode() not in content


def test_a_run_writes_them(case, tmp_path):
    files = write_outputs(case.workup, case.images, tmp_path, load_criteria())
    assert any(file.parent.name == "registration" for file in files)
    assert any(file.suffix == ".tfm" for file in files)


def test_a_field_of_another_shape_is_refused(tmp_path):
    grid = Grid((2, 3, 4), np.eye(4), FRAME_CT)
    with pytest.raises(LatticeMismatchError, match="the field has shape"):
        write_itk_field(tilted(), np.zeros((2, 3, 3, 3)), grid, tmp_path / "x.h5")


def test_itk_round_trip(tmp_path):
    write_itk_rigid(tilted(), tmp_path / "x.tfm")
    assert np.allclose(map_by_itk_file(tmp_path / "x.tfm", POINTS), tilted().apply(POINTS))
