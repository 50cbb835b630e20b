"""Where a skeleton can lie in a scan: every place at once, for some turns and sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage, signal

from osteotrace.model.planar import Skeleton
from osteotrace.registration.planar_image import (
    Counts,
    blur_sigma,
    blurred,
    narrow,
    reach,
    splat,
    stabilised,
)
from osteotrace.registration.planar_pose import Chain, whole
from osteotrace.registration.planar_settings import PlanarSettings
from osteotrace.space import FloatArray

_HALF = 2  # pixels of the search are that many times larger
_SOFT = 0.6  # soft tissue under bone, as a share of the mean counts of the skeleton
_SUPPORT = 0.08  # of the largest expected count: where the skeleton is
APART_MM = 25.0  # places nearer than this are one


def search(
    skeleton: Skeleton, chain: Chain, views: Sequence[Counts], settings: PlanarSettings, keep: int
) -> list[tuple[float, FloatArray]]:
    """Best distinct poses of the whole, best first: correlation and pose.

    The heads are taken to be level with each other and to look along one axis.
    """
    found: list[tuple[float, FloatArray]] = []
    scales = settings.standard_scales if skeleton.source == "standard" else settings.scales
    images = [_coarse(view, settings) for view in views]
    for scale in scales:
        for turn in settings.turns_deg:
            pose = chain.start.copy()
            pose[2], pose[5], pose[6] = np.radians(turn), np.log(scale), np.log(scale)
            found += _places(skeleton, chain, views, images, pose, settings, keep)
    return _distinct(found, keep)


def _coarse(view: Counts, settings: PlanarSettings) -> FloatArray:
    """Pattern of the counts in the larger pixels of the search."""
    pad = [(0, -n % _HALF) for n in view.values.shape]
    padded = np.pad(view.values, pad)
    shape = (padded.shape[0] // _HALF, _HALF, padded.shape[1] // _HALF, _HALF)
    summed = padded.reshape(shape).sum(axis=(1, 3))
    step = view.step * _HALF
    smooth = ndimage.gaussian_filter(summed, settings.smooth_mm[0] / step)
    pattern = narrow(stabilised(smooth), step, settings)
    limit = 4.0 * float(np.median(np.abs(pattern[summed > 0]))) * 1.4826 if (summed > 0).any() else 1.0
    return np.clip(pattern, -limit, limit)


def _places(
    skeleton: Skeleton,
    chain: Chain,
    views: Sequence[Counts],
    images: Sequence[FloatArray],
    pose: FloatArray,
    settings: PlanarSettings,
    keep: int,
) -> list[tuple[float, FloatArray]]:
    step = views[0].step * _HALF
    plane = whole(chain, pose, np.asarray(skeleton.points, np.float64))
    margin = 3.0 * settings.broad_mm / 2
    low = np.floor((plane.min(axis=0) - margin) / step) * step
    size = np.ceil((plane.max(axis=0) + margin - low) / step).astype(int)
    product, energy, power = np.zeros(1), np.zeros(1), float(len(views))
    for view, image in zip(views, images, strict=True):
        pattern, area = _pattern(skeleton, view, plane - low, step, tuple(size), settings)
        flipped, window = pattern[::-1, ::-1], area[::-1, ::-1]
        product = product + signal.fftconvolve(image, flipped)
        mean = signal.fftconvolve(image, window) / area.sum()
        energy = energy + np.maximum(signal.fftconvolve(image**2, window) - area.sum() * mean**2, 1e-9)
    score = product / np.sqrt(energy * power)
    score = np.where(energy > 0.2 * energy.max(), score, -1.0)  # next to nothing correlates with anything
    across = (np.arange(score.shape[0]) - (size[0] - 1)) * step[0] - low[0] - _middle(views)
    score = score * np.where(score > 0, np.exp(-0.5 * (across / settings.sd_side_mm) ** 2)[:, None], 1.0)
    out = []
    for _ in range(keep):
        at = np.unravel_index(int(np.argmax(score)), score.shape)
        shift = (np.array(at) - (size - 1)) * step - low
        one = pose.copy()
        one[:2] = shift
        out.append((float(score[at]), one))
        near = np.ceil(APART_MM / step).astype(int)
        score[
            max(0, at[0] - near[0]) : at[0] + near[0] + 1, max(0, at[1] - near[1]) : at[1] + near[1] + 1
        ] = -1.0
    return out


def agreement(
    skeleton: Skeleton, planes: Sequence[FloatArray], views: Sequence[Counts], settings: PlanarSettings
) -> float:
    """The correlation of the search for one pose: all bones with the same uptake per volume.

    Parameters
    ----------
    planes : sequence of ndarray, shape (n, 2)
        Front-plane points of the skeleton, view by view.
    """
    product = energy = 0.0
    for view, plane in zip(views, planes, strict=True):
        image, step = _coarse(view, settings), view.step * _HALF
        low = np.minimum(np.floor((plane.min(axis=0) - settings.broad_mm) / step), 0).astype(int)
        high = np.ceil((plane.max(axis=0) + settings.broad_mm) / step).astype(int)
        high = np.maximum(high, image.shape)
        pattern, area = _pattern(skeleton, view, plane - low * step, step, tuple(high - low), settings)
        whole_image = np.zeros(pattern.shape)
        whole_image[-low[0] : image.shape[0] - low[0], -low[1] : image.shape[1] - low[1]] = image
        mean = float((whole_image * area).sum() / area.sum())
        product += float((pattern * whole_image).sum())
        energy += float((((whole_image - mean) * area) ** 2).sum())
    return product / float(np.sqrt(max(energy, 1e-9) * len(views)))


def _pattern(
    skeleton: Skeleton,
    view: Counts,
    plane: FloatArray,
    step: FloatArray,
    shape: tuple[int, ...],
    settings: PlanarSettings,
) -> tuple[FloatArray, FloatArray]:
    """Pattern of the expected counts (mean 0, norm 1 over its area) and the area, both of ``shape``."""
    amount = splat(plane, step, shape) @ reach(skeleton, view.view, settings)
    expected = blurred(amount.reshape(1, *shape), blur_sigma(step, settings.smooth_mm[0], settings))[0]
    support = expected > _SUPPORT * expected.max()
    pattern = narrow(np.sqrt(expected / max(float(expected[support].mean()), 1e-12) + _SOFT), step, settings)
    area = ndimage.binary_dilation(support, iterations=2).astype(np.float64)
    pattern = (pattern - (pattern * area).sum() / area.sum()) * area
    return pattern / max(float(np.linalg.norm(pattern)), 1e-12), area


def _middle(views: Sequence[Counts]) -> float:
    """Where half of the counts (their square roots) lie to either side; mm to the left."""
    middles = []
    for view in views:
        columns = np.cumsum(np.sqrt(np.maximum(view.values, 0.0)).sum(axis=1))
        middles.append(float(np.searchsorted(columns, columns[-1] / 2.0) + 0.5) * float(view.step[0]))
    return float(np.mean(middles))


def _distinct(found: list[tuple[float, FloatArray]], keep: int) -> list[tuple[float, FloatArray]]:
    out: list[tuple[float, FloatArray]] = []
    for score, pose in sorted(found, key=lambda item: -item[0]):
        if all(np.linalg.norm(pose[:2] - other[:2]) > APART_MM for _, other in out):
            out.append((score, pose))
        if len(out) == keep:
            break
    return out
