"""What is to be made of one patient: body, lesions over time, sessions, events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from osteotrace.model.patient import Event
from osteotrace.phantom.lesions import Lesion
from osteotrace.phantom.protocols import Protocol
from osteotrace.phantom.records import Body


@dataclass(frozen=True, slots=True)
class SeriesPlan:
    """One series of a session.

    Attributes
    ----------
    id : str
        Unique in the patient; names the folder.
    minute : int
        After the begin of the session.
    top, bottom : str
        Bones that CT and PET reach up and down to; MR is centred between them.
    beyond_mm : tuple of float
        Above the one and below the other.
    breath_mm : float or None
        Breath of this series; None takes that of the session.
    """

    id: str
    protocol: Protocol
    minute: int
    top: str
    bottom: str
    beyond_mm: tuple[float, float] = (0.0, 0.0)
    breath_mm: float | None = None


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """One visit to one scanner: one study, one frame of reference.

    Attributes
    ----------
    scanner : str
        Key of the hospital and machine whose habits the header has.
    drawn_on : str
        Series on which the reader outlines lesions; empty where nobody does.
    body_part : str
        Body Part Examined where it is not the usual one of the scanner.
    """

    id: str
    day: int
    minute: int
    scanner: str
    arms: Literal["down", "up"]
    series: tuple[SeriesPlan, ...]
    drawn_on: str = ""
    body_part: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class CasePlan:
    """A patient to be made.

    Attributes
    ----------
    name : str
        ``index`` or ``random-7``.
    lesions : tuple of Lesion
        Lesions, mimics, traces of treatment, devices; later ones are drawn over earlier ones.
    wanted_suv_max : tuple of (str, float)
        Lesion and the noise-free maximum that the PET is to show of it.
    motion : float
        How much the posture differs from exam to exam; 1 is usual.
    """

    name: str
    seed: int
    body: Body
    lesions: tuple[Lesion, ...]
    sessions: tuple[SessionPlan, ...]
    events: tuple[Event, ...]
    wanted_suv_max: tuple[tuple[str, float], ...] = ()
    counterfactual: str = ""
    motion: float = 1.0
