"""Label maps and segments of other programs."""

from __future__ import annotations

import os
import stat

import numpy as np
import pytest

from anatomy.spine_cases import certainties_in, levels_in, numbered
from osteotrace.anatomy.adapters import (
    LabelMap,
    from_label_maps,
    from_regions,
    read_label_maps,
    run_totalsegmentator,
)
from osteotrace.anatomy.adapters.regions import structure_of_region
from osteotrace.errors import LatticeMismatchError, ProgramError, RegionError
from osteotrace.model import codes
from osteotrace.model.codes import Code
from osteotrace.model.imaging import UNKNOWN, CtFacts, Region, Series, Volume
from osteotrace.model.label_schemes import scheme, structure, translate
from osteotrace.model.values import Modality, Quantity
from osteotrace.space import Grid, Mask, read_nifti, write_nifti

FRAME = "1.2.3"
CT, VERSE, MR = scheme("totalsegmentator_ct"), scheme("verse"), scheme("totalsegmentator_mr")
LEVELS = ("L5", "L4", "L3", "L2", "L1", "T12", "T11")


def number_of(name, numbers=CT):
    return numbers.label_of(structure(name))


def block_spine(*, side=24, rib_levels=("T12", "T11")):
    """T11 to L5 as blocks in a 3 mm lattice, k upwards: bodies, spinous processes, ribs, sacrum."""
    grid = Grid((2 * side, 30, 100), np.diag([3.0, 3.0, 3.0, 1.0]), FRAME)
    labels = np.zeros(grid.shape, np.uint8)
    labels[side - 8 : side + 8, 10:18, 2:11] = number_of("sacrum")
    for n, level in enumerate(LEVELS):
        k = 13 + 12 * n
        labels[side - 7 : side + 7, 8:16, k : k + 9] = number_of(f"vertebra {level}")
        labels[side - 1 : side + 1, 16:26, k + 2 : k + 5] = number_of(f"vertebra {level}")
        if level in rib_levels:
            number = level[1:]
            labels[side + 9 : side + 16, 14:17, k + 3 : k + 5] = number_of(f"rib left {number}")
            labels[side - 16 : side - 9, 14:17, k + 3 : k + 5] = number_of(f"rib right {number}")
    labels[2:4, 2:4, 2:4] = number_of("aorta")
    return labels, grid


def made(labels, grid, numbers=CT):
    return from_label_maps([LabelMap(labels, numbers, "labels.nii.gz")], grid, series_id="ct")


# --- label maps -----------------------------------------------------------------------------------


def test_bones_of_a_label_map_are_measured():
    labels, grid = block_spine()
    anatomy = made(labels, grid)
    assert [bone.declared_level for bone in anatomy.vertebrae] == list(reversed(LEVELS))
    assert [bone.id for bone in anatomy.vertebrae] == [f"V{n}" for n in range(1, 8)]
    lowest = anatomy.vertebrae[-1]
    assert lowest.centroid_mm == pytest.approx(grid.points([23.5, 11.5, 17.0]), abs=4.0)
    assert lowest.rib == 0.01
    assert anatomy.vertebrae[1].rib == 0.99
    assert lowest.orientation is not None
    assert lowest.orientation.cranial == pytest.approx((0, 0, 1))
    assert lowest.confidence > 0.9
    assert not lowest.touches_edge
    assert [item.name for item in anatomy.called("aorta")] == ["aorta"]
    assert anatomy.called("liver") == ()
    assert {"vertebra", "sacrum", "liver", "rib left 1"} <= anatomy.searched
    assert "vertebra L5" not in anatomy.searched


def test_the_labels_of_the_record_are_those_of_its_bones():
    labels, grid = block_spine()
    anatomy = made(labels, grid)
    mask = anatomy.mask(anatomy.vertebrae[0])
    assert mask is not None
    assert (mask.on(grid) == (labels == number_of("vertebra T11"))).all()
    assert not anatomy.labels.flags.writeable


