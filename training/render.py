"""Deformation, synthetic contrast and damage of training samples, on the device that trains. Needs torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from codes import FILLER, SKIN_FAT, TISSUES


@dataclass(frozen=True)
class Lattice:
    """Shape and spacing (mm) of a sample; axes inferior, posterior, left."""

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]


@dataclass(frozen=True)
class Pose:
    """Where the voxels of a sample lie in its source.

    Attributes
    ----------
    index : Tensor, shape (i, j, k, 3)
        Voxel indices in the source.
    linear : Tensor, shape (3, 3)
        Millimetres in the sample to millimetres in the source, without the elastic part.
    """

    index: Tensor
    linear: Tensor


def uniform(low: float, high: float) -> float:
    """One number from the host's generator: no wait for the device."""
    return low + (high - low) * float(torch.rand(()))


def chance(p: float) -> bool:
    """Whether something of this probability happens."""
    return float(torch.rand(())) < p


def smooth_noise(shape: tuple[int, ...], cells: tuple[int, ...], device: torch.device, n: int = 1) -> Tensor:
    """Normal noise on a coarse lattice, made fine; shape (n, *shape)."""
    coarse = torch.randn((1, n, *cells), device=device)
    return F.interpolate(coarse, size=shape, mode="trilinear", align_corners=True)[0]


def _turn(angles: tuple[float, float, float]) -> Tensor:
    out = torch.eye(3)
    for axis, angle in enumerate(angles):
        a, b = [n for n in range(3) if n != axis]
        turn = torch.eye(3)
        turn[a, a] = turn[b, b] = math.cos(angle)
        turn[a, b], turn[b, a] = -math.sin(angle), math.sin(angle)
        out = out @ turn
    return out


def pose(
    lattice: Lattice,
    centre_mm: Tensor,
    source_spacing: Tensor,
    *,
    scale: float | tuple[float, float, float],
    degrees: tuple[float, float, float],
    flips: tuple[bool, bool, bool],
    bend_mm: float | tuple[float, float, float],
    crush_mm: float,
    device: torch.device,
) -> Pose:
    """A turned, scaled, bent and, around its middle, crushed lattice in a source volume.

    Parameters
    ----------
    centre_mm : Tensor, shape (3,)
        Middle of the sample, mm from the first voxel of the source.
    scale, bend_mm : float or tuple of float
        The same along all axes of the sample, or one for each.
    degrees : tuple of float
        About the axes inferior, posterior, left.
    crush_mm : float
        How much a body at the middle loses in height.
    """
    signs = torch.tensor([-1.0 if f else 1.0 for f in flips])
    signs = signs / torch.tensor(scale)
    bend = torch.tensor(bend_mm).to(device, non_blocking=True)
    turned = _turn(tuple(math.radians(d) for d in degrees)) @ torch.diag(signs)
    linear = turned.to(device, non_blocking=True)
    axes = [
        (torch.arange(n, device=device) - (n - 1) / 2) * s
        for n, s in zip(lattice.shape, lattice.spacing, strict=True)
    ]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    if bend_mm and bend_mm != (0.0, 0.0, 0.0):
        cells = tuple(
            max(3, round(n * s / 35.0) + 2) for n, s in zip(lattice.shape, lattice.spacing, strict=True)
        )
        waves = smooth_noise(lattice.shape, cells, device, 3)
        points = points + waves.movedim(0, -1) * bend
    if crush_mm != 0:
        near = torch.exp(-(points**2).sum(-1) / (2 * 13.0**2))
        wedge = 1.0 - points[..., 1] / 20.0
        points = points.clone()
        points[..., 0] += crush_mm * torch.tanh(points[..., 0] / 6.0) * near * wedge.clamp(0, 2)
    source = points @ linear.T + centre_mm.to(device, non_blocking=True)
    return Pose(source / source_spacing.to(device, non_blocking=True), linear)


def warp(volume: Tensor, place: Pose, *, nearest: bool, fill: float = 0.0) -> Tensor:
    """Values of a source volume (i, j, k) at a pose; shape of the sample, float32."""
    sizes = torch.tensor(volume.shape, dtype=torch.float32).to(volume.device, non_blocking=True)
    grid = (2 * place.index / (sizes - 1) - 1).flip(-1)[None]
    values = volume[None, None].float() - fill
    mode = "nearest" if nearest else "bilinear"
    return F.grid_sample(values, grid, mode=mode, padding_mode="zeros", align_corners=True)[0, 0] + fill


