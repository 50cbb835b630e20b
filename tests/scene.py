"""A small patient in memory: CT and PET in one frame of reference, MR in another, spheres as lesions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime

import numpy as np
from scipy.spatial.transform import Rotation

from osteotrace.model.alignment import Alignment
from osteotrace.model.imaging import (
    UNKNOWN,
    Attribute,
    CtFacts,
    Exam,
    MrFacts,
    NuclearFacts,
    Region,
    Series,
    Volume,
)
from osteotrace.model.patient import Patient, PatientImages, Timeline
from osteotrace.model.values import UCUM_OF_QUANTITY, Basis, Modality, Quantity, Verdict
from osteotrace.space import Grid, Mask, RigidTransform

FRAME_A, FRAME_B = "1.2.3.1", "1.2.3.2"
CT, PET, T1 = "ct", "pet", "t1"


def motion() -> RigidTransform:
    """From frame A to frame B: turned by 25 degrees and shifted."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("zyx", [25, 4, -3], degrees=True).as_matrix()
    matrix[:3, 3] = (30.0, -12.0, 55.0)
    return RigidTransform(matrix, FRAME_A, FRAME_B)


def grid(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], center: np.ndarray, frame: str
) -> Grid:
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = np.asarray(center) - (np.array(shape) - 1) / 2 * np.array(spacing)
    return Grid(shape, affine, frame)


_GRIDS = {
    CT: grid((60, 60, 30), (2.0, 2.0, 4.0), np.zeros(3), FRAME_A),
    PET: grid((40, 40, 40), (4.0, 4.0, 4.0), np.zeros(3), FRAME_A),
    T1: grid((70, 70, 20), (1.5, 1.5, 4.0), motion().apply(np.zeros(3)), FRAME_B),
}
_QUANTITY = {CT: Quantity.HU, PET: Quantity.SUVBW, T1: Quantity.MR_SIGNAL}
_MODALITY = {CT: Modality.CT, PET: Modality.PT, T1: Modality.MR}
_DECLARED = Attribute("FDG", Basis.DECLARED, "RadiopharmaceuticalCodeSequence")


def facts(name: str) -> CtFacts | NuclearFacts | MrFacts:
    if name == CT:
        return CtFacts(kvp=120.0, slice_thickness_mm=4.0)
    if name == PET:
        return NuclearFacts(_DECLARED, suv_factor=1e-3, weight_kg=70.0, size_m=1.75, lean_body_mass_kg=55.857)
    return MrFacts(Attribute("T1W", Basis.DECLARED, "TR, TE"), UNKNOWN, UNKNOWN)


def series(name: str) -> Series:
    quantity = _QUANTITY[name]
    return Series(
        id=name,
        series_instance_uid=f"1.2.9.{name}",
        study_instance_uid="1.2.8",
        sop_class_uid="1.2.7",
        modality=_MODALITY[name],
        name=name.upper(),
        description="",
        body_part=UNKNOWN,
        datetime=datetime(2024, 3, 1 if name == T1 else 5, 10),
        quantity=quantity,
        unit=UCUM_OF_QUANTITY[quantity],
        grid=_GRIDS[name],
        facts=facts(name),
        n_instances=1,
    )


@dataclass(frozen=True)
class Ball:
    """A lesion: centre in frame A, mm; values in CT, PET and T1."""

    center: tuple[float, float, float]
    radius: float
    hu: float = 500.0
    suv: float = 6.0
    signal: float = 80.0

    def inside(self, name: str) -> np.ndarray:
        """Boolean array on the grid of a series."""
        g = _GRIDS[name]
        points = g.points(np.moveaxis(np.indices(g.shape), 0, -1))
        if name == T1:
            points = motion().inverse.apply(points)
        return np.asarray(np.linalg.norm(points - np.array(self.center), axis=-1) <= self.radius)

    def mask(self, name: str) -> Mask:
        """The lesion on the lattice of a series."""
        return Mask.from_array(self.inside(name), _GRIDS[name])

    def region(self, name: str, number: int, label: str = "lesion") -> Region:
        """As drawn on a series."""
        placed = Attribute(name, Basis.DECLARED, "ReferencedSeriesSequence")
        return Region(label, self.mask(name), name, f"1.2.6.{name}", "RTSTRUCT", number, placed)


def images(*balls: Ball, regions: tuple[Region, ...] = ()) -> PatientImages:
    """MR on day 0, CT and PET on day 4."""
    volumes = []
    for name, background in ((T1, 200.0), (CT, 100.0), (PET, 1.0)):
        values = np.full(_GRIDS[name].shape, background, dtype=np.float32)
        for ball in balls:
            values[ball.inside(name)] = {CT: ball.hu, PET: ball.suv, T1: ball.signal}[name]
        volumes.append(Volume(values, _GRIDS[name], series(name)))
    exams = tuple(
        Exam(f"E{n}", f"{s.modality} day {day}", s.modality, s.datetime, day, (s,))
        for n, (s, day) in enumerate(((series(T1), 0), (series(CT), 4), (series(PET), 4)), start=1)
    )
    timeline = Timeline(date(2024, 3, 1), exams)
    return PatientImages(Patient("P1"), timeline, tuple(volumes), (), regions, ())


def alignments(verdict: Verdict = Verdict.GOOD, error_mm: float = 4.0) -> tuple[Alignment, ...]:
    """CT and PET checked in their frame; MR aligned with CT."""
    same = Alignment(RigidTransform.identity(FRAME_A), "identity", CT, PET, 0.5, 1.0, 2.0, Verdict.GOOD)
    rigid = Alignment(motion(), "rigid", CT, T1, 1.0, 0.9, error_mm, verdict)
    return (same, replace(rigid, error_mm=None) if verdict is Verdict.FAILED else rigid)
