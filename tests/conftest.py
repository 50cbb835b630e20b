"""Fixtures of all rooms: the real scans, and how hypothesis runs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from _common import unpack_case
from osteotrace.pipeline import RunResult, Settings, run
from phantom_small import write_small_patient

DATA_VARIABLE = "OSTEOTRACE_DATA"

settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as ``real`` whatever asks for the real scans."""
    for item in items:
        if {"osteotrace_data", "case_dir"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.real)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With the real scans at hand, a real-data test that skips has failed."""
    report = yield
    skipped = report.skipped and not hasattr(report, "wasxfail")
    if skipped and item.get_closest_marker("real") and os.environ.get(DATA_VARIABLE):
        report.outcome = "failed"
        report.longrepr = f"{DATA_VARIABLE} is set, yet this test of real scans skipped: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def osteotrace_data() -> Path:
    """Folder of real scans; the test skips without it, and fails where CI should have it."""
    value = os.environ.get(DATA_VARIABLE)
    if value and (folder := Path(value)).is_dir():
        return folder
    reason = f"{DATA_VARIABLE} names no folder" if value else f"{DATA_VARIABLE} is not set"
    if value or os.environ.get("CI"):
        pytest.fail(f"{reason}: the tests of real scans cannot run")
    pytest.skip(f"{reason}: no real scans to test on")


@pytest.fixture(scope="session")
def case_dir(osteotrace_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Unpacks a DICOM case by name, once a session: one folder per archive, loose files beside."""
    root = tmp_path_factory.mktemp("cases")

    def unpacked(name: str) -> Path:
        case = osteotrace_data / "dicom" / name
        assert case.is_dir(), f"no case {name!r} under {DATA_VARIABLE}"
        folder = root / name
        return folder if folder.exists() else unpack_case(case, folder)

    return unpacked


@pytest.fixture(scope="session")
def phantom_dicom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small synthetic patient as DICOM, written once; its truth is taken away, see ``phantom_truth``."""
    folder = tmp_path_factory.mktemp("phantom") / "patient"
    write_small_patient(folder)
    shutil.move(folder / "truth", folder.parent / "taken away")
    return folder / "dicom"


@pytest.fixture(scope="session")
def phantom_truth(phantom_dicom: Path) -> dict[str, Any]:
    """What is true of the small synthetic patient."""
    file = phantom_dicom.parent.parent / "taken away" / "truth.json"
    truth: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return truth


@pytest.fixture(scope="session")
def phantom_workup(phantom_dicom: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunResult, Path]:
    """The synthetic patient worked up once, and the folder of the results."""
    out = tmp_path_factory.mktemp("phantom-out")
    return run(phantom_dicom, out, Settings()), out
