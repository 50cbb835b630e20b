"""Reference tissues and the signal of a lesion against them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from osteotrace.errors import SpaceError
from osteotrace.measure.roi import roi_statistics, roi_values
from osteotrace.model.imaging import Volume
from osteotrace.space import Mask


@dataclass(frozen=True, slots=True)
class ReferenceTissue:
    """Signal of a normal tissue in one series, computed once and passed on.

    Attributes
    ----------
    name : str
        For example ``muscle``.
    cv : float
        Coefficient of variation: SD over mean.
    """

    name: str
    series_id: str
    n_voxels: int
    median: float
    mean: float
    cv: float


@dataclass(frozen=True, slots=True)
class SignalRatio:
    """Median of a lesion over the median of a reference tissue, with the 95% interval of the noise."""

    value: float
    low: float
    high: float


def reference_tissue(name: str, volume: Volume, mask: Mask) -> ReferenceTissue:
    """Measure a reference tissue on the lattice of a volume.

    Raises
    ------
    SpaceError
        When its mean is not positive, so that no ratio to it has a meaning.
    """
    stats = roi_statistics(roi_values(volume, mask))
    if stats.mean <= 0 or stats.median <= 0:
        raise SpaceError(f"the reference tissue {name} has no positive signal", where=volume.series.id)
    return ReferenceTissue(
        name, volume.series.id, stats.n_voxels, stats.median, stats.mean, stats.sd / stats.mean
    )


def signal_ratio(lesion_median: float, reference: ReferenceTissue, n_effective: float) -> SignalRatio:
    """Lesion over reference, widened by the noise of the reference.

    The interval is ``ratio ± 2 · CV / sqrt(n_effective)`` of the ratio.

    Parameters
    ----------
    n_effective : float
        Independent voxels of the reference (fewer than its voxels where noise is correlated).
    """
    ratio = lesion_median / reference.median
    half = 2.0 * reference.cv / float(np.sqrt(max(n_effective, 1.0)))
    return SignalRatio(ratio, ratio * (1 - half), ratio * (1 + half))
