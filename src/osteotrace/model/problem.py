"""What was refused, left out, inferred or odd: recorded, never repaired in silence."""

from __future__ import annotations

from dataclasses import dataclass

from osteotrace.errors import OsteotraceError, one_line
from osteotrace.model.values import Severity


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that a reader of the result has to know.

    Attributes
    ----------
    severity : Severity
        Refused and excluded: something is absent from the result. Inferred: a value was concluded.
    code : str
        Short stable word, for example ``suv`` or ``missing-slice``.
    found, where, expected, remedy : str
        As in :class:`osteotrace.errors.OsteotraceError`.
    """

    severity: Severity
    code: str
    found: str
    where: str = ""
    expected: str = ""
    remedy: str = ""

    def __post_init__(self) -> None:
        """Make each text one line that can be shown: file names may hold anything."""
        for name in ("found", "where", "expected", "remedy"):
            object.__setattr__(self, name, one_line(getattr(self, name)))

    def __str__(self) -> str:
        """One line."""
        error = OsteotraceError(self.found, where=self.where, expected=self.expected, remedy=self.remedy)
        return f"{self.severity}: {error}"


def problem_of(error: OsteotraceError, severity: Severity = Severity.EXCLUDED) -> Problem:
    """Record an error that did not stop the run."""
    return Problem(severity, error.code, error.found, error.where, error.expected, error.remedy)
