"""From PET datasets to header records: made headers with the oddities of real ones, and real headers."""

from __future__ import annotations

import contextlib
from datetime import date, datetime, time
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread, dcmwrite
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import ImplicitVRLittleEndian

from osteotrace.errors import SuvError
from osteotrace.intake.dicom_time import parse_date, parse_datetime, parse_time, parse_utc_offset
from osteotrace.intake.pet_header import pet_header, real_world_values, tracer_in
from osteotrace.intake.suv import SuvVariant, check_real_world_value, suv_factor, tracer_of
from osteotrace.model.criteria import load_criteria
from osteotrace.model.values import Basis

CRITERIA = load_criteria()
FACTOR = 70_000 / (370e6 * 2 ** (-3600 / 6586.2))


def code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def instance(**changes: object) -> Dataset:
    """One instance of a good series; None takes an attribute away; ``agent_`` names go into the sequence."""
    agent, dataset = Dataset(), Dataset()
    values: dict[str, object] = {
        "SeriesInstanceUID": "1.2.3",
        "SeriesDate": "20201217",
        "SeriesTime": "110000",
        "AcquisitionDate": "20201217",
        "AcquisitionTime": "110000.000000",
        "PatientName": "DOE^JANE",
        "PatientWeight": "70",
        "PatientSize": "1.75",
        "PatientSex": "F",
        "Units": "BQML",
        "DecayCorrection": "START",
        "CorrectedImage": ["DECY", "ATTN"],
        "FrameReferenceTime": "0",
        "ActualFrameDuration": "120000",
        "agent_RadiopharmaceuticalStartTime": "100000.00",
        "agent_RadionuclideTotalDose": "370000000",
        "agent_RadionuclideHalfLife": "6586.2",
        **changes,
    }
    for name, value in values.items():
        target = agent if name.startswith("agent_") else dataset
        if value is not None:
            setattr(target, name.removeprefix("agent_"), value)
    dataset.RadiopharmaceuticalInformationSequence = [agent]
    return dataset


