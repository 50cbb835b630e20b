"""The skeleton on CT: vertebrae as instances, landmarks of the levels, other bones and organs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from osteotrace.anatomy import body_shape
from osteotrace.anatomy.adapters.instances import centre, top_centre
from osteotrace.anatomy.ct_answer import CtAnswer, answer_of
from osteotrace.anatomy.ct_bones import Found, bones_of, organs_of
from osteotrace.anatomy.ct_outline import on_grid
from osteotrace.anatomy.ct_ribs import CtRibs, midline, ribs_of
from osteotrace.anatomy.ct_settings import CtSettings
from osteotrace.anatomy.ct_stands import (
    arch_share,
    arches_are_behind,
    is_upside_down,
    shows_a_pelvis,
    sides_are_exchanged,
)
from osteotrace.anatomy.ct_vertebrae import CtVertebrae, vertebrae_of, voxels_of_each
from osteotrace.anatomy.network import Network
from osteotrace.model.anatomy import Bone, Outlined, Vector
from osteotrace.space import FloatArray, Grid

DISC, CANAL, BODY = 201, 202, 203  # labels of the structures; bones count from 1
FIRST_ORGAN = 204
SEARCHED: Final = frozenset(
    {"vertebra", "sacrum", "sternum", "skull", "intervertebral disc", "spinal canal", "body outline"}
    | {"heart", "liver", "urinary bladder", "aorta", "superior vena cava", "inferior vena cava"}
    | {
        f"{name} {side}"
        for name in ("hip bone", "scapula", "femur", "rib", "lung", "kidney", "back muscles", "iliopsoas")
        for side in ("left", "right")
    }
)
_SURE, _UNSURE = 0.9, 0.6  # of a bone that is no vertebra, and of a small piece of one
_FEW_VOXELS: Final = 300
_CLEARLY: Final = 1.5  # so many times more arches in the image that is read backwards

Refusal = tuple[str, str, str]
"""Code, what was found and what is expected, where no spine is to be labelled."""


@dataclass(frozen=True, slots=True, eq=False)
class CtSkeleton:
    """What is seen of the skeleton on a CT.

    Attributes
    ----------
    labels : ndarray of uint16, shape grid.shape
    grid : Grid
        Lattice of the labels: that of the volume, or a coarser one for a large volume.
    bones : tuple of Bone
        Vertebrae from head to tail first.
    structures : tuple of Outlined
    unclear : tuple of str
        Ids of vertebrae whose discs were not seen.
    exchanged : str
        Which organ lies on the wrong side; empty where none does.
    """

    labels: NDArray[np.uint16]
    grid: Grid
    bones: tuple[Bone, ...]
    structures: tuple[Outlined, ...]
    unclear: tuple[str, ...]
    exchanged: str


def skeleton_of(
    values: NDArray[np.generic], grid: Grid, network: Network, settings: CtSettings
) -> CtSkeleton | Refusal:
    """Read a CT.

    Parameters
    ----------
    values : ndarray, shape grid.shape
        HU.
    network : Network
        With classes, the core of a body, and the way to the centre of a vertebra.
    """
    found = answer_of(values, grid, network)
    if found is None:
        return ("no-spine-found", "the image holds nothing as large and dense as a body", "HU of a trunk")
    vertebrae = vertebrae_of(found, settings)
    refusal = _no_spine(vertebrae, found, settings)
    if refusal is None and vertebrae.count:
        refusal = _turned(vertebrae, found, values, grid, network, settings)
    if refusal is not None:
        return refusal
    places = voxels_of_each(vertebrae.whole)
    bodies = [where[vertebrae.bodies[tuple(where.T)]] for where in places]
    bodies_cut = tuple(_is_cut(body, found) for body in bodies)
    ribs = ribs_of(found, vertebrae, bodies_cut, settings)
    middle = midline(found, vertebrae)
    lowest = float(vertebrae.centres[-1, 0]) if vertebrae.count else np.inf
    others = bones_of(found, middle, lowest, settings)
    organs = organs_of(found, middle)
    labels = vertebrae.whole.astype(np.uint16)
    bones = list(_vertebrae(vertebrae, places, bodies, bodies_cut, ribs, found, settings.unclear_factor))
    bones += _write_bones(labels, others, ribs, found)
    structures = _write_structures(labels, organs, found)
    fine, onto = on_grid(labels, found, vertebrae, values, grid, settings.bone_hu, BODY)
    unclear = tuple(f"V{n}" for n, clear in enumerate(vertebrae.clear, start=1) if not clear)
    exchanged = sides_are_exchanged(organs, middle, found)
    return CtSkeleton(fine, onto, tuple(bones), structures, unclear, exchanged)


def _no_spine(vertebrae: CtVertebrae, found: CtAnswer, settings: CtSettings) -> Refusal | None:
    if vertebrae.count == 0 and shows_a_pelvis(found):
        return None
    if vertebrae.count == 0 or float(found.vertebra[vertebrae.bodies].mean()) < settings.credible_probability:
        return ("no-spine-found", "no row of vertebral bodies was found", "a spine")
    return None


def _turned(
    vertebrae: CtVertebrae,
    found: CtAnswer,
    values: NDArray[np.generic],
    grid: Grid,
    network: Network,
    settings: CtSettings,
) -> Refusal | None:
    """Why the image does not stand as its header says; with few arches it is read backwards as well."""
    expected = "an image as its header places it"
    if arch_share(found) < settings.arch_share_usual:
        other = answer_of(np.flip(values, int(np.abs(grid.direction[1]).argmax())), grid, network)
        if (
            other is not None
            and arch_share(other) > _CLEARLY * arch_share(found)
            and arches_are_behind(vertebrae_of(other, settings), other, settings)
        ):
            return ("faces-backwards", "front and back are exchanged", expected)
    if not arches_are_behind(vertebrae, found, settings):
        return ("no-spine-found", "no vertebral arches were found behind the bodies", "whole vertebrae")
    if is_upside_down(vertebrae, found, settings):
        return ("upside-down", "head and feet are exchanged", expected)
    return None


def _vertebrae(
    vertebrae: CtVertebrae,
    places: list[NDArray[np.intp]],
    bodies: list[NDArray[np.intp]],
    bodies_cut: tuple[bool, ...],
    ribs: CtRibs,
    found: CtAnswer,
    unclear_factor: float,
) -> tuple[Bone, ...]:
    lattice = found.lattice
    frames = body_shape.frames(lattice.points(vertebrae.centres), lattice)
    out = []
    for n, (body, frame) in enumerate(zip(bodies, frames, strict=True), start=1):
        points = lattice.points(body)
        confidence = float(found.vertebra[tuple(body.T)].mean())
        confidence *= 1.0 if vertebrae.clear[n - 1] else unclear_factor
        out.append(
            Bone(
                id=f"V{n}",
                name="vertebra",
                label=n,
                centroid_mm=_vector(frame.centre),
                confidence=round(confidence, 3),
                touches_edge=_is_cut(places[n - 1], found),
                size_mm=body_shape.size_of(points, frame, lattice.spacing, cut=bodies_cut[n - 1]),
                orientation=body_shape.orientation_of(points, frame),
                rib=ribs.joined[n - 1],
            )
        )
    return tuple(out)


def _write_bones(
    labels: NDArray[np.uint16], others: list[Found], ribs: CtRibs, found: CtAnswer
) -> list[Bone]:
    """Write the other bones where no vertebra is, and describe them."""
    parts = [(item.name, item.name, item.where) for item in others]
    counts = {"left": 0, "right": 0}
    for side, where in zip(ribs.sides, voxels_of_each(ribs.labels), strict=True):
        counts[side] += 1
        parts.append((f"rib {side}, piece {counts[side]}", f"rib {side}", where))
    out = []
    label = int(labels.max())
    for key, name, where in parts:
        own = where[labels[tuple(where.T)] == 0]
        if len(own) == 0 or label + 1 >= DISC:
            continue
        label += 1
        labels[tuple(own.T)] = label
        points = found.lattice.points(own)
        place = top_centre(points) if name == "sacrum" else centre(points)
        sure = _SURE if len(own) >= _FEW_VOXELS else _UNSURE
        out.append(Bone(key, name, label, place, sure, _is_cut(own, found)))
    return out


def _write_structures(
    labels: NDArray[np.uint16], organs: list[Found], found: CtAnswer
) -> tuple[Outlined, ...]:
    """Write the structures where nothing is yet, the rest of the body last."""
    whole = tuple(slice(0, n) for n in labels.shape)
    listed = [
        ("intervertebral disc", DISC, whole, found.of("intervertebral disc"), True),
        ("spinal canal", CANAL, whole, found.of("spinal canal"), True),
        *((item.name, FIRST_ORGAN + n, item.box, item.mask, item.coarse) for n, item in enumerate(organs)),
        ("body outline", BODY, whole, found.body, False),
    ]
    out = []
    for name, label, box, mask, coarse in listed:
        own = mask & (labels[box] == 0)
        if own.any():
            labels[box][own] = label
            out.append(Outlined(name, label, coarse=coarse))
    return tuple(out)


def _is_cut(where: NDArray[np.intp], found: CtAnswer) -> bool:
    """Whether voxels lie beside the end of the volume."""
    last = np.array(found.inside.shape) - 1
    for axis in range(3):
        for step in (-1, 1):
            there = where.copy()
            there[:, axis] += step
            if ((there < 0) | (there > last)).any() or not found.inside[tuple(there.T)].all():
                return True
    return False


def _vector(values: FloatArray) -> Vector:
    x, y, z = (float(v) for v in values)
    return (x, y, z)
