"""Spines as labelled points: reading them, and which of them are held out from the shipped statistics.

The statistics of ``anatomy/spine_prior.toml`` come from the patients that `is_held_out` refuses; the
numbering benchmark runs on the others. All scans of a patient are on one side.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteotrace.model.label_schemes import VERTEBRAE

KEYPOINTS = "keypoints_ground_truth.json.gz"
LANDMARKS = "landmarks.csv"
_PARTS = ("Training", "Validation")
_VERSE_COLUMNS = (*(v for v in VERTEBRAE if v[0] in "CTL" and v != "T13"), "T13")
_HELD_OUT_OF_4 = 0


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
    """All spines of the large set under a folder, and from the other sets those with a T13."""
    spines = [s for path in sorted(data.rglob(KEYPOINTS)) for s in _keypoints(path)]
    others = [s for path in sorted(data.rglob(LANDMARKS)) for s in _landmarks(path)]
    return (*spines, *{s.patient: s for s in others if s.variant == "T13"}.values())


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


def _landmarks(path: Path) -> Iterator[PointSpine]:
    with path.open(newline="") as stream:
        for name, *numbers in csv.reader(stream):
            values = [float(n) for n in numbers]
            places = [values[i : i + 3] for i in range(0, len(values), 3)]
            found = {v: p for v, p in zip(_VERSE_COLUMNS, places, strict=False) if not math.isnan(p[0])}
            yield _spine(name, f"sub-{name.split('_', 1)[0].lower()}", found)


def _spine(scan: str, patient: str, found: dict[str, list[float]]) -> PointSpine:
    levels = tuple(level for level in VERTEBRAE if level in found)
    return PointSpine(scan, patient, levels, np.array([found[v] for v in levels], dtype=np.float64))
