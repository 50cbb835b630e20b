"""How the patient lies in an exam: every bone rigid, soft tissue by another model.

Bones hang on each other: the pelvis is the root, each vertebra turns about the disc below it, a rib hangs on
its vertebra and breathes about its head. Soft tissue follows no bone: the wall is a thin-plate spline through
points of all bones with a random wave on top, the viscera slide along it and move with the diaphragm.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import RBFInterpolator
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from osteotrace.phantom.field import Float32Array
from osteotrace.phantom.records import Body, Bone, Posture, SoftMap
from osteotrace.space import FloatArray

_STEP = 16.0  # mm between the samples of a soft map
_MARGIN = 60.0  # mm of soft tissue around the bones
_RIB = re.compile(r"rib_(left|right)_(\d+)")
_PELVIS = ("sacrum", "hip_left", "hip_right", "coccyx")
_ARMS = re.compile(r"(humerus|scapula|clavicula)_(left|right)")
_SPINE_BEND = {"C": 0.2, "T": 0.3, "L": 0.5}  # share of a bend of the whole spine
_JOINT_SD_DEG = 0.6
_BONE_SD_MM = 0.25  # translation in a joint
_INVERSIONS = 25  # of a fixed point whose slope is some 0.1 to 0.3


@dataclass(frozen=True, slots=True)
class Lie:
    """How somebody lies down.

    Attributes
    ----------
    bend_deg : tuple of float
        Of the whole spine against the body's own posture: flexion, lateral bend to the left, twist.
    tilt_deg, shift_mm : tuple of float
        Turn of the whole body about x, y, z, then its place on the table.
    breath_mm : float
        Lift of the front end of the middle ribs; the diaphragm goes down by 1.5 times that.
    arms : {"down", "up"}
    joint_sd_deg : float
        Of every joint of the spine beside its share of the bend, about each axis.
    """

    bend_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    tilt_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    breath_mm: float = 0.0
    arms: Literal["down", "up"] = "down"
    joint_sd_deg: float = _JOINT_SD_DEG


def random_lie(rng: np.random.Generator, arms: Literal["down", "up"], motion: float = 1.0) -> Lie:
    """A lie as it differs from visit to visit: bends of some 10°, a few degrees of tilt, breath ± 10 mm.

    Parameters
    ----------
    motion : float
        Factor on the bends of the spine.
    """
    bend = rng.normal(0, (7.0, 3.0, 3.0)) * motion
    tilt = rng.normal(0, (2.0, 1.5, 2.5))
    shift = rng.uniform((-15, -160, -900), (15, -120, -100))
    breath = float(rng.uniform(-10, 10))
    return Lie(_triple(bend), _triple(tilt), _triple(shift), breath, arms, _JOINT_SD_DEG * motion)


def lay_down(body: Body, lie: Lie, frame_of_reference_uid: str, rng: np.random.Generator) -> Posture:
    """Posture of a body in one frame of reference; the random part is drawn from ``rng``."""
    bent = _skeleton(body, lie, rng)
    place = _matrix(Rotation.from_euler("xyz", lie.tilt_deg, degrees=True), lie.shift_mm)
    place = place @ _levelled(body, bent)
    motions = {name: place @ motion for name, motion in bent.items()}
    wall, viscera = _soft(body, motions, lie, rng)
    return Posture(frame_of_reference_uid, motions, {"wall": wall, "viscera": viscera})


def shifted(posture: Posture, shift_mm: ArrayLike) -> Posture:
    """The same posture after the patient as a whole moved a little (between two sequences of a session)."""
    shift = np.asarray(shift_mm, dtype=np.float64)
    rigid = {name: _matrix(Rotation.identity(), shift) @ motion for name, motion in posture.rigid.items()}
    soft = {
        name: SoftMap(m.displacement - shift.astype(np.float32), m.origin + shift, m.step)
        for name, m in posture.soft.items()
    }
    return Posture(posture.frame_of_reference_uid, rigid, soft)


def _triple(values: FloatArray) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    return (x, y, z)


def _matrix(rotation: Rotation, shift: Sequence[float] | FloatArray) -> FloatArray:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation.as_matrix()
    matrix[:3, 3] = shift
    return matrix


def _about(center: FloatArray, rotation: Rotation, shift: FloatArray | None = None) -> FloatArray:
    """Rotation about a point, then a shift."""
    matrix = rotation.as_matrix()
    moved = center - matrix @ center + (0.0 if shift is None else shift)
    return _matrix(rotation, moved)


# --- bones ------------------------------------------------------------------------------------------


def _skeleton(body: Body, lie: Lie, rng: np.random.Generator) -> dict[str, FloatArray]:
    """Motion of every bone against the body's own posture, before the place on the table."""
    motions = {bone.name: np.eye(4) for bone in body.bones if bone.name in _PELVIS}
    column = _column(body)
    shares = _joint_bends(column, lie, rng)
    below, motion = None, np.eye(4)
    for bone, bend in zip(column, shares, strict=True):
        center = bone.centroid if below is None else (bone.centroid + below.centroid) / 2
        joint = _about(center, Rotation.from_rotvec(bend, degrees=True), rng.normal(0, _BONE_SD_MM, 3))
        motion = motion @ joint
        motions[bone.name], below = motion, bone
    for bone in body.bones:
        if bone.name not in motions:
            motions[bone.name] = _hanging(bone, body, motions, lie, rng)
    return motions


