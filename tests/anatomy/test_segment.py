import numpy as np
import pytest

from anatomy.fake_network import SHAPE, box, canonical, mr_volume, network_with, spine
from osteotrace.anatomy import mr, segment
from osteotrace.anatomy.mr_structures import CANAL, DISC
from osteotrace.anatomy.row import longest_row
from osteotrace.anatomy.segment import segment_mr
from osteotrace.anatomy.settings import packaged_settings
from osteotrace.model.values import Modality
from osteotrace.space import Grid

GRID = canonical()


def textured():
    return np.random.default_rng(0).uniform(80, 100, SHAPE).astype(np.float32)


def seen(**more):
    body, core, discs = spine()
    canal = box((5, 50, 9), (125, 60, 15))
    return {"body": body * 0.95, "core": core * 0.95, "disc": discs, "canal": canal} | more


def test_bodies_are_numbered_from_head_to_tail_and_outlined():
    anatomy = segment_mr(mr_volume(textured(), GRID), network_with(**seen()))
    assert [b.id for b in anatomy.bones] == ["V1", "V2", "V3", "V4"]
    assert [b.name for b in anatomy.vertebrae] == ["vertebra"] * 4
    heights = [b.centroid_mm[2] for b in anatomy.bones]
    assert heights == sorted(heights, reverse=True)
    truth, labels = spine()[0] > 0, np.isin(anatomy.labels, (1, 2, 3, 4))
    assert 2 * (truth & labels).sum() / (truth.sum() + labels.sum()) > 0.95
    assert not anatomy.problems


def test_sizes_and_orientation_of_a_box():
    bone = segment_mr(mr_volume(textured(), GRID), network_with(**seen())).bones[1]
    assert bone.size_mm.height_mm == pytest.approx(22 * 1.25, abs=2.6)
    assert bone.size_mm.depth_mm == pytest.approx(28 * 1.25, abs=3.0)
    assert bone.size_mm.width_mm == pytest.approx(14 * 2.5, abs=5.1)
    assert np.allclose(bone.orientation.cranial, (0, 0, 1), atol=0.05)
    assert np.allclose(bone.orientation.upper_endplate, (0, 0, 1), atol=0.1)
    assert np.allclose(bone.orientation.lower_endplate, (0, 0, 1), atol=0.1)
    assert not bone.touches_edge
    assert bone.confidence > 0.9


def test_discs_and_canal_are_coarse_structures_where_no_body_is():
    anatomy = segment_mr(mr_volume(textured(), GRID), network_with(**seen()))
    assert {s.name: (s.label, s.coarse) for s in anatomy.structures} == {
        "spinal canal": (CANAL, True),
        "intervertebral disc": (DISC, True),
    }
    assert (anatomy.labels == DISC).sum() > 1000


def test_s1_is_the_sacrum_and_ends_the_row():
    s1 = box((70, 20, 5), (92, 48, 19))
    anatomy = segment_mr(mr_volume(textured(), GRID), network_with(**seen(s1=s1)))
    assert [b.name for b in anatomy.bones] == ["vertebra", "vertebra", "sacrum"]
    assert anatomy.bones[-1].id == "sacrum"


def test_a_vertebra_that_may_be_s1_is_trusted_less():
    s1 = box((100, 20, 5), (122, 48, 19)) * 0.3
    *others, last = segment_mr(mr_volume(textured(), GRID), network_with(**seen(s1=s1))).bones
    assert last.name == "vertebra"
    assert 0.3 < last.confidence < 0.6 < min(b.confidence for b in others)


def test_what_lies_beside_the_row_is_no_vertebra():
    drawn = seen()
    drawn["body"] = np.maximum(drawn["body"], box((60, 60, 0), (80, 80, 4)) * 0.95)
    drawn["core"] = np.maximum(drawn["core"], box((64, 64, 0), (76, 76, 4)) * 0.95)
    assert len(segment_mr(mr_volume(textured(), GRID), network_with(**drawn)).bones) == 4


def test_a_body_with_two_cores_is_one_body():
    drawn = seen()
    drawn["core"][50:52] = 0
    assert len(segment_mr(mr_volume(textured(), GRID), network_with(**drawn)).bones) == 4


def test_touching_bodies_are_two():
    body, core, _ = spine(tops=(10, 32, 54, 76))
    network = network_with(**(seen() | {"body": body, "core": core}))
    assert len(segment_mr(mr_volume(textured(), GRID), network).bones) == 4


def test_a_body_at_the_end_of_the_volume_is_cut_and_not_measured():
    body, core, _ = spine(tops=(0, 30, 60, 90))
    network = network_with(**(seen() | {"body": body, "core": core}))
    first = segment_mr(mr_volume(textured(), GRID), network).bones[0]
    assert first.touches_edge
    assert first.size_mm is None


def test_a_dark_lesion_at_the_border_belongs_to_the_body():
    values = textured()
    body = spine()[0] > 0
    values[10:12][body[10:12]] = 5.0
    values[48:53, 32:37, 10:14] = 5.0
    dark = segment_mr(mr_volume(values, GRID), network_with(**seen()))
    bright = segment_mr(mr_volume(textured(), GRID), network_with(**seen()))
    np.testing.assert_array_equal(dark.labels, bright.labels)


