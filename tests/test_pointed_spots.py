"""From a folder with a CT, its bones and a bone scan to the bone and the lesion of a pointed-at focus."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from dicom_images import ROOT, write_stack
from osteotrace import pipeline
from osteotrace.errors import DeclarationError
from osteotrace.model.bone_scan import Spot, ViewFootprint
from osteotrace.model.label_schemes import scheme
from osteotrace.model.values import Verdict, View
from osteotrace.model.workup import Workup
from osteotrace.model.workup_json import workup_from_json
from osteotrace.pipeline import Settings
from osteotrace.space import Grid, write_nifti
from registration.test_planar import own_skeleton
from test_pipeline import write_bone_scan

STEP = 6.0  # mm
LEVEL, NAME = "L3", "mass of Rosebud"


def ct_of_trunk() -> tuple[Grid, np.ndarray, np.ndarray]:
    """Lattice, CT numbers and labels (TotalSegmentator) of a trunk of water around the own skeleton."""
    skeleton = own_skeleton()
    points = np.asarray(skeleton.points, float)
    around = np.array([45.0, 50.0, 0.0])
    low, high = points.min(axis=0) - around, points.max(axis=0) + around
    affine = np.diag([STEP, STEP, STEP, 1.0])
    affine[:3, 3] = low
    shape = tuple(int(n) for n in np.ceil((high - low) / STEP) + 1)
    grid = Grid((shape[0], shape[1], shape[2]), affine, f"{ROOT}.4")
    where = grid.points(np.moveaxis(np.indices(shape), 0, -1))
    x, y = where[..., 0] - (low + high)[0] / 2, where[..., 1] - (low + high)[1] / 2
    half = (high - low) / 2 - 12.0
    body = (x / half[0]) ** 2 + (y / half[1]) ** 2 < 1
    away, nearest = cKDTree(points).query(where)
    numbers = {structure.name: label for label, structure in scheme("totalsegmentator_ct").labels.items()}
    of_bone = np.array([numbers.get(name, 0) for name in skeleton.bones])
    labels = np.where(away < STEP, of_bone[np.asarray(skeleton.bone)[nearest]], 0)
    values = np.where(labels > 0, 400, np.where(body, 20, -1000))
    return grid, values, labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``in`` with both exams, ``totalsegmentator.nii.gz``, and a lesion in L3 that a person drew."""
    root = tmp_path_factory.mktemp("pointed")
    write_bone_scan(root / "in")
    grid, values, labels = ct_of_trunk()
    write_stack(
        root / "in" / "ct", series=2,
        positions=[tuple(grid.points((0, 0, k))) for k in range(grid.shape[2])],
        pixels=[(values[:, :, k].T + 1024).astype(np.int16) for k in range(grid.shape[2])],
        PixelSpacing=[STEP, STEP], StudyDate="20240303", SeriesDate="20240303", AcquisitionDate="20240303",
        StudyInstanceUID=f"{ROOT}.1.2", RescaleType="HU", SliceThickness=STEP,
    )  # fmt: skip
    write_nifti(root / "totalsegmentator.nii.gz", labels.astype(np.uint8), grid)
    vertebra = labels == next(
        label for label, one in scheme("totalsegmentator_ct").labels.items() if one.level == LEVEL
        and one.kind == "vertebra"
    )  # fmt: skip
    centre = grid.points(np.argwhere(vertebra)).mean(axis=0)
    where = grid.points(np.moveaxis(np.indices(grid.shape), 0, -1))
    mass = (np.linalg.norm(where - centre, axis=-1) < 14.0) & vertebra
    write_nifti(root / "mass.nii.gz", mass, grid)
    return root


def run(folder: Path, out: Path, more: str = "", **settings: object) -> Workup:
    file = folder / "corrections.toml"
    mask = f'[[add_mask]]\nfile = "mass.nii.gz"\nseries = "{ROOT}.2.2"\nname = "{NAME}"\n'
    file.write_text(mask + more, encoding="utf-8")
    anatomy = str(folder / "totalsegmentator.nii.gz")
    return pipeline.run(
        folder / "in",
        out,
        Settings(corrections=file, anatomy=anatomy, **settings),  # type: ignore[arg-type]
    ).workup


