from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dicom_images import image, save
from osteotrace import pipeline
from osteotrace.errors import DeclarationError, NothingFoundError, OutputError
from osteotrace.model.anatomy import Anatomy, Bone
from osteotrace.model.imaging import Volume
from osteotrace.model.problem import Problem
from osteotrace.model.site import UNASKED, BoneSite
from osteotrace.model.values import Severity, Verdict, View
from osteotrace.model.workup_json import workup_from_json
from osteotrace.pipeline import RunResult, Settings
from region_cases import ct_slices, make_grid, write_seg
from registration.test_planar import PIXEL, scan


@pytest.fixture(scope="module")
def result(phantom_dicom: Path, phantom_workup: tuple[RunResult, Path]) -> RunResult:
    return phantom_workup[0]


def test_the_pipeline_never_sees_the_truth(phantom_dicom: Path, result: RunResult) -> None:
    assert not (phantom_dicom.parent / "truth").exists()
    assert result.workup.tracks


def test_the_lesions_of_the_phantom_are_one_in_every_exam(
    result: RunResult, phantom_truth: dict[str, Any]
) -> None:
    drawn = {s["series_instance_uid"]: s["drawings"] or {} for s in phantom_truth["series"]}
    lesions = {lesion.id: lesion for lesion in result.workup.lesions}
    outlines = [[lesions[i] for i in track.lesion_ids] for track in result.workup.tracks]
    true_of_track = [{drawn[x.series_id][x.name] for x in some} for some in outlines]
    assert all(len(found) == 1 for found in true_of_track), true_of_track  # never two lesions in one track
    for name in ("A", "B"):  # C lies where the MR begins
        assert sum(found == {name} for found in true_of_track) == 1


def test_the_alignment_is_good(result: RunResult) -> None:
    moved = [a for a in result.workup.alignments if a.method != "identity"]
    assert moved
    assert all(a.verdict is Verdict.GOOD for a in moved)


def test_workup_json_comes_back_as_it_was(phantom_workup: tuple[RunResult, Path]) -> None:
    result, out = phantom_workup
    again = workup_from_json((out / "workup.json").read_text(encoding="utf-8"), out)
    assert again.tracks == result.workup.tracks
    assert [f.values for f in again.findings] == [f.values for f in result.workup.findings]


def test_everything_is_written(phantom_workup: tuple[RunResult, Path]) -> None:
    _, out = phantom_workup
    names = ("workup.json", "measurements.csv", "measurements.parquet", "report.html", "run.log.jsonl")
    assert all((out / name).stat().st_size > 0 for name in names)
    assert list((out / "figures").iterdir())
    assert not list(out.rglob("*.part"))


def test_the_log_names_no_patient(phantom_workup: tuple[RunResult, Path]) -> None:
    _, out = phantom_workup
    text = (out / "run.log.jsonl").read_text(encoding="utf-8")
    events = [json.loads(line)["event"] for line in text.splitlines()]
    assert events[0] == "start"
    assert events[-1] == "end"
    assert "Phantom" not in text
    assert "PHANTOM" not in text


