"""MR: what the coil sees of the signals of water and fat, slice by slice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from osteotrace.phantom.field import Float32Array
from osteotrace.phantom.protocols import MrProtocol
from osteotrace.phantom.records import Body, Material, Part
from osteotrace.phantom.scanner.constants import number, of_part
from osteotrace.phantom.scanner.filters import normal, smooth_step
from osteotrace.phantom.scanner.mr_signal import fat_left, fat_shift_pixels, signal, total
from osteotrace.phantom.scanner.render import THREADS, render, slice_ordered
from osteotrace.phantom.scanner.scene import Paint, Scene
from osteotrace.space import FloatArray, Grid

REFERENCE_MUSCLE = "autochthon_left"

# Axis of the array along which frequency is encoded; phase runs along the other one in the plane
# (PS3.3 InPlanePhaseEncodingDirection: ROW when frequency runs down the columns).
FREQUENCY_AXIS = {"sagittal": 1, "coronal": 1, "axial": 0}


def acquire_mr(
    scene: Scene, protocol: MrProtocol, grid: Grid, seed: int, *, threads: int = THREADS
) -> Float32Array:
    """An MR series.

    Parameters
    ----------
    grid : Grid
        Slices along k, as far apart as thickness and gap; i to the back and j to the feet when sagittal.
    seed : int
        Of the noise.

    Returns
    -------
    ndarray of float32, shape grid.shape
        Magnitude; muscle has the value that ``scanner.toml`` names where coil and saturation leave it alone.

    Raises
    ------
    KeyError
        When the body has no reference muscle.
    """
    muscle = total(reference_muscle(scene.body), protocol)
    if protocol.sequence != "GRE":
        scene = replace(scene, body=flowing(scene.body))
    water, fat = acquired_slices(scene, protocol, grid, threads=threads)
    axis = FREQUENCY_AXIS[protocol.plane]
    values = water + _shifted(fat, fat_shift_pixels(protocol), axis) * fat_suppression(protocol, grid)
    np.abs(values, out=values)
    values *= coil_sensitivity(protocol, grid)
    values *= saturation(scene, protocol, grid)
    values += ghosts(values, protocol, 1 - axis)
    values /= np.float32(muscle)
    noise = np.float32(protocol.noise)
    values += noise * normal(grid.shape, (seed, 0), threads)
    values = np.hypot(values, noise * normal(grid.shape, (seed, 1), threads))
    values *= np.float32(number("mr.muscle_value"))
    return np.asarray(values, dtype=np.float32)


def reference_muscle(body: Body) -> Material:
    """What noise and pixel values are measured in: the muscle along the spine; KeyError without."""
    return body.part(REFERENCE_MUSCLE).fill


def flowing(body: Body) -> Body:
    """The body with the blood of its vessels as a spin echo sees it."""
    return replace(body, parts=tuple(_flowing(part) for part in body.parts))


def _flowing(part: Part) -> Part:
    kept = of_part("mr_flow", part.name, 1.0)
    return part if kept == 1 else replace(part, fill=replace(part.fill, pd=part.fill.pd * kept))


def signal_paint(protocol: MrProtocol) -> Paint:
    """Signed signal of water and of fat."""
    return Paint(
        lambda material: signal(material, protocol),
        lambda material: (
            abs(signal(material, protocol).water) * material.mr_texture,
            abs(signal(material, protocol).fat) * material.mr_texture,
        ),
        (0.0, 0.0),
    )


def acquired_slices(
    scene: Scene, protocol: MrProtocol, grid: Grid, *, threads: int = THREADS
) -> Float32Array:
    """Water and fat, each slice weighted by its profile; shape (2, *grid.shape)."""
    fine, weights = slice_samples(protocol, grid)
    values = render(scene, fine, signal_paint(protocol), threads=threads)
    found = slice_ordered(2, grid)
    n = int(number("mr.slice_samples"))
    for k in range(grid.shape[2]):
        found[..., k] = sum(weight * values[..., k * n + m] for m, weight in enumerate(weights))
    return found


def slice_samples(protocol: MrProtocol, grid: Grid) -> tuple[Grid, Float32Array]:
    """Grid of evenly spaced samples across all slices, and the weights of those of one slice.

    Samples lie within a slice and its gaps and one slice further: the profile is a trapezoid as wide as
    the slice is thick at half its height.
    """
    n = int(number("mr.slice_samples"))
    step = float(grid.spacing[2]) / n
    half = protocol.thickness_mm * (1 + number("mr.slice_edge")) / 2
    reach = int(np.ceil(half / step + 0.5)) - 1
    offsets = np.arange(-reach, reach + 1) * step
    edge = number("mr.slice_edge") * protocol.thickness_mm
    weights = np.clip((protocol.thickness_mm / 2 - np.abs(offsets)) / edge + 0.5, 0, 1)
    affine = grid.affine.copy()
    affine[:3, 2] /= n
    affine[:3, 3] = grid.points((0, 0, -reach / n))
    shape = (grid.shape[0], grid.shape[1], (grid.shape[2] - 1) * n + len(offsets))
    fine = Grid(shape, affine, grid.frame_of_reference_uid)
    return fine, np.asarray(weights / weights.sum(), dtype=np.float32)


def fat_suppression(protocol: MrProtocol, grid: Grid) -> Float32Array:
    """Share of the fat signal that is left, over the field of view; broadcasts to grid.shape.

    Spectral suppression fails towards the ends along the columns, most at the far one.
    """
    left = fat_left(protocol)
    if protocol.fat_suppression != "FATSAT":
        return np.full((1, 1, 1), left, dtype=np.float32)
    start = number("mr.fat_failure_start")
    way = np.linspace(-1, 1, grid.shape[1])
    failure = smooth_step((np.abs(way) - start) / (1 - start)) * protocol.fat_failure
    failure = np.where(way > 0, failure, failure * number("mr.fat_failure_near"))
    return np.asarray(left + (1 - left) * failure, dtype=np.float32)[None, :, None]


def coil_sensitivity(protocol: MrProtocol, grid: Grid) -> Float32Array:
    """Sensitivity of a spine coil under the patient, mean 1, its range the protocol's; shape grid.shape."""
    if protocol.coil_bias == 0:
        return np.ones((1, 1, 1), dtype=np.float32)
    coarse = tuple(min(n, 24) for n in grid.shape)
    lines = [np.linspace(0, n - 1, m) for n, m in zip(grid.shape, coarse, strict=True)]
    points = grid.points(np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1))
    depth = points[..., 1].max() - points[..., 1]
    radius = number("mr.coil_radius_mm")
    shape = (radius**2 / (radius**2 + depth**2)) ** 1.5
    middle, half = (points[..., 2].max() + points[..., 2].min()) / 2, np.ptp(points[..., 2]) / 2
    if half > 0:
        shape *= 1 - number("mr.coil_ends") * np.abs((points[..., 2] - middle) / half) ** 4
    span = np.ptp(shape)
    even = 1 + protocol.coil_bias * (shape - shape.mean()) / (span if span > 0 else 1.0)
    index = [np.linspace(0, m - 1, n) for n, m in zip(grid.shape, coarse, strict=True)]
    return _upsampled(even.astype(np.float32), index)


