"""Make the standard skeleton of :mod:`osteotrace.registration.planar_skeleton` from the phantom.

    python training/standard_skeleton.py [FILE]

A body of usual size without disease lies with the arms down; its CT, without noise, goes the way of a
patient's CT. No data of a patient take part. The same code gives the same file.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from osteotrace.model.anatomy import Anatomy, Bone
from osteotrace.model.criteria import load_criteria
from osteotrace.model.imaging import UNKNOWN, CtFacts, Series, Volume
from osteotrace.model.planar import Skeleton
from osteotrace.model.values import Modality, Quantity
from osteotrace.phantom.body import BodyOptions, build_body
from osteotrace.phantom.posture import Lie, lay_down
from osteotrace.phantom.protocols import CtProtocol
from osteotrace.phantom.records import Body
from osteotrace.phantom.scanner import Scene, acquire_ct, bone_labels
from osteotrace.registration.planar_settings import PlanarSettings
from osteotrace.registration.planar_skeleton import skeleton_of
from osteotrace.space import Grid

SEED = 1000
STEP_MM = 3.0
POINTS = 9000
TARGET = Path(__file__).parents[1] / "src" / "osteotrace" / "registration" / "standard_skeleton.npz"
_WORDS = {"clavicula": "clavicle", "hip": "hip bone"}


def main() -> None:
    """Write the file."""
    skeleton = standard()
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    np.savez_compressed(
        target,
        points=np.rint(np.asarray(skeleton.points)).astype(np.int16),
        weight=skeleton.weight,
        bone=skeleton.bone.astype(np.uint8),
        region=skeleton.region.astype(np.uint8),
        front_mm=np.rint(skeleton.front_mm).astype(np.int16),
        back_mm=np.rint(skeleton.back_mm).astype(np.int16),
        bones=np.array(skeleton.bones),
    )


def standard() -> Skeleton:
    """The skeleton of the body."""
    body = build_body(BodyOptions(sex="M", age_years=50), SEED)
    posture = lay_down(body, Lie(), "1.2.826.0.1.3680043.8.498.1", np.random.default_rng(SEED))
    scene = Scene(body, (), posture, SEED)
    grid = _grid(body, posture.frame_of_reference_uid)
    values = acquire_ct(scene, replace(CtProtocol("CT"), noise_hu=0.0), grid, SEED)
    labels = bone_labels(scene, grid)
    series = Series(
        "standard", "", "", "", Modality.CT, "CT", "", UNKNOWN, None, Quantity.HU, "", grid, CtFacts(), 1
    )
    settings = replace(PlanarSettings.of(load_criteria()), most_points=POINTS)
    skeleton = skeleton_of(_anatomy(body, labels, grid), Volume(values, grid, series), settings)
    named = np.flatnonzero(np.asarray(skeleton.bone) > 0)  # forearms and shanks have no names in the phantom
    return replace(
        skeleton,
        **{
            key: np.asarray(getattr(skeleton, key))[named]
            for key in ("points", "weight", "bone", "region", "front_mm", "back_mm")
        },
    )


def _grid(body: Body, frame: str) -> Grid:
    low = np.min([bone.part.shape.low for bone in body.bones], axis=0) - 60.0
    high = np.max([bone.part.shape.high for bone in body.bones], axis=0) + 60.0
    affine = np.diag([STEP_MM, STEP_MM, STEP_MM, 1.0])
    affine[:3, 3] = low
    shape = np.ceil((high - low) / STEP_MM).astype(int)
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine, frame)


def _anatomy(body: Body, labels: np.ndarray, grid: Grid) -> Anatomy:
    bones = []
    for label, bone in enumerate(body.bones, start=1):
        at = np.argwhere(labels == label)
        if not len(at):
            continue
        x, y, z = (float(v) for v in grid.points(at.mean(axis=0)))
        level = bone.code_name if bone.name.startswith("vertebrae") else ""
        name = "vertebra" if level else _name(bone.name)
        bones.append(Bone(level or name, name, label, (x, y, z), 1.0, False, declared_level=level))
    return Anatomy("standard", labels, grid, tuple(bones), (), frozenset(), "phantom")


def _name(part: str) -> str:
    """A name of osteotrace for a part: ``rib_left_5`` is ``rib left 5``."""
    first, _, rest = part.partition("_")
    return " ".join([_WORDS.get(first, first), *rest.split("_")]).strip()


if __name__ == "__main__":
    main()
