"""Every bone refined by the images in and around it, then all of them held together by their joints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from osteotrace.registration.chain import Chain, Joint, Measured, joined, moved_by
from osteotrace.registration.joints import joints_of
from osteotrace.registration.local import agreement, relation
from osteotrace.registration.patches import BonePair, Images, Patch
from osteotrace.registration.precision import curvature, precision_of
from osteotrace.registration.refine import Tether, ascend
from osteotrace.registration.settings import BoneSettings
from osteotrace.registration.skeleton import SeenBone
from osteotrace.space import FloatArray, threads
from osteotrace.space.grid import apply_affine

_WIDE_MM = 16.0
_SETTLED_MM = 1.5
_CENTRE_SD_MM, _CENTRE_SD_DEG = 3.0, 10.0  # of a motion from the centres of two outlines
_SURE = 0.6
_OTHER_SD_MM = 6.0
_FREE_MM, _FARTHEST_MM = 5.0, 15.0  # bones that are looked for in many places, and how far
_REACH_SD, _PROBED = 1.5, 800  # samples
_CLIMBED, _ITERATIONS = 2, 10  # the best of these places
_STEPS = np.stack(np.meshgrid(*[[-1.0, 0.0, 1.0]] * 3), axis=-1).reshape(-1, 3)
_OWN_SAMPLES = 1500  # from which on a kind of bone has a relation of its own
_LEAST_SHARE = 0.35  # of the usual agreement of a bone
_HELD_POINTS = 100


Tables = dict[tuple[str, str, str], FloatArray]
"""Relation of the values for each group of patches."""


@dataclass(frozen=True, slots=True)
class _Stage:
    """How closely bones are followed, and how far from where their neighbours put them.

    The reach of a bone grows with its size: one that turns moves its far end.
    """

    samples: int
    iterations: int
    reach_mm: float
    reach_rad: float


_STAGES = (
    _Stage(1500, 20, 14.0, 0.2),
    _Stage(4000, 25, 7.0, 0.1),
    _Stage(4000, 25, 14.0, 0.2),  # of bones that the stage before moved
    _Stage(4000, 25, 7.0, 0.1),
)


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """What became of all bones.

    Attributes
    ----------
    pairs : tuple of BonePair
    joints : tuple of Joint
    patches : tuple of Patch or None
        None where the images say nothing.
    measured : dict of int to ndarray, shape (4, 4)
        Motion that the images alone say, by bone.
    chain : Chain
    tables : dict
        Relation of the values for each pair of series, and kind of bone.
    wide, wide_tables
        As `patches` and `tables`, with what lies around the bones: by it a vertebra differs from the next.
    """

    pairs: tuple[BonePair, ...]
    joints: tuple[Joint, ...]
    patches: tuple[Patch | None, ...]
    measured: dict[int, FloatArray]
    chain: Chain
    tables: Tables
    wide: tuple[Patch | None, ...]
    wide_tables: Tables


def fit_bones(
    pairs: Sequence[BonePair],
    start: FloatArray,
    images: Images,
    settings: BoneSettings,
    seed: int,
    *,
    rough: bool = False,
) -> Fitted:
    """Motion of every bone.

    Parameters
    ----------
    pairs : sequence of BonePair
    start : ndarray, shape (4, 4)
        Fixed frame to moving frame.
    images : Images
        Around the bones at this start.
    settings : BoneSettings
    seed : int
    rough : bool
        One stage, in which vertebrae only climb: enough to compare starts.
    """
    bones = [pair.bone for pair in pairs]
    centres = np.array([bone.centre for bone in bones])
    joints = joints_of(bones, settings)
    told = [m for i, pair in enumerate(pairs) if (m := _from_centres(i, pair, start)) is not None]
    chain = joined(centres, start, told, joints)
    measured: dict[int, FloatArray] = {}
    patches: list[Patch | None] = []
    tables: Tables = {}
    sizes = [_size(bone.points) for bone in bones]
    stages = _STAGES[:1] if rough else _STAGES
    every = range(len(bones))
    row = [i for i in every if bones[i].is_vertebra]
    todo: Sequence[int] = row if rough or row else every  # first the row: what hangs on it is near then
    for stage in stages:
        rng = np.random.default_rng(seed)
        motions = chain.motions
        if stage is _STAGES[1]:
            todo = every
            motions = _likeliest(pairs, chain, images, rng)
        patches = [images.patch(p, m, stage.samples, rng) for p, m in zip(pairs, motions, strict=True)]
        tables = _tables(patches, motions)
        reach = [float(np.hypot(stage.reach_mm, stage.reach_rad * size)) for size in sizes]
        found = _climbed(todo, patches, tables, motions, stage.iterations, reach)
        measured = {i: m for i, m in measured.items() if i not in todo} | found
        shares = _shares(measured, patches, tables)
        measured = {i: m for i, m in measured.items() if shares[i] > _LEAST_SHARE}
        drawn = [m for m in told if _is_mr(pairs[m.bone], images)]
        said = [*_sharper(drawn, settings), *_said(measured, shares, pairs, patches, tables, settings)]
        chain = joined(centres, start, said, joints)
        if stage is not _STAGES[0]:  # what was far off takes its neighbours along
            todo = [
                i for i in every if moved_apart(chain.motions[i], motions[i], bones[i].points) > _SETTLED_MM
            ]
            if not todo:
                break
    rng = np.random.default_rng(seed)
    wide = [
        images.patch(p, m, _STAGES[0].samples, rng, _WIDE_MM) if p.bone.is_vertebra else None
        for p, m in zip(pairs, chain.motions, strict=True)
    ]
    around = _tables(wide, chain.motions)
    return Fitted(tuple(pairs), tuple(joints), tuple(patches), measured, chain, tables, tuple(wide), around)


def _climbed(
    todo: Sequence[int],
    patches: Sequence[Patch | None],
    tables: Mapping[tuple[str, str, str], FloatArray],
    motions: FloatArray,
    iterations: int,
    reach_mm: Sequence[float],
) -> dict[int, FloatArray]:
    """Motion of each bone at which its samples agree best, near the one it has."""

    def climbed(i: int) -> FloatArray:
        patch = patches[i]
        assert patch is not None
        return best_near(patch, tables[patch.group], motions[i], iterations, reach_mm[i])

    able = [i for i in todo if patches[i] is not None]
    with ThreadPoolExecutor(threads()) as pool:
        return dict(zip(able, pool.map(climbed, able), strict=True))


def _size(points: FloatArray) -> float:
    """Root mean square distance from the middle, mm."""
    return float(np.sqrt(((points - points.mean(axis=0)) ** 2).sum(axis=1).mean()))


def moved_apart(one: FloatArray, other: FloatArray, points: FloatArray) -> float:
    """Root mean square distance of points where two motions put them, mm."""
    return float(np.sqrt((apply_affine(one - other, points) ** 2).sum(axis=1).mean()))


def _shares(
    motions: Mapping[int, FloatArray],
    patches: Sequence[Patch | None],
    tables: Mapping[tuple[str, str, str], FloatArray],
) -> dict[int, float]:
    """Agreement of each bone as a share of the median: what agrees far less is lost, or covered."""
    values: dict[int, float] = {}
    for i, motion in motions.items():
        patch = patches[i]
        assert patch is not None
        values[i] = agreement(patch.field, patch.samples, tables[patch.group], patch.pose(motion))[0]
    usual = max(float(np.median(list(values.values()))) if values else 0.0, 1e-9)
    return {i: value / usual for i, value in values.items()}


def best_near(
    patch: Patch, table: FloatArray, motion: FloatArray, iterations: int, reach_mm: float
) -> FloatArray:
    """Motion near a given one at which the samples of a patch agree best."""
    start = patch.pose(motion)
    points = patch.samples.points
    held = points[:: max(1, len(points) // _HELD_POINTS)]
    tether = Tether(start, reach_mm)

    def value_at(pose: FloatArray) -> tuple[float, FloatArray]:
        value, slope = agreement(patch.field, patch.samples, table, pose)
        return tether.hold(value, slope, pose, held)

    pose = ascend(value_at, start, apply_affine(start, points.mean(axis=0)), iterations)[1]
    return patch.pose(pose)


def agreement_at(fitted: Fitted, bone: int, motion: FloatArray) -> float:
    """Mean of the relation (nats) over the samples around a vertebra at a motion; 0 without images."""
    patch = fitted.wide[bone]
    if patch is None:
        return 0.0
    return agreement(patch.field, patch.samples, fitted.wide_tables[patch.group], patch.pose(motion))[0]


def _from_centres(number: int, pair: BonePair, start: FloatArray) -> Measured | None:
    """Motion that brings centre to centre; bones that are cut have no centre to go by."""
    if pair.fixed is None or pair.moving is None:
        return None
    if (pair.fixed.cut or pair.moving.cut) and pair.bone.name != "sacrum":  # its centre is that of S1
        return None
    motion = start.copy()
    motion[:3, 3] += pair.moving.centre - apply_affine(start, pair.fixed.centre)
    sd = _CENTRE_SD_MM if pair.bone.is_vertebra else _OTHER_SD_MM
    precision = np.diag(np.r_[[np.radians(_CENTRE_SD_DEG) ** -2.0] * 3, [sd**-2.0] * 3])
    return Measured(number, motion, precision)


def _is_mr(pair: BonePair, images: Images) -> bool:
    """Whether it is a vertebra, and both outlines are sure and of MR."""
    both = (pair.fixed, pair.moving)
    return pair.bone.is_vertebra and all(
        b is not None and b.confidence > _SURE and images.is_mr(b.series_id) for b in both
    )


def _sharper(drawn: Sequence[Measured], settings: BoneSettings) -> list[Measured]:
    """Motions from the centres of two outlines in MR, where they are more than a start.

    Fat and water of one place lie some pixels apart along the frequency direction, so the edges of two
    weightings do not fit each other; each outline follows the marrow of its image. Across the thick slices
    an outline is vague.
    """
    factor = np.square(_CENTRE_SD_MM / np.asarray(settings.sd_mr_outline))
    turns = np.diag(np.r_[np.ones(3), factor])
    return [Measured(m.bone, m.motion, m.precision @ turns) for m in drawn]


def _said(
    motions: Mapping[int, FloatArray],
    shares: Mapping[int, float],
    pairs: Sequence[BonePair],
    patches: Sequence[Patch | None],
    tables: Mapping[tuple[str, str, str], FloatArray],
    settings: BoneSettings,
) -> list[Measured]:
    """The motions with their precision.

    It is less where little of a bone is seen, where it agrees less than the others do, and along the motions
    that change its agreement little: a shell slides on itself.
    """
    usual, parts = [], []
    for i, motion in motions.items():
        patch = patches[i]
        assert patch is not None
        sd, turn = settings.sd_of(patch.kind)
        less = min(shares[i], 1.0) * max(pairs[i].overlap, 0.1) ** 0.5
        usual.append(np.r_[[np.radians(turn) ** -2.0] * 3, np.asarray(sd) ** -2.0] * less**2)
        bone = pairs[i].bone
        parts.append(curvature(patch, tables[patch.group], motion, bone.centre, _size(bone.points)))
    steep = float(np.median([np.median(np.linalg.eigvalsh(part)) for part in parts])) if parts else 1.0
    return [
        Measured(i, motion, precision_of(each, part, steep))
        for (i, motion), each, part in zip(motions.items(), usual, parts, strict=True)
    ]


def _tables(patches: Sequence[Patch | None], motions: FloatArray) -> Tables:
    """Relation of the values; a kind of bone that shows too little takes that of its pair of series."""
    groups: dict[tuple[str, str, str], list[tuple[Patch, FloatArray]]] = {}
    for patch, motion in zip(patches, motions, strict=True):
        if patch is not None:
            groups.setdefault(patch.group, []).append((patch, motion))
    out = {}
    for key, group in groups.items():
        few = sum(len(p.samples.points) for p, _ in group) < _OWN_SAMPLES
        parts = [part for k, g in groups.items() if k[:2] == key[:2] for part in g] if few else group
        out[key] = relation(group[0][0].field, [(p.samples, p.pose(m)) for p, m in parts])
    return out


def _likeliest(
    pairs: Sequence[BonePair], chain: Chain, images: Images, rng: np.random.Generator
) -> FloatArray:
    """The motions; bones that their neighbours leave free start from where they agree best.

    Places are tried along the three ways in which the neighbours leave a bone most free.
    """
    ways = {i: free for i, pair in enumerate(pairs) if (free := _free(pair.bone, chain, i)) is not None}
    probes = {i: images.patch(pairs[i], chain.motions[i], _PROBED, rng, _FARTHEST_MM) for i in ways}

    def best(i: int) -> FloatArray:
        patch, motion = probes[i], np.asarray(chain.motions[i])
        if patch is None or patch.kin:  # between modalities what fits best by chance fits better
            return motion

        def value(other: FloatArray) -> float:
            return agreement(patch.field, patch.samples, own(other), patch.pose(other))[0]

        def own(other: FloatArray) -> FloatArray:
            return relation(patch.field, [(patch.samples, patch.pose(other))])

        tried = [moved_by(motion, pairs[i].bone.centre, ways[i] @ step) for step in _STEPS]
        ends = [motion, *sorted(tried, key=value)[-_CLIMBED:]]
        ends = [best_near(patch, own(end), end, _ITERATIONS, _FARTHEST_MM) for end in ends]
        return max(ends, key=value)

    out = chain.motions.copy()
    with ThreadPoolExecutor(threads()) as pool:
        for i, motion in zip(ways, pool.map(best, ways), strict=True):
            out[i] = motion
    return out


def _free(bone: SeenBone, chain: Chain, number: int) -> FloatArray | None:
    """One standard deviation of turn (rad) and place (mm) along each of three ways; None where it is held."""
    if bone.is_vertebra:
        return None
    scale = np.r_[[_size(bone.points)] * 3, [1.0] * 3]
    values, axes = np.linalg.eigh(scale[:, None] * chain.covariance[number] * scale)
    reach = np.minimum(_REACH_SD * np.sqrt(np.maximum(values[3:], 0.0)), _FARTHEST_MM)
    return np.asarray(axes[:, 3:] * reach / scale[:, None]) if reach[-1] > _FREE_MM else None
