"""What is true of a phantom patient: ``truth.json``. Only tests and benchmarks read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import numpy as np
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

from osteotrace import __version__
from osteotrace.phantom.field import Field
from osteotrace.phantom.lesions import WITHIN, Lesion, effective, inside_points
from osteotrace.phantom.plan import CasePlan
from osteotrace.phantom.posture import exam_points
from osteotrace.phantom.protocols import Acquisition, MrProtocol
from osteotrace.phantom.reading import Drawing, contrast
from osteotrace.phantom.records import Body, Bone, Insert, Posture
from osteotrace.space import FloatArray, Grid

FORMAT = "osteotrace phantom truth 1"

# Called visible from this contrast-to-noise ratio on: a project choice, not a reader's threshold.
VISIBLE_CNR = 2.0


def case_truth(plan: CasePlan, series: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """All of it as JSON values.

    Parameters
    ----------
    series : sequence of mapping
        One :func:`series_truth` per series, in order of time.
    """
    body = plan.body
    return {
        "format": FORMAT,
        "osteotrace": __version__,
        "case": plan.name,
        "seed": plan.seed,
        "counterfactual": plan.counterfactual,
        "motion": plan.motion,
        "space": "LPS, mm; body frame for bones and lesions, exam frame within series",
        "person": asdict(body.person),
        "variants": list(body.variants),
        "bones": [_bone(bone) for bone in body.bones],
        "lesions": [_lesion(lesion) for lesion in plan.lesions],
        "events": [{"kind": e.kind, "day": e.day, "text": e.text} for e in plan.events],
        "series": list(series),
    }


def _bone(bone: Bone) -> dict[str, Any]:
    return {
        "name": bone.name,
        "code_name": bone.code_name,
        "verse": bone.verse,
        "label": bone.part.label,
        "centroid": _list(bone.centroid),
        "axes": [_list(row) for row in bone.axes],
    }


def _lesion(lesion: Lesion) -> dict[str, Any]:
    return {
        "id": lesion.id,
        "nature": lesion.nature,
        "kind": lesion.kind,
        "place": lesion.place,
        "within": WITHIN[lesion.place],
        "carrier": lesion.carrier,
        "events": list(lesion.events),
        "days": [
            {
                "day": day.day,
                "present": day.present,
                "growth_mm": day.growth_mm,
                "material": asdict(day.material),
                "core": asdict(day.core) if day.core else None,
            }
            for day in lesion.days
        ],
    }


def series_truth(
    plan: CasePlan,
    acquisition: Acquisition,
    posture: Posture,
    inserts: Sequence[Insert],
    uid: str,
    drawings: Sequence[Drawing] | None,
) -> dict[str, Any]:
    """Where everything lies in one series, and what can be seen of each lesion.

    Parameters
    ----------
    inserts : sequence of Insert
        As rendered: a wanted SUVmax has been set.
    uid : str
        Series Instance UID.
    """
    grid = acquisition.grid
    shown = {insert.id: insert for insert in inserts}
    fat_suppression = getattr(acquisition.protocol, "fat_suppression", None)
    return {
        "id": acquisition.id,
        "session": acquisition.session,
        "day": acquisition.day,
        "series_instance_uid": uid,
        "frame_of_reference_uid": posture.frame_of_reference_uid if grid is not None else None,
        "protocol": type(acquisition.protocol).__name__.removesuffix("Protocol"),
        "name": acquisition.protocol.name,
        "fat_suppression": fat_suppression if isinstance(acquisition.protocol, MrProtocol) else None,
        "grid": None
        if grid is None
        else {"shape": list(grid.shape), "affine": [_list(r) for r in grid.affine]},
        "bones": {b.name: _bone_in(b, acquisition, posture) for b in plan.body.bones},
        "lesions": [
            _lesion_in(lesion, shown.get(lesion.id), plan.body, acquisition, posture)
            for lesion in plan.lesions
        ],
        "drawings": None if drawings is None else {d.name: d.lesion for d in drawings},
    }


def _bone_in(bone: Bone, acquisition: Acquisition, posture: Posture) -> dict[str, Any]:
    centroid = posture.to_exam(bone.name, bone.centroid)
    covered = None if acquisition.grid is None else bool(acquisition.grid.contains(centroid))
    return {
        "motion": [_list(row) for row in posture.rigid[bone.name]],
        "centroid": _list(centroid),
        "covered": covered,
    }


def _lesion_in(
    lesion: Lesion, insert: Insert | None, body: Body, acquisition: Acquisition, posture: Posture
) -> dict[str, Any]:
    shape = None if insert is None else effective(insert, body)
    inside = np.empty((0, 3)) if shape is None else inside_points(shape)
    if insert is None or shape is None or not len(inside):
        return {"id": lesion.id, "present": False}
    points = exam_points(posture, lesion.carrier, inside)
    grid = acquisition.grid
    covered = None if grid is None else round(float(grid.contains(points).mean()), 4)
    treated = lesion.nature == "treatment"  # a whole bone, or what is gone: nothing to be made out
    shown = None if treated else contrast(acquisition, body, shape, lesion.carrier, posture)
    return {
        "id": lesion.id,
        "present": True,
        "covered": covered,
        "centroid": _list(points.mean(axis=0)),
        "volume_ml": round(len(inside) * shape.step**3 / 1000, 4),
        "longest_mm": round(longest_mm(shape), 2),
        "material": asdict(insert.material),
        "contrast_ratio": None if shown is None else round(shown.ratio, 4),
        "contrast_to_noise": None if shown is None else round(shown.to_noise, 3),
        "visible": None if shown is None else bool(abs(shown.to_noise) >= VISIBLE_CNR),
    }


def longest_mm(shape: Field) -> float:
    """Longest diameter of the inside of a shape, mm."""
    points = inside_points(shape)
    if len(points) < 5:
        return float(len(points) > 0) * shape.step
    with suppress(QhullError):  # flat: all points count
        points = points[ConvexHull(points).vertices]
    return float(pdist(points).max()) + shape.step


def _grid(grid: Grid) -> dict[str, Any]:
    return {"shape": list(grid.shape), "affine": [_list(row) for row in grid.affine]}


def _list(values: FloatArray) -> list[float]:
    return [round(float(v), 5) for v in np.asarray(values).ravel()]