def reread(dataset: Dataset) -> Dataset:
    """As it comes from a file: elements are raw bytes, without the VR of private ones."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ImplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.128", "1.2.3.4"
    dataset.file_meta = meta
    stream = BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    stream.seek(0)
    return dcmread(stream)


def raw(dataset: Dataset, keyword: str, value: bytes) -> Dataset:
    """Put bytes that pydicom would not write."""
    tag = dataset[keyword].tag
    dataset._dict[tag] = RawDataElement(tag, dataset[keyword].VR, len(value), value, 0, False, True)
    return dataset


class TestReading:
    def test_a_good_series(self):
        header = pet_header([instance(), instance(AcquisitionTime="111500", FrameReferenceTime="900000")])
        assert header.series_datetime == datetime(2020, 12, 17, 11)
        assert header.acquisition_datetimes == (datetime(2020, 12, 17, 11), datetime(2020, 12, 17, 11, 15))
        assert header.frame_reference_times_ms == (0.0, 900_000.0)
        assert header.frame_durations_ms == (120_000.0, 120_000.0)
        assert header.corrected_image == ("ATTN", "DECY")
        assert (header.weight_kg, header.size_m, header.sex) == (70.0, 1.75, "F")
        assert suv_factor(header, CRITERIA).factor == pytest.approx(FACTOR)

    def test_the_same_from_a_file(self):
        assert pet_header([reread(instance())]) == pet_header([instance()])

    def test_absent_is_none(self):
        names = ("SeriesDate", "PatientWeight", "PatientSex", "Units", "CorrectedImage", "FrameReferenceTime")
        header = pet_header([instance(**dict.fromkeys(names))])
        assert header.series_datetime is None
        assert (header.weight_kg, header.sex, header.units, header.corrected_image) == (None, None, None, ())
        assert header.frame_reference_times_ms == (None,)

    def test_no_radiopharmaceutical_at_all(self):
        dataset = instance()
        del dataset.RadiopharmaceuticalInformationSequence
        assert pet_header([dataset]).dose_bq is None

    def test_no_instances(self):
        with pytest.raises(SuvError, match="a PET series without instances"):
            pet_header([])

    def test_acquisition_datetime_instead_of_date_and_time(self):
        changes = {"AcquisitionDate": None, "AcquisitionDateTime": "20201217110001.5"}
        (found,) = pet_header([instance(**changes)]).acquisition_datetimes
        assert found == datetime(2020, 12, 17, 11, 0, 1, 500_000)

    def test_start_datetime_and_offsets(self):
        stated = {"agent_RadiopharmaceuticalStartDateTime": "20201217100000.00-0500 "}
        header = pet_header([instance(TimezoneOffsetFromUTC="+0100", **stated)])
        assert header.injection_datetime == datetime(2020, 12, 17, 10)
        assert (header.injection_utc_offset_min, header.utc_offset_min) == (-300, 60)

    @pytest.mark.parametrize("stated", ["00000000100000", "20201217"])
    def test_start_datetime_without_a_date_or_time_is_noted(self, stated):
        dataset = instance(agent_RadiopharmaceuticalStartDateTime="20201217100000")
        raw(
            dataset.RadiopharmaceuticalInformationSequence[0],
            "RadiopharmaceuticalStartDateTime",
            stated.encode(),
        )
        found = suv_factor(pet_header([dataset]), CRITERIA)
        assert found.factor == pytest.approx(FACTOR)
        assert f"RadiopharmaceuticalStartDateTime is {stated!r}, no date and time: not used" in found.notes


class TestDamage:
    @pytest.mark.parametrize("value", [b"seventy ", b"70\\71 ", b"nan ", b"inf "])
    def test_number_that_is_none(self, value):
        with pytest.raises(SuvError, match=r"PatientWeight is .*series 1.2.3.*expected: one number"):
            pet_header([raw(instance(), "PatientWeight", value)])

    def test_padding_is_no_damage(self):
        assert pet_header([raw(instance(), "PatientWeight", b" 70.0\0")]).weight_kg == 70.0

    @pytest.mark.parametrize(
        ("change", "shown"),
        [
            ({"PatientWeight": "71"}, "PatientWeight is not one value in the series: 70.0, 71.0"),
            ({"PatientWeight": None}, "PatientWeight is not one value in the series: 70.0, absent"),
            ({"Units": "CNTS"}, "Units is not one value in the series: BQML, CNTS"),
            ({"SeriesTime": "110001"}, "SeriesTime is not one value"),
            ({"DecayCorrection": "ADMIN"}, "DecayCorrection is not one value in the series: ADMIN, START"),
            ({"CorrectedImage": ["DECY"]}, "CorrectedImage is not one value"),
            ({"TimezoneOffsetFromUTC": "+0100"}, "TimezoneOffsetFromUTC is not one value"),
            ({"agent_RadionuclideTotalDose": "1e6"}, "RadionuclideTotalDose is not one value"),
            ({"agent_RadionuclideHalfLife": "6588"}, "RadionuclideHalfLife is not one value"),
            ({"agent_RadiopharmaceuticalStartTime": "1001"}, "RadiopharmaceuticalStartTime is not one value"),
        ],
    )
    def test_mixed_values_of_a_series(self, change, shown):
        with pytest.raises(SuvError) as caught:
            pet_header([instance(), instance(**change)])
        assert shown in caught.value.found
        assert caught.value.where == "series 1.2.3"
        assert caught.value.remedy == "split the series, or correct the headers"

    def test_the_same_number_written_differently_is_the_same(self):
        assert pet_header([instance(), instance(PatientWeight="70.00")]).weight_kg == 70.0
        assert pet_header([instance(), instance(CorrectedImage=["ATTN", "DECY"])]).units == "BQML"

    def test_two_radiopharmaceuticals(self):
        dataset = instance()
        dataset.RadiopharmaceuticalInformationSequence.append(Dataset())
        with pytest.raises(SuvError, match="2 radiopharmaceuticals are given"):
            pet_header([dataset])

    def test_no_patient_name_in_any_message(self):
        with pytest.raises(SuvError) as caught:
            pet_header([instance(), instance(PatientWeight="71")])
        assert "DOE" not in repr(caught.value)
        assert "DOE" not in repr(pet_header([instance()]))


class TestPrivate:
    @pytest.mark.parametrize("blocks_before", [0, 3])
    @pytest.mark.parametrize("from_file", [False, True])
    def test_philips_block_wherever_it_is(self, blocks_before, from_file):
        dataset = instance(Units="CNTS")
        for number in range(blocks_before):
            dataset.private_block(0x7053, f"Somebody Else {number}", create=True).add_new(0, "DS", "9")
        block = dataset.private_block(0x7053, "Philips PET Private Group", create=True)
        block.add_new(0x00, "DS", "0.000551 ")
        block.add_new(0x09, "DS", "1.602563")
        header = pet_header([reread(dataset) if from_file else dataset])
        assert (header.philips_suv_factor, header.philips_activity_factor) == (0.000551, 1.602563)

    def test_the_address_without_the_creator_is_nothing(self):
        dataset = instance(Units="CNTS")
        dataset.private_block(0x7053, "Somebody Else", create=True).add_new(0x00, "DS", "0.000551")
        assert pet_header([dataset]).philips_suv_factor is None
        with pytest.raises(SuvError, match="not convertible"):
            suv_factor(pet_header([dataset]), CRITERIA)

    def test_damaged_philips_factor(self):
        dataset = instance(Units="CNTS")
        block = dataset.private_block(0x7053, "Philips PET Private Group", create=True)
        block.add_new(0x00, "LO", "broken")
        with pytest.raises(SuvError, match=r"\(7053,xx00\) of Philips PET Private Group is 'broken'"):
            pet_header([dataset])

    @pytest.mark.parametrize("from_file", [False, True])
    def test_ge_block(self, from_file):
        dataset = instance(SeriesTime="150000")
        dataset.private_block(0x0009, "GEMS_IDEN_01", create=True).add_new(0x0D, "LO", "no")
        block = dataset.private_block(0x0009, "GEMS_PETD_01", create=True)
        block.add_new(0x0D, "DT", "20201217110000.00")
        block.add_new(0x3B, "DT", "20201217100000.00")
        header = pet_header([reread(dataset) if from_file else dataset])
        assert header.ge_scan_datetime == datetime(2020, 12, 17, 11)
        assert header.ge_injection_datetime == datetime(2020, 12, 17, 10)
        found = suv_factor(header, CRITERIA)
        assert (found.basis, found.factor) == ("GE private scan date and time", pytest.approx(FACTOR))

    def test_private_value_that_differs_between_instances(self):
        datasets = [instance(), instance()]
        for dataset, value in zip(datasets, ("1", "2"), strict=True):
            dataset.private_block(0x7053, "Philips PET Private Group", create=True).add_new(0, "DS", value)
        with pytest.raises(SuvError, match=r"\(7053,xx00\) .* is not one value"):
            pet_header(datasets)


class TestTracer:
    def test_nuclear_medicine_instance(self):
        dataset, agent = Dataset(), Dataset()
        agent.RadiopharmaceuticalCodeSequence = [code("C-B1218", "SRT", "Technetium Tc^99m^ medronate")]
        dataset.RadiopharmaceuticalInformationSequence = [agent]
        assert tracer_in(dataset).name == "MDP"
        assert tracer_in(Dataset()).name == "unknown"

    def test_vendor_code_with_a_meaning(self):
        dataset = instance(agent_Radiopharmaceutical="FDG -- fluorodeoxyglucose")
        agent = dataset.RadiopharmaceuticalInformationSequence[0]
        agent.RadiopharmaceuticalCodeSequence = [code("Y-X1743", "99SDM", "FDG -- fluorodeoxyglucose")]
        agent.RadionuclideCodeSequence = [code("C-111A1", "99SDM", "18F")]
        header = pet_header([dataset])
        assert tracer_of(header).text == "FDG -- fluorodeoxyglucose"
        assert header.radionuclide is not None
        assert header.radionuclide.value == "C-111A1"

    def test_description(self):
        tracer = tracer_of(pet_header([instance(SeriesDescription="WB", StudyDescription="PET FDG")]))
        assert (tracer.name, tracer.basis, tracer.text) == ("FDG", Basis.INFERRED, "description: WB PET FDG")


class TestRealWorldValues:
    def test_of_an_image_itself(self):
        mapping = Dataset()
        mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = 0.5, 1.0
        mapping.MeasurementUnitsCodeSequence = [code("g/ml{SUVbw}", "UCUM", "SUV")]
        table = Dataset()
        table.RealWorldValueLUTData = [1.0, 2.0]
        dataset = instance(SOPInstanceUID="1.2.3.4", RealWorldValueMappingSequence=[mapping, table])
        (value,) = real_world_values(dataset)
        assert (value.slope, value.intercept, value.variant) == (0.5, 1.0, SuvVariant.BW)
        assert (value.series_uids, value.sop_uids) == (("1.2.3",), ("1.2.3.4",))

    def test_none(self):
        assert real_world_values(instance()) == ()


class TestTimes:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("110102.5", time(11, 1, 2, 500_000)),
            ("110102.000000 ", time(11, 1, 2)),
            (" 110102", time(11, 1, 2)),
            ("1101", time(11, 1)),
            ("11", time(11)),
            ("11:01:02.25", time(11, 1, 2, 250_000)),
            ("110102.1234567", time(11, 1, 2, 123_456)),
            ("235960", time(23, 59, 59, 999_999)),
            ("110102.00\0", time(11, 1, 2)),
            ("", None),
            ("1", None),
            ("250000", None),
            ("110102.", None),
            ("noon", None),
        ],
    )
    def test_time(self, text, expected):
        assert parse_time(text) == expected

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("20201217", date(2020, 12, 17)),
            ("2020.12.17", date(2020, 12, 17)),
            ("20201217 ", date(2020, 12, 17)),
            ("00000000", None),
            ("20200230", None),
            ("2020", None),
            ("", None),
        ],
    )
    def test_date(self, text, expected):
        assert parse_date(text) == expected

    def test_datetime(self):
        assert parse_datetime("2020121711") == (datetime(2020, 12, 17, 11), None)
        assert parse_datetime("20201217110102.5+0530") == (datetime(2020, 12, 17, 11, 1, 2, 500_000), 330)
        assert parse_datetime("20201217") is None
        assert parse_datetime("20200230110000") is None

    @pytest.mark.parametrize(
        ("text", "minutes"), [("+0100", 60), ("-0530", -330), ("0100", None), ("", None)]
    )
    def test_offset(self, text, minutes):
        assert parse_utc_offset(text) == minutes

    @given(st.datetimes())
    def test_datetime_round_trip(self, moment):
        assert parse_datetime(f"{moment:%Y%m%d%H%M%S.%f}".zfill(21)) == (moment, None)

    @given(st.text(max_size=30))
    def test_any_text_is_read_without_an_exception(self, text):
        assert parse_datetime(text) is None or parse_date(text[:8]) is not None or text.strip(" \0") != text
        parse_time(text)


@given(
    st.sampled_from(["PatientWeight", "SeriesTime", "Units", "FrameReferenceTime"]), st.binary(max_size=24)
)
def test_any_bytes_are_read_or_refused(keyword, value):
    with contextlib.suppress(SuvError):
        suv_factor(pet_header([raw(instance(), keyword, value)]), CRITERIA)


class TestRealSeries:
    def series(self, folder):
        return [dcmread(path, stop_before_pixels=True) for path in sorted(folder.iterdir())]

    def test_acrin(self, case_dir):
        case = case_dir("acrin_nsclc_fdg_pet_042_petct")
        header = pet_header(self.series(case / "pet_ac"))
        factor = suv_factor(header, CRITERIA).factor
        assert f"{factor:.8f}" == "0.00042111"
        assert tracer_of(header).name == "FDG"
        uncorrected = pet_header(self.series(case / "pet_nac"))
        with pytest.raises(SuvError, match="Units is PROPCNTS"):
            suv_factor(uncorrected, CRITERIA)
        verdicts = {}
        for path in sorted((case / "derived_seg_rwv").glob("RWV_*.dcm")):
            (value,) = (v for v in real_world_values(dcmread(path)) if v.variant is SuvVariant.BW)
            assert len(value.sop_uids) == 135
            problem = check_real_world_value(value.slope, factor, CRITERIA.number("suv.rwv_tolerance"))
            right_series = value.series_uids == (header.series_instance_uid,)
            verdicts[path.name] = (problem is None, right_series)
        assert verdicts == {
            "RWV_318261.dcm": (True, True),
            "RWV_829512.dcm": (True, True),
            "RWV_833547.dcm": (False, False),
        }

    @pytest.mark.parametrize(
        ("case", "expected", "tracer"),
        [
            # 71 kg, 388.777472 MBq, 10:35:00 to 11:20:11, 6588 s
            ("sts001_pet_ct_mr_rtstruct", 71_000 / (388777472 * 2 ** (-2711 / 6588)), "FDG"),
            # 123.6 kg, 587.92999267578 MBq, 08:45:00 to 10:27:31.687, 6586.2 s; no agent is named
            ("qin_headneck_pet_seg", 123_600 / (587929992.67578 * 2 ** (-6151.687 / 6586.2)), "unknown"),
        ],
    )
    def test_others(self, case_dir, case, expected, tracer):
        header = pet_header(self.series(case_dir(case) / "pet"))
        found = suv_factor(header, CRITERIA)
        assert found.factor == pytest.approx(expected, rel=1e-12)
        assert found.basis == "series date and time"
        assert found.notes == ("injection date taken from the scan",)
        assert tracer_of(header).name == tracer

    def test_real_world_values_of_another_program(self, case_dir):
        path = case_dir("seg_sr_samples") / "dcmqi_seg_sr" / "sr-example" / "rwvm.dcm"
        (value,) = real_world_values(dcmread(path))
        assert (value.slope, value.variant, len(value.sop_uids)) == (0.000375125, SuvVariant.BW, 191)


def test_private_tags_are_not_absolute():
    """The private block may be anywhere: (7053,2000) belongs to the creator at (7053,0020)."""
    dataset = instance(Units="CNTS")
    dataset.add_new(Tag(0x7053, 0x0020), "LO", "PHILIPS PET PRIVATE GROUP")
    dataset.add_new(Tag(0x7053, 0x2000), "DS", "0.0005")
    assert pet_header([dataset]).philips_suv_factor == 0.0005
