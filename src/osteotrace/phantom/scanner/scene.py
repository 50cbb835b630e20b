"""What is rendered: a body in a posture with its inserts, and how its materials are painted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from osteotrace.phantom.field import Field
from osteotrace.phantom.records import Body, Insert, Material, Part, Posture

SOFT_CARRIERS = ("wall", "viscera")


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """The patient as one exam finds him.

    Attributes
    ----------
    body : Body
        Anatomy without disease.
    inserts : tuple of Insert
        What is in or on it that day.
    posture : Posture
        How the body lies in the frame of reference of the exam.
    seed : int
        Of the textures: the same in all exams of a patient.
    """

    body: Body
    inserts: tuple[Insert, ...]
    posture: Posture
    seed: int


@dataclass(frozen=True, slots=True)
class Paint:
    """Values of a material on the channels of a picture.

    Attributes
    ----------
    mean : callable
        Material to its mean per channel.
    sd : callable
        Material to the SD of its texture per channel, in the unit of the channel.
    background : tuple of float
        Value per channel where there is no part.
    """

    mean: Callable[[Material], tuple[float, ...]]
    sd: Callable[[Material], tuple[float, ...]]
    background: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Stroke:
    """One thing that is drawn.

    Attributes
    ----------
    carrier : str
        Bone, ``wall`` or ``viscera``: its place in the exam.
    shape : Field
        Signed distance, body frame.
    growth_mm : float
        How far the surface lies outside of that of the shape.
    layers : tuple of (float, Material, Field or None)
        From outside to inside: depth below the surface at which the layer begins, mm, what it is made of, and
        for a core its own surface.
    confined : tuple of (Field, float) or None
        It is shown only inside of this surface, pushed inwards by so many mm.
    bone, insert : int
        Index in the body's bones and the scene's inserts, -1 when it is none.
    """

    carrier: str
    shape: Field
    growth_mm: float
    layers: tuple[tuple[float, Material, Field | None], ...]
    confined: tuple[Field, float] | None = None
    bone: int = -1
    insert: int = -1


def strokes(scene: Scene) -> tuple[Stroke, ...]:
    """All parts and inserts in the order of drawing.

    An insert comes right after the bone that carries it; what soft tissue carries comes at the end.
    """
    bones = {bone.name: number for number, bone in enumerate(scene.body.bones)}
    carried = _by_carrier(scene.inserts)
    found: list[Stroke] = []
    for part in scene.body.parts:
        found.append(_part(part, bones.get(part.name, -1)))
        if part.name in bones:
            found += [_insert(scene.inserts[n], n, part) for n in carried.get(part.name, ())]
    for carrier in SOFT_CARRIERS:
        found += [_insert(scene.inserts[n], n, None) for n in carried.get(carrier, ())]
    return tuple(found)


def _by_carrier(inserts: Sequence[Insert]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for number, insert in enumerate(inserts):
        found.setdefault(insert.carrier, []).append(number)
    return found


def _part(part: Part, bone: int) -> Stroke:
    layers: tuple[tuple[float, Material, Field | None], ...] = ((0.0, part.fill, None),)
    if part.shell is not None:
        layers = ((0.0, part.shell, None), (part.shell_mm, part.fill, None))
    return Stroke(part.carrier, part.shape, 0.0, layers, bone=bone)


def _insert(insert: Insert, number: int, part: Part | None) -> Stroke:
    layers: tuple[tuple[float, Material, Field | None], ...] = ((0.0, insert.material, None),)
    if insert.core is not None:
        layers += ((0.0, insert.core[1], insert.core[0]),)
    confined = None
    if part is not None and insert.within != "free":
        confined = (part.shape, part.shell_mm if insert.within == "marrow" else 0.0)
    return Stroke(insert.carrier, insert.shape, insert.growth_mm, layers, confined, insert=number)
