"""Every frame of reference of a patient to the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Lock

import numpy as np
from threadpoolctl import threadpool_limits

from osteotrace.model.alignment import Alignment, worst
from osteotrace.model.anatomy import Anatomy
from osteotrace.model.criteria import Criteria
from osteotrace.model.imaging import MrFacts, NuclearFacts, Series, Volume
from osteotrace.model.values import Modality, Quantity, Verdict
from osteotrace.registration.bones import (
    Frame,
    Start,
    align_bones,
    has_slices,
    is_refused,
    is_swapped,
    nearest_start,
    starts_from_rows,
)
from osteotrace.registration.pose import Found, best_of, find_pose
from osteotrace.registration.pyramid import Prepared, prepare
from osteotrace.registration.quality import Quality, assess, stands_out
from osteotrace.registration.same_frame import check_same_frame
from osteotrace.registration.settings import BoneSettings, Settings
from osteotrace.registration.skeleton import skeletons_of
from osteotrace.space import FloatArray, RigidTransform, threads
from osteotrace.space.grid import apply_affine

Progress = Callable[[str, int, int], None]

_SERIES_PER_FRAME = 2
_AT_ONCE = 2  # pairs of frames: each of them often works on one core only
_STEPS = 3  # search, refinement, quality
_SEGMENTS = 2.0  # half segments: how far a pose may lie beside every way to count
_ORDER = (Modality.CT, Modality.MR, Modality.PT, Modality.NM)


def align(
    volumes: Sequence[Volume],
    criteria: Criteria,
    *,
    anatomies: Sequence[Anatomy] = (),
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[Alignment, ...]:
    """Align the frames of reference of one patient.

    The frame that shows most of the body is the reference. Frames of the same modality are aligned to one
    another first (their images are most alike) and the rest follows from one of them. Where bones are known,
    each of them gets a motion of its own.

    Parameters
    ----------
    volumes : sequence of Volume
        All volumes of the patient.
    criteria : Criteria
        ``registration.*``.
    anatomies : sequence of Anatomy
        Of any of the volumes; without bones in either of two frames these are aligned rigidly.
    seed : int
        Of the sampling; the same seed gives the same result.
    progress : callable, optional
        Called with ("align", done, total).

    Returns
    -------
    tuple of Alignment
        The checks inside each frame, then one from the reference frame or a frame of the same modality to
        each other frame; an alignment that failed is in the list too.
    """
    with threadpool_limits(1, user_api="blas"):  # matrices are tiny here: more threads only get in the way
        return _aligned(volumes, criteria, anatomies, seed, progress)


def _aligned(
    volumes: Sequence[Volume],
    criteria: Criteria,
    anatomies: Sequence[Anatomy],
    seed: int,
    progress: Progress | None,
) -> tuple[Alignment, ...]:
    settings, bone_settings = Settings.of(criteria), BoneSettings.of(criteria)
    with ThreadPoolExecutor(min(_AT_ONCE, threads())) as pool:
        frames = _frames(volumes, anatomies, settings, pool)
        plan = _plan(frames)
        total = max(1, len(plan) * _STEPS)
        done, counting = 0, Lock()

        def tick() -> None:
            nonlocal done
            with counting:
                done = min(total, done + 1)
                if progress:
                    progress("align", done, total)

        def check(pair: tuple[Prepared, Prepared]) -> Alignment:
            return check_same_frame(*pair, settings, seed)

        def aligned(pair: tuple[Frame, Frame]) -> list[Alignment]:
            fixed, moving = pair
            found = [_between(fixed, moving, settings, bone_settings, seed, tick)]
            if found[0].verdict is not Verdict.GOOD and fixed is not frames[0]:
                found.append(_between(frames[0], moving, settings, bone_settings, seed, tick))
            return found

        made = pool.map(aligned, plan)
        checks = pool.map(check, [(f.ready[0], other) for f in frames for other in f.ready[1:]])
        found = [alignment for some in made for alignment in some]
        return (*checks, *found)


def _frames(
    volumes: Sequence[Volume], anatomies: Sequence[Anatomy], settings: Settings, pool: ThreadPoolExecutor
) -> list[Frame]:
    """Chosen series of each frame, ready; the frame that shows most of the body first."""
    order = sorted((v for v in volumes if has_slices(v)), key=_for_bones)
    skeletons = skeletons_of(anatomies, [v.series.id for v in order])
    groups: dict[str, list[Volume]] = {}
    for volume in volumes:
        if volume.series.modality in _ORDER:
            groups.setdefault(volume.grid.frame_of_reference_uid, []).append(volume)

    def ready(volume: Volume) -> Prepared | None:
        return prepare(volume, settings.levels_mm[-1], settings.body_hu)

    coming = {uid: [pool.submit(ready, v) for v in _chosen(group)] for uid, group in groups.items()}
    frames = []
    for uid, each in coming.items():
        usable = [p for one in each if (p := one.result()) is not None]
        if usable:
            near = {v.series.id: v for v in order if v.grid.frame_of_reference_uid == uid}
            frames.append(Frame(usable, near, skeletons.get(uid)))
    return sorted(frames, key=lambda f: (-f.body_ml, f.ready[0].series_id))


def _for_bones(volume: Volume) -> tuple[int, bool, bool, float, str]:
    """Volumes on which a bone is best followed first: CT, then T1 without fat suppression."""
    facts = volume.series.facts
    is_t1 = isinstance(facts, MrFacts) and facts.weighting.value == "T1W"
    suppressed = isinstance(facts, MrFacts) and facts.fat_suppression.value not in (None, "none")
    return (_ORDER.index(volume.series.modality), not is_t1, suppressed, *_volume_order(volume))


def _chosen(group: Sequence[Volume]) -> list[Volume]:
    """At most two series: one of each modality, or two of different contrast of one."""
    ranked = sorted(group, key=lambda v: (_rank(v.series), _volume_order(v)))
    out: list[Volume] = []
    for key in (_modality, _contrast):
        for volume in ranked:
            if len(out) < _SERIES_PER_FRAME and all(key(volume) != key(o) for o in out):
                out.append(volume)
    return out


def _modality(volume: Volume) -> str:
    return volume.series.modality


def _contrast(volume: Volume) -> str:
    series = volume.series
    if isinstance(series.facts, MrFacts):
        facts = series.facts
        return f"{series.modality} {facts.weighting.value} {facts.fat_suppression.value} {series.quantity}"
    return f"{series.modality} {series.quantity}"


def _rank(series: Series) -> tuple[int, int]:
    """Modalities in the order of their detail; uptake in units before counts, signal before maps."""
    order = _ORDER.index(series.modality)
    if isinstance(series.facts, NuclearFacts):
        return order, int(series.quantity is not Quantity.SUVBW)
    return order, int(series.quantity is Quantity.ADC)


def _volume_order(volume: Volume) -> tuple[float, str]:
    """Larger fields of view first."""
    return -float(np.prod(volume.grid.shape)) * volume.grid.voxel_volume_mm3, volume.series.id


def _plan(frames: Sequence[Frame]) -> list[tuple[Frame, Frame]]:
    plan: list[tuple[Frame, Frame]] = []
    for n, moving in enumerate(frames[1:], start=1):
        kind = {p.modality for p in moving.ready}
        alike = [f for f in frames[1:n] if {p.modality for p in f.ready} == kind]
        plan.append((alike[0] if alike else frames[0], moving))
    return plan


def _between(
    fixed: Frame,
    moving: Frame,
    settings: Settings,
    bone_settings: BoneSettings,
    seed: int,
    tick: Callable[[], None],
) -> Alignment:
    """By the bones where both frames show a row of them; else by the images, and then by the bones of one.

    Between modalities a row can be counted one vertebra off with every sign of agreement, so there the images
    as a whole choose the count.
    """
    by_rows: Alignment | None = None
    alike = _is_alike(fixed, moving)
    starts = starts_from_rows(fixed, moving, settings, seed)
    if starts:
        by_rows = (
            align_bones(fixed, moving, starts, settings, bone_settings, seed)
            if alike
            else _by_likely_count(fixed, moving, starts, settings, bone_settings, seed)
        )
        if by_rows is not None and by_rows.verdict is not Verdict.FAILED:
            for _ in range(_STEPS):
                tick()
            return by_rows
    swap = is_swapped(fixed, moving)
    probes, fields = (moving, fixed) if swap else (fixed, moving)
    found = find_pose(probes.ready, fields.ready, settings, seed, tick)
    if found is None:
        tick()
        if starts and not alike:
            by_rows = align_bones(fixed, moving, starts, settings, bone_settings, seed)
        none = _none(fixed.ready, moving.ready)
        return none if by_rows is None else confirmed(by_rows, none, bone_settings.contradiction_mm)
    quality = assess(found, settings, seed)
    tick()
    rigid = _alignment(fixed.ready, moving.ready, found, quality, swap)
    if starts and not alike:
        nearest, away = nearest_start(starts, fixed, rigid.transform.matrix)
        if away > _SEGMENTS * bone_settings.contradiction_mm:
            rigid = _beside_the_row(rigid, away)
        chosen = starts if rigid.verdict is Verdict.FAILED else [nearest]
        by_rows = align_bones(fixed, moving, chosen, settings, bone_settings, seed)
        if by_rows is not None and by_rows.verdict is not Verdict.FAILED:
            return confirmed(by_rows, rigid, bone_settings.contradiction_mm)
    followed = _followed(fixed, moving, rigid, found, settings, bone_settings, seed)
    return followed if by_rows is None else _second(by_rows, followed)


def _beside_the_row(rigid: Alignment, away_mm: float) -> Alignment:
    """A pose that brings the row of one frame to no row of the other, in whatever way they are counted."""
    reason = f"the images as a whole would put the vertebrae {away_mm:.0f} mm beside those of the other exam"
    return replace(rigid, verdict=Verdict.FAILED, error_mm=None, reasons=(reason, *rigid.reasons))


def _by_likely_count(
    fixed: Frame,
    moving: Frame,
    starts: Sequence[Start],
    settings: Settings,
    bone_settings: BoneSettings,
    seed: int,
) -> Alignment | None:
    """By the rows, counted as the whole images like best; None where these do not stand behind a count."""
    swap = is_swapped(fixed, moving)
    probes, fields = (moving, fixed) if swap else (fixed, moving)
    found = best_of(probes.ready, fields.ready, settings, seed, [p for _, p in starts[0].found.rivals])
    if found is None:
        return None
    margin, chance = stands_out(found, settings, seed)
    if margin < settings.good_margin or chance < settings.failed_chance:
        return None
    motion = np.asarray(np.linalg.inv(found.pose)) if swap else found.pose
    start, _ = nearest_start(starts, fixed, motion)
    by_rows = align_bones(fixed, moving, [start], settings, bone_settings, seed)
    if by_rows is None or apart_mm(by_rows, motion) > bone_settings.contradiction_mm:
        return None
    return by_rows


def apart_mm(by_rows: Alignment, motion: FloatArray) -> float:
    """Median distance of where the followed bones are put and where one rigid motion puts them."""
    centres = np.array([bone.centre_mm for bone in by_rows.bones if bone.source == "images"])
    return float(np.median(np.linalg.norm(by_rows.apply(centres) - apply_affine(motion, centres), axis=1)))


def _is_alike(fixed: Frame, moving: Frame) -> bool:
    kinds = [{v.series.modality for v in frame.volumes.values()} for frame in (fixed, moving)]
    return kinds[0] == kinds[1]


def confirmed(by_rows: Alignment, rigid: Alignment, limit_mm: float) -> Alignment:
    """The motions of bones where the images as a whole put the row there too, else one rigid motion."""
    if rigid.verdict is Verdict.FAILED:
        reason = "the images as a whole confirm no count of the vertebrae"
        doubtful = worst(by_rows.verdict, Verdict.DOUBTFUL)
        return replace(by_rows, verdict=doubtful, reasons=(reason, *by_rows.reasons))
    apart = apart_mm(by_rows, rigid.transform.matrix)
    if apart <= limit_mm:
        return by_rows
    reason = f"the count of the vertebrae and the images as a whole lie {apart:.0f} mm apart"
    doubtful = worst(rigid.verdict, Verdict.DOUBTFUL)
    return replace(rigid, verdict=doubtful, reasons=(reason, *rigid.reasons))


def _followed(
    fixed: Frame,
    moving: Frame,
    rigid: Alignment,
    found: Found,
    settings: Settings,
    bone_settings: BoneSettings,
    seed: int,
) -> Alignment:
    """The rigid alignment with the motions of bones, where these say the same more exactly."""
    if rigid.verdict is Verdict.FAILED:
        return rigid
    start = Start(rigid.transform.matrix, found, "from a rigid start by the images")
    bones = align_bones(fixed, moving, [start], settings, bone_settings, seed)
    if bones is not None and is_refused(bones):
        return replace(rigid, verdict=Verdict.FAILED, error_mm=None, reasons=(*bones.reasons, *rigid.reasons))
    if bones is None or bones.verdict is Verdict.FAILED:
        return rigid
    return replace(
        bones, verdict=worst(bones.verdict, rigid.verdict), reasons=(*bones.reasons, *rigid.reasons)
    )


def _second(failed: Alignment, other: Alignment) -> Alignment:
    """What the images say where the rows of vertebrae contradict each other: doubtful at best."""
    if other.verdict is Verdict.FAILED:
        return failed
    reasons = (*failed.reasons[:1], *other.reasons)
    return replace(other, verdict=worst(other.verdict, Verdict.DOUBTFUL), reasons=reasons)


def _alignment(
    fixed: Sequence[Prepared], moving: Sequence[Prepared], found: Found, quality: Quality, swap: bool
) -> Alignment:
    frames = (moving[0].frame, fixed[0].frame) if swap else (fixed[0].frame, moving[0].frame)
    motion = RigidTransform(_orthogonal(found.pose), *frames)
    failed = quality.verdict is Verdict.FAILED
    return Alignment(
        transform=motion.inverse if swap else motion,
        method="rigid",
        fixed_series=fixed[0].series_id,
        moving_series=moving[0].series_id,
        residual_mm=quality.residual_mm,
        overlap=quality.overlap,
        error_mm=None if failed else quality.error_mm,
        verdict=quality.verdict,
        reasons=(*quality.reasons, _basis(found)),
    )


def _basis(found: Found) -> str:
    by_uptake = sum("uptake" in name for name in found.estimates)
    weighted = f", {by_uptake} of them where the uptake is" if by_uptake else ""
    return f"mean of {len(found.estimates)} estimates{weighted}"


def _none(fixed: Sequence[Prepared], moving: Sequence[Prepared]) -> Alignment:
    return Alignment(
        transform=RigidTransform(np.eye(4), fixed[0].frame, moving[0].frame),
        method="rigid",
        fixed_series=fixed[0].series_id,
        moving_series=moving[0].series_id,
        residual_mm=None,
        overlap=0.0,
        error_mm=None,
        verdict=Verdict.FAILED,
        reasons=("no pose lets the two bodies overlap enough",),
    )


def _orthogonal(pose: FloatArray) -> FloatArray:
    """Remove the rounding that many products leave in a rotation."""
    u, _, v = np.linalg.svd(pose[:3, :3])
    out = pose.copy()
    out[:3, :3] = u @ v
    return out
