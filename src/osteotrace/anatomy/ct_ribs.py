"""Ribs of a CT as instances, and which vertebrae they join."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.anatomy.ct_answer import CtAnswer
from osteotrace.anatomy.ct_settings import CtSettings
from osteotrace.anatomy.ct_vertebrae import CtVertebrae, voxels_of_each
from osteotrace.space import FloatArray

_LEAST_ML: Final = 0.6
_NEAR_MM: Final = 18.0  # of a vertebra: the head and neck of a rib
_CLEAR, _BOTH, _ONE, _NONE = 0.999, 0.99, 0.95, 0.01


@dataclass(frozen=True, slots=True, eq=False)
class CtRibs:
    """Ribs on the lattice of the network.

    Attributes
    ----------
    labels : ndarray of int32, shape lattice.shape
        Instances, 1, 2 ...
    sides : tuple of str
        ``left`` or ``right``, per instance.
    joined : tuple of float or None
        Per vertebra the probability that a rib joins it; None where it cannot be told.
    """

    labels: NDArray[np.int32]
    sides: tuple[str, ...]
    joined: tuple[float | None, ...]


def ribs_of(found: CtAnswer, vertebrae: CtVertebrae, cut: tuple[bool, ...], settings: CtSettings) -> CtRibs:
    """Ribs, and the vertebrae that they join; none where there is no vertebra.

    Parameters
    ----------
    cut : tuple of bool
        Per vertebra, whether the field of view cuts its body, beside which the rib would lie.
    """
    if vertebrae.count == 0:
        return CtRibs(np.zeros(found.lattice.shape, np.int32), (), ())
    parts = instances(found)
    middle = midline(found, vertebrae)
    sides = []
    for own in voxels_of_each(parts):
        left = own[:, 2] - middle[own[:, 0]] > 0
        sides.append("left" if left.mean() > 0.5 else "right")
    on_side = _joins(parts, tuple(sides), vertebrae, found, settings)
    joined = []
    for n in range(vertebrae.count):
        joined.append(
            _probability(
                on_side[n],
                _sees_sides(found, vertebrae.centres[n], settings.rib_side_mm),
                settings.rib_clear_mm,
                cut=cut[n],
            )
        )
    return CtRibs(parts, tuple(sides), tuple(joined))


def instances(found: CtAnswer) -> NDArray[np.int32]:
    """Connected parts of what is rib; small ones are left out."""
    parts, count = ndimage.label(found.of("rib"))
    voxel_ml = found.lattice.voxel_volume_mm3 / 1000.0
    sizes = np.bincount(parts.ravel(), minlength=count + 1) * voxel_ml
    kept = np.flatnonzero(sizes >= _LEAST_ML)
    kept = kept[kept > 0]
    table = np.zeros(count + 1, np.int32)
    table[kept] = np.arange(1, len(kept) + 1)
    return np.asarray(table[parts])


def midline(found: CtAnswer, vertebrae: CtVertebrae) -> FloatArray:
    """Left-right index of the spine at each row of the lattice; without vertebrae that of the sacrum."""
    rows = np.arange(found.lattice.shape[0])
    if vertebrae.count == 0:
        return np.full(len(rows), np.argwhere(found.of("sacrum"))[:, 2].mean())
    return np.asarray(np.interp(rows, vertebrae.centres[:, 0], vertebrae.centres[:, 2]))


def _joins(
    parts: NDArray[np.int32],
    sides: tuple[str, ...],
    vertebrae: CtVertebrae,
    found: CtAnswer,
    settings: CtSettings,
) -> list[dict[str, float | None]]:
    """Per vertebra and side the length of the rib that joins it, mm; 0 without, None for a doubtful piece."""
    out: list[dict[str, float | None]] = [{"left": 0.0, "right": 0.0} for _ in range(vertebrae.count)]
    spacing = tuple(float(s) for s in found.lattice.spacing)
    rows = np.flatnonzero((vertebrae.whole > 0).any(axis=(1, 2)))
    reach = int(_NEAR_MM / spacing[0]) + 1
    part = slice(max(0, rows[0] - reach), rows[-1] + reach + 1)
    whole, ribs = vertebrae.whole[part], parts[part]
    columns = np.flatnonzero((whole > 0).any(axis=(0, 1)))
    beside = slice(max(0, columns[0] - reach), columns[-1] + reach + 1)
    whole, ribs = whole[:, :, beside], ribs[:, :, beside]
    distance, nearest = ndimage.distance_transform_edt(whole == 0, sampling=spacing, return_indices=True)
    near = (ribs > 0) & (distance < _NEAR_MM)
    heads, count = ndimage.label(near)
    lengths = _lengths(parts, spacing)
    for head in range(1, count + 1):
        own = heads == head
        least = float(distance[own].min())
        if least > settings.rib_touch_mm:
            continue
        close = own & (distance < least + 4.0)
        numbers = np.bincount(whole[tuple(index[close] for index in nearest)])
        vertebra = int(numbers.argmax())
        rib = int(np.bincount(ribs[own]).argmax())
        sure = (
            lengths[rib] >= settings.rib_length_mm
            and numbers[vertebra] >= settings.rib_own_share * numbers.sum()
        )
        side, own_sides = sides[rib - 1], out[vertebra - 1]
        if sure:
            own_sides[side] = max(own_sides[side] or 0.0, float(lengths[rib]))
        elif not own_sides[side]:
            own_sides[side] = None
    return out


def _lengths(parts: NDArray[np.int32], spacing: tuple[float, ...]) -> FloatArray:
    """Diagonal of the box around each part, mm; by label."""
    boxes = ndimage.find_objects(parts)
    sizes = [
        np.linalg.norm([(s.stop - s.start) * step for s, step in zip(box, spacing, strict=True)])
        if box is not None
        else 0.0
        for box in boxes
    ]
    return np.array([0.0, *sizes])


def _sees_sides(found: CtAnswer, centre: FloatArray, side_mm: float) -> bool:
    """Whether the volume reaches far enough to both sides of a body."""
    step = side_mm / found.lattice.spacing[2]
    for k in (centre[2] - step, centre[2] + step):
        at = np.round((centre[0], centre[1], k)).astype(int)
        if (at < 0).any() or (at >= found.lattice.shape).any() or not found.inside[tuple(at)]:
            return False
    return True


def _probability(on_side: dict[str, float | None], sees: bool, clear_mm: float, *, cut: bool) -> float | None:
    """That a rib joins a vertebra, from the lengths on its two sides."""
    seen = list(on_side.values())
    if all(seen):
        return _CLEAR if all(length is not None and length >= clear_mm for length in seen) else _BOTH
    if any(seen):
        return _ONE
    return None if cut or not sees or any(length is None for length in seen) else _NONE
