"""Real scans: a thigh in MR and PET-CT whose frames of reference differ, and spines of two persons."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from osteotrace import intake
from osteotrace.anatomy import segment
from osteotrace.model.alignment import route
from osteotrace.model.criteria import load_criteria
from osteotrace.model.imaging import UNKNOWN, MrFacts, Series, Volume
from osteotrace.model.values import Modality, Quantity, Verdict
from osteotrace.registration import align
from osteotrace.space import read_nifti

pytestmark = pytest.mark.real


def test_the_mass_of_sts001_is_brought_together(case_dir: Callable[[str], Path]) -> None:
    """The contours are copies of one drawing, so they give the error; the alignment never sees them."""
    folder = case_dir("sts001_pet_ct_mr_rtstruct")
    criteria = load_criteria()
    patient = intake.only_patient(intake.scan(folder), folder)
    images = intake.read_patient(patient, criteria)
    alignments = align(images.volumes, criteria)
    masses = {r.series_id: r.mask for r in images.regions if "mass" in r.name.lower()}
    frames = {mask.grid.frame_of_reference_uid for mask in masses.values()}
    assert len(frames) == 2
    mr = next(m for s, m in masses.items() if _modality(images.volumes, s) == "MR")
    pet = next(m for s, m in masses.items() if _modality(images.volumes, s) == "PT")
    way = route(alignments, mr.grid.frame_of_reference_uid, pet.grid.frame_of_reference_uid)
    assert way is not None
    assert way.verdict is not Verdict.FAILED
    moved = way.transform.apply(mr.centroid)
    error = float(np.linalg.norm(moved - pet.centroid))
    assert error < 6.0, "distance of the centroids after alignment, mm"
    assert error <= way.error_mm
    assert 25.0 < way.transform.rotation_deg < 45.0, "the thigh is flexed by about 35 degrees"


def _modality(volumes: object, series_id: str) -> str:
    return next(str(v.series.modality) for v in volumes if v.series.id == series_id)  # type: ignore[attr-defined]


def test_two_persons_do_not_pass_as_one(osteotrace_data: Path) -> None:
    """T1 of two patients whose lumbar spines are alike in length."""
    folder = osteotrace_data / "nifti" / "mr_lumbar_fastcleverseg" / "VB1"
    volumes = [_mr(folder / f"{name}_mr.nii.gz", name) for name in ("VB1_10", "VB1_12")]
    found = align(volumes, load_criteria(), anatomies=[segment(volume) for volume in volumes])
    (alignment,) = (a for a in found if a.method != "identity")
    assert alignment.verdict is Verdict.FAILED
    assert any(reason.endswith("another patient?") for reason in alignment.reasons)


def _mr(path: Path, name: str) -> Volume:
    image = read_nifti(path, name)
    series = Series(
        id=name,
        series_instance_uid="",
        study_instance_uid="",
        sop_class_uid="",
        modality=Modality.MR,
        name=name,
        description="",
        body_part=UNKNOWN,
        datetime=None,
        quantity=Quantity.MR_SIGNAL,
        unit="1",
        grid=image.grid,
        facts=MrFacts(UNKNOWN, UNKNOWN, UNKNOWN),
        n_instances=1,
        source="nifti",
    )
    return Volume(image.values, image.grid, series)
