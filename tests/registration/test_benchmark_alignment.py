"""The alignment benchmark: its figures, and that it fails without a peer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import alignment as benchmark
from _real_pairs import RealPair, rigid_to_labels_mm
from osteotrace.model.alignment import Alignment
from osteotrace.model.values import Verdict
from osteotrace.space import RigidTransform

NOTHING = Alignment(RigidTransform.identity("F"), "rigid", "a", "b", 1.0, 1.0, 3.0, Verdict.GOOD)


def _result(errors: list[float], radius: list[float], good: list[bool], seconds: float) -> benchmark.Result:
    centre = np.zeros(len(errors), bool)
    return benchmark.Result(
        "seed 1", "ct-mr", np.array(errors), np.array(radius), centre, np.array(good), seconds, NOTHING
    )


def test_figures_of_all_pairs_together() -> None:
    first = _result([1.0, 2.0, 11.0], [3.0, 1.5, np.nan], [True, True, False], 4.0)
    second = _result([12.0], [30.0], [True], 8.0)
    figures = benchmark.summary([first, second])
    assert figures["pairs"] == 2
    assert figures["median_mm"] == 2.0, "places that are called failed have no error"
    assert figures["failed_unflagged"] == 1
    assert figures["good_rate"] == 0.75
    assert figures["calibration"] == pytest.approx(2 / 3)
    assert figures["radius_over_error"] == 1.5
    assert figures["seconds_median"] == 6.0


def test_the_best_deformable_peer_is_named_and_the_best_rigid_one() -> None:
    found = {"ants": [(1.5, 60.0)], "greedy": [(2.0, 5.0)], "elastix rigid": [(0.5, 3.0)]}
    figures = benchmark.peer_summary(found)
    assert (figures["peer"], figures["peer_median_mm"], figures["peer_seconds"]) == ("ants", 1.5, 60.0)
    assert figures["rigid_peer"] == "elastix rigid"
    assert benchmark.peer_summary({})["peer"] is None


def test_without_a_peer_the_benchmark_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmark, "installed", lambda: False)
    with pytest.raises(SystemExit) as stopped:
        benchmark.on_phantoms(range(1), tmp_path, 1, False)
    assert stopped.value.code == benchmark.NO_PEER
    assert "no peer is installed" in capsys.readouterr().err


def test_a_rigid_motion_leaves_nothing_of_its_own() -> None:
    here = np.random.default_rng(0).normal(size=(6, 3)) * 30
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    pair = RealPair("x", None, None, (None, None), here, here @ turn.T + 5.0)  # type: ignore[arg-type]
    assert rigid_to_labels_mm(pair) < 1e-9
