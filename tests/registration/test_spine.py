"""Sagittal MR of a spine, a narrow slab, against a whole trunk in PET-CT: the synthetic patient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from osteotrace.model.values import Modality, Verdict
from osteotrace.pipeline import RunResult
from osteotrace.registration.edge_search import search_edges
from osteotrace.registration.pose import distance
from osteotrace.registration.pyramid import Prepared, prepare

from ._limb import CT_HU, MR_SIGNAL, motion, scan

SPINE = ("vertebrae_T12", "vertebrae_L1", "vertebrae_L2", "vertebrae_L3", "vertebrae_L4", "vertebrae_L5")
TURNED = motion((9.0, -4.0, 6.0), (30.0, -20.0, 250.0))


def test_the_error_at_every_vertebra_lies_within_the_radius(
    phantom_workup: tuple[RunResult, Path], phantom_truth: dict[str, Any]
) -> None:
    workup = phantom_workup[0].workup
    (alignment,) = [a for a in workup.alignments if a.method != "identity"]
    uids = {s.id: s.series_instance_uid for exam in workup.timeline.exams for s in exam.series}
    truth = {s["series_instance_uid"]: s["bones"] for s in phantom_truth["series"]}
    first, second = (truth[uids[name]] for name in (alignment.fixed_series, alignment.moving_series))
    here, there = (np.array([bones[name]["centroid"] for name in SPINE]) for bones in (first, second))
    errors = np.linalg.norm(alignment.apply(here) - there, axis=1)
    assert alignment.verdict is not Verdict.FAILED
    assert alignment.error_mm is not None
    radius = alignment.radius_at(here)
    assert (errors < radius).sum() >= len(here) - 1, "95% radius"
    assert (errors < 1.5 * radius).all()
    assert errors.max() < 10.0


def _ready(name: str, modality: Modality, signal: np.ndarray[Any, Any], frame: str) -> Prepared:
    image = scan(name, modality, signal, frame, TURNED if frame == "M" else None)
    ready = prepare(image, 4.0, -300.0)
    assert ready is not None
    return ready


@pytest.mark.parametrize("min_overlap", [0.35, 0.6])
def test_edges_alone_rank_a_small_turn_first(min_overlap: float) -> None:
    mr, ct = _ready("mr", Modality.MR, MR_SIGNAL, "M"), _ready("ct", Modality.CT, CT_HU, "F")
    found = search_edges(mr, ct, spacing_mm=8.0, limit_deg=16.0, step_deg=16.0, min_overlap=min_overlap)
    points = mr.base.grid.corners
    assert distance(found[0].pose, np.linalg.inv(TURNED), points) < 20.0
    assert found == sorted(found, key=lambda c: -c.score)
    assert 0.0 < found[0].score <= 1.0


def test_images_that_cannot_overlap_enough_give_no_pose() -> None:
    mr, ct = _ready("mr", Modality.MR, MR_SIGNAL, "M"), _ready("ct", Modality.CT, CT_HU, "F")
    assert search_edges(mr, ct, spacing_mm=8.0, limit_deg=1.0, step_deg=16.0, min_overlap=1.1) == []
