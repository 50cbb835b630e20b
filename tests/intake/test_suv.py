"""SUV rules over header records: factors, refusals and their words, what is noted, laws that must hold."""

from __future__ import annotations

import ast
import math
from dataclasses import replace
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osteotrace.errors import SuvError
from osteotrace.intake import suv as suv_module
from osteotrace.intake.suv import (
    CodedText,
    PetHeader,
    RealWorldValue,
    SuvVariant,
    body_surface_area,
    check_real_world_value,
    ideal_body_weight,
    lean_body_mass,
    normaliser,
    suv_factor,
    tracer_of,
    uptake_time,
)
from osteotrace.intake.suv_time import average_activity_time, injection
from osteotrace.intake.tracer import nuclide_of
from osteotrace.model.criteria import load_criteria
from osteotrace.model.values import Basis, Severity

CRITERIA = load_criteria()
F18 = 6586.2
SCAN = datetime(2020, 12, 17, 11, 0)
HOUR = timedelta(hours=1)
FRAME_S = 120.0
START_FACTOR = 70_000 / (370e6 * 2 ** (-3600 / F18))


def header(**changes: Any) -> PetHeader:
    """370 MBq one hour before the scan, a man of 70 kg and 175 cm; one frame of two minutes."""
    good: dict[str, Any] = {
        "series_instance_uid": "1.2.3",
        "units": "BQML",
        "suv_type": None,
        "decay_correction": "START",
        "corrected_image": ("ATTN", "DECY", "NORM"),
        "series_datetime": SCAN,
        "acquisition_datetimes": (SCAN,),
        "frame_reference_times_ms": (0.0,),
        "frame_durations_ms": (FRAME_S * 1000,),
        "decay_factors": (None,),
        "injection_datetime": SCAN - HOUR,
        "injection_time": None,
        "dose_bq": 370e6,
        "half_life_s": F18,
        "weight_kg": 70.0,
        "size_m": 1.75,
        "sex": "M",
    }
    return PetHeader(**{**good, **changes})


def factor(**changes: Any) -> float:
    return suv_factor(header(**changes), CRITERIA).factor


def beds(starts: list[datetime], reference_s: list[float], **changes: Any) -> PetHeader:
    """A series of several beds of two minutes."""
    return header(
        acquisition_datetimes=tuple(starts),
        frame_reference_times_ms=tuple(s * 1000 for s in reference_s),
        frame_durations_ms=(FRAME_S * 1000,) * len(starts),
        decay_factors=changes.pop("decay_factors", (None,) * len(starts)),
        **changes,
    )


class TestFactor:
    def test_start_decays_from_injection_to_the_scan(self):
        found = suv_factor(header(), CRITERIA)
        assert found.decayed_dose_bq == pytest.approx(253_314_180, rel=1e-6)
        assert 5000 * found.factor == pytest.approx(1.381683, rel=1e-6)
        assert (found.scan_datetime, found.injection_datetime) == (SCAN, SCAN - HOUR)
        assert (found.decay_s, found.basis, found.variant) == (3600, "series date and time", SuvVariant.BW)
        assert found.notes == ()

    def test_admin_does_not_decay(self):
        found = suv_factor(header(decay_correction="ADMIN"), CRITERIA)
        assert 5000 * found.factor == pytest.approx(0.945946, rel=1e-6)
        assert (found.basis, found.decay_s, found.decayed_dose_bq) == ("administration", 0.0, 370e6)
        assert found.scan_datetime == SCAN

    def test_admin_needs_no_times(self):
        found = suv_factor(header(decay_correction="ADMIN", series_datetime=None), CRITERIA)
        assert found.scan_datetime is None
        assert found.factor == pytest.approx(70_000 / 370e6)

    def test_decay_over_whole_days_counts(self):
        days = {"half_life_s": 282276.0, "injection_datetime": SCAN - timedelta(days=3, hours=1)}
        assert factor(**days) == pytest.approx(70_000 / (370e6 * 2 ** (-(73 * 3600) / 282276)))

    def test_notes_of_the_reader_are_kept(self):
        assert suv_factor(header(notes=("odd",)), CRITERIA).notes == ("odd",)

    def test_uptake_time(self):
        assert uptake_time(header(), CRITERIA) == 3600


