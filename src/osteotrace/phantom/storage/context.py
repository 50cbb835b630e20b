"""Whose exams the phantom writes, when and on which scanner they were made."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal

from pydicom.uid import UID

from osteotrace.errors import InputError
from osteotrace.phantom.protocols import Acquisition
from osteotrace.phantom.records import Person

Vendor = Literal["A", "B", "C"]

_YEAR_DAYS = 365.25


@dataclass(frozen=True, slots=True)
class Scanner:
    """A machine, as its headers name it.

    Attributes
    ----------
    vendor : {"A", "B", "C"}
        Whose habits of writing headers it has; see ``habits.toml``.
    model : str
        Manufacturer's Model Name (0008,1090).
    station : str
        Station Name (0008,1010), at most 16 characters.
    institution : str
        Institution Name (0008,0080).
    """

    vendor: Vendor
    model: str
    station: str
    institution: str


@dataclass(frozen=True, slots=True)
class Session:
    """One visit to one scanner: a DICOM study.

    Attributes
    ----------
    name : str
        As ``Acquisition.session``.
    description : str
        Study Description (0008,1030).
    body_part : str
        Body Part Examined (0018,0015): a term of PS3.16 Annex L, of a part that is not paired.
    minute : int
        Of the day, when the study began.
    referring_physician : str
        Referring Physician's Name (0008,0090).
    foreign_id, foreign_issuer : str
        Patient ID at another hospital, when the study came from there, and who issued it. An archive that
        imports a study writes its own Patient ID over it and keeps the other one in Original Attributes
        Sequence (0400,0561).
    """

    name: str
    description: str
    body_part: str
    scanner: Scanner
    minute: int = 420
    referring_physician: str = ""
    foreign_id: str = ""
    foreign_issuer: str = ""


@dataclass(frozen=True, slots=True)
class StudyContext:
    """What all files of a phantom patient have in common.

    Attributes
    ----------
    person : Person
        Age on day 0, sex, size, weight.
    patient_name : str
        With carets between its parts (PS3.5 6.2); any script.
    day_zero : date
        Date of the first exam.
    seed : int
        UIDs are made from it and from names: the same seed gives the same files.
    """

    person: Person
    patient_id: str
    patient_name: str
    day_zero: date
    seed: int
    sessions: tuple[Session, ...]
    issuer: str = "osteotrace phantom"

    @property
    def birth_date(self) -> date:
        """Half a year before the age that the person has on day 0."""
        return self.day_zero - timedelta(days=round((self.person.age_years + 0.5) * _YEAR_DAYS))

    def age_years(self, day: int) -> int:
        """Completed years of life on a day after day 0."""
        return int(((self.day_zero - self.birth_date).days + day) / _YEAR_DAYS)

    def session(self, name: str) -> Session:
        """The session of a name.

        Raises
        ------
        InputError
            When there is none.
        """
        for session in self.sessions:
            if session.name == name:
                return session
        raise InputError(
            f"the session {name} is not described",
            expected=f"one of {', '.join(s.name for s in self.sessions) or 'none'}",
            remedy="add it to the sessions of the context",
        )

    def session_number(self, name: str) -> int:
        """Place of a session in the list, from 1."""
        return self.sessions.index(self.session(name)) + 1

    def moment(self, day: int, minute: int) -> datetime:
        """Local time of a minute of a day after day 0."""
        return datetime.combine(self.day_zero, time.min) + timedelta(days=day, minutes=minute)

    def start(self, acquisition: Acquisition) -> datetime:
        """When an acquisition began."""
        return self.moment(acquisition.day, acquisition.minute)

    def study_uid(self, session: str) -> UID:
        """Study Instance UID of a session."""
        return uid(self.seed, session, "study")

    def series_uid(self, acquisition: Acquisition) -> UID:
        """Series Instance UID of an acquisition."""
        return uid(self.seed, acquisition.id, "series")

    def image_uid(self, acquisition: Acquisition, k: int) -> UID:
        """SOP Instance UID of slice k, from 0."""
        return uid(self.seed, acquisition.id, "image", k)


def uid(*parts: object) -> UID:
    """UID made from words: the same words give the same UID (PS3.5 B.2)."""
    digest = hashlib.sha256("/".join(str(p) for p in ("osteotrace phantom", *parts)).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")
