"""CT: Hounsfield units with kernel, textured noise, table, contrast phase and metal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import fft

from osteotrace.phantom.field import Float32Array
from osteotrace.phantom.protocols import CtProtocol
from osteotrace.phantom.records import Body, Material, Part
from osteotrace.phantom.scanner.constants import number, numbers, of_part
from osteotrace.phantom.scanner.filters import FWHM, in_threads, runs_of
from osteotrace.phantom.scanner.metal import streaks
from osteotrace.phantom.scanner.render import THREADS, render
from osteotrace.phantom.scanner.scene import Paint, Scene
from osteotrace.phantom.scanner.table import add_table
from osteotrace.space import Grid

_AIR_HU = -1000.0
# Slices that a thread takes at a time.
_RUN = 8


def acquire_ct(
    scene: Scene, protocol: CtProtocol, grid: Grid, seed: int, *, threads: int = THREADS
) -> Float32Array:
    """A CT series.

    Parameters
    ----------
    grid : Grid
        Axial: i and j in the plane of the slices.
    seed : int
        Of the noise.

    Returns
    -------
    ndarray of float32, shape grid.shape
        HU.
    """
    if protocol.contrast_phase == "portal venous":
        scene = replace(scene, body=enhanced(scene.body))
    values = render(scene, grid, hounsfield_paint(protocol.kvp), threads=threads)[0]
    add_table(values, grid)
    streak = streaks(values, grid)
    shape = values.shape[:2]
    spacing = (float(grid.spacing[0]), float(grid.spacing[1]))
    transfer = transfer_function(protocol.kernel, shape, spacing)
    power = noise_filters(protocol, shape, spacing)

    def work(run: slice) -> None:
        slices = fft.rfft2(np.moveaxis(values[..., run], -1, 0)) * transfer
        for place, k in enumerate(range(run.start, run.stop)):
            for channel, gain in enumerate(power):
                white = np.random.default_rng([seed, channel, k]).standard_normal(shape, dtype=np.float32)
                slices[place] += fft.rfft2(white) * gain
        values[..., run] = np.moveaxis(fft.irfft2(slices, s=shape), 0, -1)

    in_threads(work, runs_of(grid.shape[2], _RUN), threads)
    for k, added in streak.items():
        values[..., k] += added
    np.clip(values, number("ct.lowest_hu"), number("ct.highest_hu"), out=values)
    return np.asarray(values)


def hounsfield_paint(kvp: float) -> Paint:
    """HU of every material at a tube voltage."""
    factor = float(np.interp(kvp, numbers("ct.kvp"), numbers("ct.bone_by_kvp")))
    start = number("ct.kvp_from_hu")

    def mean(material: Material) -> tuple[float, ...]:
        hu = material.hu
        return (hu if hu <= start else start + (hu - start) * factor,)

    return Paint(mean, lambda material: (material.hu_texture,), (_AIR_HU,))


def enhanced(body: Body) -> Body:
    """The body in the portal venous phase."""
    return replace(body, parts=tuple(_enhanced(part) for part in body.parts))


def transfer_function(kernel: str, shape: tuple[int, int], spacing: tuple[float, float]) -> Float32Array:
    """Modulation transfer of a kernel at the frequencies of ``scipy.fft.rfft2`` of a slice."""
    f = _frequency(shape, spacing)
    sigma = number(f"ct.{kernel}.blur_mm") / FWHM
    peak = (f / number("ct.boost_per_mm")) ** 2
    rise = 1 + number(f"ct.{kernel}.boost") * peak * np.exp(1 - peak)
    return np.asarray(np.exp(-2 * (np.pi * sigma * f) ** 2) * rise, dtype=np.float32)


def noise_filters(
    protocol: CtProtocol, shape: tuple[int, int], spacing: tuple[float, float]
) -> list[Float32Array]:
    """Filters that make white noise into the noise of the protocol, in HU; their variances add up.

    The power is the ramp of filtered backprojection times the squared transfer of the kernel; a low-dose
    scan has streaks from side to side besides.
    """
    f = _frequency(shape, spacing)
    ramp = np.sqrt(f / number("ct.boost_per_mm") + number("ct.noise_floor"))
    even = ramp * transfer_function(protocol.kernel, shape, spacing)
    share = number("ct.streak_share") if protocol.low_dose else 0.0
    found = [_scaled(even, shape, protocol.noise_hu * np.sqrt(1 - share))]
    if share:
        along = np.abs(fft.fftfreq(shape[0], spacing[0]))[:, None] / number("ct.streak_per_mm")
        found.append(_scaled(even / (1 + along**2), shape, protocol.noise_hu * np.sqrt(share)))
    return found


def _frequency(shape: tuple[int, int], spacing: tuple[float, float]) -> Float32Array:
    """Spatial frequency, 1/mm."""
    first, second = fft.fftfreq(shape[0], spacing[0]), fft.rfftfreq(shape[1], spacing[1])
    return np.asarray(np.hypot(first[:, None], second[None, :]), dtype=np.float32)


def _scaled(gain: Float32Array, shape: tuple[int, int], sd: float) -> Float32Array:
    """A filter scaled so that white noise of SD 1 leaves it with the SD that is asked for."""
    weight = np.full(gain.shape[1], 2.0)  # the half plane stands for both
    weight[0] = 1.0
    if shape[1] % 2 == 0:
        weight[-1] = 1.0
    variance = float((gain.astype(np.float64) ** 2 * weight).sum() / np.prod(shape))
    return np.asarray(gain * (sd / np.sqrt(variance)), dtype=np.float32)


def _enhanced(part: Part) -> Part:
    added = of_part("ct_portal_venous", part.name, 0.0)
    return replace(part, fill=replace(part.fill, hu=part.fill.hu + added)) if added else part
