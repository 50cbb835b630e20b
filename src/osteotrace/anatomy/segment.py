"""The skeleton of one volume: vertebrae as instances, without levels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.anatomy import body_shape, mr
from osteotrace.anatomy.network import Network, load_network
from osteotrace.model.anatomy import Anatomy, Bone, Outlined
from osteotrace.model.imaging import Volume
from osteotrace.model.problem import Problem
from osteotrace.model.values import Modality, Severity
from osteotrace.space import FloatArray, Grid, resample

DISC, CANAL = 201, 202  # labels of the structures; bones count from 1

_FEWEST_VOXELS = 5  # along any axis
_THINNEST_MM = 15.0  # less than this across cannot hold a vertebral body
_REACH_MM = 14.0  # of a disc from its two bodies


def segment(volume: Volume) -> Anatomy:
    """What is seen of the skeleton in a volume.

    MR that was taken in sagittal slices, or in thin ones: vertebral bodies, the body of S1 as ``sacrum``, discs
    and spinal canal (both coarse). Other volumes: nothing is searched, and a problem says why.

    Returns
    -------
    Anatomy
        On the lattice of the volume. Without any bone where no spine was found; what limits the answer stands
        in ``problems``.
    """
    if volume.series.modality is not Modality.MR:
        return _nothing(volume, "not-searched", f"no network reads {volume.series.modality}", "sagittal MR")
    refusal = _unfit(volume.grid)
    if refusal is not None:
        return _nothing(volume, *refusal)
    return segment_mr(volume, load_network("mr"))


def segment_mr(volume: Volume, network: Network) -> Anatomy:
    """As :func:`segment`, for MR and with a given network."""
    values = np.asarray(volume.values)
    if not np.isfinite(values).all() or float(np.ptp(values)) == 0.0:
        return _nothing(volume, "no-spine-found", "the image is empty or holds no numbers", "an MR signal")
    found = mr.find_bodies(values, volume.grid, network)
    made_by = f"osteotrace mr network {network.digest}"
    if found.count == 0:
        return _nothing(volume, "no-spine-found", "no row of vertebral bodies was found", "a spine", made_by)
    if not mr.is_upright(found, network):
        return _nothing(
            volume,
            "upside-down",
            "the spine seems to stand on its head or to face backwards",
            "an image as its header places it",
            made_by,
        )
    labels = mr.bodies_on(found, network, volume.grid)
    structures = _structures(found, network, labels, volume.grid)
    return Anatomy(
        series_id=volume.series.id,
        labels=labels,
        grid=volume.grid,
        bones=_bones(found, network),
        structures=structures,
        searched=frozenset({"vertebra", "sacrum", "intervertebral disc", "spinal canal"}),
        made_by=made_by,
    )


def _unfit(grid: Grid) -> tuple[str, str, str] | None:
    """Code, what was found and what is expected, where a volume cannot be read."""
    extent = np.array(grid.shape) * grid.spacing
    if min(grid.shape) < _FEWEST_VOXELS or extent.min() < _THINNEST_MM:
        shown = " x ".join(str(n) for n in grid.shape)
        return ("too-few-slices", f"the volume has {shown} voxels", "slices across a whole vertebral body")
    if not mr.slices_are_sagittal(grid):
        return ("slices-not-sagittal", "the slices are thick and not sagittal", "sagittal or thin slices")
    return None


def _nothing(volume: Volume, code: str, found: str, expected: str, made_by: str = "osteotrace") -> Anatomy:
    problem = Problem(Severity.EXCLUDED, code, found, where=volume.series.id, expected=expected)
    searched = frozenset({"vertebra", "sacrum"}) if code == "no-spine-found" else frozenset[str]()
    return Anatomy(
        series_id=volume.series.id,
        labels=np.zeros(volume.grid.shape, np.uint16),
        grid=volume.grid,
        bones=(),
        structures=(),
        searched=searched,
        made_by=made_by,
        problems=(problem,),
    )


def _bones(found: mr.MrBodies, network: Network) -> tuple[Bone, ...]:
    """The bodies from head to tail; the last one may be the body of S1."""
    points = [found.lattice.points(np.argwhere(found.bodies == n)) for n in range(1, found.count + 1)]
    frames = body_shape.frames(np.array([p.mean(axis=0) for p in points]), found.lattice)
    body = found.probability[mr.channel(network, "body")]
    bones = []
    for number, (own, frame) in enumerate(zip(points, frames, strict=True), start=1):
        cut = _is_cut(found, number)
        x, y, z = (float(v) for v in frame.centre)
        bones.append(
            Bone(
                id="sacrum" if number == found.sacral else f"V{number}",
                name="sacrum" if number == found.sacral else "vertebra",
                label=number,
                centroid_mm=(x, y, z),
                confidence=round(float(body[found.bodies == number].mean()), 3),
                touches_edge=cut,
                size_mm=body_shape.size_of(own, frame, found.lattice.spacing, cut=cut),
                orientation=body_shape.orientation_of(own, frame),
            )
        )
    return tuple(bones)


def _is_cut(found: mr.MrBodies, number: int) -> bool:
    """Whether a body touches the end of the volume above, below, before or behind it."""
    own = ndimage.binary_dilation(found.bodies == number, iterations=1)
    border = np.zeros_like(own)
    border[[0, -1]] = True
    border[:, [0, -1]] = True
    return bool((own & (border | ~found.inside)).any())


def _structures(
    found: mr.MrBodies, network: Network, labels: NDArray[np.uint16], grid: Grid
) -> tuple[Outlined, ...]:
    """Write discs and canal into the label image where no body is, and name them."""
    near = ndimage.distance_transform_edt(found.bodies == 0, sampling=tuple(found.lattice.spacing)) < _REACH_MM
    rows = np.flatnonzero(found.bodies.any(axis=(1, 2)))
    along = np.zeros(found.bodies.shape, bool)
    along[rows[0] : rows[-1] + 1] = True
    out = []
    for name, label, channel, place in (
        ("spinal canal", CANAL, "canal", along),
        ("intervertebral disc", DISC, "disc", near & along),
    ):
        share = np.where(place, found.probability[mr.channel(network, channel)], 0.0)
        mask = _on(share, found.lattice, grid) & (labels == 0)
        if mask.any():
            labels[mask] = label
            out.append(Outlined(name, label, coarse=True))
    return tuple(out)


def _on(share: FloatArray, lattice: Grid, grid: Grid) -> NDArray[np.bool_]:
    return np.asarray(resample(share.astype(np.float32), lattice, grid, fill=0.0) > 0.5)
