"""Where in the skeleton a lesion lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from osteotrace.model.anatomy import Certainty, Possible
from osteotrace.model.codes import Code

_MOST_LEVELS = 3  # of an uncertain vertebra in words; the record holds all

Part = Literal["", "body", "posterior elements", "body and posterior elements", "spinal canal"]


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
        Of a vertebra, where the spinal canal was seen; else empty. What lies in the canal is in no bone.
    possible : tuple of Possible
        Of a vertebra: levels, most probable first; also of neighbours in which the lesion may lie as well.
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

    @property
    def name(self) -> str:
        """``T11`` of a vertebra with a level, ``T11 or T12`` where uncertain, else the name of the bone."""
        if not self.possible:
            return "vertebra of unknown level" if self.bone == "vertebra" else self.bone
        uncertain = self.certainty is Certainty.UNCERTAIN
        return " or ".join(p.level for p in self.possible[: _MOST_LEVELS if uncertain else 1])

    @property
    def is_near(self) -> bool:
        """Whether the lesion lies at the bone, not in it; arches that were not outlined are of the bone."""
        return self.share == 0.0 and self.part != "posterior elements"

    @property
    def short(self) -> str:
        """``T11 (certain)``, ``near T11 or T12 (uncertain)``, ``hip bone left``."""
        near = "canal at " if self.part == "spinal canal" else "near " if self.is_near else ""
        return f"{near}{self.name}" + (f" ({self.certainty})" if self.certainty and self.possible else "")

    def __str__(self) -> str:
        """``T11, body (certain)``, ``near T11 or T12 (uncertain), 6 mm off``, ``hip bone left``."""
        if self.part == "spinal canal":
            return f"spinal canal at {self.name}" + (f" ({self.certainty})" if self.possible else "")
        near = "near " if self.is_near else ""
        part = f", {self.part}" if self.part else ""
        certainty = f" ({self.certainty})" if self.certainty and self.possible else ""
        off = f", {self.distance_mm:.0f} mm off" if self.is_near else ""
        also = f"; reaches into {', '.join(self.also)}" if self.also else ""
        return f"{near}{self.name}{part}{certainty}{off}{also}"


@dataclass(frozen=True, slots=True)
class NoSite:
    """In no bone that is known, and why."""

    reason: str
    kind: Literal["none"] = "none"

    def __str__(self) -> str:
        """Words for it."""
        return f"no bone: {self.reason}"


Site = Annotated[BoneSite | NoSite, Field(discriminator="kind")]

UNASKED = NoSite("no skeleton was asked")
