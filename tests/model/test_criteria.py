"""The criteria file says what criteria.md says, and wrong files are refused with the place named."""

from __future__ import annotations

import hashlib
import math
import string
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osteotrace.errors import CriterionError, DeclarationError
from osteotrace.model.criteria import EVIDENCE, KINDS, Criteria, load_criteria, parse_criteria

ENTRY = """
[[criterion]]
id = "{id}"
value = {value}
unit = "{unit}"
source = "osteotrace"
kind = "{kind}"
"""


def written(value: str = "1", *, id: str = "ct.a", unit: str = "mm", kind: str = "project") -> str:
    return ENTRY.format(id=id, value=value, unit=unit, kind=kind)


def parsed(*entries: str, version: str = '"1.2.3"') -> Criteria:
    return parse_criteria(f"version = {version}\n{''.join(entries)}".encode(), "own.toml")


@pytest.fixture(scope="module")
def criteria() -> Criteria:
    return load_criteria()


# Golden values: each read again in the tables of the clinical basis, not in the file.
NUMBERS = {
    "suv.dose_min_bq": 1e6,
    "suv.weight_min_kg": 2,
    "suv.weight_max_kg": 350,
    "suv.decay_half_lives_max": 10,
    "suv.half_life_f18_s": 6586.2,
    "suv.liver_mean_max": 4,
    "suv.peak_sphere_volume_cm3": 1,
    "mr.stir_ti_min_ms": 100,
    "mr.stir_ti_max_ms": 250,
    "mr.flair_ti_min_ms": 1500,
    "mr.t1w_se_tr_max_ms": 1000,
    "mr.t1w_se_te_max_ms": 30,
    "mr.t1w_gre_tr_max_ms": 300,
    "mr.t2w_tr_min_ms": 2000,
    "mr.t2w_te_min_ms": 60,
    "mr.pd_te_max_ms": 60,
    "mr.t2star_flip_max_deg": 30,
    "mr.ratio_hypo_max": 0.90,
    "mr.ratio_hyper_min": 1.10,
    "mr.opposed_in_ratio_malignant_min": 0.80,
    "mr.adc_malignant_max": 1570,
    "mr.muscle_ratio_change_min": 1.15,
    "mr.rician_sd_factor": 0.655,
    "n4.bias_field_fwhm": 0.15,
    "n4.histogram_bins": 200,
    "ct.enostosis_mean_hu": 885,
    "ct.enostosis_max_hu": 1060,
    "ct.metastasis_group_mean_hu": 654,
    "ct.sclerotic_offset_hu": 100,
    "ct.lytic_offset_hu": 60,
    "ct.osteoblastic_fraction_min": 0.70,
    "ct.occult_fraction_max": 0.20,
    "nm.lnr_positive_min": 1.3,
    "nm.lnr_equivocal_min": 1.15,
    "nm.planar_residual_max_mm": 15,
    "pet.lbr_positive_min": 1.4,
    "pet.reference_vertebrae_min": 4,
    "pet.percist_liver_factor": 1.5,
    "pet.relative_suvmax_fraction": 0.41,
    "pet.mtv_bone_dilation_mm": 3,
    "recist.pr_fall_percent": 30,
    "recist.pd_rise_percent": 20,
    "recist.pd_rise_mm": 5,
    "mda.pd_growth_percent": 25,
    "percist.pmd_tlg_rise_percent": 75,
    "repeatability.suvmax_rise_percent": 39,
    "repeatability.suvmax_fall_percent": -28,
    "comparability.uptake_difference_max_min": 15,
    "sins.pain_occasional_points": 1,
    "sins.consult_min": 7,
    "biopsy.hu_tumour_max": 610,
    "biopsy.hu_sequencing_max": 370,
    "biopsy.points_dense": -3,
    "biopsy.pleura_clearance_mm": 3,
    "biopsy.needle_max_mm": 150,
    "rt.cord_d50_gy": 69.4,
    "rt.in_field_dose_gy": 8,
    "rt.in_field_prescription_percent": 20,
}
LISTS = {
    "mr.fat_null_ti_1t5_ms": (150, 180),
    "mr.fat_null_ti_3t_ms": (200, 230),
    "n4.iterations": (50, 50, 50, 50),
    "pet.reported_cutoffs": (2.5, 3, 4, 5),
    "rt.alpha_beta_reported_gy": (0.87, 2, 3, 10),
    "repeatability.suvpeak_limits_percent": (-27.7, 17.5),
    "biopsy.open_block_mm": (40, 10, 20),
}


@pytest.mark.parametrize(("id", "value"), NUMBERS.items())
def test_golden_numbers(criteria: Criteria, id: str, value: float):
    assert criteria.number(id) == value


