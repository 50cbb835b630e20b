"""The record of a skeleton and of its numbering."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter

from osteotrace.errors import LatticeMismatchError, RegionError
from osteotrace.model.anatomy import (
    Anatomy,
    Bone,
    BoneRef,
    Certainty,
    NumberedVertebra,
    Numbering,
    Outlined,
    Possible,
    SpineCount,
)
from osteotrace.model.problem import Problem
from osteotrace.model.values import Severity
from osteotrace.space import Grid

GRID = Grid((3, 3, 3), np.eye(4), "1.2.3")
BONES = (
    Bone("V1", "vertebra", 1, (0.0, 0.0, 2.0), 0.9, False),
    Bone("sacrum", "sacrum", 2, (0.0, 0.0, 0.0), 0.9, True),
)
CANAL = Outlined("spinal canal", 3, coarse=True)


def anatomy(labels=None, bones=BONES, structures=(CANAL,)):
    values = np.zeros((3, 3, 3), np.int64) if labels is None else labels
    return Anatomy("ct", values, GRID, bones, structures, frozenset({"vertebra", "sacrum"}), "test 1")


def test_labels_are_kept_small_and_read_only():
    record = anatomy()
    assert record.labels.dtype == np.uint16
    with pytest.raises(ValueError, match="read-only"):
        record.labels[0, 0, 0] = 1


def test_the_sacrum_is_no_vertebra():
    assert [bone.id for bone in anatomy().vertebrae] == ["V1"]


def test_what_is_called_something():
    assert anatomy().called("spinal canal") == (CANAL,)
    assert anatomy().called("sacrum") == (BONES[1],)
    assert anatomy().called("liver") == ()


def test_mask_of_a_bone():
    labels = np.zeros((3, 3, 3), np.uint16)
    labels[1, 1, 2] = 1
    mask = anatomy(labels).mask(BONES[0])
    assert mask is not None
    assert mask.n_voxels == 1
    assert mask.centroid == pytest.approx([1, 1, 2])
    assert anatomy(labels).mask(CANAL) is None


def test_labels_of_another_size_are_refused():
    with pytest.raises(LatticeMismatchError, match=r"labels have shape \(2, 3, 3\)"):
        anatomy(np.zeros((2, 3, 3), np.uint16))


def test_two_bones_with_one_name_or_label_are_refused():
    with pytest.raises(RegionError, match="two structures have the id V1"):
        anatomy(bones=(BONES[0], BONES[0]))
    with pytest.raises(RegionError, match="two structures have the label 1"):
        anatomy(structures=(Outlined("aorta", 1),))


def test_a_vertebra_knows_its_level_its_number_and_what_else_it_could_be():
    refs = (BoneRef("ct", "V1"), BoneRef("mr", "V3"))
    likely = (Possible("T12", 0.9), Possible("L1", 0.1))
    vertebra = NumberedVertebra(refs, likely, Certainty.CERTAIN, ("seen: last rib",))
    assert (vertebra.level, vertebra.verse, vertebra.probability) == ("T12", 19, 0.9)
    assert vertebra.alternatives == likely[1:]
    numbering = Numbering((vertebra,))
    assert numbering.of("mr", "V3") is vertebra
    assert numbering.of("mr", "V1") is None


def test_a_block_has_the_level_of_its_upper_vertebra():
    block = NumberedVertebra((), (Possible("L2+L3", 0.9),), Certainty.PROBABLE, ())
    assert (block.level, block.verse) == ("L2", 21)


def test_a_numbering_crosses_the_border_to_json():
    vertebra = NumberedVertebra(
        (BoneRef("ct", "V1"),), (Possible("T13", 0.8),), Certainty.PROBABLE, ("seen: sacrum",), overruled=True
    )
    numbering = Numbering((vertebra,), (SpineCount(13, 5, 0.8),), (Problem(Severity.INFO, "a", "b"),))
    adapter = TypeAdapter(Numbering)
    assert adapter.validate_json(adapter.dump_json(numbering)) == numbering
