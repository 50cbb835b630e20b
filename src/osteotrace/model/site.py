"""Where in the skeleton a lesion lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from osteotrace.model.anatomy import Certainty, Possible
from osteotrace.model.codes import Code

Part = Literal["", "body", "posterior elements", "body and posterior elements"]


@dataclass(frozen=True, slots=True)
class BoneSite:
    """The bone that a lesion lies in or at.

    Attributes
    ----------
    bone : str
        A name of :mod:`osteotrace.model.label_schemes`: ``vertebra T11`` with its most probable level,
        ``vertebra`` where it has none, ``sacrum``, ``hip bone left`` ...
    series_id, bone_id : str
        The volume whose skeleton tells, and the bone in it.
    share : float
        Part of the lesion inside the bone, 0 to 1.
    distance_mm : float
        From the lesion to the bone where no part of it is inside; else 0.
    error_mm : float
        Predicted 95% radius of the place of the lesion in that volume; 0 where it was drawn there.
    code, laterality : Code or None
        SNOMED CT.
    part : str
        Of a vertebra, where the spinal canal was seen; else empty.
    possible : tuple of Possible
        Of a vertebra: levels, most probable first. Neighbours that the place may be in as well are among them.
    certainty : Certainty or None
        Of the level; None for other bones.
    also : tuple of str
        Other bones that the lesion reaches into.
    reasons : tuple of str
        What the level rests on, and what speaks against it.
    """

    bone: str
    series_id: str
    bone_id: str
    share: float
    distance_mm: float
    error_mm: float
    code: Code | None = None
    laterality: Code | None = None
    part: Part = ""
    possible: tuple[Possible, ...] = ()
    certainty: Certainty | None = None
    also: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    kind: Literal["bone"] = "bone"

    @property
    def level(self) -> str | None:
        """Most probable level; None where it has none."""
        return self.possible[0].level if self.possible else None


@dataclass(frozen=True, slots=True)
class NoSite:
    """In no bone that is known, and why."""

    reason: str
    kind: Literal["none"] = "none"


Site = Annotated[BoneSite | NoSite, Field(discriminator="kind")]

UNASKED = NoSite("no skeleton was asked")
