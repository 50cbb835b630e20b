"""Derive the statistics of spines that the phantom is drawn from.

Called as ``python training/phantom_spine.py --data DIR [--out FILE]``. ``DIR`` holds the labelled points of
real CT spines (``nifti/landmarks/vid/keypoints_ground_truth.json.gz``). Only means, standard deviations and
principal components leave it; no point of anybody does.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
Points: TypeAlias = dict[tuple[str, str], FloatArray]

LEVELS = (
    *(f"C{n}" for n in range(1, 8)),
    *(f"T{n}" for n in range(1, 13)),
    *(f"L{n}" for n in range(1, 6)),
)
KEYPOINTS = "nifti/landmarks/vid/keypoints_ground_truth.json.gz"
COMPONENTS = 5
FEW = 300
"""Levels with fewer spines than this have their standard deviation widened."""
WIDER = 1.25
TRIM_SD = 4.0
SHRINK_PAIRS = 150
"""A correlation of n spines is shrunk by n / (n + this)."""
PEDICLE_REACH_MM = 40.0


def spines(path: Path) -> list[Points]:
    """Points of each spine by level and kind (``body``, ``left``, ``right``), LPS mm."""
    scans = json.loads(gzip.decompress(path.read_bytes()))
    return [_points(scan) for scan in scans.values()]


def _points(scan: Sequence[dict[str, Any]]) -> Points:
    """Pedicle points carry no level: each belongs to the nearest body."""
    named = [(p["type"].get("spine_level"), p["type"]["keypoint_type"], _position(p)) for p in scan]
    bodies = {level: point for level, kind, point in named if kind == "body"}
    found: Points = {(level, "body"): point for level, point in bodies.items()}
    for _, side, point in named:
        if side != "body":
            away = {level: float(np.linalg.norm(body - point)) for level, body in bodies.items()}
            level = min(away, key=away.__getitem__)
            if away[level] < PEDICLE_REACH_MM:
                found[level, side] = point
    return found


def _position(point: dict[str, Any]) -> FloatArray:
    return np.array(point["coordinates"]["world_space"], dtype=np.float64)


def spacing(spine: Points, upper: str, lower: str) -> float:
    """Distance of two neighbouring body points, mm; NaN where one is absent."""
    if (upper, "body") not in spine or (lower, "body") not in spine:
        return np.nan
    return float(np.linalg.norm(spine[upper, "body"] - spine[lower, "body"]))


def pedicle_distance(spine: Points, level: str) -> float:
    """Distance of left and right pedicle point, mm."""
    if (level, "left") not in spine or (level, "right") not in spine:
        return np.nan
    return float(np.linalg.norm(spine[level, "left"] - spine[level, "right"]))


def pedicle_depth(spine: Points, level: str) -> float:
    """Distance of the body point and the middle of the pedicle points, mm."""
    if np.isnan(pedicle_distance(spine, level)) or (level, "body") not in spine:
        return np.nan
    middle = (spine[level, "left"] + spine[level, "right"]) / 2
    return float(np.linalg.norm(middle - spine[level, "body"]))


def slope(spine: Points, upper: str, lower: str) -> float:
    """Sagittal direction from a body to the one above, degrees; positive: the upper one lies further back."""
    if np.isnan(spacing(spine, upper, lower)):
        return np.nan
    step = spine[upper, "body"] - spine[lower, "body"]
    return float(np.degrees(np.arctan2(step[1], step[2])))


def table(found: list[Points], measure: Callable[..., float], keys: Sequence[tuple[str, ...]]) -> FloatArray:
    """One row a spine, one column a key; NaN where absent or more than `TRIM_SD` robust SD off."""
    values = np.array([[measure(spine, *key) for key in keys] for spine in found])
    middle = np.nanmedian(values, axis=0)
    spread = 1.4826 * np.nanmedian(np.abs(values - middle), axis=0)
    values[np.abs(values - middle) > TRIM_SD * spread] = np.nan
    return values


def widened_sd(values: FloatArray) -> FloatArray:
    """Standard deviation per column, wider where few spines were measured."""
    few = np.isfinite(values).sum(axis=0) < FEW
    return np.asarray(np.nanstd(values, axis=0, ddof=1) * np.where(few, WIDER, 1.0))


def correlation(values: FloatArray) -> FloatArray:
    """Correlations from the spines that show both items, shrunk where there are few."""
    z = (values - np.nanmean(values, axis=0)) / np.nanstd(values, axis=0)
    there = np.isfinite(z)
    pairs = there.T.astype(float) @ there
    products = np.nan_to_num(z).T @ np.nan_to_num(z)
    found = products / np.maximum(pairs, 1) * pairs / (pairs + SHRINK_PAIRS)
    np.fill_diagonal(found, 1.0)
    return np.asarray(np.clip(found, -0.99, 0.99) + np.diag(np.full(len(found), 0.01)))


def components(values: FloatArray) -> FloatArray:
    """Loadings in units of SD, shape (COMPONENTS, items): the largest principal components."""
    power, vectors = np.linalg.eigh(correlation(values))
    order = np.argsort(power)[::-1][:COMPONENTS]
    loadings = vectors[:, order] * np.sqrt(np.maximum(power[order], 0.0))
    signs = np.sign(loadings.sum(axis=0))
    return np.asarray((loadings * np.where(signs == 0, 1.0, signs)).T)


def text_of(name: str, unit: str, labels: Sequence[str], values: FloatArray) -> str:
    """The TOML table of one quantity."""
    counts = np.isfinite(values).sum(axis=0)
    rows = ",\n".join("    " + _numbers(row, 3) for row in components(values))
    return "\n".join(
        (
            f"[{name}]",
            f'unit = "{unit}"',
            "items = [" + ", ".join(f'"{label}"' for label in labels) + "]",
            f"spines = {_numbers(counts, 0)}",
            f"mean = {_numbers(np.nanmean(values, axis=0), 2)}",
            f"sd = {_numbers(widened_sd(values), 2)}",
            f"components = [\n{rows},\n]",
            "",
        )
    )


def _numbers(values: FloatArray, digits: int) -> str:
    return "[" + ", ".join(f"{value:.{digits}f}" for value in values) + "]"


def statistics(found: list[Points]) -> str:
    """The whole TOML file."""
    pairs = list(itertools.pairwise(LEVELS))
    levels = [(level,) for level in LEVELS[1:]]
    pair_names = [f"{upper}-{lower}" for upper, lower in pairs]
    return "\n".join(
        (
            "# Derived by training/phantom_spine.py from labelled points of CT spines (VID vertebra",
            "# identification data set, Buergin et al., CC BY-SA 4.0: CT colonography, Pancreas-CT, VerSe).",
            f"# Standard deviations of levels with fewer than {FEW} spines are widened by {WIDER}.",
            "# components: loadings of the largest principal components, in units of the SD of each item.",
            "",
            f"# {len(found)} spines. slope: sagittal direction from a body to the one above;",
            "# positive: the upper body lies further back.",
            "",
            text_of("spacing", "mm", pair_names, table(found, spacing, pairs)),
            text_of("pedicle_distance", "mm", LEVELS[1:], table(found, pedicle_distance, levels)),
            text_of("pedicle_depth", "mm", LEVELS[1:], table(found, pedicle_depth, levels)),
            text_of("slope", "deg", pair_names, table(found, slope, pairs)),
        )
    )


def main() -> None:
    """Read the points, write the statistics."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    default = Path(__file__).parents[1] / "src/osteotrace/phantom/body/spine_statistics.toml"
    parser.add_argument("--out", type=Path, default=default)
    options = parser.parse_args()
    options.out.write_text(statistics(spines(options.data / KEYPOINTS)), encoding="utf-8")


if __name__ == "__main__":
    main()
