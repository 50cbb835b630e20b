"""Bones that two frames of reference can both show, and the images around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from osteotrace.model.imaging import Volume
from osteotrace.model.values import Modality
from osteotrace.registration.evidence import Field, Samples
from osteotrace.registration.local import LocalImage, field_of, local_image, samples_around
from osteotrace.registration.skeleton import SeenBone, Skeleton
from osteotrace.space import FloatArray
from osteotrace.space.grid import apply_affine

_MARGIN_MM = 40.0  # around the bones; room to move
_SPACING_MM = 2.0
_REACH_MM = 5.0  # around the outline of a bone
_OF_CT = 0.5  # share of the samples that two CT need
_LEAST_SAMPLES = 200
_LEAST_OVERLAP = 0.3


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
    series : tuple of str
        Fixed and moving series: that with its outline, else that of the frame which shows most of it.
    """

    bone: SeenBone
    fixed: SeenBone | None
    moving: SeenBone | None
    overlap: float
    series: tuple[str, str]


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
    voxel_mm : float
        Edge of a cube as large as a voxel, of the series with the larger voxels.
    kin : str
        Kind of bone whose contrast is learned apart; empty where all bones of the two series go together.
    """

    samples: Samples
    field: Field
    forward: bool
    kind: str
    series: tuple[str, str]
    voxel_mm: float
    kin: str = ""

    @property
    def group(self) -> tuple[str, str, str]:
        """What shares one relation of values."""
        return (*self.series, self.kin)

    def pose(self, motion: FloatArray) -> FloatArray:
        """Probe to field from fixed to moving, or back."""
        return motion if self.forward else np.asarray(np.linalg.inv(motion))


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
            series = (
                seen.series_id if seen else _widest(volumes, ends[0], bone.points),
                other.series_id if other else _widest(volumes, ends[1], apply_affine(start, bone.points)),
            )
            pairs.append(BonePair(bone, seen, other, share, series))
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


def _widest(volumes: Sequence[Volume], frame: str, points: FloatArray) -> str:
    """Series of a frame that holds most of the points; the first of those that hold as many."""
    near = [v for v in volumes if v.grid.frame_of_reference_uid == frame]
    return max(near, key=lambda v: float(v.grid.contains(points).mean())).series.id


class Images:
    """Images of both frames near the bones; fields are made once.

    Parameters
    ----------
    fixed, moving : mapping of str to Volume
        By series.
    starts : sequence of (sequence of BonePair, ndarray of shape (4, 4))
        Bones, and the motion from the fixed frame that they are to be followed from.
    """

    def __init__(
        self,
        fixed: Mapping[str, Volume],
        moving: Mapping[str, Volume],
        starts: Sequence[tuple[Sequence[BonePair], FloatArray]],
    ) -> None:
        here = [p.bone.points[::20] for pairs, _ in starts for p in pairs]
        there = [
            points
            for pairs, motion in starts
            for p in pairs
            for points in (apply_affine(motion, p.bone.points[::20]), *_outlined(p))
        ]
        self._volumes = {**fixed, **moving}
        self._points = dict.fromkeys(fixed, np.concatenate(here))
        self._points |= dict.fromkeys(moving, np.concatenate(there))
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
        series = pair.series
        here, there = (self._image(s) for s in series)
        if here is None or there is None:
            return None
        forward = self.is_mr(series[0]) and not self.is_mr(series[1])
        most = most if any(map(self.is_mr, series)) else int(_OF_CT * most)
        points = pair.bone.points if forward else apply_affine(motion, pair.bone.points)
        samples = samples_around(here if forward else there, points, reach_mm, most, rng)
        if len(samples.points) < _LEAST_SAMPLES:
            return None
        ends = series if forward else (series[1], series[0])
        kind = "-".join(sorted(self._volumes[s].series.modality.value for s in series))
        voxel = float(np.cbrt(max(self._volumes[s].grid.voxel_volume_mm3 for s in series)))
        field = self._field(*ends, motion, forward)
        return Patch(samples, field, forward, kind, series, voxel, _kin(pair.bone, kind))

    def is_mr(self, series: str) -> bool:
        """Whether a series is MR."""
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


def _kin(bone: SeenBone, kind: str) -> str:
    """Between modalities a flat bone with thick cortex shows other values than the bodies of vertebrae."""
    if bone.is_vertebra or kind != "CT-MR":
        return ""
    return bone.name.removesuffix(" left").removesuffix(" right")


def _outlined(pair: BonePair) -> list[FloatArray]:
    return [pair.moving.points[::20]] if pair.moving is not None else []
