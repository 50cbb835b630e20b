"""FDG PET: standardised uptake values as a scanner resolves them, with noise by counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from osteotrace.errors import SpaceError
from osteotrace.phantom.field import Float32Array
from osteotrace.phantom.protocols import PetProtocol
from osteotrace.phantom.records import Insert, Material
from osteotrace.phantom.scanner.constants import number
from osteotrace.phantom.scanner.filters import FWHM, blurred, smooth_noise
from osteotrace.phantom.scanner.labels import insert_box, insert_share
from osteotrace.phantom.scanner.render import THREADS, averaged, refined, render
from osteotrace.phantom.scanner.scene import Paint, Scene
from osteotrace.space import Grid

SUV_PAINT = Paint(
    lambda material: (material.suv,), lambda material: (material.suv * material.uptake_texture,), (0.0,)
)


def acquire_pet(
    scene: Scene, protocol: PetProtocol, grid: Grid, seed: int, *, threads: int = THREADS
) -> Float32Array:
    """A PET series, corrected for attenuation and decay.

    Parameters
    ----------
    scene : Scene
        In the posture of the PET, which breathing keeps from being that of its CT.
    seed : int
        Of the noise.

    Returns
    -------
    ndarray of float32, shape grid.shape
        SUV by body weight, g/mL.
    """
    return with_noise(
        noise_free(scene, protocol, grid, threads=threads), protocol, grid, seed, threads=threads
    )


def noise_free(scene: Scene, protocol: PetProtocol, grid: Grid, *, threads: int = THREADS) -> Float32Array:
    """SUV without noise: tracer per voxel at the resolution of the scanner."""
    samples = _samples(grid)
    fine = render(scene, refined(grid, samples), SUV_PAINT, threads=threads)[0]
    return averaged(_resolved(fine, protocol, grid, samples, threads), samples)


def with_noise(
    values: Float32Array, protocol: PetProtocol, grid: Grid, seed: int, *, threads: int = THREADS
) -> Float32Array:
    """Add noise as iterative reconstruction leaves it.

    Its SD is ``protocol.noise`` times the root of the local value times the value around: that share of the
    SUV in a large uniform region, none where there is no tracer.
    """
    reach = blurred(values, number("pet.noise_reach_mm") / FWHM / grid.spacing, threads)
    sigma = number("pet.noise_grain") * protocol.fwhm_mm / FWHM / grid.spacing
    noise = smooth_noise(grid.shape, sigma, (seed,), threads)
    noise *= np.sqrt(np.maximum(values, 0) * np.maximum(reach, 0))
    noise *= np.float32(protocol.noise)
    noise += values
    return np.maximum(noise, 0, out=noise)


def calibrated_suv(background: Float32Array, share: Float32Array, wanted: float) -> float:
    """SUV of an insert that makes the maximum of an image without noise inside of it what is wanted.

    Parameters
    ----------
    background : ndarray of float32
        Resolved image with the insert in its place but without tracer.
    share : ndarray of float32, same shape
        Resolved share of the insert per voxel.
    wanted : float
        SUVmax.

    Raises
    ------
    SpaceError
        When the insert reaches no voxel, or its surroundings alone exceed what is wanted.
    """
    largest = float(share.max())
    if largest <= 0:
        raise SpaceError("the insert lies outside the grid", expected="an insert in the field of view")
    inside = share >= 0.5 * largest
    found = float(((wanted - background[inside]) / share[inside]).min())
    if found <= 0:
        raise SpaceError(
            f"the surroundings of the insert alone reach more than SUV {wanted}",
            expected="a wanted maximum above the spill-in",
        )
    return found


def calibrate(scene: Scene, protocol: PetProtocol, grid: Grid, insert_id: str, wanted: float) -> Scene:
    """The scene with the SUV of one insert set so that its SUVmax without noise is what is wanted.

    The texture of the insert is switched off, so that the maximum is where the truth says.

    Raises
    ------
    KeyError
        When there is no such insert.
    SpaceError
        When no SUV fulfils the wish.
    """
    cold = with_suv(scene, insert_id, 0.0)
    box = insert_box(scene, insert_id, grid, margin_mm=4 * protocol.fwhm_mm)
    if box is None:
        raise SpaceError("the insert lies outside the grid", where=insert_id, expected="an insert inside")
    samples = _samples(grid)
    fine = insert_share(cold, insert_id, refined(box, samples))
    share = averaged(_resolved(fine, protocol, grid, samples, 1), samples)
    suv = calibrated_suv(noise_free(cold, protocol, box), share, wanted)
    return with_suv(scene, insert_id, suv)


def with_suv(scene: Scene, insert_id: str, suv: float) -> Scene:
    """The scene with another, even SUV of one insert.

    Raises
    ------
    KeyError
        When there is no such insert.
    """
    if all(insert.id != insert_id for insert in scene.inserts):
        raise KeyError(insert_id)
    return replace(
        scene, inserts=tuple(_taking_up(i, suv) if i.id == insert_id else i for i in scene.inserts)
    )


def _taking_up(insert: Insert, suv: float) -> Insert:
    def dyed(material: Material) -> Material:
        return replace(material, suv=suv, uptake_texture=0.0)

    core = None if insert.core is None else (insert.core[0], dyed(insert.core[1]))
    return replace(insert, material=dyed(insert.material), core=core)


def _samples(grid: Grid) -> tuple[int, int, int]:
    i, j, k = (int(n) for n in np.ceil(grid.spacing / number("pet.sample_mm") - 1e-6))
    return (i, j, k)


def _resolved(
    fine: Float32Array, protocol: PetProtocol, grid: Grid, samples: tuple[int, int, int], threads: int
) -> Float32Array:
    """Blur on the samples; the averaging over the voxel is part of the resolution."""
    voxel = grid.spacing**2 / 12
    sigma = np.sqrt(np.maximum((protocol.fwhm_mm / FWHM) ** 2 - voxel, 0)) / (
        grid.spacing / np.array(samples)
    )
    return blurred(fine, sigma, threads)
