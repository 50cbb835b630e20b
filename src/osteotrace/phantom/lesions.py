"""Lesions of the phantom and what only looks like one: place, material, change over time."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, lru_cache
from importlib import resources
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from osteotrace.phantom.field import Field, Float32Array
from osteotrace.phantom.records import Body, Bone, Insert, Material
from osteotrace.phantom.shapes import blob, union
from osteotrace.space import FloatArray

Nature = Literal["metastasis", "primary", "mimic", "treatment", "activity", "device"]
Place = Literal["intramedullary", "subcortical", "transcortical", "mass", "soft tissue", "whole bone"]
Within = Literal["marrow", "bone", "free"]

LONG_BEFORE = -10_000  # day of what was always there

WITHIN: dict[Place, Within] = {
    "intramedullary": "marrow",
    "subcortical": "marrow",
    "transcortical": "bone",
    "mass": "free",
    "soft tissue": "free",
    "whole bone": "marrow",
}


@dataclass(frozen=True, slots=True)
class Day:
    """A lesion on one day.

    Attributes
    ----------
    day : int
        After the first exam.
    growth_mm : float
        The surface lies this far outside the reference surface.
    material, core : Material, Material or None
        Of the lesion and of its inner region.
    present : bool
        False before it appears and after it has gone.
    """

    day: int
    growth_mm: float
    material: Material
    core: Material | None = None
    present: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Lesion:
    """One lesion (or mimic, or device) over time.

    Attributes
    ----------
    id : str
        The same at every date.
    nature : {"metastasis", "primary", "mimic", "treatment", "activity", "device"}
    kind : str
        ``osteoblastic``, ``osteolytic``, ``mixed``, ``marrow-only``; of a mimic what it is.
    place : str
        Relation to the cortex.
    carrier : str
        Part name of the bone, or ``wall``.
    shape, core : Field, Field or None
        Reference surface and inner region, body frame, mm.
    days : tuple of Day
        In order of time; a day in between takes the last one before it.
    events : tuple of str
        ``grows``, ``shrinks``, ``appears``, ``vanishes``, ``merges with B2``, ``splits``,
        ``turns sclerotic``.
    """

    id: str
    nature: Nature
    kind: str
    place: Place
    carrier: str
    shape: Field
    core: Field | None
    days: tuple[Day, ...]
    events: tuple[str, ...] = ()

    def on(self, day: int) -> Day:
        """The lesion on a day."""
        before = [d for d in self.days if d.day <= day]
        return before[-1] if before else replace(self.days[0], present=False)

    def insert(self, day: int) -> Insert | None:
        """What a scanner meets on that day; None while the lesion is not there."""
        now = self.on(day)
        if not now.present:
            return None
        core = (self.core, now.core) if self.core is not None and now.core is not None else None
        within = WITHIN[self.place]
        return Insert(self.id, self.carrier, within, self.shape, now.growth_mm, now.material, core)


# --- materials --------------------------------------------------------------------------------------


@cache
def _table() -> Mapping[str, Any]:
    text = resources.files("osteotrace.phantom").joinpath("lesions.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def tissue(name: str) -> Material:
    """A material of ``lesions.toml``."""
    entry = _table()["tissue"][name]
    return Material(**{key: float(value) for key, value in entry.items() if key != "source"})


def drawn_range(name: str) -> Any:
    """An entry of ``[range]`` in ``lesions.toml``."""
    return _table()["range"][name]


def mixed(a: Material, b: Material, share: float) -> Material:
    """Between two materials: ``a`` at 0, ``b`` at 1."""
    values = {
        f.name: getattr(a, f.name) * (1 - share) + getattr(b, f.name) * share
        for f in fields(Material)
        if f.name != "grain_mm"
    }
    return Material(**values, grain_mm=b.grain_mm if share >= 0.5 else a.grain_mm)


# --- places -----------------------------------------------------------------------------------------


def seat(
    bone: Bone,
    place: Place,
    radius_mm: float,
    rng: np.random.Generator,
    *,
    piece: str = "",
    toward: Sequence[float] | None = None,
) -> FloatArray:
    """Body point for the centre of a lesion of this radius, shape (3,), mm.

    Parameters
    ----------
    piece : str
        ``body`` or ``posterior`` of a vertebra; empty takes the whole bone.
    toward : sequence of float, length 3, optional
        Wanted place in half extents of the bone from its centre (LPS); otherwise anywhere.
    """
    shape = dict(bone.pieces).get(piece, bone.part.shape)
    depth = -np.maximum(shape.values, _on_lattice(bone.part.shape, shape))
    low, high = _depths(place, radius_mm, bone.part.shell_mm, float(depth.max()))
    wanted = np.argwhere((depth >= low) & (depth <= high))
    if not len(wanted):
        wanted = np.argwhere(depth >= depth.max() - 1e-3)
    points = wanted * shape.step + shape.origin
    if toward is None:
        return np.asarray(points[rng.integers(len(points))], dtype=np.float64)
    inside = np.argwhere(shape.values < 0) * shape.step + shape.origin
    middle, half = (inside.max(axis=0) + inside.min(axis=0)) / 2, np.ptp(inside, axis=0) / 2
    aim = middle + np.asarray(toward) * half + rng.normal(0, 0.4, 3)
    return np.asarray(points[np.argmin(np.linalg.norm(points - aim, axis=1))], dtype=np.float64)


def _on_lattice(field: Field, other: Field) -> Float32Array:
    """Values of a field at the samples of another one."""
    return field.values if field is other else field.at(other.lattice_points())


def _depths(place: Place, radius: float, shell: float, deepest: float) -> tuple[float, float]:
    """Least and greatest depth of the centre below the surface of the bone, mm."""
    match place:
        case "intramedullary":
            return min(shell + radius + 0.8, 0.9 * deepest), np.inf
        case "subcortical":
            return min(shell + 0.55 * radius, 0.6 * deepest), min(shell + 0.85 * radius, 0.9 * deepest)
        case "transcortical":
            return 0.1 * radius, min(0.6 * radius, 0.7 * deepest)
        case "mass":
            return 0.0, min(0.3 * radius, 0.5 * deepest)
        case _:
            return 0.0, np.inf


@lru_cache(maxsize=40)  # asked again for every series of a session
def effective(insert: Insert, body: Body) -> Field:
    """Signed distance of what is really shown of an insert: within its bone, at its size; body frame, mm."""
    values = insert.shape.values - np.float32(insert.growth_mm)
    if insert.within != "free":
        bone = body.bone(insert.carrier)
        shell = bone.part.shell_mm if insert.within == "marrow" else 0.0
        values = np.maximum(values, _on_lattice(bone.part.shape, insert.shape) + np.float32(shell))
    return Field(values, insert.shape.origin, insert.shape.step)


def inside_points(field: Field) -> FloatArray:
    """Body points of the samples inside a shape, shape (n, 3), mm."""
    return np.argwhere(field.values < 0) * field.step + field.origin


# --- the cord ---------------------------------------------------------------------------------------


def cord_mass(
    body: Body,
    between: tuple[str, str],
    half_mm: Sequence[float],
    nodules: int,
    growth_mm: Mapping[int, float],
    rng: np.random.Generator,
) -> Lesion:
    """An intramedullary mass with nodules that enhance.

    Parameters
    ----------
    between : tuple of str
        Two vertebrae; the mass is centred halfway between them.
    growth_mm : mapping of int to float
        Growth by day.
    """
    center = _cord_at(body, between)
    shape = blob(center, half_mm, 0.05, rng)
    spots = np.linspace(-0.62, 0.62, nodules)
    sides = np.resize([1.0, -1.0], nodules)
    inner = [
        blob(center + np.array([s * 1.3, -s * 0.8, z * half_mm[2]]), (2.2, 2.1, 2.4), 0.05, rng)
        for z, s in zip(spots, sides, strict=True)
    ]
    days = tuple(
        Day(day, growth, tissue("cord_tumour"), tissue("cord_nodule"))
        for day, growth in sorted(growth_mm.items())
    )
    kind: tuple[Nature, str, Place] = ("primary", "intramedullary mass", "soft tissue")
    return Lesion("M01", *kind, "wall", shape, union(inner, 0.5), days, ("shrinks",))


def _cord_at(body: Body, levels: tuple[str, str]) -> FloatArray:
    """Middle of the cord halfway between two vertebrae, body frame, mm."""
    height = float(np.mean([body.bone(level).centroid[2] for level in levels]))
    inside = inside_points(body.part("spinal_cord").shape)
    near = inside[np.abs(inside[:, 2] - height) <= 4.0]
    return np.array([*near[:, :2].mean(axis=0), height])


# --- mimics -----------------------------------------------------------------------------------------

_STILL_MM = 4.0  # margin of a shape that does not grow

MimicMaker = Callable[[Body, Bone, np.random.Generator, str], Lesion]


def mimic(kind: str, body: Body, bone: Bone, rng: np.random.Generator, name: str) -> Lesion:
    """A benign finding in a bone: haemangioma, bone island, Schmorl node, facet sclerosis, Modic change."""
    return _MIMICS[kind](body, bone, rng, name)


def _constant(name: str, kind: str, bone: Bone, place: Place, shape: Field, what: Material) -> Lesion:
    return Lesion(name, "mimic", kind, place, bone.name, shape, None, (Day(LONG_BEFORE, 0.0, what),))


def _haemangioma(body: Body, bone: Bone, rng: np.random.Generator, name: str) -> Lesion:
    radius = float(rng.uniform(4, 10))
    shape = blob(seat(bone, "intramedullary", radius, rng, piece="body"), (radius,) * 3, 0.06, rng, _STILL_MM)
    return _constant(name, "haemangioma", bone, "intramedullary", shape, tissue("haemangioma"))


def _bone_island(body: Body, bone: Bone, rng: np.random.Generator, name: str) -> Lesion:
    radius = float(rng.uniform(2.5, 6))
    half = rng.uniform(0.8, 1.2, 3) * radius
    shape = blob(seat(bone, "intramedullary", radius, rng), _triple(half), 0.12, rng, _STILL_MM)
    return _constant(name, "bone island", bone, "intramedullary", shape, tissue("bone_island"))


def _schmorl(body: Body, bone: Bone, rng: np.random.Generator, name: str) -> Lesion:
    radius = float(rng.uniform(3, 5.5))
    end = rng.choice((-1.0, 1.0))
    center = seat(bone, "transcortical", radius, rng, piece="body", toward=(0.0, 0.1, 0.95 * end))
    shape = blob(center, (radius * 1.2, radius * 1.2, radius), 0.05, rng, _STILL_MM)
    return _constant(name, "Schmorl node", bone, "transcortical", shape, tissue("schmorl"))


def _facet(body: Body, bone: Bone, rng: np.random.Generator, name: str) -> Lesion:
    side = float(rng.choice((-1.0, 1.0)))
    radius = float(rng.uniform(3.5, 6))
    center = seat(bone, "transcortical", radius, rng, piece="posterior", toward=(0.45 * side, -0.35, -0.3))
    shape = blob(center, (radius, radius, radius * 1.2), 0.08, rng, _STILL_MM)
    return _constant(name, "facet sclerosis", bone, "transcortical", shape, tissue("sclerosis"))


def _modic(body: Body, bone: Bone, rng: np.random.Generator, name: str) -> Lesion:
    end = rng.choice((-1.0, 1.0))
    center = seat(bone, "transcortical", 5.0, rng, piece="body", toward=(0.0, -0.2, 0.9 * end))
    half = (float(rng.uniform(10, 16)), float(rng.uniform(8, 12)), float(rng.uniform(4, 6)))
    shape = blob(center, half, 0.05, rng, _STILL_MM)
    return _constant(name, "degenerative endplate", bone, "subcortical", shape, tissue("modic_1"))


_MIMICS: dict[str, MimicMaker] = {
    "haemangioma": _haemangioma,
    "bone island": _bone_island,
    "Schmorl node": _schmorl,
    "facet sclerosis": _facet,
    "degenerative endplate": _modic,
}
MIMIC_KINDS = tuple(_MIMICS)


def _triple(values: NDArray[Any]) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    return (x, y, z)
