"""Materials of the body: typical values from ``tissues.toml``, made those of one person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from osteotrace.phantom.body.spine_curve import table
from osteotrace.phantom.records import Material, Person

_RECORD = (
    "pd",
    "t1_ms",
    "t2_ms",
    "fat",
    "gadolinium_mm",
    "hu",
    "suv",
    "bone_tracer",
    "mr_texture",
    "hu_texture",
    "uptake_texture",
    "grain_mm",
)


def typical() -> dict[str, Material]:
    """All tissues as they stand in the file."""
    return {name: _material(values) for name, values in table("tissues.toml")["tissue"].items()}


def _material(values: Mapping[str, Any]) -> Material:
    return Material(**{key: float(values[key]["value"]) for key in _RECORD if key in values})


def constants() -> dict[str, float]:
    """The rules by which tissues vary with age and person."""
    return {name: float(entry["value"]) for name, entry in table("tissues.toml")["rule"].items()}


def trabecular_hu(age_years: float) -> float:
    """Mean CT number of the spongy bone of L1 at an age."""
    rule = constants()
    return max(rule["l1_hu_at_30"] - rule["l1_hu_per_year"] * max(age_years - 30.0, 0.0), rule["l1_hu_least"])


def marrow_fat(age_years: float, sex: str) -> float:
    """Fat share of the marrow of a lumbar vertebra."""
    rule = constants()
    rise = rule["marrow_fat_per_year"] * (age_years - 50.0)
    return float(
        np.clip(rule["marrow_fat_at_50"] + rise - (0.03 if sex == "F" and age_years < 55 else 0.0), 0.2, 0.8)
    )


def of_person(person: Person, rng: np.random.Generator) -> dict[str, Material]:
    """Tissues of one person: density and fat of bone by age, the rest scattered a little.

    Returns
    -------
    dict of str to Material
        As `typical`; ``marrow`` is that of L1.
    """
    rule = constants()
    found = {}
    for name, tissue in typical().items():
        uptake = float(np.exp(rng.normal(0.0, rule["suv_scatter"])))
        density = float(rng.normal(0.0, 1.0))
        found[name] = replace(tissue, suv=tissue.suv * uptake, hu=tissue.hu + density * _hu_scatter(tissue))
    z = float(np.clip(rng.standard_normal(), -1.8, 1.8))
    hu = max(trabecular_hu(person.age_years) + z * rule["l1_hu_sd"], 30.0)
    fat = float(np.clip(marrow_fat(person.age_years, person.sex) + 0.05 * rng.standard_normal(), 0.2, 0.8))
    suv = float(np.clip(rng.normal(rule["marrow_suv"], rule["marrow_suv_sd"]), 1.0, 1.2))
    found["marrow"] = replace(found["marrow"], hu=hu, fat=fat, suv=suv)
    return found


def _hu_scatter(tissue: Material) -> float:
    """Scatter between persons: soft tissue 2 HU, cortex 40, none of air and lung."""
    if tissue.hu > 400:
        return 40.0
    return 2.0 if tissue.hu > -150 else 0.0


def marrow_of(level: str, tissues: Mapping[str, Material]) -> Material:
    """Marrow of a vertebra or bone, from that of L1.

    Parameters
    ----------
    level : str
        ``"T11"``, or the kind of a bone: ``"rib"``, ``"hip"`` ...
    """
    base = tissues["marrow"]
    rows = table("tissues.toml")["marrow_by_bone"]
    row = rows[level if level in rows else level[0]]
    return replace(
        base,
        hu=base.hu * row["hu"],
        fat=min(base.fat + row["fat"], 0.92),
        suv=base.suv * row["suv"],
        bone_tracer=base.bone_tracer * row["tracer"],
    )
