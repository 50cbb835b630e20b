"""Damaged files through the readers: a little of what ``benchmarks/fuzz.py`` does for longer."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fuzz
from _fuzz_seeds import Seed, seeds
from osteotrace import intake
from osteotrace.intake.header import items, moment, number, numbers, text, whole, words
from osteotrace.model.criteria import Criteria, load_criteria

N_INPUTS = 500


@pytest.fixture(scope="module")
def corpus() -> tuple[Seed, ...]:
    return seeds(None)


@pytest.fixture(scope="module")
def criteria() -> Criteria:
    return load_criteria()


@pytest.mark.filterwarnings("ignore")
@settings(
    max_examples=N_INPUTS, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(number=st.integers(0, 2**32))
def test_damage_is_refused_or_recorded(
    number: int, corpus: tuple[Seed, ...], criteria: Criteria, tmp_path: Path
) -> None:
    outcome = fuzz.run_input(number, corpus, criteria, tmp_path)
    assert not outcome.failure, f"python benchmarks/fuzz.py --replay {number}\n{outcome.failure}"


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=100, deadline=None)
@given(
    content=st.binary(max_size=400),
    head=st.sampled_from([b"", b"\0" * 128 + b"DICM", b"\x08\0\x05\0CS\x0a\0"]),
)
def test_any_bytes_are_a_header_or_none(
    content: bytes, head: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "bytes"
    folder.mkdir(exist_ok=True)
    (folder / "file").write_bytes(head + content)
    found = intake.scan(folder)
    for patient in found.patients:
        for instance in patient.instances:
            header = instance.header
            assert isinstance(whole(header, "Rows"), int)
            assert len(numbers(header, "PixelSpacing")) >= 0
            assert number(header, "EchoTime") is None or text(header, "EchoTime")
            words(header, "ImageType"), items(header, "ViewCodeSequence"), moment(header, "Series")


def test_an_input_is_the_same_when_it_is_made_again(corpus: tuple[Seed, ...]) -> None:
    for n in range(40):
        assert fuzz.make_input(n, corpus) == fuzz.make_input(n, corpus)


def test_every_kind_of_seed_is_read_undamaged(
    corpus: tuple[Seed, ...], criteria: Criteria, tmp_path: Path
) -> None:
    for n, seed in enumerate(corpus):
        folder = tmp_path / str(n)
        folder.mkdir()
        for name, content in seed.files:
            (folder / name).write_bytes(content)
        assert fuzz.read_input(folder, criteria), seed.kind


def benchmark(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    monkeypatch.chdir(folder)
    monkeypatch.delenv(fuzz.DATA_VARIABLE, raising=False)
    monkeypatch.setattr(sys, "argv", ["fuzz.py", *arguments])
    return fuzz.main()


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning"
)  # a fork beside the threads of the numeric libraries
def test_the_benchmark_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert benchmark(monkeypatch, tmp_path, "--seconds", "1", "--seed", "7") == 0
    result = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert result["inputs"] > 0
    assert result["failures"] == 0
    assert set(result) == {"inputs", "failures", "seconds", "slowest_s"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("crash", "reason"),
    [
        (lambda: int("x"), "invalid literal for int() with base 10: 'x'"),
        (lambda: os._exit(9), "the process died (exit code 9)"),
    ],
)
def test_a_reader_that_crashes_is_counted(
    crash: Callable[[], object],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def broken(folder: Path, criteria: Criteria) -> bool:
        return bool(crash())

    monkeypatch.setattr(fuzz, "read_input", broken)
    monkeypatch.setattr(fuzz, "INPUTS_PER_CHILD", 2)
    assert benchmark(monkeypatch, tmp_path, "--seconds", "0.5", "--seed", "7") == 1
    said = capfd.readouterr()
    assert json.loads(said.out.splitlines()[-1])["failures"] >= 1
    assert "--- input 7 (" in said.err
    kept = (tmp_path / fuzz.FAILURES_FILE).read_text(encoding="utf-8").splitlines()[0]
    assert kept.startswith("7\t")
    assert kept.endswith(reason)


def test_replay_leaves_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert benchmark(monkeypatch, tmp_path, "--replay", "7") == 0
    assert "input 7: " in capsys.readouterr().out
    (folder,) = tmp_path.iterdir()
    assert list(folder.iterdir())


def test_too_slow_is_a_failure(
    corpus: tuple[Seed, ...], criteria: Criteria, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(folder: Path, criteria: Criteria) -> bool:
        while True:
            pass

    monkeypatch.setattr(fuzz, "TIME_LIMIT_S", 0.05)
    monkeypatch.setattr(fuzz, "read_input", endless)
    assert "TooSlowError: more than 0.05 s" in fuzz.run_input(7, corpus, criteria, tmp_path).failure