def spot_text(place: tuple[float, float], series: str = "E2-S2", more: str = "") -> str:
    return f'[[bone_scan_spot]]\nseries = "{series}"\npixel = [{place[0]}, {place[1]}]\n{more}\n'


@pytest.fixture(scope="module")
def first(folder: Path) -> tuple[Workup, Path]:
    """A run without any spot: it says where the lesion would show."""
    out = folder / "out"
    return run(folder, out), out


@pytest.fixture(scope="module")
def place(first: tuple[Workup, Path]) -> ViewFootprint:
    """Where the lesion would show from behind."""
    (scan,) = first[0].bone_scans
    (lesion,) = scan.footprints
    return next(view for view in lesion.views if view.view is View.POSTERIOR)


def only_spot(workup: Workup) -> Spot:
    (scan,) = workup.bone_scans
    (spot,) = scan.spots
    return spot


def test_a_focus_in_a_lesion_finds_its_bone_and_its_lesion(
    folder: Path, first: tuple[Workup, Path], place: ViewFootprint, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, out = first
    assert before.bone_scans[0].spots == ()
    assert not (out / "bone_scan_spots.csv").exists()

    def never(*_: object, **__: object) -> None:
        raise AssertionError("the fit is in the cache")

    monkeypatch.setattr(pipeline.registration, "fit_bone_scans", never)
    workup = run(folder, out, spot_text(place.place, more='name = "lumbar focus"'))
    spot = only_spot(workup)
    (track,) = workup.tracks
    assert track.site.level == LEVEL
    assert f"vertebra {LEVEL}" in [one.bone for one in spot.candidates[:2]]
    assert [(one.track_id, one.distance_mm) for one in spot.lesions] == [(track.id, 0.0)]
    assert (spot.view, spot.better) == (View.POSTERIOR, View.POSTERIOR)
    assert spot.verdict is not Verdict.FAILED
    assert workup.bone_scans[0].fits == before.bone_scans[0].fits
    table = (out / "bone_scan_spots.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(table.splitlines()))
    assert LEVEL in [row["word"].rstrip("?") for row in rows[:2]]
    assert rows[0]["lesions"].startswith(f"{track.id} 0.0 mm")
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "lumbar focus" in report
    assert f"within the footprint of lesion {track.id}" in report
    assert any(text.startswith("hot spot lumbar focus") for text in workup.provenance.corrections)
    again = workup_from_json((out / "workup.json").read_text(encoding="utf-8"), out)
    assert again.bone_scans == workup.bone_scans


def test_a_focus_elsewhere_is_another_bone_and_no_lesion(
    folder: Path, first: tuple[Workup, Path], place: ViewFootprint
) -> None:
    """Seen from behind the patient's left is on the left: the ribs there lie ten centimetres to that side."""
    column, row = place.place
    moved = (column - 100.0 / 4.8, row - 140.0 / 4.8)
    spot = only_spot(run(folder, first[1], spot_text(moved)))
    assert spot.candidates[0].bone.startswith("rib left")
    assert spot.lesions == ()


def test_a_deidentified_run_keeps_the_bone_and_loses_the_name(
    folder: Path, first: tuple[Workup, Path], place: ViewFootprint, tmp_path: Path
) -> None:
    out = tmp_path / "clean"
    shutil.copytree(first[1] / ".cache", out / ".cache")  # the fit takes most of the time
    workup = run(folder, out, spot_text(place.place, more='name = "focus of Rosebud"'), deidentify=True)
    spot = only_spot(workup)
    assert spot.name == ""
    assert f"vertebra {LEVEL}" in [one.bone for one in spot.candidates[:2]]
    assert len(spot.lesions) == 1
    for name in ("workup.json", "bone_scan_spots.csv", "report.html"):
        text = (out / name).read_text(encoding="utf-8")
        assert "Rosebud" not in text, name
        assert f"{ROOT}.2" not in text, name


def test_a_wrong_focus_is_refused_before_anything_is_written(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="no planar image: E1-S1"):
        run(folder, tmp_path / "out", spot_text((5.0, 5.0), series="E1-S1"))
    assert not (tmp_path / "out").exists()
