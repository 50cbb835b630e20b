"""What is recorded when a drawing becomes a region, in the same words for every kind of drawing."""

from __future__ import annotations

from osteotrace.errors import OsteotraceError, RegionError
from osteotrace.intake.contours import Filled
from osteotrace.model.imaging import Attribute
from osteotrace.model.problem import Problem, problem_of
from osteotrace.model.values import Basis, Severity


def refused(error: OsteotraceError, what: str, where: str) -> Problem:
    """Record that one drawing (``ROI``, ``segment``, ``measurement group`` ...) was refused."""
    place = where if error.where in where else f"{where}: {error.where}"
    found = f"the {what} was refused: {error.found}"
    return problem_of(
        RegionError(found, where=place, expected=error.expected, remedy=error.remedy), Severity.REFUSED
    )


def inferred_image(placed: Attribute, where: str) -> list[Problem]:
    """Record an image that was concluded; nothing when the drawing names it."""
    if placed.basis is not Basis.INFERRED:
        return []
    found = f"the image was inferred: {placed.source}"
    return [Problem(Severity.INFERRED, "region-image", found, where, "the image that was drawn on")]


def partly_outside(lost: float, where: str) -> list[Problem]:
    """Record the share (0 to 1) of a drawing that lies outside its image; nothing when it is 0."""
    if lost <= 0:
        return []
    found = f"{max(lost, 0.001):.1%} of the drawing lies outside the image"
    return [Problem(Severity.WARNING, "region-outside", found, where, "the whole drawing on the image")]


def contour_notes(filled: Filled, where: str) -> list[Problem]:
    """What was concluded or lost when contours became voxels."""
    notes = [Problem(Severity.INFERRED, "contour", note, where) for note in filled.notes]
    return notes + partly_outside(filled.lost, where)
