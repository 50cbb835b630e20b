"""Every bone refined by the images in and around it, then all of them held together by their joints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from osteotrace.model.imaging import Volume
from osteotrace.model.values import Modality
from osteotrace.registration.chain import Chain, Joint, Measured, joined
from osteotrace.registration.evidence import Field, Samples
from osteotrace.registration.joints import joints_of
from osteotrace.registration.local import (
    LocalImage,
    agreement,
    field_of,
    local_image,
    relation,
    samples_around,
)
from osteotrace.registration.refine import Tether, ascend
from osteotrace.registration.settings import BoneSettings
from osteotrace.registration.skeleton import SeenBone, Skeleton
from osteotrace.space import FloatArray, threads
from osteotrace.space.grid import apply_affine

_MARGIN_MM = 40.0  # around the bones; room to move
_SPACING_MM = 2.0
_WIDE_MM = 16.0
_REACH_MM = 5.0  # around the outline of a bone
_SAMPLES = (1500, 4000)
_OF_CT = 0.5  # share of the samples that two CT need
_ITERATIONS = (20, 25)
_TETHER_MM = (14.0, 7.0)
_LEAST_SAMPLES = 200
_CENTRE_SD_MM, _CENTRE_SD_DEG = 3.0, 10.0  # of a motion from the centres of two outlines
_OTHER_SD_MM = 6.0
_LEAST_SHARE = 0.35  # of the usual agreement of a bone
_LEAST_OVERLAP = 0.3
_HELD_POINTS = 100


@dataclass(frozen=True, slots=True, eq=False)
class BonePair:
    """A bone in both frames, or in one.

    Attributes
    ----------
    bone : SeenBone
        In the fixed frame; carried over by the start where only the moving frame shows it.
    fixed, moving : SeenBone or None
        As the frames show it.
    overlap : float
        Share of its points inside the field of view of the moving frame, 0 to 1.
    """

    bone: SeenBone
    fixed: SeenBone | None
    moving: SeenBone | None
    overlap: float


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """Samples around a bone in the probe image, and the image they are looked up in.

    Attributes
    ----------
    samples : Samples
    field : Field
    forward : bool
        Whether the samples are of the fixed frame, so that poses are motions; else they are their inverses.
    kind : str
        Modalities, in alphabetical order: ``CT-MR`` ...
    series : tuple of str
        Fixed and moving series.
    """

    samples: Samples
    field: Field
    forward: bool
    kind: str
    series: tuple[str, str]

    def pose(self, motion: FloatArray) -> FloatArray:
        """Probe to field from fixed to moving, or back."""
        return motion if self.forward else np.asarray(np.linalg.inv(motion))


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
        Relation of the values for each pair of series.
    wide, wide_tables
        As `patches` and `tables`, with what lies around the bones: by it a vertebra differs from the next.
    """

    pairs: tuple[BonePair, ...]
    joints: tuple[Joint, ...]
    patches: tuple[Patch | None, ...]
    measured: dict[int, FloatArray]
    chain: Chain
    tables: dict[tuple[str, str], FloatArray]
    wide: tuple[Patch | None, ...]
    wide_tables: dict[tuple[str, str], FloatArray]


def pairs_of(
    fixed: Skeleton | None,
    moving: Skeleton | None,
    same: Sequence[tuple[int, int]],
    start: FloatArray,
    volumes: Sequence[Volume],
) -> tuple[BonePair, ...]:
    """Bones that both frames can show, from those that either outlines.

    Parameters
    ----------
    fixed, moving : Skeleton or None
    same : sequence of (int, int)
        Bones of the two that are the same.
    start : ndarray, shape (4, 4)
        Fixed frame to moving frame.
    volumes : sequence of Volume
        Of both frames.
    """
    partner = dict(same)
    here = fixed.bones if fixed else ()
    there = moving.bones if moving else ()
    out = [(bone, bone, there[partner[i]] if i in partner else None) for i, bone in enumerate(here)]
    back = np.asarray(np.linalg.inv(start))
    alone = [bone for j, bone in enumerate(there) if j not in set(partner.values())]
    out_all = [*out, *((_carried(bone, back), None, bone) for bone in alone)]
    frames = {v.grid.frame_of_reference_uid for v in volumes}
    ends = (fixed.frame if fixed else "", moving.frame if moving else "")
    ends = (ends[0] or next(iter(frames - {ends[1]})), ends[1] or next(iter(frames - {ends[0]})))
    pairs = []
    for bone, seen, other in out_all:
        share = _inside(volumes, ends[1], apply_affine(start, bone.points))
        if seen is None:
            share = min(share, _inside(volumes, ends[0], bone.points))
        if share > 0.0 or other is not None:
            pairs.append(BonePair(bone, seen, other, share))
    return tuple(pairs)


