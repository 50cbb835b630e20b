"""Inside one frame of reference nothing is moved, but it is checked that nothing should be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from osteotrace.model.alignment import Alignment
from osteotrace.model.values import Verdict
from osteotrace.registration.evidence import evidence, overlap
from osteotrace.registration.pose import distance, make_pairs
from osteotrace.registration.pyramid import Prepared
from osteotrace.registration.refine import climb
from osteotrace.registration.settings import Settings
from osteotrace.registration.small_motion import small_shift
from osteotrace.space import RigidTransform

_SAMPLES = 3000
_ITERATIONS = 20
_SAME = "same frame of reference"


def check_same_frame(fixed: Prepared, moving: Prepared, settings: Settings, seed: int) -> Alignment:
    """Identity between two series of one frame, doubtful when a motion explains the images much better.

    First a motion of centimetres is looked for, with turns, then a shift of millimetres.

    Parameters
    ----------
    fixed, moving : Prepared
        Of the same frame of reference.
    """
    probe, field = (fixed, moving) if fixed.body_ml <= moving.body_ml else (moving, fixed)
    pairs = make_pairs([probe], [field], settings.levels_mm[0], settings.focus_share, _SAMPLES, seed)
    shared = overlap(pairs, np.eye(4))
    if shared < settings.min_overlap:
        return _identity(fixed, moving, None, shared, settings, (_SAME, "too little overlap to check"))
    before = evidence(pairs, np.eye(4), 0.0)[0]
    after, pose = climb(pairs, np.eye(4), 0.0, _ITERATIONS)
    motion = distance(pose, np.eye(4), pairs[0].samples.points)
    gain = after / max(before, 1e-9) - 1.0
    if motion > settings.moved_mm and gain > settings.moved_gain:
        reason = f"a motion of {motion:.0f} mm raises the evidence by {gain:.0%}: the patient may have moved"
        return _identity(fixed, moving, motion, shared, settings, (_SAME, reason))
    return _with_shift(fixed, moving, shared, settings, seed)


def _with_shift(fixed: Prepared, moving: Prepared, shared: float, settings: Settings, seed: int) -> Alignment:
    """Identity of two series that lie much alike: a small shift is said, and is part of the error.

    The transform stays the identity: inside one frame nothing is moved. What a shift does to a place is in
    `error_mm`; its direction is in the reasons.
    """
    shift = small_shift(fixed, moving, settings, seed)
    if shift is None:
        return _identity(
            fixed, moving, None, shared, settings, (_SAME, "a small shift could not be looked for")
        )
    if not shift.found:
        reason = f"no shift beyond {shift.limit_mm:.1f} mm"
        return _identity(fixed, moving, shift.length_mm, shared, settings, (_SAME, reason))
    checked = _identity(
        fixed, moving, shift.length_mm, shared, settings, (_SAME, f"the patient moved by {shift}")
    )
    error = max(settings.same_frame_error_mm, shift.length_mm + shift.radius_mm)
    doubtful = shift.length_mm > settings.shift_doubtful_mm
    return replace(
        checked, error_mm=round(error, 3), verdict=Verdict.DOUBTFUL if doubtful else checked.verdict
    )


def _identity(
    fixed: Prepared,
    moving: Prepared,
    motion: float | None,
    shared: float,
    settings: Settings,
    reasons: tuple[str, ...],
) -> Alignment:
    moved = motion is not None and motion > settings.moved_mm
    return Alignment(
        transform=RigidTransform.identity(fixed.frame),
        method="identity",
        fixed_series=fixed.series_id,
        moving_series=moving.series_id,
        residual_mm=motion,
        overlap=shared,
        error_mm=motion if moved else settings.same_frame_error_mm,
        verdict=Verdict.DOUBTFUL if moved else Verdict.GOOD,
        reasons=reasons,
    )