def test_declared_levels_are_numbered_and_certain_by_ribs_and_sacrum():
    labels, grid = block_spine()
    anatomy = made(labels, grid)
    numbering = numbered(anatomy)
    assert levels_in(numbering, anatomy) == tuple(reversed(LEVELS))
    assert certainties_in(numbering, anatomy) == {"certain"}


def test_a_rib_that_the_field_of_view_does_not_show_is_unknown():
    labels, grid = block_spine()
    narrow = labels[12:36]
    anatomy = made(narrow, grid.crop((12, 0, 0), (36, 30, 100)))
    assert {bone.rib for bone in anatomy.vertebrae[2:]} == {None}


@pytest.mark.parametrize(
    "name", ["totalspineseg", "moose_vertebrae", "verse", "spineps_vertebra", "totalsegmentator_vertebrae_mr"]
)
def test_the_numbers_of_each_program(name):
    labels, grid = block_spine()
    theirs, lacking = translate(labels, CT, scheme(name))
    assert "vertebra T11" not in lacking
    anatomy = made(theirs, grid, scheme(name))
    assert [bone.declared_level for bone in anatomy.vertebrae] == list(reversed(LEVELS))
    assert [bone.id for bone in anatomy.bones[7:]] == ["sacrum"]
    assert {bone.rib for bone in anatomy.vertebrae} == {None}
    assert anatomy.made_by == name


def test_ribs_in_a_file_of_their_own():
    """MOOSE writes one label map per group of bones."""
    labels, grid = block_spine()
    vertebrae, ribs = scheme("moose_vertebrae"), scheme("moose_ribs")
    maps = [LabelMap(translate(labels, CT, numbers)[0], numbers) for numbers in (vertebrae, ribs)]
    anatomy = from_label_maps(maps, grid, series_id="ct")
    assert [bone.rib for bone in anatomy.vertebrae] == [0.99, 0.99] + [0.01] * 5
    assert anatomy.called("rib left 12")
    assert anatomy.made_by == "moose_vertebrae, moose_ribs"


def test_s1_and_sacrum_are_one_bone():
    labels, grid = block_spine()
    labels[labels == number_of("sacrum")] = number_of("vertebra S1")
    anatomy = made(labels, grid)
    (sacrum,) = anatomy.called("sacrum")
    assert sacrum.id == "sacrum"
    assert len(anatomy.vertebrae) == 7


def test_bodies_of_a_second_map_give_sizes():
    labels, grid = block_spine()
    bodies = np.zeros(grid.shape, np.uint8)
    bodies[17:31, 8:16, :] = 49 * (labels[17:31, 8:16, :] > 0)
    bodies[23:25, 16:26, :] = 60
    bodies[0, 0, 0] = 42
    parts = LabelMap(bodies, scheme("spineps_subregion"))
    anatomy = from_label_maps([LabelMap(labels, CT), parts], grid, series_id="ct")
    size = anatomy.vertebrae[3].size_mm
    assert size is not None
    assert size.height_mm == pytest.approx(27.0, abs=0.1)
    assert size.width_mm == pytest.approx(42.0, abs=0.1)
    assert size.depth_mm == pytest.approx(24.0, abs=0.1)
    assert anatomy.vertebrae[3].centroid_mm == pytest.approx(grid.points([23.5, 11.5, 53.0]), abs=0.1)


def test_vertebrae_that_share_a_label_are_told_apart():
    labels, grid = block_spine(rib_levels=())
    one = np.where((labels >= 27) & (labels <= 33), number_of("vertebra", MR), 0)
    anatomy = made(one, grid, MR)
    assert len(anatomy.vertebrae) == 7
    assert {bone.declared_level for bone in anatomy.vertebrae} == {""}
    assert [problem.code for problem in anatomy.problems] == ["vertebrae-split"]


