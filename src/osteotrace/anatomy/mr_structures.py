"""What the network sees beside the bodies on MR: canal, discs, sacrum, muscles. All of it coarse."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.anatomy import mr
from osteotrace.anatomy.network import Network, resample_part
from osteotrace.anatomy.settings import MrSettings
from osteotrace.model.anatomy import Outlined
from osteotrace.space import FloatArray, Grid

DISC, CANAL, SACRUM = 201, 202, 203  # labels of the structures; bones count from 1
BACK_LEFT, BACK_RIGHT, PSOAS_LEFT, PSOAS_RIGHT = 204, 205, 206, 207


def outline(
    found: mr.MrBodies, network: Network, labels: NDArray[np.uint16], grid: Grid, settings: MrSettings
) -> tuple[Outlined, ...]:
    """Write the structures into a label image where no body is, and name them.

    Parameters
    ----------
    labels : ndarray of uint16, shape grid.shape
        Holds the bodies; is written to.
    """
    out = []
    for name, label, share in _shares(found, network, settings):
        mask = on_grid(share, found.lattice, grid, settings) & (labels == 0)
        if mask.any():
            labels[mask] = label
            out.append(Outlined(name, label, coarse=True))
    return tuple(out)


def _shares(
    found: mr.MrBodies, network: Network, settings: MrSettings
) -> list[tuple[str, int, NDArray[np.float32]]]:
    """Name, label and probability of each structure where it can be, on the lattice of the bodies."""

    def seen(name: str, place: NDArray[np.bool_], least_ml: float) -> NDArray[np.float32]:
        share = np.where(place, found.probability[mr.channel(network, name)], np.float32(0))
        return large_parts(share, found.lattice, least_ml, settings)

    bodies = found.bodies > 0
    spacing = tuple(float(s) for s in found.lattice.spacing)
    box = mr.around(bodies, settings.disc_reach_mm, found.lattice)
    near = np.zeros(bodies.shape, bool)
    near[box] = ndimage.distance_transform_edt(~bodies[box], sampling=spacing) < settings.disc_reach_mm
    rows = np.flatnonzero(bodies.any(axis=(1, 2)))
    along = np.zeros(bodies.shape, bool)
    along[rows[0] : rows[-1] + 1] = True
    beside, behind = mr.sideways_mm(found), mr.behind_bodies_mm(found)[:, :, None]
    left = beside > 0
    back = along & (behind > 0) & (behind < settings.muscle_reach_mm)
    flank = along & (np.abs(behind) < settings.psoas_depth_mm) & (np.abs(beside) < settings.psoas_reach_mm)
    muscle = settings.muscle_volume_min_ml
    return [
        (
            "spinal canal",
            CANAL,
            seen(
                "canal",
                along & (behind > 0) & (behind < settings.canal_reach_mm),
                settings.canal_volume_min_ml,
            ),
        ),
        ("intervertebral disc", DISC, seen("disc", near & along, 0.0)),
        ("sacrum", SACRUM, seen("sacrum", below(found), settings.sacrum_volume_min_ml)),
        ("back muscles left", BACK_LEFT, seen("paraspinal", back & left, muscle)),
        ("back muscles right", BACK_RIGHT, seen("paraspinal", back & ~left, muscle)),
        ("iliopsoas left", PSOAS_LEFT, seen("psoas", flank & left, muscle)),
        ("iliopsoas right", PSOAS_RIGHT, seen("psoas", flank & ~left, muscle)),
    ]


def large_parts(
    share: NDArray[np.float32], lattice: Grid, least_ml: float, settings: MrSettings
) -> NDArray[np.float32]:
    """Probabilities, 0 in connected parts of what is seen that are too small."""
    if least_ml <= 0:
        return share
    parts, count = ndimage.label(share > settings.body_probability)
    sizes = np.bincount(parts.ravel(), minlength=count + 1) * lattice.voxel_volume_mm3 / 1000.0
    sizes[0] = 0.0
    kept = np.isin(parts, np.flatnonzero(sizes >= least_ml))
    wide = ndimage.binary_dilation(kept)
    return np.where(wide, share, np.float32(0))


def below(found: mr.MrBodies) -> NDArray[np.bool_]:
    """Where a sacrum can be: from the middle of the last body on; from that of S1 where it was seen."""
    last = np.argwhere(found.bodies == found.count)
    start = int(last[:, 0].min() if found.sacral else last[:, 0].mean())
    out = np.zeros(found.bodies.shape, bool)
    out[start:] = True
    return out


def on_grid(
    share: FloatArray | NDArray[np.float32], lattice: Grid, grid: Grid, settings: MrSettings
) -> NDArray[np.bool_]:
    """Where a probability on one lattice is high enough, on another lattice of the same frame."""
    values = resample_part(np.asarray(share, np.float32), lattice, grid)
    return np.asarray(values > settings.body_probability)
