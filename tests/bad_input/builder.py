"""A small patient on disk, and ways to spoil its files one attribute at a time."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from _tiny import write_contours, write_images
from osteotrace import cli
from osteotrace.model.alignment import Alignment
from osteotrace.model.imaging import Volume
from osteotrace.model.problem import Problem
from osteotrace.model.values import Verdict
from osteotrace.space import RigidTransform

CT_SLICES = 10


@dataclass(frozen=True)
class Case:
    """CT and PET of one frame of reference and an RTSTRUCT drawn on the CT, one folder each."""

    folder: Path

    @property
    def ct(self) -> list[Path]:
        return sorted((self.folder / "ct").iterdir())

    @property
    def pet(self) -> list[Path]:
        return sorted((self.folder / "pet").iterdir())

    @property
    def contours(self) -> Path:
        return self.folder / "rtstruct.dcm"

    def copy_to(self, folder: Path) -> Case:
        shutil.copytree(self.folder, folder)
        return Case(folder)


def write_case(folder: Path, seed: int = 1) -> Case:
    write_images(folder / "ct", "CT", seed)
    write_images(folder / "pet", "PT", seed)
    write_contours(folder / "rtstruct.dcm", "CT", seed)
    return Case(folder)


def edit(files: Path | Iterable[Path], change: Callable[[Dataset], None]) -> None:
    """Change the dataset of files and write them again."""
    for file in [files] if isinstance(files, Path) else files:
        dataset = pydicom.dcmread(file)
        change(dataset)
        dataset.save_as(file)


def set_to(**values: object) -> Callable[[Dataset], None]:
    """A change that sets attributes; None deletes."""

    def change(dataset: Dataset) -> None:
        for keyword, value in values.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)

    return change


def of_dose(**values: object) -> Callable[[Dataset], None]:
    """As :func:`set_to`, inside the Radiopharmaceutical Information Sequence."""
    change = set_to(**values)
    return lambda dataset: change(dataset.RadiopharmaceuticalInformationSequence[0])


class Aligner:
    """Says that series in one frame of reference lie as they are; counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, volumes: tuple[Volume, ...], *_: object, **__: object) -> tuple[Alignment, ...]:
        self.calls += 1
        pairs = [
            (a, b)
            for a, b in combinations(volumes, 2)
            if a.grid.frame_of_reference_uid == b.grid.frame_of_reference_uid
        ]
        return tuple(
            Alignment(
                RigidTransform.identity(a.grid.frame_of_reference_uid),
                "identity",
                a.series.id,
                b.series.id,
                0.5,
                1.0,
                2.0,
                Verdict.GOOD,
            )
            for a, b in pairs
        )


@dataclass(frozen=True)
class Ended:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """All it said, lines joined as a reader would."""
        return " ".join((self.out + " " + self.err).split())


class Command:
    """Runs ``osteotrace`` as a user does, in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: object) -> Ended:
        self._monkeypatch.setattr(sys, "argv", ["osteotrace", *map(str, arguments)])
        self._monkeypatch.setenv("COLUMNS", "400")
        self._capsys.readouterr()
        code: object = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code
        said = self._capsys.readouterr()
        return Ended(int(code or 0), said.out, said.err)  # type: ignore[call-overload]


def found(problems: Iterable[Problem], code: str) -> str:
    """The one problem of a code, as a line."""
    lines = [str(p) for p in problems if p.code == code]
    assert len(lines) == 1, (code, [str(p) for p in problems])
    return lines[0]


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file under a folder and its content; the log, which only grows, left out."""
    files = (p for p in folder.rglob("*") if p.is_file() and p.name != "run.log.jsonl")
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}
