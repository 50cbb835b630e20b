from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osteotrace.errors import FrameMismatchError
from osteotrace.model.alignment import Alignment, Route, _relax, route
from osteotrace.model.values import Verdict
from osteotrace.space import RigidTransform

A, B, C, D = "1.2.1", "1.2.2", "1.2.3", "1.2.4"


def shift(start: str, end: str, x: float) -> RigidTransform:
    matrix = np.eye(4)
    matrix[0, 3] = x
    return RigidTransform(matrix, start, end)


def alignment(
    start: str, end: str, x: float, error: float | None, verdict: Verdict = Verdict.GOOD
) -> Alignment:
    return Alignment(shift(start, end, x), "rigid", "s" + start, "s" + end, 1.0, 0.5, error, verdict)


def test_frames_are_fixed_then_moving() -> None:
    assert alignment(A, B, 1.0, 2.0).frames == (A, B)


def test_route_to_itself_is_identity_without_error() -> None:
    way = route((), A, A)
    assert way is not None
    assert way.error_mm == 0.0
    assert np.array_equal(way.transform.matrix, np.eye(4))


def test_route_goes_both_ways() -> None:
    chain = (alignment(A, B, 5.0, 3.0),)
    there, back = route(chain, A, B), route(chain, B, A)
    assert there is not None
    assert back is not None
    assert there.transform.apply([0.0, 0.0, 0.0])[0] == 5.0
    assert back.transform.apply([0.0, 0.0, 0.0])[0] == -5.0
    assert (back.transform.from_frame, back.transform.to_frame) == (B, A)


def test_errors_along_a_chain_add_in_squares() -> None:
    way = route((alignment(A, B, 5.0, 3.0), alignment(C, B, 2.0, 4.0)), A, C)
    assert way is not None
    assert way.error_mm == pytest.approx(5.0)
    assert way.transform.apply([0.0, 0.0, 0.0])[0] == pytest.approx(3.0)


def test_the_way_with_the_smallest_error_is_taken() -> None:
    direct = alignment(A, C, 0.0, 9.0)
    way = route((direct, alignment(A, B, 1.0, 2.0), alignment(B, C, 1.0, 2.0)), A, C)
    assert way is not None
    assert way.error_mm == pytest.approx(8**0.5)
    assert way.transform.apply([0.0, 0.0, 0.0])[0] == pytest.approx(2.0)


def test_a_failed_alignment_is_never_used() -> None:
    assert route((alignment(A, B, 1.0, None, Verdict.FAILED),), A, B) is None


def test_frames_that_nothing_connects_have_no_route() -> None:
    assert route((alignment(A, B, 1.0, 1.0),), A, D) is None


def test_doubt_spreads_along_the_chain() -> None:
    chain = (alignment(A, B, 1.0, 1.0, Verdict.DOUBTFUL), alignment(B, C, 1.0, 1.0))
    way = route(chain, A, C)
    assert way is not None
    assert way.verdict is Verdict.DOUBTFUL


def test_identity_checks_give_the_error_inside_a_frame() -> None:
    checks = (
        alignment(A, A, 0.0, 2.5),
        alignment(A, A, 0.0, 4.0, Verdict.DOUBTFUL),
        alignment(A, B, 0.0, 9.0),
    )
    inside, other = route(checks, A, A), route(checks, B, B)
    assert inside is not None
    assert other is not None
    assert (inside.error_mm, inside.verdict) == (4.0, Verdict.DOUBTFUL)
    assert np.array_equal(inside.transform.matrix, np.eye(4))
    assert (other.error_mm, other.verdict) == (0.0, Verdict.GOOD)


def test_an_edge_of_another_frame_is_refused() -> None:
    start = Route(RigidTransform.identity(A), 0.0, Verdict.GOOD)
    with pytest.raises(FrameMismatchError, match="starts in another frame"):
        _relax({}, start, Route(shift(B, C, 1.0), 1.0, Verdict.GOOD))


@given(
    st.lists(st.tuples(st.sampled_from("ABCD"), st.sampled_from("ABCD"), st.floats(0.1, 20.0)), max_size=6)
)
def test_there_and_back_is_nowhere(edges: list[tuple[str, str, float]]) -> None:
    chain = tuple(alignment(a, b, error, error) for a, b, error in edges if a != b)
    there, back = route(chain, "A", "D"), route(chain, "D", "A")
    assert (there is None) == (back is None)
    if there is not None and back is not None:
        assert there.error_mm == pytest.approx(back.error_mm)
