"""A small patient with three lesions, quick to make: CT and PET in one frame, two MR series in another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from osteotrace.phantom.body import BodyOptions, build_body
from osteotrace.phantom.lesions import Day, Lesion, seat, tissue
from osteotrace.phantom.make import make_patient
from osteotrace.phantom.plan import CasePlan, SeriesPlan, SessionPlan
from osteotrace.phantom.protocols import CtProtocol, MrProtocol, PetProtocol
from osteotrace.phantom.records import Body
from osteotrace.phantom.shapes import blob

T1 = MrProtocol("T1 SE sag", "SE", tr_ms=520, te_ms=12, matrix=160, pixel_mm=2.0, slices=17, thickness_mm=5.0)
T2 = replace(T1, name="T2 TSE FS sag", sequence="TSE", tr_ms=3600, te_ms=94, fat_suppression="FATSAT")
CT = CtProtocol("CT trunk", matrix=160, pixel_mm=2.6, slice_mm=3.0)
PET = PetProtocol("PET FDG AC", matrix=110, pixel_mm=4.0, slice_mm=3.0)


def sessions() -> tuple[SessionPlan, ...]:
    mr = (SeriesPlan("mr0-t1", T1, 0, "T11", "sacrum"), SeriesPlan("mr0-t2fs", T2, 6, "T11", "sacrum"))
    fov = ("T9", "hip_left", (5.0, -60.0))
    pet = (SeriesPlan("pet4-ct", CT, 0, *fov, 0.0), SeriesPlan("pet4-pet", PET, 2, *fov, 0.0))
    return (
        SessionPlan("mr0", 0, 550, "referring MR", "down", mr, "mr0-t1"),
        SessionPlan("pet4", 4, 615, "PET-CT", "up", pet, "pet4-ct"),
    )


def lesions(body: Body) -> tuple[Lesion, ...]:
    """Blastic and avid, lytic and avid, blastic without uptake."""
    rng = np.random.default_rng(1)
    made = []
    for name, level, base, suv, hu in (
        ("A", "L1", "mineralised", 6.5, 800.0),
        ("B", "L3", "lytic", 4.8, 30.0),
        ("C", "T12", "mineralised", 1.1, 800.0),
    ):
        bone = body.bone(level)
        shape = blob(seat(bone, "intramedullary", 9.0, rng, piece="body"), (9.0,) * 3, 0.05, rng)
        material = replace(tissue(base), suv=suv, hu=hu)
        day = (Day(-10, 0.0, material),)
        made.append(Lesion(name, "metastasis", "osteoblastic", "intramedullary", bone.name, shape, None, day))
    return tuple(made)


def small_plan() -> CasePlan:
    body = build_body(BodyOptions(size_m=1.76, weight_kg=74.0), 3)
    return CasePlan("small", 1, body, lesions(body), sessions(), (), motion=0.1)


def write_small_patient(folder: Path) -> None:
    make_patient(folder, small_plan())
