"""Spines as labelled points: reading them, and which of them are held out from the shipped statistics.

The statistics of ``anatomy/spine_prior.toml`` come from the patients that `is_held_out` refuses; the
numbering benchmark runs on the others. All scans of a patient are on one side.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteotrace.model.label_schemes import VERTEBRAE

KEYPOINTS = "keypoints_ground_truth.json.gz"
_PARTS = ("Training", "Validation")
_HELD_OUT_OF_4 = 0
_UNNAMED_MM = 55.0  # two neighbours that are farther apart have a vertebra between them
_MOST_OF_USUAL = 1.5  # of the median distance of two levels


@dataclass(frozen=True, slots=True, eq=False)
class PointSpine:
    """The vertebral bodies of one scan.

    Attributes
    ----------
    scan, patient : str
        Names in the source.
    levels : tuple of str
        From head to tail.
    points : ndarray of float64, shape (n, 3)
        LPS mm.
    """

    scan: str
    patient: str
    levels: tuple[str, ...]
    points: NDArray[np.float64]

    @property
    def variant(self) -> str:
        """``L6``, ``T13``, ``no T12``, or empty."""
        if "L6" in self.levels or "T13" in self.levels:
            return "L6" if "L6" in self.levels else "T13"
        return "no T12" if {"T11", "L1"} <= set(self.levels) and "T12" not in self.levels else ""


def is_held_out(patient: str) -> bool:
    """Whether the scans of a patient take no part in the shipped statistics: one patient in four."""
    return hashlib.sha256(patient.encode()).digest()[0] % 4 == _HELD_OUT_OF_4


def point_spines(data: Path) -> tuple[PointSpine, ...]:
    """All spines of the large set under a folder.

    That set has no name for a T13 and leaves it out, so that T12 and L1 stand two distances apart; it is put
    in the middle. A spine with an impossible distance elsewhere is left out: a vertebra or label is missing.
    """
    found = [s for path in sorted(data.rglob(KEYPOINTS)) for s in _keypoints(path)]
    spines = [_with_unnamed_t13(spine) for spine in found]
    usual = {pair: float(np.median(steps)) for pair, steps in _steps(spines).items()}
    return tuple(spine for spine in spines if _is_possible(spine, usual))


def _steps(spines: Sequence[PointSpine]) -> dict[tuple[str, str], list[float]]:
    steps: dict[tuple[str, str], list[float]] = {}
    for spine in spines:
        for pair, step in zip(pairwise(spine.levels), _distances(spine), strict=True):
            steps.setdefault(pair, []).append(float(step))
    return steps


def _is_possible(spine: PointSpine, usual: Mapping[tuple[str, str], float]) -> bool:
    expected = np.array([usual[pair] for pair in pairwise(spine.levels)])
    share = _distances(spine) / expected
    return bool((share < _MOST_OF_USUAL).all() and (share > 1 / _MOST_OF_USUAL).all())


def _distances(spine: PointSpine) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(np.diff(spine.points, axis=0), axis=1))


def _with_unnamed_t13(spine: PointSpine) -> PointSpine:
    gaps = np.flatnonzero(_distances(spine) > _UNNAMED_MM)
    if gaps.size != 1 or spine.levels[gaps[0] : gaps[0] + 2] != ("T12", "L1"):
        return spine
    below = int(gaps[0]) + 1
    points = np.insert(spine.points, below, spine.points[below - 1 : below + 1].mean(axis=0), axis=0)
    levels = (*spine.levels[:below], "T13", *spine.levels[below:])
    return PointSpine(spine.scan, spine.patient, levels, points)


def _keypoints(path: Path) -> Iterator[PointSpine]:
    patients = _patients(path.parent)
    scans: dict[str, list[dict[str, Any]]] = json.loads(gzip.decompress(path.read_bytes()))
    for scan, points in sorted(scans.items()):
        bodies = {p["type"]["spine_level"]: p["coordinates"]["world_space"] for p in points if _is_body(p)}
        if bodies:
            yield _spine(scan, patients.get(scan.lower(), scan), bodies)


def _is_body(point: dict[str, Any]) -> bool:
    return bool(point["type"]["keypoint_type"] == "body")


def _patients(folder: Path) -> dict[str, str]:
    """Patient of each scan, from the files that name where the scans come from."""
    patients = {}
    for part in _PARTS:
        for line in (folder / f"mapping-export-{part}.txt").read_text().splitlines():
            scan, _, source = line.partition(", ")
            patients[f"{part}/{scan}".lower()] = _patient_of_path(source)
    return patients


def _patient_of_path(source: str) -> str:
    if source.startswith("COLONOG"):
        return source.split("/")[2]
    name = source.rsplit("/", 1)[-1].split(".", 1)[0]
    return name if name.startswith("PANCREAS") else name.split("_", 1)[0]


def _spine(scan: str, patient: str, found: dict[str, list[float]]) -> PointSpine:
    levels = tuple(level for level in VERTEBRAE if level in found)
    return PointSpine(scan, patient, levels, np.array([found[v] for v in levels], dtype=np.float64))
