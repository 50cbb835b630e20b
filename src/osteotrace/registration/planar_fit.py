"""From a place in the scan to a pose: expected counts fitted to measured ones, with the covariance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, ndimage, optimize

from osteotrace.model.planar import Skeleton
from osteotrace.model.values import View
from osteotrace.registration.planar_image import (
    Counts,
    blur_sigma,
    blurred,
    per_region,
    reach,
    splat,
    stabilised,
)
from osteotrace.registration.planar_pose import WHOLE, Chain, local_fields, own_regions, whole, whole_fields
from osteotrace.registration.planar_settings import PlanarSettings
from osteotrace.space import FloatArray

_MARGIN_MM = 60.0  # of the window around the skeleton
_SUPPORT = 0.04  # of the largest expected count: pixels that the skeleton speaks of
_NEAR_MM = 20.0  # and those around them
_SD_FLOOR = 0.05  # of square roots of counts
_PLACE_SD_MM = 60.0  # a place that the search found is not left by more
_STEPS_SMALL_MM = 0.05
_DAMPING = (1e-3, 10.0, 0.3)
_IRLS = 3
_GAIN_MIN = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A pose and how well it is known.

    Attributes
    ----------
    pose : ndarray, shape (n,)
    covariance : ndarray, shape (n, n)
        Of the pose, from the counts and the usual sizes together.
    misfit : float
        Robust standard deviation of the residual of the square root of counts, mean over the views.
    """

    pose: FloatArray
    covariance: FloatArray
    misfit: float


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """The part of a view that is compared, at one level."""

    view: View
    counts: FloatArray  # as counted, without blur
    smooth: FloatArray  # blurred
    background: FloatArray
    measured: FloatArray  # square root of the blurred counts
    step: FloatArray
    low: FloatArray  # its corner in the front plane, mm
    sigma: FloatArray  # of the expected counts, pixels


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    """Everything that does not change while one level is fitted."""

    skeleton: Skeleton
    points: FloatArray
    region: NDArray[np.int16]
    fields: FloatArray
    chain: Chain
    windows: tuple[_Window, ...]
    settings: PlanarSettings
    smooth_mm: float
    free: NDArray[np.bool_]


def refine(
    skeleton: Skeleton,
    chain: Chain,
    views: Sequence[Counts],
    start: FloatArray,
    settings: PlanarSettings,
    *,
    levels: Sequence[float],
    whole_only: bool = False,
    iterations: int = 10,
) -> Fitted:
    """Levenberg-Marquardt from a start, level by level, with the usual sizes as prior knowledge."""
    region = own_regions(chain, skeleton)
    points = np.asarray(skeleton.points, np.float64)
    fields = local_fields(chain, points, region)
    free = np.ones(chain.size, dtype=bool)
    if whole_only:
        free[len(WHOLE) :] = False
    free[WHOLE.index("heads")] = len(views) > 1 and not whole_only
    pose = start.copy()
    fitted = Fitted(pose, np.zeros((chain.size, chain.size)), np.inf)
    for smooth_mm in levels:
        windows = tuple(_window(view, chain, pose, points, smooth_mm, settings) for view in views)
        problem = _Problem(skeleton, points, region, fields, chain, windows, settings, smooth_mm, free)
        fitted = _level(problem, pose, start, iterations)
        pose = fitted.pose
    return fitted


def _window(
    view: Counts,
    chain: Chain,
    pose: FloatArray,
    points: FloatArray,
    smooth_mm: float,
    settings: PlanarSettings,
) -> _Window:
    plane = whole(chain, pose, points)
    first = np.clip(np.floor((plane.min(axis=0) - _MARGIN_MM) / view.step), 0, None).astype(int)
    last = np.ceil((plane.max(axis=0) + _MARGIN_MM) / view.step).astype(int)
    first = np.minimum(first, np.array(view.values.shape) - 4)
    cut = tuple(slice(a, max(b, a + 4)) for a, b in zip(first, last, strict=True))
    smooth = ndimage.gaussian_filter(view.values, smooth_mm / view.step)[cut]
    return _Window(
        view.view,
        view.values[cut],
        smooth,
        view.background[cut],
        stabilised(smooth),
        view.step,
        first * view.step,
        blur_sigma(view.step, smooth_mm, settings),
    )


def heads_shift(view: View, pose: FloatArray) -> float:
    """Shift of a view against the front plane, mm to the left."""
    half = float(pose[WHOLE.index("heads")]) / 2.0
    return half if view is View.POSTERIOR else -half


_Templates: TypeAlias = list[tuple[object, FloatArray]]
"""For each window the splatting matrix and the images of the regions, blurred."""


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """Model and residual of every window at one pose."""

    cost: float
    residual: tuple[FloatArray, ...]
    weight: tuple[FloatArray, ...]
    model: tuple[FloatArray, ...]
    amount: tuple[FloatArray, ...]
    matrix: tuple[object, ...]