REFUSALS = {
    "PROPCNTS": (
        {"units": "PROPCNTS"},
        "Units is PROPCNTS",
        "BQML, CNTS, GML, CM2ML",
        "attenuation-corrected",
    ),
    "units": ({"units": None}, "Units is missing", "BQML", "series in Bq/mL"),
    "attn": ({"corrected_image": ("DECY",)}, "CorrectedImage is DECY: without ATTN", "ATTN and DECY", "use"),
    "decy": ({"corrected_image": ("ATTN",)}, "CorrectedImage is ATTN: without DECY", "ATTN and DECY", "use"),
    "decay is not DECY": ({"corrected_image": ("ATTN", "DECAY")}, "without DECY", "ATTN and DECY", "use"),
    "NONE": ({"decay_correction": "NONE"}, "DecayCorrection is NONE", "START or ADMIN", "reconstruct"),
    "no decay": ({"decay_correction": None}, "DecayCorrection is missing", "START or ADMIN", "reconstruct"),
    "weight": ({"weight_kg": None}, "PatientWeight is missing", "2 to 350 kg", "complete"),
    "weight 0": ({"weight_kg": 0.0}, "PatientWeight is 0", "2 to 350 kg", "complete"),
    "weight low": ({"weight_kg": 1.99}, "PatientWeight is 1.99 kg", "2 to 350 kg", "correct"),
    "weight high": ({"weight_kg": 70000.0}, "PatientWeight is 70000 kg", "2 to 350 kg", "grams"),
    "weight negative": ({"weight_kg": -70.0}, "PatientWeight is -70 kg", "2 to 350 kg", "correct"),
    "dose": ({"dose_bq": None}, "RadionuclideTotalDose is missing", "in Bq", "complete"),
    "dose 0": ({"dose_bq": 0.0}, "RadionuclideTotalDose is 0", "in Bq", "complete"),
    "dose MBq": ({"dose_bq": 370.0}, "RadionuclideTotalDose is 370 Bq", "at least 1e+06 Bq", "MBq"),
    "half-life": ({"half_life_s": None}, "RadionuclideHalfLife is missing", "in seconds", "complete"),
    "half-life 0": ({"half_life_s": 0.0}, "RadionuclideHalfLife is 0 s", "in seconds", "complete"),
    "series": ({"series_datetime": None}, "SeriesDate or SeriesTime is missing", "date and time", "complete"),
    "acquisition": ({"acquisition_datetimes": (None,)}, "missing in 1 of 1 instances", "in each", "complete"),
    "injection": ({"injection_datetime": None}, "StartDateTime and Radio", "time of injection", "complete"),
    "negative": (
        {"injection_datetime": SCAN + HOUR},
        "the injection (RadiopharmaceuticalStartDateTime) is after the scan (series date and time): -3600 s",
        "0 to 10 half-lives (65862 s)",
        "de-identification",
    ),
    "other day": (
        {"injection_datetime": SCAN - HOUR - timedelta(days=7)},
        "92.4 half-lives before the scan",
        "0 to 10 half-lives",
        "de-identification",
    ),
    "counts": ({"units": "CNTS"}, "Units is CNTS and no factor", "(7053,1000) or (7053,1009)", "Bq/mL"),
    "type": ({"units": "GML", "suv_type": "SUM"}, "SUVType is SUM and Units is GML", "LBMJANMA", "correct"),
    "BSA in g/mL": (
        {"units": "GML", "suv_type": "BSA"},
        "SUVType is BSA and Units is GML",
        "CM2ML",
        "correct",
    ),
    "BW in cm2/mL": (
        {"units": "CM2ML", "suv_type": "BW"},
        "SUVType is BW and Units is CM2ML",
        "BSA",
        "correct",
    ),
}


