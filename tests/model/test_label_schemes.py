"""Label numbers mean what their programs say, and nothing is lost in silence when they are translated."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osteotrace.errors import DeclarationError, RegionError
from osteotrace.model import codes
from osteotrace.model.label_schemes import (
    USUAL,
    VERTEBRAE,
    LabelScheme,
    cranial_to_caudal,
    disc_below,
    level_of_verse,
    neighbours,
    scheme,
    schemes,
    structure,
    structure_of_codes,
    structures,
    translate,
    verse_number,
)
from osteotrace.space import read_nifti

FRAME = "1.2.3"

any_scheme = st.sampled_from(sorted(schemes())).map(scheme)

SIZES = {
    "verse": 28,
    "totalsegmentator_ct": 117,
    "totalsegmentator_mr": 50,
    "totalsegmentator_vertebrae_mr": 25,
    "totalspineseg": 51,
    "spineps_vertebra": 77,
    "spineps_subregion": 14,
    "moose_vertebrae": 28,
    "moose_ribs": 27,
    "moose_peripheral_bones": 31,
    "moose_muscles": 10,
    "moose_organs": 19,
}
GOLDEN = [
    ("verse", 18, "vertebra T11"),
    ("verse", 25, "vertebra L6"),
    ("verse", 26, "sacrum"),
    ("verse", 28, "vertebra T13"),
    ("totalsegmentator_ct", 26, "vertebra S1"),
    ("totalsegmentator_ct", 33, "vertebra T11"),
    ("totalsegmentator_ct", 50, "vertebra C1"),
    ("totalsegmentator_ct", 78, "hip bone right"),
    ("totalsegmentator_ct", 98, "rib left 7"),
    ("totalsegmentator_ct", 13, "middle lobe of right lung"),
    ("totalsegmentator_mr", 19, "vertebra"),
    ("totalsegmentator_mr", 21, "spinal cord"),
    ("totalsegmentator_mr", 46, "back muscles left"),
    ("totalsegmentator_vertebrae_mr", 2, "vertebra L5"),
    ("totalsegmentator_vertebrae_mr", 25, "vertebra C1"),
    ("totalspineseg", 2, "spinal canal"),
    ("totalspineseg", 31, "vertebra T11"),
    ("totalspineseg", 46, "vertebra L6"),
    ("totalspineseg", 71, "disc C7-T1"),
    ("totalspineseg", 91, "disc T12-L1"),
    ("totalspineseg", 100, "disc L5-S1"),
    ("spineps_vertebra", 18, "vertebra T11"),
    ("spineps_vertebra", 123, "disc L4-L5"),
    ("spineps_vertebra", 218, "endplates T11"),
    ("spineps_subregion", 43, "transverse process left"),
    ("spineps_subregion", 49, "vertebral body"),
    ("moose_vertebrae", 28, "sacrum"),
    ("moose_vertebrae", 26, "hip bone left"),
    ("moose_ribs", 14, "rib right 1"),
    ("moose_ribs", 26, "rib right 13"),
    ("moose_peripheral_bones", 12, "humerus right"),
    ("moose_muscles", 9, "iliopsoas left"),
    ("moose_organs", 8, "liver"),
]


@pytest.mark.parametrize(("name", "label", "expected"), GOLDEN)
def test_golden_labels(name: str, label: int, expected: str):
    assert scheme(name).structure_of(label) == structure(expected)


def test_schemes_have_all_their_classes():
    assert {name: len(item.labels) for name, item in schemes().items()} == SIZES
    assert all(item.source for item in schemes().values())


@given(any_scheme, st.integers(0, 300))
def test_a_label_comes_back_from_its_structure(item: LabelScheme, label: int):
    found = item.structure_of(label)
    if found is not None:
        assert label != 0
        assert item.label_of(found) == label


@given(any_scheme, st.sampled_from(sorted(structures())))
def test_a_structure_comes_back_from_its_label(item: LabelScheme, name: str):
    label = item.label_of(structure(name))
    if label is not None and structure(name) not in item.aliases:
        assert item.structure_of(label) == structure(name)


@pytest.mark.parametrize("item", schemes().values(), ids=schemes())
def test_every_label_of_a_scheme_means_one_structure(item: LabelScheme):
    assert [label for label, found in item.labels.items() if item.label_of(found) != label] == []
    assert len({found.name for found in item.labels.values()}) == len(item.labels)
    assert set(item.aliases.values()) <= set(item.labels)


@given(any_scheme, any_scheme, st.lists(st.integers(0, 300), min_size=1, max_size=60))
def test_translation_and_back_loses_only_what_it_names(
    source: LabelScheme, target: LabelScheme, values: list[int]
):
    labels = np.array(values, dtype=np.int32)
    there, lacking = translate(labels, source, target)
    back, lost = translate(there, target, source)
    assert lost == ()
    kept = there != 0
    np.testing.assert_array_equal(back[kept], labels[kept])
    names = source.structures_in(values)
    dropped = {int(label) for label in labels[~kept]} - {0}
    assert len(lacking) == len(dropped)
    assert set(lacking) == {
        names[label].name if label in names else f"label {label} of {source.name}" for label in dropped
    }


@given(any_scheme, st.lists(st.integers(0, 300), min_size=1))
def test_translation_into_itself_changes_nothing_known(item: LabelScheme, values: list[int]):
    labels = np.array([label for label in values if label in item.labels or label == 0] + [0])
    same, lacking = translate(labels, item, item)
    assert lacking == ()
    np.testing.assert_array_equal(same, labels)


def test_translation_names_what_the_target_lacks():
    labels = np.zeros((2, 3, 4), dtype=np.uint8)
    labels[0, 0, 0], labels[0, 0, 1], labels[1, 2, 3], labels[1, 1, 1] = 33, 26, 5, 200
    verse, lacking = translate(labels, scheme("totalsegmentator_ct"), scheme("verse"))
    assert lacking == ("liver", "vertebra S1", "label 200 of totalsegmentator_ct")
    assert verse.dtype == np.uint16
    assert verse[0, 0, 0] == 18
    assert np.count_nonzero(verse) == 1


def test_translation_keeps_memory_order_and_accepts_any_shape():
    labels = np.asfortranarray(np.full((3, 4, 5), 18, dtype=np.int16))
    verse, _ = translate(labels, scheme("totalspineseg"), scheme("verse"))
    assert verse.flags.f_contiguous
    empty, lacking = translate(np.zeros((0, 3), dtype=np.uint8), scheme("verse"), scheme("verse"))
    assert empty.shape == (0, 3)
    assert lacking == ()


def test_labels_that_are_no_whole_numbers_are_refused():
    with pytest.raises(RegionError, match=r"label values are float64 \[verse\]; expected: whole numbers"):
        translate(np.zeros((2, 2)), scheme("verse"), scheme("verse"))  # type: ignore[arg-type]


def test_negative_labels_are_named():
    _, lacking = translate(np.array([-3, 0]), scheme("verse"), scheme("verse"))
    assert lacking == ("label -3 of verse",)


def test_the_disc_under_t12_has_another_name_where_there_is_a_t13():
    spineps, spine = scheme("spineps_vertebra"), scheme("totalspineseg")
    usual, none = translate(np.array([19, 119, 20]), spineps, spine)
    assert none == ()
    assert usual.tolist() == [32, 91, 41]
    variant, lacking = translate(np.array([19, 119, 28, 128, 20]), spineps, spine)
    assert variant.tolist() == [32, 0, 0, 0, 41]
    assert lacking == ("vertebra T13", "disc T12-T13", "disc T13-L1")
    assert spineps.label_of(structure("disc T12-T13")) == 119


def test_the_disc_under_l5_has_another_name_where_there_is_an_l6():
    names = {
        label: item.name
        for label, item in scheme("spineps_vertebra").structures_in([24, 124, 25, 125]).items()
    }
    assert names == {24: "vertebra L5", 124: "disc L5-L6", 25: "vertebra L6", 125: "disc L6-S1"}


# Vertebrae ------------------------------------------------------------------------------------------


def test_verse_numbers():
    assert [verse_number(level) for level in ("C1", "C7", "T1", "T12", "L1", "L5", "L6", "T13")] == [
        1, 7, 8, 19, 20, 24, 25, 28,
    ]  # fmt: skip
    for level in VERTEBRAE:
        if level[0] != "S":
            assert level_of_verse(verse_number(level)) == level
            assert scheme("verse").structure_of(verse_number(level)) == structure(f"vertebra {level}")
    assert [level_of_verse(number) for number in (0, 26, 27, 29)] == [None] * 4


@pytest.mark.parametrize("level", ["S1", "T14", "", "t11"])
def test_levels_without_verse_number_are_refused(level: str):
    with pytest.raises(DeclarationError, match=rf"no number for a vertebra '{level}'; expected: C1 to C7"):
        verse_number(level)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("C1", (None, "C2")),
        ("T12", ("T11", "L1")),
        ("T13", ("T12", "L1")),
        ("L1", ("T12", "L2")),
        ("L5", ("L4", "S1")),
        ("L6", ("L5", "S1")),
        ("S5", ("S4", None)),
    ],
)
def test_neighbours_in_a_usual_spine(level: str, expected: tuple[str | None, str | None]):
    assert neighbours(level) == expected


def test_neighbours_in_unusual_spines():
    assert neighbours("T12", {*USUAL, "T13"}) == ("T11", "T13")
    assert neighbours("L1", {*USUAL, "T13"}) == ("T13", "L2")
    assert neighbours("L1", set(USUAL) - {"T12"}) == ("T11", "L2")
    assert neighbours("L5", {*USUAL, "L6"}) == ("L4", "L6")


def test_discs():
    named = {level: disc_below(level) for level in ("C2", "T12", "L5", "L6")}
    assert {level: item.name for level, item in named.items() if item} == {
        "C2": "disc C2-C3",
        "T12": "disc T12-L1",
        "L5": "disc L5-S1",
        "L6": "disc L6-S1",
    }
    assert disc_below("C1") is None
    assert disc_below("S1") is None
    variant = disc_below("L5", {*USUAL, "L6"})
    assert variant is not None
    assert variant.name == "disc L5-L6"


@given(st.lists(st.sampled_from(VERTEBRAE)))
def test_levels_are_sorted_from_head_to_tail(levels: list[str]):
    row = cranial_to_caudal(levels)
    assert set(row) == set(levels)
    assert list(row) == sorted(row, key=VERTEBRAE.index)
    for upper, lower in itertools.pairwise(row):
        assert neighbours(upper, row)[1] == lower
        assert neighbours(lower, row)[0] == upper


def test_unknown_names_are_refused_with_the_closest():
    with pytest.raises(DeclarationError, match=r"no vertebra is called 'T14'; expected: one of .*T1"):
        neighbours("T14")
    with pytest.raises(
        DeclarationError, match=r"no structure is called 'hip left'; expected: one of hip bone left"
    ):
        structure("hip left")
    with pytest.raises(
        DeclarationError, match=r"no label scheme is called 'totalsegmentator'.*totalsegmentator_ct"
    ):
        scheme("totalsegmentator")


# SNOMED CT ------------------------------------------------------------------------------------------

CODELESS = (
    "intervertebral disc",
    "vertebral endplate",
    "kidney cyst",
    "endplates",
    "disc T",
    "disc L",
    "vertebra S",
)


def test_every_structure_has_a_code_or_is_known_to_have_none():
    missing = [name for name, item in structures().items() if item.code is None]
    assert [name for name in missing if not name.startswith(CODELESS)] == []
    with_code = [name for name in missing if name.startswith(("disc", "vertebra S"))]
    assert sorted(with_code) == [
        "disc L5-L6", "disc L6-S1", "disc T12-T13", "disc T13-L1",
        "vertebra S2", "vertebra S3", "vertebra S4", "vertebra S5",
    ]  # fmt: skip


@pytest.mark.parametrize("name", sorted(structures()))
def test_a_structure_comes_back_from_its_codes(name: str):
    item = structure(name)
    if item.code is None:
        return
    side = (item.laterality.value, item.laterality.scheme) if item.laterality else None
    found = structure_of_codes((item.code.value, item.code.scheme), side)
    if name in ("vertebra T13", "vertebra L6"):
        assert found == structure("vertebra")
    elif item.code == codes.RIB:
        assert found == structure(f"rib {item.side}")
    else:
        assert found == item


def test_a_paired_structure_without_side_is_not_guessed():
    assert structure_of_codes(("71341001", "SCT")) is None
    assert structure_of_codes(("71341001", "SCT"), ("7771000", "SCT")) == structure("femur left")
    assert structure_of_codes(("1", "SCT")) is None


def test_bones():
    assert structure("hip bone left").is_bone
    assert structure("vertebra T11").is_bone
    assert structure("rib right 3").is_bone
    assert not structure("disc L4-L5").is_bone
    assert not structure("spinal canal").is_bone
    assert structure("rib right 3").laterality == codes.RIGHT


# Real masks -----------------------------------------------------------------------------------------


def test_names_of_a_real_totalsegmentator_mask(osteotrace_data: Path):
    folder = osteotrace_data / "nifti" / "ct_totalsegmentator_subjects"
    theirs = json.loads((folder / "s0327_labels117.json").read_text("utf-8"))["labels"]
    renamed = {
        "hip": "hip bone",
        "clavicula": "clavicle",
        "autochthon": "back muscles",
        "iliac vena": "common iliac vein",
    }
    ours = scheme("totalsegmentator_ct")
    for label, name in theirs.items():
        item = ours.structure_of(int(label))
        assert item is not None
        for side in ("left", "right"):
            assert (side in name) == (side in item.name), name
        level = name.rsplit("_", 1)[-1]
        if name.startswith(("vertebrae", "rib")):
            assert item.level == level
        else:
            word = name.replace("_", " ").removesuffix(" left").removesuffix(" right")
            words = set(renamed.get(word, word).replace(" gland", "").split())
            assert words & set(item.name.split()), name
    assert len(theirs) == len(ours.labels)


def test_discs_of_a_real_spineps_mask_lie_under_their_vertebra(osteotrace_data: Path):
    path = osteotrace_data / "nifti" / "tptbox_samples" / "mri" / "sub-mri_seg-vert_label-6_msk.nii.gz"
    image = read_nifti(path, FRAME)
    values = np.asarray(image.values).astype(int)
    heights = {}
    for label, item in scheme("spineps_vertebra").structures_in(np.unique(values).tolist()).items():
        centre = np.append(np.argwhere(values == label).mean(axis=0), 1.0)
        heights[item.name] = float((image.grid.affine @ centre)[2])
    assert heights["vertebra C5"] > heights["disc C5-C6"] > heights["vertebra C6"]
    assert heights["vertebra C6"] > heights["disc C6-C7"] > heights["vertebra C7"]
    assert {"endplates C5", "endplates C6"} <= set(heights)


def test_a_real_verse_mask_runs_from_head_to_tail(osteotrace_data: Path):
    image = read_nifti(
        osteotrace_data / "nifti" / "verse004_mask" / "sub-verse004_seg-vert_msk.nii.gz", FRAME
    )
    values = np.asarray(image.values).astype(int)
    found = scheme("verse").structures_in(np.unique(values).tolist())
    levels = [item.level for item in found.values()]
    assert levels == ["T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5"]
    heights = [
        float((image.grid.affine @ np.append(np.argwhere(values == label).mean(axis=0), 1.0))[2])
        for label in found
    ]
    assert heights == sorted(heights, reverse=True)
