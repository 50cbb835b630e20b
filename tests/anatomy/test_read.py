"""The skeletons of a patient: kept, missing, from files."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anatomy.patients import axial, images, mr_facts, sagittal, series, volume
from anatomy.test_adapters import CT, block_spine
from osteotrace.anatomy import keep, read
from osteotrace.anatomy.files import LabelFiles, _told_by
from osteotrace.anatomy.read import source_of
from osteotrace.errors import DeclarationError, LatticeMismatchError, OutputError, ProgramError, RegionError
from osteotrace.model.anatomy import Anatomy, BodySize, Bone, Orientation, Outlined
from osteotrace.model.criteria import load_criteria
from osteotrace.model.imaging import UNKNOWN, Region
from osteotrace.model.label_schemes import structure
from osteotrace.model.problem import Problem
from osteotrace.model.values import Severity
from osteotrace.space import Grid, LabelImage, Mask, write_nifti

module = importlib.import_module("osteotrace.anatomy.read")
CRITERIA = load_criteria()
PATIENT = images([series("t1", sagittal(-300, 0), mr_facts())], [series("ct", axial(-300, 0))])


def skeleton_of(one, **more):
    labels = np.zeros(one.grid.shape, np.uint16)
    labels[5:9, 5:9, 5:9] = 1
    bone = Bone(
        "V1", "vertebra", 1, (1.0, 2.0, 3.5), 0.9, touches_edge=False, size_mm=BodySize(27.0, None, 30.0),
        orientation=Orientation((0.0, 0.0, 1.0), (0.0, 0.1, 0.99)), rib=0.25, declared_level="L1",
    )  # fmt: skip
    problem = Problem(Severity.EXCLUDED, "no-spine-found", "nothing", one.series.id)
    fields = {
        "series_id": one.series.id, "labels": labels, "grid": one.grid, "bones": (bone,),
        "structures": (Outlined("spinal canal", 7, coarse=True),), "searched": frozenset({"vertebra", "rib"}),
        "made_by": "test", "problems": (problem,),
    } | more  # fmt: skip
    return Anatomy(**fields)


@pytest.fixture
def asked(monkeypatch):
    """Segments every volume by a made-up skeleton and counts."""
    found = []
    monkeypatch.setattr(module, "segment", lambda one: found.append(one.series.id) or skeleton_of(one))
    return found


def test_every_chosen_volume_is_read_and_kept(asked, tmp_path):
    told = []
    first = read(PATIENT, CRITERIA, cache=tmp_path, progress=lambda *a: told.append(a))
    assert sorted(asked) == ["ct", "t1"]
    assert told == [("skeleton", 0, 2), ("skeleton", 1, 2), ("skeleton", 2, 2)]
    again = read(PATIENT, CRITERIA, cache=tmp_path)
    assert sorted(asked) == ["ct", "t1"]  # nothing was read twice
    assert again.digest == first.digest
    assert len(list(tmp_path.iterdir())) == 2


def test_a_stopped_run_goes_on_after_the_last_skeleton(asked, tmp_path, monkeypatch):
    made = module.segment

    def stopped(one):
        if one.series.id == "ct":
            raise KeyboardInterrupt
        return made(one)

    monkeypatch.setattr(module, "segment", stopped)
    with pytest.raises(KeyboardInterrupt):
        read(PATIENT, CRITERIA, cache=tmp_path)
    monkeypatch.setattr(module, "segment", made)
    read(PATIENT, CRITERIA, cache=tmp_path)
    assert asked == ["t1", "ct"]


def test_limits_of_a_skeleton_leave_no_exam_out(asked):
    found = read(PATIENT, CRITERIA)
    assert [p.severity for p in found.problems] == [Severity.INFO, Severity.INFO]


def test_without_the_runtime_a_warning_says_what_to_do(monkeypatch):
    def absent(_):
        raise ProgramError("onnxruntime is not installed", remedy="pip install 'osteotrace[anatomy]'")

    monkeypatch.setattr(module, "segment", absent)
    found = read(PATIENT, CRITERIA)
    (problem,) = found.problems
    assert found.anatomies == ()
    assert problem.severity is Severity.WARNING
    assert "vertebrae have no level: onnxruntime is not installed" in problem.found
    assert problem.remedy == "pip install 'osteotrace[anatomy]'"
    assert {n.series_id for n in found.not_read} == {"t1", "ct"}


def test_an_absent_program_that_was_asked_for_ends_the_run(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ProgramError, match="TotalSegmentator is not installed"):
        read(PATIENT, CRITERIA, source="totalsegmentator")


def test_totalsegmentator_is_run_on_each_volume(monkeypatch):
    monkeypatch.setattr(module, "run_totalsegmentator", lambda one, threads: skeleton_of(one))
    assert len(read(PATIENT, CRITERIA, source="totalsegmentator").anatomies) == 2


def test_none_asks_nobody(asked):
    found = read(PATIENT, CRITERIA, source="none")
    assert (asked, found.anatomies, found.problems) == ([], (), ())
    assert {n.reason for n in found.not_read} == {"no skeleton was asked for (--anatomy none)"}


# --- kept skeletons -------------------------------------------------------------------------------


def test_a_kept_skeleton_comes_back_as_it_was(tmp_path):
    before = skeleton_of(volume(PATIENT.volumes[0].series))
    keep.save(before, tmp_path / "new" / "x.npz")
    after = keep.load(tmp_path / "new" / "x.npz")
    assert after is not None
    assert np.array_equal(after.labels, before.labels)
    assert after.grid.same_as(before.grid)
    for name in ("series_id", "bones", "structures", "searched", "made_by", "problems"):
        assert getattr(after, name) == getattr(before, name), name
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["x.npz"]


@pytest.mark.parametrize("spoil", [lambda b: b[:200], lambda b: b"x" * len(b), lambda _: b""])
def test_a_damaged_file_is_read_anew(spoil, tmp_path):
    file = tmp_path / "x.npz"
    keep.save(skeleton_of(PATIENT.volumes[0]), file)
    file.write_bytes(spoil(file.read_bytes()))
    assert keep.load(file) is None


def test_a_pickle_is_never_opened(tmp_path):
    file = tmp_path / "x.npz"
    np.savez(file, facts=np.array([{"a": 1}], dtype=object))
    assert keep.load(file) is None


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    with pytest.raises(OutputError, match="the skeleton cannot be kept"):
        keep.save(skeleton_of(PATIENT.volumes[0]), tmp_path / "cache" / "x.npz")


def test_the_key_follows_values_place_and_maker():
    one = PATIENT.volumes[0]
    values = one.values.copy()
    values[3, 3, 3] = 1
    moved = one.grid.affine.copy()
    moved[2, 3] += 1.0
    others = [
        keep.key_of(replace(one, values=values), "a"),
        keep.key_of(replace(one, grid=Grid(one.grid.shape, moved, one.grid.frame_of_reference_uid)), "a"),
        keep.key_of(replace(one, series=replace(one.series, facts=mr_facts("T2W"))), "a"),
        keep.key_of(one, "b"),
    ]
    assert len({keep.key_of(one, "a"), *others}) == 5
    assert keep.key_of(one, "a") == keep.key_of(one, "a")


def test_labels_have_the_shape_of_their_grid():
    with pytest.raises(LatticeMismatchError, match="labels have shape"):
        LabelImage(np.zeros((2, 2, 2)), PATIENT.volumes[0].grid)


# --- files ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spine():
    labels, grid = block_spine()
    return labels, grid, images([series("ct", Grid(grid.shape, grid.affine, "1.2.3"))])


def flipped(labels, grid):
    """The same image with another order and direction of axes, as other programs write it."""
    affine = grid.affine.copy()
    affine[:3, 3] = grid.points((grid.shape[0] - 1, 0, 0))
    affine[:3, 0] *= -1
    return np.swapaxes(labels[::-1], 0, 1), Grid(
        (grid.shape[1], grid.shape[0], grid.shape[2]), affine[:, [1, 0, 2, 3]], ""
    )


def test_a_label_map_finds_its_series_whatever_its_axes(spine, tmp_path):
    labels, grid, patient = spine
    write_nifti(tmp_path / "a_totalsegmentator.nii.gz", *flipped(labels, grid))
    (anatomy,) = read(patient, CRITERIA, source=source_of(str(tmp_path))).anatomies
    assert anatomy.series_id == "ct"
    assert [b.declared_level for b in anatomy.vertebrae] == ["T11", "T12", "L1", "L2", "L3", "L4", "L5"]
    assert anatomy.grid.frame_of_reference_uid == "1.2.3"


@pytest.mark.parametrize("prefix", ["totalsegmentator_ct=", ""])
def test_the_program_is_declared_or_told_by_the_labels(prefix, spine, tmp_path):
    labels, grid, patient = spine
    file = tmp_path / "labels.nii.gz"
    write_nifti(file, labels, grid)
    (anatomy,) = read(patient, CRITERIA, source=source_of(f"{prefix}{file}")).anatomies
    assert anatomy.made_by == "totalsegmentator_ct"


def test_labels_that_several_programs_know_are_not_guessed(spine, tmp_path):
    _, grid, patient = spine
    write_nifti(tmp_path / "labels.nii.gz", np.full(grid.shape, 20, np.uint8), grid)
    with pytest.raises(DeclarationError, match=r"not clear which program made the label map.*SCHEME=labels"):
        read(patient, CRITERIA, source=source_of(str(tmp_path / "labels.nii.gz")))


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("sub-1_seg-vert_msk.nii.gz", "spineps_vertebra"),
        ("sub-1_seg-spine_msk.nii.gz", "spineps_subregion"),
        ("TotalSpineSeg_out.nii.gz", "totalspineseg"),
        ("total_mr.nii.gz", "totalsegmentator_mr"),
        ("vertebrae_mr.nii.gz", "totalsegmentator_vertebrae_mr"),
        ("CLIN_CT_ribs_seg.nii.gz", "moose_ribs"),
        ("moose_vertebrae.nii.gz", "moose_vertebrae"),
        ("verse004_seg.nii.gz", "verse"),
        ("transverse.nii.gz", ""),
    ],
)
def test_names_of_files_tell_the_program(name, scheme):
    assert _told_by(name.lower()) == scheme


def test_a_map_that_fits_nothing_is_refused_by_name(spine, tmp_path):
    labels, grid, patient = spine
    elsewhere = grid.affine.copy()
    elsewhere[2, 3] += 400.0
    write_nifti(tmp_path / "totalsegmentator.nii.gz", labels, Grid(grid.shape, elsewhere, ""))
    with pytest.raises(DeclarationError, match=r"the label map fits no series \[totalsegmentator.nii.gz\]"):
        read(patient, CRITERIA, source=source_of(str(tmp_path)))


def test_two_series_with_one_field_of_view_need_a_name(spine, tmp_path):
    labels, grid, _ = spine
    twins = images(*([series(n, Grid(grid.shape, grid.affine, f))] for n, f in (("a", "1.1"), ("b", "1.2"))))
    write_nifti(tmp_path / "totalsegmentator.nii.gz", labels, grid)
    with pytest.raises(DeclarationError, match=r"the field of view of E1-S1, E2-S1.*into the file name"):
        read(twins, CRITERIA, source=source_of(str(tmp_path)))
    (tmp_path / "totalsegmentator.nii.gz").rename(tmp_path / "totalsegmentator_E2-S1.nii.gz")
    (anatomy,) = read(twins, CRITERIA, source=source_of(str(tmp_path))).anatomies
    assert anatomy.series_id == "b"


def test_values_that_are_no_labels(spine, tmp_path):
    _, grid, patient = spine
    write_nifti(tmp_path / "totalsegmentator.nii.gz", np.full(grid.shape, 0.5, np.float32), grid)
    with pytest.raises(RegionError, match="the values are no labels"):
        read(patient, CRITERIA, source=source_of(str(tmp_path)))


def segment_named(name, inside, patient):
    mask = Mask.from_array(inside, patient.volumes[0].grid)
    return Region(name, mask, "ct", "1.5", "SEG", 1, UNKNOWN)


def test_segments_of_a_dicom_seg_become_a_skeleton(spine):
    labels, _, patient = spine
    region = segment_named("vertebrae_L2", labels == CT.label_of(structure("vertebra L2")), patient)
    found = read(patient, CRITERIA, source=LabelFiles(Path("seg.dcm")), regions=(region,))
    assert [b.declared_level for b in found.anatomies[0].vertebrae] == ["L2"]


def test_two_skeletons_for_one_series_are_refused(spine, tmp_path):
    labels, grid, patient = spine
    write_nifti(tmp_path / "totalsegmentator.nii.gz", labels, grid)
    region = segment_named("sacrum", labels > 0, patient)
    with pytest.raises(DeclarationError, match="two skeletons are given for one series"):
        read(patient, CRITERIA, source=LabelFiles(tmp_path), regions=(region,))


def test_what_is_not_there_is_said(spine, tmp_path):
    with pytest.raises(DeclarationError, match=r"no such file or folder.*builtin, totalsegmentator, none"):
        source_of("nothing.nii.gz")
    with pytest.raises(DeclarationError, match="no label scheme is called 'verso'"):
        source_of("verso=x.nii.gz")
    with pytest.raises(DeclarationError, match="no label map and no segmentation is there"):
        read(spine[2], CRITERIA, source=source_of(str(tmp_path)))
    assert source_of("none") == "none"
