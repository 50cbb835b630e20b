from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from osteotrace.errors import FrameMismatchError
from osteotrace.model.alignment import Alignment, BoneMotion, Route, _relax, route
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


def test_good_alignments_are_preferred_to_doubtful_ones() -> None:
    direct = alignment(A, C, 0.0, 9.0)
    way = route((direct, alignment(A, B, 1.0, 2.0), alignment(B, C, 1.0, 2.0, Verdict.DOUBTFUL)), A, C)
    assert way is not None
    assert (way.error_mm, way.verdict) == (9.0, Verdict.GOOD)


def test_bones_followed_from_frame_to_frame_are_preferred_to_a_detour() -> None:
    detour = (alignment(A, C, 1.0, 0.5), alignment(C, B, 1.0, 0.5))
    way, other = route((bent(), *detour), A, B), route((replace(bent(), bones=()), *detour), A, B)
    assert way is not None
    assert other is not None
    assert (len(way.legs), len(other.legs)) == (1, 2)
    doubtful = route((replace(bent(), verdict=Verdict.DOUBTFUL), *detour), A, B)
    assert doubtful is not None
    assert len(doubtful.legs) == 2


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


def bone(x: float, z: float, radius: float, verdict: Verdict = Verdict.GOOD) -> BoneMotion:
    """A vertebra at height z that moves by x."""
    return BoneMotion(
        name="vertebra",
        fixed_id=f"V{z:.0f}",
        moving_id="V1",
        fixed_series="s" + A,
        moving_series="s" + B,
        transform=shift(A, B, x),
        centre_mm=(0.0, 0.0, z),
        anchors_mm=((0.0, 0.0, z), (0.0, 30.0, z)),
        source="images",
        residual_mm=0.5,
        overlap=1.0,
        margin=0.4,
        radius_mm=radius,
        growth=0.1,
        verdict=verdict,
    )


def bent(*, failed: bool = False) -> Alignment:
    upper = bone(8.0, 60.0, 6.0, Verdict.FAILED if failed else Verdict.GOOD)
    return replace(alignment(A, B, 5.0, 4.0), method="bones", bones=(bone(4.0, 0.0, 3.0), upper))


def test_points_follow_their_bone_and_come_back() -> None:
    bones = bent()
    low, high = [0.0, 0.0, 0.0], [0.0, 30.0, 60.0]
    assert bones.apply([low, high])[:, 0] == pytest.approx([4.0, 8.0], abs=0.01)
    np.testing.assert_allclose(bones.apply_back(bones.apply([low, high])), [low, high], atol=1e-5)
    assert bones.near(low).matrix[0, 3] == pytest.approx(4.0, abs=0.01)
    assert bones.near(low).from_frame == A
    assert alignment(A, B, 5.0, 4.0).near(high).matrix[0, 3] == 5.0


def test_the_radius_is_that_of_the_bone_and_grows_away_from_it() -> None:
    bones = bent()
    assert bones.radius_at([[0.0, 0.0, 0.0], [0.0, 0.0, 60.0]]) == pytest.approx([3.0, 6.0], abs=0.05)
    assert bones.radius_at([0.0, 0.0, -100.0]) > 9.0
    assert alignment(A, B, 5.0, 4.0).radius_at([[0.0, 0.0, 0.0]]) == [4.0]


def test_the_radius_at_a_point_follows_the_form_of_its_bone() -> None:
    form = np.diag([0.0, 0.0, 0.04, 4.0])  # a bone that may turn about x and y: its ends along z are vague
    form[2, 3] = form[3, 2] = 0.1
    lone = replace(bone(4.0, 0.0, 3.0), radius_form=tuple(form[np.triu_indices(4)]))
    lone = replace(lone, anchors_mm=((0.0, 0.0, -30.0), (0.0, 0.0, 0.0), (0.0, 0.0, 30.0)))
    bones = replace(bent(), bones=(lone,))
    points = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 30.0], [0.0, 0.0, -30.0], [10.0, 0.0, 0.0]])
    expected = np.sqrt([4.0, 4.0 + 36.0 + 6.0, 4.0 + 36.0 - 6.0, 4.0])
    np.testing.assert_allclose(bones.radius_at(points), expected)
    assert bones.radius_at([20.0, 0.0, 0.0]) == pytest.approx(np.hypot(2.0, 0.6)), "6 mm outside of the bone"


