"""Whole alignments of a synthetic limb."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from osteotrace.model.alignment import Alignment
from osteotrace.model.criteria import load_criteria
from osteotrace.model.values import Modality, Verdict
from osteotrace.registration import align
from osteotrace.space import FloatArray, Grid

from ._limb import CT_HU, MR_SIGNAL, UPTAKE, motion, scan, volume

LIMIT_DEG = 42.0  # a smaller ball of rotations than that of the product keeps the tests quick
_ALL = load_criteria()
CRITERIA = replace(
    _ALL,
    items=tuple(
        replace(item, value=LIMIT_DEG) if item.id == "registration.rotation_limit_deg" else item
        for item in _ALL.items
    ),
)
POSE = motion((33.0, 0.0, -18.0), (60.0, -40.0, 500.0))
ANATOMY = np.random.default_rng(1).uniform(-35, 35, (200, 3))


def _error(alignment: Alignment, fixed: FloatArray, moving: FloatArray) -> float:
    """95th percentile of the point error (mm); poses map anatomy to each frame."""
    start = ANATOMY @ fixed[:3, :3].T + fixed[:3, 3]
    truth = ANATOMY @ moving[:3, :3].T + moving[:3, 3]
    return float(np.percentile(np.linalg.norm(alignment.transform.apply(start) - truth, axis=1), 95))


@pytest.fixture(scope="module")
def turned() -> tuple[Alignment, ...]:
    ct = scan("ct", Modality.CT, CT_HU, "F", shape=(40, 40, 48))
    return align([ct, scan("mr", Modality.MR, MR_SIGNAL, "M", POSE)], CRITERIA)


def test_a_turned_limb_is_found_in_another_contrast(turned: tuple[Alignment, ...]) -> None:
    (alignment,) = turned
    assert alignment.frames == ("F", "M"), "the transform maps the frame that shows more to the other"
    assert alignment.method == "rigid"
    assert alignment.verdict is not Verdict.FAILED
    assert _error(alignment, np.eye(4), POSE) < 4.0
    assert alignment.error_mm is not None
    assert _error(alignment, np.eye(4), POSE) <= alignment.error_mm


def test_the_same_seed_gives_the_same_transform(turned: tuple[Alignment, ...]) -> None:
    ct = scan("ct", Modality.CT, CT_HU, "F", shape=(40, 40, 48))
    (again,) = align([ct, scan("mr", Modality.MR, MR_SIGNAL, "M", POSE)], CRITERIA)
    assert np.array_equal(again.transform.matrix, turned[0].transform.matrix)


def test_uptake_takes_part_and_progress_ends_at_the_total() -> None:
    ct = scan("ct", Modality.CT, CT_HU, "F", shape=(40, 40, 48))
    pet = scan("pet", Modality.PT, UPTAKE, "F", shape=(40, 40, 48))
    seen: list[tuple[str, int, int]] = []
    mr = scan("mr", Modality.MR, MR_SIGNAL, "M", POSE)
    result = align([ct, pet, mr], CRITERIA, progress=lambda *step: seen.append(step))
    check, alignment = result
    assert (check.method, check.verdict, check.frames) == ("identity", Verdict.GOOD, ("F", "F"))
    assert _error(alignment, np.eye(4), POSE) < 4.0
    assert "uptake" in alignment.reasons[-1]
    assert seen[-1][0] == "align"
    assert seen[-1][1] == seen[-1][2]


def test_a_mirrored_image_is_not_good() -> None:
    ct = scan("ct", Modality.CT, CT_HU, "F", shape=(40, 40, 48))
    mirrored = scan("mr", Modality.MR, MR_SIGNAL, "M", mirror=True)
    (alignment,) = align([ct, mirrored], CRITERIA)
    assert alignment.verdict is not Verdict.GOOD
    assert any("mirror image" in reason for reason in alignment.reasons)


def test_noise_fails_and_has_no_error_radius() -> None:
    grid = Grid((36, 36, 36), np.diag([4.0, 4.0, 4.0, 1.0]), "M")
    noise = volume("noise", Modality.MR, np.random.default_rng(0).rayleigh(100.0, grid.shape), grid)
    (alignment,) = align([scan("ct", Modality.CT, CT_HU, "F"), noise], CRITERIA)
    assert alignment.verdict is Verdict.FAILED
    assert alignment.error_mm is None
    assert alignment.reasons


def test_a_patient_who_moved_inside_a_frame_is_doubtful_and_not_moved() -> None:
    still = scan("ct", Modality.CT, CT_HU, "F")
    (good,) = align([still, scan("mr", Modality.MR, MR_SIGNAL, "F")], CRITERIA)
    assert good.verdict is Verdict.GOOD
    turned = scan("mr", Modality.MR, MR_SIGNAL, "F", motion((0, 0, 25.0), (0.0, 0.0, 0.0)))
    (doubtful,) = align([still, turned], CRITERIA)
    assert doubtful.verdict is Verdict.DOUBTFUL
    assert np.array_equal(doubtful.transform.matrix, np.eye(4)), "inside a frame nothing is moved"
    assert "may have moved" in doubtful.reasons[-1]


def test_one_frame_with_one_series_needs_no_alignment() -> None:
    assert align([scan("ct", Modality.CT, CT_HU, "F")], CRITERIA) == ()
    assert align([], CRITERIA) == ()


def test_an_image_without_a_body_is_left_out() -> None:
    ct = scan("ct", Modality.CT, CT_HU, "F")
    grid = Grid((20, 20, 20), np.diag([4.0, 4.0, 4.0, 1.0]), "M")
    empty = volume("empty", Modality.MR, np.zeros(grid.shape), grid)
    assert align([ct, empty], CRITERIA) == ()
