"""The patient, the exams on a timeline, and what happened between them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from osteotrace.model.imaging import Exam, PlanarImage, Region, Volume
from osteotrace.model.problem import Problem


@dataclass(frozen=True, slots=True)
class Patient:
    """Whose images these are.

    Attributes
    ----------
    patient_id : str
        Patient ID (0010,0020), or the pseudonym of a de-identified run.
    name : str
        Patient's Name as text; empty when de-identified. Never logged, never in a file name.
    sex : {"M", "F", "O", ""}
    age_years : float or None
        At the first exam.
    """

    patient_id: str
    name: str = ""
    sex: Literal["M", "F", "O", ""] = ""
    age_years: float | None = None


@dataclass(frozen=True, slots=True)
class Surgery:
    """An operation."""

    date: dt.date | None
    day: int | None
    text: str
    site: str = ""
    kind: Literal["surgery"] = "surgery"


@dataclass(frozen=True, slots=True)
class Radiotherapy:
    """A course of radiotherapy. The fractionation is an input, never assumed."""

    date: dt.date | None
    day: int | None
    text: str
    levels: tuple[str, ...] = ()
    dose_gy: float | None = None
    fractions: int | None = None
    kind: Literal["radiotherapy"] = "radiotherapy"


@dataclass(frozen=True, slots=True)
class DrugTherapy:
    """A course of drugs."""

    date: dt.date | None
    day: int | None
    text: str
    drugs: tuple[str, ...] = ()
    cycles: int | None = None
    kind: Literal["drug"] = "drug"


@dataclass(frozen=True, slots=True)
class Biopsy:
    """A specimen taken, and whether it was enough."""

    date: dt.date | None
    day: int | None
    text: str
    site: str = ""
    adequate: bool | None = None
    kind: Literal["biopsy"] = "biopsy"


@dataclass(frozen=True, slots=True)
class Pathology:
    """What the microscope said."""

    date: dt.date | None
    day: int | None
    text: str
    site: str = ""
    kind: Literal["pathology"] = "pathology"


@dataclass(frozen=True, slots=True)
class Symptom:
    """A clinical observation."""

    date: dt.date | None
    day: int | None
    text: str
    kind: Literal["symptom"] = "symptom"


@dataclass(frozen=True, slots=True)
class EarlierReading:
    """What was said of an exam at the time. Lesions on the images but not here were overlooked.

    Attributes
    ----------
    modality : str
        Of the exam that was read.
    lesions : tuple of str
        Each lesion that the reading names, in its words, for example ``cord mass T12-L1``.
    """

    date: dt.date | None
    day: int | None
    text: str
    modality: str = ""
    lesions: tuple[str, ...] = ()
    kind: Literal["reading"] = "reading"


Event = Annotated[
    Surgery | Radiotherapy | DrugTherapy | Biopsy | Pathology | Symptom | EarlierReading,
    Field(discriminator="kind"),
]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Exams and events in order of time.

    Attributes
    ----------
    day_zero : date or None
        Date of the first dated exam; None when de-identified or no exam is dated.
    """

    day_zero: dt.date | None
    exams: tuple[Exam, ...]
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class PatientImages:
    """All that intake delivers of one patient, in memory."""

    patient: Patient
    timeline: Timeline
    volumes: tuple[Volume, ...]
    planar: tuple[PlanarImage, ...]
    regions: tuple[Region, ...]
    problems: tuple[Problem, ...]

    def volume(self, series_id: str) -> Volume | None:
        """Volume of a series, or None when it has none (planar, refused)."""
        return next((v for v in self.volumes if v.series.id == series_id), None)

    def exam_of(self, series_id: str) -> Exam | None:
        """Exam that holds a series."""
        return next((e for e in self.timeline.exams if any(s.id == series_id for s in e.series)), None)
