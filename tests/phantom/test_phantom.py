from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from osteotrace.intake import read_study
from osteotrace.model.criteria import load_criteria
from osteotrace.model.values import Quantity
from osteotrace.phantom import write_patient
from osteotrace.phantom.anatomy import Tissue, build_body, lesions, vertebra_center
from osteotrace.phantom.scanners import scans


def test_the_body_holds_its_lesions() -> None:
    body = build_body()
    for number, lesion in enumerate(lesions()):
        assert body.tissue_at(np.array([lesion.solid.center]))[0] == 100 + number
    assert body.tissue_at(np.array([vertebra_center(-5)]))[0] == Tissue.MARROW
    assert body.tissue_at(np.array([[500.0, 0.0, 0.0]]))[0] == Tissue.AIR


def test_ct_and_pet_share_a_frame_and_mr_has_its_own() -> None:
    frames = {scan.channel: scan.grid.frame_of_reference_uid for scan in scans(("1.1", "1.2"), "1.3")}
    assert frames == {"CT": "1.1", "PT": "1.1", "T1": "1.2", "T2FS": "1.2"}


def test_the_same_seed_gives_the_same_files(phantom_dicom: Path, tmp_path: Path) -> None:
    write_patient(tmp_path, seed=1)
    assert _digests(tmp_path) == _digests(phantom_dicom)


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*.dcm"))
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_it_reads_as_four_quantified_series_with_contours(phantom_dicom: Path) -> None:
    images = read_study(phantom_dicom, load_criteria())
    quantities = sorted(v.series.quantity for v in images.volumes)
    assert quantities == [Quantity.HU, Quantity.MR_SIGNAL, Quantity.MR_SIGNAL, Quantity.SUVBW]
    assert [e.day for e in images.timeline.exams] == [0, 4, 4]
    assert {r.name for r in images.regions} == {lesion.name for lesion in lesions()}
    assert images.problems == ()


def test_uptake_and_density_come_back(phantom_dicom: Path) -> None:
    images = read_study(phantom_dicom, load_criteria())
    volumes = {v.series.quantity: v for v in images.volumes}
    hu = volumes[Quantity.HU].values
    assert np.median(hu[:5, :5]) == pytest.approx(-1000, abs=5)
    suv = volumes[Quantity.SUVBW].values
    assert float(suv.max()) == pytest.approx(6.5, abs=1.5)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
def test_dciodvfy_finds_no_error(phantom_dicom: Path) -> None:
    files = [next((phantom_dicom / name).glob("*.dcm")) for name in ("ct", "pt", "t1", "t2fs")]
    files += sorted((phantom_dicom / "rtstruct").glob("*.dcm"))
    for file in files:
        report = subprocess.run(["dciodvfy", str(file)], capture_output=True, text=True, check=False).stderr
        assert not [line for line in report.splitlines() if line.startswith("Error")], file.name
