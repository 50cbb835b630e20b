"""The skeleton of the synthetic patient: ten vertebrae and a sacrum on the CT, none on the STIR."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from osteotrace.model import codes
from osteotrace.model.anatomy import (
    Bone,
    BoneRef,
    Certainty,
    NumberedVertebra,
    Numbering,
    Outlined,
    Possible,
    SpineCount,
)
from osteotrace.model.imaging import Volume
from osteotrace.model.label_schemes import structure
from osteotrace.model.problem import Problem
from osteotrace.model.site import BoneSite, NoSite
from osteotrace.model.skeleton import NotRead, Skeleton
from osteotrace.model.values import Severity
from osteotrace.model.workup import Workup
from osteotrace.space import LabelImage

LEVELS = ("T9", "T10", "T11", "T12", "L1", "L2", "L3")
PITCH, HEIGHT, TOP = 30.0, 22.0, 95.0  # mm
RADIUS, FRONT = 18.0, 50.0  # of the column of bodies, and where it stands: y, mm
CANAL = 90


def skeleton_of(volume: Volume) -> Skeleton:
    """Blocks on the column that the factory draws."""
    grid = volume.grid
    points = grid.points(np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1))
    x, y, z = np.moveaxis(points, -1, 0)
    labels = np.zeros(grid.shape, np.uint16)
    labels[x**2 + (y - FRONT - 28.0) ** 2 < 8.0**2] = CANAL
    bones = []
    for n in range(len(LEVELS) + 1):
        height = TOP - n * PITCH
        labels[(x**2 + (y - FRONT) ** 2 < RADIUS**2) & (abs(z - height) < HEIGHT / 2)] = n + 1
        name = "vertebra" if n < len(LEVELS) else "sacrum"
        bone_id = f"V{n + 1}" if n < len(LEVELS) else "sacrum"
        bones.append(Bone(bone_id, name, n + 1, (0.0, FRONT, height), 0.97, touches_edge=n == 0))
    structures = (Outlined("spinal canal", CANAL, coarse=True),)
    searched = ("sacrum", "vertebra")
    return Skeleton(volume.series.id, tuple(bones), structures, searched, "test", LabelImage(labels, grid))


def numbering_of(skeleton: Skeleton) -> Numbering:
    """Certain but for the two uppermost: one probable, one uncertain."""
    vertebrae = []
    for n, level in enumerate(LEVELS):
        certainty = {0: Certainty.UNCERTAIN, 1: Certainty.PROBABLE}.get(n, Certainty.CERTAIN)
        possible = [Possible(level, 0.7 if n == 0 else 0.99)] + ([Possible("T8", 0.3)] if n == 0 else [])
        refs = (BoneRef(skeleton.series_id, f"V{n + 1}"),)
        vertebrae.append(NumberedVertebra(refs, tuple(possible), certainty, ("seen: last rib, sacrum",)))
    problem = Problem(Severity.INFO, "numbered-apart", "numbered on its own", skeleton.series_id)
    return Numbering(tuple(vertebrae), (SpineCount(12, 5, 0.97),), (problem,))


def site_at(skeleton: Skeleton, index: int) -> BoneSite:
    """Inside the vertebra of an index."""
    level = LEVELS[index]
    vertebra = numbering_of(skeleton).vertebrae[index]
    return BoneSite(
        f"vertebra {level}", skeleton.series_id, f"V{index + 1}", 0.8, 0.0, 0.0,
        code=structure(f"vertebra {level}").code, part="body", possible=vertebra.possible,
        certainty=vertebra.certainty, also=("L1",) if level == "T12" else (), reasons=vertebra.reasons,
    )  # fmt: skip


def with_skeleton(workup: Workup, volumes: dict[str, Volume]) -> Workup:
    """The workup with skeletons, levels, and sites of its lesions."""
    skeleton = skeleton_of(volumes["CT"])
    empty = Skeleton(volumes["STIR"].series.id, (), (), ("vertebra",), "test")
    others = [v.series.id for name, v in volumes.items() if name not in ("CT", "STIR")]
    sites = {"GTV_Mass": site_at(skeleton, 3), "GTV_Edema <b>": site_at(skeleton, 0)}
    names = {lesion.id: lesion.name for lesion in workup.lesions}
    numbering = numbering_of(skeleton)
    away = NoSite("no bone that was found lies within 15 mm")
    hip = replace(
        site_at(skeleton, 0), bone="hip bone left", code=structure("hip bone left").code,
        laterality=codes.LEFT, part="", possible=(), certainty=None, share=0.0, distance_mm=6.4,
    )  # fmt: skip
    pet = volumes["PET FDG"].series.id
    return replace(
        workup,
        lesions=tuple(replace(x, site=sites[x.name]) for x in workup.lesions),
        findings=tuple(
            replace(
                f,
                site=away if f.series_id == pet and f.region == "mapped" else sites[names[f.lesion_id]],
            )
            for f in workup.findings
        ),
        tracks=tuple(
            replace(t, site=sites[t.name], site_disagreements=(f"E3: {hip}",) if t.id == "L1" else ())
            for t in workup.tracks
        ),
        skeletons=(skeleton, empty),
        not_read=tuple(NotRead(i, "E2-S1 shows this part already") for i in others),
        numbering=numbering,
    )
