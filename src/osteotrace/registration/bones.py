"""Two frames of reference aligned bone by bone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from osteotrace.model.alignment import Alignment, BoneMotion
from osteotrace.model.imaging import Volume
from osteotrace.model.values import Modality, Verdict
from osteotrace.registration.bone_quality import bone_motions, row_margin
from osteotrace.registration.evidence import evidence
from osteotrace.registration.patches import BonePair, Images, pairs_of
from osteotrace.registration.per_bone import Fitted, agreement_at, fit_bones
from osteotrace.registration.person import ANOTHER, Person, person_of, signs_of_another
from osteotrace.registration.pose import Found, make_pairs, with_edges
from osteotrace.registration.pyramid import Prepared
from osteotrace.registration.quality import mirror_gain
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
_CLOSE = 0.3  # share of the score of the best way, from which on the bones decide
_RIVALS = 3
_FEWEST_VERTEBRAE = 2
_MIRRORED = "left and right are unsure"
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
    way : RowStart or None
        How the rows were counted; None where the images alone gave the start.
    share : float
        Score by the whole images, relative to that of the best start.
    """

    motion: FloatArray
    found: Found
    basis: str
    way: RowStart | None = None
    share: float = 1.0


def is_swapped(fixed: Frame, moving: Frame) -> bool:
    """Whether the moving frame is the smaller one, whose samples are looked up in the other."""
    return moving.body_ml <= fixed.body_ml


def starts_from_rows(fixed: Frame, moving: Frame, settings: Settings, seed: int) -> tuple[Start, ...]:
    """Count the vertebrae of both frames against each other in every way; whole images rank them.

    Returns
    -------
    tuple of Start
        Best first; empty where a frame shows fewer than two vertebrae.
    """
    if fixed.skeleton is None or moving.skeleton is None:
        return ()
    ways = row_starts(fixed.skeleton, moving.skeleton)[:_TRIED]
    if not ways:
        return ()
    swap = is_swapped(fixed, moving)
    probes, fields = (moving, fixed) if swap else (fixed, moving)
    pairs = make_pairs(
        probes.ready, fields.ready, settings.levels_mm[0], settings.focus_share, _SAMPLES, seed
    )
    scored = []
    for way in ways:
        start = _inverse(way.pose) if swap else way.pose
        pose = climb(pairs, start, _RANK_POWER, _ITERATIONS, Tether(start, _TETHER_MM))[1]
        scored.append((evidence(pairs, pose, _RANK_POWER)[0] * way.worth, pose))
    ranked = with_edges(scored, probes.ready, fields.ready, settings, 0)
    ways_of = {id(pose): way for way, (_, pose) in zip(ways, scored, strict=True)}
    out = []
    for score, pose in ranked:
        found = Found(pose, {"bones": pose}, tuple(ranked), pairs, probes.ready, fields.ready)
        basis = f"{len(ways_of[id(pose)].pairs)} vertebrae counted against each other in {len(ways)} ways"
        out.append(
            Start(_inverse(pose) if swap else pose, found, basis, ways_of[id(pose)], score / ranked[0][0])
        )
    return tuple(out)


def nearest_start(starts: Sequence[Start], fixed: Frame, motion: FloatArray) -> tuple[Start, float]:
    """The start that puts the vertebrae it counts nearest to where a motion puts them, and how near, mm."""
    assert fixed.skeleton is not None
    row = np.array([bone.centre for bone in fixed.skeleton.row])

    def away(start: Start) -> float:
        counted = row[[i for i, _ in start.way.pairs]] if start.way else row
        return float(np.linalg.norm(apply_affine(start.motion - motion, counted), axis=1).mean())

    best = min(starts, key=away)
    return best, away(best)


def align_bones(
    fixed: Frame,
    moving: Frame,
    starts: Sequence[Start],
    settings: Settings,
    bone_settings: BoneSettings,
    seed: int,
) -> Alignment | None:
    """Refine every bone from rigid starts; what lies around the vertebrae decides between these.

    Returns
    -------
    Alignment or None
        None where no bone can be followed: a rigid motion is all there is.
    """
    if not fixed.volumes or not moving.volumes:
        return None
    close = [s for s in starts[:_RIVALS] if s.share >= _CLOSE * starts[0].share]
    paired = [(start, _pairs(fixed, moving, start.motion)) for start in close]
    able = [(start, pairs) for start, pairs in paired if any(pair.overlap > 0.0 for pair in pairs)]
    if not able:
        return None
    images = Images(fixed.volumes, moving.volumes, [(pairs, start.motion) for start, pairs in able])

    def fit(start: Start, pairs: tuple[BonePair, ...], *, rough: bool) -> Fitted:
        return fit_bones(pairs, start.motion, images, bone_settings, seed, rough=rough)

    rival = 0.0
    start, pairs = able[0]
    if len(able) > 1:
        fits = [(_worth_of(fit(s, p, rough=True), s), n) for n, (s, p) in enumerate(able)]
        (best, n), (second, _) = sorted(fits, reverse=True)[:2]
        start, pairs = able[n]
        rival = second / max(best, 1e-9)
    fitted = fit(start, pairs, rough=False)
    if not fitted.measured:
        return None
    margins = row_margin(fitted)
    frames = (fixed.uid, moving.uid)
    main = (next(iter(fixed.volumes)), next(iter(moving.volumes)))
    bones = bone_motions(fitted, margins, frames, bone_settings)
    whole = _whole(fitted)
    record = _record(bones, whole, frames, main, bone_settings, start.basis)
    pose = _inverse(whole) if is_swapped(fixed, moving) else whole
    says = Says(
        count=1.0 - rival if start.way else 1.0,
        row=margins.row,
        stretch=abs(start.way.stretch) if start.way and len(start.way.pairs) > _FEWEST_VERTEBRAE else 0.0,
        mirrored=_mirrored(fixed, moving, replace(start.found, pose=pose), bone_settings),
        person=person_of(fitted, margins),
    )
    return judged(record, says, bone_settings)


