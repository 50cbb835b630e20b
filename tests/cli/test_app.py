from __future__ import annotations

import sys
from pathlib import Path

import pytest

from osteotrace import __version__, cli
from osteotrace.cli import app as module
from osteotrace.errors import GeometryError, OsteotraceError, OutputError, SpaceError
from osteotrace.phantom import CaseRequest
from osteotrace.pipeline import RunResult, Settings


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["osteotrace", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "--version") == 0
    assert __version__ in capsys.readouterr().out


def test_no_arguments_is_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(monkeypatch) == 2


def test_an_absent_case_file_is_usage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert call(monkeypatch, "inspect", str(tmp_path), "--case", "nothing.toml") == 2


def test_inspect_shows_the_phantom(
    phantom_dicom: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "inspect", str(phantom_dicom)) == 0
    shown = capsys.readouterr().out
    for words in ("PHANTOM-small-1", "Timeline", "T2 FS", "T1W, fat suppression", "tracer FDG", "lesion 1"):
        assert words in shown


def test_inspect_of_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("no image", encoding="utf-8")
    assert call(monkeypatch, "inspect", str(tmp_path)) == 3
    assert "neither DICOM nor NIfTI" in capsys.readouterr().out


def test_run_of_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    assert call(monkeypatch, "run", str(source), "-o", str(tmp_path / "out")) == 3
    assert "refused: no DICOM and no NIfTI" in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "out").exists()


def test_run_again_shows_lesions_and_report(
    phantom_dicom: Path,
    phantom_workup: tuple[RunResult, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, out = phantom_workup
    assert call(monkeypatch, "run", str(phantom_dicom), "-o", str(out), "--jobs", "2") == 0
    shown = capsys.readouterr().out
    assert "L1 lesion" in shown
    assert "Alignment good" in shown
    assert "report.html" in shown


def test_demo_makes_and_works_up_the_index_case(
    phantom_workup: tuple[RunResult, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[CaseRequest] = []
    folders: list[Path] = []
    runs: list[tuple[object, ...]] = []
    monkeypatch.setattr(module.phantom, "plan_case", requests.append)
    monkeypatch.setattr(module.phantom, "make_patient", lambda folder, plan, progress: folders.append(folder))
    monkeypatch.setattr(module.pipeline, "run", lambda *a: (runs.append(a), phantom_workup[0])[1])
    assert call(monkeypatch, "demo", "-o", str(tmp_path)) == 0
    assert requests == [CaseRequest()]
    assert folders == [tmp_path / "patient"]
    assert runs[0][:2] == (tmp_path / "patient" / "dicom", tmp_path / "workup")
    assert runs[0][2].case == tmp_path / "patient" / "case.toml"


def test_phantom_passes_on_what_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[object] = []
    monkeypatch.setattr(module.phantom, "plan_case", lambda request: asked.append(request) or "plan")
    monkeypatch.setattr(module.phantom, "make_patient", lambda *a, reader, **_: asked.append((*a, reader)))
    words = ("--case", "random", "--seed", "7", "--hard", "--exams", "mr0, ct0", "--reader", "seg")
    assert call(monkeypatch, "phantom", *words, "-o", str(tmp_path / "p")) == 0
    assert asked == [
        CaseRequest("random", 7, True, "", ("mr0", "ct0"), None),
        (tmp_path / "p", "plan", "seg"),
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--counterfactual", "nonsense"), "no such counterfactual: nonsense"),
        (("--case", "random", "--counterfactual", "t11-cold"), "a random patient has no counterfactual"),
        (("--hard",), "the index case takes neither --hard nor --labels"),
    ],
)
def test_phantom_refuses_what_does_not_fit(
    words: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(monkeypatch, "phantom", *words, "-o", str(tmp_path / "p")) == 3
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize(
    ("error", "code"),
    [(GeometryError("x"), 3), (OutputError("x"), 2), (SpaceError("x"), 1), (KeyboardInterrupt(), 130)],
)
def test_exit_codes(error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(module.pipeline, "survey", fail)
    assert call(monkeypatch, "inspect", str(tmp_path)) == code


def test_markup_in_a_message_is_shown_as_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise OsteotraceError("a file called [red]x[/]")

    monkeypatch.setattr(module.pipeline, "survey", fail)
    assert call(monkeypatch, "inspect", str(tmp_path)) == 1
    assert "a file called [red]x[/]" in capsys.readouterr().err


def test_anatomy_is_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Settings] = []

    def fail(_: Path, __: Path, settings: Settings, ___: object) -> None:
        asked.append(settings)
        raise OutputError("stop")

    monkeypatch.setattr(module.pipeline, "run", fail)
    for words, expected in (((), "builtin"), (("--anatomy", "none"), "none")):
        assert call(monkeypatch, "run", str(tmp_path), "-o", str(tmp_path / "out"), *words) == 2
        assert asked[-1].anatomy == expected


def test_anatomy_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert call(monkeypatch, "run", str(tmp_path), "-o", str(out), "--anatomy", "labels.nii.gz") == 3
    said = " ".join(capsys.readouterr().err.split())
    assert "there is no such file or folder" in said
    assert "builtin, totalsegmentator, none" in said
    assert not out.exists()
