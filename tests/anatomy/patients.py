"""Patients of made-up series, for what is decided before and after the networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from osteotrace.model.imaging import (
    UNKNOWN,
    Attribute,
    CtFacts,
    Exam,
    Facts,
    MrFacts,
    NuclearFacts,
    Series,
    Volume,
)
from osteotrace.model.patient import Patient, PatientImages, Timeline
from osteotrace.model.values import Basis, Modality, Quantity
from osteotrace.space import Grid

QUANTITIES = {Modality.CT: Quantity.HU, Modality.MR: Quantity.MR_SIGNAL, Modality.PT: Quantity.SUVBW}


def known(value: str) -> Attribute:
    return Attribute(value, Basis.DECLARED, "test")


def mr_facts(
    weighting: str = "T1W", contrast: str = "no", dixon: str = "", b: float | None = None
) -> MrFacts:
    return MrFacts(known(weighting), known("no"), known(contrast), dixon=dixon, b_value=b)


def sagittal(bottom: float, top: float, frame: str = "1.1", step: float = 4.0) -> Grid:
    """A stack of sagittal slices over a range of heights; axes posterior, inferior, left."""
    rows = round((top - bottom) / step)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]) * step
    affine[:3, 3] = (-30.0, -80.0, top - step / 2)
    return Grid((40, rows, 15), affine, frame)


def axial(bottom: float, top: float, frame: str = "1.2", step: float = 5.0) -> Grid:
    """A stack of axial slices over a range of heights, pixels of 5 mm."""
    affine = np.diag([5.0, 5.0, step, 1.0])
    affine[:3, 3] = (-100.0, -100.0, bottom + step / 2)
    return Grid((40, 40, round((top - bottom) / step)), affine, frame)


def series(name: str, grid: Grid, facts: Facts | None = None, quantity: Quantity | None = None) -> Series:
    kind = facts or CtFacts()
    modality = {"mr": Modality.MR, "ct": Modality.CT, "nuclear": Modality.PT}[kind.kind]
    return Series(
        id=name, series_instance_uid=f"1.9.{name}", study_instance_uid="1.8", sop_class_uid="1.7",
        modality=modality, name=name, description="", body_part=UNKNOWN, datetime=None,
        quantity=quantity or QUANTITIES[modality], unit="1", grid=grid, facts=kind, n_instances=1,
    )  # fmt: skip


def volume(one: Series) -> Volume:
    assert one.grid is not None
    return Volume(np.zeros(one.grid.shape, np.int16), one.grid, one)


def images(*exams: Sequence[Series]) -> PatientImages:
    """One exam for each group of series."""
    made = tuple(
        Exam(f"E{n}", f"exam {n}", group[0].modality, None, n, tuple(group))
        for n, group in enumerate(exams, start=1)
    )
    volumes = tuple(volume(s) for group in exams for s in group)
    return PatientImages(Patient("P"), Timeline(None, made), volumes, (), (), ())


def pet(name: str, grid: Grid) -> Series:
    return series(name, grid, NuclearFacts(UNKNOWN))