def _levelled(body: Body, motions: Mapping[str, FloatArray]) -> FloatArray:
    """Turn that lays a bent spine back on the table: the bend moves pelvis and head, not the whole body."""
    column = _column(body)
    here = np.array([bone.centroid for bone in column])
    there = np.array([motions[b.name][:3, :3] @ b.centroid + motions[b.name][:3, 3] for b in column])
    back, _ = Rotation.align_vectors(here - here.mean(axis=0), there - there.mean(axis=0))
    return _matrix(back, here.mean(axis=0) - back.apply(there.mean(axis=0)))


def _column(body: Body) -> list[Bone]:
    """Vertebrae from the sacrum upwards, the skull last."""
    vertebrae = [b for b in body.bones if b.name.startswith("vertebrae_")]
    skull = [b for b in body.bones if b.name == "skull"]
    return sorted(vertebrae, key=lambda b: float(b.centroid[2])) + skull


def _joint_bends(column: list[Bone], lie: Lie, rng: np.random.Generator) -> list[FloatArray]:
    regions = [b.code_name[0] if b.name != "skull" else "C" for b in column]
    bends = []
    for region in regions:
        share = _SPINE_BEND.get(region, 0.0) / max(regions.count(region), 1)
        bends.append(np.array(lie.bend_deg) * share + rng.normal(0, lie.joint_sd_deg, 3))
    return bends


def _hanging(
    bone: Bone, body: Body, motions: Mapping[str, FloatArray], lie: Lie, rng: np.random.Generator
) -> FloatArray:
    """Motion of a bone that is neither spine nor pelvis."""
    rib = _RIB.fullmatch(bone.name)
    if rib:
        return _motion_of(f"vertebrae_T{rib[2]}", body, motions, bone) @ _breathing(
            bone, rib[1], int(rib[2]), lie
        )
    side = 1.0 if bone.name.endswith("_left") else -1.0
    if bone.name in ("sternum", "costal_cartilages"):
        lift = np.array([0.0, -0.35, 0.8]) * lie.breath_mm
        return _motion_of("vertebrae_T6", body, motions, bone) @ _matrix(Rotation.identity(), lift)
    if _ARMS.fullmatch(bone.name):
        return _motion_of("vertebrae_T3", body, motions, bone) @ _arm(bone, side, lie, rng)
    if bone.name.startswith("femur"):
        turn = Rotation.from_euler("xyz", rng.normal(0, (2.0, 1.5, 5.0)), degrees=True)
        return _about(_upper_end(bone), turn)
    return np.eye(4)


def _motion_of(name: str, body: Body, motions: Mapping[str, FloatArray], bone: Bone) -> FloatArray:
    """Motion of a vertebra, or of the one nearest in height when the body lacks it."""
    if name in motions:
        return motions[name]
    moved = [b for b in body.bones if b.name in motions]
    return motions[min(moved, key=lambda b: abs(float(b.centroid[2] - bone.centroid[2]))).name]


def _breathing(bone: Bone, side: str, number: int, lie: Lie) -> FloatArray:
    """Pump handle above, bucket handle below: the free end rises by the breath, less at the first ribs."""
    hinge = bone.centroid if bone.hinge is None else bone.hinge
    far = np.abs(np.stack([bone.part.shape.low, bone.part.shape.high]) - hinge).max(axis=0)
    lift = lie.breath_mm * min(1.0, 0.4 + 0.1 * number)
    pump = min(max((10 - number) / 8, 0.2), 1.0)
    about_x = -pump * lift / max(far[1], 40.0)
    about_y = (-1.0 if side == "left" else 1.0) * (1 - pump) * lift / max(far[0], 40.0)
    return _about(hinge, Rotation.from_rotvec([about_x, about_y, 0.0]))


def _arm(bone: Bone, side: float, lie: Lie, rng: np.random.Generator) -> FloatArray:
    small = Rotation.from_rotvec(rng.normal(0, 1.5, 3), degrees=True)
    if lie.arms == "down":
        return _about(bone.centroid, small)
    turn = {"humerus": 155.0, "scapula": 14.0, "clavicula": 6.0}[bone.name.partition("_")[0]]
    center = _upper_end(bone) if bone.name.startswith("humerus") else bone.centroid
    raised = Rotation.from_rotvec([0.0, -side * turn, 0.0], degrees=True)
    return _about(center, raised * small)


def _upper_end(bone: Bone) -> FloatArray:
    """Centre of the head of a long bone: the middle of its uppermost 40 mm, mm."""
    field = bone.part.shape
    inside = np.argwhere(field.values < 0) * field.step + field.origin
    return np.asarray(inside[inside[:, 2] > inside[:, 2].max() - 40.0].mean(axis=0))


# --- soft tissue ------------------------------------------------------------------------------------


