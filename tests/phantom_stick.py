"""A stick figure of ellipsoids with the names of a whole skeleton: quick to build, for tests of the rest."""

from __future__ import annotations

import numpy as np

from osteotrace.phantom.field import Field, lattice
from osteotrace.phantom.records import Body, Bone, Material, Part, Person

MARROW = Material(pd=0.9, t1_ms=800, t2_ms=60, fat=0.45, hu=160, suv=1.1, bone_tracer=1.0, hu_texture=30)
CORTEX = Material(pd=0.05, t1_ms=900, t2_ms=2, hu=1000, suv=0.5, bone_tracer=1.2)
MUSCLE = Material(pd=0.8, t1_ms=1000, t2_ms=44, hu=55, suv=0.7, bone_tracer=0.2)
CSF = Material(pd=1.0, t1_ms=3500, t2_ms=1200, hu=8, suv=0.4)
LEVELS = (*(f"C{n}" for n in range(1, 8)), *(f"T{n}" for n in range(1, 13)), *(f"L{n}" for n in range(1, 6)))


def ellipsoid(
    center: tuple[float, float, float], half: tuple[float, float, float], step: float = 1.5
) -> Field:
    middle, axes = np.array(center), np.array(half)
    origin, points = lattice(middle - axes - 5, middle + axes + 5, step)
    radius = np.linalg.norm((points - middle) / axes, axis=-1)
    return Field(((radius - 1) * axes.min()).astype(np.float32), origin, step)


def _bone(name: str, words: str, verse: int, center: tuple[float, float, float], half, hinge=None) -> Bone:
    shape = ellipsoid(center, half)
    part = Part(name, 1, name, shape, MARROW, CORTEX, 1.0)
    pieces = ()
    if name.startswith("vertebrae"):
        x, y, z = center
        pieces = (
            ("body", ellipsoid(center, half)),
            ("posterior", ellipsoid((x, y + 10, z), (half[0], half[1], half[2]))),
        )
    return Bone(part, words, verse, np.array(center, dtype=float), np.eye(3), pieces, hinge)


def stick_body() -> Body:
    bones = [_bone("skull", "skull", 0, (0, 0, 330), (60, 70, 60))]
    for n, level in enumerate(LEVELS):
        z = 270.0 - 24.0 * n
        bones.append(_bone(f"vertebrae_{level}", level, n + 1, (0, 30, z), (20, 22, 11)))
        if level.startswith("T"):
            for side, sign in (("left", 1), ("right", -1)):
                words = f"{side} rib {level[1:]}"
                name = f"rib_{side}_{level[1:]}"
                hinge = np.array([sign * 25.0, 35.0, z])
                bones.append(_bone(name, words, 0, (sign * 70, -20, z - 20), (55, 50, 8), hinge))
    bones.append(_bone("sacrum", "sacrum", 26, (0, 50, -330), (35, 20, 40)))
    bones.append(_bone("coccyx", "coccyx", 27, (0, 50, -385), (8, 8, 12)))
    for side, sign in (("left", 1), ("right", -1)):
        bones.append(_bone(f"hip_{side}", f"{side} hip bone", 0, (sign * 75, 20, -330), (25, 45, 60)))
        bones.append(_bone(f"femur_{side}", f"{side} femur", 0, (sign * 90, 20, -480), (18, 18, 100)))
        bones.append(_bone(f"humerus_{side}", f"{side} humerus", 0, (sign * 170, 20, 50), (16, 16, 110)))
        bones.append(_bone(f"scapula_{side}", f"{side} scapula", 0, (sign * 100, 80, 90), (40, 8, 60)))
        bones.append(_bone(f"clavicula_{side}", f"{side} clavicle", 0, (sign * 80, -30, 130), (60, 8, 8)))
    bones.append(_bone("sternum", "sternum", 0, (0, -70, 20), (20, 8, 70)))
    soft = (
        Part("body", 0, "wall", ellipsoid((0, 0, -50), (220, 140, 500), 8.0), MUSCLE),
        Part("autochthon_left", 86, "wall", ellipsoid((30, 85, -50), (25, 18, 300), 4.0), MUSCLE),
        Part("aorta", 52, "viscera", ellipsoid((10, -5, 0), (9, 9, 250), 3.0), MUSCLE),
        Part("spinal_cord", 79, "wall", ellipsoid((0, 62, 20), (6, 5, 270), 2.0), MUSCLE),
        Part("urinary_bladder", 21, "viscera", ellipsoid((0, -20, -380), (35, 30, 30), 3.0), CSF),
    )
    parts = (*soft, *(bone.part for bone in bones))
    return Body(Person("M", 50, 1.72, 69.0), parts, tuple(bones))
