"""Vertebrae of a CT told apart: every voxel says where the centre of its vertebra is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from osteotrace.anatomy.ct_answer import CtAnswer
from osteotrace.anatomy.row import longest_row
from osteotrace.space import FloatArray

_SEEN: Final = 0.5
_LIKELY: Final = 0.4  # of a vertebra, where its border is drawn on the lattice of the network
_VOTE_SIGMA_MM: Final = 2.5
_PEAK_MM: Final = 10.0  # least distance of two centres; those of C3 and C4 are some 14 mm apart
_REACH_MM: Final = 12.0  # of a voxel's vote from the centre of its vertebra
_LEAST_BODY_ML: Final = 0.8
_LEAST_CORE_ML: Final = 0.1
_FEWEST_TO_COMPARE: Final = 3
_TWICE_SHARE: Final = 0.55  # two centres nearer than this share of the usual distance are one
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
    """

    whole: NDArray[np.int32]
    bodies: NDArray[np.bool_]
    centres: FloatArray

    @property
    def count(self) -> int:
        """Number of vertebrae."""
        return len(self.centres)


def vertebrae_of(found: CtAnswer) -> CtVertebrae:
    """The vertebrae that stand in one row; none where there are fewer than two."""
    spacing = found.lattice.spacing
    is_body = found.of("vertebra body") & (found.vertebra > _LIKELY)
    mask = found.vertebra > _LIKELY
    where = np.argwhere(mask)
    if len(where) == 0:
        return _none(found)
    votes = where * spacing + found.to_centre[:, *where.T].T
    centres = _centres(where, votes, found, is_body)
    if len(centres) < _FEWEST:
        return _none(found)
    distance, owner = cKDTree(centres).query(votes, distance_upper_bound=_REACH_MM)
    kept = np.isfinite(distance)
    labels = np.zeros(mask.shape, np.int32)
    labels[tuple(where[kept].T)] = owner[kept] + 1
    labels = _without_crumbs(labels)
    row = _row(labels, is_body, found)
    if len(row) < _FEWEST:
        return _none(found)
    table = np.zeros(int(labels.max()) + 1, np.int32)
    table[row] = np.arange(1, len(row) + 1)
    whole = table[labels]
    numbers = range(1, len(row) + 1)
    middle = np.array(ndimage.center_of_mass(is_body, np.where(is_body, whole, 0), numbers))
    return CtVertebrae(whole, is_body & (whole > 0), middle)


def _none(found: CtAnswer) -> CtVertebrae:
    empty = np.zeros(found.lattice.shape, np.int32)
    return CtVertebrae(empty, empty > 0, np.zeros((0, 3)))


def _centres(
    where: NDArray[np.intp], votes: FloatArray, found: CtAnswer, is_body: NDArray[np.bool_]
) -> FloatArray:
    """Places that many voxels of cores point at; mm from the first voxel, shape (n, 3)."""
    spacing, at = found.lattice.spacing, tuple(where.T)
    sure = is_body[at] & (found.core[at] > _SEEN)
    if not sure.any():
        return np.zeros((0, 3))
    step = float(spacing.min())
    low = votes[sure].min(axis=0) - 4 * step
    bins = np.round((votes[sure] - low) / step).astype(int)
    density = np.zeros(bins.max(axis=0) + 5, np.float32)
    np.add.at(density, tuple(bins.T), 1.0)
    density = ndimage.gaussian_filter(density, _VOTE_SIGMA_MM / step)
    size = int(_PEAK_MM / step) // 2 * 2 + 1
    peaks = np.argwhere((ndimage.maximum_filter(density, size) == density) & (density > 0))
    places = peaks * step + low
    if len(places) == 0:
        return np.zeros((0, 3))
    voxel_ml = found.lattice.voxel_volume_mm3 / 1000.0
    tree = cKDTree(places)
    cores = _counts(tree, votes[sure], len(places)) * voxel_ml
    bodies = _counts(tree, votes[is_body[at]], len(places)) * voxel_ml
    kept = (cores > _LEAST_CORE_ML) & (bodies > _LEAST_BODY_ML)
    return _once(np.asarray(places[kept]), bodies[kept])


def _counts(tree: cKDTree, votes: FloatArray, count: int) -> FloatArray:
    """Votes that are nearest to each place and within reach."""
    distance, owner = tree.query(votes, distance_upper_bound=_REACH_MM)
    return np.asarray(np.bincount(owner[np.isfinite(distance)], minlength=count)[:count], float)


def _once(places: FloatArray, weights: FloatArray) -> FloatArray:
    """Places of which none lies far nearer to another than is usual here; the weaker of two goes."""
    order = np.argsort(places[:, 0])
    places, weights = places[order], weights[order]
    while len(places) > _FEWEST_TO_COMPARE:
        gaps = np.linalg.norm(np.diff(places, axis=0), axis=1)
        share = gaps / np.array([_usual(gaps, n) for n in range(len(gaps))])
        worst = int(share.argmin())
        if share[worst] > _TWICE_SHARE:
            break
        gone = worst if weights[worst] < weights[worst + 1] else worst + 1
        places, weights = np.delete(places, gone, axis=0), np.delete(weights, gone)
    return places


def _usual(gaps: FloatArray, n: int) -> float:
    """Median of the gaps around one, without it."""
    first = max(0, n - 2)
    return float(np.median(np.delete(gaps[first : n + 3], n - first)))


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


def _row(labels: NDArray[np.int32], is_body: NDArray[np.bool_], found: CtAnswer) -> list[int]:
    return longest_row(np.where(is_body, labels, 0), found.lattice)


def spinous_offset_mm(vertebrae: CtVertebrae, found: CtAnswer) -> tuple[float, float]:
    """How far spinous processes reach below their bodies, along the spine, and behind them; medians, mm.

    NaN where no posterior part was seen.
    """
    spacing = found.lattice.spacing
    centres = vertebrae.centres * spacing
    along = np.gradient(centres, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    away = []
    for n, box in enumerate(ndimage.find_objects(vertebrae.whole)):
        assert box is not None
        rear = (vertebrae.whole[box] == n + 1) & ~vertebrae.bodies[box]
        points = (np.argwhere(rear) + [s.start for s in box]) * spacing
        if len(points) >= _FEWEST_REAR:
            tip = points[points[:, 1] >= np.percentile(points[:, 1], _TIP)].mean(axis=0) - centres[n]
            away.append((float(tip @ along[n]), float(tip[1])))
    if not away:
        return float("nan"), float("nan")
    below, behind = np.median(away, axis=0)
    return float(below), float(behind)
