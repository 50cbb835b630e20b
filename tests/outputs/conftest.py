from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from osteotrace.model.criteria import Criteria, load_criteria
from osteotrace.outputs import deidentify, write_outputs
from osteotrace.outputs.figures import DisplaySettings, display_settings
from outputs.factory import Case, make_case


@pytest.fixture(scope="session")
def criteria() -> Criteria:
    return load_criteria()


@pytest.fixture(scope="session")
def display(criteria: Criteria) -> DisplaySettings:
    return display_settings(criteria)


@pytest.fixture(scope="session")
def case() -> Case:
    return make_case(8.0)


@pytest.fixture(scope="session")
def small(case: Case) -> Case:
    """The first lesion on the CT only: quick to write."""
    track = case.workup.tracks[0]
    lesions = tuple(x for x in case.workup.lesions if x.id == "E2-R11")
    findings = tuple(f for f in case.workup.findings if f.lesion_id == "E2-R11")
    presence = tuple(p for p in track.presence if p.exam_id == "E2")
    one = replace(track, lesion_ids=("E2-R11",), presence=presence)
    (scan,) = case.workup.bone_scans
    shown = (replace(scan.footprints[0], lesion_id="E2-R11", carried=False),)
    scans = (scan.with_lesions(shown, ()),)
    workup = replace(case.workup, lesions=lesions, findings=findings, tracks=(one,), bone_scans=scans)
    return Case(workup, case.images)


@pytest.fixture(scope="session")
def written(case: Case, criteria: Criteria, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole patient, written."""
    out = tmp_path_factory.mktemp("plain") / "out"
    write_outputs(case.workup, case.images, out, criteria)
    return out


@pytest.fixture(scope="session")
def written_anonymous(case: Case, criteria: Criteria, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same patient, de-identified, with the images as intake delivered them."""
    out = tmp_path_factory.mktemp("anonymous") / "out"
    write_outputs(deidentify(case.workup), case.images, out, criteria)
    return out