def test_a_place_far_from_the_bones_is_doubtful_where_its_radius_is_no_good_one() -> None:
    bones = replace(bent(), good_radius_mm=8.0, failed_radius_mm=25.0)
    assert bones.verdict_at([0.0, 0.0, 60.0]) is Verdict.GOOD
    assert bones.verdict_at([0.0, 0.0, -100.0]) is Verdict.DOUBTFUL
    assert bent().verdict_at([0.0, 0.0, -100.0]) is Verdict.GOOD


def test_where_two_bones_touch_the_radius_knows_how_differently_they_move() -> None:
    def socket(other: float) -> Alignment:
        bones = (replace(bone(4.0, 0.0, 2.0), growth=0.0), replace(bone(other, 20.0, 2.0), growth=0.0))
        return replace(bent(), bones=bones, border=1.5)

    between, inside = [0.0, 0.0, 10.0], [0.0, 0.0, 0.0]
    assert socket(8.0).radius_at(between) == pytest.approx(np.hypot(2.0, 1.5 * 2.0), abs=0.01)
    assert 2.0 < socket(8.0).radius_at(inside) < 2.2
    assert socket(4.0).radius_at([between, inside]) == pytest.approx([2.0, 2.0])
    assert replace(socket(8.0), border=0.0).radius_at(between) == pytest.approx(2.0)
    apart = replace(socket(30.0), good_radius_mm=8.0, failed_radius_mm=25.0)
    assert apart.verdict_at(between) is Verdict.DOUBTFUL
    assert apart.verdict_at(inside) is Verdict.GOOD


@pytest.mark.parametrize(("vague", "near"), [(True, Verdict.GOOD), (False, Verdict.DOUBTFUL)])
def test_a_vague_bone_is_sure_where_its_radius_is_small(vague: bool, near: Verdict) -> None:
    form = np.diag([0.0, 0.0, 0.25, 9.0])  # held at one end
    rib = replace(bone(4.0, 0.0, 15.0, Verdict.DOUBTFUL), radius_form=tuple(form[np.triu_indices(4)]))
    rib = replace(rib, anchors_mm=tuple((0.0, 0.0, z) for z in (0.0, 14.0, 28.0, 42.0, 56.0)), vague=vague)
    bones = replace(bent(), bones=(rib,), good_radius_mm=8.0, failed_radius_mm=25.0)
    assert bones.verdict_at([0.0, 0.0, 5.0]) is near
    assert bones.verdict_at([0.0, 0.0, 30.0]) is Verdict.DOUBTFUL
    assert bones.verdict_at([0.0, 0.0, 56.0]) is (Verdict.FAILED if vague else Verdict.DOUBTFUL)
    assert replace(bones, verdict=Verdict.DOUBTFUL).verdict_at([0.0, 0.0, 5.0]) is Verdict.DOUBTFUL


def test_a_route_chains_the_motions_and_radii_of_bones() -> None:
    chain = (bent(), alignment(C, B, 1.0, 4.0))
    there, back = route(chain, A, C), route(chain, C, A)
    assert there is not None
    assert back is not None
    point = [0.0, 0.0, 0.0]
    assert there.apply(point)[0] == pytest.approx(3.0, abs=0.01)
    assert there.near(point).apply(point)[0] == pytest.approx(3.0, abs=0.01)
    assert there.near(point).to_frame == C
    assert there.radius_at(point) == pytest.approx(5.0, abs=0.05)
    np.testing.assert_allclose(back.apply(there.apply(point)), point, atol=1e-5)
    np.testing.assert_allclose(back.near([3.0, 0.0, 0.0]).apply([3.0, 0.0, 0.0]), point, atol=0.02)
    assert back.radius_at([3.0, 0.0, 0.0]) == pytest.approx(5.0, abs=0.05)


def test_where_a_bone_failed_the_route_fails_and_only_there() -> None:
    way = route((bent(failed=True),), A, B)
    assert way is not None
    assert way.verdict_at([0.0, 0.0, 0.0]) is Verdict.GOOD
    assert way.verdict_at([0.0, 0.0, 60.0]) is Verdict.FAILED
    rigid = route((alignment(A, B, 5.0, 3.0, Verdict.DOUBTFUL),), A, B)
    assert rigid is not None
    assert rigid.verdict_at([0.0, 0.0, 0.0]) is Verdict.DOUBTFUL


def test_bones_survive_json() -> None:
    adapter = TypeAdapter(Alignment)
    again = adapter.validate_json(adapter.dump_json(bent()))
    points = [[1.0, 2.0, 3.0], [4.0, 5.0, 66.0]]
    np.testing.assert_array_equal(again.apply(points), bent().apply(points))
    assert adapter.dump_json(again) == adapter.dump_json(bent())
