"""Two frames of reference aligned bone by bone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from osteotrace.model.alignment import Alignment, BoneMotion, worst
from osteotrace.model.imaging import Volume
from osteotrace.model.values import Modality, Verdict
from osteotrace.registration.bone_quality import bone_motions, row_margin
from osteotrace.registration.evidence import evidence
from osteotrace.registration.per_bone import BonePair, Fitted, fit_bones, pairs_of
from osteotrace.registration.pose import Found, make_pairs, with_edges
from osteotrace.registration.pyramid import Prepared
from osteotrace.registration.quality import Checks, checks, judge
from osteotrace.registration.refine import Tether, climb
from osteotrace.registration.row_start import RowStart, row_starts, same_bones
from osteotrace.registration.settings import BoneSettings, Settings
from osteotrace.registration.skeleton import Skeleton
from osteotrace.space import FloatArray, RigidTransform
from osteotrace.space.grid import apply_affine

_TRIED = 8  # ways to count the rows against each other
_SAMPLES = 1500
_ITERATIONS = 10
_TETHER_MM = 20.0
_RANK_POWER = 0.5
_RESIDUAL_MM = 5.0  # of centres, at which a way to count is worth 1/e
_SACRUM_MM, _SACRUM_WORTH = 25.0, 0.7  # sacra that lie apart speak against a way to count
_FEWEST_VERTEBRAE = 2
_LEAST_JACOBIAN = 0.05
_WIDER = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame of reference.

    Attributes
    ----------
    ready : sequence of Prepared
        Its series for whole-body evidence; the first is the main one.
    volumes : dict of str to Volume
        CT and MR of the frame by series, the main one first.
    skeleton : Skeleton or None
        None where no anatomy was given or no bone was found.
    """

    ready: Sequence[Prepared]
    volumes: Mapping[str, Volume]
    skeleton: Skeleton | None

    @property
    def body_ml(self) -> float:
        """Volume of the body in the largest field of view, mL."""
        return max(p.body_ml for p in self.ready)

    @property
    def uid(self) -> str:
        """Frame of reference UID."""
        return self.ready[0].frame


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """A rigid start.

    Attributes
    ----------
    motion : ndarray, shape (4, 4)
        Fixed frame to moving frame.
    found : Found
        The same as poses of the smaller frame in the larger one, with rivals.
    basis : str
        What it rests on, in words.
    """

    motion: FloatArray
    found: Found
    basis: str


def is_swapped(fixed: Frame, moving: Frame) -> bool:
    """Whether the moving frame is the smaller one, whose samples are looked up in the other."""
    return moving.body_ml <= fixed.body_ml


def start_from_rows(fixed: Frame, moving: Frame, settings: Settings, seed: int) -> Start | None:
    """Count the vertebrae of both frames against each other in every way; the images choose.

    Returns
    -------
    Start or None
        None where a frame shows fewer than two vertebrae.
    """
    if fixed.skeleton is None or moving.skeleton is None:
        return None
    ways = row_starts(fixed.skeleton, moving.skeleton)[:_TRIED]
    if not ways:
        return None
    swap = is_swapped(fixed, moving)
    probes, fields = (moving, fixed) if swap else (fixed, moving)
    pairs = make_pairs(
        probes.ready, fields.ready, settings.levels_mm[0], settings.focus_share, _SAMPLES, seed
    )
    scored = []
    for way in ways:
        start = _inverse(way.pose) if swap else way.pose
        pose = climb(pairs, start, _RANK_POWER, _ITERATIONS, Tether(start, _TETHER_MM))[1]
        scored.append((evidence(pairs, pose, _RANK_POWER)[0] * _worth(way), pose))
    ranked = with_edges(scored, probes.ready, fields.ready, settings, 0)
    best = ranked[0][1]
    way = next(w for w, (_, pose) in zip(ways, scored, strict=True) if pose is best)
    motion = _inverse(best) if swap else best
    found = Found(best, {"bones": best}, tuple(ranked), pairs, probes.ready, fields.ready)
    count = sum(fixed.skeleton.bones[i].is_vertebra for i, _ in way.pairs)
    basis = f"{count} vertebrae counted against each other in {len(ways)} ways"
    return Start(motion, found, basis)


def _worth(way: RowStart) -> float:
    """Factor on the evidence of a way to count: how well centres and sacra meet."""
    apart = way.sacrum_mm is not None and way.sacrum_mm > _SACRUM_MM
    return float(np.exp(-((way.residual_mm / _RESIDUAL_MM) ** 2))) * (_SACRUM_WORTH if apart else 1.0)