class TestRefusals:
    @pytest.mark.parametrize("case", REFUSALS)
    def test_says_what_where_and_what_to_do(self, case):
        changes, found, expected, remedy = REFUSALS[case]
        with pytest.raises(SuvError) as caught:
            factor(**changes)
        error = caught.value
        assert found in error.found
        assert error.where == "series 1.2.3"
        assert expected in error.expected
        assert remedy in error.remedy

    def test_limits_themselves_are_accepted(self):
        for changes in (
            {"weight_kg": 2.0},
            {"weight_kg": 350.0},
            {"dose_bq": 1e6},
            {"injection_datetime": SCAN},
        ):
            assert factor(**changes) > 0
        ten = {"injection_datetime": SCAN - timedelta(seconds=10 * F18)}
        assert factor(**ten) == pytest.approx(70_000 / 370e6 * 1024)

    def test_half_life_of_another_radionuclide(self):
        fluorine = CodedText("C-111A1", "SNM3", "F^18^[^18^Fluorine]")
        assert factor(radionuclide=fluorine, half_life_s=6588.0) > 0
        with pytest.raises(SuvError, match=r"is 109.77 s, but the radionuclide is F18 .*expected: 6586.2 s"):
            factor(radionuclide=fluorine, half_life_s=109.77)
        with pytest.raises(SuvError, match="radionuclide is Ga68"):
            factor(radionuclide=CodedText("C-131A3", "SRT", ""))

    def test_times_that_leave_the_calendar(self):
        late = beds([SCAN], [1e12], series_datetime=SCAN + HOUR)
        with pytest.raises(SuvError, match="leads out of the calendar"):
            suv_factor(late, CRITERIA)


class TestReferenceTime:
    def test_series_time_up_to_the_first_acquisition(self):
        starts = [SCAN + timedelta(minutes=20), SCAN + timedelta(minutes=17)]
        found = suv_factor(beds(starts, [0, 0]), CRITERIA)
        assert (found.scan_datetime, found.basis) == (SCAN, "series date and time")

    def test_ge_private_time_for_a_postprocessed_series(self):
        stated = SCAN - timedelta(minutes=1)
        found = suv_factor(header(series_datetime=SCAN + 3 * HOUR, ge_scan_datetime=stated), CRITERIA)
        assert (found.scan_datetime, found.basis) == (stated, "GE private scan date and time")
        assert found.notes == (
            "the series date and time are 10800 s after the earliest acquisition: not used",
        )

    def test_ge_private_time_of_another_date_is_not_used(self):
        odd = header(series_datetime=SCAN + HOUR, ge_scan_datetime=SCAN - timedelta(days=400))
        found = suv_factor(odd, CRITERIA)
        assert found.basis == "earliest acquisition"
        assert "GE's private scan time is 400.0 days before the earliest acquisition: not used" in found.notes

    def test_back_from_the_frame_reference_times(self):
        within = average_activity_time(F18, FRAME_S)
        starts = [SCAN + timedelta(seconds=s) for s in (360, 240, 120)]
        series = beds(starts, [360 + within, 240 + within, 120 + within], series_datetime=SCAN + 5 * HOUR)
        found = suv_factor(series, CRITERIA)
        assert found.basis == "frame reference time"
        assert abs(found.scan_datetime - SCAN) < timedelta(milliseconds=1)
        assert found.factor == pytest.approx(START_FACTOR, rel=1e-6)

    def test_frames_that_differ_by_seconds_give_their_median(self):
        starts = [SCAN + timedelta(seconds=s) for s in (120, 240, 360)]
        series = beds(starts, [120, 242, 361], series_datetime=SCAN + HOUR)
        found = suv_factor(series, CRITERIA)
        within = average_activity_time(F18, FRAME_S)
        assert found.scan_datetime == SCAN + timedelta(seconds=round(within - 1, 6))
        assert "the frames' reference times differ by 2 s: the median is used" in found.notes

    def test_frames_that_contradict_each_other(self):
        series = beds([SCAN, SCAN], [60, 363], series_datetime=SCAN + HOUR)
        with pytest.raises(SuvError, match="the frames give decay reference times 303 s apart"):
            suv_factor(series, CRITERIA)

    @pytest.mark.parametrize("reference", [(0.0,), (None,), (-1.0,)])
    def test_without_frame_reference_times_the_first_acquisition(self, reference):
        found = suv_factor(header(series_datetime=SCAN + HOUR, frame_reference_times_ms=reference), CRITERIA)
        assert (found.scan_datetime, found.basis) == (SCAN, "earliest acquisition")
        assert found.notes[1] == "no frame reference times to compute back from"

    def test_the_first_acquisition_of_several_beds(self):
        series = beds([SCAN + HOUR, SCAN], [0, 0], series_datetime=SCAN + 2 * HOUR)
        assert suv_factor(series, CRITERIA).scan_datetime == SCAN

    def test_series_date_long_before_the_acquisition_is_not_the_start(self):
        found = suv_factor(header(series_datetime=SCAN - timedelta(days=31)), CRITERIA)
        assert found.scan_datetime == SCAN
        assert "the series date and time are 31.0 days before the earliest acquisition" in found.notes[0]

    def test_decay_factor_that_agrees_is_silent(self):
        decay = math.log(2) / F18 * FRAME_S
        agrees = decay / (1 - math.exp(-decay))
        assert suv_factor(header(decay_factors=(agrees,)), CRITERIA).notes == ()
        assert suv_factor(header(decay_factors=(1.0,), frame_durations_ms=(3e5,)), CRITERIA).notes == ()

    def test_decay_factor_of_the_first_bed_counts(self):
        frame = 2 ** (average_activity_time(F18, FRAME_S) / F18)
        starts = [SCAN, SCAN + timedelta(minutes=5)]
        series = beds(starts, [60, 360], decay_factors=(frame, frame * 2))
        assert suv_factor(series, CRITERIA).notes == ()

    def test_decay_factor_that_disagrees_is_noted(self):
        decay = math.log(2) / F18 * FRAME_S
        later = decay / (1 - math.exp(-decay)) * 2 ** (600 / F18)
        (note,) = suv_factor(header(decay_factors=(later,)), CRITERIA).notes
        assert note == "DecayFactor puts the decay reference time 600 s earlier"

    def test_average_activity_time_of_a_real_frame(self):
        # A Siemens header states 59936.854672596 ms for a first frame of 120 s of F-18.
        assert average_activity_time(F18, 120) == pytest.approx(59.936854672596, abs=1e-9)


