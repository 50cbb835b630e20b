"""A trunk of simple solids with known bone lesions: enough to demonstrate the whole path.

All lengths in mm, in the body's own LPS frame: x to the left, y to the back, z to the head.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from osteotrace.space import FloatArray


class Tissue(IntEnum):
    """Tissues of the phantom; the lesions come last."""

    AIR = 0
    FAT = 1
    MUSCLE = 2
    ORGAN = 3
    LUNG = 4
    VESSEL = 5
    KIDNEY = 6
    CORTEX = 7
    MARROW = 8
    DISC = 9
    FLUID = 10
    BLASTIC = 11
    LYTIC = 12


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """A solid: half axes in mm around a centre."""

    tissue: Tissue
    center: tuple[float, float, float]
    half: tuple[float, float, float]

    def inside(self, points: FloatArray) -> NDArray[np.bool_]:
        """Whether points, shape (n, 3), lie inside; shape (n,)."""
        scaled = (points - np.array(self.center)) / np.array(self.half)
        return np.asarray((scaled**2).sum(axis=-1) <= 1.0)

    @property
    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest coordinates, mm."""
        return np.array(self.center) - self.half, np.array(self.center) + self.half


@dataclass(frozen=True, slots=True)
class Tube:
    """An elliptic cylinder along z."""

    tissue: Tissue
    center: tuple[float, float]
    half: tuple[float, float]
    z: tuple[float, float] = (-1e6, 1e6)

    def inside(self, points: FloatArray) -> NDArray[np.bool_]:
        """Whether points, shape (n, 3), lie inside; shape (n,)."""
        scaled = (points[:, :2] - np.array(self.center)) / np.array(self.half)
        within = (points[:, 2] >= self.z[0]) & (points[:, 2] <= self.z[1])
        return np.asarray(((scaled**2).sum(axis=-1) <= 1.0) & within)

    @property
    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest coordinates, mm."""
        (x, y), (a, b) = self.center, self.half
        return np.array([x - a, y - b, self.z[0]]), np.array([x + a, y + b, self.z[1]])


Solid = Ellipsoid | Tube

CUBE = 1.5  # edge of the lattice on which the body is painted
PITCH = 32.0  # body plus disc
DISC = 7.0


def vertebra_center(number: int) -> tuple[float, float, float]:
    """Centre of a vertebral body; number 0 is in the middle, positive is towards the head."""
    return (0.0, 45.0 + 0.02 * (number * 5.0) ** 2, number * PITCH)


@dataclass(frozen=True, slots=True)
class PhantomLesion:
    """A lesion with its truth.

    Attributes
    ----------
    uptake : float
        SUV.
    """

    name: str
    solid: Ellipsoid
    uptake: float


def lesions() -> tuple[PhantomLesion, ...]:
    """Three bone lesions: blastic and avid, lytic and avid, blastic without uptake above the MR."""
    x, y, z = vertebra_center(0)
    a = Ellipsoid(Tissue.BLASTIC, (x - 6.0, y - 4.0, z + 1.0), (9.0, 8.0, 9.0))
    x, y, z = vertebra_center(-2)
    b = Ellipsoid(Tissue.LYTIC, (x + 7.0, y + 2.0, z - 2.0), (8.0, 9.0, 7.0))
    x, y, z = vertebra_center(4)
    c = Ellipsoid(Tissue.BLASTIC, (x + 4.0, y, z), (7.0, 7.0, 8.0))
    return (
        PhantomLesion("bone lesion A", a, 6.5),
        PhantomLesion("bone lesion B", b, 4.8),
        PhantomLesion("bone lesion C", c, 1.2),
    )


def solids() -> tuple[Solid, ...]:
    """The trunk without lesions, later solids over earlier ones."""
    trunk: list[Solid] = [
        Tube(Tissue.FAT, (0, 0), (165, 115)),
        Tube(Tissue.MUSCLE, (0, 0), (148, 98)),
        Tube(Tissue.FAT, (0, -18), (118, 68)),
        Ellipsoid(Tissue.ORGAN, (-62, -15, 35), (55, 48, 62)),
        Ellipsoid(Tissue.ORGAN, (75, 12, 60), (28, 34, 42)),
        Ellipsoid(Tissue.LUNG, (-70, 0, 185), (48, 62, 85)),
        Ellipsoid(Tissue.LUNG, (72, 0, 190), (46, 60, 85)),
        Ellipsoid(Tissue.ORGAN, (18, -35, 150), (45, 38, 42)),
        Ellipsoid(Tissue.KIDNEY, (-62, 48, -10), (24, 22, 48)),
        Ellipsoid(Tissue.KIDNEY, (64, 50, 4), (24, 22, 50)),
        Ellipsoid(Tissue.ORGAN, (30, -45, -60), (52, 28, 30)),
        Tube(Tissue.VESSEL, (10, 16), (9, 9)),
        Tube(Tissue.VESSEL, (-14, 17), (10, 8)),
        Tube(Tissue.MUSCLE, (-42, 48), (18, 20), (-400, 30)),
        Tube(Tissue.MUSCLE, (44, 48), (19, 20), (-400, 40)),
    ]
    return (*trunk, *(s for n in range(-6, 8) for s in _vertebra(n)))


def _vertebra(number: int) -> tuple[Solid, ...]:
    x, y, z = vertebra_center(number)
    low, high = z - PITCH / 2, z + PITCH / 2
    top = high - DISC
    return (
        Tube(Tissue.DISC, (x, y), (21, 16), (top, high)),
        Tube(Tissue.CORTEX, (x, y), (22, 17), (low, top)),
        Tube(Tissue.MARROW, (x, y), (20.5, 15.5), (low + 1.5, top - 1.5)),
        Tube(Tissue.CORTEX, (x, y + 27), (14, 13), (low + 6, top)),
        Tube(Tissue.FLUID, (x, y + 24), (9, 8), (low, high)),
        Ellipsoid(Tissue.CORTEX, (x, y + 48, z - 8), (4, 14, 9)),
        Ellipsoid(Tissue.CORTEX, (x - 30, y + 24, z), (14, 4, 5)),
        Ellipsoid(Tissue.CORTEX, (x + 30, y + 24, z), (14, 4, 5)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """Tissue numbers on a fine lattice in the body's frame; lesions are numbered from 100.

    Attributes
    ----------
    labels : ndarray of uint8, shape (x, y, z)
        Cubes of ``CUBE`` mm.
    corner : tuple of float
        Centre of voxel (0, 0, 0), mm.
    """

    labels: NDArray[np.uint8]
    corner: tuple[float, float, float]

    def tissue_at(self, points: FloatArray) -> NDArray[np.uint8]:
        """Tissue at body points, shape (n, 3); uint8, shape (n,); air outside."""
        index = np.rint((points - np.array(self.corner)) / CUBE).astype(np.intp)
        inside = ((index >= 0) & (index < self.labels.shape)).all(axis=1)
        found = np.zeros(len(points), dtype=np.uint8)
        found[inside] = self.labels[tuple(index[inside].T)]
        return found


def build_body() -> Body:
    """Paint the solids, then the lesions, on the fine lattice."""
    low, high = np.array([-168, -118, -240]), np.array([168, 118, 290])
    i, j, k = (int(n) for n in np.ceil((high - low) / CUBE))
    body = Body(np.zeros((i, j, k), dtype=np.uint8), (float(low[0]), float(low[1]), float(low[2])))
    for solid in solids():
        _paint(body, solid, int(solid.tissue))
    for number, lesion in enumerate(lesions()):
        _paint(body, lesion.solid, 100 + number)
    return body


def _paint(body: Body, solid: Solid, number: int) -> None:
    first, last = solid.bounds
    corner = np.array(body.corner)
    start = np.maximum(np.floor((first - corner) / CUBE), 0).astype(int)
    stop = np.minimum(np.ceil((last - corner) / CUBE) + 1, body.labels.shape).astype(int)
    lines = [np.arange(a, b) * CUBE + c for a, b, c in zip(start, stop, corner, strict=True)]
    for n, z in enumerate(lines[2]):
        x, y = np.meshgrid(lines[0], lines[1], indexing="ij")
        points = np.stack([x, y, np.full_like(x, z)], axis=-1).reshape(-1, 3)
        plane = body.labels[start[0] : stop[0], start[1] : stop[1], start[2] + n]
        plane[solid.inside(points).reshape(x.shape)] = number
