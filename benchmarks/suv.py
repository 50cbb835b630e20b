"""SUV from DICOM headers: golden values, real headers, and every refusal.

The expected values are plain arithmetic written here, or published with the data; nothing is expected that
the code under test has computed. Real headers are searched under ``--data`` (by default the folder that
OSTEOTRACE_DATA names):

- the eight vendor headers, ``*-instances.json``;
- the ACRIN PET series whose real-world value files state the factor 0.00042111, one of them 1000 times less;
- PET series without attenuation correction.

Exit code 0 when every case is right, 1 when not, 3 when there are no real headers.
"""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from _common import dicom_folders, finish, nothing_found, table, unpacked
from osteotrace.errors import SuvError
from osteotrace.intake.pet_header import pet_header, real_world_values
from osteotrace.intake.suv import (
    CodedText,
    PetHeader,
    SuvVariant,
    body_surface_area,
    check_real_world_value,
    ideal_body_weight,
    lean_body_mass,
    suv_factor,
)
from osteotrace.model.criteria import Criteria, load_criteria

NOT_RIGHT = 1
GOLDEN_TOLERANCE = 1e-6
HEADER_TOLERANCE = 1e-9
ACRIN_SERIES = "1.3.6.1.4.1.14519.5.2.1.7009.2403.879445243400782656317561081015"
ACRIN_FACTOR = 0.00042111
ACRIN_HALF_DIGIT = 0.000000005
F18 = 6586.2


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that was expected, and what came out."""

    name: str
    expected: str
    got: str
    right: bool


def close(name: str, expected: float, compute: Callable[[], float], tolerance: float) -> Case:
    """A number that must agree to a relative tolerance."""
    try:
        got = compute()
    except SuvError as error:
        return Case(name, f"{expected:.9g}", f"refused: {error.found}", False)
    return Case(name, f"{expected:.9g}", f"{got:.9g}", abs(got - expected) <= tolerance * abs(expected))


def refused(name: str, words: str, compute: Callable[[], object]) -> Case:
    """Something that must be refused, with a message that names the reason."""
    try:
        got = compute()
    except SuvError as error:
        return Case(name, f"refused: {words}", error.found, words in error.found)
    return Case(name, f"refused: {words}", f"{got}", False)


def good_header() -> PetHeader:
    """370 MBq F-18 one hour before a scan of a man of 70 kg and 175 cm."""
    scan = datetime(2020, 12, 17, 11, 0)
    return PetHeader(
        series_instance_uid="1.2.3",
        units="BQML",
        suv_type=None,
        decay_correction="START",
        corrected_image=("ATTN", "DECY"),
        series_datetime=scan,
        acquisition_datetimes=(scan,),
        frame_reference_times_ms=(0.0,),
        frame_durations_ms=(120000.0,),
        decay_factors=(None,),
        injection_datetime=scan - timedelta(hours=1),
        injection_time=None,
        dose_bq=370e6,
        half_life_s=F18,
        weight_kg=70.0,
        size_m=1.75,
        sex="M",
    )


def golden_cases(criteria: Criteria) -> Iterator[Case]:
    """Published worked values: dose, SUV, and the five body measures of a man and a woman."""
    voxel_bq_per_ml = 5000.0

    def dose() -> float:
        return suv_factor(good_header(), criteria).decayed_dose_bq or 0.0

    def suv(decay_correction: str) -> Callable[[], float]:
        header = replace(good_header(), decay_correction=decay_correction)
        return lambda: voxel_bq_per_ml * suv_factor(header, criteria).factor

    yield close("decayed dose, 370 MBq, 60 min", 253314180.0, dose, GOLDEN_TOLERANCE)
    yield close("SUVbw of 5000 Bq/mL, START", 1.381683, suv("START"), GOLDEN_TOLERANCE)
    yield close("SUVbw of 5000 Bq/mL, ADMIN", 0.945946, suv("ADMIN"), GOLDEN_TOLERANCE)
    yield from body_cases(criteria, 70.0, 1.75, "M")
    yield from body_cases(criteria, 60.0, 1.65, "F")


# Written out to more digits than the rounded golden values, which they round to:
# M 70 kg 175 cm   57.800, 56.520, 55.857, 72.38 kg, 18481.4 cm²
# F 60 kg 165 cm   44.630, 44.630, 39.287, 57.33 kg, 16586.6 cm²
BODY: Mapping[str, tuple[float, float, float, float, float]] = {
    "M": (
        1.10 * 70 - 120 * (70 / 175) ** 2,
        1.10 * 70 - 128 * (70 / 175) ** 2,
        9270 * 70 / (6680 + 216 * 70 / 1.75**2),
        48.0 + 1.06 * (175 - 152),
        70**0.425 * 175**0.725 * 71.84,
    ),
    "F": (
        1.07 * 60 - 148 * (60 / 165) ** 2,
        1.07 * 60 - 148 * (60 / 165) ** 2,
        9270 * 60 / (8780 + 244 * 60 / 1.65**2),
        45.5 + 0.91 * (165 - 152),
        60**0.425 * 165**0.725 * 71.84,
    ),
}
BODY_PRINTED: Mapping[str, tuple[float, ...]] = {
    "M": (57.800, 56.520, 55.857, 72.38, 18481.4),
    "F": (44.630, 44.630, 39.287, 57.33, 16586.6),
}


def body_cases(criteria: Criteria, weight_kg: float, size_m: float, sex: str) -> Iterator[Case]:
    """Lean masses, ideal weight and surface of one person."""

    def lean(variant: SuvVariant) -> Callable[[], float]:
        return lambda: lean_body_mass(weight_kg, size_m, sex, criteria, variant)

    computations: tuple[tuple[str, Callable[[], float]], ...] = (
        ("LBM James", lean(SuvVariant.LBM)),
        ("LBM James 128", lean(SuvVariant.LBM_JAMES128)),
        ("LBM Janmahasatian", lean(SuvVariant.LBM_JANMA)),
        ("IBW", lambda: ideal_body_weight(size_m, sex, criteria)),
        ("BSA", lambda: body_surface_area(weight_kg, size_m, criteria)),
    )
    for (name, compute), exact, printed in zip(computations, BODY[sex], BODY_PRINTED[sex], strict=True):
        case = close(f"{name}, {sex} {weight_kg:g} kg {size_m:g} m", exact, compute, GOLDEN_TOLERANCE)
        digits = 1 if name == "BSA" else 3
        yield replace(case, right=case.right and round(exact, digits) == round(printed, digits))


def seconds(hour: int, minute: int, second: float) -> float:
    """Seconds since midnight."""
    return hour * 3600 + minute * 60 + second


def factor(weight_kg: float, dose_bq: float, decay_s: float, half_life_s: float = F18) -> float:
    """The SUV formula by hand."""
    return float(weight_kg * 1000 / (dose_bq * 2.0 ** (-decay_s / half_life_s)))


VENDOR: Mapping[str, float] = {
    # Series 12:35:15 is 5 µs after the acquisition, 12:35:14.999995: back from the frame reference time
    # 59.936854672596 s, which is the average-activity time of a frame of 120 s: the acquisition itself.
    "BQML_AC_DT_lessThan_S_DT_SIEMENS": factor(65, 225e6, seconds(12, 35, 14.999995) - seconds(11, 41, 0)),
    # Series 13:49:18 is 45 min after the acquisition, and the frame reference time 0 cannot be computed back
    # from: the acquisition itself, 13:03:48.234.
    "CPS_AND_BQML_AC_DT_-_S_DT": factor(69, 388e6, seconds(13, 3, 48.234) - seconds(12, 0, 37)),
    # Series and acquisition 09:56:21, injection with a date 08:45:00.
    "GE_MEDICAL_AND_BQML": factor(52, 152022720, seconds(9, 56, 21) - seconds(8, 45, 0), 6586.2001953125),
    # Series 11:01:55 (acquisition one second later), injection 10:00:58. Philips' own two factors, not used
    # for BQML, say the same: 0.003515736 / 4.709921 = 0.00074645 g/Bq.
    "PHILIPS_BQML": factor(64, 126e6, seconds(11, 1, 55) - seconds(10, 0, 58), 6586.199707),
    # Counts: Philips' factor to SUV, although a factor to Bq/mL is there as well.
    "PHILIPS_CNTS_AND_BQML_SUV": 0.000551,
    # Counts: Philips' factor to SUV alone.
    "PHILIPS_CNTS_AND_SUV": 0.000728,
    # No RadiopharmaceuticalStartDateTime: StartTime 12:50:00 on the day of the series, 13:54:31.843; the
    # instances given are of a later bed, 14:15:55.687, which does not count.
    "RADIOPHARM_DATETIME_UNDEFINED": factor(102, 412e6, seconds(13, 54, 31.843) - seconds(12, 50, 0)),
    # Series 10:48:29 (acquisition 1.35 s later, moving bed), injection 08:30:45.
    "SIEMENS": factor(67, 374e6, seconds(10, 48, 29) - seconds(8, 30, 45)),
}


def vendor_datasets(instances: Sequence[Mapping[str, Any]]) -> tuple[Dataset, ...]:
    """The DICOM datasets that a vendor header file was made from, as far as it tells."""
    return tuple(_vendor_dataset(instance) for instance in instances)


def _vendor_dataset(instance: Mapping[str, Any]) -> Dataset:
    dataset, agent = Dataset(), Dataset()
    for keyword, value in instance.items():
        if keyword == "PhilipsPETPrivateGroup":
            _add_philips(dataset, value)
        elif keyword.startswith("Radio"):
            setattr(agent, keyword, value)
        else:
            setattr(dataset, keyword, value)
    dataset.RadiopharmaceuticalInformationSequence = DicomSequence([agent])
    return dataset


def _add_philips(dataset: Dataset, values: Mapping[str, str]) -> None:
    if not values:
        return
    block = dataset.private_block(0x7053, "Philips PET Private Group", create=True)
    for element, name in ((0x00, "SUVScaleFactor"), (0x09, "ActivityConcentrationScaleFactor")):
        if name in values:
            block.add_new(element, "DS", values[name])


def vendor_cases(root: Path, criteria: Criteria) -> Iterator[Case]:
    """The factor of each known vendor header file."""
    for path in sorted(root.rglob("*-instances.json")):
        name = path.name.removesuffix("-instances.json")
        instances = json.loads(path.read_text(encoding="utf-8"))
        if name in VENDOR:
            yield close(
                name, VENDOR[name], _factor_of(vendor_datasets(instances), criteria), HEADER_TOLERANCE
            )
        if name == "PHILIPS_CNTS_AND_BQML_SUV":
            yield _philips_activity_case(instances, criteria)


def _factor_of(datasets: Sequence[Dataset], criteria: Criteria) -> Callable[[], float]:
    return lambda: suv_factor(pet_header(datasets), criteria).factor


def _philips_activity_case(instances: Sequence[Mapping[str, Any]], criteria: Criteria) -> Case:
    """The header with both Philips factors, the factor to SUV taken away: 1.602563 Bq/mL a count."""
    activity = {"ActivityConcentrationScaleFactor": "1.602563"}
    datasets = vendor_datasets([{**instance, "PhilipsPETPrivateGroup": activity} for instance in instances])
    # Series 09:35:56 (acquisition 09:54:39), injection 08:30:00; Philips' factor to SUV was 0.000551.
    expected = 1.602563 * factor(54, 238e6, seconds(9, 35, 56) - seconds(8, 30, 0), 6588)
    name = "PHILIPS_CNTS, factor to Bq/mL only"
    return close(name, expected, _factor_of(datasets, criteria), HEADER_TOLERANCE)


def series_cases(root: Path, criteria: Criteria) -> Iterator[Case]:
    """The PET series with real-world value files, and PET series without attenuation correction."""
    mappings: list[Path] = []
    factors: dict[str, float | None] = {}
    for series in (s for found in dicom_folders(root).values() for s in found):
        if series.modality == "RWV":
            mappings.extend(series.files)
        if series.modality != "PT" or not series.has_pixels:
            continue
        datasets = [pydicom.dcmread(path, stop_before_pixels=True) for path in series.files]
        compute = _factor_of(datasets, criteria)
        if datasets[0].Units == "PROPCNTS":
            factors[series.uid] = None
            yield refused("PET without attenuation correction", "Units is PROPCNTS", compute)
        if series.uid == ACRIN_SERIES:
            factors[series.uid] = ACRIN_FACTOR
            yield close("ACRIN series", ACRIN_FACTOR, compute, ACRIN_HALF_DIGIT / ACRIN_FACTOR)
    for path in sorted(mappings):
        yield from mapping_cases(path, factors, criteria)


def mapping_cases(path: Path, factors: Mapping[str, float | None], criteria: Criteria) -> Iterator[Case]:
    """The SUVbw mappings of one file: reported when wrong, and only then.

    Beside the series that a file refers to, its slope is compared with the factor of the ACRIN series: the
    wrong file is of the series without attenuation correction, for which no factor is right.
    """
    tolerance = criteria.number("suv.rwv_tolerance")
    for value in real_world_values(pydicom.dcmread(path)):
        known = [uid for uid in value.series_uids if uid in factors]
        if not known or value.variant is not SuvVariant.BW:
            continue
        wrong = abs(value.slope - ACRIN_FACTOR) > ACRIN_HALF_DIGIT
        for name, right in ((path.name, ACRIN_FACTOR), (f"{path.name}, its series", factors[known[0]])):
            problem = check_real_world_value(value.slope, right, tolerance, where=path.name)
            got = problem.found if problem else "agrees"
            yield Case(name, "reported" if wrong else "agrees", got, (problem is not None) == wrong)


_NOON = datetime(2020, 12, 17, 12, 0)
_FLUORINE = CodedText("C-111A1", "SRT", "^18^Fluorine")

# What is wrong, words of the message, and what is altered in the good header.
REFUSALS: Sequence[tuple[str, str, Mapping[str, Any]]] = (
    ("units missing", "Units is missing", {"units": None}),
    ("units of proportional counts", "Units is PROPCNTS", {"units": "PROPCNTS"}),
    ("attenuation not corrected", "without ATTN", {"corrected_image": ("DECY",)}),
    ("decay not corrected", "without DECY", {"corrected_image": ("ATTN",)}),
    ("corrections missing", "CorrectedImage is missing", {"corrected_image": ()}),
    ("decay correction NONE", "DecayCorrection is NONE", {"decay_correction": "NONE"}),
    ("decay correction missing", "DecayCorrection is missing", {"decay_correction": None}),
    ("weight missing", "PatientWeight is missing", {"weight_kg": None}),
    ("weight 0", "PatientWeight is 0", {"weight_kg": 0.0}),
    ("weight 1.9 kg", "PatientWeight is 1.9 kg", {"weight_kg": 1.9}),
    ("weight 351 kg", "PatientWeight is 351 kg", {"weight_kg": 351.0}),
    ("dose missing", "RadionuclideTotalDose is missing", {"dose_bq": None}),
    ("dose 0", "RadionuclideTotalDose is 0", {"dose_bq": 0.0}),
    ("dose in MBq", "RadionuclideTotalDose is 370 Bq", {"dose_bq": 370.0}),
    ("half-life missing", "RadionuclideHalfLife is missing", {"half_life_s": None}),
    ("half-life in minutes", "radionuclide is F18", {"half_life_s": 109.77, "radionuclide": _FLUORINE}),
    ("series time missing", "SeriesDate or SeriesTime is missing", {"series_datetime": None}),
    ("acquisition time missing", "AcquisitionTime is missing", {"acquisition_datetimes": (None,)}),
    ("injection time missing", "RadiopharmaceuticalStartTime are missing", {"injection_datetime": None}),
    ("injection after the scan", "is after the scan", {"injection_datetime": _NOON}),
    (
        "injection more than 10 half-lives before",
        "half-lives before the scan",
        {"injection_datetime": _NOON - timedelta(days=1)},
    ),
    (
        "injection time of day, 23 h before",
        "half-lives before the scan",
        {"injection_datetime": None, "injection_time": time(12, 0)},
    ),
    (
        "long-lived radionuclide, injection without a date",
        "a time but no date",
        {"injection_datetime": None, "injection_time": time(9, 0), "half_life_s": 282276.0},
    ),
    ("counts without a Philips factor", "not convertible", {"units": "CNTS"}),
    ("counts with Philips factors 0", "not convertible", {"units": "CNTS", "philips_suv_factor": 0.0}),
    ("SUV of an unknown type", "SUVType is SUM", {"units": "GML", "suv_type": "SUM"}),
    ("SUV by surface in g/mL", "SUVType is BSA", {"units": "GML", "suv_type": "BSA"}),
    ("SUV by lean mass, sex other", "PatientSex is O", {"units": "GML", "suv_type": "LBM", "sex": "O"}),
    (
        "SUV by lean mass, no height",
        "PatientSize is missing",
        {"units": "GML", "suv_type": "LBM", "size_m": None},
    ),
)


def refusal_cases(criteria: Criteria) -> Iterator[Case]:
    """Every reason to refuse, one by one, in a header that is otherwise good."""

    def compute(changes: Mapping[str, Any]) -> Callable[[], float]:
        return lambda: suv_factor(replace(good_header(), **changes), criteria).factor

    for name, words, changes in REFUSALS:
        yield refused(name, words, compute(changes))
    two = vendor_datasets([{"Units": "BQML", "PatientWeight": kg} for kg in (70, 80)])
    yield refused("two weights in a series", "PatientWeight is not one value", lambda: pet_header(two))


def main() -> int:
    """Run all cases."""
    data = _data_folder()
    criteria = load_criteria()
    with unpacked(data) as root:
        real = [*vendor_cases(root, criteria), *series_cases(root, criteria)]
    if not real:
        nothing_found(data)
    cases = [*golden_cases(criteria), *real, *refusal_cases(criteria)]
    right = sum(case.right for case in cases)
    rows = [(case.name, case.expected, case.got, "yes" if case.right else "NO") for case in cases]
    table("SUV", ("case", "expected", "got", "right"), rows)
    finish(cases=len(cases), right=right)
    return 0 if right == len(cases) else NOT_RIGHT


def _data_folder() -> Path:
    parser = ArgumentParser(description="SUV from DICOM headers")
    default = os.environ.get("OSTEOTRACE_DATA", "")
    parser.add_argument(
        "--data", type=Path, default=default, help="default: the folder OSTEOTRACE_DATA names"
    )
    data: Path = parser.parse_args().data
    if data == Path() or not data.is_dir():
        nothing_found(data)
    return data


if __name__ == "__main__":
    sys.exit(main())