def test_a_cut_vertebra_and_a_sliver_are_less_sure():
    labels, grid = block_spine()
    cut = labels[:, :, :90]
    anatomy = made(cut, grid.crop((0, 0, 0), (48, 30, 90)))
    assert anatomy.vertebrae[0].touches_edge
    assert anatomy.vertebrae[0].confidence < 0.85 < anatomy.vertebrae[1].confidence


def test_an_unknown_label_is_named_and_left_out():
    labels, grid = block_spine()
    labels[0, 0, 0] = 200
    anatomy = made(labels, grid)
    (problem,) = anatomy.problems
    assert problem.code == "label-unknown"
    assert "label 200" in problem.found
    assert anatomy.labels[0, 0, 0] == 0


@pytest.mark.parametrize("value", [0.5, np.nan, -1.0])
def test_values_that_are_no_labels_are_refused(value):
    labels, grid = block_spine()
    wrong = labels.astype(float)
    wrong[0, 0, 0] = value
    with pytest.raises(RegionError, match="the values are no labels"):
        made(wrong, grid)


def test_a_map_of_another_program_is_refused():
    _, grid = block_spine()
    with pytest.raises(RegionError, match="none of the labels 200 is known to verse"):
        made(np.full(grid.shape, 200), grid, VERSE)


def test_an_empty_map_has_no_bones():
    _, grid = block_spine()
    anatomy = made(np.zeros(grid.shape, np.uint8), grid)
    assert anatomy.bones == ()
    assert "no-spine" in {problem.code for problem in numbered(anatomy).problems}


def test_a_second_map_on_another_lattice_is_refused(tmp_path):
    labels, grid = block_spine()
    first, second = tmp_path / "vertebrae.nii.gz", tmp_path / "parts.nii.gz"
    write_nifti(first, labels, grid)
    write_nifti(second, labels[:40], grid.crop((0, 0, 0), (40, 30, 100)))
    parts = scheme("spineps_subregion")
    with pytest.raises(LatticeMismatchError, match="different lattices"):
        read_label_maps([(first, CT), (second, parts)], series_id="ct", frame_of_reference_uid=FRAME)


# --- real label maps ------------------------------------------------------------------------------


def read(data, *maps):
    paths = [(data / "nifti" / name, scheme(numbers)) for name, numbers in maps]
    return read_label_maps(paths, series_id="s", frame_of_reference_uid=FRAME)


def test_totalsegmentator_of_a_real_ct(osteotrace_data):
    anatomy = read(
        osteotrace_data,
        ("totalsegmentator_example/example_seg_fast_force_split.nii.gz", "totalsegmentator_ct"),
    )
    numbering = numbered(anatomy)
    found = {bone.declared_level: numbering.of("s", bone.id) for bone in anatomy.vertebrae}
    whole = [found[level] for level in ("T12", "L1", "L2", "L3", "L4", "L5")]
    assert [v.level for v in whole] == ["T12", "L1", "L2", "L3", "L4", "L5"]
    assert {str(v.certainty) for v in whole} == {"certain"}
    assert str(found["T11"].certainty) != "certain"  # a sliver of it is in view
    assert anatomy.called("hip bone left")


def test_the_centre_of_a_real_vertebra_lies_in_its_body(osteotrace_data):
    folder = "totalsegmentator_example/spine_report_totalseg"
    anatomy = read(osteotrace_data, (f"{folder}.nii.gz", "totalsegmentator_ct"))
    body = read_nifti(osteotrace_data / "nifti" / f"{folder}_vertebrae_body.nii.gz", FRAME)
    for bone in anatomy.vertebrae[1:]:
        i, j, k = np.rint(anatomy.grid.indices(bone.centroid_mm)).astype(int)
        assert body.values[i, j, k] == 1


