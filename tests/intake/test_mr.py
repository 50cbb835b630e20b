"""Weighting, fat suppression and contrast: each decided apart from the others (criteria mr.*)."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from osteotrace.intake.describe import short_name
from osteotrace.intake.mr import mr_facts
from osteotrace.model.criteria import load_criteria
from osteotrace.model.values import Basis, Modality, Quantity

CRITERIA = load_criteria()
SE = {"ScanningSequence": "SE", "MRAcquisitionType": "2D"}
GR = {"ScanningSequence": "GR", "MRAcquisitionType": "2D"}
IR = {"ScanningSequence": ["SE", "IR"]}


def facts(**attributes):
    header = Dataset()
    for keyword, value in attributes.items():
        setattr(header, keyword, value)
    return mr_facts(header, CRITERIA)


@pytest.mark.parametrize(
    ("attributes", "weighting"),
    [
        (SE | {"RepetitionTime": 500, "EchoTime": 10}, "T1W"),
        (SE | {"RepetitionTime": 999, "EchoTime": 30}, "T1W"),
        (SE | {"RepetitionTime": 1000, "EchoTime": 30}, None),
        (SE | {"RepetitionTime": 500, "EchoTime": 31}, None),
        (SE | {"RepetitionTime": 2000, "EchoTime": 60}, "T2W"),
        (SE | {"RepetitionTime": 2000, "EchoTime": 59.9}, "PD"),
        (GR | {"RepetitionTime": 150, "EchoTime": 4, "FlipAngle": 70}, "T1W"),
        (GR | {"RepetitionTime": 150, "EchoTime": 4, "FlipAngle": 20}, None),
        (GR | {"RepetitionTime": 600, "EchoTime": 18, "FlipAngle": 20}, "T2*"),
        (
            {
                "ScanningSequence": "GR",
                "SequenceVariant": ["SK", "SP"],
                "MRAcquisitionType": "3D",
                "RepetitionTime": 4,
                "EchoTime": 2,
                "FlipAngle": 10,
            },
            "T1W",
        ),
        (IR | {"RepetitionTime": 4000, "EchoTime": 40, "InversionTime": 160}, "STIR"),
        (IR | {"RepetitionTime": 9000, "EchoTime": 120, "InversionTime": 2500}, "FLAIR"),
        (IR | {"RepetitionTime": 2200, "EchoTime": 10, "InversionTime": 860}, "T1W"),
        ({"ScanningSequence": "EP", "DiffusionBValue": 0.0}, "DWI"),
        (SE | {"DiffusionBValue": 0.0, "RepetitionTime": 500, "EchoTime": 10}, "T1W"),
        (SE | {"DiffusionBValue": 800.0, "RepetitionTime": 5000, "EchoTime": 80}, "DWI"),
        ({"ScanningSequence": ["EP", "SE"], "RepetitionTime": 5000, "EchoTime": 80}, None),
        ({"ImageType": ["DERIVED", "PRIMARY", "ADC"]}, "DWI"),
        ({"AcquisitionContrast": "T2", "EffectiveEchoTime": 10.0, "RepetitionTime": 500}, "T2W"),
        ({"EchoPulseSequence": "SPIN", "EffectiveEchoTime": 90.0, "RepetitionTime": 4000}, "T2W"),
    ],
)
def test_weighting_from_attributes(attributes, weighting):
    found = facts(**attributes).weighting
    assert found.value == weighting
    assert found.basis is (Basis.UNKNOWN if weighting is None else Basis.DECLARED)


def test_an_echo_planar_image_without_b_value_is_no_t2_by_its_times():
    found = facts(
        ScanningSequence="EP", RepetitionTime=5000, EchoTime=80, SeriesDescription="ep2d_diff_tra"
    ).weighting
    assert (found.value, found.basis) == ("DWI", Basis.INFERRED)


@pytest.mark.parametrize(
    ("token", "part", "name"),
    [("WATER", "water", "T1 water"), ("FAT", "fat", "T1 fat"), ("IN_PHASE", "in phase", "T1 in phase")],
)
def test_the_parts_of_a_dixon_acquisition_have_names_of_their_own(token, part, name):
    found = facts(**SE, RepetitionTime=500, EchoTime=10, ImageType=["DERIVED", "PRIMARY", "DIXON", token])
    assert found.dixon == part
    assert short_name(Modality.MR, Quantity.MR_SIGNAL, found, "") == name


def test_the_source_names_the_attributes():
    found = facts(**SE, RepetitionTime=500, EchoTime=10).weighting
    assert found.source == "ScanningSequence=SE, RepetitionTime=500, EchoTime=10"


@pytest.mark.parametrize(
    ("text", "weighting", "suppressed", "contrast"),
    [
        ("AXIAL SE T1 - RESEARCH", "T1W", None, None),
        ("AXIAL SE T2 FAT SAT - RESEARCH", "T2W", "yes", None),
        ("t1_tse_sag_fs_+C", "T1W", "yes", "yes"),
        ("SAG T1 POST GD", "T1W", None, "yes"),
        ("t2_tirm_cor", "STIR", "yes", None),
        ("STIR SAG", "STIR", "yes", None),
        ("t2fse spair", "T2W", "yes", None),
        ("T10 localizer plan", None, None, None),
        ("pd_sag", "PD", None, None),
        ("T1 FLAIR sag", "T1W", None, None),
        ("t2_flair", "FLAIR", None, None),
        ("FFE T2* ax", "T2*", None, None),
        ("fst", None, None, None),
        ("", None, None, None),
    ],
)
def test_text_is_the_last_resort_and_says_so(text, weighting, suppressed, contrast):
    found = facts(SeriesDescription=text)
    assert (found.weighting.value, found.fat_suppression.value, found.contrast.value) == (
        weighting,
        suppressed,
        contrast,
    )
    for attribute in (found.weighting, found.fat_suppression, found.contrast):
        assert attribute.basis is (Basis.UNKNOWN if attribute.value is None else Basis.INFERRED)


def test_attributes_come_before_text():
    found = facts(**SE, RepetitionTime=500, EchoTime=10, SeriesDescription="T2 map plan")
    assert (found.weighting.value, found.weighting.basis) == ("T1W", Basis.DECLARED)


@pytest.mark.parametrize(
    ("attributes", "value", "basis"),
    [
        ({"ScanOptions": ["PFP", "FS"]}, "yes", Basis.DECLARED),
        ({"ScanOptions": "PFP"}, None, Basis.UNKNOWN),
        ({"SpectrallySelectedSuppression": "FAT"}, "yes", Basis.DECLARED),
        ({"SpectrallySelectedSuppression": "NONE"}, "no", Basis.DECLARED),
        ({"ImageType": ["DERIVED", "PRIMARY", "DIXON", "WATER"]}, "yes", Basis.DECLARED),
        ({"ImageType": ["DERIVED", "PRIMARY", "DIXON", "FAT"]}, "no", Basis.DECLARED),
        ({"ImageType": ["DERIVED", "PRIMARY", "DIXON", "IN_PHASE"]}, "no", Basis.DECLARED),
        (IR | {"EchoTime": 40, "InversionTime": 160}, "yes", Basis.DECLARED),
    ],
)
def test_fat_suppression(attributes, value, basis):
    found = facts(**attributes).fat_suppression
    assert (found.value, found.basis) == (value, basis)


@pytest.mark.parametrize(("agent", "value"), [("Gadobutrol", "yes"), ("NONE", "no"), ("", None)])
def test_contrast_agent(agent, value):
    found = facts(ContrastBolusAgent=agent).contrast
    assert found.value == value


def test_times_of_zero_are_absent():
    found = facts(RepetitionTime=0, EchoTime=0, InversionTime=0, FlipAngle=0, MagneticFieldStrength=0)
    assert found.repetition_time_ms is None
    assert found.echo_time_ms is None
    assert found.inversion_time_ms is None
    assert found.flip_angle_deg is None
    assert found.field_strength_t is None


@pytest.mark.parametrize(
    ("maker", "group", "creator", "element", "vr", "value", "b"),
    [
        ("SIEMENS", 0x0019, "SIEMENS MR HEADER", 0x0C, "IS", "800", 800),
        ("GE MEDICAL SYSTEMS", 0x0043, "GEMS_PARM_01", 0x39, "IS", ["1000000700", "8", "0", "0"], 700),
        ("Philips Medical Systems", 0x2001, "Philips Imaging DD 001", 0x03, "FL", 600.0, 600),
    ],
)
def test_b_values_of_vendors(maker, group, creator, element, vr, value, b):
    header = Dataset()
    header.Manufacturer = maker
    header.private_block(group, creator, create=True).add_new(element, vr, value)
    assert mr_facts(header, CRITERIA).b_value == b
