"""PET whose header does not carry an SUV: it is measured in what it has, and the reason is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from bad_input.builder import Case, Command, edit, found, of_dose, set_to
from osteotrace import pipeline
from osteotrace.model.imaging import NuclearFacts

Change = Callable[[Dataset], None]

REFUSED: dict[str, tuple[Change, str]] = {
    "no weight": (
        set_to(PatientWeight=None),
        "PatientWeight is missing [series PT]; expected: 2 to 350 kg; do: complete the header",
    ),
    "no dose": (
        of_dose(RadionuclideTotalDose=None),
        "RadionuclideTotalDose is missing [series PT]; expected: the injected activity in Bq; do: complete",
    ),
    "no time of injection": (
        of_dose(RadiopharmaceuticalStartDateTime=None, RadiopharmaceuticalStartTime=None),
        "RadiopharmaceuticalStartDateTime and RadiopharmaceuticalStartTime are missing [series PT]; "
        "expected: the time of injection; do: complete the header",
    ),
    "no time of the scan": (
        set_to(SeriesDate=None, SeriesTime=None, AcquisitionDate=None, AcquisitionTime=None),
        "AcquisitionDate or AcquisitionTime is missing in 10 of 10 instances [series PT]; expected: date and "
        "time in each; do: complete the headers",
    ),
    "dose typed in MBq": (
        of_dose(RadionuclideTotalDose="310"),
        "RadionuclideTotalDose is 310 Bq [series PT]; expected: at least 1e+06 Bq; do: correct the header: "
        "the dose seems to be typed in MBq",
    ),
    "decay longer than 10 half-lives": (
        of_dose(RadiopharmaceuticalStartDateTime="20240303091800"),
        "is 26.8 half-lives before the scan (series date and time): 176400 s of decay [series PT]; expected: "
        "0 to 10 half-lives (65862 s); do: correct the dates and times",
    ),
    "not corrected for attenuation": (
        set_to(CorrectedImage=["NORM", "DTIM", "DECY"]),
        "CorrectedImage is DECY/DTIM/NORM: without ATTN [series PT]; expected: ATTN and DECY; do: use the "
        "series with attenuation and decay corrected",
    ),
}


@pytest.mark.parametrize(("change", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_the_suv_is_refused_and_all_else_stays(
    change: Change, words: str, case: Case, command: Command, out: Path
) -> None:
    edit(case.pet, change)
    (patient,), _ = pipeline.survey(case.folder)
    (pet,) = [s for e in patient.timeline.exams for s in e.series if s.modality == "PT"]
    assert words in found(patient.problems, "suv").replace(pet.series_instance_uid, "PT")
    assert isinstance(pet.facts, NuclearFacts)
    assert (pet.facts.suv_factor, pet.unit) == (None, "Bq/ml")
    ended = command("run", case.folder, "-o", out)
    assert ended.code == 4
    assert words in ended.words.replace(pet.series_instance_uid, "PT")
    table = (out / "measurements.csv").read_text(encoding="utf-8")
    assert "E1-R1" in table
    assert "g/ml" not in table


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (of_dose(Radiopharmaceutical="Secretin", RadiopharmaceuticalCodeSequence=None), "Secretin"),
        (
            of_dose(Radiopharmaceutical=None, RadiopharmaceuticalCodeSequence=None),
            "no radiopharmaceutical named",
        ),
    ],
)
def test_an_unknown_tracer_is_measured_without_the_rules_of_fdg(
    change: Change, told: str, case: Case, command: Command, out: Path
) -> None:
    edit(case.pet, change)
    (patient,), _ = pipeline.survey(case.folder)
    words = found(patient.problems, "tracer")
    assert words.startswith(f"warning: the tracer is unknown ({told}) [series ")
    assert words.endswith("(0054,0304); do: rules made for FDG are not applied")
    ended = command("run", case.folder, "-o", out)
    assert ended.code == 0  # nothing is left out: the SUV is measured
    assert "g/ml{SUVbw}" in (out / "measurements.csv").read_text(encoding="utf-8")
