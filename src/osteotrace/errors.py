"""Every exception osteotrace raises on purpose.

::

    OsteotraceError
    ├── InputError                what was given cannot be used        (exit code 3)
    │   ├── NothingFoundError     no image, no DICOM, empty folder
    │   ├── UnreadableFileError   not readable, truncated, not what it claims to be
    │   ├── PatientMismatchError  files of more than one patient
    │   ├── GeometryError         slices that do not make a volume
    │   ├── PixelError            pixel data absent or not decodable
    │   ├── QuantityError         values that cannot be given a unit
    │   │   └── SuvError          the SUV is refused
    │   ├── RegionError           contours or segments that cannot be placed
    │   └── DeclarationError      case.toml, corrections.toml, a sidecar or workup.json is wrong
    ├── SpaceError                a mistake in geometry
    │   ├── FrameMismatchError    two frames of reference mixed without a transform
    │   └── LatticeMismatchError  two grids that should share a lattice do not
    ├── CriterionError            a criterion is unknown or of another type
    ├── ProgramError              another program is absent or failed   (exit code 2)
    └── OutputError               a result cannot be written             (exit code 2)

Each says what was found, where, what was expected and what to do.
"""

from __future__ import annotations

import unicodedata

# Control characters, parts of no character (from names of files that are not UTF-8), ends of lines.
_UNSHOWN = frozenset({"Cc", "Cs", "Zl", "Zp"})


def one_line(text: str) -> str:
    """Text that any terminal, log or file can hold: what is not shown is written as an escape."""
    if text.isprintable():
        return text
    return "".join(
        c.encode("unicode_escape").decode("ascii") if unicodedata.category(c) in _UNSHOWN else c for c in text
    )


class OsteotraceError(Exception):
    """Base of all errors.

    Parameters
    ----------
    found : str
        What was found, in one sentence without the final stop.
    where : str
        File name, SOP Instance UID, Series Instance UID or key; never a patient name.
    expected : str
        What would have been right.
    remedy : str
        What the user can do.
    """

    code = "error"

    def __init__(self, found: str, *, where: str = "", expected: str = "", remedy: str = "") -> None:
        self.found = one_line(found)
        self.where = one_line(where)
        self.expected = one_line(expected)
        self.remedy = one_line(remedy)
        super().__init__(str(self))

    def __str__(self) -> str:
        """One line: found, where, expected, remedy."""
        text = self.found
        if self.where:
            text += f" [{self.where}]"
        if self.expected:
            text += f"; expected: {self.expected}"
        if self.remedy:
            text += f"; do: {self.remedy}"
        return text

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the fields when the error crosses a process border."""
        return (_rebuild, (type(self), self.found, self.where, self.expected, self.remedy))


def _rebuild(
    cls: type[OsteotraceError], found: str, where: str, expected: str, remedy: str
) -> OsteotraceError:
    return cls(found, where=where, expected=expected, remedy=remedy)


class InputError(OsteotraceError):
    """What was given cannot be used."""

    code = "input"


class NothingFoundError(InputError):
    """No image was found."""

    code = "nothing-found"


class UnreadableFileError(InputError):
    """A file cannot be read."""

    code = "unreadable-file"


class PatientMismatchError(InputError):
    """Files of more than one patient."""

    code = "patient-mismatch"


class GeometryError(InputError):
    """Slices that do not make a volume."""

    code = "geometry"


class PixelError(InputError):
    """Pixel data absent or not decodable."""

    code = "pixels"


class QuantityError(InputError):
    """Values that cannot be given a unit."""

    code = "quantity"


class SuvError(QuantityError):
    """The standardised uptake value is refused."""

    code = "suv"


class RegionError(InputError):
    """Contours or segments that cannot be placed."""

    code = "region"


class DeclarationError(InputError):
    """A file written by a person (or an earlier result) is wrong."""

    code = "declaration"


class SpaceError(OsteotraceError):
    """A mistake in geometry."""

    code = "space"


class FrameMismatchError(SpaceError):
    """Two frames of reference are mixed without a transform."""

    code = "frame-mismatch"


class LatticeMismatchError(SpaceError):
    """Two grids that should share a lattice do not."""

    code = "lattice-mismatch"


class CriterionError(OsteotraceError):
    """A criterion is unknown or of another type than asked for."""

    code = "criterion"


class ProgramError(OsteotraceError):
    """Another program that was asked for is absent, lacks its weights, or failed."""

    code = "program"


class OutputError(OsteotraceError):
    """A result cannot be written."""

    code = "output"
