"""The index case: the published workup as a phantom patient, and its counterfactuals."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import resources
from typing import Any

import numpy as np

from osteotrace.errors import DeclarationError
from osteotrace.model.patient import (
    Biopsy,
    DrugTherapy,
    EarlierReading,
    Event,
    Radiotherapy,
    Surgery,
    Symptom,
)
from osteotrace.phantom.field import Field
from osteotrace.phantom.lesions import (
    LONG_BEFORE,
    Day,
    Lesion,
    Place,
    cord_mass,
    inside_points,
    mimic,
    mixed,
    seat,
    tissue,
)
from osteotrace.phantom.plan import CasePlan
from osteotrace.phantom.records import Body, Bone, Material
from osteotrace.phantom.sessions import index_sessions
from osteotrace.phantom.shapes import blob, capsule

Spec = dict[str, Any]

_SINCE = 60  # day from which a lesion has its own density
_SURGERY_DAY = 8
_SCAN_DAY = 70
_FATTY_AFTER = 30  # days from the begin of radiotherapy to fatty marrow
_PIN_MM = (1.6, 120.0)  # radius and length
_PIN_DIRECTION = np.array([-0.90, 0.35, 0.25])  # from the tip outwards: right, back, up


def index_case(body: Body, seed: int, counterfactual: str = "") -> CasePlan:
    """Plan of the index case.

    Parameters
    ----------
    body : Body
        Anatomy of the patient, as :func:`index_person` describes it.
    counterfactual : str
        One of :data:`COUNTERFACTUALS`, or empty for the case as published.
    """
    spec = specification(counterfactual)
    rng = np.random.default_rng([seed, 1])
    bones = [_bone_lesion(entry, body, rng) for entry in spec["bone"]]
    benign = [mimic(m["kind"], body, body.bone(m["name"]), rng, m["id"]) for m in spec["mimic"]]
    treated = [*_irradiated(spec, body), *_laminectomy(body, rng)]
    device = _pin(spec, body, next(b for b in bones if b.id == spec["pin"]["lesion"]))
    wanted = tuple((b["id"], float(b["suv_max"])) for b in spec["bone"] if "suv_max" in b)
    return CasePlan(
        "index",
        seed,
        body,
        (*treated, *benign, *bones, _mass(spec, body, rng), *_activity(body, rng), device),
        index_sessions(fat_suppressed_follow_up=spec.get("follow_up_fat_suppressed", False)),
        _events(spec),
        wanted,
        counterfactual,
    )


def specification(counterfactual: str = "") -> Spec:
    """The index case as data, altered as a counterfactual asks.

    Raises
    ------
    DeclarationError
        When there is no counterfactual of that name.
    """
    text = resources.files("osteotrace.phantom").joinpath("index_case.toml").read_text(encoding="utf-8")
    spec: Spec = tomllib.loads(text)
    if not counterfactual:
        return spec
    if counterfactual not in COUNTERFACTUALS:
        raise DeclarationError(
            f"no such counterfactual: {counterfactual}",
            where="--counterfactual",
            expected=", ".join(COUNTERFACTUALS),
            remedy="name one of these",
        )
    altered = copy.deepcopy(spec)
    _ALTERATIONS[counterfactual](altered)
    return altered


# --- counterfactuals --------------------------------------------------------------------------------


def _entry(spec: Spec, name: str) -> Spec:
    found: Spec = next(b for b in spec["bone"] if b["id"] == name)
    return found


def _t11_cold(spec: Spec) -> None:
    entry = _entry(spec, "B01")
    del entry["suv_max"]
    entry["suv"] = 1.15


def _one_lytic(spec: Spec) -> None:
    _entry(spec, "B07").update(kind="osteolytic", hu=42.0)


def _ilium_dense(spec: Spec) -> None:
    _entry(spec, "B17").update(hu=980.0, mineral={"60": 1.0})


def _reading_names_bone(spec: Spec) -> None:
    spec["reading"] = ["cord mass T12-L1", "bone lesions T11 to L5 and sacrum"]


def _other_field(spec: Spec) -> None:
    spec["radiotherapy"]["levels"] = ["L3", "L4", "L5"]


def _fat_suppressed(spec: Spec) -> None:
    spec["follow_up_fat_suppressed"] = True


def _no_bone_at_first(spec: Spec) -> None:
    for entry in spec["bone"]:
        for key in ("radius_mm", "mineral"):
            entry[key] = {day: value for day, value in entry[key].items() if int(day) >= _SINCE}


def _scan_all_positive(spec: Spec) -> None:
    for entry in spec["bone"]:
        entry["bone_tracer"] = max(entry["bone_tracer"], 6.5)


_ALTERATIONS: Mapping[str, Callable[[Spec], None]] = {
    "t11-cold": _t11_cold,
    "one-lytic": _one_lytic,
    "ilium-dense": _ilium_dense,
    "reading-names-bone": _reading_names_bone,
    "radiotherapy-l3-l5": _other_field,
    "day68-fat-suppressed": _fat_suppressed,
    "day0-no-bone": _no_bone_at_first,
    "scan-all-positive": _scan_all_positive,
}
COUNTERFACTUALS = tuple(_ALTERATIONS)


# --- lesions ----------------------------------------------------------------------------------------


def _bone_lesion(entry: Spec, body: Body, rng: np.random.Generator) -> Lesion:
    bone = body.bone(entry["name"])
    radii = {int(day): float(r) for day, r in entry["radius_mm"].items()}
    largest = max(radii.values())
    center = seat(
        bone, entry["place"], largest, rng, piece=entry.get("piece", ""), toward=entry.get("toward")
    )
    shape = blob(center, (largest,) * 3, 0.15, rng)
    days = tuple(
        Day(day if day else LONG_BEFORE, radius - largest, _bone_material(entry, bone, day))
        for day, radius in sorted(radii.items())
    )
    if 0 not in radii:
        days = (replace(days[0], day=LONG_BEFORE, present=False), *days)
    events = ("grows", "turns sclerotic") if 0 in radii else ("appears",)
    kind = entry.get("kind", "osteoblastic")
    return Lesion(entry["id"], "metastasis", kind, entry["place"], bone.name, shape, None, days, events)


def _bone_material(entry: Spec, bone: Bone, day: int) -> Material:
    """Tumour in marrow at first; from day 60 on with the density of the case."""
    mineral = float(entry["mineral"][str(day)])
    if entry.get("kind") == "osteolytic" and day >= _SINCE:
        base = tissue("lytic")
    else:
        base = mixed(tissue("tumour"), tissue("mineralised"), mineral)
    density = float(entry["hu"]) if day >= _SINCE else bone.part.fill.hu
    return replace(
        base,
        hu=density,
        suv=float(entry.get("suv", base.suv)),
        bone_tracer=float(entry["bone_tracer"]) if day >= _SINCE else 1.0,
    )


def _mass(spec: Spec, body: Body, rng: np.random.Generator) -> Lesion:
    """The tumour in the cord."""
    mass = spec["mass"]
    growth = {int(day) or LONG_BEFORE: float(mm) for day, mm in mass["growth_mm"].items()}
    return cord_mass(body, tuple(mass["between"]), mass["half_mm"], int(mass["nodules"]), growth, rng)


def _irradiated(spec: Spec, body: Body) -> list[Lesion]:
    day = int(spec["radiotherapy"]["day"]) + _FATTY_AFTER
    fatty = tissue("irradiated")
    days = (Day(LONG_BEFORE, 0.0, fatty, present=False), Day(day, 0.0, fatty))
    bones = [body.bone(level) for level in spec["radiotherapy"]["levels"]]
    return [
        _trace(f"R-{b.code_name}", "irradiated marrow", "whole bone", b, b.part.shape, days) for b in bones
    ]


def _trace(name: str, kind: str, place: Place, bone: Bone, shape: Field, days: tuple[Day, ...]) -> Lesion:
    return Lesion(name, "treatment", kind, place, bone.name, shape, None, days)


def _laminectomy(body: Body, rng: np.random.Generator) -> list[Lesion]:
    """Laminae and spinous processes of T12 and L1 are gone after the operation."""
    scar = tissue("scar")
    days = (Day(LONG_BEFORE, 0.0, scar, present=False), Day(_SURGERY_DAY, 0.0, scar))
    found = []
    for level in ("T12", "L1"):
        bone = body.bone(level)
        behind = bone.centroid + bone.axes @ np.array([0.0, 47.0, -8.0])
        shape = blob(behind, (11.0, 24.0, 22.0), 0.0, rng)
        found.append(_trace(f"S-{level}", "laminectomy", "transcortical", bone, shape, days))
    return found


def _pin(spec: Spec, body: Body, target: Lesion) -> Lesion:
    """A guide pin from the skin to the middle of a lesion, on its day only."""
    tip = inside_points(target.shape).mean(axis=0)
    radius, length = _PIN_MM
    outward = _PIN_DIRECTION / np.linalg.norm(_PIN_DIRECTION)
    day, steel = int(spec["pin"]["day"]), tissue("steel")
    days = (Day(LONG_BEFORE, 0.0, steel, present=False), Day(day, 0.0, steel))
    shape = capsule(tip, tip + outward * length, radius)
    return Lesion("P01", "device", "guide pin", "soft tissue", target.carrier, shape, None, days)


def _activity(body: Body, rng: np.random.Generator) -> list[Lesion]:
    """Urine on the skin and the vein of the injection: seen by the gamma camera only."""
    below = body.bone("coccyx").centroid + np.array([14.0, -60.0, -95.0])
    arm = body.bone("left humerus")
    elbow = inside_points(arm.part.shape)
    elbow = elbow[elbow[:, 2] < elbow[:, 2].min() + 20.0].mean(axis=0) + np.array([0.0, -22.0, 0.0])
    urine = replace(body.part("urinary_bladder").fill, bone_tracer=25.0)
    return [
        _hot("U01", "urine contamination", "wall", blob(below, (9.0, 6.0, 14.0), 0.1, rng), urine),
        _hot("U02", "injection site", arm.name, blob(elbow, (5.0, 4.0, 9.0), 0.1, rng), urine),
    ]


def _hot(name: str, kind: str, carrier: str, shape: Field, what: Material) -> Lesion:
    days = (
        Day(LONG_BEFORE, 0.0, what, present=False),
        Day(_SCAN_DAY, 0.0, what),
        Day(_SCAN_DAY + 1, 0.0, what, present=False),
    )
    return Lesion(name, "activity", kind, "soft tissue", carrier, shape, None, days)


# --- events -----------------------------------------------------------------------------------------


def _events(spec: Spec) -> tuple[Event, ...]:
    therapy = spec["radiotherapy"]
    levels = tuple(therapy["levels"])
    field = f"{levels[0]} to {levels[-1]}"
    named = tuple(spec.get("reading", ["cord mass T12-L1"]))
    return (
        Symptom(None, -180, "left leg weakness, low back pain"),
        EarlierReading(None, 0, "intramedullary mass of the conus", "MR", named),
        Surgery(None, _SURGERY_DAY, "partial removal of the cord mass", "T12 to L1"),
        Radiotherapy(None, int(therapy["day"]), field, levels, float(therapy["dose_gy"])),
        DrugTherapy(None, 20, "before the bone lesions were known", ("carboplatin", "vincristine"), 2),
        Biopsy(None, 80, "CT-guided needle biopsy, too little tissue", "T11", adequate=False),
        Biopsy(None, int(spec["pin"]["day"]), "open biopsy after a guide pin", "right ilium", adequate=True),
    )
