"""The procedural body: distances, names, proportions, variants, determinism."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from edt import edt
from hypothesis import given, settings
from hypothesis import strategies as st

from osteotrace.errors import DeclarationError
from osteotrace.phantom.body import BodyOptions, build_body, label_at
from osteotrace.phantom.body.build import bone_of, plan_of, shell_of
from osteotrace.phantom.body.labels import TOTAL, in_words, number_of, verse_number
from osteotrace.phantom.body.options import USUAL_LEVELS
from osteotrace.phantom.body.spine_curve import build_spine, draw, table
from osteotrace.phantom.body.thorax import rib_field
from osteotrace.phantom.body.tissues import marrow_of, of_person, trabecular_hu, typical
from osteotrace.phantom.body.vertebra import vertebra_fields
from osteotrace.phantom.field import Field
from osteotrace.phantom.records import Body, Person

MAN = BodyOptions(sex="M", age_years=50, size_m=1.74, weight_kg=74.0)
BONES = (
    *(f"vertebrae_{level}" for level in USUAL_LEVELS),
    *(f"rib_{side}_{n}" for side in ("left", "right") for n in range(1, 13)),
    *(
        f"{bone}_{side}"
        for bone in ("hip", "femur", "humerus", "scapula", "clavicula")
        for side in ("left", "right")
    ),
    "sacrum",
    "coccyx",
    "sternum",
    "skull",
)
SOFT = (
    *(
        "spinal_cord",
        "spinal_csf",
        "cauda_equina",
        "spinal_epidural_fat",
        "brain",
        "intervertebral_disc_T11_T12",
    ),
    *("intervertebral_disc_L5_S1", "skin", "body_wall_muscle", "autochthon_left", "iliopsoas_right", "heart"),
    *(
        "gluteus_maximus_left",
        "aorta",
        "inferior_vena_cava",
        "liver",
        "spleen",
        "kidney_left",
        "urinary_bladder",
    ),
    *("stomach", "colon", "colon_gas", "small_bowel", "trachea", "lung_upper_lobe_left", "costal_cartilages"),
)


@pytest.fixture(scope="module")
def body() -> Body:
    return build_body(MAN, 7)


def gradient(field: Field) -> np.ndarray:
    return np.sqrt(sum(g * g for g in np.gradient(field.values, field.step)))


def inside_points(field: Field, every: int = 1) -> np.ndarray:
    return np.argwhere(field.values < 0)[::every] * field.step + field.origin


def test_every_bone_and_soft_part_is_there_once(body):
    names = [part.name for part in body.parts]
    assert len(set(names)) == len(names)
    assert set(BONES) <= {bone.name for bone in body.bones}
    assert set(SOFT) <= set(names)
    assert {bone.part for bone in body.bones} <= set(body.parts)


def test_bones_carry_themselves_and_soft_tissue_does_not(body):
    carriers = {bone.name for bone in body.bones} | {"wall", "viscera"}
    assert all(bone.part.carrier == bone.name for bone in body.bones)
    assert {part.carrier for part in body.parts} <= carriers
    assert body.part("spinal_cord").carrier == "wall"
    assert body.part("liver").carrier == "viscera"


def test_order_of_drawing(body):
    place = {part.name: i for i, part in enumerate(body.parts)}
    order = [
        "skin",
        "body_wall_muscle",
        "abdominal_cavity",
        "liver",
        "autochthon_left",
        "intervertebral_disc_L4_L5",
    ]
    order += ["spinal_epidural_fat", "spinal_csf", "spinal_cord", "vertebrae_L4"]
    assert [place[name] for name in order] == sorted(place[name] for name in order)


def test_bones_stand_from_head_to_feet(body):
    heights = [bone.centroid[2] for bone in body.bones]
    assert heights == sorted(heights, reverse=True)
    spine = [body.bone(level).centroid[2] for level in (*USUAL_LEVELS, "sacrum", "coccyx")]
    assert spine == sorted(spine, reverse=True)


def test_axes_are_right_handed_and_point_left_back_up(body):
    for bone in body.bones:
        np.testing.assert_allclose(bone.axes.T @ bone.axes, np.eye(3), atol=1e-6)
        assert np.linalg.det(bone.axes) > 0.99
        assert (np.diag(bone.axes) > 0.5).all()


def test_left_is_left_and_every_rib_hangs_at_its_vertebra(body):
    for number in range(1, 13):
        left, right = body.bone(f"left rib {number}"), body.bone(f"right rib {number}")
        assert left.centroid[0] > 0 > right.centroid[0]
        assert left.hinge is not None
        assert np.linalg.norm(left.hinge - body.bone(f"T{number}").centroid) < 40.0


@pytest.mark.parametrize(
    "name",
    [
        "vertebrae_T6",
        "vertebrae_L3",
        "rib_left_6",
        "hip_left",
        "sacrum",
        "femur_right",
        "liver",
        "spinal_csf",
    ],
)
def test_fields_are_distances_near_the_surface(body, name):
    field = body.part(name).shape
    near = np.abs(field.values) < 2.0
    steep = gradient(field)[near]
    assert abs(np.median(steep) - 1.0) < 0.06
    assert np.quantile(np.abs(steep - 1.0), 0.8) < 0.25


@pytest.mark.parametrize("name", ["vertebrae_T9", "vertebrae_L2", "hip_right", "rib_right_8"])
def test_distances_agree_with_the_exact_transform(body, name):
    field = body.part(name).shape
    exact = edt(field.values > 0, anisotropy=(field.step,) * 3) - field.step / 2
    outside = (field.values > 0.5) & (field.values < 3.0)
    assert np.quantile(np.abs(exact - field.values)[outside], 0.9) < 0.75


def test_lattices_reach_three_millimetres_beyond_the_surface(body):
    for part in body.parts:
        faces = [np.take(part.shape.values, (0, -1), axis=axis).min() for axis in range(3)]
        if part.name not in ("skull",):
            assert min(faces) > 1.5, part.name


def test_cord_and_sac_lie_in_the_bony_canal(body):
    inside = inside_points(body.part("spinal_cord").shape, 3)
    for level in USUAL_LEVELS[1:20]:
        assert float(body.part(f"vertebrae_{level}").shape.at(inside).min()) > 0.3, level
    assert body.part("spinal_csf").shape.at(inside).max() < 0.0


def test_the_conus_ends_at_l1(body):
    tip = inside_points(body.part("spinal_cord").shape)[:, 2].min()
    assert abs(tip - body.bone("L1").centroid[2]) < 20.0


def test_neighbouring_vertebrae_hardly_overlap(body):
    for upper, lower in itertools.pairwise(USUAL_LEVELS):
        points = inside_points(body.part(f"vertebrae_{upper}").shape, 5)
        both = body.part(f"vertebrae_{lower}").shape.at(points) < -0.5
        assert both.mean() < 0.03, upper


def test_vertebra_has_body_and_posterior_pieces(body):
    bone = body.bone("L3")
    pieces = dict(bone.pieces)
    whole = (bone.part.shape.values < 0).sum()
    front, rear = ((pieces[name].values < 0).sum() for name in ("body", "posterior"))
    assert pieces["body"].at(bone.centroid[None])[0] < -8.0
    assert 0.85 < (front + rear) / whole < 1.15
    assert front > 1.2 * rear


def test_label_at_finds_marrow_cord_and_air(body):
    bone = body.bone("L2")
    places = np.stack([bone.centroid, bone.centroid + np.array([0.0, 0.0, 3000.0])])
    found = label_at(body, places)
    assert body.parts[found[0]].name == "vertebrae_L2"
    assert found[1] == -1


def test_labels_are_those_of_totalsegmentator(body):
    assert len(TOTAL) == 117
    assert (
        number_of("spleen"),
        number_of("vertebrae_L5"),
        number_of("spinal_cord"),
        number_of("rib_left_1"),
    ) == (1, 27, 79, 92)
    assert (number_of("costal_cartilages"), number_of("femur_left_cortex"), number_of("skin")) == (117, 75, 0)
    assert all(part.label == number_of(part.name) for part in body.parts)
    assert [
        verse_number(level) for level in ("C1", "T12", "L5", "T13", "L6", "sacrum", "coccyx", "skull")
    ] == [1, 19, 24, 28, 25, 26, 27, 0]
    assert in_words("rib_right_5") == "right rib 5"
    assert in_words("hip_left") == "left hip bone"


def test_memory(body):
    fields = [part.shape for part in body.parts] + [piece for bone in body.bones for _, piece in bone.pieces]
    assert sum(field.values.nbytes for field in fields) < 700e6


@pytest.mark.slow
def test_the_same_seed_gives_the_same_body(body):
    again = build_body(MAN, 7)
    assert [p.name for p in again.parts] == [p.name for p in body.parts]
    for one, other in zip(body.parts, again.parts, strict=True):
        assert one.fill == other.fill
        np.testing.assert_array_equal(one.shape.values, other.shape.values)


def spines(count: int = 120):
    for seed in range(count):
        options = BodyOptions(sex="MF"[seed % 2])
        plan = plan_of(options, seed)
        yield plan.spine


def test_spacing_of_drawn_spines_is_that_of_real_ones():
    stats = table("spine_statistics.toml")["spacing"]
    mean = dict(zip(stats["items"], stats["mean"], strict=True))
    sd = dict(zip(stats["items"], stats["sd"], strict=True))
    gaps: dict[str, list[float]] = {}
    for spine in spines():
        for upper, lower in zip(spine.vertebrae[1:-1], spine.vertebrae[2:], strict=True):
            gaps.setdefault(f"{upper.level}-{lower.level}", []).append(
                float(np.linalg.norm(upper.centre - lower.centre))
            )
    for pair, values in gaps.items():
        assert abs(np.mean(values) / mean[pair] - 1.0) < 0.04, pair
        assert 0.4 < np.std(values) / sd[pair] < 1.3, pair


def test_curvature_of_drawn_spines_is_that_of_real_ones():
    stats = table("spine_statistics.toml")["slope"]
    mean = dict(zip(stats["items"], stats["mean"], strict=True))
    slopes: dict[str, list[float]] = {}
    for spine in spines():
        for upper, lower in zip(spine.vertebrae[1:-1], spine.vertebrae[2:], strict=True):
            step = upper.centre - lower.centre
            slopes.setdefault(f"{upper.level}-{lower.level}", []).append(
                float(np.degrees(np.arctan2(step[1], step[2])))
            )
    for pair, values in slopes.items():
        assert abs(np.mean(values) - mean[pair]) < 4.0, pair


def test_neighbouring_distances_are_correlated():
    values = np.array(
        [
            [draw("spacing", np.random.default_rng(seed))[pair] for pair in ("L1-L2", "L2-L3")]
            for seed in range(200)
        ]
    )
    assert np.corrcoef(values.T)[0, 1] > 0.4


@given(seed=st.integers(0, 10**6), size=st.floats(1.5, 1.95))
@settings(max_examples=25, deadline=None)
def test_a_longer_person_has_a_longer_spine(seed, size):
    def length(size_m: float) -> float:
        spine = build_spine(BodyOptions(size_m=size_m), size_m, np.random.default_rng(seed))
        return float(spine.of("C3").centre[2] - spine.of("L5").centre[2])

    assert length(size + 0.1) > length(size)


def test_t13_has_its_rib_and_l6_its_place():
    plan = plan_of(BodyOptions(size_m=1.7, t13=True, l6=True), 3)
    levels = [v.level for v in plan.spine.vertebrae]
    assert levels[18:21] == ["T12", "T13", "L1"]
    assert levels[-1] == "L6"
    assert sorted({rib.number for rib in plan.ribs}) == list(range(1, 14))
    last = [rib for rib in plan.ribs if rib.number == 13]
    assert {rib.side for rib in last} == {-1, 1}
    assert np.linalg.norm(last[0].tube.line[0] - plan.spine.of("T13").centre) < 40.0
    assert plan.options.variants == ("T13", "L6", "13 pairs of ribs")


@pytest.mark.parametrize("pairs", [11, 12, 13])
def test_pairs_of_ribs(pairs):
    plan = plan_of(BodyOptions(size_m=1.7, rib_pairs=pairs), 3)
    assert len(plan.ribs) == 2 * pairs
    if pairs == 13:
        assert np.linalg.norm(plan.ribs[-1].tube.line[0] - plan.spine.of("L1").centre) < 45.0
        assert (rib_field(plan.ribs[-1], 2.0).values < 0).any()


def cobb(spine) -> float:
    tilt = np.array([np.degrees(np.arctan2(v.axes[0, 2], v.axes[2, 2])) for v in spine.vertebrae[7:]])
    return float(tilt.max() - tilt.min())


@pytest.mark.parametrize("angle", [15.0, 40.0])
def test_scoliosis_has_the_cobb_angle_asked_for(angle):
    spine = plan_of(BodyOptions(size_m=1.7, cobb_deg=angle), 5).spine
    assert cobb(spine) == pytest.approx(angle, abs=2.0)
    assert spine.of("T9").centre[0] < -3.0
    assert cobb(plan_of(BodyOptions(size_m=1.7), 5).spine) < 0.01


def test_kyphosis_bends_the_chest_forward():
    def angle(extra: float) -> float:
        spine = plan_of(BodyOptions(size_m=1.7, extra_kyphosis_deg=extra), 5).spine
        up = [spine.of(level).axes[:, 2] for level in ("T3", "T11")]
        return float(np.degrees(np.arctan2(up[1][1], up[1][2]) - np.arctan2(up[0][1], up[0][2])))

    assert angle(20.0) - angle(0.0) == pytest.approx(20.0, abs=4.0)


def test_a_wedge_loses_anterior_height():
    spine = plan_of(BodyOptions(size_m=1.7, wedges=(("L1", 40.0),)), 5).spine
    v = spine.of("L1")
    body = vertebra_fields(v, 1.0)[1]

    def height(back: float) -> float:
        line = np.arange(-25.0, 25.0, 0.25)
        return float(
            (body.at(v.centre + back * v.axes[:, 1] + line[:, None] * v.axes[:, 2]) < 0).sum() * 0.25
        )

    edge = v.sizes["depth"] / 2 - 5.0
    assert height(-edge) / height(edge) == pytest.approx(0.66, abs=0.08)


def test_osteophytes_widen_the_rims_of_a_narrowed_disc():
    plain = plan_of(BodyOptions(size_m=1.7), 5).spine
    worn = plan_of(BodyOptions(size_m=1.7, degenerative=("L4",)), 5).spine
    assert worn.of("L4").sizes["disc"] < 0.7 * plain.of("L4").sizes["disc"]
    assert worn.of("L4").worn_below
    assert worn.of("L5").worn_above
    extent = [np.ptp(inside_points(vertebra_fields(s.of("L4"), 1.0)[1])[:, 0]) for s in (plain, worn)]
    assert extent[1] > extent[0] + 1.5


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"age_years": 7}, "age_years"),
        ({"size_m": 3.0}, "size_m"),
        ({"sex": "X"}, "sex"),
        ({"rib_pairs": 10}, "rib_pairs"),
        ({"t13": True, "rib_pairs": 12}, "T13"),
        ({"degenerative": ("L6",)}, "L6"),
        ({"wedges": (("L1", 90.0),)}, "90"),
        ({"cobb_deg": 80.0}, "cobb"),
    ],
)
def test_wrong_options_are_refused(options, word):
    with pytest.raises(DeclarationError, match=word):
        BodyOptions(**options)


def test_trabecular_density_follows_age():
    assert trabecular_hu(25) == 226
    assert trabecular_hu(50) == 176
    assert trabecular_hu(95) == 85


def test_tissues_differ_between_persons_and_muscle_meets_the_golden_contrast():
    persons = [of_person(Person("M", 60, 1.7, 70), np.random.default_rng(seed)) for seed in range(30)]
    hu = [p["marrow"].hu for p in persons]
    assert 60 < np.mean(hu) - 90 < 110
    assert np.std(hu) > 10
    assert all(1.0 <= p["marrow"].suv <= 1.2 for p in persons)
    muscle = typical()["muscle"]

    def spin_echo(pd: float, t1: float, t2: float, tr: float, te: float) -> float:
        return float(pd * (1 - np.exp(-tr / t1)) * np.exp(-te / t2))

    water = (1 - muscle.fat) * muscle.pd
    t1 = spin_echo(0.65, 1400, 90, 520, 12) / spin_echo(water, muscle.t1_ms, muscle.t2_ms, 520, 12)
    t2 = spin_echo(0.65, 1400, 90, 3600, 95) / spin_echo(water, muscle.t1_ms, muscle.t2_ms, 3600, 95)
    assert t1 == pytest.approx(0.70, abs=0.06)
    assert t2 == pytest.approx(2.2, abs=0.25)


def test_marrow_of_other_bones():
    found = of_person(Person("F", 70, 1.6, 60), np.random.default_rng(1))
    assert marrow_of("C4", found).hu > marrow_of("L2", found).hu
    assert marrow_of("femur", found).fat > marrow_of("L2", found).fat
    assert shell_of(found, "rib")[0].hu > 700


def test_every_value_of_the_tissues_has_a_known_source_and_unit():
    file = table("tissues.toml")
    for name, values in file["tissue"].items():
        for key, entry in values.items():
            assert entry["source"] in file["sources"], (name, key)
            assert key in file["units"], (name, key)


def test_a_bone_without_a_centroid_has_its_centre_of_volume():
    values = np.full((9, 9, 9), 4.0, dtype=np.float32)
    values[3:6, 3:6, 3:6] = -1.0
    bone = bone_of(
        "sternum", Field(values, np.array([10.0, 0, 0]), 2.0), typical()["marrow"], (typical()["cortex"], 1.0)
    )
    np.testing.assert_allclose(bone.centroid, [18.0, 8.0, 8.0])


def test_the_skin_holds_the_skeleton(body):
    skin = body.part("skin").shape
    for bone in body.bones:
        if not bone.name.startswith(("humerus", "scapula", "clavicula")):
            points = inside_points(bone.part.shape, 23)
            assert skin.at(points).max() < 0.5, bone.name