def test_a_spine_that_faces_backwards_is_named_and_not_labelled():
    canal = box((5, 4, 9), (125, 16, 15))
    anatomy = segment_mr(mr_volume(textured(), GRID), network_with(**seen(canal=canal)))
    assert [p.code for p in anatomy.problems] == ["faces-backwards"]
    assert not anatomy.bones
    assert not anatomy.labels.any()


def test_a_spine_that_does_not_stand_upright_is_named_and_not_labelled():
    body = spine()[0]
    unsure = np.where(body > 0, 0.7, 0.0).astype(np.float32)
    anatomy = segment_mr(mr_volume(textured(), GRID), network_with(**seen(upright=unsure)))
    assert [p.code for p in anatomy.problems] == ["upside-down"]
    assert "0.70 upright" in anatomy.problems[0].found
    assert not anatomy.bones
    assert not anatomy.labels.any()


def test_whether_a_spine_stands_upright_is_asked_of_its_bodies_alone():
    upright = (spine()[0] > 0).astype(np.float32)
    assert len(segment_mr(mr_volume(textured(), GRID), network_with(**seen(upright=upright))).bones) == 4


def test_small_bodies_are_not_asked_whether_they_stand_upright():
    body = sum(box((t, 30, 9), (t + 12, 42, 15)) for t in (10, 30, 50, 70))  # 3 mL each
    core = sum(box((t + 3, 33, 10), (t + 9, 39, 14)) for t in (10, 30, 50, 70))
    network = network_with(**seen(body=body, core=core, upright=np.zeros(SHAPE, np.float32)))
    assert len(segment_mr(mr_volume(textured(), GRID), network).bones) == 4


def test_one_body_is_no_spine():
    body, core, _ = spine(tops=(50,))
    network = network_with(**(seen() | {"body": body, "core": core}))
    assert [p.code for p in segment_mr(mr_volume(textured(), GRID), network).problems] == ["no-spine-found"]


def test_an_empty_image_is_no_spine():
    for values in (np.zeros(SHAPE, np.float32), np.full(SHAPE, np.nan, np.float32)):
        found = segment_mr(mr_volume(values, GRID), network_with(**seen()))
        assert [p.code for p in found.problems] == ["no-spine-found"]


def test_noise_holds_no_spine_for_the_embedded_network():
    values = np.random.default_rng(5).gamma(2.0, 40.0, (60, 60, 24)).astype(np.float32)
    anatomy = segment(mr_volume(values, canonical((60, 60, 24), (1.5, 1.5, 3.0))))
    assert [p.code for p in anatomy.problems] == ["no-spine-found"]
    assert not anatomy.bones


def axial(slices, thick):
    return Grid((64, 64, slices), np.diag([3.0, 3.0, thick, 1.0]), "1")


def test_thick_axial_slices_are_refused_by_name():
    grid = axial(20, 8.0)
    anatomy = segment(mr_volume(np.ones(grid.shape, np.float32), grid))
    assert [p.code for p in anatomy.problems] == ["slices-not-sagittal"]
    assert not anatomy.searched


def test_three_slices_are_refused_by_name():
    grid = canonical((64, 64, 3), (1.0, 1.0, 4.0))
    assert segment(mr_volume(np.ones(grid.shape, np.float32), grid)).problems[0].code == "too-few-slices"


def test_other_modalities_are_not_searched():
    grid = axial(20, 3.0)
    anatomy = segment(mr_volume(np.ones(grid.shape, np.float32), grid, Modality.PT))
    assert anatomy.problems[0].code == "not-searched"


@pytest.mark.parametrize(
    ("grid", "sagittal"),
    [(canonical((64, 64, 20), (1.0, 1.0, 4.0)), True), (axial(40, 1.0), True), (axial(40, 6.0), False)],
)
def test_thick_slices_have_to_be_sagittal(grid, sagittal):
    assert mr.slices_are_sagittal(grid, packaged_settings()) is sagittal


def test_an_empty_row():
    shape = (4, 4, 4)
    empty = np.zeros(shape, np.int32)
    assert longest_row(empty, empty > 0, canonical(shape), packaged_settings()) == []


def test_a_body_much_taller_than_the_others_is_doubted_by_name():
    body, core, _ = spine(tops=(4, 24, 88, 108), height=16)
    body = np.maximum(body, box((44, 20, 5), (84, 48, 19)))
    core = np.maximum(core, box((50, 27, 8), (78, 41, 16)))
    network = network_with(**(seen() | {"body": body * 0.95, "core": core}))
    anatomy = segment_mr(mr_volume(textured(), GRID), network)
    assert len(anatomy.bones) == 5
    assert [p.code for p in anatomy.problems] == ["vertebrae-not-told-apart"]
    assert "V3" in anatomy.problems[0].found
    assert anatomy.bones[2].confidence < 0.4 < anatomy.bones[1].confidence


def test_two_bodies_whose_cores_touch_are_parted_where_the_network_is_less_sure():
    drawn = seen()
    drawn["body"] = np.maximum(drawn["body"], box((62, 20, 5), (70, 48, 19)) * 0.95)
    drawn["core"] = np.maximum(drawn["core"], box((46, 30, 8), (86, 38, 16)) * 0.75)
    assert len(segment_mr(mr_volume(textured(), GRID), network_with(**drawn)).bones) == 4
