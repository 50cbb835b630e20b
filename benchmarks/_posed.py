"""Phantom patients in different poses for `alignment.py`: made by seed, read back, with their truth apart."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteotrace import intake, phantom
from osteotrace.model.criteria import Criteria
from osteotrace.model.imaging import Volume
from osteotrace.phantom.plan import SessionPlan
from osteotrace.space import FloatArray, read_nifti

_LEFT_OUT = ("ct1", "nm0")  # a second CT and planar images: no pair of modalities more
_POINTS = 200
_CHUNK = 5000


@dataclass(frozen=True, slots=True, eq=False)
class Posed:
    """One patient.

    Attributes
    ----------
    frames : dict of str to tuple of Volume
        CT, MR and PET of each session, by session.
    motions : dict of str to dict of str to ndarray
        By series id, by bone: body to exam, shape (4, 4); the truth.
    centres : dict of str to ndarray
        Centroid of each vertebra and of the sacrum in the body frame.
    points : dict of str to ndarray
        Points in each bone, in the body frame, shape (n, 3).
    """

    seed: int
    frames: dict[str, tuple[Volume, ...]]
    motions: dict[str, dict[str, FloatArray]]
    centres: dict[str, FloatArray]
    points: dict[str, FloatArray]


def posed(seed: int, folder: Path, criteria: Criteria, *, hard: bool = False) -> Posed:
    """Make a patient in a folder, unless it is there already, and read it."""
    plan = phantom.plan_case(phantom.CaseRequest("random", seed, hard))
    sessions = tuple(_fewer(s) for s in plan.sessions if s.id not in _LEFT_OUT)
    phantom.make_patient(folder, replace(plan, sessions=sessions), reader="none")
    source = folder / "dicom"
    volumes = intake.read_patient(intake.only_patient(intake.scan(source), source), criteria).volumes
    truth = json.loads((folder / "truth" / "truth.json").read_text(encoding="utf-8"))
    series = {s["series_instance_uid"]: s for s in truth["series"]}
    frames: dict[str, list[Volume]] = {}
    motions = {}
    for volume in volumes:
        known = series[volume.series.series_instance_uid]
        frames.setdefault(known["session"], []).append(volume)
        motions[volume.series.id] = {n: _matrix(b["motion"]) for n, b in known["bones"].items()}
    centres = {b["name"]: np.array(b["centroid"]) for b in truth["bones"] if _in_row(b["name"])}
    points = _bone_points(folder / "truth", truth, seed)
    return Posed(seed, {k: tuple(v) for k, v in frames.items()}, motions, centres, points)


def pairs(patient: Posed) -> Iterator[tuple[str, str]]:
    """All pairs of sessions that lie in different frames of reference."""
    yield from combinations(sorted(patient.frames), 2)


def targets(
    patient: Posed, fixed: Sequence[Volume], moving: Sequence[Volume], rng: np.random.Generator
) -> list[tuple[str, FloatArray, bool]]:
    """Bone, body point, whether it is a centre: vertebrae, sacrum, 200 points that both frames show."""
    found = [
        (name, centre, True)
        for name, centre in patient.centres.items()
        if _both(patient, name, centre, fixed, moving)
    ]
    names = [name for name, points in patient.points.items() for _ in range(len(points))]
    places = np.concatenate(list(patient.points.values()))
    out: list[tuple[str, FloatArray, bool]] = []
    for i in rng.permutation(len(places)):
        if len(out) == _POINTS:
            break
        if _both(patient, names[i], places[i], fixed, moving):
            out.append((names[i], places[i], False))
    return [*found, *out]


def in_series(patient: Posed, series_id: str, bone: str, point: FloatArray) -> FloatArray:
    """Where a point of a bone lies in a series, LPS mm."""
    motion = patient.motions[series_id][bone]
    return np.asarray(motion[:3, :3] @ point + motion[:3, 3])


def _both(
    patient: Posed, bone: str, point: FloatArray, fixed: Sequence[Volume], moving: Sequence[Volume]
) -> bool:
    return all(
        any(v.grid.contains(in_series(patient, v.series.id, bone, point)) for v in frame)
        for frame in (fixed, moving)
    )


def _fewer(session: SessionPlan) -> SessionPlan:
    """Without series that differ by contrast medium only; of the follow-up MR the T1."""
    kept = tuple(s for s in session.series if "ce" not in s.id.split("-")[-1] and "ce-" not in s.id)
    if session.id == "mr1":
        kept = tuple(s for s in kept if "-t1" in s.id)
    return replace(session, series=kept)


def _in_row(name: str) -> bool:
    return name.startswith("vertebrae") or name == "sacrum"


def _matrix(values: Sequence[Any]) -> FloatArray:
    return np.array(values, dtype=np.float64).reshape(4, 4)


def _bone_points(truth_folder: Path, truth: dict[str, Any], seed: int) -> dict[str, FloatArray]:
    """Random voxels of every bone of the PET-CT, whose field of view is the largest, in the body frame."""
    series = next(s for s in truth["series"] if s["protocol"] == "Pet")
    image = read_nifti(truth_folder / f"{series['id']}_bones.nii.gz", series["frame_of_reference_uid"])
    names = json.loads((truth_folder / f"{series['id']}_labels.json").read_text(encoding="utf-8"))["bones"]
    labels: NDArray[np.int64] = np.asarray(image.values).astype(np.int64)
    index = np.argwhere(labels > 0)
    index = index[np.random.default_rng(seed).permutation(len(index))[: 4 * _CHUNK]]
    here = image.grid.points(index)
    which = labels[tuple(index.T)]
    out = {}
    for number in np.unique(which):
        name = names[str(number)]
        back = np.linalg.inv(_matrix(series["bones"][name]["motion"]))
        out[name] = here[which == number] @ back[:3, :3].T + back[:3, 3]
    return out