def _carried(bone: SeenBone, motion: FloatArray) -> SeenBone:
    return replace(
        bone,
        centre=apply_affine(motion, bone.centre),
        points=apply_affine(motion, bone.points),
        anchors=apply_affine(motion, bone.anchors),
    )


def _inside(volumes: Sequence[Volume], frame: str, points: FloatArray) -> float:
    seen = [v.grid.contains(points) for v in volumes if v.grid.frame_of_reference_uid == frame]
    return float(np.any(seen, axis=0).mean()) if seen else 0.0


def fit_bones(
    pairs: Sequence[BonePair],
    start: FloatArray,
    fixed: Mapping[str, Volume],
    moving: Mapping[str, Volume],
    settings: BoneSettings,
    seed: int,
) -> Fitted:
    """Motion of every bone.

    Parameters
    ----------
    pairs : sequence of BonePair
    start : ndarray, shape (4, 4)
        Fixed frame to moving frame.
    fixed, moving : mapping of str to Volume
        By series; the first of each is taken where a bone was not outlined in that frame.
    settings : BoneSettings
    seed : int
    """
    bones = [pair.bone for pair in pairs]
    centres = np.array([bone.centre for bone in bones])
    joints = joints_of(bones, settings)
    told = [m for i, pair in enumerate(pairs) if (m := _from_centres(i, pair, start)) is not None]
    chain = joined(centres, start, told, joints)
    images = _Images(fixed, moving, pairs, chain.motions)
    measured: dict[int, FloatArray] = {}
    patches: list[Patch | None] = []
    tables: dict[tuple[str, str], FloatArray] = {}
    for most, iterations, reach in zip(_SAMPLES, _ITERATIONS, _TETHER_MM, strict=True):
        rng = np.random.default_rng(seed)
        motions = chain.motions
        patches = [images.patch(pair, m, most, rng) for pair, m in zip(pairs, motions, strict=True)]
        tables = _tables(patches, motions)

        def climbed(
            i: int,
            motions: FloatArray = motions,
            patches: Sequence[Patch | None] = patches,
            tables: Mapping[tuple[str, str], FloatArray] = tables,
            iterations: int = iterations,
            reach: float = reach,
        ) -> FloatArray | None:
            patch = patches[i]
            return (
                None
                if patch is None
                else best_near(patch, tables[patch.series], motions[i], iterations, reach)
            )

        with ThreadPoolExecutor(threads()) as pool:
            found = list(pool.map(climbed, range(len(pairs))))
        measured = _convincing(found, patches, tables)
        said = [_measured(i, pairs[i], patches[i], motion, settings) for i, motion in measured.items()]
        chain = joined(centres, start, said, joints)
    rng = np.random.default_rng(seed)
    wide = [
        images.patch(p, m, _SAMPLES[0], rng, _WIDE_MM) if p.bone.is_vertebra else None
        for p, m in zip(pairs, chain.motions, strict=True)
    ]
    around = _tables(wide, chain.motions)
    return Fitted(tuple(pairs), tuple(joints), tuple(patches), measured, chain, tables, tuple(wide), around)


def _convincing(
    found: Sequence[FloatArray | None],
    patches: Sequence[Patch | None],
    tables: Mapping[tuple[str, str], FloatArray],
) -> dict[int, FloatArray]:
    """Motions at which a bone agrees not much less than the others do: the rest is lost, or covered."""
    values: dict[int, float] = {}
    for i, (motion, patch) in enumerate(zip(found, patches, strict=True)):
        if motion is not None and patch is not None:
            values[i] = agreement(patch.field, patch.samples, tables[patch.series], patch.pose(motion))[0]
    usual = float(np.median(list(values.values()))) if values else 0.0
    return {
        i: motion
        for i, value in values.items()
        if value > _LEAST_SHARE * usual and (motion := found[i]) is not None
    }


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
    return agreement(patch.field, patch.samples, fitted.wide_tables[patch.series], patch.pose(motion))[0]