class TestInjection:
    def test_time_of_day_on_the_day_of_the_scan(self):
        found = suv_factor(header(injection_datetime=None, injection_time=time(10, 0)), CRITERIA)
        assert found.injection_datetime == SCAN - HOUR
        assert found.notes == ("injection date taken from the scan",)

    def test_time_of_day_of_the_scan_itself(self):
        assert factor(injection_datetime=None, injection_time=SCAN.time()) == pytest.approx(70_000 / 370e6)

    def test_time_of_day_before_midnight(self):
        scan = datetime(2020, 12, 18, 0, 20)
        night = header(
            series_datetime=scan,
            acquisition_datetimes=(scan,),
            injection_datetime=None,
            injection_time=time(23, 20),
        )
        found = suv_factor(night, CRITERIA)
        assert found.injection_datetime == datetime(2020, 12, 17, 23, 20)
        assert found.factor == pytest.approx(START_FACTOR)
        assert found.notes == ("injection moved to the day before the scan (midnight)",)

    def test_time_of_day_after_the_scan_is_nearly_a_day(self):
        with pytest.raises(
            SuvError, match=r"RadiopharmaceuticalStartTime.* is 12\.6 half-lives before the scan"
        ):
            factor(injection_datetime=None, injection_time=time(12, 0))

    def test_time_of_day_does_not_tell_the_day_of_a_long_lived_tracer(self):
        with pytest.raises(
            SuvError, match="the injection has a time but no date, and the half-life is 282276 s"
        ):
            factor(injection_datetime=None, injection_time=time(10, 0), half_life_s=282276.0)

    def test_ge_private_injection_time_only_without_another(self):
        found = suv_factor(header(injection_datetime=None, ge_injection_datetime=SCAN - HOUR), CRITERIA)
        assert found.notes == ("injection time from GE's private block",)
        assert found.factor == pytest.approx(START_FACTOR)

    def test_two_statements_that_differ_are_noted(self):
        (note,) = suv_factor(header(injection_time=time(9, 0)), CRITERIA).notes
        assert note.startswith("RadiopharmaceuticalStartTime differs from")
        assert suv_factor(header(injection_time=time(10, 0, 30)), CRITERIA).notes == ()

    def test_utc_offsets_are_converted(self):
        moved = header(
            injection_datetime=SCAN - HOUR + 5 * HOUR, injection_utc_offset_min=0, utc_offset_min=-300
        )
        found = suv_factor(moved, CRITERIA)
        assert found.factor == pytest.approx(START_FACTOR)
        assert found.notes == ("injection time converted from UTC+0 min to the series' UTC-300 min",)

    def test_same_utc_offset_needs_no_note(self):
        assert suv_factor(header(injection_utc_offset_min=60, utc_offset_min=60), CRITERIA).notes == ()

    def test_utc_offset_of_the_injection_alone(self):
        with pytest.raises(SuvError, match="has a UTC offset, the series no TimezoneOffsetFromUTC"):
            factor(injection_utc_offset_min=0)
        assert factor(injection_utc_offset_min=0, injection_time=time(10, 0)) == pytest.approx(START_FACTOR)