def test_a_second_run_reuses_the_alignment_and_gives_the_same(
    phantom_dicom: Path, phantom_workup: tuple[RunResult, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, out = phantom_workup
    before = (out / "measurements.csv").read_bytes()
    monkeypatch.setattr(pipeline.registration, "align", _never)
    second = pipeline.run(phantom_dicom, out, Settings())
    assert second.workup.tracks == first.workup.tracks
    assert (out / "measurements.csv").read_bytes() == before


def _never(*_: object, **__: object) -> None:
    raise AssertionError("the alignment was computed again")


def test_a_damaged_cache_is_computed_again(tmp_path: Path) -> None:
    file = tmp_path / "alignment.json"
    file.write_text('[{"transform": 1', encoding="utf-8")
    assert pipeline._read_cache(file, pipeline._ALIGNMENTS) is None


def test_refused_input_writes_nothing(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    with pytest.raises(NothingFoundError):
        pipeline.run(source, out, Settings())
    assert not out.exists()


def test_the_output_may_not_lie_in_the_input(phantom_dicom: Path) -> None:
    with pytest.raises(OutputError, match="the output folder lies inside the input folder"):
        pipeline.run(phantom_dicom, phantom_dicom / "out", Settings())


def test_a_deidentified_run_has_no_identity(phantom_dicom: Path, tmp_path: Path) -> None:
    pipeline.run(phantom_dicom, tmp_path, Settings(deidentify=True, anatomy="none"))
    for file in tmp_path.rglob("*"):
        assert "PHANTOM" not in file.name
        if file.suffix in (".json", ".csv", ".html", ".jsonl") and ".cache" not in file.parts:
            text = file.read_text(encoding="utf-8")
            for secret in ("PHANTOM-1", "Phantom^Osteotrace", "2024-03-05", "20240305"):
                assert secret not in text, (file.name, secret)


def test_a_changed_declaration_is_aligned_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``case.toml`` lies outside the folder of images; frames and quantities come from it."""
    source, case = tmp_path / "in", tmp_path / "case.toml"
    source.mkdir()
    values = np.random.default_rng(0).integers(1, 99, (6, 7, 8)).astype(np.int16)
    nib.save(nib.Nifti1Image(values, np.diag([-2.0, -2.0, 3.0, 1.0])), source / "t1.nii")
    declared = '[[image]]\nfile = "in/t1.nii"\nmodality = "MR"\nquantity = "MR signal"\nframe = "{}"\n'
    asked: list[object] = []
    monkeypatch.setattr(pipeline.registration, "align", lambda *a, **_: asked.append(a) or ())
    for frame, times in (("one", 1), ("one", 1), ("two", 2)):
        case.write_text(declared.format(frame), encoding="utf-8")
        pipeline.run(source, tmp_path / "out", Settings(case=case))
        assert len(asked) == times, frame


# --- the skeleton in the run ----------------------------------------------------------------------


def made_spine(volume: Volume) -> Anatomy:
    """Four vertebrae, 30 mm apart, in the middle of a volume, and a sacrum below them."""
    labels = np.zeros(volume.grid.shape, np.uint16)
    bones = []
    middle = volume.grid.center
    for n in range(5):
        place = middle + np.array([0.0, 0.0, 45.0 - 30.0 * n])
        i, j, k = np.rint(volume.grid.indices(place)).astype(int)
        labels[i - 1 : i + 2, j - 1 : j + 2, k - 1 : k + 2] = n + 1
        bone_id, name = (f"V{n + 1}", "vertebra") if n < 4 else ("sacrum", "sacrum")
        bones.append(Bone(bone_id, name, n + 1, (place[0], place[1], place[2]), 0.97, touches_edge=False))
    searched = frozenset({"vertebra", "sacrum"})
    return Anatomy(volume.series.id, labels, volume.grid, tuple(bones), (), searched, "test")


@pytest.fixture
def patient(tmp_path: Path) -> Path:
    """A folder with one MR and a drawing in it."""
    source = tmp_path / "in"
    source.mkdir()
    values = np.random.default_rng(0).integers(1, 99, (20, 30, 50)).astype(np.int16)
    affine = np.diag([-4.0, -4.0, 4.0, 1.0])
    nib.save(nib.Nifti1Image(values, affine), source / "t1.nii")
    drawn = np.zeros(values.shape, np.uint8)
    drawn[8:12, 13:17, 34:37] = 1  # the upper two of four
    nib.save(nib.Nifti1Image(drawn, affine), source / "drawn.nii")
    (source / "t1.toml").write_text('modality = "MR"\nquantity = "MR signal"\n', encoding="utf-8")
    (source / "drawn.toml").write_text('mask_of = "t1.nii"\nlabels = { 1 = "one" }\n', encoding="utf-8")
    return source


@pytest.fixture
def segmented(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []
    module = importlib.import_module("osteotrace.anatomy.read")
    monkeypatch.setattr(module, "segment", lambda v: asked.append(v.series.id) or made_spine(v))
    return asked


def test_lesions_get_bone_and_level(patient: Path, segmented: list[str], tmp_path: Path) -> None:
    workup = pipeline.run(patient, tmp_path / "out", Settings()).workup
    (lesion,), (track,), (finding,) = workup.lesions, workup.tracks, workup.findings
    assert isinstance(lesion.site, BoneSite)
    assert lesion.site.bone_id == "V1"
    assert lesion.site.level == workup.numbering.vertebrae[0].level
    assert track.site == finding.site == lesion.site
    assert [s.made_by for s in workup.skeletons] == ["test"]
    assert (tmp_path / "out" / "figures" / "spine_E1.png").is_file()
    assert ("anatomy", "builtin") in workup.provenance.settings
    stages = [cost.stage for cost in workup.provenance.stages]
    assert stages == ["read", "anatomy", "align", "number", "measure", "match", "bone scan"]
    again = workup_from_json((tmp_path / "out" / "workup.json").read_text(encoding="utf-8"), tmp_path / "out")
    assert again.numbering == workup.numbering
    assert again.tracks[0].site == track.site
    labels = again.skeletons[0].labels
    assert labels is not None
    assert set(np.unique(labels.values)) == {0, 1, 2, 3, 4, 5}


def test_a_second_run_reads_no_bone_again(patient: Path, segmented: list[str], tmp_path: Path) -> None:
    first = pipeline.run(patient, tmp_path / "out", Settings()).workup
    second = pipeline.run(patient, tmp_path / "out", Settings()).workup
    assert len(segmented) == 1
    assert second.numbering == first.numbering


def test_a_persons_level_is_honoured_and_numbers_all(
    patient: Path, segmented: list[str], tmp_path: Path
) -> None:
    first = pipeline.run(patient, tmp_path / "out", Settings()).workup
    series = first.skeletons[0]
    x, y, z = series.bones[3].centroid_mm
    corrections = tmp_path / "corrections.toml"
    text = f'[[level]]\nseries = "{series.series_id}"\npoint_mm = [{x}, {y}, {z}]\nlevel = "L3"\n'
    corrections.write_text(text, encoding="utf-8")
    workup = pipeline.run(patient, tmp_path / "out", Settings(corrections=corrections)).workup
    assert [v.level for v in workup.numbering.vertebrae] == ["T12", "L1", "L2", "L3"]
    assert workup.numbering.vertebrae[3].overruled
    assert str(workup.tracks[0].site) == "T12 (certain)"
    assert len(segmented) == 1
    corrections.write_text(text.replace(f"[{x}", f"[{x + 300}"), encoding="utf-8")
    with pytest.raises(DeclarationError, match="no vertebra was found at the point that should be L3"):
        pipeline.run(patient, tmp_path / "other", Settings(corrections=corrections))
    assert not (tmp_path / "other" / "workup.json").exists()


def test_a_level_on_a_series_without_bones_is_refused_before_anything_is_written(
    patient: Path, tmp_path: Path
) -> None:
    corrections = tmp_path / "corrections.toml"
    corrections.write_text('[[level]]\nseries = "x"\npoint_mm = [1, 2, 3]\nlevel = "L3"\n', encoding="utf-8")
    with pytest.raises(DeclarationError, match="gives a level on a series that has no bones"):
        pipeline.run(patient, tmp_path / "out", Settings(corrections=corrections))
    assert not (tmp_path / "out").exists()


def test_without_the_runtime_the_run_goes_on_and_says_so(
    patient: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    importlib.import_module("osteotrace.anatomy.network")._loaded.cache_clear()
    result = pipeline.run(patient, tmp_path / "out", Settings())
    assert result.left_out == ()
    (problem,) = (p for p in result.workup.problems if p.code == "no-skeleton")
    assert "onnxruntime is not installed" in problem.found
    assert problem.remedy == "pip install 'osteotrace[anatomy]'"
    assert result.workup.lesions[0].site == UNASKED
    assert len(result.workup.not_read) == 1


def test_a_level_that_cannot_be_used_is_said(patient: Path, tmp_path: Path) -> None:
    series = pipeline.run(patient, tmp_path / "out", Settings(anatomy="none")).workup.not_read[0].series_id
    corrections = tmp_path / "corrections.toml"
    text = f'[[level]]\nseries = "{series}"\npoint_mm = [1, 2, 3]\nlevel = "L3"\n'
    corrections.write_text(text, encoding="utf-8")
    settings = Settings(corrections=corrections, anatomy="none")
    result = pipeline.run(patient, tmp_path / "out", settings)
    (problem,) = (p for p in result.workup.problems if p.code == "level-not-used")
    assert "a correction is not used: the vertebra at" in problem.found


def test_no_spine_leaves_no_exam_out(patient: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(volume: Volume) -> Anatomy:
        problem = Problem(Severity.EXCLUDED, "no-spine-found", "no row of bodies", volume.series.id)
        labels = np.zeros(volume.grid.shape, np.uint16)
        return Anatomy(volume.series.id, labels, volume.grid, (), (), frozenset(), "test", (problem,))

    monkeypatch.setattr(importlib.import_module("osteotrace.anatomy.read"), "segment", nothing)
    result = pipeline.run(patient, tmp_path / "out", Settings())
    assert result.left_out == ()
    assert {"no-spine-found", "no-spine"} <= {p.code for p in result.workup.problems}
    assert str(result.workup.tracks[0].site) == "no bone: no bone was found in any exam"
    assert "No vertebra was found." in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_label_maps_are_taken_from_files(patient: Path, tmp_path: Path) -> None:
    """T12 to L3 in the numbers of TotalSegmentator; the name of the file stays out of the record."""
    image = nib.load(patient / "t1.nii")
    labels = np.zeros(image.shape, np.uint8)
    for n, number in enumerate((32, 31, 30, 29)):
        labels[8:12, 13:17, 34 - 8 * n : 39 - 8 * n] = number
    maps = tmp_path / "Doe_totalsegmentator"
    maps.mkdir()
    nib.save(nib.Nifti1Image(labels, image.affine), maps / "seg.nii.gz")
    workup = pipeline.run(patient, tmp_path / "out", Settings(anatomy=str(maps))).workup
    assert workup.tracks[0].site.level == "T12"
    assert ("anatomy", "label maps") in workup.provenance.settings
    assert "Doe" not in (tmp_path / "out" / "workup.json").read_text(encoding="utf-8")


def test_a_deidentified_run_keeps_levels_and_no_uid(
    patient: Path, segmented: list[str], tmp_path: Path
) -> None:
    plain = pipeline.run(patient, tmp_path / "plain", Settings()).workup
    out = tmp_path / "clean"
    clean = pipeline.run(patient, out, Settings(deidentify=True)).workup
    assert str(clean.tracks[0].site) == str(plain.tracks[0].site)
    assert (out / "figures" / "spine_E1.png").is_file()
    assert not (out / ".cache").exists()
    uid = plain.skeletons[0].series_id
    assert uid not in (out / "workup.json").read_text(encoding="utf-8")


def test_a_dicom_seg_of_bones_becomes_the_skeleton_and_no_lesion(tmp_path: Path) -> None:
    grid = make_grid()
    source = tmp_path / "in"
    source.mkdir()
    for number, item in enumerate(ct_slices(grid)):
        item.RescaleSlope, item.RescaleIntercept, item.RescaleType = 1, -1000, "HU"
        item.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        item.save_as(source / f"{number}.dcm", enforce_file_format=True)
    labels = np.zeros((*grid.shape, 2), bool)
    labels[20:40, 10:30, 16:26, 0] = labels[20:40, 10:30, 2:12, 1] = True
    file = write_seg(source / "bones.dcm", grid, labels)
    made = dcmread(file)
    for segment, name in zip(made.SegmentSequence, ("vertebrae_L1", "vertebrae_L2"), strict=True):
        segment.SegmentLabel = name
    made.save_as(file)
    drawn = pipeline.run(source, tmp_path / "drawn", Settings(anatomy="none")).workup
    assert [x.name for x in drawn.lesions] == ["vertebrae_L1", "vertebrae_L2"]
    workup = pipeline.run(source, tmp_path / "out", Settings(anatomy=str(file))).workup
    assert workup.lesions == ()
    (skeleton,) = workup.skeletons
    assert [b.declared_level for b in skeleton.bones] == ["L1", "L2"]
    assert (tmp_path / "out" / "figures" / "spine_E1.png").is_file()


# --- the bone scan in the run ---------------------------------------------------------------------


def write_bone_scan(folder: Path) -> Path:
    """Both views of a trunk, as one DICOM file."""
    folder.mkdir()
    pixels = np.stack([np.asarray(view.counts).T for view in scan()]).astype(np.uint16)
    detectors = []
    for value in ("399321004", "399001007"):  # anterior, posterior
        code, detector = Dataset(), Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "SCT", "view"
        detector.ViewCodeSequence = [code]
        detectors.append(detector)
    made = image(
        pixels, "NM", ImageType=["ORIGINAL", "PRIMARY", "WHOLE BODY", "EMISSION"],
        PixelSpacing=[PIXEL, PIXEL], ImagePositionPatient=None, DetectorVector=[1, 2],
        DetectorInformationSequence=detectors,
    )  # fmt: skip
    save(made, folder / "nm.dcm")
    return folder


def test_a_bone_scan_is_fitted_kept_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = write_bone_scan(tmp_path / "in"), tmp_path / "out"
    workup = pipeline.run(source, out, Settings()).workup
    (found,) = workup.bone_scans
    assert found.exam_id == "E1"
    assert [fit.source for fit in found.fits] == ["standard"]
    assert [view.view for view in found.fits[0].views] == [View.ANTERIOR, View.POSTERIOR]
    assert (out / "bone_scan.csv").is_file()
    assert "Bone scan" in (out / "report.html").read_text(encoding="utf-8")
    again = workup_from_json((out / "workup.json").read_text(encoding="utf-8"), out)
    assert again.bone_scans == workup.bone_scans
    monkeypatch.setattr(pipeline.registration, "fit_bone_scans", _never)
    assert pipeline.run(source, out, Settings()).workup.bone_scans == workup.bone_scans


def test_one_real_view_without_a_ct_is_doubtful(case_dir: Callable[[str], Path], tmp_path: Path) -> None:
    workup = pipeline.run(case_dir("nm_wholebody_bone"), tmp_path, Settings()).workup
    (found,) = workup.bone_scans
    (fit,) = found.fits
    assert fit.source == "standard"
    assert fit.verdict is Verdict.DOUBTFUL
    assert "standard skeleton: not the patient's own" in fit.reasons
    assert found.reasons == ("the header names no tracer: taken for a bone scan",)
    assert len(found.outlines) == len(fit.regions)
    assert (tmp_path / "figures" / "bone_scan_E1.png").is_file()
