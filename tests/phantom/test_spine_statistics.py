"""The derivation of the spine's statistics from labelled points."""

from __future__ import annotations

import gzip
import importlib.util
import json
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "training" / "phantom_spine.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("phantom_spine", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["phantom_spine"] = module
    spec.loader.exec_module(module)
    return module


def scan(script, rng: np.random.Generator) -> list[dict]:
    """A straight spine that leans 10 degrees back, 20 to 42 mm a vertebra, pedicles 26 mm apart."""
    lean, z, points = np.radians(10.0 + 0.5 * rng.standard_normal()), 0.0, []
    size = 1 + 0.05 * rng.standard_normal()
    for row, level in enumerate(script.LEVELS):
        middle = [0.0, z * np.sin(lean), z * np.cos(lean)]
        points.append((middle, {"spine_level": level, "keypoint_type": "body"}))
        for side, x in (("left", 13.0), ("right", -13.0)):
            off = 0.2 * rng.standard_normal(2)
            points.append(([x + off[0], middle[1] + 20.0 + off[1], middle[2]], {"keypoint_type": side}))
        z -= (20.0 + row) * size
    return [{"coordinates": {"world_space": place}, "type": kind} for place, kind in points]


@pytest.fixture(scope="module")
def derived(script, tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("points")
    path = folder / script.KEYPOINTS
    path.parent.mkdir(parents=True)
    rng = np.random.default_rng(1)
    path.write_bytes(gzip.compress(json.dumps({str(n): scan(script, rng) for n in range(80)}).encode()))
    return tomllib.loads(script.statistics(script.spines(path)))


def test_means_are_those_of_the_points(derived):
    np.testing.assert_allclose(derived["spacing"]["mean"], 20.0 + np.arange(23), rtol=0.02)
    np.testing.assert_allclose(derived["pedicle_distance"]["mean"], 26.0, atol=0.2)
    np.testing.assert_allclose(derived["pedicle_depth"]["mean"], 20.0, atol=0.2)
    np.testing.assert_allclose(derived["slope"]["mean"], 10.0, atol=0.3)


def test_few_spines_have_their_scatter_widened(derived):
    np.testing.assert_allclose(
        derived["spacing"]["sd"], 0.05 * 1.25 * np.array(derived["spacing"]["mean"]), rtol=0.3
    )


def test_the_first_component_is_size(derived):
    first = np.array(derived["spacing"]["components"][0])
    assert first.min() > 0.5
    assert derived["spacing"]["spines"] == [80] * 23


def test_absent_levels_are_left_out(script):
    spine = {("L1", "body"): np.zeros(3), ("L2", "body"): np.array([0.0, 0.0, -35.0])}
    assert script.spacing(spine, "L1", "L2") == 35.0
    assert np.isnan(script.spacing(spine, "L2", "L3"))
    assert np.isnan(script.pedicle_depth(spine, "L1"))
    assert np.isnan(script.slope(spine, "T12", "L1"))


def test_the_command_writes_the_file(script, tmp_path, monkeypatch):
    path = tmp_path / script.KEYPOINTS
    path.parent.mkdir(parents=True)
    rng = np.random.default_rng(2)
    path.write_bytes(gzip.compress(json.dumps({str(n): scan(script, rng) for n in range(12)}).encode()))
    out = tmp_path / "statistics.toml"
    monkeypatch.setattr(sys, "argv", ["phantom_spine.py", "--data", str(tmp_path), "--out", str(out)])
    script.main()
    assert len(tomllib.loads(out.read_text(encoding="utf-8"))["slope"]["items"]) == 23
