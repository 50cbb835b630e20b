"""Real scans: a thigh in MR and PET-CT whose frames of reference differ."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from osteotrace import intake
from osteotrace.model.alignment import route
from osteotrace.model.criteria import load_criteria
from osteotrace.model.values import Verdict
from osteotrace.registration import align

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
