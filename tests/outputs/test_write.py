from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from osteotrace import outputs
from osteotrace.errors import DeclarationError, OutputError
from osteotrace.model.criteria import Criteria
from osteotrace.model.lesion import Measurement
from osteotrace.model.workup_json import workup_from_json
from osteotrace.outputs import write_outputs
from osteotrace.outputs.folder import OutputFolder
from osteotrace.outputs.masks import named_masks
from osteotrace.space import read_nifti
from outputs.factory import FRAME_CT, Case, without_lesions


def contents(folder: Path) -> dict[str, str]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_the_room_shows_two_doors() -> None:
    assert sorted(outputs.__all__) == ["deidentify", "write_outputs"]


def test_everything_is_written(written: Path) -> None:
    names = set(contents(written))
    assert {
        "workup.json",
        "workup.schema.json",
        "measurements.csv",
        "measurements.parquet",
        "bone_scan.csv",
        "report.html",
    } <= names
    assert {
        "figures/timeline.png",
        "figures/planar_E4.png",
        "figures/bone_scan_E4.png",
        "figures/spine_E2.png",
        "figures/lesion_L1.png",
        "figures/lesion_L2.png",
    } <= names
    assert {n for n in names if n.startswith("nifti/")} == {
        "nifti/sub-01_ses-day068_PT_PETFDG_desc-L1E3R10_mask.nii.gz",
        "nifti/sub-01_ses-day068_CT_CT_desc-L1E2R11_mask.nii.gz",
        "nifti/sub-01_ses-day000_MR_T1_desc-L1E1R12_mask.nii.gz",
        "nifti/sub-01_ses-day000_MR_T2FS_desc-L1E1R13_mask.nii.gz",
        "nifti/sub-01_ses-day000_MR_T2FS_desc-L2E1R20_mask.nii.gz",
        "nifti/sub-01_ses-day068_CT_CT_desc-L2E1R20mapped_mask.nii.gz",
        "nifti/sub-01_ses-day068_PT_PETFDG_desc-L2E1R20mapped_mask.nii.gz",
        "nifti/sub-01_ses-day000_MR_T1_desc-L2E1R20mapped_mask.nii.gz",
        "nifti/sub-01_ses-day068_CT_CT_desc-skeleton_dseg.nii.gz",
    }
    assert not [n for n in names if ".part-" in n]


def test_masks_are_where_they_were(written: Path, case: Case) -> None:
    lesion = next(x for x in case.workup.lesions if x.id == "E2-R11")
    image = read_nifti(written / "nifti/sub-01_ses-day068_CT_CT_desc-L1E2R11_mask.nii.gz", FRAME_CT)
    assert np.array_equal(image.values > 0, lesion.mask.values)
    assert image.grid.affine == pytest.approx(lesion.mask.grid.affine, abs=1e-3)


def test_the_result_reads_back(written: Path, case: Case) -> None:
    back = workup_from_json((written / "workup.json").read_text(encoding="utf-8"), written)
    assert back.tracks == case.workup.tracks
    assert back.bone_scans == case.workup.bone_scans
    assert [f.mask.n_voxels for f in back.findings] == [f.mask.n_voxels for f in case.workup.findings]


def test_paths_of_this_run_are_returned_and_progress_is_told(
    small: Case, criteria: Criteria, tmp_path: Path
) -> None:
    told: list[tuple[str, int, int]] = []
    files = write_outputs(
        small.workup, small.images, tmp_path / "a" / "b", criteria, progress=lambda *step: told.append(step)
    )
    assert all(f.is_file() for f in files)
    assert files[-1].name == "report.html"
    assert told == [("figures", 1, 1)]


def test_a_second_run_gives_the_same_bytes(small: Case, criteria: Criteria, tmp_path: Path) -> None:
    write_outputs(small.workup, small.images, tmp_path, criteria)
    before = contents(tmp_path)
    write_outputs(small.workup, small.images, tmp_path, criteria)
    assert contents(tmp_path) == before


def test_a_run_without_lesions(small: Case, criteria: Criteria, tmp_path: Path) -> None:
    bare = without_lesions(small)
    files = write_outputs(bare.workup, bare.images, tmp_path, criteria)
    assert [f.name for f in files] == [
        "workup.json",
        "workup.schema.json",
        "measurements.csv",
        "measurements.parquet",
        "report.html",
    ]


def test_a_new_run_removes_only_what_an_earlier_one_wrote(
    small: Case, criteria: Criteria, tmp_path: Path
) -> None:
    write_outputs(small.workup, small.images, tmp_path, criteria)
    (tmp_path / "figures" / "mine.png").write_bytes(b"mine")
    (tmp_path / "notes.txt").write_text("mine")
    bare = without_lesions(small)
    write_outputs(bare.workup, bare.images, tmp_path, criteria)
    left = set(contents(tmp_path)) - {".osteotrace-files"}
    assert left == {
        "workup.json",
        "workup.schema.json",
        "measurements.csv",
        "measurements.parquet",
        "report.html",
        "figures/mine.png",
        "notes.txt",
    }


