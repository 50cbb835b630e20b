"""The embedded networks: the lattice that they work on, and their answer for an image. CPU only."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from threading import RLock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from osteotrace.errors import ProgramError
from osteotrace.space import FloatArray, Grid, resample, threads

# Columns: inferior, posterior, left in LPS. The networks were trained on arrays with these axes.
CANONICAL: FloatArray = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])

AT_WORK: Final = RLock()
"""Held while a network works: it takes all threads and most of the memory, so that one works at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A trained network.

    Attributes
    ----------
    session : onnxruntime.InferenceSession
        Takes ``image`` (1, 1, i, j, k), gives ``logits`` (1, channels, i, j, k); float32.
    channels : tuple of str
        What each channel of the answer means.
    digest : str
        First 12 digits of the SHA-256 of the file.
    """

    session: Any
    channels: tuple[str, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class TileSettings:
    """How a large image is cut for a network.

    Attributes
    ----------
    shape : tuple of int
        Largest tile, voxels; multiples of `multiple`.
    overlap : tuple of int
        Voxels that neighbouring tiles share.
    multiple : tuple of int
        The pooling of the network divides only multiples of these.
    """

    shape: tuple[int, int, int]
    overlap: tuple[int, int, int]
    multiple: tuple[int, int, int]


def load_network(name: str) -> Network:
    """An embedded network (``mr``), on as many threads as :func:`osteotrace.space.threads` allows."""
    with AT_WORK:
        return _loaded(name, threads())


@cache
def _loaded(name: str, n_threads: int) -> Network:
    data = (resources.files("osteotrace.anatomy") / "weights" / f"{name}.onnx").read_bytes()
    return network_of(data, n_threads)


def network_of(data: bytes, n_threads: int) -> Network:
    """The network of an ONNX file's bytes; its metadata names the channels.

    Raises
    ------
    ProgramError
        When the extra with the runtime of the networks is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ProgramError(
            "onnxruntime is not installed",
            expected="the runtime of the embedded networks",
            remedy="pip install 'osteotrace[anatomy]'",
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # the arena would keep the largest tile's memory
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    channels = json.loads(session.get_modelmeta().custom_metadata_map["channels"])
    return Network(session, tuple(channels), hashlib.sha256(data).hexdigest()[:12])


def canonical_grid(grid: Grid, spacing_mm: tuple[float, float, float]) -> Grid:
    """Lattice along the axes of an image that lie nearest to inferior, posterior and left.

    The axes of the image are kept (an oblique sagittal stack is not cut anew), put in order and turned;
    a sheared lattice is made rectangular.

    Parameters
    ----------
    spacing_mm : tuple of float
        Wanted along inferior, posterior, left.
    """
    axes = canonical_axes(grid)
    local = grid.corners @ axes
    low, high = local.min(axis=0), local.max(axis=0)
    step = np.array(spacing_mm)
    i, j, k = (int(n) for n in np.maximum(1, np.ceil((high - low) / step - 1e-6)))
    first = (low + high) / 2 - (np.array([i, j, k]) - 1) / 2 * step
    affine = np.eye(4)
    affine[:3, :3] = axes * step
    affine[:3, 3] = axes @ first
    return Grid((i, j, k), affine, grid.frame_of_reference_uid)


def canonical_axes(grid: Grid) -> FloatArray:
    """Unit vectors near inferior, posterior, left (columns), along the axes of an image; shape (3, 3)."""
    q, _ = np.linalg.qr(grid.direction)
    q = q * np.sign((q * grid.direction).sum(axis=0))
    likeness = CANONICAL.T @ q
    order = max(itertools.permutations(range(3)), key=lambda p: sum(abs(likeness[r, p[r]]) for r in range(3)))
    axes = q[:, list(order)]
    return np.asarray(axes * np.sign((axes * CANONICAL).sum(axis=0)))


def on_lattice(values: NDArray[Any], grid: Grid, lattice: Grid, fill: float = np.nan) -> NDArray[np.float32]:
    """An image on a coarser lattice without aliasing: whole blocks of voxels are averaged first."""
    step = np.abs(grid.affine[:3, :3].T @ canonical_axes(lattice)).argmax(axis=1)
    factors = np.maximum(1, np.floor(lattice.spacing[step] / grid.spacing + 1e-3)).astype(int)
    small, coarse = block_mean(values, grid, factors)
    return resample(small, coarse, lattice, fill=fill)


def block_mean(
    values: NDArray[Any], grid: Grid, factors: NDArray[np.int_]
) -> tuple[NDArray[np.float32], Grid]:
    """Means of blocks of voxels and their lattice; voxels that fill no block are left out at the end."""
    factors = np.minimum(factors, grid.shape)
    i, j, k = (int(n) for n in np.array(grid.shape) // factors)
    a, b, c = (int(f) for f in factors)
    whole = values[: i * a, : j * b, : k * c]
    total = np.zeros((i, j, k), np.float32)
    for x, y, z in itertools.product(range(a), range(b), range(c)):
        total += whole[x::a, y::b, z::c]
    affine = grid.affine.copy()
    affine[:3, :3] = grid.affine[:3, :3] * factors
    affine[:3, 3] = grid.points((factors - 1) / 2.0)
    total /= np.float32(a * b * c)
    return total, Grid((i, j, k), affine, grid.frame_of_reference_uid)


def resample_part(
    values: NDArray[np.float32], lattice: Grid, grid: Grid, *, order: int = 1
) -> NDArray[np.float32]:
    """As :func:`osteotrace.space.resample` with 0 outside, quicker for values that are 0 nearly everywhere.

    Parameters
    ----------
    values : ndarray of float32, shape lattice.shape
        Not negative.

    Returns
    -------
    ndarray of float32, shape grid.shape
    """
    out = np.zeros(grid.shape, np.float32)
    seen = [np.flatnonzero(values.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    if not seen[0].size:
        return out
    start = np.maximum([a[0] - 1 for a in seen], 0)
    stop = np.minimum([a[-1] + 2 for a in seen], lattice.shape)
    part = lattice.crop(start, stop)
    reach = grid.indices(part.corners)
    low = np.clip(np.floor(reach.min(axis=0)).astype(int), 0, grid.shape)
    high = np.clip(np.ceil(reach.max(axis=0)).astype(int) + 1, 0, grid.shape)
    if (low < high).all():
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        source = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        out[box] = resample(values[source], part, grid.crop(low, high), order=order, fill=0.0)
    return out


def probabilities(network: Network, image: NDArray[np.float32], tiles: TileSettings) -> NDArray[np.float32]:
    """Logistic answer of each channel.

    Parameters
    ----------
    image : ndarray of float32, shape (i, j, k)
        Normalised as in training.

    Returns
    -------
    ndarray of float32, shape (channels, i, j, k), values 0 to 1
    """
    logits = raw_answer(network, image, tiles)
    np.negative(logits, out=logits)
    np.exp(np.minimum(logits, 60.0, out=logits), out=logits)
    logits += 1.0
    return np.asarray(np.reciprocal(logits, out=logits))


def raw_answer(network: Network, image: NDArray[np.float32], tiles: TileSettings) -> NDArray[np.float32]:
    """Answer of each channel before any squashing; float32, shape (channels, i, j, k)."""
    largest = zip(image.shape, tiles.shape, tiles.overlap, tiles.multiple, strict=True)
    shape = [_even(n, size, shared, multiple) for n, size, shared, multiple in largest]
    starts = [
        _starts(n, size, shared) for n, size, shared in zip(image.shape, shape, tiles.overlap, strict=True)
    ]
    places = list(itertools.product(*starts))
    if len(places) == 1:
        return _answer(network, image, tiles.multiple)
    total = np.zeros((len(network.channels), *image.shape), np.float32)
    weight = np.zeros(image.shape, np.float32)
    for place in places:
        box = tuple(slice(s, min(s + size, n)) for s, size, n in zip(place, shape, image.shape, strict=True))
        share = _taper(image[box].shape, tiles.overlap)
        total[(slice(None), *box)] += _answer(network, image[box], tiles.multiple) * share
        weight[box] += share
    total /= weight
    return total


def _even(n: int, size: int, shared: int, multiple: int) -> int:
    """Smallest tile with which as few tiles as with the largest one, `size`, cover `n` voxels."""
    if n <= size:
        return n
    count = 1 + math.ceil((n - size) / (size - shared))
    return min(size, multiple * math.ceil((n + (count - 1) * shared) / count / multiple))


def _starts(n: int, size: int, shared: int) -> list[int]:
    """First voxels of the tiles along one axis: evenly spread, sharing at least `shared` voxels."""
    if n <= size:
        return [0]
    count = 1 + int(np.ceil((n - size) / (size - shared)))
    return [round(x) for x in np.linspace(0, n - size, count)]


def _taper(shape: tuple[int, ...], overlap: tuple[int, int, int]) -> NDArray[np.float32]:
    """Weight of a tile's voxels: rising over the overlap, so that no seam is left; shape of the tile."""
    out = np.ones(shape, np.float32)
    for axis, (n, shared) in enumerate(zip(shape, overlap, strict=True)):
        ramp = np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1)) / max(1, shared)
        out *= np.minimum(1.0, ramp).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
    return out


def _answer(
    network: Network, image: NDArray[np.float32], multiple: tuple[int, int, int]
) -> NDArray[np.float32]:
    pads = [(0, -n % m) for n, m in zip(image.shape, multiple, strict=True)]
    padded = np.pad(image, pads, constant_values=float(image.min()))
    with AT_WORK:
        (logits,) = network.session.run(["logits"], {"image": padded[None, None]})
    i, j, k = image.shape
    return np.asarray(logits[0][:, :i, :j, :k])