@pytest.mark.parametrize(("subject", "first"), [("s0327", "T1"), ("s0328", "T11")])
def test_totalsegmentator_of_two_bodies(osteotrace_data, subject, first):
    name = f"ct_totalsegmentator_subjects/{subject}_labels117.nii.gz"
    anatomy = read(osteotrace_data, (name, "totalsegmentator_ct"))
    numbering = numbered(anatomy)
    bones = list(anatomy.vertebrae)
    start = [bone.declared_level for bone in bones].index(first)
    for bone in bones[start:]:
        vertebra = numbering.of("s", bone.id)
        assert (vertebra.level, str(vertebra.certainty)) == (bone.declared_level, "certain")


def test_a_stray_piece_is_not_taken_for_a_vertebra(osteotrace_data):
    """Label T9 of this subject is a small piece beside T10."""
    anatomy = read(
        osteotrace_data, ("ct_totalsegmentator_subjects/s0328_labels117.nii.gz", "totalsegmentator_ct")
    )
    numbering = numbered(anatomy)
    stray = next(bone for bone in anatomy.vertebrae if bone.declared_level == "T9")
    assert numbering.of("s", stray.id).level is None
    assert "level-contradiction" in {problem.code for problem in numbering.problems}


def test_spineps_patch_without_landmark_is_uncertain(osteotrace_data):
    folder = "tptbox_samples/ct/sub-ct_seg"
    anatomy = read(
        osteotrace_data,
        (f"{folder}-vert_label-22_msk.nii.gz", "spineps_vertebra"),
        (f"{folder}-subreg_label-22_msk.nii.gz", "spineps_subregion"),
    )
    assert [bone.declared_level for bone in anatomy.vertebrae] == ["L2", "L3", "L4"]
    assert anatomy.vertebrae[1].size_mm is not None
    numbering = numbered(anatomy)
    assert levels_in(numbering, anatomy) == ("L2", "L3", "L4")
    assert certainties_in(numbering, anatomy) == {"uncertain"}


def test_levels_that_the_sizes_contradict_are_reported(osteotrace_data):
    """The labels 5 to 7 of this patch would be cervical, but its bodies are 46 mm wide and 30 mm apart."""
    folder = "tptbox_samples/mri/sub-mri_seg"
    anatomy = read(
        osteotrace_data,
        (f"{folder}-vert_label-6_msk.nii.gz", "spineps_vertebra"),
        (f"{folder}-subreg_label-6_msk.nii.gz", "spineps_subregion"),
    )
    numbering = numbered(anatomy)
    assert "level-contradiction" in {problem.code for problem in numbering.problems}
    assert not certainties_in(numbering, anatomy) & {"certain", "probable"}


def test_verse_mask_without_ribs(osteotrace_data):
    anatomy = read(osteotrace_data, ("verse004_mask/sub-verse004_seg-vert_msk.nii.gz", "verse"))
    numbering = numbered(anatomy)
    assert levels_in(numbering, anatomy) == ("T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5")
    assert "certain" not in certainties_in(numbering, anatomy)
    assert {bone.rib for bone in anatomy.vertebrae} == {None}


# --- segments -------------------------------------------------------------------------------------


def region(name, mask=None, type_code=None, number=1):
    grid = Grid((4, 4, 4), np.eye(4), FRAME)
    inside = np.zeros((4, 4, 4), bool)
    inside[1, 1, number % 4] = True
    return Region(
        name, mask or Mask.from_array(inside, grid), "ct", "1.2.3.4", "SEG", number, UNKNOWN, type=type_code
    )


@pytest.mark.parametrize(
    ("name", "code", "expected"),
    [
        ("anything", codes.VERTEBRAE["T11"], "vertebra T11"),
        ("vertebrae_T11", None, "vertebra T11"),
        ("Vertebra L5", None, "vertebra L5"),
        ("L6 vertebra", codes.VERTEBRA, "vertebra L6"),
        ("a vertebra", codes.VERTEBRA, "vertebra"),
        ("rib_left_7", None, "rib left 7"),
        ("sacrum", None, "sacrum"),
        ("hip_right", None, "hip bone right"),
        ("right kidney", codes.ANATOMY["kidney"], "kidney right"),
        ("Aorta", Code("1", "99XYZ", "own"), "aorta"),
        ("tumour", None, None),
        ("vertebrae", None, None),
    ],
)
def test_what_a_segment_is(name, code, expected):
    found = structure_of_region(region(name, type_code=code))
    assert (found.name if found else None) == expected


