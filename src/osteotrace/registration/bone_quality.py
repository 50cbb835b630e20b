"""How far the motion of each bone can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from osteotrace.model.alignment import BoneMotion, Vector
from osteotrace.model.values import Verdict
from osteotrace.registration.bone_radius import mean_radius, radius_form
from osteotrace.registration.joints import is_loose
from osteotrace.registration.patches import BonePair
from osteotrace.registration.per_bone import Fitted, agreement_at, best_near, moved_apart
from osteotrace.registration.settings import BoneSettings
from osteotrace.space import FloatArray, RigidTransform

_SEGMENT_MM = 30.0  # height of a segment where a vertebra has no neighbour
_ITERATIONS = 8
_REACH_MM = 8.0
_CONTRADICTED = 0.6  # trust below which the neighbours overruled the images of a bone
_LEAST_SEEN = 0.6  # share of a bone, without an outline of it in one of the frames
_NEIGHBOURS = "only its neighbours tell its motion"


@dataclass(frozen=True, slots=True)
class RowMargin:
    """Advantage of the row of vertebrae over its copies one segment higher and lower.

    Attributes
    ----------
    row : float or None
        Of all vertebrae together, relative; None without a measured vertebra.
    each : dict of int to float
        Of each bone.
    """

    row: float | None
    each: dict[int, float]


def row_margin(fitted: Fitted) -> RowMargin:
    """Shift every measured vertebra by one segment up and down, let it settle, and compare the agreement."""
    row = [i for i, pair in enumerate(fitted.pairs) if pair.bone.is_vertebra]
    row.sort(key=lambda i: -float(fitted.pairs[i].bone.centre[2]))
    measured = [i for i in row if i in fitted.measured and fitted.wide[i] is not None]
    if not measured:
        return RowMargin(None, {})
    here = {i: agreement_at(fitted, i, fitted.chain.motions[i]) for i in measured}
    shifted = {
        side: {i: _settled(fitted, i, step) for i, step in _steps(fitted.pairs, row, side) if i in here}
        for side in (-1, 1)
    }
    total = sum(here.values())
    rivals = [sum(values.values()) for values in shifted.values()]
    each = {i: 1.0 - max(shifted[-1][i], shifted[1][i]) / max(value, 1e-9) for i, value in here.items()}
    return RowMargin(1.0 - max(rivals) / max(total, 1e-9), each)


def _steps(pairs: Sequence[BonePair], row: Sequence[int], side: int) -> list[tuple[int, FloatArray]]:
    """From each vertebra to the next one on a side, in the fixed frame."""
    out = []
    for at, i in enumerate(row):
        own = pairs[i].bone.centre
        if 0 <= at + side < len(row):
            out.append((i, pairs[row[at + side]].bone.centre - own))
        elif len(row) > 1:
            out.append((i, own - pairs[row[at - side]].bone.centre))
        else:
            out.append((i, np.array([0.0, 0.0, -side * _SEGMENT_MM])))
    return out


def _settled(fitted: Fitted, bone: int, step: FloatArray) -> float:
    patch = fitted.wide[bone]
    assert patch is not None
    moved = np.eye(4)
    moved[:3, 3] = step
    start = fitted.chain.motions[bone] @ moved
    motion = best_near(patch, fitted.wide_tables[patch.group], start, _ITERATIONS, _REACH_MM)
    return agreement_at(fitted, bone, motion)


def bone_motions(
    fitted: Fitted, margins: RowMargin, frames: tuple[str, str], settings: BoneSettings
) -> tuple[BoneMotion, ...]:
    """The record of every bone.

    Parameters
    ----------
    fitted : Fitted
    margins : RowMargin
    frames : tuple of str
        Fixed and moving frame of reference UID.
    settings : BoneSettings
    """
    return tuple(_motion(fitted, i, margins, frames, settings) for i in range(len(fitted.pairs)))


def _motion(
    fitted: Fitted,
    i: int,
    margins: RowMargin,
    frames: tuple[str, str],
    settings: BoneSettings,
) -> BoneMotion:
    pair, motion = fitted.pairs[i], fitted.chain.motions[i]
    seen = i in fitted.measured
    residual = moved_apart(fitted.measured[i], motion, pair.bone.points) if seen else None
    form = radius_form(fitted, i, settings)
    radius = mean_radius(form, pair.bone)
    margin = margins.each.get(i)
    in_part = pair.overlap < _LEAST_SEEN and (pair.fixed is None or pair.moving is None)
    held = not is_loose(pair.bone)
    verdict, reasons, vague = _judged(radius, residual, fitted.chain.trust[i], seen, in_part, held, settings)
    return BoneMotion(
        name=pair.bone.name,
        fixed_id=pair.fixed.id if pair.fixed else "",
        moving_id=pair.moving.id if pair.moving else "",
        fixed_series=pair.series[0],
        moving_series=pair.series[1],
        transform=RigidTransform(motion, *frames),
        centre_mm=_vector(pair.bone.centre),
        anchors_mm=tuple(_vector(anchor) for anchor in pair.bone.anchors),
        source="images" if seen else "neighbours",
        residual_mm=residual,
        overlap=pair.overlap,
        margin=margin,
        radius_mm=radius,
        growth=settings.radius_growth,
        verdict=verdict,
        reasons=reasons,
        radius_form=tuple(float(v) for v in form[np.triu_indices(4)]),
        vague=vague,
    )


def _judged(
    radius: float,
    residual: float | None,
    trust: float,
    seen: bool,
    in_part: bool,
    held: bool,
    settings: BoneSettings,
) -> tuple[Verdict, tuple[str, ...], bool]:
    """Verdict, reasons, and whether the radius at a place says the same more exactly.

    It does so in bones that stiff joints hold; one that hangs freely is doubtful as a whole.
    """
    if radius > settings.failed_radius_mm:
        return Verdict.FAILED, (f"95% radius {radius:.0f} mm",), held
    doubts = []
    if radius > settings.good_radius_mm:
        doubts.append(f"95% radius {radius:.0f} mm")
    if in_part:
        doubts.append("one of the images shows only part of it")
    vague = bool(doubts) and held
    if not seen and doubts:
        doubts.append(_NEIGHBOURS)
    elif seen and trust < _CONTRADICTED:
        doubts.append(f"its own images say {residual or 0.0:.0f} mm otherwise than its neighbours")
        vague = False
    return (Verdict.DOUBTFUL, tuple(doubts), vague) if doubts else (Verdict.GOOD, (), False)


def _vector(point: FloatArray) -> Vector:
    x, y, z = (float(v) for v in point)
    return (x, y, z)
