"""How unlikely it is that two outlines are the same lesion."""

from __future__ import annotations

from dataclasses import dataclass

import edt
import numpy as np
from numpy.typing import NDArray

from osteotrace.model.alignment import Carried
from osteotrace.model.criteria import Criteria
from osteotrace.model.lesion import Lesion
from osteotrace.model.values import Verdict
from osteotrace.space import FloatArray, Grid, Mask, RigidTransform, resample

# 95% radius of a three-dimensional normal error in units of its SD (chi with 3 degrees of freedom).
_R95 = 2.795
# Voxels along the longest side of the box on which two outlines are compared.
_BOX_VOXELS = 48


@dataclass(frozen=True, slots=True)
class MatchCriteria:
    """The constants of matching (criteria ``matching.*``)."""

    outline_sd_fraction: float
    outline_sd_min_mm: float
    growth_sd_fraction: float
    volume_log_sd: float
    overlap_weight: float
    null_cost: float
    coverage_min: float


def match_criteria(criteria: Criteria) -> MatchCriteria:
    """Read the constants of matching from the criteria."""
    names = MatchCriteria.__dataclass_fields__
    return MatchCriteria(**{name: criteria.number(f"matching.{name}") for name in names})


@dataclass(frozen=True, slots=True)
class Link:
    """Two outlines compared.

    Attributes
    ----------
    distance_mm : float
        Between the centroids, after alignment.
    overlap : float
        Share of both outlines that lies within the predicted error of the other, and what growth to a side
        adds to it, 0 to 1.
    cost : float
        Half the sum of squared deviations; lower is more alike.
    """

    first: str
    second: str
    distance_mm: float
    overlap: float
    cost: float
    verdict: Verdict
    confidence: float = 0.0


def link(first: Lesion, second: Lesion, carried: Carried, rules: MatchCriteria) -> Link:
    """Compare two outlines through the alignment of their frames; names play no part.

    The cost adds up, each in units of its expected spread: the distance of the centroids (alignment error,
    outlining, and growth to one side), the ratio of the volumes, and the lack of overlap when the alignment
    error and that growth are allowed for. Two nested outlines (a mass inside its edema) share the centre but
    not the size.

    Parameters
    ----------
    carried : Carried
        What the way from the frame of ``first`` to that of ``second`` says at the centroid of ``first``.
    """
    motion, error_mm = carried.motion, carried.radius_mm
    distance = float(np.linalg.norm(motion.apply(first.centroid_mm) - second.centroid_mm))
    small, large = sorted(float(np.cbrt(6000.0 / np.pi * x.volume_ml)) for x in (first, second))
    outline_sd = max(rules.outline_sd_min_mm, rules.outline_sd_fraction * small)
    growth_sd = rules.growth_sd_fraction * (large - small) / 2.0
    sd = float(np.sqrt(outline_sd**2 + growth_sd**2 + (error_mm / _R95) ** 2))
    ratio = float(np.log(first.volume_ml / second.volume_ml))
    place_and_size = 0.5 * (distance / sd) ** 2 + 0.5 * (ratio / rules.volume_log_sd) ** 2
    overlap = 0.0
    if place_and_size < rules.null_cost:
        overlap = tolerant_overlap(first.mask, second.mask, motion, error_mm + growth_sd)
    cost = place_and_size + rules.overlap_weight * (1.0 - overlap)
    return Link(first.id, second.id, distance, overlap, cost, carried.verdict)


def tolerant_overlap(first: Mask, second: Mask, transform: RigidTransform, tolerance_mm: float) -> float:
    """Share of each outline within a tolerance of the other, averaged over the two; 0 to 1.

    Parameters
    ----------
    transform : RigidTransform
        From the frame of ``first`` to the frame of ``second``.
    """
    box = _common_box(first, second, transform)
    a = resample(first.values, first.grid, box, onto_to_grid=transform.inverse, order=0, fill=0.0) > 0
    b = resample(second.values, second.grid, box, order=0, fill=0.0) > 0
    if not a.any() or not b.any():
        return 0.0
    reach = tolerance_mm + 1e-3
    return float(((_distance(b, box)[a] <= reach).mean() + (_distance(a, box)[b] <= reach).mean()) / 2)


def _distance(mask: NDArray[np.bool_], box: Grid) -> FloatArray:
    step = tuple(float(s) for s in box.spacing)
    return np.asarray(edt.edt(np.asfortranarray(~mask), anisotropy=step), dtype=np.float64)


def _common_box(first: Mask, second: Mask, transform: RigidTransform) -> Grid:
    points = np.concatenate([transform.apply(first.grid.corners), second.grid.corners])
    low, high = points.min(axis=0), points.max(axis=0)
    step = max(0.5, float((high - low).max()) / _BOX_VOXELS)
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = low + step / 2
    i, j, k = (int(n) for n in np.ceil((high - low) / step))
    return Grid((max(i, 1), max(j, 1), max(k, 1)), affine, second.grid.frame_of_reference_uid)
