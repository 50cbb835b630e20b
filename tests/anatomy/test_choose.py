"""Which volumes are read for bones."""

from __future__ import annotations

import pytest

from anatomy.patients import axial, images, mr_facts, pet, sagittal, series
from osteotrace.anatomy.choose import choose
from osteotrace.model.criteria import load_criteria
from osteotrace.model.values import Quantity

CRITERIA = load_criteria()
LUMBAR, THORACIC = sagittal(-300, 0), sagittal(-50, 250)


def chosen(patient, wanted=()):
    choice = choose(patient, CRITERIA, wanted)
    return [v.series.id for v in choice.volumes], {n.series_id: n.reason for n in choice.not_read}


def test_of_many_contrasts_one_is_read_and_the_others_say_why():
    exam = [
        series("stir", LUMBAR, mr_facts("STIR")),
        series("t1c", LUMBAR, mr_facts("T1W", contrast="yes")),
        series("t1", LUMBAR, mr_facts("T1W")),
        series("t2", LUMBAR, mr_facts("T2W")),
    ]
    read, left = chosen(images(exam))
    assert read == ["t1"]
    assert left == dict.fromkeys(("stir", "t1c", "t2"), "E1-S3 shows this part already")


def test_both_stations_of_a_spine_are_read():
    exam = [series("upper", THORACIC, mr_facts("T2W")), series("lower", LUMBAR, mr_facts("T2W"))]
    assert chosen(images(exam)) == (["upper", "lower"], {})


def test_what_shows_more_of_the_body_is_read_beside_the_best():
    exam = [series("t1", LUMBAR, mr_facts("T1W")), series("whole", sagittal(-300, 300), mr_facts("STIR"))]
    assert chosen(images(exam))[0] == ["t1", "whole"]


def test_sagittal_slices_come_before_others():
    exam = [
        series("axial", axial(-300, 0, "1.1", 12.0), mr_facts("T1W")),
        series("sag", LUMBAR, mr_facts("PD")),
    ]
    assert chosen(images(exam)) == (["sag"], {"axial": "E1-S2 shows this part already"})


def test_of_two_cts_of_the_same_part_the_thin_slices_are_read():
    thick, thin = axial(-500, 200, "1.1", 5.0), axial(-480, 180, "1.1", 1.25)
    whole = axial(-900, 200, "1.1", 5.0)
    exam = [series("thick", thick), series("thin", thin)]
    assert chosen(images(exam)) == (["thin"], {"thick": "E1-S2 shows this part already"})
    assert chosen(images([series("whole", whole), series("thin", thin)]))[0] == ["whole"]


def test_frames_and_exams_are_read_apart():
    first = [series("a", LUMBAR, mr_facts()), series("b", sagittal(-300, 0, "1.5"), mr_facts())]
    second = [series("ct", axial(-300, 0, "1.1"))]
    assert chosen(images(first, second)) == (["a", "b", "ct"], {})


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (pet("x", axial(0, 300)), "bones are not searched in PT"),
        (series("x", LUMBAR, mr_facts(), Quantity.ADC), "maps of diffusion"),
        (series("x", LUMBAR, mr_facts("DWI")), "diffusion-weighted"),
        (series("x", LUMBAR, mr_facts("T2W", b=800.0)), "diffusion-weighted"),
        (series("x", LUMBAR, mr_facts("T1W", dixon="fat")), "the fat image of a Dixon acquisition"),
    ],
)
def test_what_no_network_reads_is_left_out_by_name(one, reason):
    read, left = chosen(images([one]))
    assert read == []
    assert reason in left["x"]


def test_a_series_on_which_a_person_gave_a_level_is_read_in_any_case():
    exam = [series("t1", LUMBAR, mr_facts("T1W")), series("t2", LUMBAR, mr_facts("T2W"))]
    read, left = chosen(images(exam), wanted={"t2"})
    assert read == ["t2"]
    assert left == {"t1": "E1-S2 shows this part already"}