def saturation(scene: Scene, protocol: MrProtocol, grid: Grid) -> Float32Array:
    """What the band in front of the spine leaves of the signal; broadcasts to grid.shape.

    The band runs along a straight line in front of the bodies of the vertebrae in the field of view.
    """
    centers = [
        scene.posture.to_exam(bone.name, bone.centroid)
        for bone in scene.body.bones
        if bone.verse and grid.contains(scene.posture.to_exam(bone.name, bone.centroid))
    ]
    if not protocol.saturation_band or not centers:
        return np.ones((1, 1, 1), dtype=np.float32)
    spine = np.array(centers)
    slope, height = np.polyfit(spine[:, 2], spine[:, 1], 1) if len(spine) > 2 else (0.0, spine[:, 1].mean())
    middle = grid.shape[2] // 2
    plane = grid.points(np.stack(np.meshgrid(*map(np.arange, grid.shape[:2]), [middle], indexing="ij"), -1))
    ahead = height + slope * plane[..., 2] - plane[..., 1] - number("mr.saturation_gap_mm")
    edge, width = number("mr.saturation_edge_mm"), number("mr.saturation_width_mm")
    band = smooth_step(ahead / edge + 0.5) * smooth_step((width - ahead) / edge + 0.5)
    return np.asarray(1 - (1 - number("mr.saturation_left")) * band, dtype=np.float32)


def ghosts(values: Float32Array, protocol: MrProtocol, phase_axis: int) -> Float32Array:
    """Images of what moves (the front of the body), shifted along the phase axis; shape values.shape."""
    n = values.shape[phase_axis]
    moving = np.expand_dims(
        smooth_step(np.linspace(1.5, -0.5, n)), tuple(a for a in range(3) if a != phase_axis)
    )
    source = values * moving * np.float32(protocol.ghosting)
    shift = round(number("mr.ghost_shift") * n)
    return np.asarray(np.roll(source, shift, phase_axis) + np.roll(source, -shift, phase_axis))


def _shifted(values: Float32Array, pixels: float, axis: int) -> Float32Array:
    """Move along an axis of the plane; cubic in between, edges continued."""
    whole = int(np.floor(pixels))
    part = pixels - whole
    if part == 0 and whole == 0:
        return values
    places = np.arange(values.shape[axis]) - whole
    out = np.zeros_like(values)
    for tap, weight in zip((1, 0, -1, -2), _cubic(part), strict=True):
        index = np.clip(places + tap, 0, values.shape[axis] - 1)
        out += np.float32(weight) * values.take(index, axis)
    return out


def _cubic(part: float) -> tuple[float, float, float, float]:
    """Weights of the samples at 1, 0, -1 and -2 for the value at -part (Keys 1981, a = -1/2)."""
    t = part
    return (
        (-(t**3) + 2 * t**2 - t) / 2,
        (3 * t**3 - 5 * t**2 + 2) / 2,
        (-3 * t**3 + 4 * t**2 + t) / 2,
        (t**3 - t**2) / 2,
    )


def _upsampled(values: Float32Array, index: list[FloatArray]) -> Float32Array:
    """Linear interpolation axis by axis."""
    for axis, places in enumerate(index):
        low = np.minimum(places.astype(int), max(values.shape[axis] - 2, 0))
        high = np.minimum(low + 1, values.shape[axis] - 1)
        shape = [1, 1, 1]
        shape[axis] = -1
        weight = (places - low).astype(np.float32).reshape(shape)
        values = values.take(low, axis) * (1 - weight) + values.take(high, axis) * weight
    return values