class TestCounts:
    def test_philips_factor_to_suv(self):
        found = suv_factor(header(units="CNTS", philips_suv_factor=0.0005), CRITERIA)
        assert (found.factor, found.basis) == (0.0005, "Philips private SUV factor")
        assert (found.decayed_dose_bq, found.scan_datetime) == (None, SCAN)

    def test_philips_factor_to_activity(self):
        assert factor(units="CNTS", philips_activity_factor=1.5) == pytest.approx(1.5 * START_FACTOR)

    def test_philips_factors_that_disagree_with_the_header(self):
        counts = {"units": "CNTS", "philips_activity_factor": 1.5, "philips_suv_factor": 3 * START_FACTOR}
        (note,) = suv_factor(header(**counts), CRITERIA).notes
        assert note == "the Philips private factors give 2 times the SUV of the standard attributes"
        agreeing = {**counts, "philips_suv_factor": 1.5 * 1.005 * START_FACTOR}
        assert suv_factor(header(**agreeing), CRITERIA).notes == ()

    def test_philips_factors_beside_activity_are_only_compared(self):
        bqml = {"philips_activity_factor": 1.0, "philips_suv_factor": 2 * START_FACTOR}
        found = suv_factor(header(**bqml), CRITERIA)
        assert found.factor == pytest.approx(START_FACTOR)
        assert len(found.notes) == 1

    def test_philips_factor_that_cannot_be_compared(self):
        (note,) = suv_factor(header(units="CNTS", philips_suv_factor=0.1, weight_kg=None), CRITERIA).notes
        assert note == "the Philips SUV factor could not be checked: PatientWeight is missing"


class TestStoredSuv:
    @pytest.mark.parametrize("suv_type", [None, "BW"])
    def test_body_weight_is_taken_as_it_is(self, suv_type):
        found = suv_factor(header(units="GML", suv_type=suv_type, weight_kg=None, dose_bq=None), CRITERIA)
        assert (found.factor, found.basis, found.notes) == (1.0, "stored as SUVbw", ())

    @pytest.mark.parametrize(
        ("units", "suv_type", "ratio"),
        [
            ("GML", "LBM", 70 / 57.8),
            ("GML", "LBMJAMES128", 70 / 56.52),
            ("GML", "LBMJANMA", 70 / 55.8571077),
            ("GML", "IBW", 70 / 72.38),
            ("CM2ML", "BSA", 70_000 / 18481.4302),
            ("CM2ML", None, 70_000 / 18481.4302),
        ],
    )
    def test_other_variants_are_converted_and_noted(self, units, suv_type, ratio):
        found = suv_factor(header(units=units, suv_type=suv_type), CRITERIA)
        assert found.factor == pytest.approx(ratio, rel=1e-8)
        assert found.notes[0].startswith("converted from SUV")

    def test_conversion_needs_the_body(self):
        with pytest.raises(SuvError, match="PatientSize is missing, which SUVlbm needs"):
            factor(units="GML", suv_type="LBM", size_m=None)


