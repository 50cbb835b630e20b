"""The unit of ADC maps: declared, concluded, or refused."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from dicom_images import write_stack
from osteotrace.intake import read_study
from osteotrace.model.values import Quantity

ADC = ["DERIVED", "PRIMARY", "ADC"]


def adc(folder, value, **more):
    write_stack(folder, "MR", pixels=[np.full((6, 5), value, np.uint16)] * 4, ImageType=ADC, **more)
    return read_study(folder)


def mapping(unit, slope):
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = unit, "UCUM"
    made = Dataset()
    made.RealWorldValueSlope, made.RealWorldValueIntercept = slope, 0.0
    made.RealWorldValueFirstValueMapped, made.RealWorldValueLastValueMapped = 0, 4095
    made["RealWorldValueFirstValueMapped"].VR = made["RealWorldValueLastValueMapped"].VR = "US"
    made.MeasurementUnitsCodeSequence = Items([code])
    return [made]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"RealWorldValueMappingSequence": mapping("um2/s", 1.0)}, 1200),
        ({"RealWorldValueMappingSequence": mapping("mm2/s", 1e-6)}, 1200),
        ({"RealWorldValueMappingSequence": mapping("mm2/s", 1e-7)}, 120),
        ({"RescaleType": "10^-6 mm2/s", "RescaleSlope": 2, "RescaleIntercept": 0}, 2400),
    ],
)
def test_a_declared_unit_is_used(tmp_path, more, expected):
    found = adc(tmp_path, 1200, **more)
    series = found.volumes[0].series
    assert (series.quantity, series.unit, series.name) == (Quantity.ADC, "um2/s", "ADC")
    np.testing.assert_allclose(found.volumes[0].values, expected, rtol=1e-6)
    assert [p.code for p in found.problems] == []


@pytest.mark.parametrize(("slope", "scale"), [(1, 1), (0.001, 1e3), (0.000001, 1e6)])
def test_an_undeclared_unit_is_concluded_from_the_values_and_recorded(tmp_path, slope, scale):
    found = adc(tmp_path, 1200, RescaleSlope=slope, RescaleIntercept=0)
    np.testing.assert_allclose(found.volumes[0].values, 1200, rtol=1e-5)
    (problem,) = found.problems
    assert (problem.severity, problem.code) == ("inferred", "adc-unit")
    assert f"taken as {scale:g} x 10-6 mm2/s per unit" in problem.found


def test_values_that_fit_no_unit_are_refused(tmp_path):
    found = adc(tmp_path, 30)
    assert found.volumes == ()
    assert found.problems[0].code == "quantity"
    assert "a median of 30 fits none" in found.problems[0].found


def test_real_maps_of_two_dates(case_dir):
    found = read_study(case_dir("cmbcrc_mr_adc_two_timepoints"))
    assert [(e.id, e.day) for e in found.timeline.exams] == [("E1", 0), ("E2", 126)]
    assert {v.series.quantity for v in found.volumes} == {Quantity.ADC}
    for volume in found.volumes:
        assert 500 < np.median(volume.values[volume.values > 0]) < 1500
        assert volume.series.facts.fat_suppression.source == "ScanOptions=FS"
    assert [p.code for p in found.problems] == ["adc-unit", "adc-unit"]
