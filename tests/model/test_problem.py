"""Problems: an error that did not stop the run, in one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osteotrace.errors import GeometryError, OsteotraceError, SuvError
from osteotrace.model.problem import Problem, problem_of
from osteotrace.model.values import Severity


def test_an_error_is_recorded_with_all_that_it_says() -> None:
    error = SuvError("no weight", where="1.2.3", expected="PatientWeight", remedy="declare it")
    assert problem_of(error) == Problem(
        Severity.EXCLUDED, "suv", "no weight", "1.2.3", "PatientWeight", "declare it"
    )
    assert problem_of(error, Severity.REFUSED).severity is Severity.REFUSED


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (Problem(Severity.INFO, "geometry", "two stations"), "info: two stations"),
        (
            Problem(Severity.INFERRED, "mr", "fat suppressed", "1.2", "FS", "declare it"),
            "inferred: fat suppressed [1.2]; expected: FS; do: declare it",
        ),
    ],
)
def test_a_problem_is_one_line(problem: Problem, line: str) -> None:
    assert str(problem) == line


@given(*[st.text()] * 4)
def test_a_problem_says_the_same_as_its_error(found: str, where: str, expected: str, remedy: str) -> None:
    error: OsteotraceError = GeometryError(found, where=where, expected=expected, remedy=remedy)
    assert str(problem_of(error, Severity.WARNING)) == f"warning: {error}"