def _level(problem: _Problem, pose: FloatArray, start: FloatArray, iterations: int) -> Fitted:
    damping, up, down = _DAMPING
    sd = np.where(np.isfinite(problem.chain.sd), problem.chain.sd, _PLACE_SD_MM)
    precision = 1.0 / sd**2
    centre = np.where(np.isfinite(problem.chain.sd), problem.chain.start, start)
    templates = _templates(problem, pose)
    gains = _gains(problem, templates)
    noise = _noise(problem, templates, gains)
    state = _evaluate(problem, pose, templates, gains, noise, precision, centre)
    hessian = np.diag(precision)
    for _ in range(iterations):
        hessian, gradient = _normal(problem, pose, state, precision, centre)
        tried = 0
        while tried < 4:
            step = _solved(hessian + damping * np.diag(np.diag(hessian)), gradient, problem.free)
            new = pose + step
            templates = _templates(problem, new)
            attempt = _evaluate(problem, new, templates, gains, noise, precision, centre)
            if attempt.cost < state.cost:
                break
            damping, tried = damping * up, tried + 1
        else:
            break
        pose, damping = new, damping * down
        gains = _gains(problem, templates)
        noise = _noise(problem, templates, gains)
        state = _evaluate(problem, pose, templates, gains, noise, precision, centre)
        if np.abs(step / sd).max() < 0.01:
            break
    hessian, _ = _normal(problem, pose, state, precision, centre)
    covariance = np.zeros_like(hessian)
    free = np.ix_(problem.free, problem.free)
    covariance[free] = linalg.pinvh(hessian[free])
    return Fitted(pose, covariance, float(noise.mean()))


def _solved(hessian: FloatArray, gradient: FloatArray, free: NDArray[np.bool_]) -> FloatArray:
    out = np.zeros(len(gradient))
    out[free] = linalg.solve(hessian[np.ix_(free, free)], gradient[free], assume_a="pos")
    return out


def _plane(problem: _Problem, pose: FloatArray) -> FloatArray:
    own = np.tensordot(pose[len(WHOLE) :], problem.fields, axes=1)
    return np.asarray(whole(problem.chain, pose, problem.points) + own)


def _templates(problem: _Problem, pose: FloatArray) -> _Templates:
    """For each window the splatting matrix and the images of the regions, blurred, shape (r, pixels)."""
    plane = _plane(problem, pose)
    out = []
    for window in problem.windows:
        shifted = plane + np.array([heads_shift(window.view, pose), 0.0]) - window.low
        matrix = splat(shifted, window.step, window.smooth.shape)
        amount = reach(problem.skeleton, window.view, problem.settings)
        parts = per_region(problem.skeleton, problem.region, amount, matrix, len(problem.chain.names) + 1)
        stack = blurred(parts.reshape(-1, *window.smooth.shape), window.sigma)
        out.append((matrix, stack.reshape(len(parts), -1)))
    return out


def _gains(problem: _Problem, templates: _Templates) -> FloatArray:
    """Uptake of each region and share of the background that explain the counts best, robustly.

    One of each region for both views; the background has one for each.
    """
    n = len(problem.chain.names) + 1
    rows, wanted = [], []
    for number, (window, (_, parts)) in enumerate(zip(problem.windows, templates, strict=True)):
        total = parts.sum(axis=0)
        used = total > _SUPPORT * total.max()
        block = np.zeros((int(used.sum()), n + len(problem.windows)))
        block[:, :n] = parts[:, used].T
        block[:, n + number] = window.background.ravel()[used]
        rows.append(block)
        wanted.append(window.smooth.ravel()[used])
    alike = _alike(problem.windows[0], problem.settings)
    return _robust_gains(np.concatenate(rows), np.concatenate(wanted), n, alike, problem.settings)


def _robust_gains(A: FloatArray, y: FloatArray, n: int, alike: float, settings: PlanarSettings) -> FloatArray:
    """Non-negative weights of the columns of A that add up to y; the first n are much alike.

    Bone takes up about as much everywhere, so that no region vanishes because something hot lies beside it.
    """
    weight = 1.0 / (y + 1.0)
    common = np.stack([A[:, :n].sum(axis=1), A[:, n:].sum(axis=1)], axis=1)
    mean = float(optimize.nnls(common * np.sqrt(weight)[:, None], y * np.sqrt(weight))[0][0])
    gains = np.concatenate([np.full(n, mean), np.ones(A.shape[1] - n)])
    tie = np.concatenate([np.full(n, 1.0 / max(settings.sd_uptake * mean, 1e-9)), np.zeros(A.shape[1] - n)])
    for _ in range(_IRLS):
        root = np.sqrt(weight / alike)
        rows = np.concatenate([A * root[:, None], np.diag(tie)])
        right = np.concatenate([y * root, tie * mean])
        scale = np.maximum(np.linalg.norm(rows, axis=0), 1e-12)
        square = (rows / scale).T
        factor = linalg.cholesky(square @ square.T + 1e-6 * np.eye(len(scale)))
        reduced = linalg.solve_triangular(factor.T, square @ right, lower=True)
        gains = optimize.nnls(factor, reduced)[0] / scale
        expected = A @ gains
        misfit = stabilised(y) - stabilised(expected)
        spread = 1.4826 * float(np.median(np.abs(misfit))) + _SD_FLOOR
        robust = 1.0 / (1.0 + (misfit / (settings.outlier * spread)) ** 2)
        weight = robust / (expected + 1.0)
    return np.asarray(np.maximum(gains, _GAIN_MIN))


