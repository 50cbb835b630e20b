from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from osteotrace import pipeline
from osteotrace.errors import NothingFoundError, OutputError
from osteotrace.model.values import Verdict
from osteotrace.model.workup_json import workup_from_json
from osteotrace.pipeline import RunResult, Settings


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
    true_of_track = [
        {drawn[lesions[i].series_id][lesions[i].name] for i in track.lesion_ids}
        for track in result.workup.tracks
    ]
    assert all(len(found) == 1 for found in true_of_track), true_of_track  # never two lesions in one track
    for name in ("A", "B"):  # C lies where the MR begins
        assert sum(found == {name} for found in true_of_track) == 1


def test_the_alignment_is_good(result: RunResult) -> None:
    rigid = [a for a in result.workup.alignments if a.method == "rigid"]
    assert rigid
    assert all(a.verdict is Verdict.GOOD for a in rigid)


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
    assert pipeline._read_cache(file) is None


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
    pipeline.run(phantom_dicom, tmp_path, Settings(deidentify=True))
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
