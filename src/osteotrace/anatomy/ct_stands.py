"""Whether the patient of a CT stands in it as the header says: head up, face forward, heart on the left."""

from __future__ import annotations

import itertools
from typing import Final

import numpy as np

from osteotrace.anatomy.ct_answer import CtAnswer
from osteotrace.anatomy.ct_bones import Found
from osteotrace.anatomy.ct_settings import CtSettings
from osteotrace.anatomy.ct_vertebrae import CtVertebrae, spinous_offset_mm
from osteotrace.space import FloatArray

_FEWEST_UPRIGHT: Final = 4  # vertebrae, to say by their spinous processes which way they stand
# From head to feet; mL, so that it is not a mistake of the network. No femora: raised arms look like them.
_ORDER: Final = (
    (("skull", 200.0),),
    (("scapula", 25.0),),
    (("lung", 300.0), ("heart", 200.0)),
    (("liver", 300.0),),
    (("kidney", 80.0),),
    (("sacrum", 60.0), ("hip bone", 200.0)),
)
_PELVIS: Final = (("vertebra body", 5.0), ("sacrum", 60.0), ("hip bone", 200.0), ("spinal canal", 15.0))  # mL
_APART_MM: Final = 20.0  # of two centres, so that one lies above the other
_OUTVOTED: Final = 2  # so many pairs in order outweigh one that is not
_LIVER_MM: Final = 20.0  # of the spine on the left, where a liver has no business to be
_HEART_MM, _HEART_ML = 8.0, 150.0  # of the spine on the right, where the middle of no heart lies; least of it


def arches_are_behind(vertebrae: CtVertebrae, found: CtAnswer, settings: CtSettings) -> bool:
    """Whether the vertebrae have arches, and these lie behind the bodies.

    In an image whose front and back are exchanged the network sees bodies, but hardly any arch.
    """
    _, behind = spinous_offset_mm(vertebrae, found)
    return arch_share(found) >= settings.arch_share_min and behind >= settings.spinous_behind_mm


def arch_share(found: CtAnswer) -> float:
    """Volume of all posterior parts of vertebrae over that of all bodies."""
    bodies = int(found.of("vertebra body").sum())
    return int(found.of("vertebra posterior").sum()) / bodies if bodies else 0.0


def is_upside_down(vertebrae: CtVertebrae, found: CtAnswer, settings: CtSettings) -> bool:
    """Whether organs and bones stand in the order from feet to head, or spinous processes rise."""
    right, wrong = order_of_organs(found)
    if wrong > _OUTVOTED * right:
        return True
    below, _ = spinous_offset_mm(vertebrae, found)
    return vertebrae.count >= _FEWEST_UPRIGHT and below < -settings.spinous_above_mm


def shows_a_pelvis(found: CtAnswer) -> bool:
    """Whether there is a pelvis that stands upright and faces forward, where no row of vertebrae is in view.

    Its sacrum lies behind the hip bones, below what there is of the lumbar spine, and holds a canal.
    """
    middle = {name: found.of(name) for name, _ in _PELVIS}
    voxel_ml = found.lattice.voxel_volume_mm3 / 1000.0
    if any(middle[name].sum() * voxel_ml < least_ml for name, least_ml in _PELVIS):
        return False
    spine, sacrum, hips, _ = (np.argwhere(middle[name]).mean(axis=0) for name, _ in _PELVIS)
    spacing = found.lattice.spacing
    below = (sacrum[0] - spine[0]) * float(spacing[0])
    return bool(below >= _APART_MM and sacrum[1] > hips[1])


def order_of_organs(found: CtAnswer) -> tuple[int, int]:
    """Pairs of organs and bones that stand in the order of a body, and in the opposite one."""
    voxel_ml = found.lattice.voxel_volume_mm3 / 1000.0
    rows = np.arange(found.lattice.shape[0])
    levels = []
    for group in _ORDER:
        middles = []
        for name, least_ml in group:
            line = (found.classes == found.names.index(name)).sum(axis=(1, 2))
            if line.sum() * voxel_ml >= least_ml:
                middles.append(float(line @ rows) / float(line.sum()) * float(found.lattice.spacing[0]))
        levels.append(middles)
    steps = [
        below - above
        for upper, lower in itertools.combinations(levels, 2)
        for above in upper
        for below in lower
        if abs(below - above) >= _APART_MM
    ]
    return sum(step > 0 for step in steps), sum(step < 0 for step in steps)


def sides_are_exchanged(organs: list[Found], middle: FloatArray, found: CtAnswer) -> str:
    """What lies on the wrong side: ``liver``, or where there is none in view ``heart``; else empty.

    Parameters
    ----------
    middle : ndarray, shape (rows,)
        Left-right index of the midline at each row of the lattice.
    """
    to_left = {
        item.name: float((item.where[:, 2] - middle[item.where[:, 0]]).mean() * found.lattice.spacing[2])
        for item in organs
        if item.name == "liver"
        or (item.name == "heart" and len(item.where) * found.lattice.voxel_volume_mm3 >= _HEART_ML * 1000.0)
    }
    if "liver" in to_left:
        return "liver" if to_left["liver"] > _LIVER_MM else ""
    return "heart" if to_left.get("heart", 0.0) < -_HEART_MM else ""