def align_bones(
    fixed: Frame, moving: Frame, start: Start, settings: Settings, bone_settings: BoneSettings, seed: int
) -> Alignment | None:
    """Refine every bone from a rigid start.

    Returns
    -------
    Alignment or None
        None where no bone can be followed: the rigid start is all there is.
    """
    if not fixed.volumes or not moving.volumes or (fixed.skeleton or moving.skeleton) is None:
        return None
    pairs = _pairs(fixed, moving, start.motion)
    if sum(p.overlap > 0.0 for p in pairs) == 0:
        return None
    fitted = fit_bones(pairs, start.motion, fixed.volumes, moving.volumes, bone_settings, seed)
    if not fitted.measured:
        return None
    margins = row_margin(fitted)
    frames = (fixed.uid, moving.uid)
    main = (next(iter(fixed.volumes)), next(iter(moving.volumes)))
    bones = bone_motions(fitted, margins, frames, main, bone_settings)
    whole = _whole(fitted)
    seen = checks(
        replace(start.found, pose=whole if not is_swapped(fixed, moving) else _inverse(whole)), settings, seed
    )
    record = _record(bones, whole, frames, main, bone_settings, start.basis)
    return _judged(record, seen, margins.row, settings, bone_settings)


def _pairs(fixed: Frame, moving: Frame, motion: FloatArray) -> tuple[BonePair, ...]:
    same: tuple[tuple[int, int], ...] = ()
    if fixed.skeleton is not None and moving.skeleton is not None:
        same = same_bones(fixed.skeleton, moving.skeleton, motion)
    volumes = (*fixed.volumes.values(), *moving.volumes.values())
    return pairs_of(fixed.skeleton, moving.skeleton, same, motion, volumes)


def _inverse(matrix: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.inv(matrix))


def _whole(fitted: Fitted) -> FloatArray:
    """Rigid motion nearest to those of the bones that the images tell."""
    told = [i for i in fitted.measured if fitted.pairs[i].overlap > 0.0]
    here = np.concatenate([fitted.pairs[i].bone.anchors for i in told])
    there = np.concatenate(
        [apply_affine(fitted.chain.motions[i], fitted.pairs[i].bone.anchors) for i in told]
    )
    middle, place = here.mean(axis=0), there.mean(axis=0)
    u, _, v = np.linalg.svd((there - place).T @ (here - middle))
    turn = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ v))]) @ v
    out = np.eye(4)
    out[:3, :3] = turn
    out[:3, 3] = place - turn @ middle
    return out


def _record(
    bones: tuple[BoneMotion, ...],
    whole: FloatArray,
    frames: tuple[str, str],
    main: tuple[str, str],
    settings: BoneSettings,
    basis: str,
) -> Alignment:
    told = [bone for bone in bones if bone.source == "images"]
    usable = [bone.radius_mm for bone in told if bone.verdict is not Verdict.FAILED]
    residuals = [bone.residual_mm for bone in told if bone.residual_mm is not None]
    record = Alignment(
        transform=RigidTransform(whole, *frames),
        method="bones",
        fixed_series=main[0],
        moving_series=main[1],
        residual_mm=float(np.sqrt(np.mean(np.square(residuals)))) if residuals else None,
        overlap=float(np.mean([bone.overlap for bone in bones])),
        error_mm=float(np.sqrt(np.mean(np.square(usable)))) if usable else None,
        verdict=Verdict.GOOD,
        reasons=(f"{len(told)} bones followed; {basis}",),
        bones=bones,
        blend_mm=settings.blend_mm,
    )
    return _unfolded(record)


def _unfolded(record: Alignment) -> Alignment:
    """Widen the blend until neighbours do not move into each other."""
    points = np.array([anchor for bone in record.bones for anchor in bone.anchors_mm])
    for _ in range(4):
        blend = record.blend
        assert blend is not None
        if blend.least_jacobian(points) > _LEAST_JACOBIAN:
            break
        record = replace(record, blend_mm=record.blend_mm * _WIDER)
    return record


def _judged(
    record: Alignment, seen: Checks, margin: float | None, settings: Settings, bone_settings: BoneSettings
) -> Alignment:
    verdict, reasons = judge(0.0, replace(seen, margin=1.0, overlap=1.0), settings)
    vertebrae = sum(b.name == "vertebra" and b.source == "images" for b in record.bones)
    doubts = list(reasons)
    if margin is not None and margin < bone_settings.good_margin:
        failed = margin < bone_settings.failed_margin
        verdict = worst(verdict, Verdict.FAILED if failed else Verdict.DOUBTFUL)
        doubts.append(f"the row of vertebrae agrees only {margin:.0%} better than a segment higher or lower")
    if vertebrae < _FEWEST_VERTEBRAE and any(b.name == "vertebra" for b in record.bones):
        verdict = worst(verdict, Verdict.DOUBTFUL)
        doubts.append("fewer than two vertebrae are in both: the level may be mistaken")
    good = [b for b in record.bones if b.verdict is Verdict.GOOD]
    if not good:
        verdict = worst(verdict, Verdict.DOUBTFUL)
        doubts.append("no bone is sure")
    failed_all = verdict is Verdict.FAILED or record.error_mm is None
    return replace(
        record,
        verdict=Verdict.FAILED if failed_all else verdict,
        error_mm=None if failed_all else record.error_mm,
        reasons=(*doubts, *record.reasons),
    )


def has_slices(volume: Volume) -> bool:
    """Whether bones can be followed in a volume: CT and MR."""
    return volume.series.modality in (Modality.CT, Modality.MR)