def _from_centres(number: int, pair: BonePair, start: FloatArray) -> Measured | None:
    """Motion that brings centre to centre; bones that are cut have no centre to go by."""
    if pair.fixed is None or pair.moving is None:
        return None
    if (pair.fixed.cut or pair.moving.cut) and pair.bone.name != "sacrum":  # its centre is that of S1
        return None
    motion = start.copy()
    motion[:3, 3] += pair.moving.centre - apply_affine(start, pair.fixed.centre)
    sd = _CENTRE_SD_MM if pair.bone.is_vertebra else _OTHER_SD_MM
    return Measured(number, motion, np.full(3, sd), _CENTRE_SD_DEG)


def _measured(
    number: int, pair: BonePair, patch: Patch | None, motion: FloatArray, settings: BoneSettings
) -> Measured:
    assert patch is not None
    sd, turn = settings.sd_of(patch.kind)
    part = max(pair.overlap, 0.1) ** -0.5
    return Measured(number, motion, np.asarray(sd) * part, turn * part)


def _tables(patches: Sequence[Patch | None], motions: FloatArray) -> dict[tuple[str, str], FloatArray]:
    groups: dict[tuple[str, str], list[tuple[Patch, FloatArray]]] = {}
    for patch, motion in zip(patches, motions, strict=True):
        if patch is not None:
            groups.setdefault(patch.series, []).append((patch, motion))
    return {
        series: relation(group[0][0].field, [(p.samples, p.pose(m)) for p, m in group])
        for series, group in groups.items()
    }


class _Images:
    """Images of both frames near the bones; fields are made once."""

    def __init__(
        self,
        fixed: Mapping[str, Volume],
        moving: Mapping[str, Volume],
        pairs: Sequence[BonePair],
        motions: FloatArray,
    ) -> None:
        here = np.concatenate([p.bone.points[::20] for p in pairs])
        there = np.concatenate(
            [apply_affine(m, p.bone.points[::20]) for p, m in zip(pairs, motions, strict=True)]
        )
        self._volumes = {**fixed, **moving}
        self._main = (next(iter(fixed)), next(iter(moving)))
        points = dict.fromkeys(fixed, here) | dict.fromkeys(moving, there)
        self._points = points
        self._local: dict[str, LocalImage | None] = {}
        self._fields: dict[tuple[str, str], Field] = {}

    def patch(
        self,
        pair: BonePair,
        motion: FloatArray,
        most: int,
        rng: np.random.Generator,
        reach_mm: float = _REACH_MM,
    ) -> Patch | None:
        """Samples of a bone in the image with the thicker slices; None where too little is seen."""
        if pair.overlap < _LEAST_OVERLAP:
            return None
        series = (
            pair.fixed.series_id if pair.fixed else self._main[0],
            pair.moving.series_id if pair.moving else self._main[1],
        )
        here, there = (self._image(s) for s in series)
        if here is None or there is None:
            return None
        forward = self._is_mr(series[0]) and not self._is_mr(series[1])
        most = most if any(map(self._is_mr, series)) else int(_OF_CT * most)
        points = pair.bone.points if forward else apply_affine(motion, pair.bone.points)
        samples = samples_around(here if forward else there, points, reach_mm, most, rng)
        if len(samples.points) < _LEAST_SAMPLES:
            return None
        ends = series if forward else (series[1], series[0])
        kind = "-".join(sorted(self._volumes[s].series.modality.value for s in series))
        return Patch(samples, self._field(*ends, motion, forward), forward, kind, series)

    def _is_mr(self, series: str) -> bool:
        return self._volumes[series].series.modality is Modality.MR

    def _image(self, series: str) -> LocalImage | None:
        if series not in self._local:
            self._local[series] = local_image(self._volumes[series], self._points[series], _MARGIN_MM)
        return self._local[series]

    def _field(self, probe: str, field: str, motion: FloatArray, forward: bool) -> Field:
        if (probe, field) not in self._fields:
            one, other = self._image(probe), self._image(field)
            assert one is not None
            assert other is not None
            pose = motion if forward else np.asarray(np.linalg.inv(motion))
            blur = (pose[:3, :3] @ one.normal, one.thick_mm)
            self._fields[probe, field] = field_of(other, _SPACING_MM, blur)
        return self._fields[probe, field]