class TestBody:
    @pytest.mark.parametrize(
        ("weight", "size", "sex", "masses", "ideal", "surface"),
        [
            (70, 1.75, "M", (57.800, 56.520, 55.857), 72.38, 18481.4),
            (60, 1.65, "F", (44.630, 44.630, 39.287), 57.33, 16586.6),
        ],
    )
    def test_golden_values(self, weight, size, sex, masses, ideal, surface):
        assert self.lean_masses(weight, size, sex) == pytest.approx(masses, abs=5e-4)
        assert ideal_body_weight(size, sex, CRITERIA) == pytest.approx(ideal, abs=1e-9)
        assert body_surface_area(weight, size, CRITERIA) == pytest.approx(surface, abs=0.05)

    def test_james_falls_at_high_weight(self):
        assert self.lean_masses(140, 1.70, "M") == pytest.approx((72.6, 67.2, 75.7), abs=0.05)

    def lean_masses(self, weight, size, sex):
        variants = (SuvVariant.LBM, SuvVariant.LBM_JAMES128, SuvVariant.LBM_JANMA)
        return [lean_body_mass(weight, size, sex, CRITERIA, variant) for variant in variants]

    def test_normalisers(self):
        man = header()
        assert normaliser(man, SuvVariant.BW, CRITERIA) == 1
        assert normaliser(man, "SUVlbm", CRITERIA) == pytest.approx(57.8 / 70)
        assert normaliser(man, "SUVibw", CRITERIA) == pytest.approx(72.38 / 70)
        assert normaliser(man, "SUVbsa", CRITERIA) == pytest.approx(18481.4302 / 70_000)

    @pytest.mark.parametrize("variant", ["SUVlbm", "SUVlbm(James128)", "SUVlbm(Janma)", "SUVibw"])
    @pytest.mark.parametrize("sex", ["O", None, ""])
    def test_sex_that_the_formulas_do_not_have(self, variant, sex):
        with pytest.raises(SuvError, match=rf"PatientSex is {sex or 'missing'}, which .* expected: M or F"):
            normaliser(header(sex=sex), variant, CRITERIA)

    def test_surface_needs_no_sex(self):
        assert normaliser(header(sex="O"), "SUVbsa", CRITERIA) > 0

    @pytest.mark.parametrize("size", [None, 0.0, 175.0])
    def test_height_missing_or_in_centimetres(self, size):
        with pytest.raises(SuvError, match=r"PatientSize is .*expected: 0.3 to 2.5 m; do: .*height in cm"):
            normaliser(header(size_m=size), "SUVlbm", CRITERIA)

    def test_james_beyond_its_range(self):
        with pytest.raises(SuvError, match=r"the lean body mass for SUVlbm is .*; do: use SUVlbm\(Janma\)"):
            lean_body_mass(300, 1.5, "M", CRITERIA)

    def test_lean_mass_above_the_weight(self):
        words = r"the lean body mass for SUVlbm\(Janma\) is 41\.9 kg at 40 kg and 2 m; .*; do: use SUVbw"
        with pytest.raises(SuvError, match=words):
            lean_body_mass(40, 2.0, "M", CRITERIA, SuvVariant.LBM_JANMA)

    def test_ideal_weight_of_a_small_child(self):
        with pytest.raises(SuvError, match=r"the ideal body weight is -7\.1 kg at 1 m"):
            ideal_body_weight(1.0, "M", CRITERIA)

    def test_functions_refuse_by_themselves(self):
        with pytest.raises(SuvError, match="the sex is O; expected: M or F"):
            lean_body_mass(70, 1.75, "O", CRITERIA)
        with pytest.raises(SuvError, match="SUVibw has no lean body mass"):
            lean_body_mass(70, 1.75, "M", CRITERIA, SuvVariant.IBW)