def _soft(
    body: Body, motions: Mapping[str, FloatArray], lie: Lie, rng: np.random.Generator
) -> tuple[SoftMap, SoftMap]:
    here, there = _control_points(body, motions)
    spline = RBFInterpolator(there, here - there, kernel="thin_plate_spline", smoothing=0.5)
    low, high = there.min(axis=0) - _MARGIN, there.max(axis=0) + _MARGIN
    shape = np.ceil((high - low) / _STEP).astype(int) + 1
    points = low + np.moveaxis(np.indices(shape), 0, -1).reshape(-1, 3) * _STEP
    wall = np.asarray(spline(points), dtype=np.float32).reshape(*shape, 3)
    wall += _wave(shape, 1.5, rng)
    height = (points + wall.reshape(-1, 3))[:, 2].reshape(tuple(shape))
    viscera = wall + _wave(shape, 2.5, rng)
    viscera[..., 2] += 1.5 * lie.breath_mm * _diaphragm(body, height)
    return SoftMap(wall, low, _STEP), SoftMap(viscera, low, _STEP)


def _control_points(body: Body, motions: Mapping[str, FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Points of the bones in the body and in the exam, shape (n, 3); the arms go their own way."""
    here = []
    there = []
    for bone in body.bones:
        if _ARMS.fullmatch(bone.name):
            continue
        points = _star(bone)
        here.append(points)
        motion = motions[bone.name]
        there.append(points @ motion[:3, :3].T + motion[:3, 3])
    return np.concatenate(here), np.concatenate(there)


def _star(bone: Bone) -> FloatArray:
    """Five points within a bone, shape (5, 3): its middle and the ends of its two longest extents."""
    field = bone.part.shape
    inside = np.argwhere(field.values[::4, ::4, ::4] < 0) * field.step * 4 + field.origin
    if len(inside) < 5:
        return bone.centroid[None, :]
    axes = np.argsort(np.ptp(inside, axis=0))[1:]
    ends = [inside[pick(inside[:, axis])] for axis in axes for pick in (np.argmin, np.argmax)]
    return np.stack([inside.mean(axis=0), *ends])


def _wave(shape: np.ndarray, size_mm: float, rng: np.random.Generator) -> Float32Array:
    """Smooth random displacement of about this size, shape (*shape, 3), mm."""
    noise = rng.normal(size=(*shape, 3))
    smooth = gaussian_filter(noise, sigma=(2.5, 2.5, 2.5, 0), mode="nearest")
    return np.asarray(smooth * (size_mm / max(float(smooth.std()), 1e-9)), dtype=np.float32)


def _diaphragm(body: Body, height: Float32Array) -> Float32Array:
    """Share of the diaphragm's way at body heights: 1 at T11, 0 at T3 and at the pelvis."""
    levels = {b.code_name: float(b.centroid[2]) for b in body.bones}
    peak = levels.get("T11", float(np.median(list(levels.values()))))
    top = levels.get("T3", peak + 200.0)
    bottom = levels.get("sacrum", peak - 250.0)
    up = np.clip((top - height) / max(top - peak, 1.0), 0, 1)
    down = np.clip((height - bottom) / max(peak - bottom, 1.0), 0, 1)
    share = np.minimum(up, down)
    return np.asarray(share * share * (3 - 2 * share), dtype=np.float32)


# --- from one to the other --------------------------------------------------------------------------


def body_points(posture: Posture, carrier: str, points: FloatArray) -> FloatArray:
    """Where exam points, shape (n, 3), lie in the body when ``carrier`` holds them, mm."""
    if carrier in posture.rigid:
        inverse = np.linalg.inv(posture.rigid[carrier])
        return np.asarray(points @ inverse[:3, :3].T + inverse[:3, 3])
    return points + _displacement(posture.soft[carrier], points)


def exam_points(posture: Posture, carrier: str, points: FloatArray) -> FloatArray:
    """Where body points, shape (n, 3), of a carrier lie in the exam, mm (soft tissue to 0.01 mm)."""
    if carrier in posture.rigid:
        return posture.to_exam(carrier, points)
    soft = posture.soft[carrier]
    guess = points - _displacement(soft, _nearest_start(soft, points.mean(axis=0))[None])
    for _ in range(_INVERSIONS):
        guess = points - _displacement(soft, guess)
    return np.asarray(guess)


def _nearest_start(soft: SoftMap, point: FloatArray) -> FloatArray:
    """Exam point of a soft map whose body point is nearest: where the inversion begins."""
    shape = soft.displacement.shape[:3]
    places = soft.origin + np.moveaxis(np.indices(shape), 0, -1).reshape(-1, 3) * soft.step
    bodies = places + soft.displacement.reshape(-1, 3)
    return np.asarray(places[np.argmin(np.linalg.norm(bodies - point, axis=1))])


def _displacement(soft: SoftMap, points: FloatArray) -> FloatArray:
    index = ((points - soft.origin) / soft.step).T
    parts = [
        map_coordinates(soft.displacement[..., axis], index, order=1, mode="nearest") for axis in range(3)
    ]
    return np.stack(parts, axis=-1).astype(np.float64)
