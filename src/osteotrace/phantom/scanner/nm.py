"""Whole-body planar bone scan: attenuated projections to the front and to the back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.phantom.field import Float32Array
from osteotrace.phantom.protocols import NmProtocol
from osteotrace.phantom.records import Material
from osteotrace.phantom.scanner.constants import number
from osteotrace.phantom.scanner.filters import FWHM
from osteotrace.phantom.scanner.render import THREADS, render
from osteotrace.phantom.scanner.scene import Paint, Scene
from osteotrace.space import FloatArray, Grid

# Depth of the scanned body, mm: more than any patient.
_DEPTH_MM = 480.0
# A pixel whose ray crosses less than this share of attenuation lies beside the patient.
_SHADOW = 0.2


def tracer_paint() -> Paint:
    """Concentration of bone tracer, and attenuation in 1/mm."""
    water = number("nm.mu_water_mm")
    return Paint(
        lambda material: (material.bone_tracer, _attenuation(material, water)),
        lambda material: (material.bone_tracer * material.uptake_texture, 0.0),
        (0.0, 0.0),
    )


def acquire_nm(
    scene: Scene, protocol: NmProtocol, center: FloatArray, seed: int, *, threads: int = THREADS
) -> Float32Array:
    """Counts of both heads.

    Parameters
    ----------
    center : ndarray, shape (3,)
        Exam point in the middle of both views, mm.
    seed : int
        Of the counting.

    Returns
    -------
    ndarray of float32, shape (2, columns, rows)
        Whole numbers; anterior and posterior as a viewer shows them: the patient's right on the left of the
        anterior view, his left on the left of the posterior one.
    """
    expected = expected_counts(scene, protocol, center, threads=threads)
    return np.asarray(np.random.default_rng(seed).poisson(expected), dtype=np.float32)


def expected_counts(
    scene: Scene, protocol: NmProtocol, center: FloatArray, *, threads: int = THREADS
) -> Float32Array:
    """Expected counts, shape (2, columns, rows); the protocol says their mean over the patient's shadow."""
    grid = planar_grid(protocol, center, scene.posture.frame_of_reference_uid)
    tracer, attenuation = render(scene, grid, tracer_paint(), threads=threads)
    front = projected(tracer, attenuation, protocol, grid.spacing)
    back = projected(tracer[:, ::-1], attenuation[:, ::-1], protocol, grid.spacing)
    views = np.stack([front, back[::-1]])[:, :, ::-1]  # rows run from head to feet
    views += number("nm.scatter_share") * _scattered(views, protocol)
    shadow = attenuation.sum(axis=1)[:, ::-1] * grid.spacing[1] > _SHADOW
    if not shadow.any():
        return np.zeros_like(views)
    mean = float((views[0][shadow].mean() + views[1][shadow[::-1]].mean()) / 2)
    return np.asarray(views * (protocol.mean_counts / mean if mean > 0 else 0.0), dtype=np.float32)


def planar_grid(protocol: NmProtocol, center: FloatArray, frame_of_reference_uid: str) -> Grid:
    """Volume that is projected: i to the left, j to the back, k to the head; i and k as the pixels."""
    spacing = np.array([protocol.pixel_mm, number("nm.plane_mm"), protocol.pixel_mm])
    shape = (protocol.columns, round(_DEPTH_MM / spacing[1]), protocol.rows)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = np.asarray(center) - spacing * (np.array(shape) - 1) / 2
    return Grid(shape, affine, frame_of_reference_uid)


def planar_pixels(protocol: NmProtocol, center: FloatArray, points: FloatArray) -> FloatArray:
    """Where exam points appear: fractional column and row on each view.

    Anterior column = c0 + x / pixel, posterior column = c0 - x / pixel, row = r0 - z / pixel.

    Parameters
    ----------
    points : ndarray, shape (n, 3)
        LPS, mm.

    Returns
    -------
    ndarray of float64, shape (2, n, 2)
    """
    away = (np.asarray(points) - center) / protocol.pixel_mm
    rows = (protocol.rows - 1) / 2 - away[:, 2]
    middle = (protocol.columns - 1) / 2
    return np.stack([np.stack([middle + sign * away[:, 0], rows], axis=-1) for sign in (1, -1)])


def projected(
    tracer: Float32Array, attenuation: Float32Array, protocol: NmProtocol, spacing: FloatArray
) -> Float32Array:
    """Counts of a head in front of the first plane, in arbitrary units, shape (i, k).

    Every plane is weakened by what lies before it and blurred by its distance to the collimator.
    """
    before = np.cumsum(attenuation, axis=1) - attenuation / 2
    before *= np.float32(spacing[1])
    used = np.flatnonzero(tracer.any(axis=(0, 2)))
    total = np.zeros((tracer.shape[0], tracer.shape[2]), dtype=np.float32)
    if used.size == 0:
        return total
    filled = np.flatnonzero(attenuation.any(axis=(0, 2)))
    face = min(int(used[0]), int(filled[0]) if filled.size else int(used[0]))
    for plane in used:
        seen = tracer[:, plane] * np.exp(-before[:, plane])
        distance = (plane - face + 0.5) * spacing[1] + number("nm.clearance_mm")
        sigma = collimator_fwhm(protocol, float(distance)) / FWHM / spacing[[0, 2]]
        total += ndimage.gaussian_filter(seen, sigma, mode="constant")
    return total * np.float32(spacing[1])


def collimator_fwhm(protocol: NmProtocol, distance_mm: float) -> float:
    """Resolution of the system at a distance, mm: the holes widen it in proportion to distance and length."""
    intrinsic, hole = number("nm.intrinsic_mm"), number("nm.hole_mm")
    at_reference = np.sqrt(max(protocol.fwhm_mm**2 - intrinsic**2, 0.0))
    holes = at_reference * (distance_mm + hole) / (number("nm.reference_mm") + hole)
    return float(np.hypot(intrinsic, holes))


def _attenuation(material: Material, water: float) -> float:
    return water * max(0.0, 1.0 + material.hu / 1000.0)


def _scattered(views: NDArray[np.float32], protocol: NmProtocol) -> Float32Array:
    sigma = number("nm.scatter_mm") / FWHM / protocol.pixel_mm
    return np.asarray(ndimage.gaussian_filter(views, (0, sigma, sigma), mode="constant"))