def blur(image: Tensor, sigmas: tuple[float, float, float]) -> Tensor:
    """Gaussian blur, sigmas in voxels."""
    out = image[None, None]
    for axis, sigma in enumerate(sigmas):
        if sigma < 0.15:
            continue
        radius = max(1, math.ceil(2.5 * sigma))
        line = torch.exp(-(torch.arange(-radius, radius + 1, device=image.device) ** 2) / (2 * sigma**2))
        shape, pad = [1, 1, 1, 1, 1], [0, 0, 0]
        shape[2 + axis], pad[axis] = 2 * radius + 1, radius
        out = F.conv3d(out, (line / line.sum()).reshape(shape), padding=tuple(pad))
    return out[0, 0]


def thick_slices(image: Tensor, axis: int, ratio: float, gap: float) -> Tensor:
    """What is left when the image was taken in slices `ratio` voxels apart with a gap between (0 to 1)."""
    size = image.shape[axis]
    sigmas = [0.0, 0.0, 0.0]
    sigmas[axis] = 0.4 * ratio * (1 - gap)
    soft = blur(image, (sigmas[0], sigmas[1], sigmas[2])).movedim(axis, -1)
    count = max(2, round(size / ratio))
    start = uniform(0.0, 0.5) * ratio
    at = (torch.arange(count, device=image.device) * ratio + start).clamp(0, size - 1).round().long()
    slices = soft[..., at]
    flat = slices.reshape(1, -1, count)
    wide = F.interpolate(flat, size=size, mode="linear" if chance(0.7) else "nearest")
    return wide.reshape(soft.shape).movedim(-1, axis)


def kept_slices(image: Tensor, every: int, first: int) -> Tensor:
    """An image of which only every so many slices were taken, and those between interpolated linearly."""
    size = image.shape[2]
    at = torch.arange(size, device=image.device)
    low = torch.div(at - first, every, rounding_mode="floor").clamp(0, (size - 1 - first) // every)
    high = (low + 1).clamp(max=(size - 1 - first) // every)
    share = ((at - first - low * every) / every).clamp(0, 1)
    return image[:, :, low * every + first] * (1 - share) + image[:, :, high * every + first] * share


def bias(shape: tuple[int, int, int], device: torch.device, strength: float) -> Tensor:
    """Sensitivity of a coil: a smooth factor, often stronger towards the back."""
    field = smooth_noise(shape, (3, 3, 3), device)[0] * 0.5
    if chance(0.5):
        field = field + torch.linspace(-1, 1, shape[1], device=device)[None, :, None] * uniform(0.0, 2.0)
    return torch.exp(field * strength)


def rim(mask: Tensor) -> Tensor:
    """Voxels of a mask that touch its outside, in the sagittal plane."""
    inside = -F.max_pool3d(-mask[None, None].float(), (3, 3, 1), 1, (1, 1, 0))
    return mask & (inside[0, 0] < 0.5)


def shell(mask: Tensor) -> Tensor:
    """Voxels outside of a mask that touch it, in the sagittal plane."""
    wide = F.max_pool3d(mask[None, None].float(), (3, 3, 1), 1, (1, 1, 0))
    return (wide[0, 0] > 0.5) & ~mask


def blobs(
    shape: tuple[int, int, int], share: float, cells: tuple[int, int, int], device: torch.device
) -> Tensor:
    """A random part of space of roughly this share, in blobs; bool."""
    noise = smooth_noise(shape, cells, device)[0]
    return noise > noise.flatten()[:: max(1, noise.numel() // 4096)].quantile(1 - share)


def mottled(tissue: Tensor, means: Tensor, rough: Tensor) -> Tensor:
    """Mean of each tissue with a texture of its own; tissue is long, shape (i, j, k)."""
    device = tissue.device
    coarse = smooth_noise(tuple(tissue.shape), tuple(max(2, n // 6) for n in tissue.shape), device)[0]
    fine = torch.randn(tissue.shape, device=device)
    texture = coarse * uniform(0.3, 1.0) + fine * uniform(0.0, 0.7)
    return means[tissue] + rough[tissue] * texture


def fill_filler(tissue: Tensor, means: Tensor, image: Tensor, values: Tensor, levels: int) -> Tensor:
    """Give the unlabelled inside of the trunk a few random tissues; values has shape (levels,)."""
    device = tissue.device
    cells = tuple(max(3, int(n / uniform(5.0, 14.0))) for n in tissue.shape)
    noise = smooth_noise(tuple(tissue.shape), cells, device)[0]
    level = ((noise * 0.35 + 0.5) * levels).long().clamp(0, levels - 1)
    return torch.where(tissue == FILLER, values[level] + (image - means[FILLER]), image)


__all__ = [
    "FILLER",
    "SKIN_FAT",
    "TISSUES",
    "Lattice",
    "Pose",
    "bias",
    "blobs",
    "blur",
    "chance",
    "fill_filler",
    "kept_slices",
    "mottled",
    "pose",
    "rim",
    "shell",
    "smooth_noise",
    "thick_slices",
    "uniform",
    "warp",
]
