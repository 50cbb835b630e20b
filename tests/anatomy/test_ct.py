import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anatomy.ct_cases import CLASSES, SHAPE, TOPS, Drawn, canonical, spine
from anatomy.fake_network import mr_volume
from osteotrace.anatomy import ct_answer, ct_body, ct_outline, ct_row
from osteotrace.anatomy.ct_segment import segment_ct
from osteotrace.model.values import Modality
from osteotrace.space import Grid


def codes(anatomy):
    return [problem.code for problem in anatomy.problems]


def test_vertebrae_are_instances_with_body_and_posterior_part():
    anatomy = spine().anatomy()
    assert [b.name for b in anatomy.vertebrae] == ["vertebra"] * 4
    for number, (bone, top) in enumerate(zip(anatomy.vertebrae, TOPS, strict=True), start=1):
        assert bone.label == number
        assert anatomy.labels[top + 5, 37, 45] == number  # body
        assert anatomy.labels[top + 12, 66, 45] == number  # spinous process, beside the next body
        assert anatomy.labels[top + 5, 52, 30] == number  # transverse process
        assert np.allclose(bone.centroid_mm, canonical().points((top + 5, 37, 44.5)), atol=1.0)
        assert not bone.touches_edge
        assert bone.size_mm.height_mm == pytest.approx(22.0, abs=2.0)
        assert bone.orientation.upper_endplate[2] > 0.98
    (body,) = anatomy.called("body outline")
    assert anatomy.labels[TOPS[0] + 12, 37, 45] == body.label


def test_ribs_join_the_vertebra_that_they_reach():
    anatomy = spine(ribs=("lr", "l", "", "")).anatomy()
    assert [b.rib for b in anatomy.vertebrae] == [0.99, 0.95, 0.01, 0.01]
    names = [b.name for b in anatomy.bones if b.name.startswith("rib")]
    assert sorted(names) == ["rib left", "rib left", "rib right"]
    assert len({b.id for b in anatomy.bones}) == len(anatomy.bones)


def test_long_ribs_on_both_sides_are_no_transverse_processes():
    drawn = spine(ribs=("lr", "lr", "", ""))
    for k in ((57, 61), (29, 33)):
        drawn.box("rib", (TOPS[0] + 2, 46, k[0]), (TOPS[0] + 6, 72, k[1]))  # they turn backwards and go on
    assert [b.rib for b in drawn.anatomy().vertebrae] == [0.999, 0.99, 0.01, 0.01]


def test_a_short_piece_beside_a_vertebra_leaves_the_rib_open():
    drawn = spine(ribs=("lr", "", "", ""))
    drawn.box("rib", (TOPS[1] + 2, 46, 57), (TOPS[1] + 7, 50, 66))
    assert [b.rib for b in drawn.anatomy().vertebrae] == [0.99, None, 0.01, 0.01]


def test_no_rib_is_denied_where_the_sides_are_out_of_view():
    narrow = Drawn((110, 72, 46))
    wide = spine(ribs=("", "", "", ""))
    for name in ("classes", "core", "hu"):
        setattr(narrow, name, getattr(wide, name)[:, :, 22:68])
    narrow.to_centre = wide.to_centre[:, :, :, 22:68]
    assert {b.rib for b in narrow.anatomy().vertebrae} == {None}


def test_a_vertebra_that_the_volume_cuts_says_so_and_denies_no_rib():
    anatomy = spine(ribs=("", "", "", ""), tops=(-4, 11, 26, 41)).anatomy()
    assert [b.touches_edge for b in anatomy.vertebrae] == [True, False, False, False]
    assert [b.rib for b in anatomy.vertebrae] == [None, 0.01, 0.01, 0.01]
    assert anatomy.vertebrae[0].size_mm is None


def test_where_the_volume_cuts_the_arch_alone_a_rib_can_be_denied():
    drawn = spine(ribs=("", "", "", ""), tops=(3, 18, 33, 48))
    part = drawn.box("vertebra posterior", (0, 45, 50), (5, 52, 53))
    drawn.to_centre[(slice(None), *part)] = drawn.to_centre[:, 5:6, 45:52, 50:53] + 10.0
    anatomy = drawn.anatomy()
    assert [b.touches_edge for b in anatomy.vertebrae] == [True, False, False, False]
    assert [b.rib for b in anatomy.vertebrae] == [0.01] * 4


