"""Predicted 95% radius of the error at any point of a bone.

The covariance of the chain rests on nominal precisions. How well the motions of the bones really fit each
other tells how much better or worse than nominal these images are: the variance of unit weight of least
squares adjustment, from what each bone was found to lie off its neighbours over what it was expected to. It
scales the covariance of all bones of a pair of exams. A bone that no neighbour checks (its redundancy number
is small) cannot be told from its misfit, so there something is added.
"""

from __future__ import annotations

import numpy as np

from osteotrace.registration.chain import Chain
from osteotrace.registration.joints import is_loose
from osteotrace.registration.per_bone import Fitted
from osteotrace.registration.settings import BoneSettings
from osteotrace.registration.skeleton import SeenBone
from osteotrace.space import FloatArray

_R95 = 2.795  # 95% radius of a normal error in three dimensions, in its standard deviation along each axis
_CHECKED = 2.0  # redundancy number of a vertebra between two others, of 6
_LEAST_CHECKED = 0.5  # below it the share of misfit and expectation means nothing


def unit_variance(chain: Chain) -> float:
    """Variance of unit weight: median over the bones of misfit over redundancy; 1 where none is checked.

    Below 1 the bones fit each other better than their nominal precisions say; where those are true it is some
    1.4, by the weights of Student's t.
    """
    checked = chain.redundancy > _LEAST_CHECKED
    return float(np.median(chain.misfit[checked] / chain.redundancy[checked])) if checked.any() else 1.0


def radius_form(fitted: Fitted, bone: int, settings: BoneSettings) -> FloatArray:
    """Square of the predicted 95% radius around a bone: what remains, spread, and contradiction.

    Parameters
    ----------
    fitted : Fitted
        With the images of one bone at least; a bone without any takes their modalities and voxels.
    bone : int
    settings : BoneSettings
        The calibrated ``radius_*``.

    Returns
    -------
    ndarray, shape (4, 4)
        Quadratic form in (x, y, z, 1) from the centre of the bone, fixed frame, LPS; mm².
    """
    chain, measured = fitted.chain, fitted.measured.get(bone)
    variance = unit_variance(chain)
    if measured is None:
        variance *= settings.radius_guessed**2
    else:
        unchecked = max(1.0 - float(chain.redundancy[bone]) / _CHECKED, 0.0)
        variance = settings.radius_measured**2 * (variance + settings.radius_unchecked * unchecked)
    form = _R95**2 * variance / 3.0 * spread_form(chain.covariance[bone])
    if measured is not None:
        away = away_form(chain.motions[bone], measured, fitted.pairs[bone].bone.centre)
        form += settings.radius_per_residual**2 * away
    images = next(patch for patch in (fitted.patches[bone], *fitted.patches) if patch is not None)
    if is_loose(fitted.pairs[bone].bone):
        form[:3, :3] += settings.radius_loose**2 * np.eye(3)
    form[3, 3] += (settings.base_of(images.kind) * images.voxel_mm) ** 2
    return form


def spread_form(covariance: FloatArray) -> FloatArray:
    """Mean square displacement at a point by the covariance of a small motion about a centre.

    Parameters
    ----------
    covariance : ndarray, shape (6, 6)
        Of turn (rad) and place (mm).

    Returns
    -------
    ndarray, shape (4, 4)
        Quadratic form in (x, y, z, 1) from the centre; sum over the three axes, mm².
    """
    turn, place, both = covariance[:3, :3], covariance[3:, 3:], covariance[3:, :3]
    out = np.empty((4, 4))
    out[:3, :3] = np.trace(turn) * np.eye(3) - turn  # |turn × q|²
    out[:3, 3] = out[3, :3] = (both[1, 2] - both[2, 1], both[2, 0] - both[0, 2], both[0, 1] - both[1, 0])
    out[3, 3] = np.trace(place)
    return out


def away_form(motion: FloatArray, other: FloatArray, centre: FloatArray) -> FloatArray:
    """Square of the distance between where two motions, shape (4, 4), put a point; form as above, mm²."""
    apart = other - motion
    apart = np.column_stack([apart[:3, :3], apart[:3, :3] @ centre + apart[:3, 3]])
    return np.asarray(apart.T @ apart)


def mean_radius(form: FloatArray, bone: SeenBone) -> float:
    """Root mean square over the points of a bone, mm."""
    place = np.column_stack([bone.points - bone.centre, np.ones(len(bone.points))])
    return float(np.sqrt(((place @ form) * place).sum(axis=1).mean()))
