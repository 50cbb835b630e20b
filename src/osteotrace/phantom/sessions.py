"""Visits to scanners: what is acquired, with which settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from osteotrace.errors import DeclarationError
from osteotrace.phantom.plan import SeriesPlan, SessionPlan
from osteotrace.phantom.protocols import CtProtocol, MrProtocol, NmProtocol, PetProtocol

T1 = MrProtocol("T1 SE sag", "SE", tr_ms=520.0, te_ms=12.0, noise=0.04)
T2 = MrProtocol("T2 TSE sag", "TSE", tr_ms=3600.0, te_ms=98.0, echo_train=17, noise=0.06)
T2_FS = replace(T2, name="T2 TSE FS sag", tr_ms=3800.0, te_ms=94.0, fat_suppression="FATSAT")
STIR = MrProtocol(
    "STIR sag", "IR", tr_ms=4200.0, te_ms=62.0, ti_ms=160.0, echo_train=13, fat_suppression="STIR", noise=0.06
)
T1_CE = replace(T1, name="T1 SE sag CE", contrast=True)
T1_CE_FS = replace(T1_CE, name="T1 SE FS sag CE", tr_ms=560.0, fat_suppression="FATSAT")
CT = CtProtocol("CT trunk", contrast_phase="portal venous")
CT_NATIVE = replace(CT, name="CT trunk native", contrast_phase="none")
CT_LOW_DOSE = CtProtocol("CT AC low dose", slice_mm=3.0, pixel_mm=0.98, noise_hu=28.0, low_dose=True)
CT_PIN = CtProtocol("CT guide pin", pixel_mm=0.7, slice_mm=2.0, noise_hu=16.0, kernel="bone")
PET = PetProtocol("PET FDG AC", noise=0.05)
BONE_SCAN = NmProtocol("Whole body bone scan", mean_counts=18.0)


def lumbar_mr(name: str, day: int, protocols: Sequence[tuple[str, MrProtocol]], scanner: str) -> SessionPlan:
    """Sagittal lumbar MR, T10 to the coccyx."""
    series = tuple(
        SeriesPlan(f"{name}-{key}", replace(protocol, pixel_mm=0.84), 6 * n, "T11", "sacrum")
        for n, (key, protocol) in enumerate(protocols)
    )
    return SessionPlan(name, day, 600, scanner, "down", series, drawn_on=f"{name}-t1")


def spine_mr(name: str, day: int, protocols: Sequence[tuple[str, MrProtocol]], scanner: str) -> SessionPlan:
    """Sagittal MR of the whole spine in two stations that overlap."""
    series = []
    for n, (key, protocol) in enumerate(protocols):
        wide = replace(protocol, pixel_mm=1.0)
        series.append(SeriesPlan(f"{name}-{key}-upper", wide, 12 * n, "C2", "T10"))
        series.append(SeriesPlan(f"{name}-{key}-lower", wide, 12 * n + 6, "T9", "sacrum"))
    return SessionPlan(name, day, 600, scanner, "down", tuple(series), drawn_on=f"{name}-t1-lower")


def trunk_ct(name: str, day: int, protocol: CtProtocol, scanner: str) -> SessionPlan:
    """CT of chest, abdomen and pelvis."""
    series = (SeriesPlan(name, protocol, 0, "T1", "hip_left", (15.0, 15.0)),)
    return SessionPlan(name, day, 660, scanner, "up", series, drawn_on=name)


def bone_scan(name: str, day: int, scanner: str) -> SessionPlan:
    """Planar whole-body bone scan, both views."""
    return SessionPlan(name, day, 780, scanner, "down", (SeriesPlan(name, BONE_SCAN, 0, "C1", "hip_left"),))


def pet_ct(name: str, day: int, scanner: str) -> SessionPlan:
    """FDG PET-CT from the skull base to the thighs; the CT is taken at another breath than the PET."""
    series = (
        SeriesPlan(f"{name}-ct", CT_LOW_DOSE, 0, "C1", "hip_left", (20.0, 90.0), breath_mm=5.0),
        SeriesPlan(f"{name}-pet", PET, 2, "C1", "hip_left", (20.0, 90.0), breath_mm=0.0),
    )
    return SessionPlan(name, day, 630, scanner, "up", series, drawn_on=f"{name}-pet")


def pin_ct(name: str, day: int, scanner: str) -> SessionPlan:
    """A few centimetres of CT around a guide pin in the hip bone."""
    return SessionPlan(
        name, day, 540, scanner, "up", (SeriesPlan(name, CT_PIN, 0, "L5", "coccyx", (0.0, -20.0)),)
    )


def index_sessions(*, fat_suppressed_follow_up: bool = False) -> tuple[SessionPlan, ...]:
    """Exams of the index case (``case/README``: day 0, 68, 69, 70, 71 and the guide pin)."""
    first = (("t2fs", T2_FS), ("t1", T1), ("t1fsce", T1_CE_FS))
    follow_up = (("t2", T2), ("t1", T1), ("t1ce", T1_CE))
    plain = tuple((key, replace(p, declares_fat_suppression=False)) for key, p in follow_up)
    return (
        lumbar_mr("mr0", 0, first, "referring MR"),
        spine_mr("mr68", 68, first if fat_suppressed_follow_up else plain, "MR"),
        trunk_ct("ct69", 69, CT, "CT"),
        bone_scan("nm70", 70, "gamma camera"),
        pet_ct("pet71", 71, "PET-CT"),
        pin_ct("pin90", 90, "CT"),
    )


def chosen(sessions: Sequence[SessionPlan], names: Sequence[str]) -> tuple[SessionPlan, ...]:
    """The sessions of these ids, in their order; all of them when no name is given.

    Raises
    ------
    DeclarationError
        When a name is unknown.
    """
    known = {session.id for session in sessions}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise DeclarationError(
            f"no such exam: {', '.join(unknown)}",
            where="--exams",
            expected=", ".join(s.id for s in sessions),
            remedy="name some of these, separated by commas",
        )
    return tuple(session for session in sessions if not names or session.id in names)