class TestRealWorldValue:
    def test_agreement(self):
        assert check_real_world_value(0.00042111, 0.000421114, 0.01) is None

    def test_thousand_times_off(self):
        problem = check_real_world_value(4.2111e-07, 0.00042111, 0.01, where="RWV.dcm")
        assert problem is not None
        assert problem.severity is Severity.WARNING
        assert (problem.code, problem.where) == ("real-world-value", "RWV.dcm")
        assert (
            problem.found
            == "the real-world value slope is 4.2111e-07, 10^-3 times the factor from the headers"
        )
        assert problem.expected == "0.00042111 within 1%"
        assert problem.remedy.endswith("the factor from the headers is used")

    @pytest.mark.parametrize(
        ("ratio", "agrees"), [(1.009, True), (1.011, False), (0.991, True), (-1.0, False)]
    )
    def test_tolerance(self, ratio, agrees):
        assert (check_real_world_value(ratio * 3e-4, 3e-4, 0.01) is None) is agrees

    def test_mapping_of_stored_values_is_right_as_well(self):
        assert check_real_world_value(6e-4, 3e-4, 0.01) is not None
        assert check_real_world_value(6e-4, 3e-4, 0.01, rescale_slope=2.0) is None
        assert check_real_world_value(3e-4, 3e-4, 0.01, rescale_slope=2.0) is None

    def test_series_without_an_suv(self):
        problem = check_real_world_value(4e-4, None, 0.01)
        assert problem is not None
        assert "makes an SUV of a series whose SUV is refused" in problem.found

    @pytest.mark.parametrize(
        ("unit", "variant"),
        [
            ("{SUVbw}g/ml", SuvVariant.BW),
            ("g/ml{SUVbw}", SuvVariant.BW),
            ("{SUVlbm}g/ml", SuvVariant.LBM),
            ("g/ml{SUVlbm(Janma)}", SuvVariant.LBM_JANMA),
            ("cm2/ml{SUVbsa}", SuvVariant.BSA),
            ("Bq/ml", None),
        ],
    )
    def test_variant_of_the_unit(self, unit, variant):
        assert RealWorldValue(1.0, 0.0, unit, "", (), ()).variant is variant


class TestTracer:
    @pytest.mark.parametrize(
        ("agent", "name"),
        [
            ("FDG -- fluorodeoxyglucose", "FDG"),
            ("Fluorodeoxyglucose F^18^", "FDG"),
            ("F-18 FDG", "FDG"),
            ("18FFDG", "FDG"),
            ("[18F]FDG", "FDG"),
            ("Fludeoxyglucose F 18", "FDG"),
            ("2-fluoro-2-deoxy-D-glucose", "FDG"),
            ("Sodium fluoride F^18^", "NaF"),
            ("18F-NaF", "NaF"),
            ("Ga-68 PSMA-11", "PSMA"),
            ("Piflufolastat F 18", "PSMA"),
            ("68Ga-DOTATATE", "DOTATATE"),
            ("Technetium Tc^99m^ medronate", "MDP"),
            ("Tc-99m MDP", "MDP"),
            ("methylene diphosphonate", "MDP"),
            ("Technetium Tc^99m^ oxidronate", "HDP"),
            ("Tc99m HDP", "HDP"),
            ("hydroxymethylene diphosphonate", "HDP"),
            ("Fluorine", "unknown"),
            ("F-18", "unknown"),
            ("FDGal", "unknown"),
            ("DOTATOC", "unknown"),
            ("Fluoro-L-dopa F^18^", "unknown"),
            ("Solution", "unknown"),
            ("", "unknown"),
        ],
    )
    def test_by_name(self, agent, name):
        tracer = tracer_of(header(radiopharmaceutical=agent))
        assert tracer.name == name
        assert tracer.basis is (Basis.UNKNOWN if name == "unknown" else Basis.DECLARED)

    @pytest.mark.parametrize(
        ("value", "name"),
        [
            ("35321007", "FDG"),
            ("C-B1031", "FDG"),
            ("129501009", "NaF"),
            ("C-B1032", "NaF"),
            ("C118961", "PSMA"),
            ("126758", "PSMA"),
            ("724025002", "DOTATATE"),
            ("C-B1218", "MDP"),
            ("53951001", "HDP"),
        ],
    )
    def test_by_code(self, value, name):
        tracer = tracer_of(header(radiopharmaceutical_codes=(CodedText(value, "SCT", ""),)))
        assert (tracer.name, tracer.basis, tracer.text) == (name, Basis.DECLARED, value)

    def test_radionuclide_alone_names_no_tracer(self):
        tracer = tracer_of(header(radionuclide=CodedText("C-111A1", "SRT", "^18^Fluorine")))
        assert (tracer.name, tracer.basis) == ("unknown", Basis.UNKNOWN)
        assert tracer.text == "no radiopharmaceutical named"

    def test_contradiction_is_unknown(self):
        codes = (CodedText("35321007", "SCT", "FDG"),)
        tracer = tracer_of(header(radiopharmaceutical="Sodium fluoride", radiopharmaceutical_codes=codes))
        assert (tracer.name, tracer.basis) == ("unknown", Basis.UNKNOWN)
        assert tracer.text.startswith("contradictory: FDG and NaF")

    def test_description_only_as_a_last_resort(self):
        tracer = tracer_of(header(description="PET WB FDG"))
        assert (tracer.name, tracer.basis) == ("FDG", Basis.INFERRED)
        assert tracer_of(header(description="PET WB FDG", radiopharmaceutical="F-18 xyz")).name == "unknown"
        assert tracer_of(header(description="NaF and FDG")).name == "unknown"

    @pytest.mark.parametrize(
        ("value", "meaning", "name"),
        [
            ("C-111A1", "", "f18"),
            ("77004003", "", "f18"),
            ("", "18F", "f18"),
            ("", "F^18^[^18^Fluorine]", "f18"),
            ("", "^68^Gallium", "ga68"),
            ("", "Carbon-11", "c11"),
            ("", "99mTc", None),
            ("", "Fluorine", None),
        ],
    )
    def test_radionuclide(self, value, meaning, name):
        assert nuclide_of(CodedText(value, "", meaning)) == name
        assert nuclide_of(None) is None


