"""The numbering benchmark and the script that makes the shipped statistics, on made-up point sets."""

from __future__ import annotations

import gzip
import json
import sys
from importlib import util
from pathlib import Path

import numpy as np
import pytest

import numbering
from _spines import is_held_out, point_spines
from anatomy.spine_cases import points_of, range_of

ROOT = Path(__file__).parents[2]


def write_set(folder, spines):
    """Spines as (scan, levels, points) in the form of the point set, each of a patient of its own."""
    folder.mkdir(parents=True)
    scans = {
        f"Training/{scan}": [
            {
                "coordinates": {"world_space": list(map(float, point))},
                "type": {"spine_level": level, "keypoint_type": "body"},
            }
            for level, point in zip(levels, points, strict=True)
        ]
        + [{"coordinates": {"world_space": [0.0, 0.0, 0.0]}, "type": {"keypoint_type": "left"}}]
        for scan, levels, points in spines
    }
    (folder / "keypoints_ground_truth.json.gz").write_bytes(gzip.compress(json.dumps(scans).encode()))
    names = "".join(f"{scan}, verse/rawdata/{scan}_ct.nii.gz\n" for scan, *_ in spines)
    (folder / "mapping-export-Training.txt").write_text(names)
    (folder / "mapping-export-Validation.txt").write_text(
        "x, Pancreas-CT/data/PANCREAS_0007.nii.gz\ny, COLONOG/COLO1/1.2.3/a/b\n"
    )


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(5)
    levels, six = range_of("C1", "L5"), range_of("C5", "L6", (12, 6))
    sizes = np.linspace(0.9, 1.1, 12)
    spines = [
        (f"s{n}", levels, size * points_of(levels) + rng.normal(0, 0.5, (24, 3)))
        for n, size in enumerate(sizes)
    ]
    spines += [(f"six{n}", six, points_of(six, (12, 6))) for n in range(2)]
    thirteen = range_of("C5", "L5", (13, 5))
    keep = [level != "T13" for level in thirteen]
    spines.append(("t13", tuple(np.array(thirteen)[keep]), points_of(thirteen, (13, 5))[keep]))
    hole = tuple(level for level in levels if level != "L2")
    spines.append(("hole", tuple("L2" if level == "L3" else level for level in hole), points_of(hole)))
    write_set(tmp_path / "vid", spines)
    return tmp_path


def test_spines_are_read_with_their_patients(data):
    spines = {spine.scan: spine for spine in point_spines(data)}
    assert spines["Training/s3"].patient == "s3"
    assert spines["Training/s3"].levels == range_of("C1", "L5")
    assert spines["Training/six0"].variant == "L6"
    assert spines["Training/t13"].variant == "T13"
    assert "Training/hole" not in spines


def test_a_quarter_of_the_patients_is_held_out():
    share = np.mean([is_held_out(f"patient {n}") for n in range(2000)])
    assert share == pytest.approx(0.25, abs=0.04)


def test_benchmark_ends_with_its_json_line(data, monkeypatch, capsys):
    monkeypatch.setattr(numbering, "VARIANT_CASES", 1)
    monkeypatch.setattr(numbering, "is_held_out", lambda patient: True)
    monkeypatch.setattr(sys, "argv", ["numbering.py", "--data", str(data), "--cases", "9", "--seed", "2"])
    numbering.main()
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {"cases", "right", "uncertain", "silent_wrong", "certain_right_rate"} <= set(result)
    assert result["cases"] == 9 + 2 * 3
    assert result["silent_wrong"] == 0


def test_benchmark_without_spines_ends_with_3(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["numbering.py", "--data", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        numbering.main()
    assert ended.value.code == 3


def test_a_t13_that_is_put_in_moves_what_is_above(data):
    spine = next(s for s in point_spines(data) if not s.variant)
    longer = numbering.with_t13(spine)
    assert longer.variant == "T13"
    below, step = spine.levels.index("L1"), spine.points[18] - spine.points[19]
    np.testing.assert_allclose(longer.points[:below] - step, spine.points[:below])
    np.testing.assert_allclose(longer.points[below + 1 :], spine.points[below:])


def test_statistics_are_made_from_the_other_patients(data, monkeypatch, tmp_path):
    spec = util.spec_from_file_location("spine_prior_script", ROOT / "training" / "spine_prior.py")
    assert spec is not None
    assert spec.loader is not None
    script = util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "spine_prior_script", script)
    spec.loader.exec_module(script)
    target = tmp_path / "prior.toml"
    monkeypatch.setattr(script, "TARGET", target)
    monkeypatch.setattr(script, "is_held_out", lambda patient: False)
    monkeypatch.setattr(sys, "argv", ["spine_prior.py", "--data", str(data)])
    script.main()
    text = target.read_text()
    assert "12 scans of 12 patients" in text
    spacing = dict(line.split(" = ") for line in text.splitlines() if " = [" in line)
    assert json.loads(spacing["L3"])[2] == 12