@dataclass(frozen=True, slots=True)
class Says:
    """What speaks against an alignment of rows.

    Attributes
    ----------
    count : float
        Relative advantage over the next best way to count.
    row : float or None
        The same over the row shifted by one segment.
    stretch : float
        Relative difference in length of the common row.
    mirrored : float or None
        By which share the mirror image fits better; None where the field of view is too narrow to tell.
    person : Person or None
        None where too few vertebrae are followed to tell.
    """

    count: float
    row: float | None
    stretch: float
    mirrored: float | None
    person: Person | None = None


def _worth_of(fitted: Fitted, start: Start) -> float:
    """Mean agreement around the measured vertebrae, times how well distances and sacra agree."""
    row = [i for i in fitted.measured if fitted.pairs[i].bone.is_vertebra]
    values = [agreement_at(fitted, i, fitted.chain.motions[i]) for i in row]
    return float(np.mean(values)) * (start.way.worth if start.way else 1.0) if values else 0.0


def _mirrored(fixed: Frame, moving: Frame, found: Found, settings: BoneSettings) -> float | None:
    """Left and right differ by the organs: a slab of the spine does not show it."""
    widths = [float(np.ptp(f.ready[0].base.grid.corners[:, 0])) for f in (fixed, moving)]
    return mirror_gain(found) if min(widths) >= settings.mirror_width_mm else None


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
        good_radius_mm=settings.good_radius_mm,
        failed_radius_mm=settings.failed_radius_mm,
        border=settings.radius_border,
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


def is_refused(record: Alignment) -> bool:
    """Whether an alignment failed because one exam seems to be of another person, or mirrored."""
    return record.verdict is Verdict.FAILED and any(r.endswith((ANOTHER, _MIRRORED)) for r in record.reasons)


def judged(record: Alignment, says: Says, settings: BoneSettings) -> Alignment:
    """The record with a verdict, and what speaks against it."""
    told = [b for b in record.bones if b.name == "vertebra" and b.source == "images"]
    checks: Sequence[tuple[bool, bool, str]] = (
        (
            says.count < settings.failed_count,
            says.count < settings.good_count,
            f"another count of the vertebrae agrees only {says.count:.0%} less",
        ),
        (
            says.row is not None and says.row < settings.failed_margin,
            says.row is not None and says.row < settings.good_margin,
            f"the row agrees only {says.row or 0.0:.0%} better than one segment higher or lower",
        ),
        (
            says.stretch > settings.failed_stretch,
            says.stretch > settings.good_stretch,
            f"the row differs in length by {says.stretch:.0%}: {ANOTHER}",
        ),
        *signs_of_another(says.person, settings),
        (
            says.mirrored is not None and says.mirrored > settings.failed_mirror,
            says.mirrored is not None and says.mirrored > settings.good_mirror,
            f"the mirror image fits {says.mirrored or 0.0:.0%} better: {_MIRRORED}",
        ),
        (
            False,
            len(told) < _FEWEST_VERTEBRAE and any(b.name == "vertebra" for b in record.bones),
            "fewer than two vertebrae are in both: the level may be mistaken",
        ),
        (
            record.error_mm is None,
            all(b.verdict is not Verdict.GOOD for b in record.bones),
            "no bone is sure",
        ),
    )
    failed = [text for fails, _, text in checks if fails]
    doubts = [text for _, doubtful, text in checks if doubtful]
    verdict = Verdict.FAILED if failed else Verdict.DOUBTFUL if doubts else Verdict.GOOD
    return replace(
        record,
        verdict=verdict,
        error_mm=None if failed else record.error_mm,
        reasons=(*(failed or doubts), *record.reasons),
    )


def has_slices(volume: Volume) -> bool:
    """Whether bones can be followed in a volume: CT and MR."""
    return volume.series.modality in (Modality.CT, Modality.MR)