@pytest.mark.parametrize(("id", "values"), LISTS.items())
def test_golden_lists(criteria: Criteria, id: str, values: tuple[float, ...]):
    assert criteria.numbers(id) == values


def test_lean_body_mass_of_the_golden_patients(criteria: Criteria):
    """M 70 kg 175 cm and F 60 kg 165 cm (criteria 1.4)."""
    golden = {
        ("male", 70, 175): (57.800, 56.520, 55.857, 72.38),
        ("female", 60, 165): (44.630, 44.630, 39.287, 57.33),
    }
    for (sex, weight, height), expected in golden.items():
        james, james128 = (criteria.numbers(f"suv.lbm_{name}_{sex}") for name in ("james", "james128"))
        a, b, c = criteria.numbers(f"suv.lbm_janmahasatian_{sex}")
        base, slope, start = criteria.numbers(f"suv.ibw_{sex}")
        squared = (weight / height) ** 2
        found = (
            james[0] * weight - james[1] * squared,
            james128[0] * weight - james128[1] * squared,
            a * weight / (b + c * weight / (height / 100) ** 2),
            base + slope * (height - start),
        )
        assert found == pytest.approx(expected, abs=6e-4)


def test_body_surface_of_the_golden_patients(criteria: Criteria):
    p, q, factor = criteria.numbers("suv.bsa")
    assert 70**p * 175**q * factor == pytest.approx(18481.4, abs=0.05)
    assert 60**p * 165**q * factor == pytest.approx(16586.6, abs=0.05)


def test_decay_of_the_golden_dose(criteria: Criteria):
    assert 370e6 * 2 ** (-3600 / criteria.number("suv.half_life_f18_s")) == pytest.approx(253_314_180, abs=1)


def test_the_peak_sphere_is_12_4_mm_wide(criteria: Criteria):
    volume = criteria.number("suv.peak_sphere_volume_cm3") * 1000
    assert 2 * (3 * volume / (4 * math.pi)) ** (1 / 3) == pytest.approx(12.407, abs=1e-3)


def test_dry_bone_weights_sum_to_100_1(criteria: Criteria):
    single = {"skull", "mandible", "sternum", "ribs", "spine", "pelvis"}
    weights = {
        item.id.removeprefix("nm.spiers_").removesuffix("_percent"): criteria.number(item.id)
        for item in criteria.items
        if item.id.startswith("nm.spiers_")
    }
    assert len(weights) == 16
    total = sum(weight * (1 if bone in single else 2) for bone, weight in weights.items())
    assert total == pytest.approx(100.1)


def test_every_level_has_one_sins_location(criteria: Criteria):
    places = ("junctional", "mobile", "semirigid", "rigid")
    levels = [level for place in places for level in criteria.texts(f"sins.location_{place}_levels")]
    spine = [f"C{n}" for n in range(8)] + [f"T{n}" for n in range(1, 13)]
    spine += [f"L{n}" for n in range(1, 6)] + [f"S{n}" for n in range(1, 6)]
    assert sorted(levels) == sorted(spine)
    assert [criteria.number(f"sins.location_{place}_points") for place in places] == [3, 2, 1, 0]
    assert {"T11", "T12", "L1"} <= set(criteria.texts("sins.location_junctional_levels"))


def test_the_worst_sins_is_its_total(criteria: Criteria):
    parts = ("location", "pain", "lesion", "alignment", "collapse", "posterolateral")
    worst = sum(
        max(
            criteria.number(item.id)
            for item in criteria.items
            if item.id.startswith(f"sins.{part}_") and item.id.endswith("_points")
        )
        for part in parts
    )
    assert worst == criteria.number("sins.total_max") == 18


def test_cord_model_gives_the_published_risks(criteria: Criteria):
    d50, slope = criteria.number("rt.cord_d50_gy"), criteria.number("rt.cord_slope")
    risks = [100 / (1 + (d50 / dose) ** slope) for dose in criteria.numbers("rt.cord_published_doses_gy")]
    assert risks == pytest.approx([0.027, 0.20, 4.8], rel=0.05)


def test_the_file_is_versioned_and_every_entry_is_complete(criteria: Criteria):
    packaged = resources.files("osteotrace.model").joinpath("criteria.toml").read_bytes()
    assert criteria.version.count(".") == 2
    assert criteria.sha256 == hashlib.sha256(packaged).hexdigest()
    assert len({item.id for item in criteria.items}) == len(criteria.items) >= 345
    for item in criteria.items:
        assert item.kind in KINDS
        assert item.evidence in EVIDENCE, f"{item.id} has no evidence tag"
        assert (item.evidence != "P") or item.kind == "project", f"{item.id}: P is a project choice"


def test_the_packaged_file_is_read_once():
    assert load_criteria() is load_criteria()


