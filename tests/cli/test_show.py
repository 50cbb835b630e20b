"""What ``inspect`` prints of real kinds of input."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from rich.console import Console

from cli.test_app import call
from dicom_images import counted, image, save
from osteotrace.cli.show import show_result
from osteotrace.model.problem import Problem
from osteotrace.model.values import Severity
from osteotrace.model.workup import UNNUMBERED
from osteotrace.pipeline import RunResult
from outputs.factory import Case, make_case

CASE = """
[[image]]
file = "first.nii"
modality = "MR"
quantity = "MR signal"
date = 2024-03-01
[[image]]
file = "second.nii"
modality = "MR"
quantity = "MR signal"
date = 2024-06-01
[[event]]
kind = "radiotherapy"
day = 36
text = "T12 to L1"
"""


def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert call(monkeypatch, "inspect", *arguments) == 0
    return capsys.readouterr().out


def write_nifti(folder: Path, name: str, seed: int) -> None:
    values = np.random.default_rng(seed).integers(1, 99, (6, 7, 8)).astype(np.int16)
    nib.save(nib.Nifti1Image(values, np.diag([-2.0, -2.0, 3.0, 1.0])), folder / name)


def test_a_planar_image_has_a_size_and_a_pixel_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = counted(0, np.uint16)
    values = {"ImageType": ["ORIGINAL", "PRIMARY", "WHOLE BODY", "EMISSION"], "ImagePositionPatient": None}
    save(image(pixels, "NM", PixelSpacing=[2.4, 2.2], **values), tmp_path / "nm.dcm")
    words = shown(monkeypatch, capsys, str(tmp_path))
    rows, columns = pixels.shape
    assert f"planar {columns}×{rows}" in words
    assert "2.20×2.40" in words


def test_events_stand_between_the_exams_in_order_of_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, name in enumerate(("first.nii", "second.nii")):
        write_nifti(tmp_path, name, seed)
    (tmp_path / "case.toml").write_text(CASE, encoding="utf-8")
    words = shown(monkeypatch, capsys, str(tmp_path), "--case", str(tmp_path / "case.toml"))
    places = [words.index(text) for text in ("MR 2024-03-01", "T12 to L1", "MR 2024-06-01")]
    assert places == sorted(places)


def test_stations_of_one_spine_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, (name, z) in enumerate((("upper.nii", 0.0), ("lower.nii", -22.0))):
        values = np.random.default_rng(seed).integers(1, 99, (4, 24, 24)).astype(np.int16)
        affine = np.array([[-4.0, 0, 0, 0], [0, -1.0, 0, 0], [0, 0, 1.0, z], [0, 0, 0, 1]])
        nib.save(nib.Nifti1Image(values, affine), tmp_path / name)
        declared = (
            'modality = "MR"\nquantity = "MR signal"\nweighting = "T1W"\nframe = "spine"\ndate = 2024-03-01'
        )
        (tmp_path / name).with_suffix(".toml").write_text(declared, encoding="utf-8")
    words = shown(monkeypatch, capsys, str(tmp_path))
    assert "station 1 of 2" in words
    assert "station 2 of 2" in words


def spine(case: Case, **changes: object) -> str:
    workup = dataclasses.replace(case.workup, **changes)  # type: ignore[arg-type]
    console = Console(width=140, record=True, file=io.StringIO())
    show_result(RunResult(workup, (), ()), Path("out"), console)
    return console.export_text()


def test_the_result_shows_places_and_levels() -> None:
    case = make_case(8.0)
    words = spine(case)
    assert "Vertebrae T9 to L3: 5 certain, 1 probable, 1 uncertain" in words
    assert "T12 (certain)" in " ".join(words.split())
    assert "No spine was found." not in words


def test_the_result_says_when_levels_cannot_be_had() -> None:
    case = make_case(8.0)
    assert "No spine was found." in spine(case, numbering=UNNUMBERED)
    problem = Problem(Severity.WARNING, "no-skeleton", "bones were not searched", remedy="install it")
    words = spine(case, problems=(problem,), numbering=UNNUMBERED, skeletons=())
    assert "bones were not searched; do: install it" in words
    assert "No spine was found." not in words
