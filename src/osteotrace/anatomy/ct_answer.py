"""What the CT network answers for a volume: classes, vertebrae and where their centres are."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.anatomy.ct_body import AIR_HU, COARSE, outline, patient_in
from osteotrace.anatomy.network import AT_WORK, Network, canonical_grid, on_lattice
from osteotrace.space import Grid

LATTICE_MM: Final = (2.0, 2.0, 2.0)  # the network was trained on this lattice
_DENSEST_HU: Final = 1500.0
_SCALE_HU: Final = 300.0
_MARGIN_MM: Final = 12.0
_MOST_VOXELS: Final = 6_000_000  # of a tile: about 2 GB of memory
_OVERLAP: Final = 24  # voxels that two tiles share along the body
_MULTIPLE: Final = 16
_SHORTEST: Final = 2 * _OVERLAP + _MULTIPLE  # rows of a tile
_UNLIKELY: Final = 8.0  # log of how much less likely something is that is taken for impossible

Box: TypeAlias = tuple[slice, slice, slice]


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
    body : ndarray of bool, shape lattice.shape
        The patient without the table.
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
    body: NDArray[np.bool_]
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
    patient = patient_in(values, grid, lattice)
    box = _box(patient, lattice.shape)
    if box is None:
        return None
    patient = patient[tuple(slice(s.start // COARSE, -(-s.stop // COARSE)) for s in box)]
    lattice = lattice.crop([s.start for s in box], [s.stop for s in box])
    hu = on_lattice(*_around(values, grid, lattice), lattice)
    inside = np.isfinite(hu)
    np.clip(hu, AIR_HU, _DENSEST_HU, out=hu)
    hu[~inside] = AIR_HU
    return _over_tiles(hu, lattice, inside, patient, network)


def _box(patient: NDArray[np.bool_], shape: tuple[int, ...]) -> Box | None:
    """Box around the patient and a margin; it begins at whole voxels of the coarse lattice."""
    around = ndimage.find_objects(patient.astype(np.uint8))
    if not around:
        return None
    reach = int(np.ceil(_MARGIN_MM / LATTICE_MM[0] / COARSE))
    i, j, k = (
        slice(max(0, s.start - reach) * COARSE, min(n, (s.stop + reach) * COARSE))
        for s, n in zip(around[0], shape, strict=True)
    )
    return i, j, k


def _around(values: NDArray[np.generic], grid: Grid, lattice: Grid) -> tuple[NDArray[np.generic], Grid]:
    """The part of an image that a lattice inside of it needs."""
    index = grid.indices(lattice.corners)
    reach = 2.0 * np.ceil(lattice.spacing.max() / grid.spacing) + 1.0
    start = np.clip(np.floor(index.min(axis=0) - reach), 0, None).astype(int)
    stop = np.minimum(np.ceil(index.max(axis=0) + reach).astype(int) + 1, grid.shape)
    box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    return values[box], grid.crop(start, stop)


def _over_tiles(
    hu: NDArray[np.float32],
    lattice: Grid,
    inside: NDArray[np.bool_],
    patient: NDArray[np.bool_],
    network: Network,
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
        outline(patient, hu) & inside,
        hu,
    )
    for box, kept in tiles(patient, shape):
        first = kept[0].start - box[0].start
        with AT_WORK:
            logits = _logits(network, hu[box] / np.float32(_SCALE_HU))
            _put(found, kept, logits[:, first : first + kept[0].stop - kept[0].start], network)
            del logits  # some hundred megabytes, before another network begins
    return found


def tiles(patient: NDArray[np.bool_], shape: tuple[int, ...]) -> list[tuple[Box, Box]]:
    """Tiles along the body, each around the patient at its height: what is read, and what is kept of it.

    Parameters
    ----------
    patient : ndarray of bool
        On the coarse lattice.
    shape : tuple of int
        Of the lattice.
    """
    for count in itertools.count(1):
        rows = split(shape[0], count)
        made = [
            ((slice(start, stop), *plane), (slice(low, high), *plane))
            for start, stop, low, high in rows
            for plane in [_plane(patient[start // COARSE : -(-stop // COARSE)], shape)]
        ]
        largest = max(_padded_size(box) for box, _ in made)
        if largest <= _MOST_VOXELS or rows[0][1] <= _SHORTEST:
            return made
    raise AssertionError("unreachable")


def split(rows: int, count: int) -> list[tuple[int, int, int, int]]:
    """At most so many pieces of a body: first and last row that is read, first and last row that is kept."""
    size = -(-(rows + (count - 1) * _OVERLAP) // count)
    size = max(_SHORTEST, -(-size // _MULTIPLE) * _MULTIPLE)
    if rows <= size:
        return [(0, rows, 0, rows)]
    count = 1 + -(-(rows - size) // (size - _OVERLAP))
    starts = [round(x) for x in np.linspace(0, rows - size, count)]
    ends = [start + size for start in starts]
    seams = [0, *((a + b) // 2 for a, b in zip(ends[:-1], starts[1:], strict=True)), rows]
    return list(zip(starts, ends, seams[:-1], seams[1:], strict=True))


def _plane(patient: NDArray[np.bool_], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The patient and a margin, across the body."""
    reach = int(np.ceil(_MARGIN_MM / LATTICE_MM[0] / COARSE))
    seen: NDArray[np.bool_] = np.asarray(patient.any(axis=0))
    out = []
    for axis in (0, 1):
        line = np.flatnonzero(seen.any(axis=1 - axis))
        first, last = (int(line[0]), int(line[-1])) if len(line) else (0, 0)
        stop = min(shape[axis + 1], (last + 1 + reach) * COARSE)
        out.append(slice(max(0, first - reach) * COARSE, stop))
    return out[0], out[1]


def _padded_size(box: Box) -> int:
    return int(np.prod([-(-(s.stop - s.start) // _MULTIPLE) * _MULTIPLE for s in box]))


def _logits(network: Network, image: NDArray[np.float32]) -> NDArray[np.float32]:
    pads = [(0, -n % _MULTIPLE) for n in image.shape]
    padded = np.pad(image, pads, constant_values=AIR_HU / _SCALE_HU)
    (logits,) = network.session.run(["logits"], {"image": padded[None, None]})
    i, j, k = image.shape
    return np.asarray(logits[0][:, :i, :j, :k])


def _put(found: CtAnswer, kept: Box, logits: NDArray[np.float32], network: Network) -> None:
    """Write the answer of a tile."""
    count, inside = len(found.names), found.inside[kept]
    best = logits[0].copy()
    classes = np.zeros(best.shape, np.uint8)
    for index in range(1, count):
        np.copyto(classes, index, where=logits[index] > best)
        np.maximum(best, logits[index], out=best)
    found.classes[kept] = np.where(inside, classes, 0)
    wanted = [found.names.index(name) for name in ("vertebra body", "vertebra posterior")]
    likely = inside & (np.maximum(logits[wanted[0]], logits[wanted[1]]) > best - _UNLIKELY)
    shares = np.exp(logits[:count, likely] - best[likely])
    found.vertebra[kept][likely] = shares[wanted].sum(axis=0) / shares.sum(axis=0)
    core = logits[network.channels.index("core")]
    likely = inside & (core > -_UNLIKELY)
    found.core[kept][likely] = 1.0 / (1.0 + np.exp(-core[likely]))
    first = network.channels.index("to centre i")
    np.multiply(logits[first : first + 3], np.float32(10.0), out=found.to_centre[(slice(None), *kept)])
