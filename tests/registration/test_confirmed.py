"""Rows of vertebrae of two modalities are held against what the images as a whole say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from osteotrace.model.alignment import Alignment, BoneMotion
from osteotrace.model.values import Verdict
from osteotrace.registration.align import confirmed
from osteotrace.space import RigidTransform

LIMIT_MM = 12.0


def _shift(z: float) -> RigidTransform:
    matrix = np.eye(4)
    matrix[2, 3] = z
    return RigidTransform(matrix, "F", "M")


def _rigid(z: float, verdict: Verdict = Verdict.GOOD) -> Alignment:
    return Alignment(_shift(z), "rigid", "f", "m", 1.0, 0.9, 6.0, verdict, ("by the images",))


def _rows() -> Alignment:
    bones = tuple(
        BoneMotion(
            name="vertebra",
            fixed_id=f"V{n}",
            moving_id=f"V{n}",
            fixed_series="f",
            moving_series="m",
            transform=_shift(0.0),
            centre_mm=(0.0, 0.0, -30.0 * n),
            anchors_mm=((0.0, 0.0, -30.0 * n),),
            source="images",
            residual_mm=0.5,
            overlap=1.0,
            margin=0.4,
            radius_mm=2.0,
            growth=0.1,
            verdict=Verdict.GOOD,
        )
        for n in range(4)
    )
    return replace(_rigid(0.0), method="bones", bones=bones, reasons=("4 bones followed",))


def test_a_row_that_the_images_confirm_is_followed() -> None:
    rows = _rows()
    assert confirmed(rows, _rigid(5.0), LIMIT_MM) is rows


def test_a_row_that_is_counted_one_off_is_not_followed() -> None:
    found = confirmed(_rows(), _rigid(30.0), LIMIT_MM)
    assert found.method == "rigid"
    assert found.verdict is Verdict.DOUBTFUL
    assert found.reasons[0] == "the count of the vertebrae and the images as a whole lie 30 mm apart"


@pytest.mark.parametrize("verdict", [Verdict.GOOD, Verdict.DOUBTFUL])
def test_a_row_that_nothing_confirms_is_doubtful(verdict: Verdict) -> None:
    rows = replace(_rows(), verdict=verdict)
    found = confirmed(rows, _rigid(0.0, Verdict.FAILED), LIMIT_MM)
    assert found.bones == rows.bones
    assert found.verdict is Verdict.DOUBTFUL
