from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from osteotrace.findings import measure
from osteotrace.lesions import lesions_of
from osteotrace.model.criteria import load_criteria
from osteotrace.model.imaging import NuclearFacts, Volume
from osteotrace.model.lesion import Finding, Measurement, Missing
from osteotrace.model.patient import PatientImages
from osteotrace.model.values import Quantity, Verdict
from scene import CT, PET, T1, Ball, alignments, images

CRITERIA = load_criteria()
BALL = Ball((5.0, -8.0, 3.0), 16.0, hu=500.0, suv=6.0, signal=80.0)


def findings(patient: PatientImages, verdict: Verdict = Verdict.GOOD) -> dict[str, Finding]:
    lesions, _ = lesions_of(patient)
    return {f.series_id: f for f in measure(lesions, patient, alignments(verdict), CRITERIA)}


def value(finding: Finding, name: str) -> Measurement:
    found = next(v for v in finding.values if v.name == name)
    assert isinstance(found, Measurement), found
    return found


def missing(finding: Finding, name: str) -> Missing:
    found = next(v for v in finding.values if v.name == name)
    assert isinstance(found, Missing), found
    return found


@pytest.fixture(scope="module")
def read() -> dict[str, Finding]:
    return findings(images(BALL, regions=(BALL.region(CT, 1),)))


def test_every_exam_that_covers_the_place_is_measured(read: dict[str, Finding]) -> None:
    assert {s: f.region for s, f in read.items()} == {T1: "mapped", CT: "drawn", PET: "mapped"}
    assert read[CT].error_mm == 0.0
    assert read[PET].error_mm == 2.0
    assert read[T1].error_mm == 4.0


def test_hu_of_the_core(read: dict[str, Finding]) -> None:
    mean = value(read[CT], "HU mean")
    assert mean.value == pytest.approx(500.0)
    assert mean.unit == "[hnsf'U]"
    assert "rim of 1 mm or a voxel left out (ct.roi_erosion_mm)" in mean.method
    assert 0 < mean.n_voxels < BALL.mask(CT).n_voxels


def test_uptake_where_it_was_not_outlined(read: dict[str, Finding]) -> None:
    assert value(read[PET], "SUVmax").value == pytest.approx(6.0)
    assert value(read[PET], "SUVpeak").value == pytest.approx(6.0)
    assert value(read[PET], "SULpeak").value == pytest.approx(6.0 * 55.857 / 70.0)
    mtv, tlg = value(read[PET], "MTV"), value(read[PET], "TLG")
    assert tlg.value == pytest.approx(mtv.value * 6.0)
    assert mtv.criterion_id == "pet.relative_suvmax_fraction"


def test_signal_in_the_other_frame(read: dict[str, Finding]) -> None:
    assert value(read[T1], "signal median").value == pytest.approx(80.0)
    assert value(read[T1], "signal CV").value < 0.35


def test_a_carried_over_size_is_no_measurement(read: dict[str, Finding]) -> None:
    reason = "carried over from E2-R1: the size was not measured on this series"
    assert missing(read[T1], "volume").reason == reason
    assert value(read[CT], "volume").value == pytest.approx(BALL.mask(CT).volume_ml)


def test_ids_are_unique_and_point_back(read: dict[str, Finding]) -> None:
    ids = [v.id for f in read.values() for v in f.values]
    assert len(set(ids)) == len(ids)
    assert value(read[PET], "SUVmax").id == "E2-R1@E3-S1/suv-max"


def test_a_failed_alignment_gives_no_finding() -> None:
    found = findings(images(BALL, regions=(BALL.region(CT, 1),)), Verdict.FAILED)
    assert set(found) == {CT, PET}


def test_no_mean_hu_of_a_lesion_thinner_than_two_slices() -> None:
    tiny = Ball((1.0, 1.0, 2.0), 2.5)
    found = findings(images(tiny, regions=(tiny.region(CT, 1),)))
    assert "ct.diameter_slice_factor_min" in missing(found[CT], "HU mean").reason


def test_a_lesion_cut_by_the_field_of_view() -> None:
    ball = Ball((0.0, 0.0, 60.0), 14.0)
    found = findings(images(ball, regions=(ball.region(PET, 1),)))
    assert 0 < found[CT].coverage < 1
    assert "of the lesion is in the field of view" in value(found[CT], "HU mean").method


def test_no_lean_body_mass_no_sul() -> None:
    patient = images(BALL, regions=(BALL.region(CT, 1),))
    pet = patient.volume(PET)
    assert pet is not None
    assert isinstance(pet.series.facts, NuclearFacts)
    series = replace(pet.series, facts=replace(pet.series.facts, lean_body_mass_kg=None))
    other = tuple(v for v in patient.volumes if v is not pet)
    found = findings(replace(patient, volumes=(*other, Volume(pet.values, pet.grid, series))))
    assert missing(found[PET], "SULpeak").reason.startswith("height, weight or sex is not known")


@pytest.mark.parametrize(
    ("quantity", "names"),
    [
        (Quantity.ADC, {"ADC mean", "ADC SD", "ADC median", "ADC P10"}),
        (Quantity.DOSE, {"dose mean", "dose min", "dose max"}),
        (Quantity.ACTIVITY, {"activity mean", "activity SD", "activity max"}),
        (Quantity.COUNTS, {"counts mean", "counts SD", "counts max"}),
        (Quantity.UNKNOWN, set()),
    ],
)
def test_each_quantity_has_its_measures(quantity: Quantity, names: set[str]) -> None:
    patient = images(BALL, regions=(BALL.region(PET, 1),))
    pet = patient.volume(PET)
    assert pet is not None
    volume = Volume(pet.values, pet.grid, replace(pet.series, quantity=quantity))
    found = findings(replace(patient, volumes=(volume,)))
    assert {v.name for v in found[PET].values} == names | {"volume", "longest diameter"}


def test_no_uptake_no_metabolic_volume() -> None:
    cold = replace(BALL, suv=0.0)
    found = findings(images(cold, regions=(cold.region(PET, 1),)))
    assert missing(found[PET], "MTV").reason == "no positive uptake in the region"


def test_a_signal_that_is_not_positive_has_no_variation() -> None:
    dark = replace(BALL, signal=0.0)
    found = findings(images(dark, regions=(dark.region(T1, 1),)))
    assert missing(found[T1], "signal CV").reason == "the mean signal is not positive"


def test_values_that_are_not_finite_are_missing() -> None:
    patient = images(BALL, regions=(BALL.region(T1, 1),))
    mr = patient.volume(T1)
    assert mr is not None
    broken = Volume(np.full(mr.grid.shape, np.inf, dtype=np.float32), mr.grid, mr.series)
    with np.errstate(invalid="ignore"):
        found = findings(replace(patient, volumes=(broken,)))
    assert missing(found[T1], "signal mean").reason == "the image has no finite values there"