def test_the_sacrum_is_centred_in_its_uppermost_part():
    anatomy = spine().sacrum(70, 35).anatomy()
    (sacrum,) = anatomy.called("sacrum")
    assert sacrum.centroid_mm[2] == pytest.approx(canonical().points((77.5, 0, 0))[2], abs=2.0)
    assert not spine().sacrum(70, 8).anatomy().called("sacrum")  # too little to be known as its top


def test_bodies_that_touch_are_told_apart_by_their_centres():
    drawn = spine()
    for top in TOPS[:-1]:
        drawn.box("vertebra body", (top + 11, 30, 35), (top + 13, 45, 55))
        drawn.to_centre[0, top + 11 : top + 13] = -14.0
        drawn.box("vertebra body", (top + 13, 30, 35), (top + 15, 45, 55))
        drawn.to_centre[0, top + 13 : top + 15] = 14.0
    anatomy = drawn.anatomy()
    assert len(anatomy.vertebrae) == 4
    assert anatomy.labels[TOPS[1] - 4, 37, 45] == 1
    assert anatomy.labels[TOPS[1] - 1, 37, 45] == 2


def test_where_discs_outweigh_bodies_nothing_is_clear():
    drawn = spine()
    for top in TOPS:
        drawn.classes[top + 2 : top + 9, 31:44, 36:54] = CLASSES.index("intervertebral disc")
    anatomy = drawn.anatomy()
    assert codes(anatomy) == ["discs-not-seen"]
    assert max(b.confidence for b in anatomy.vertebrae) < 0.35


def test_organs_are_coarse_and_paired_by_side():
    drawn = spine()
    drawn.box("lung", (0, 10, 2), (50, 28, 30), hu=-800)
    drawn.box("lung", (0, 10, 60), (50, 28, 88), hu=-800)
    drawn.box("heart", (30, 4, 40), (60, 26, 58), hu=40)
    drawn.box("vena cava", (0, 26, 34), (110, 29, 40), hu=40)
    drawn.box("liver", (60, 2, 2), (100, 25, 40), hu=60)
    found = {s.name: s.coarse for s in drawn.anatomy().structures}
    assert found["lung left"] is False
    assert found["lung right"] is False
    assert found["heart"] is found["liver"] is True
    assert {"superior vena cava", "inferior vena cava"} <= found.keys()


def test_a_raised_arm_is_no_femur():
    arm = spine(tops=(40, 55, 70, 85))
    arm.box("femur", (0, 30, 68), (30, 40, 80), hu=400)
    thigh = spine(tops=(2, 17, 32, 47))
    thigh.box("femur", (75, 30, 68), (105, 40, 80), hu=400)
    assert not arm.anatomy().called("femur left")
    assert thigh.anatomy().called("femur left")


def test_a_jaw_is_no_hip_bone():
    neck = spine(tops=(40, 55, 70, 85))
    neck.box("hip bone", (30, 10, 48), (70, 30, 80), hu=400)
    assert not neck.anatomy().called("hip bone left")
    crest = spine(tops=(40, 55, 70, 85))
    crest.box("hip bone", (75, 10, 48), (110, 30, 80), hu=400)
    assert crest.anatomy().called("hip bone left")


def test_organs_on_the_wrong_side_are_named():
    liver = spine()
    liver.box("liver", (60, 2, 50), (100, 25, 88), hu=60)
    assert codes(liver.anatomy()) == ["sides-exchanged"]
    assert codes(liver.mirrored(2).anatomy()) == []
    heart = spine()
    heart.box("heart", (10, 4, 15), (50, 28, 48), hu=40)
    assert codes(heart.anatomy()) == ["sides-exchanged"]
    assert "heart lies on the right" in heart.anatomy().problems[0].found
    assert codes(heart.mirrored(2).anatomy()) == []


def test_one_vertebra_is_no_spine():
    assert codes(Drawn().vertebra(20).anatomy()) == ["no-spine-found"]
    assert codes(Drawn().anatomy()) == ["no-spine-found"]


def test_a_pelvis_without_a_row_of_vertebrae_has_its_bones():
    drawn = Drawn().vertebra(2).sacrum(20, 40)
    drawn.box("hip bone", (25, 20, 8), (75, 34, 28), hu=300)
    drawn.box("hip bone", (25, 20, 62), (75, 34, 82), hu=300)
    drawn.box("spinal canal", (0, 45, 40), (50, 51, 50), hu=40)
    anatomy = drawn.anatomy()
    assert codes(anatomy) == ["no-row-of-vertebrae"]
    assert {b.name for b in anatomy.bones} == {"sacrum", "hip bone left", "hip bone right"}
    assert codes(drawn.mirrored(0).anatomy()) == ["no-spine-found"]
    assert codes(drawn.mirrored(1).anatomy()) == ["no-spine-found"]