TYPES = {
    SuvVariant.BW: "BW",
    SuvVariant.LBM: "LBM",
    SuvVariant.LBM_JAMES128: "LBMJAMES128",
    SuvVariant.LBM_JANMA: "LBMJANMA",
    SuvVariant.IBW: "IBW",
    SuvVariant.BSA: "BSA",
}

uptake_s = st.floats(0, 9.9 * F18)
weights_kg = st.floats(2, 350)


class TestLaws:
    @given(uptake_s, uptake_s)
    def test_the_longer_the_decay_the_larger_the_factor(self, first, second):
        short, long = sorted((first, second))
        one = factor(injection_datetime=SCAN - timedelta(seconds=short))
        two = factor(injection_datetime=SCAN - timedelta(seconds=long))
        assert one <= two

    @given(weights_kg, weights_kg)
    def test_linear_in_weight(self, one, other):
        assert factor(weight_kg=one) / one == pytest.approx(factor(weight_kg=other) / other, rel=1e-12)

    @given(st.floats(1e6, 1e10), st.floats(1.01, 10))
    def test_inverse_in_dose(self, dose, times):
        assert factor(dose_bq=dose * times) == pytest.approx(factor(dose_bq=dose) / times, rel=1e-12)

    @given(
        st.timedeltas(min_value=timedelta(days=-700_000), max_value=timedelta(days=2_000_000)),
        st.sampled_from([-HOUR, timedelta(0), HOUR]),
    )
    def test_shifting_every_date_changes_nothing(self, shift, series_after):
        def shifted(by: timedelta) -> PetHeader:
            return header(
                series_datetime=SCAN + series_after + by,
                acquisition_datetimes=(SCAN + by,),
                injection_datetime=SCAN - 3 * HOUR + by,
                frame_reference_times_ms=(90_000.0,),
            )

        moved, here = (suv_factor(shifted(by), CRITERIA) for by in (shift, timedelta(0)))
        assert moved.factor == pytest.approx(here.factor, rel=1e-12)
        assert moved.basis == here.basis

    @given(st.integers(0, 86_399))
    def test_time_of_day_is_taken_within_the_day_before_the_scan(self, second):
        clock = (datetime.min + timedelta(seconds=second)).time()
        given_at = injection(header(injection_datetime=None, injection_time=clock), SCAN, CRITERIA).when
        assert timedelta(0) <= SCAN - given_at < timedelta(days=1)
        assert given_at.time() == clock

    @given(st.floats(15, 40), st.floats(1.5, 2.0), st.sampled_from("MF"), st.sampled_from(sorted(TYPES)))
    def test_conversion_there_and_back(self, body_mass_index, size, sex, variant):
        person = header(weight_kg=body_mass_index * size**2, size_m=size, sex=sex)
        ratio = normaliser(person, variant, CRITERIA)
        units = "CM2ML" if variant is SuvVariant.BSA else "GML"
        stored = replace(person, units=units, suv_type=TYPES[variant])
        assert suv_factor(stored, CRITERIA).factor * ratio == pytest.approx(1.0)


def test_the_rules_do_not_know_pydicom():
    for path in Path(suv_module.__file__).parent.glob("suv*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
        assert not any(name.startswith("pydicom") for name in names), path.name