def test_segments_become_an_anatomy():
    labels, grid = block_spine()
    regions = [
        region(
            f"vertebrae_{level}", Mask.from_array(labels == number_of(f"vertebra {level}"), grid), number=n
        )
        for n, level in enumerate(LEVELS, 1)
    ]
    tumour = region("tumour", Mask.from_array(labels == number_of("aorta"), grid), number=99)
    anatomy = from_regions([*regions, tumour], grid, series_id="ct")
    assert [bone.declared_level for bone in anatomy.vertebrae] == list(reversed(LEVELS))
    assert anatomy.searched == {"vertebra"}
    assert anatomy.made_by == "SEG 1.2.3.4"
    assert "tumour" in anatomy.problems[0].found


def test_segments_without_bones_are_refused():
    with pytest.raises(RegionError, match="no segment is a bone"):
        from_regions([region("tumour")], Grid((4, 4, 4), np.eye(4), FRAME), series_id="ct")
    with pytest.raises(RegionError, match="no segment is a bone"):
        from_regions([], Grid((4, 4, 4), np.eye(4), FRAME), series_id="ct")


# --- TotalSegmentator -----------------------------------------------------------------------------


def volume(modality=Modality.CT):
    labels, grid = block_spine()
    series = Series(
        "ct", "1.2", "1.3", "1.4", modality, "CT", "", UNKNOWN, None, Quantity.HU, "1", grid, CtFacts(), 1
    )
    return Volume(labels.astype(np.int16), grid, series)


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A program of that name on the path: it copies its input, as if that were the labels."""

    def installed(script='[ "$7" = total ] && cp "$2" "$4"', weights=(291, 292, 293, 294, 295)):
        folder = tmp_path / "bin"
        folder.mkdir()
        path = folder / "TotalSegmentator"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        for n in weights:
            (tmp_path / "home" / "nnunet" / "results" / f"Dataset{n}_x").mkdir(parents=True)
        monkeypatch.delenv("TOTALSEG_WEIGHTS_PATH", raising=False)
        monkeypatch.setenv("TOTALSEG_HOME_DIR", str(tmp_path / "home"))

    return installed


def test_totalsegmentator_is_run(program):
    program()
    anatomy = run_totalsegmentator(volume(), threads=2)
    assert [bone.declared_level for bone in anatomy.vertebrae] == list(reversed(LEVELS))
    assert anatomy.series_id == "ct"
    assert anatomy.grid.frame_of_reference_uid == FRAME


def test_absent_program_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProgramError, match=r"is not installed.*do: pip install TotalSegmentator"):
        run_totalsegmentator(volume())


def test_absent_weights_are_said(program, tmp_path, monkeypatch):
    program(weights=(291, 292))
    with pytest.raises(ProgramError, match=r"weights 293, 294, 295 for total are absent.*weights -t total"):
        run_totalsegmentator(volume())
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path))
    with pytest.raises(ProgramError, match=r"weights 756 for vertebrae_mr are absent"):
        run_totalsegmentator(volume(Modality.MR))
    monkeypatch.delenv("TOTALSEG_WEIGHTS_PATH")
    monkeypatch.delenv("TOTALSEG_HOME_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ProgramError, match="are absent"):
        run_totalsegmentator(volume())


def test_a_failure_is_told_in_the_programs_words(program):
    program("echo out of memory >&2; exit 3")
    with pytest.raises(ProgramError, match=r"ended with code 3: out of memory"):
        run_totalsegmentator(volume())


def test_other_images_are_not_for_it():
    with pytest.raises(ProgramError, match="no task for PT images"):
        run_totalsegmentator(volume(Modality.PT))