def test_words_and_flags(criteria: Criteria):
    assert criteria.text("suv.lbm_preferred") == "LBMJANMA"
    assert criteria.texts("suv.corrections_required") == ("ATTN", "DECY")
    assert criteria.flag("comparability.suv_same_scanner") is True
    assert criteria.get("ct.enostosis_mean_hu").source == "Ulano 2016"


def test_unknown_id_names_the_closest(criteria: Criteria):
    with pytest.raises(CriterionError, match=r"no criterion has the id 'ct.enostosis_hu'.*ct.enostosis_m"):
        criteria.number("ct.enostosis_hu")
    with pytest.raises(CriterionError, match=r"expected: an id of criteria.toml"):
        criteria.get("@")


@pytest.mark.parametrize(
    ("reader", "id", "expected"),
    [
        ("number", "suv.types", "one number"),
        ("number", "comparability.suv_same_scanner", "one number"),
        ("number", "suv.type_default", "one number"),
        ("numbers", "suv.types", "a list of numbers"),
        ("numbers", "suv.dose_min_bq", "a list of numbers"),
        ("text", "suv.types", "text"),
        ("texts", "suv.type_default", "a list of words"),
        ("texts", "suv.bsa", "a list of words"),
        ("flag", "suv.dose_min_bq", "true or false"),
    ],
)
def test_wrong_type_is_refused(criteria: Criteria, reader: str, id: str, expected: str):
    with pytest.raises(CriterionError) as caught:
        getattr(criteria, reader)(id)
    assert caught.value.where == id
    assert caught.value.expected == expected


def test_own_file(tmp_path: Path):
    path = tmp_path / "own.toml"
    path.write_text('version = "2.0.0"\n' + written("12.5", id="mr.ratio"), "utf-8")
    own = load_criteria(path)
    assert own.version == "2.0.0"
    assert own.number("mr.ratio") == 12.5
    assert own.get("mr.ratio").evidence == ""


def test_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(DeclarationError, match=r"cannot be read: .* \[none.toml\]"):
        load_criteria(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (written("nan"), r"value is nan \[own.toml: ct.a\]; expected: a finite number"),
        (written("-inf"), r"value is -inf"),
        (written(f"1{'0' * 400}"), r"value is 10+ "),
        (written("[1, inf]"), r"value is \[1, inf\] .*a list of finite numbers only or of words only"),
        (written('[1, "a"]'), r"a list of finite numbers only or of words only"),
        (written("[true, false]"), r"a list of finite numbers only"),
        (written("[]"), r"not empty"),
        (written("1979-05-27"), r"expected: a finite number, text, true, false"),
        (
            written(kind="guess"),
            r"kind is 'guess' \[own.toml: ct.a\]; expected: one of standard, published, project",
        ),
        (written() + 'evidence = "sure"', r"evidence is 'sure' .*one of V, V2, C"),
        (written() + 'remark = "x"', r"unknown key 'remark' \[own.toml: ct.a\]; expected: keys id, value"),
        (written(unit=""), r"unit is '' \[own.toml: ct.a\]; expected: text"),
        (written().replace('unit = "mm"', "unit = 1"), r"unit is 1 "),
        (written().replace('source = "osteotrace"\n', ""), r"source is missing \[own.toml: ct.a\]"),
        (written().replace("value = 1\n", ""), r"value is missing"),
        (written().replace('id = "ct.a"\n', ""), r"id is missing \[own.toml: criterion 1\]"),
        (written(id="Bare"), r"id is 'Bare' .*lower-case dotted words"),
        (written() + written(), r"the id appears twice \[own.toml: ct.a\]; expected: each id once"),
        ("criterion = 1", r"no criteria \[own.toml\]; expected: \[\[criterion\]\] tables"),
        ("", r"no criteria"),
        ("[[rule]]\nid = 1", r"unknown key 'rule' \[own.toml\]"),
        ("id = ", r"not TOML: .*\(at (line 2, column \d|end of document)"),
    ],
)
def test_wrong_entries_are_refused(entry: str, message: str):
    with pytest.raises(DeclarationError, match=message):
        parsed(entry)


@pytest.mark.parametrize("version", ["1.0", '"1"', '"one"', "true"])
def test_wrong_version_is_refused(version: str):
    with pytest.raises(DeclarationError, match=r"version is .*expected: text such as \"1.0.0\""):
        parsed(written(), version=version)


def test_a_file_that_is_no_text_is_refused():
    with pytest.raises(DeclarationError, match=r"not TOML"):
        parse_criteria(b"\xff\xfe\x00", "own.toml")


@given(
    number=st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53),
    name=st.text(string.ascii_lowercase, min_size=1),
)
def test_any_finite_number_comes_back(number: float, name: str):
    own = parsed(written(repr(number), id=f"ct.{name}"))
    assert own.number(f"ct.{name}") == number
