"""What ``inspect`` prints of real kinds of input."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cli.test_app import call
from dicom_images import counted, image, save

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
