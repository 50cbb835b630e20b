"""Vertebrae of a CT told apart: bodies along the line of the spine, posterior parts by where they point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from osteotrace.anatomy.ct_answer import CtAnswer
from osteotrace.anatomy.ct_row import Line, borders, discs, evidence, line_through, sure
from osteotrace.anatomy.ct_settings import CtSettings
from osteotrace.space import FloatArray

_LIKELY: Final = 0.4  # of a vertebra, where its border is drawn on the lattice of the network
_BESIDE_MM: Final = 36.0  # of the line, in which a body lies
_POINT_MM: Final = 22.0  # of the line, that a voxel of a posterior part points at
_LEAST_BODY_ML: Final = 0.8
_PART_SHARE: Final = 0.08  # of a vertebra, below which a loose part is left out
_FEWEST: Final = 2
_FEWEST_REAR: Final = 20  # voxels of a posterior part
_TIP: Final = 85.0  # percentile of the depth from which on it is the spinous process


@dataclass(frozen=True, slots=True, eq=False)
class CtVertebrae:
    """Vertebrae of one volume on the lattice of the network.

    Attributes
    ----------
    whole : ndarray of int32, shape lattice.shape
        Instances with their posterior parts, numbered from head to tail.
    bodies : ndarray of bool, shape lattice.shape
        Which of these voxels are body.
    centres : ndarray of float64, shape (count, 3)
        Of the bodies, in voxels of the lattice.
    clear : tuple of bool
        Per vertebra, whether the discs above and below it were seen; if not, it may be two, or a part.
    """

    whole: NDArray[np.int32]
    bodies: NDArray[np.bool_]
    centres: FloatArray
    clear: tuple[bool, ...]

    @property
    def count(self) -> int:
        """Number of vertebrae."""
        return len(self.centres)


def vertebrae_of(found: CtAnswer, settings: CtSettings) -> CtVertebrae:
    """The vertebrae that stand in one row; none where there are fewer than two.

    Where more of the column is disc than can be, marrow and discs may be mistaken for each other: no vertebra
    is clear.
    """
    line = line_through(found)
    if line is None:
        return _none(found)
    seen, depth = evidence(found, line)
    ends = borders(discs(seen, depth), len(line.points))
    if len(ends) <= _FEWEST:
        return _none(found)
    likely = found.vertebra > _LIKELY
    is_body = likely & found.of("vertebra body")
    labels = np.zeros(found.lattice.shape, np.int32)
    _share_out(labels, is_body, ends, line, found)
    _share_out(labels, likely & ~is_body, ends, line, found, pointed=True)
    clear = sure(ends, seen, depth, settings.disc_evidence)
    if found.of("intervertebral disc").sum() > settings.disc_share_max * is_body.sum():
        clear = [False] * len(clear)
    return _numbered(_without_crumbs(labels), is_body, clear, found)


def _none(found: CtAnswer) -> CtVertebrae:
    empty = np.zeros(found.lattice.shape, np.int32)
    return CtVertebrae(empty, empty > 0, np.zeros((0, 3)), ())


def _share_out(
    labels: NDArray[np.int32],
    mask: NDArray[np.bool_],
    ends: list[int],
    line: Line,
    found: CtAnswer,
    *,
    pointed: bool = False,
) -> None:
    """Give voxels the number of the piece of the line that they lie at, or (`pointed`) that they point at."""
    spacing = found.lattice.spacing
    where = np.argwhere(mask)
    places = where * spacing
    if pointed:
        places = places + found.to_centre[:, *where.T].T
    distance, nearest = cKDTree(line.points * spacing).query(places)
    piece = np.searchsorted(ends, nearest, side="right")
    kept = (piece > 0) & (piece < len(ends)) & (distance < (_POINT_MM if pointed else _BESIDE_MM))
    labels[tuple(where[kept].T)] = piece[kept]


def _numbered(
    labels: NDArray[np.int32], is_body: NDArray[np.bool_], clear: list[bool], found: CtAnswer
) -> CtVertebrae:
    """Those with enough of a body, numbered anew."""
    volumes = np.bincount(labels[is_body]) * found.lattice.voxel_volume_mm3 / 1000.0
    kept = np.flatnonzero(volumes >= _LEAST_BODY_ML)
    kept = kept[kept > 0]
    if len(kept) < _FEWEST:
        return _none(found)
    table = np.zeros(int(labels.max()) + 1, np.int32)
    table[kept] = np.arange(1, len(kept) + 1)
    whole = table[labels]
    bodies = is_body & (whole > 0)
    where = np.argwhere(bodies)
    number = whole[bodies]
    middle = [np.bincount(number, weights=where[:, axis])[1:] / np.bincount(number)[1:] for axis in range(3)]
    return CtVertebrae(whole, bodies, np.column_stack(middle), tuple(clear[n - 1] for n in kept))


def _without_crumbs(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Instances without loose parts that are small beside the greatest."""
    out = labels.copy()
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        parts, count = ndimage.label(labels[box] == number)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        sizes[0] = 0
        small = (parts > 0) & (sizes[parts] < _PART_SHARE * sizes.max())
        out[box][small] = 0
    return out


def voxels_of_each(labels: NDArray[np.int32]) -> list[NDArray[np.intp]]:
    """Voxels of each instance, 1, 2 ... without a gap; each of shape (n, 3)."""
    out = []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        assert box is not None
        out.append(np.asarray(np.argwhere(labels[box] == number) + [s.start for s in box]))
    return out


def spinous_offset_mm(vertebrae: CtVertebrae, found: CtAnswer) -> tuple[float, float]:
    """How far spinous processes reach below their bodies, along the spine, and behind them; medians, mm.

    NaN where no posterior part was seen.
    """
    spacing = found.lattice.spacing
    centres = vertebrae.centres * spacing
    along = np.gradient(centres, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    away = []
    for n, where in enumerate(voxels_of_each(vertebrae.whole)):
        points = where[~vertebrae.bodies[tuple(where.T)]] * spacing
        if len(points) >= _FEWEST_REAR:
            tip = points[points[:, 1] >= np.percentile(points[:, 1], _TIP)].mean(axis=0) - centres[n]
            away.append((float(tip @ along[n]), float(tip[1])))
    if not away:
        return float("nan"), float("nan")
    below, behind = np.median(away, axis=0)
    return float(below), float(behind)