def _alike(window: _Window, settings: PlanarSettings) -> float:
    """Pixels that count as one, because the blur makes them alike."""
    return max(4.0 * float(np.pi * np.prod(window.sigma)) * settings.correlated, 1.0)


def _expected(
    problem: _Problem, templates: _Templates, gains: FloatArray
) -> list[tuple[object, FloatArray, FloatArray]]:
    """For each window: matrix, expected counts, and where the skeleton speaks."""
    n = len(problem.chain.names) + 1
    out = []
    for number, (window, (matrix, parts)) in enumerate(zip(problem.windows, templates, strict=True)):
        total = (gains[:n, None] * parts).sum(axis=0)
        counts = total + gains[n + number] * window.background.ravel()
        support = (total > _SUPPORT * total.max()).reshape(window.smooth.shape)
        near = ndimage.binary_dilation(support, iterations=max(1, round(_NEAR_MM / window.step[0])))
        out.append((matrix, counts, near.ravel()))
    return out


def _noise(problem: _Problem, templates: _Templates, gains: FloatArray) -> FloatArray:
    """Robust SD of the residual of each window."""
    out = []
    expected = _expected(problem, templates, gains)
    for window, (_, counts, near) in zip(problem.windows, expected, strict=True):
        residual = (window.measured.ravel() - stabilised(counts))[near]
        out.append(max(1.4826 * float(np.median(np.abs(residual))), _SD_FLOOR))
    return np.array(out)


def _evaluate(
    problem: _Problem,
    pose: FloatArray,
    templates: _Templates,
    gains: FloatArray,
    noise: FloatArray,
    precision: FloatArray,
    centre: FloatArray,
) -> _State:
    """Robust cost: Cauchy on the residuals, squares of the pose against its usual size."""
    settings, n = problem.settings, len(problem.chain.names) + 1
    cost = 0.5 * float((precision * (pose - centre) ** 2).sum())
    residuals, weights, models, amounts, matrices = [], [], [], [], []
    for window, sd, (matrix, counts, near) in zip(
        problem.windows, noise, _expected(problem, templates, gains), strict=True
    ):
        model = stabilised(counts)
        residual = window.measured.ravel() - model
        alike = _alike(window, settings)
        reach_sd = settings.outlier * sd
        ratio = (residual / reach_sd) ** 2
        scale = near / (sd**2 * alike)
        cost += 0.5 * float((scale * reach_sd**2 * np.log1p(ratio)).sum())
        residuals.append(residual)
        weights.append(scale / (1.0 + ratio))
        models.append(model)
        amounts.append(gains[:n][problem.region + 1] * reach(problem.skeleton, window.view, settings))
        matrices.append(matrix)
    return _State(cost, tuple(residuals), tuple(weights), tuple(models), tuple(amounts), tuple(matrices))


def _normal(
    problem: _Problem, pose: FloatArray, state: _State, precision: FloatArray, centre: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Gauss-Newton matrix and descent direction of the cost; only what is free is looked at."""
    fields = np.concatenate(
        [
            whole_fields(problem.chain, pose, problem.points),
            np.zeros((1, len(problem.points), 2)),
            problem.fields,
        ]
    )
    free = problem.free
    hessian, gradient = np.diag(precision), -precision * (pose - centre)
    for number, window in enumerate(problem.windows):
        fields[len(WHOLE) - 1, :, 0] = 0.5 if window.view is View.POSTERIOR else -0.5
        moved = fields[free]
        shape = (-1, *window.smooth.shape)
        amount = state.amount[number][:, None]
        matrix = state.matrix[number]
        across = (matrix @ (moved[:, :, 0].T * amount)).T.reshape(shape)  # type: ignore[operator]
        down = (matrix @ (moved[:, :, 1].T * amount)).T.reshape(shape)  # type: ignore[operator]
        flow = np.gradient(across, window.step[0], axis=1) + np.gradient(down, window.step[1], axis=2)
        change = -blurred(flow, window.sigma).reshape(len(moved), -1)
        near = np.flatnonzero(state.weight[number])  # elsewhere no pixel has a say
        slope = change[:, near] / (2.0 * state.model[number][near])
        weighted = slope * state.weight[number][near]
        hessian[np.ix_(free, free)] += weighted @ slope.T
        gradient[free] += weighted @ state.residual[number][near]
    return hessian, gradient
