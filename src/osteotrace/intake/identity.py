"""Who the patient is."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

from pydicom.dataset import Dataset

from osteotrace.intake import header as hd
from osteotrace.intake.dicom_time import parse_date

_AGE_UNITS = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}  # of them in a year
_YEAR_DAYS = 365.25


class PatientKey(NamedTuple):
    """What tells patients apart.

    Attributes
    ----------
    patient_id : str
        Patient ID (0010,0020).
    issuer : str
        Issuer of Patient ID (0010,0021).
    person : str
        Name and birth date, or the study when these are absent too; only without a Patient ID.
    """

    patient_id: str
    issuer: str
    person: str


@dataclass(frozen=True, slots=True)
class Identity:
    """What a header says of the patient; empty when absent."""

    name: str
    birth_date: str
    sex: str


def identity_of(header: Dataset) -> tuple[PatientKey, Identity]:
    """Key and identity of one header."""
    identity = Identity(
        hd.text(header, "PatientName"),
        hd.text(header, "PatientBirthDate"),
        hd.text(header, "PatientSex").upper(),
    )
    patient_id = hd.text(header, "PatientID")
    if patient_id:
        return PatientKey(patient_id, hd.text(header, "IssuerOfPatientID"), ""), identity
    if identity.name or identity.birth_date:
        return PatientKey("", "", f"{_folded(identity.name)}|{identity.birth_date}"), identity
    return PatientKey("", "", hd.text(header, "StudyInstanceUID")), identity


def contradictions(identities: tuple[Identity, ...]) -> tuple[str, ...]:
    """Attributes in which headers of one Patient ID contradict each other; absence is no contradiction."""
    columns = {
        "Patient's Name": {_folded(i.name) for i in identities},
        "Patient's Birth Date": {i.birth_date for i in identities},
        "Patient's Sex": {i.sex for i in identities},
    }
    return tuple(name for name, values in columns.items() if len(values - {""}) > 1)


def sex_of(identities: tuple[Identity, ...]) -> Literal["M", "F", "O", ""]:
    """Sex when the headers agree on one; empty otherwise."""
    found = {i.sex for i in identities} - {""}
    sex = found.pop() if len(found) == 1 else ""
    return cast(Literal["M", "F", "O", ""], sex) if sex in ("M", "F", "O") else ""


def age_years(header: Dataset, when: dt.date | None) -> float | None:
    """Age at an exam: from the birth date, else Patient's Age (0010,1010); None when neither tells.

    An age of 0 (``000Y``) is what de-identification leaves behind and counts as absent.
    """
    born = parse_date(hd.text(header, "PatientBirthDate"))
    if born is not None and when is not None and when >= born:
        return (when - born).days / _YEAR_DAYS
    text = hd.text(header, "PatientAge").upper()
    if len(text) < 2 or text[-1] not in _AGE_UNITS or not text[:-1].isdigit():
        return None
    return int(text[:-1]) / _AGE_UNITS[text[-1]] or None


def _folded(name: str) -> str:
    """A name without case, blanks and the carets between its parts: ``DOE^JANE`` is ``Doe^Jane^``."""
    return " ".join(name.replace("^", " ").split()).casefold()
