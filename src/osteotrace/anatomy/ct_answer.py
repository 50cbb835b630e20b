"""What the CT network answers for a volume: classes, vertebrae and where their centres are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.anatomy.network import Network, canonical_grid, on_lattice
from osteotrace.space import Grid

LATTICE_MM: Final = (2.0, 2.0, 2.0)  # the network was trained on this lattice
AIR_HU: Final = -1024.0
_DENSEST_HU: Final = 1500.0
_SCALE_HU: Final = 300.0
_BODY_HU: Final = -300.0
_COARSE: Final = 4  # voxels of a block in which the patient is looked for
_MARGIN_MM: Final = 12.0
_MOST_VOXELS: Final = 4_000_000  # of a tile
_OVERLAP: Final = 32  # voxels that two tiles share along the body
_MULTIPLE: Final = 16


@dataclass(frozen=True, slots=True, eq=False)
class CtAnswer:
    """The network's answer on its own lattice.

    Attributes
    ----------
    lattice : Grid
        Axes near inferior, posterior, left; 2 mm.
    names : tuple of str
        What the classes mean; the first is everything else.
    classes : ndarray of uint8, shape lattice.shape
        The most probable class, an index into `names`; 0 outside of the volume.
    vertebra : ndarray of float32, shape lattice.shape
        Probability of a vertebra, body or posterior part.
    core : ndarray of float32, shape lattice.shape
        Probability of the inner part of a body.
    to_centre : ndarray of float32, shape (3, *lattice.shape)
        From a voxel of a vertebra to the centre of its body, mm along the axes of the lattice.
    inside : ndarray of bool, shape lattice.shape
        Where the volume has values.
    hu : ndarray of float32, shape lattice.shape
        What the network was given; air outside of the volume.
    """

    lattice: Grid
    names: tuple[str, ...]
    classes: NDArray[np.uint8]
    vertebra: NDArray[np.float32]
    core: NDArray[np.float32]
    to_centre: NDArray[np.float32]
    inside: NDArray[np.bool_]
    hu: NDArray[np.float32]

    def of(self, *names: str) -> NDArray[np.bool_]:
        """Voxels of some classes."""
        return np.isin(self.classes, [self.names.index(name) for name in names])


def answer_of(values: NDArray[np.generic], grid: Grid, network: Network) -> CtAnswer | None:
    """Run the network over the patient in a CT volume.

    Parameters
    ----------
    values : ndarray, shape grid.shape
        HU.

    Returns
    -------
    CtAnswer or None
        None where there is nothing but air.
    """
    lattice = canonical_grid(grid, LATTICE_MM)
    hu = on_lattice(values, grid, lattice)
    box = _patient(hu)
    if box is None:
        return None
    hu = hu[box]
    lattice = lattice.crop([s.start for s in box], [s.stop for s in box])
    inside = np.isfinite(hu)
    hu = np.where(inside, np.clip(hu, AIR_HU, _DENSEST_HU), np.float32(AIR_HU))
    return _over_tiles(hu, lattice, inside, network)


def _patient(hu: NDArray[np.float32]) -> tuple[slice, slice, slice] | None:
    """Box around what is no air."""
    step = _COARSE
    small = np.nan_to_num(hu[::step, ::step, ::step], nan=AIR_HU) > _BODY_HU
    small = ndimage.binary_opening(small) if min(small.shape) > 2 else small
    if not small.any():
        return None
    reach = int(np.ceil(_MARGIN_MM / LATTICE_MM[0]))
    box = []
    for axis, size in enumerate(hu.shape):
        line = np.flatnonzero(small.any(axis=tuple(a for a in range(3) if a != axis)))
        box.append(slice(max(0, int(line[0]) * step - reach), min(size, (int(line[-1]) + 1) * step + reach)))
    return box[0], box[1], box[2]


def _over_tiles(
    hu: NDArray[np.float32], lattice: Grid, inside: NDArray[np.bool_], network: Network
) -> CtAnswer:
    names = network.channels[: network.channels.index("core")]
    shape = hu.shape
    found = CtAnswer(
        lattice,
        names,
        np.zeros(shape, np.uint8),
        np.zeros(shape, np.float32),
        np.zeros(shape, np.float32),
        np.zeros((3, *shape), np.float32),
        inside,
        hu,
    )
    for start, stop, low, high in tiles(shape):
        logits = _logits(network, hu[start:stop] / np.float32(_SCALE_HU))[:, low - start : high - start]
        _put(found, slice(low, high), logits, network)
    return found


def tiles(shape: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
    """Tiles along the body: first and last row that is read, first and last row that is kept."""
    rows, plane = shape[0], shape[1] * shape[2]
    size = max(2 * _OVERLAP + _MULTIPLE, _MOST_VOXELS // plane // _MULTIPLE * _MULTIPLE)
    if rows <= size:
        return [(0, rows, 0, rows)]
    count = 1 + int(np.ceil((rows - size) / (size - _OVERLAP)))
    starts = [round(x) for x in np.linspace(0, rows - size, count)]
    ends = [start + size for start in starts]
    seams = [0, *((a + b) // 2 for a, b in zip(ends[:-1], starts[1:], strict=True)), rows]
    return list(zip(starts, ends, seams[:-1], seams[1:], strict=True))


def _logits(network: Network, image: NDArray[np.float32]) -> NDArray[np.float32]:
    pads = [(0, -n % _MULTIPLE) for n in image.shape]
    padded = np.pad(image, pads, constant_values=AIR_HU / _SCALE_HU)
    (logits,) = network.session.run(["logits"], {"image": padded[None, None]})
    i, j, k = image.shape
    return np.asarray(logits[0][:, :i, :j, :k])


def _put(found: CtAnswer, rows: slice, logits: NDArray[np.float32], network: Network) -> None:
    """Write the answer of a tile."""
    count, inside = len(found.names), found.inside[rows]
    best = logits[0].copy()
    classes = np.zeros(best.shape, np.uint8)
    for index in range(1, count):
        more = logits[index] > best
        classes[more] = index
        np.maximum(best, logits[index], out=best)
    total = np.zeros_like(best)
    vertebra = np.zeros_like(best)
    wanted = [found.names.index(name) for name in ("vertebra body", "vertebra posterior")]
    for index in range(count):
        share = np.exp(logits[index] - best)
        total += share
        if index in wanted:
            vertebra += share
    found.classes[rows] = np.where(inside, classes, 0)
    found.vertebra[rows] = np.where(inside, vertebra / total, 0.0)
    core = logits[network.channels.index("core")]
    found.core[rows] = inside / (1.0 + np.exp(-np.clip(core, -30.0, 30.0)))
    first = network.channels.index("to centre i")
    found.to_centre[:, rows] = logits[first : first + 3] * 10.0
