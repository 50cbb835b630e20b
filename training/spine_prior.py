"""Statistics of vertebra spacing and curvature from labelled points: makes ``anatomy/spine_prior.toml``.

    python training/spine_prior.py --data DIR

``DIR`` is searched for the point sets that ``benchmarks/_spines.py`` reads. Patients that it holds out take
no part, nor do spines with an L6, a T13 or without a T12: they test. Only the statistics are written.

Model: the distance of two neighbouring bodies is ``exp(s) * mean * (1 + e)``, with one ``s`` per patient and
one ``e`` per level. ``s`` and the means are found in turn, robustly, until they stand.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from _spines import PointSpine, is_held_out, point_spines  # noqa: E402
from osteotrace.anatomy.bends import sagittal_bends_deg  # noqa: E402
from osteotrace.model.label_schemes import USUAL  # noqa: E402

TARGET = ROOT / "src" / "osteotrace" / "anatomy" / "spine_prior.toml"
LEVELS = tuple(level for level in USUAL if level[0] != "S")
ROUNDS = 30
FAR = 3.0  # residuals beyond this many deviations get less weight
MAD = 1.4826  # deviation of a normal distribution per median absolute deviation
CAUTION = 50  # a deviation from n scans is widened by sqrt(1 + CAUTION / n)


@dataclass(frozen=True, slots=True, eq=False)
class Spacing:
    """Means in mm, relative deviations, numbers of scans per pair of levels; deviation of ``s``."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    n: NDArray[np.int64]
    scale: float


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    spines = [
        s for s in point_spines(parser.parse_args().data) if not is_held_out(s.patient) and not s.variant
    ]
    TARGET.write_text(text(spacing(spines), *bends(spines), spines), encoding="utf-8")


def spacing(spines: Sequence[PointSpine]) -> Spacing:
    """Fit the model of the module to the distances."""
    logs = np.log(np.array([_distances(spine) for spine in spines]))
    seen = np.isfinite(logs)
    mean, deviation, scale = np.nanmedian(logs, axis=0), np.full(logs.shape[1], 0.05), 0.06
    size = np.zeros((len(spines), 1))
    for _ in range(ROUNDS):
        far = np.abs(np.nan_to_num((logs - mean - size) / deviation))
        weight = seen / deviation**2 * np.minimum(1.0, FAR / np.maximum(far, FAR))
        size = (weight * np.nan_to_num(logs - mean)).sum(axis=1, keepdims=True)
        size /= weight.sum(axis=1, keepdims=True) + 1 / scale**2
        mean = np.nanmedian(logs - size, axis=0)
        deviation = _deviation(logs - mean - size)
        scale = float(np.std(size))
    return Spacing(np.exp(mean), _cautious(deviation, seen.sum(axis=0)), seen.sum(axis=0), scale)


def bends(spines: Sequence[PointSpine]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Mean, deviation (degrees) and number of the bends at each level."""
    table = np.full((len(spines), len(LEVELS)), np.nan)
    for row, spine in zip(table, spines, strict=True):
        for level, bend in zip(spine.levels, sagittal_bends_deg(spine.points), strict=True):
            index = LEVELS.index(level)
            neighbours = {LEVELS[max(index - 1, 0)], LEVELS[min(index + 1, len(LEVELS) - 1)]}
            if neighbours <= set(spine.levels):
                row[index] = bend
    n = np.isfinite(table).sum(axis=0)
    inner = table[:, n > 0]
    mean, deviation = np.full(len(LEVELS), np.nan), np.full(len(LEVELS), np.nan)
    mean[n > 0] = np.nanmedian(inner, axis=0)
    deviation[n > 0] = _cautious(_deviation(inner - mean[n > 0]), n[n > 0])
    return mean, deviation, n


def text(
    spaces: Spacing,
    bend: NDArray[np.float64],
    bend_deviation: NDArray[np.float64],
    n_bends: NDArray[np.int64],
    spines: Sequence[PointSpine],
) -> str:
    """The file."""
    lines = [
        "# Made by training/spine_prior.py; do not edit. Distances of neighbouring vertebral bodies, and",
        "# bends of the line through them in the sagittal plane (negative: a kyphosis), from points of CT:",
        f"# {len(spines)} scans of {len({s.patient for s in spines})} patients.",
        "",
        f"scale_deviation = {spaces.scale:.4f}  # of the logarithm of the size of a patient",
        "",
        "[spacing]  # to the next body below: mean mm, relative deviation, scans",
    ]
    pairs = zip(LEVELS[:-1], spaces.mean, spaces.deviation, spaces.n, strict=True)
    lines += [f"{v} = [{m:.2f}, {s:.4f}, {n}]" for v, m, s, n in pairs]
    lines += ["", "[bend]  # at the body: mean degrees, deviation, scans"]
    table = zip(LEVELS, bend, bend_deviation, n_bends, strict=True)
    lines += [f"{v} = [{m:.2f}, {s:.2f}, {n}]" for v, m, s, n in table if n]
    return "\n".join(lines) + "\n"


def _distances(spine: PointSpine) -> list[float]:
    place = dict(zip(spine.levels, spine.points, strict=True))
    return [
        float(np.linalg.norm(place[a] - place[b])) if {a, b} <= set(place) else np.nan
        for a, b in pairwise(LEVELS)
    ]


def _deviation(residuals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Between that of the middle and that of all: the tails are real, the outliers are not."""
    middle = MAD * np.nanmedian(np.abs(residuals), axis=0)
    return np.asarray((middle + np.nanstd(residuals, axis=0)) / 2)


def _cautious(deviation: NDArray[np.float64], n: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(deviation * np.sqrt(1 + CAUTION / n))


if __name__ == "__main__":
    main()
