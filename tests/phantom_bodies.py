"""Tiny bodies of spheres and boxes for the scanners of the phantom."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from osteotrace.phantom.field import Field, lattice
from osteotrace.phantom.records import Body, Bone, Insert, Material, Part, Person, Posture, SoftMap
from osteotrace.phantom.scanner.scene import Scene
from osteotrace.space import Grid

FRAME = "1.2.3.4"
MUSCLE = Material(0.8, 1000.0, 44.0, fat=0.03, hu=56.0, suv=0.65, bone_tracer=0.1)
FAT = Material(0.9, 900.0, 60.0, fat=0.92, hu=-100.0, suv=0.3)
MARROW = Material(0.85, 900.0, 50.0, fat=0.4, hu=180.0, suv=1.1, bone_tracer=1.0)
CORTEX = Material(0.1, 500.0, 5.0, hu=1100.0, suv=0.4, bone_tracer=2.0)
TUMOUR = Material(0.65, 1400.0, 90.0, hu=400.0, suv=3.0, bone_tracer=5.0)
WATER = Material(1.0, 2500.0, 1500.0, hu=0.0, suv=1.0, bone_tracer=1.0)


def sphere(center: Iterable[float], radius: float, step: float = 1.0) -> Field:
    c = np.array(list(center), dtype=float)
    origin, points = lattice(c - radius - 4, c + radius + 4, step)
    return Field((np.linalg.norm(points - c, axis=-1) - radius).astype(np.float32), origin, step)


def box(low: Iterable[float], high: Iterable[float], step: float = 2.0) -> Field:
    a, b = np.array(list(low), dtype=float), np.array(list(high), dtype=float)
    origin, points = lattice(a - 4, b + 4, step)
    away = np.maximum(a - points, points - b)
    outside = np.linalg.norm(np.maximum(away, 0), axis=-1)
    return Field((outside + np.minimum(away.max(axis=-1), 0)).astype(np.float32), origin, step)


def part(name: str, shape: Field, fill: Material, carrier: str = "wall") -> Part:
    return Part(name, 0, carrier, shape, fill)


def bone(name: str, shape: Field, shell_mm: float = 1.5, verse: int = 0) -> Bone:
    made = Part(name, 1, name, shape, MARROW, CORTEX, shell_mm)
    return Bone(made, name, verse, (shape.low + shape.high) / 2, np.eye(3))


def still(*bones: Bone, shift: Iterable[float] = (0.0, 0.0, 0.0)) -> Posture:
    """The body as it is, moved as a whole."""
    moved = np.array(list(shift), dtype=float)
    matrix = np.eye(4)
    matrix[:3, 3] = moved
    displacement = np.broadcast_to(-moved.astype(np.float32), (4, 4, 4, 3))
    soft = SoftMap(displacement, np.full(3, -300.0), 200.0)
    return Posture(FRAME, {b.name: matrix for b in bones}, {"wall": soft, "viscera": soft})


def scene(
    parts: Iterable[Part],
    bones: Iterable[Bone] = (),
    inserts: Iterable[Insert] = (),
    posture: Posture | None = None,
    seed: int = 1,
) -> Scene:
    made = tuple(bones)
    body = Body(Person("M", 50, 1.75, 75.0), (*parts, *(b.part for b in made)), made)
    return Scene(body, tuple(inserts), posture or still(*made), seed)


def grid(shape: tuple[int, int, int], spacing: tuple[float, float, float], center: Iterable[float]) -> Grid:
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = np.array(list(center)) - (np.array(shape) - 1) / 2 * np.array(spacing)
    return Grid(shape, affine, FRAME)
