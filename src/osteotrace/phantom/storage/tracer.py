"""Radiopharmaceuticals in a header (PS3.3 C.8.9.2, C.8.4.10)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pydicom.dataset import Dataset

from osteotrace.model.criteria import load_criteria
from osteotrace.phantom.storage.elements import coded, dataset, decimal, time_text
from osteotrace.phantom.storage.habits import constant

_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Tracer:
    """A radiopharmaceutical and its radionuclide; codes of CID 25 and 18, SNOMED CT."""

    name: str
    agent: tuple[str, str]
    nuclide: tuple[str, str]
    half_life_s: float

    def decayed(self, dose_bq: float, seconds: float) -> float:
        """Activity that is left, Bq."""
        return float(dose_bq * 2 ** (-seconds / self.half_life_s))


def fdg() -> Tracer:
    """F-18 fluorodeoxyglucose."""
    half_life = load_criteria().number("suv.half_life_f18_s")
    agent = ("35321007", "Fluorodeoxyglucose F^18^")
    return Tracer("Fluorodeoxyglucose", agent, ("77004003", "^18^Fluorine"), half_life)


def mdp() -> Tracer:
    """Tc-99m medronate, the bone agent."""
    agent = ("96390006", "Technetium Tc^99m^ medronate")
    return Tracer("Technetium Tc99m MDP", agent, ("72454006", "^99m^Technetium"), constant("tc99m_half_life"))


def injection_before(start: datetime, uptake_min: float) -> datetime:
    """When the tracer was given, to the second."""
    return start - timedelta(seconds=round(uptake_min * _SECONDS))


def information(tracer: Tracer, dose_bq: float, injected: datetime) -> list[Dataset]:
    """Radiopharmaceutical Information Sequence (0054,0016), as far as PET and planar images share it."""
    return [
        dataset(
            Radiopharmaceutical=tracer.name,
            RadiopharmaceuticalRoute="Intravenous route",
            RadiopharmaceuticalStartTime=time_text(injected),
            RadionuclideTotalDose=decimal(dose_bq),
            RadionuclideCodeSequence=coded(tracer.nuclide[0], "SCT", tracer.nuclide[1]),
            RadiopharmaceuticalCodeSequence=coded(tracer.agent[0], "SCT", tracer.agent[1]),
            AdministrationRouteCodeSequence=coded("47625008", "SCT", "Intravenous route"),
        )
    ]


def lying_supine_headfirst() -> Dataset:
    """NM/PET Patient Orientation (PS3.3 C.8.4.6)."""
    recumbent = coded("102538003", "SCT", "recumbent")
    recumbent[0].PatientOrientationModifierCodeSequence = coded("40199007", "SCT", "supine")
    return dataset(
        PatientOrientationCodeSequence=recumbent,
        PatientGantryRelationshipCodeSequence=coded("102540008", "SCT", "headfirst"),
    )