@pytest.mark.parametrize("name", ["workup.json", "report.html", "measurements.csv"])
def test_somebody_elses_file_is_in_the_way(
    small: Case, criteria: Criteria, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(
        OutputError, match=rf"did not write is in the way \[{name}\]; do: move it away, or choose"
    ):
        write_outputs(small.workup, small.images, tmp_path, criteria)
    assert (tmp_path / name).read_text() == "mine"
    assert not (tmp_path / "nifti").exists()


def test_somebody_elses_figure_is_not_replaced(small: Case, criteria: Criteria, tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "lesion_L1.png").write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"is in the way \[figures/lesion_L1.png\]"):
        write_outputs(small.workup, small.images, tmp_path, criteria)
    assert (tmp_path / "figures" / "lesion_L1.png").read_bytes() == b"mine"


def test_a_stopped_run_is_taken_up(small: Case, criteria: Criteria, tmp_path: Path) -> None:
    """Ctrl-C while a figure is drawn: nothing of this run, all of the earlier one; the next one finishes."""
    bare = without_lesions(small)
    write_outputs(bare.workup, bare.images, tmp_path, criteria)
    earlier = contents(tmp_path)

    def stop(what: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_outputs(small.workup, small.images, tmp_path, criteria, progress=stop)
    assert contents(tmp_path) == earlier
    (tmp_path / ".part-workup.json").write_text("of a run that was killed")
    files = write_outputs(small.workup, small.images, tmp_path, criteria)
    assert set(contents(tmp_path)) == {str(f.relative_to(tmp_path)) for f in files} | {".osteotrace-files"}


def test_the_output_is_a_file(small: Case, criteria: Criteria, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match=r"the output is not a folder \[out\]; do: name a folder"):
        write_outputs(small.workup, small.images, tmp_path / "out", criteria)


def test_a_folder_that_cannot_be_made(small: Case, criteria: Criteria, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot be written \(Not a directory\).*choose another -o"):
        write_outputs(small.workup, small.images, tmp_path / "file" / "out", criteria)


def test_a_folder_that_cannot_be_written(
    small: Case, criteria: Criteria, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match=r"cannot be written \(No space left on device\)") as caught:
        write_outputs(small.workup, small.images, tmp_path, criteria)
    assert caught.value.code == "output"
    assert caught.value.where.startswith("nifti/sub-01")


def test_a_number_that_is_not_finite_stops_before_the_report(
    small: Case, criteria: Criteria, tmp_path: Path
) -> None:
    finding = small.workup.findings[0]
    value = finding.values[0]
    assert isinstance(value, Measurement)
    broken = dataclasses.replace(finding, values=(dataclasses.replace(value, value=float("nan")),))
    workup = dataclasses.replace(small.workup, findings=(broken, *small.workup.findings[1:]))
    with pytest.raises(DeclarationError, match=r"findings\[0\].values\[0\].value"):
        write_outputs(workup, small.images, tmp_path, criteria)


def test_files_of_the_list_outside_the_folder_are_never_touched(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "precious").write_text("x")
    (out / ".osteotrace-files").write_text("../precious\n/etc/hosts\nnifti/../../precious\nreport.html\n")
    folder = OutputFolder.open(out)
    assert folder.earlier == {"report.html"}
    folder.finish()
    assert (tmp_path / "precious").exists()


def test_a_list_that_is_no_text_is_an_empty_list(tmp_path: Path) -> None:
    (tmp_path / ".osteotrace-files").write_bytes(b"\xff\xfe\x00")
    assert OutputFolder.open(tmp_path).earlier == frozenset()


def test_masks_with_the_same_name_are_told_apart(case: Case) -> None:
    lesion = case.workup.lesions[0]
    twin = dataclasses.replace(lesion, mask=dataclasses.replace(lesion.mask))
    names = [
        m.name for m in named_masks(dataclasses.replace(case.workup, lesions=(lesion, twin), findings=()))
    ]
    assert names[1] == names[0].replace("_mask", "_run-2_mask")


def test_no_name_of_the_patient_gets_into_a_file_name(case: Case) -> None:
    exams = tuple(
        dataclasses.replace(
            e, series=tuple(dataclasses.replace(s, name="Fräulein Doe HOSP-4711/../T1") for s in e.series)
        )
        for e in case.workup.timeline.exams
    )
    workup = dataclasses.replace(case.workup, timeline=dataclasses.replace(case.workup.timeline, exams=exams))
    for one in named_masks(workup):
        assert "Doe" not in one.name
        assert "4711" not in one.name
        assert one.name.count("/") == 1
        assert os.path.normpath(one.name) == one.name
