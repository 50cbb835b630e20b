"""The small patient, made once. What takes the time of a run is stood in for: figures and alignment."""

from __future__ import annotations

from pathlib import Path

import pytest

from bad_input.builder import Aligner, Case, Command, write_case
from osteotrace import pipeline
from osteotrace.outputs import write


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return write_case(tmp_path_factory.mktemp("tiny") / "patient")


@pytest.fixture
def case(made_once: Case, tmp_path: Path) -> Case:
    return made_once.copy_to(tmp_path / "patient")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


@pytest.fixture(autouse=True)
def aligner(monkeypatch: pytest.MonkeyPatch) -> Aligner:
    stand_in = Aligner()
    monkeypatch.setattr(pipeline.registration, "align", stand_in)
    return stand_in


@pytest.fixture
def figures() -> None:
    """For tests that want the figures."""


@pytest.fixture(autouse=True)
def no_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "figures" not in request.fixturenames:
        monkeypatch.setattr(write, "_pictures", lambda *_: iter(()))
