"""The other bones and the organs of a CT, as the network outlines them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.anatomy.ct_answer import CtAnswer
from osteotrace.anatomy.ct_settings import CtSettings
from osteotrace.space import FloatArray

Box: TypeAlias = tuple[slice, slice, slice]
Place: TypeAlias = Callable[[Box], NDArray[np.bool_]]

SINGLE_BONES: Final = (("sacrum", 10.0), ("sternum", 4.0), ("skull", 15.0))  # least volume, mL
PAIRED_BONES: Final = (("hip bone", 10.0), ("scapula", 4.0), ("femur", 8.0))
SINGLE_ORGANS: Final = (("heart", 60.0), ("liver", 100.0), ("urinary bladder", 15.0), ("aorta", 8.0))
PAIRED_ORGANS: Final = (("lung", 50.0), ("kidney", 25.0), ("back muscles", 15.0), ("iliopsoas", 15.0))
PELVIC: Final = ("hip bone", "femur")
_LEAST_CAVA_ML: Final = 5.0
_LEAST_PART: Final = 0.1  # of the greatest part of a bone, below which a loose part is left out


@dataclass(frozen=True, eq=False)
class Found:
    """One bone or structure: a mask in a box of the network's lattice."""

    name: str
    box: Box
    mask: NDArray[np.bool_]
    coarse: bool = False

    @cached_property
    def where(self) -> NDArray[np.intp]:
        """Its voxels in the whole lattice, shape (n, 3)."""
        return np.asarray(np.argwhere(self.mask) + [s.start for s in self.box])


def bones_of(found: CtAnswer, middle: FloatArray, lowest: float, settings: CtSettings) -> list[Found]:
    """Sacrum, sternum, skull, hip bones, scapulae and femora that are in view.

    The network takes raised arms for femora and jaws for hip bones; what lies higher than a pelvis can is
    left out.

    Parameters
    ----------
    middle : ndarray, shape (rows,)
        Left-right index of the midline at each row of the lattice.
    lowest : float
        Row of the lattice in which the centre of the lowest vertebra lies; infinite where there is none.
    """
    step = float(found.lattice.spacing[0])
    top = lowest - settings.pelvis_reach_mm / step if np.isfinite(lowest) else -np.inf
    highest = lowest - settings.pelvis_middle_mm / step if np.isfinite(lowest) else -np.inf
    boxes = _boxes(found)
    out = []
    for name, least_ml in SINGLE_BONES:
        item = _main(name, found, boxes, least_ml)
        if item is not None and (name != "sacrum" or _height_mm(item, found) >= settings.sacrum_height_mm):
            out.append(item)
    for name, least_ml in PAIRED_BONES:
        if name in PELVIC:
            pelvic = _by_side(name, found, boxes, middle, least_ml, top)
            out += [item for item in pelvic if item.where[:, 0].mean() >= highest]
        else:
            out += _by_side(name, found, boxes, middle, least_ml)
    return out


def organs_of(found: CtAnswer, middle: FloatArray) -> list[Found]:
    """Lungs, heart, great vessels, organs and muscles; all but the lungs coarse."""
    boxes = _boxes(found)
    out = [_main(name, found, boxes, least_ml) for name, least_ml in SINGLE_ORGANS]
    for name, least_ml in PAIRED_ORGANS:
        out += _by_side(name, found, boxes, middle, least_ml)
    out += _venae_cavae(found, boxes, next((f for f in out if f is not None and f.name == "heart"), None))
    return [
        Found(item.name, item.box, item.mask, coarse=not item.name.startswith("lung"))
        for item in out
        if item is not None
    ]


def _boxes(found: CtAnswer) -> dict[str, Box]:
    boxes = ndimage.find_objects(found.classes)
    return {found.names[n]: box for n, box in enumerate(boxes, start=1) if box is not None}


def _venae_cavae(found: CtAnswer, boxes: dict[str, Box], heart: Found | None) -> list[Found | None]:
    """The two venae cavae, told apart by the heart between them."""
    if heart is None:
        return []
    row = float(heart.where[:, 0].mean())

    def above(box: Box) -> NDArray[np.bool_]:
        return np.asarray(np.arange(box[0].start, box[0].stop)[:, None, None] < row)

    return [
        _main("vena cava", found, boxes, _LEAST_CAVA_ML, "superior vena cava", above),
        _main("vena cava", found, boxes, _LEAST_CAVA_ML, "inferior vena cava", lambda box: ~above(box)),
    ]


def _by_side(
    name: str,
    found: CtAnswer,
    boxes: dict[str, Box],
    middle: FloatArray,
    least_ml: float,
    top_row: float = -np.inf,
) -> list[Found]:
    """Parts of a paired structure left and right of the midline, below a row of the lattice."""

    def left(box: Box) -> NDArray[np.bool_]:
        k = np.arange(box[2].start, box[2].stop)[None, None, :]
        return np.asarray(k > middle[box[0], None, None])

    def below(box: Box) -> NDArray[np.bool_]:
        return np.asarray(np.arange(box[0].start, box[0].stop)[:, None, None] > top_row)

    both = (
        _main(name, found, boxes, least_ml, f"{name} left", lambda box: left(box) & below(box)),
        _main(name, found, boxes, least_ml, f"{name} right", lambda box: ~left(box) & below(box)),
    )
    return [item for item in both if item is not None]


def _main(
    name: str,
    found: CtAnswer,
    boxes: dict[str, Box],
    least_ml: float,
    called: str = "",
    place: Place | None = None,
) -> Found | None:
    """The greatest part of a class with what is not small beside it; None when there is too little."""
    box = boxes.get(name)
    if box is None:
        return None
    mask = found.classes[box] == found.names.index(name)
    if place is not None:
        mask &= place(box)
    parts, count = ndimage.label(mask)
    if count == 0:
        return None
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    if sizes.max() * found.lattice.voxel_volume_mm3 / 1000.0 < least_ml:
        return None
    return Found(called or name, box, (sizes >= _LEAST_PART * sizes.max())[parts] & mask)


def _height_mm(item: Found, found: CtAnswer) -> float:
    return float((np.ptp(item.where[:, 0]) + 1) * found.lattice.spacing[0])
