"""A patient who moved by millimetres inside one frame of reference is found and said."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from osteotrace.model.criteria import load_criteria
from osteotrace.model.values import Modality, Verdict
from osteotrace.registration.pyramid import Level, Prepared
from osteotrace.registration.same_frame import check_same_frame
from osteotrace.registration.settings import Settings
from osteotrace.registration.small_motion import Shift, small_shift
from osteotrace.space import Grid

SETTINGS = Settings.of(load_criteria())
STEP = 3.5


def body(seed=1):
    """Blobs of tissue in an ellipse, as ranks, and where the body is."""
    rng = np.random.default_rng(seed)
    shape = (44, 40, 60)
    tissue = ndimage.gaussian_filter(rng.normal(size=shape), 2.0)
    index = (np.moveaxis(np.indices(shape), 0, -1) - (np.array(shape) - 1) / 2) / (np.array(shape) / 2)
    inside = (index[..., 0] ** 2 + index[..., 1] ** 2 < 0.8).astype(np.float32)
    ranks = (tissue - tissue.min()) / np.ptp(tissue)
    return (ranks * inside).astype(np.float32), inside


def prepared(name, modality, ranks, inside, shift=(0.0, 0.0, 0.0)):
    affine = np.diag([STEP, STEP, STEP, 1.0])
    affine[:3, 3] = np.array(shift)
    return Prepared(name, modality, Level(ranks, inside, Grid(ranks.shape, affine, "F")))


def pair(shift):
    """A T1 and a T2 of one body; the second after the patient moved."""
    ranks, inside = body()
    noise = np.random.default_rng(5).normal(0, 0.02, ranks.shape).astype(np.float32)
    other = ((1.0 - np.sqrt(ranks)) * inside + noise).astype(np.float32)
    return prepared("t1", Modality.MR, ranks, inside), prepared("t2", Modality.MR, other, inside, shift)


@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (2.6, 0.0, 0.0), (0.0, -3.5, 3.5), (5.0, 5.0, -5.0)])
def test_the_shift_is_measured(shift):
    found = small_shift(*pair(shift), SETTINGS, 0)
    assert np.linalg.norm(np.array(found.vector_mm) - shift) < 0.7
    assert np.linalg.norm(np.array(found.vector_mm) - shift) < found.radius_mm < 3.0
    assert found.found == bool(np.linalg.norm(shift) > found.limit_mm)


def test_no_motion_is_good():
    check = check_same_frame(*pair((0.0, 0.0, 0.0)), SETTINGS, 0)
    assert check.verdict is Verdict.GOOD
    assert check.error_mm == SETTINGS.same_frame_error_mm
    assert any(reason.startswith("no shift beyond") for reason in check.reasons)


def test_a_small_motion_is_said_and_widens_the_error():
    check = check_same_frame(*pair((0.0, 0.0, 2.8)), SETTINGS, 0)
    assert check.verdict is Verdict.GOOD
    assert check.error_mm > SETTINGS.same_frame_error_mm
    assert any("the patient moved by 2." in reason for reason in check.reasons)
    assert np.array_equal(check.transform.matrix, np.eye(4)), "inside a frame nothing is moved"


def test_a_motion_of_six_mm_is_doubtful():
    check = check_same_frame(*pair((3.0, -4.0, 3.5)), SETTINGS, 0)
    assert check.verdict is Verdict.DOUBTFUL
    assert check.residual_mm == pytest.approx(6.1, abs=0.7)
    assert check.error_mm > check.residual_mm


def test_the_same_again():
    assert small_shift(*pair((1.0, 2.0, 3.0)), SETTINGS, 3) == small_shift(
        *pair((1.0, 2.0, 3.0)), SETTINGS, 3
    )


def test_a_vague_shift_counts_from_twice_its_radius():
    vague = replace(SETTINGS, shift_radius_mm=SETTINGS.shift_sharp_mm + 1.0)
    found = small_shift(*pair((0.0, 0.0, 7.0)), vague, 0)
    assert found.limit_mm == pytest.approx(2.0 * found.radius_mm, abs=0.01)
    assert not found.found


def test_fields_that_do_not_meet_cannot_be_told():
    first, second = pair((0.0, 0.0, 2000.0))
    assert small_shift(first, second, SETTINGS, 0) is None
    check = check_same_frame(first, second, SETTINGS, 0)
    assert "too little overlap to check" in check.reasons


def test_a_body_of_a_few_voxels_cannot_be_told():
    ranks, inside = body()
    few = np.zeros_like(inside)
    few[20:25, 20:25, 20:25] = 1.0
    one = prepared("a", Modality.MR, ranks, few)
    assert small_shift(one, one, SETTINGS, 0) is None


def test_in_words():
    assert str(Shift((0.3, -1.2, 1.7), 1.9, 1.9)) == "2.1 ± 1.9 mm (left 0.3, back -1.2, head 1.7)"