def test_air_and_missing_numbers_hold_no_spine():
    empty = mr_volume(np.full(SHAPE, -1000.0, np.float32), canonical(), Modality.CT)
    assert "nothing as large and dense" in segment_ct(empty, Drawn().network).problems[0].found
    broken = mr_volume(np.full(SHAPE, np.nan, np.float32), canonical(), Modality.CT)
    assert "without a number" in segment_ct(broken, Drawn().network).problems[0].found


def test_a_volume_that_faces_backwards_is_refused():
    forward = spine()
    backward = forward.mirrored(1).without("vertebra posterior")
    network = backward.network
    network.session.then = forward.network.session.logits
    anatomy = segment_ct(mr_volume(backward.hu, canonical(), Modality.CT), network)
    assert codes(anatomy) == ["faces-backwards"]
    assert anatomy.bones == ()
    assert codes(forward.mirrored(1).anatomy()) == ["no-spine-found"]  # arches in front, whichever way


def test_few_arches_are_enough_where_the_image_read_backwards_has_none():
    forward = spine()
    network = forward.network
    network.session.then = forward.mirrored(1).without("vertebra posterior").network.session.logits
    assert segment_ct(mr_volume(forward.hu, canonical(), Modality.CT), network).vertebrae


def test_bodies_without_arches_are_no_spine():
    anatomy = spine().without("vertebra posterior").anatomy()
    assert codes(anatomy) == ["no-spine-found"]
    assert "arches" in anatomy.problems[0].found


def test_a_volume_upside_down_is_refused():
    assert codes(spine().mirrored(0).anatomy()) == ["upside-down"]


def test_organs_in_the_order_from_feet_to_head_are_refused():
    drawn = spine(below=-5)  # spinous processes that tell nothing
    drawn.box("liver", (5, 2, 2), (45, 28, 45), hu=60)
    drawn.box("kidney", (40, 30, 8), (62, 50, 30), hu=40)
    drawn.box("hip bone", (75, 20, 5), (105, 40, 60), hu=300)
    assert "upside-down" not in codes(drawn.anatomy())
    assert codes(drawn.mirrored(0).anatomy()) == ["upside-down"]


def test_bone_draws_the_border_between_the_voxels_of_the_network():
    drawn, top = spine(), TOPS[1]
    hu = drawn.hu.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    coarse = canonical()
    fine = canonical(hu.shape, 1.0)
    affine = fine.affine.copy()
    affine[:3, 3] = coarse.points((-0.25, -0.25, -0.25))
    fine = Grid(hu.shape, affine, "1.2.3")
    below = 2 * (top + 11)
    hu[below - 1, 60:90, 70:90] = hu[below - 2, 60:90, 70:90] = -50.0  # the left half ends early
    hu[below - 2 : below + 3, 60:90, 90:110] = 600.0  # the right half has its endplate
    volume = mr_volume(hu, fine, Modality.CT)
    anatomy = segment_ct(volume, drawn.network)
    assert anatomy.grid.shape == hu.shape
    rest = anatomy.called("body outline")[0].label
    assert anatomy.labels[below - 2 : below + 1, 75, 80].tolist() == [2, rest, rest]
    assert anatomy.labels[below - 2 : below + 2, 75, 100].tolist() == [2, 2, rest, rest]


def test_labels_of_a_large_volume_are_written_on_a_coarser_lattice():
    grid = Grid((512, 512, 300), np.diag([0.7, 0.7, 1.0, 1.0]), "1")
    onto, factors = ct_outline.label_grid(grid)
    assert factors.tolist() == [2, 2, 1]
    assert onto.shape == (256, 256, 300)
    assert np.allclose(onto.points((0, 0, 0)), grid.points((0.5, 0.5, 0)))
    small = canonical()
    assert ct_outline.label_grid(small)[0] is small


