"""A shift of a few millimetres between two series of one frame of reference, and how well it is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from osteotrace.registration.pyramid import Level, Prepared
from osteotrace.registration.settings import Settings
from osteotrace.space import FloatArray

_SAMPLES = 20000
_MOST_VOXELS = 400_000  # of a level whose shift is sought
_BINS = 32
_STEP_MM, _SMALLEST_MM, _ITERATIONS = 2.0, 0.01, 60
_MAD = 1.4826  # standard deviation per median absolute deviation
_VAGUE = 2.0  # along a limb the evidence is a flat ridge, and the halves agree by chance
_FEWEST_VOXELS = 1000  # of a half that is asked


@dataclass(frozen=True, slots=True)
class Shift:
    """Where the second series lies against the first.

    Attributes
    ----------
    vector_mm : tuple of float
        LPS: to the left, to the back, to the head.
    radius_mm : float
        95% radius of the error of the vector.
    limit_mm : float
        A longer shift is one; a shorter one may be none.
    """

    vector_mm: tuple[float, float, float]
    radius_mm: float
    limit_mm: float

    @property
    def length_mm(self) -> float:
        """Of the shift."""
        return float(np.linalg.norm(self.vector_mm))

    @property
    def found(self) -> bool:
        """Whether it is more than chance and distortion make."""
        return self.length_mm > self.limit_mm

    def __str__(self) -> str:
        """In words: ``2.1 ± 1.9 mm (left 0.3, back -1.2, head 1.7)``."""
        left, back, head = self.vector_mm
        parts = f"left {left:.1f}, back {back:.1f}, head {head:.1f}"
        return f"{self.length_mm:.1f} ± {self.radius_mm:.1f} mm ({parts})"


def small_shift(fixed: Prepared, moving: Prepared, settings: Settings, seed: int) -> Shift | None:
    """Shift of all tissue that explains two series of one frame best; None where it cannot be told.

    Mutual information (Mattes 2003) climbs from no shift: with the whole body, and with each half of the
    field of view along each axis alone. What the halves disagree by is the error that noise, bending and
    breathing make; fat and water, which MR shows displaced, are in ``registration.shift_radius_mm``.

    Returns
    -------
    Shift or None
        None when the fields of view share too little.
    """
    first, second = _level(fixed, settings), _level(moving, settings)
    pictures = (_image(first.ranks, first), _image(second.ranks, second))
    parts = [part for part in _parts(first) if np.count_nonzero(part) >= _FEWEST_VOXELS]
    if not parts:
        return None
    try:
        whole = _climbed(*pictures, parts[0], first, seed)
    except RuntimeError:  # no sample of the first lies in the second
        return None
    halves = []
    for part in parts[1:]:
        try:
            halves.append(_climbed(*pictures, part, first, seed))
        except RuntimeError:
            continue
    if len(halves) < 2:
        return None
    spread = _spread(np.array(halves))
    radius = float(np.hypot(settings.shift_radius_mm, settings.shift_per_sd * spread))
    x, y, z = (round(float(v), 3) for v in whole)
    limit = radius if radius <= settings.shift_sharp_mm else _VAGUE * radius
    return Shift((x, y, z), round(radius, 3), round(limit, 3))


def _spread(shifts: FloatArray) -> float:
    """Standard deviation along an axis, of most: a half that shows little may go astray."""
    away = np.abs(shifts - np.median(shifts, axis=0))
    return float(np.sqrt(((_MAD * np.median(away, axis=0)) ** 2).mean()))


def _level(prepared: Prepared, settings: Settings) -> Level:
    """The finest level that is not too large."""
    for spacing in sorted(settings.levels_mm):
        level = prepared.at(spacing)
        if np.count_nonzero(level.body > 0.5) <= _MOST_VOXELS:
            return level
    return prepared.at(max(settings.levels_mm))


def _parts(level: Level) -> list[NDArray[np.bool_]]:
    """The body, and its halves along each axis of the image."""
    body = level.body > 0.5
    parts = [body]
    for axis in range(3):
        line = np.flatnonzero(body.any(axis=tuple(a for a in range(3) if a != axis)))
        if line.size < 2:
            continue
        middle = int(line[0] + line[-1] + 1) // 2
        for half in (slice(None, middle), slice(middle, None)):
            part = np.zeros_like(body)
            cut = tuple(half if a == axis else slice(None) for a in range(3))
            part[cut] = body[cut]
            parts.append(part)
    return parts


def _image(values: NDArray[np.float32] | NDArray[np.uint8], level: Level) -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.T))
    image.SetOrigin(level.grid.origin.tolist())
    image.SetSpacing(level.grid.spacing.tolist())
    image.SetDirection(level.grid.direction.ravel().tolist())
    return image


def _climbed(
    fixed: sitk.Image, moving: sitk.Image, part: NDArray[np.bool_], level: Level, seed: int
) -> FloatArray:
    """The shift (fixed point to moving point), LPS mm; one thread, so that it is the same each time."""
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    share = min(1.0, _SAMPLES / float(np.count_nonzero(part)))
    method.SetMetricSamplingPercentage(share, seed + 1)
    method.SetMetricFixedMask(_image(part.astype(np.uint8), level))
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(_STEP_MM, _SMALLEST_MM, _ITERATIONS, 0.5, 1e-8)
    method.SetShrinkFactorsPerLevel([1])
    method.SetSmoothingSigmasPerLevel([0.0])
    method.SetInitialTransform(sitk.TranslationTransform(3), inPlace=False)
    found = method.Execute(fixed, moving)
    return np.array(found.TransformPoint((0.0, 0.0, 0.0)))
