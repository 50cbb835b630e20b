"""Patients drawn at random: who they are, what grows where, when they are scanned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Literal, TypeVar

import numpy as np

from osteotrace.model.patient import EarlierReading, Event
from osteotrace.phantom.body import BodyOptions
from osteotrace.phantom.field import Field
from osteotrace.phantom.lesions import (
    LONG_BEFORE,
    MIMIC_KINDS,
    Day,
    Lesion,
    Place,
    cord_mass,
    drawn_range,
    inside_points,
    mimic,
    mixed,
    seat,
    tissue,
)
from osteotrace.phantom.plan import CasePlan, SessionPlan
from osteotrace.phantom.records import Body, Bone, Material
from osteotrace.phantom.sessions import (
    CT,
    CT_NATIVE,
    STIR,
    T1,
    T1_CE,
    T1_CE_FS,
    T2,
    T2_FS,
    bone_scan,
    lumbar_mr,
    pet_ct,
    spine_mr,
    trunk_ct,
)
from osteotrace.phantom.shapes import blob, union

Choice = TypeVar("Choice", bound=str)

_HARD_MOTION = 1.6
_CORD_MASS = 0.15
_KINDS = {"osteoblastic": 0.35, "osteolytic": 0.25, "mixed": 0.15, "marrow-only": 0.25}
_PLACES: dict[Place, float] = {"intramedullary": 0.35, "subcortical": 0.25, "transcortical": 0.3, "mass": 0.1}
_MASS_FROM_MM = 16.0  # smaller lesions have no soft-tissue mass
_ROOM = 2.2  # of the bone's own depth: a nominal radius may be that much larger, the bone cuts it
_FATES = {
    "grows": 0.35,
    "shrinks": 0.15,
    "stays": 0.2,
    "appears": 0.15,
    "vanishes": 0.05,
    "turns sclerotic": 0.1,
}

# How often each kind of bone is chosen (metastases follow red marrow; project choice).
_SITES = {"vertebrae_L": 5.0, "vertebrae_T": 4.0, "vertebrae_C": 0.7, "sacrum": 5.0, "hip": 7.0, "rib": 0.9}
_OTHER_SITES = {"sternum": 3.0, "femur": 3.0, "scapula": 1.5, "humerus": 1.0, "skull": 1.0}
_PLACES_OF_MIMICS = {
    "haemangioma": ("vertebrae_T", "vertebrae_L"),
    "bone island": ("hip", "femur", "vertebrae_L", "rib"),
    "Schmorl node": ("vertebrae_L", "vertebrae_T1"),
    "facet sclerosis": ("vertebrae_L",),
    "degenerative endplate": ("vertebrae_L",),
}


def random_case(body: Body, seed: int, hard: bool = False) -> CasePlan:
    """Plan of a random patient; the same body and seed give the same plan."""
    rng = np.random.default_rng([seed, 2])
    sessions = random_sessions(rng)
    days = sorted({session.day for session in sessions})
    follow_up = next((day for day in days if day >= 30), 60)
    names = (f"B{n:02d}" for n in count(1))
    tied = bool(rng.random() < drawn_range("tracer_tied"))
    lesions: list[Lesion] = []
    for _ in range(int(rng.integers(8, 20) if hard else rng.integers(5, 13))):
        lesions.append(_lesion(next(names), body, rng, follow_up, tied))
    if rng.random() < 0.5:
        lesions += _merging(body, rng, follow_up, tied, (next(names), next(names)))
    if rng.random() < 0.4:
        lesions.append(_splitting(body, rng, follow_up, tied, next(names)))
    if rng.random() < _CORD_MASS:
        growth = {LONG_BEFORE: 0.0, follow_up: float(rng.uniform(-1.5, 0.5))}
        lesions.append(cord_mass(body, ("T12", "L1"), (4.4, 4.2, float(rng.uniform(7, 14))), 3, growth, rng))
    mimics = [_mimic(n, body, rng) for n in range(int(rng.integers(4, 9) if hard else rng.integers(3, 6)))]
    motion = _HARD_MOTION if hard else 1.0
    events: tuple[Event, ...] = (EarlierReading(None, 0, "first reading", "MR", ()),)
    return CasePlan(f"random-{seed}", seed, body, (*mimics, *lesions), sessions, events, motion=motion)


def random_options(seed: int, hard: bool = False) -> BodyOptions:
    """Who a random patient is and what is unusual about the skeleton."""
    rng = np.random.default_rng([seed, 3])
    chance = 1.6 if hard else 1.0
    sex: Literal["M", "F"] = "M" if rng.random() < 0.5 else "F"
    cobb = float(rng.uniform(10, 30)) if rng.random() < 0.15 * chance else 0.0
    kyphosis = float(rng.uniform(8, 20)) if rng.random() < 0.15 * chance else 0.0
    variant = rng.random()  # T13 is rarer in people; here it has to be met with often enough
    t13, l6 = bool(variant < 0.06), bool(0.06 <= variant < 0.13)
    eleven = bool(0.13 <= variant < 0.18)
    worn = tuple(level for level in ("L3", "L4", "L5") if rng.random() < 0.25 * chance)
    wedges: tuple[tuple[str, float], ...] = ()
    if rng.random() < 0.15 * chance:
        wedges = ((str(rng.choice(["T8", "T11", "T12", "L1", "L2"])), float(rng.uniform(15, 45))),)
    return BodyOptions(
        sex=sex,
        age_years=int(rng.integers(35, 86)),
        cobb_deg=cobb,
        extra_kyphosis_deg=kyphosis,
        t13=t13,
        l6=l6,
        rib_pairs=11 if eleven else None,
        wedges=wedges,
        degenerative=worn,
    )


def random_sessions(rng: np.random.Generator) -> tuple[SessionPlan, ...]:
    """A first round of exams within ten days and a second one months later; MR and CT always."""
    first = [("t2fs", T2_FS) if rng.random() < 0.6 else ("stir", STIR), ("t1", T1)]
    if rng.random() < 0.6:
        first.append(("t1fsce", T1_CE_FS) if rng.random() < 0.7 else ("t1ce", T1_CE))
    whole = rng.random() < 0.35
    make = spine_mr if whole else lumbar_mr
    later = int(rng.integers(45, 140))
    days = np.sort(rng.integers(1, 10, 3))
    native = rng.random() < 0.4
    sessions = [
        make("mr0", 0, first, "referring MR"),
        trunk_ct("ct0", int(days[0]), CT_NATIVE if native else CT, "CT"),
        bone_scan("nm0", int(days[1]), "gamma camera"),
        pet_ct("pet0", int(days[2]), "PET-CT"),
    ]
    second = [("t2", T2), ("t1", T1)] if rng.random() < 0.4 else [("t2fs", T2_FS), ("t1", T1)]
    sessions.append(lumbar_mr("mr1", later, second, "MR"))
    if rng.random() < 0.5:
        sessions.append(trunk_ct("ct1", later + int(rng.integers(0, 6)), CT, "CT"))
    return tuple(sessions)


# --- one lesion -------------------------------------------------------------------------------------


def _lesion(name: str, body: Body, rng: np.random.Generator, follow_up: int, tied: bool) -> Lesion:
    bone = _site(body, rng)
    kind = _pick(_KINDS, rng)
    radius = _log_uniform(drawn_range("diameter_mm"), rng) / 2
    place = _place(radius, rng)
    if place != "mass":
        radius = min(radius, _ROOM * _depth(bone))
    shape = _shape(bone, place, radius, rng)
    core = None
    if kind == "mixed":
        core = blob(inside_points(shape).mean(axis=0), (0.55 * radius,) * 3, 0.12, rng)
    fate = _pick(_FATES, rng)
    material = _material(kind, place, bone, rng, tied)
    inner = replace(material, **_lytic_part(bone)) if core is not None else None
    days = _course(fate, radius, material, inner, follow_up, rng)
    if fate == "turns sclerotic":
        days = (days[0], replace(days[1], material=_sclerosed(material, bone, rng)))
    events = () if fate == "stays" else (fate,)
    return Lesion(name, "metastasis", kind, place, bone.name, shape, core, days, events)


def _site(body: Body, rng: np.random.Generator) -> Bone:
    weights = np.array([_weight(bone.name) for bone in body.bones])
    return body.bones[int(rng.choice(len(weights), p=weights / weights.sum()))]


def _weight(name: str) -> float:
    table = {**_SITES, **_OTHER_SITES}
    return next((weight for start, weight in table.items() if name.startswith(start)), 0.0)


def _place(radius: float, rng: np.random.Generator) -> Place:
    place = _pick(_PLACES, rng)
    return "transcortical" if place == "mass" and 2 * radius < _MASS_FROM_MM else place


def _shape(bone: Bone, place: Place, radius: float, rng: np.random.Generator) -> Field:
    piece = "body" if bone.pieces and rng.random() < 0.8 else ""
    half = radius * rng.uniform(0.8, 1.2, 3)
    half *= radius / half.max()
    return blob(
        seat(bone, place, radius, rng, piece=piece), half.tolist(), float(rng.uniform(0.05, 0.18)), rng
    )


def _depth(bone: Bone) -> float:
    return float(-bone.part.shape.values.min())


def _course(
    fate: str, radius: float, material: Material, core: Material | None, day: int, rng: np.random.Generator
) -> tuple[Day, ...]:
    low, high = drawn_range("growth_per_30_days_mm")
    before = Day(LONG_BEFORE, 0.0, material, core)
    match fate:
        case "grows":
            change = float(rng.uniform(0.5, high)) * day / 30
        case "shrinks":
            change = float(rng.uniform(low, -0.4)) * day / 30
        case "appears":
            return (replace(before, present=False), Day(day, 0.0, material, core))
        case "vanishes":
            return (before, Day(day, 0.0, material, core, present=False))
        case _:
            change = 0.0
    return (before, Day(day, max(min(change, 8.0), -0.6 * radius), material, core))


# --- what it is made of -----------------------------------------------------------------------------


def _material(kind: str, place: Place, bone: Bone, rng: np.random.Generator, tied: bool) -> Material:
    """Tumour, diluted with marrow to a contrast from a continuous range; each scanner has its own share."""
    marrow = bone.part.fill
    base = tissue(
        {"osteoblastic": "mineralised", "osteolytic": "lytic", "mixed": "mineralised"}.get(kind, "tumour")
    )
    shown = mixed(marrow, base, _log_uniform(drawn_range("mr_contrast_share"), rng))
    share = _log_uniform(drawn_range("ct_contrast_share"), rng)
    target = float(rng.uniform(*drawn_range("blastic_hu"))) if kind in ("osteoblastic", "mixed") else base.hu
    density = marrow.hu if kind == "marrow-only" else marrow.hu + share * (target - marrow.hu)
    tracer, suv = _uptake(kind, place, marrow, rng, tied)
    return replace(
        shown, hu=density, hu_texture=base.hu_texture, bone_tracer=tracer, suv=suv, grain_mm=base.grain_mm
    )


def _uptake(
    kind: str, place: Place, marrow: Material, rng: np.random.Generator, tied: bool
) -> tuple[float, float]:
    """Bone tracer and SUV; in some patients independent of type and cortical contact."""
    luck, avid = rng.random(2)
    likely = drawn_range("tracer_positive")[place] if tied else 0.5
    if tied and kind == "marrow-only":
        likely *= 0.3
    hot = luck < likely
    tracer = float(rng.uniform(*drawn_range("tracer_hot" if hot else "tracer_cold")))
    avidity = (
        {"osteoblastic": 0.4, "osteolytic": 0.85, "mixed": 0.7, "marrow-only": 0.6}[kind] if tied else 0.5
    )
    suv = (
        _log_uniform(drawn_range("suv"), rng) if avid < avidity else marrow.suv * float(rng.uniform(0.9, 1.2))
    )
    return tracer, suv


def _lytic_part(bone: Bone) -> dict[str, float]:
    lytic = tissue("lytic")
    return {"hu": lytic.hu, "hu_texture": lytic.hu_texture, "pd": lytic.pd, "t2_ms": lytic.t2_ms, "fat": 0.0}


def _sclerosed(material: Material, bone: Bone, rng: np.random.Generator) -> Material:
    """The same lesion after treatment: denser, darker on T2, less avid."""
    mineral = tissue("mineralised")
    density = max(material.hu, bone.part.fill.hu) + float(rng.uniform(100, 400))
    low = min(material.suv, bone.part.fill.suv * 1.1)
    return replace(mixed(material, mineral, 0.6), hu=density, hu_texture=mineral.hu_texture, suv=low)


# --- pairs and mimics -------------------------------------------------------------------------------


def _merging(
    body: Body, rng: np.random.Generator, day: int, tied: bool, names: tuple[str, str]
) -> list[Lesion]:
    """Two lesions of one bone that have grown into each other at the follow-up."""
    bone = _large_bone(body, rng)
    kind = _pick({"osteoblastic": 1, "osteolytic": 1, "marrow-only": 1}, rng)
    first = seat(bone, "intramedullary", 5.0, rng)
    direction = rng.normal(size=3)
    distance = float(rng.uniform(13.0, 17.0))
    second = first + direction / np.linalg.norm(direction) * distance
    radius = distance / 2 - 1.5
    material = _material(kind, "intramedullary", bone, rng, tied)
    days = (Day(LONG_BEFORE, 0.0, material), Day(day, 3.5, material))
    return [
        Lesion(
            name,
            "metastasis",
            kind,
            "intramedullary",
            bone.name,
            blob(center, (radius,) * 3, 0.06, rng),
            None,
            days,
            ("grows", f"merges with {other}"),
        )
        for name, other, center in zip(names, reversed(names), (first, second), strict=True)
    ]


def _splitting(body: Body, rng: np.random.Generator, day: int, tied: bool, name: str) -> Lesion:
    """A lesion of two lobes whose bridge goes."""
    bone = _large_bone(body, rng)
    first = seat(bone, "intramedullary", 7.0, rng)
    direction = rng.normal(size=3)
    second = first + direction / np.linalg.norm(direction) * 12.0
    shape = union([blob(c, (6.5,) * 3, 0.04, rng) for c in (first, second)], 0.6)
    material = _material("osteoblastic", "intramedullary", bone, rng, tied)
    days = (Day(LONG_BEFORE, 0.0, material), Day(day, -2.5, material))
    return Lesion(
        name,
        "metastasis",
        "osteoblastic",
        "intramedullary",
        bone.name,
        shape,
        None,
        days,
        ("shrinks", "splits"),
    )


def _large_bone(body: Body, rng: np.random.Generator) -> Bone:
    """A bone with room for two: hip bone, sacrum or a lumbar vertebra."""
    roomy = [b for b in body.bones if b.name.startswith(("hip", "sacrum", "vertebrae_L"))]
    return (roomy or list(body.bones))[int(rng.integers(len(roomy or body.bones)))]


def _mimic(number: int, body: Body, rng: np.random.Generator) -> Lesion:
    kind = MIMIC_KINDS[int(rng.integers(len(MIMIC_KINDS)))]
    fitting = [b for b in body.bones if b.name.startswith(_PLACES_OF_MIMICS[kind])]
    bone = (fitting or list(body.bones))[int(rng.integers(len(fitting or body.bones)))]
    return mimic(kind, body, bone, rng, f"N{number + 1:02d}")


def _pick(weights: Mapping[Choice, float], rng: np.random.Generator) -> Choice:
    names = list(weights)
    chances = np.array(list(weights.values()), dtype=np.float64)
    return names[int(rng.choice(len(names), p=chances / chances.sum()))]


def _log_uniform(limits: Sequence[float], rng: np.random.Generator) -> float:
    low, high = np.log(limits[0]), np.log(limits[1])
    return float(np.exp(rng.uniform(low, high)))