def row(heights, depth=30.0, peak=1.0, noise=0.0, seed=0):
    """Evidence along a line with discs between vertebrae of these heights, and where they are."""
    places = np.cumsum(heights)[:-1]
    at = np.arange(int(sum(heights)))
    seen = sum(peak * np.exp(-((at - p) ** 2) / 18.0) for p in places)
    seen = seen + noise * np.random.default_rng(seed).random(len(at))
    return seen, np.full(len(at), depth), places


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.9, 1.1), min_size=4, max_size=14), st.floats(17, 36), st.integers(0, 9))
def test_discs_are_found_where_they_are(shares, usual, seed):
    heights = np.round(usual * np.array(shares))
    seen, depth, places = row(heights, depth=usual * 1.1, noise=0.15, seed=seed)
    found = np.array(ct_row.discs(seen, depth))
    assert all(np.abs(found - place).min() <= 2 for place in places)


def test_a_disc_that_is_not_seen_is_put_where_its_neighbours_want_it():
    seen, depth, places = row([28] * 8)
    seen[places[3] - 10 : places[3] + 10] = 0.0
    ends = ct_row.borders(ct_row.discs(seen, depth), len(seen))
    assert np.abs(np.array(ends) - places[3]).min() <= 4
    assert len(ends) == 9
    assert ct_row.sure(ends, seen, depth, 0.3) == [True] * 3 + [False] * 2 + [True] * 3


def test_a_stub_at_the_end_is_no_vertebra():
    seen, depth, _ = row([5, 28, 28, 28, 20])
    ends = ct_row.borders(ct_row.discs(seen, depth), len(seen))
    assert len(ends) == 5
    assert ct_row.discs(np.zeros(9), np.full(9, 30.0)) == []
    assert ct_row.borders([], 9) == []


@given(st.integers(1, 1200), st.integers(1, 9))
def test_pieces_of_a_body_keep_every_row_once(rows, count):
    made = ct_answer.split(rows, count)
    kept = [row for *_, low, high in made for row in range(low, high)]
    assert kept == list(range(rows))
    assert len(made) <= count
    assert all(0 <= start <= low < high <= stop <= rows for start, stop, low, high in made)


def test_tiles_are_small_enough_and_hold_the_patient(monkeypatch):
    monkeypatch.setattr(ct_answer, "_MOST_VOXELS", 520_000)
    patient = np.zeros((100, 40, 50), bool)
    patient[:60, 10:30, 5:45] = True  # a trunk
    patient[60:, 18:24, 20:30] = True  # and a leg
    made = ct_answer.tiles(patient, (200, 80, 100))
    assert [kept[0] for _, kept in made] == [slice(a[0].start, a[0].stop) for _, a in made]
    assert made[0][0][2] != made[-1][0][2]  # a leg needs less than a trunk
    seen = np.zeros((200, 80, 100), int)
    for box, kept in made:
        assert np.prod([s.stop - s.start for s in box]) <= 520_000
        seen[kept] += 1
    assert seen.max() == 1
    assert seen[np.kron(patient, np.ones((2, 2, 2), bool))].all()


def test_the_body_outline_has_neither_table_nor_hole_nor_noise():
    drawn = Drawn()
    drawn.hu[:] = -1000.0
    drawn.hu[:, 10:50, 20:70] = 30.0
    drawn.hu[20:60, 20:35, 30:45] = -850.0  # a lung
    drawn.hu[:, 53:56, 5:85] = 100.0  # a table
    drawn.hu[50, 2:4, 2:4] = 200.0  # a cable
    body = ct_body.outline(ct_body.patient_in(drawn.hu, canonical(), canonical()), drawn.hu)
    expected = np.zeros(drawn.shape, bool)
    expected[:, 10:50, 20:70] = True
    assert (body == expected).all()


def test_what_is_body_and_nothing_else_has_a_label_of_its_own():
    anatomy = spine().anatomy()
    (body,) = anatomy.called("body outline")
    assert anatomy.labels[80, 10, 10] == body.label
    assert (anatomy.labels > 0).all()


def test_two_endplates_with_a_disc_too_thin_to_be_seen_are_a_border():
    bright = spine(tops=(4, 16, 28, 40, 52, 64), ribs=("lr", "lr", "lr", "", "", ""))
    bright.box("vertebra body", (4, 30, 35), (75, 45, 55), hu=150.0)  # marrow, bodies not told apart
    bright.core[:] = False
    bright.to_centre[:, :, 30:45, 35:55] = 0.0
    for top in (16, 28, 40, 52, 64):
        bright.hu[top - 1 : top + 1, 30:45, 35:55] = 420.0
    middles = [canonical().indices(np.array(b.centroid_mm))[0] for b in bright.anatomy().vertebrae]
    assert np.allclose(middles, [9.5, 21.5, 33.5, 45.5, 57.5, 69.5], atol=1.5)
