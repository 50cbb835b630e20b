"""The output folder: there already, not writable, in the way; and runs that are stopped."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bad_input.builder import Aligner, Case, Command, snapshot
from osteotrace import phantom, pipeline
from osteotrace.errors import OutputError
from osteotrace.model.workup_json import workup_from_json
from osteotrace.outputs.folder import OutputFolder
from osteotrace.phantom.index_case import index_case
from phantom_stick import stick_body

NOT_LESION = '[[not_a_lesion]]\nlesion = "E1-R1"\n'


def usage(command: Command, source: Path, out: Path, *words: str) -> None:
    """``run`` ends with 2 and says why."""
    ended = command("run", source, "-o", out)
    assert ended.code == 2, ended
    for word in words:
        assert word in ended.words, (word, ended.words)


def test_what_was_in_the_folder_stays(case: Case, command: Command, out: Path) -> None:
    out.mkdir()
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    (out / "figures").mkdir()
    (out / "figures" / "mine.png").write_bytes(b"mine")
    assert command("run", case.folder, "-o", out).code == 0
    assert command("run", case.folder, "-o", out).code == 0
    assert (out / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert (out / "figures" / "mine.png").read_bytes() == b"mine"


def test_a_file_of_somebody_else_is_not_replaced(case: Case, command: Command, out: Path) -> None:
    out.mkdir()
    (out / "report.html").write_text("mine", encoding="utf-8")
    usage(
        command,
        case.folder,
        out,
        "a file that osteotrace did not write is in the way [report.html]",
        "do: move it away, or choose another -o",
    )
    assert (out / "report.html").read_text(encoding="utf-8") == "mine"
    assert not (out / "workup.json").exists()


def test_a_file_in_place_of_the_folder(case: Case, command: Command, out: Path) -> None:
    out.write_text("mine", encoding="utf-8")
    usage(command, case.folder, out, "the output is not a folder [out]", "do: name a folder")
    usage(command, case.folder, out / "below", "the output cannot be written (Not a directory) [below]")
    assert out.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("inside", [".", "out", "ct/out", "elsewhere/../out"])
def test_the_output_may_not_lie_in_the_input(inside: str, case: Case, command: Command) -> None:
    before = snapshot(case.folder)
    usage(
        command,
        case.folder,
        case.folder / inside,
        "the output folder lies inside the input folder",
        "expected: a folder beside it",
        "do: choose another -o, so that results are never read as input",
    )
    assert snapshot(case.folder) == before


def test_the_input_may_not_lie_in_the_results_of_an_earlier_run(
    case: Case, command: Command, tmp_path: Path
) -> None:
    """A link from outside into the input is seen through."""
    (tmp_path / "link").symlink_to(case.folder / "ct")
    usage(command, case.folder, tmp_path / "link", "the output folder lies inside the input folder")


def test_a_folder_without_permission(
    case: Case, command: Command, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    usage(command, case.folder, out, "the output folder cannot be written [out]; do: choose another -o")
    assert not out.exists()


@pytest.mark.parametrize("method", ["write_text", "write_bytes", "mkdir"])
def test_a_disk_that_is_full(
    method: str, case: Case, command: Command, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, method, full)
    usage(command, case.folder, out, "cannot be written (No space left on device) [", "do: choose another -o")


def test_the_demo_into_a_file(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").write_text("mine", encoding="utf-8")
    plan = replace(index_case(stick_body(), 1), sessions=())
    monkeypatch.setattr(phantom, "plan_case", lambda _: plan)
    ended = command("demo", "-o", tmp_path / "out")
    assert ended.code == 2
    assert "the phantom cannot be written (Not a directory)" in ended.words
    assert "do: choose another -o" in ended.words
    assert (tmp_path / "out").read_text(encoding="utf-8") == "mine"


# Ctrl-C.


def steps_of(case: Case, out: Path) -> list[tuple[str, int, int]]:
    told: list[tuple[str, int, int]] = []
    pipeline.run(case.folder, out, pipeline.Settings(), lambda *step: told.append(step))
    return told


def stop_at(name: str, last: bool) -> Callable[[str, int, int], None]:
    def progress(what: str, done: int, total: int) -> None:
        if what == name and (done == total or not last):
            raise KeyboardInterrupt

    return progress


def correct(folder: Path) -> pipeline.Settings:
    """Settings of a run whose results differ."""
    file = folder / "corrections.toml"
    file.write_text(NOT_LESION, encoding="utf-8")
    return pipeline.Settings(corrections=file)


def whole(out: Path) -> None:
    """A result that reads back, with nothing half-written beside it."""
    workup_from_json((out / "workup.json").read_text(encoding="utf-8"), out)
    assert not [p for p in out.rglob("*") if "part" in p.name]


@pytest.mark.usefixtures("figures")
@pytest.mark.parametrize("stage", ["scan", "read", "skeleton", "measuring", "figures"])
@pytest.mark.parametrize("last", [False, True])
def test_a_stop_leaves_the_earlier_result_whole(
    stage: str, last: bool, case: Case, out: Path, tmp_path: Path, aligner: Aligner
) -> None:
    assert stage in {name for name, _, _ in steps_of(case, out)}
    before = snapshot(out)
    settings = pipeline.Settings(seed=1)  # another key in the cache
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(case.folder, out, settings, stop_at(stage, last))
    after = snapshot(out)
    assert before.items() <= after.items()
    assert all(name.startswith(".cache") for name in after.keys() - before.keys())
    whole(out)
    aligned = stage in ("measuring", "figures")  # stopped after the alignment, which was kept
    assert aligner.calls == (2 if aligned else 1)
    pipeline.run(case.folder, out, settings)
    assert aligner.calls == 2
    whole(out)


def test_every_progress_that_is_told_is_a_place_to_stop(case: Case, out: Path) -> None:
    """The names that the test above stops at are all there are."""
    assert {name for name, _, _ in steps_of(case, out)} <= {
        "scan", "read", "skeleton", "measuring", "figures",
    }  # fmt: skip


@pytest.mark.parametrize("nth", range(1, 7))
def test_a_stop_between_two_files_leaves_the_earlier_result_whole(
    nth: int, case: Case, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.run(case.folder, out, pipeline.Settings())
    before = snapshot(out)
    real, calls = OutputFolder.save, [0]

    def save(self: OutputFolder, *arguments: Any) -> Path:
        calls[0] += 1
        path = real(self, *arguments)
        if calls[0] == nth:
            raise KeyboardInterrupt
        return path

    monkeypatch.setattr(OutputFolder, "save", save)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(case.folder, out, pipeline.Settings(deidentify=True))
    assert snapshot(out) == before
    monkeypatch.setattr(OutputFolder, "save", real)
    result = pipeline.run(case.folder, out, correct(tmp_path))
    assert result.workup.tracks == ()
    assert not list((out / "nifti").iterdir())
    whole(out)


def test_a_stop_in_the_alignment_keeps_nothing_half(
    case: Case, out: Path, monkeypatch: pytest.MonkeyPatch, aligner: Aligner
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline.registration, "align", stopped)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(case.folder, out, pipeline.Settings())
    assert all(name.startswith(".cache/skeleton-") for name in snapshot(out))  # whole, and used again
    monkeypatch.setattr(pipeline.registration, "align", aligner)
    pipeline.run(case.folder, out, pipeline.Settings())
    pipeline.run(case.folder, out, pipeline.Settings())
    assert aligner.calls == 1
    whole(out)


def test_leftovers_of_a_killed_run_are_swept(case: Case, out: Path) -> None:
    pipeline.run(case.folder, out, pipeline.Settings())
    for name in (".part-workup.json", "nifti/.part-x.nii.gz", ".cache/alignment-0.part"):
        (out / name).write_bytes(b"half")
    pipeline.run(case.folder, out, pipeline.Settings())
    whole(out)


def test_the_command_says_how_to_go_on(
    case: Case, command: Command, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline.registration, "align", stopped)
    ended = command("run", case.folder, "-o", out)
    assert ended.code == 130
    assert ended.words == "stopped; run the same command again to go on"


def test_an_output_error_is_raised_to_python(case: Case, out: Path) -> None:
    out.write_text("", encoding="utf-8")
    with pytest.raises(OutputError) as caught:
        pipeline.run(case.folder, out, pipeline.Settings())
    assert (caught.value.where, caught.value.remedy) == ("out", "name a folder")


def test_a_reader_that_goes_away_is_no_traceback(case: Case) -> None:
    """``osteotrace inspect X | head -1``."""
    done = subprocess.run(
        f"'{sys.executable}' -c 'from osteotrace.cli import main; main()' inspect '{case.folder}' | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout
    assert "Traceback" not in done.stderr
