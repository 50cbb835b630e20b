"""Who the body is of, and what is unusual about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from osteotrace.errors import DeclarationError

THORACIC: Final = tuple(f"T{n}" for n in range(1, 13))
LUMBAR: Final = tuple(f"L{n}" for n in range(1, 6))
CERVICAL: Final = tuple(f"C{n}" for n in range(1, 8))
USUAL_LEVELS: Final = (*CERVICAL, *THORACIC, *LUMBAR)

_LIMITS: Final = {
    "age_years": (18.0, 100.0),
    "size_m": (1.3, 2.1),
    "weight_kg": (35.0, 180.0),
    "cobb_deg": (0.0, 60.0),
    "extra_kyphosis_deg": (-15.0, 40.0),
}
_WEDGE_PERCENT: Final = (5.0, 70.0)


@dataclass(frozen=True, slots=True)
class BodyOptions:
    """What is asked of a body; what is None is drawn.

    Attributes
    ----------
    size_m, weight_kg : float or None
        Height of the person and weight.
    cobb_deg : float
        Scoliosis: angle between the most tilted vertebrae, convex to the right at `cobb_apex`.
    extra_kyphosis_deg : float
        Thoracic kyphosis beyond that of the drawn spine.
    t13, l6 : bool
        A thirteenth thoracic, a sixth lumbar vertebra.
    rib_pairs : {11, 12, 13} or None
        None: as many as there are thoracic vertebrae. 13 without T13 is a lumbar rib.
    wedges : tuple of (str, float)
        Level and loss of anterior height of a wedge fracture, percent.
    degenerative : tuple of str
        Levels whose lower disc is narrowed, with osteophytes at both its edges.
    """

    sex: Literal["M", "F"] = "M"
    age_years: int = 50
    size_m: float | None = None
    weight_kg: float | None = None
    cobb_deg: float = 0.0
    cobb_apex: str = "T9"
    extra_kyphosis_deg: float = 0.0
    t13: bool = False
    l6: bool = False
    rib_pairs: Literal[11, 12, 13] | None = None
    wedges: tuple[tuple[str, float], ...] = ()
    degenerative: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check.

        Raises
        ------
        DeclarationError
            A value is out of its range, or a level is not of this spine.
        """
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise _wrong(f"{name} is {value}", f"{low:g} to {high:g}")
        if self.sex not in ("M", "F"):
            raise _wrong(f"sex is {self.sex!r}", "M or F")
        if self.rib_pairs not in (None, 11, 12, 13):
            raise _wrong(f"rib_pairs is {self.rib_pairs}", "11, 12 or 13")
        if self.t13 and self.rib_pairs in (11, 12):
            raise _wrong(f"T13 with {self.rib_pairs} pairs of ribs", "13, as T13 has its rib")
        for level in (self.cobb_apex, *self.degenerative, *(level for level, _ in self.wedges)):
            if level not in self.levels[2:]:
                raise _wrong(f"the level {level!r} is not in this spine", "C3 to the last lumbar vertebra")
        for level, percent in self.wedges:
            if not _WEDGE_PERCENT[0] <= percent <= _WEDGE_PERCENT[1]:
                raise _wrong(
                    f"the wedge at {level} is {percent}%", f"{_WEDGE_PERCENT[0]:g} to {_WEDGE_PERCENT[1]:g}%"
                )

    @property
    def levels(self) -> tuple[str, ...]:
        """All vertebrae from head to tail."""
        thirteenth = ("T13",) if self.t13 else ()
        sixth = ("L6",) if self.l6 else ()
        return (*CERVICAL, *THORACIC, *thirteenth, *LUMBAR, *sixth)

    @property
    def ribbed_levels(self) -> tuple[str, ...]:
        """Vertebrae that carry ribs, in the order of the ribs' numbers."""
        count = self.rib_pairs or (13 if self.t13 else 12)
        return self.levels[7 : 7 + count]

    @property
    def variants(self) -> tuple[str, ...]:
        """What is unusual, in words."""
        ribs = len(self.ribbed_levels)
        named = (
            ("T13", self.t13),
            ("L6", self.l6),
            (f"{ribs} pairs of ribs", ribs != 12),
            (f"scoliosis {self.cobb_deg:.0f} degrees", self.cobb_deg >= 10.0),
            ("kyphosis", self.extra_kyphosis_deg >= 10.0),
        )
        wedges = (f"wedge fracture {level}" for level, _ in self.wedges)
        worn = (f"degenerative {level}" for level in self.degenerative)
        return (*(name for name, there in named if there), *wedges, *worn)


def _wrong(found: str, expected: str) -> DeclarationError:
    return DeclarationError(found, where="body options", expected=expected, remedy="correct the option")
