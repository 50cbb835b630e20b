"""The skeleton of one volume: vertebrae as instances, without levels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from osteotrace.anatomy import body_shape, mr, mr_structures
from osteotrace.anatomy.ct_segment import segment_ct
from osteotrace.anatomy.network import Network, load_network
from osteotrace.anatomy.settings import MrSettings, packaged_settings
from osteotrace.model.anatomy import Anatomy, Bone
from osteotrace.model.imaging import Volume
from osteotrace.model.problem import Problem
from osteotrace.model.values import Modality, Severity
from osteotrace.space import Grid


def segment(volume: Volume) -> Anatomy:
    """What is seen of the skeleton in a volume.

    MR that was taken in sagittal slices, or in thin ones: vertebral bodies, the body of S1 as ``sacrum``,
    discs and spinal canal (both coarse). CT: whole vertebrae and whether a rib joins them, the other bones,
    organs (coarse), canal and body outline. Other volumes: nothing is searched, and a problem says why.

    Returns
    -------
    Anatomy
        On the lattice of the volume, or for a large CT on a coarser one. Without any bone where
        no spine was found; what limits the answer stands in ``problems``.
    """
    modality = volume.series.modality
    if modality not in (Modality.MR, Modality.CT):
        return _nothing(volume, "not-searched", f"no network reads {modality}", "MR or CT")
    refusal = _unfit(volume.grid, packaged_settings(), sagittal=modality is Modality.MR)
    if refusal is not None:
        return _nothing(volume, *refusal)
    if modality is Modality.CT:
        return segment_ct(volume, load_network("ct"))
    return segment_mr(volume, load_network("mr"))


def segment_mr(volume: Volume, network: Network, settings: MrSettings | None = None) -> Anatomy:
    """As :func:`segment`, for MR and with a given network."""
    settings = settings or packaged_settings()
    values = np.asarray(volume.values)
    if not np.isfinite(values).all() or float(np.ptp(values)) == 0.0:
        return _nothing(volume, "no-spine-found", "the image is empty or holds no numbers", "an MR signal")
    found = mr.find_bodies(values, volume.grid, network, settings)
    refusal = _no_spine(found, network, settings)
    if refusal is not None:
        return _nothing(volume, *refusal, _made_by(network))
    labels = mr.bodies_on(found, network, volume.grid, settings)
    return _anatomy(volume, network, found, labels, volume.grid, settings)


def _no_spine(found: mr.MrBodies, network: Network, settings: MrSettings) -> tuple[str, str, str] | None:
    """Code, what was found and what is expected, where no spine is to be labelled."""
    if found.count == 0:
        return ("no-spine-found", "no row of vertebral bodies was found", "a spine")
    if mr.canal_lies_in_front(found, network, settings):
        return (
            "faces-backwards",
            "the spinal canal lies in front of the vertebral bodies",
            "an image as its header places it",
        )
    if found.upright < settings.upright_min:
        return (
            "upside-down",
            f"the vertebral bodies look turned, most likely head to feet ({found.upright:.2f} upright)",
            f"at least {settings.upright_min:g}: an image as its header places it",
        )
    return None


def _made_by(network: Network) -> str:
    return f"osteotrace mr network {network.digest}"


def _anatomy(
    volume: Volume,
    network: Network,
    found: mr.MrBodies,
    labels: NDArray[np.uint16],
    grid: Grid,
    settings: MrSettings,
) -> Anatomy:
    structures = mr_structures.outline(found, network, labels, grid, settings)
    bones, doubtful = _doubted(_bones(found, network, settings), settings)
    sought = {"vertebra", "intervertebral disc", "spinal canal"}
    return Anatomy(
        series_id=volume.series.id,
        labels=labels,
        grid=grid,
        bones=bones,
        structures=structures,
        searched=frozenset(sought | {"sacrum"}),
        made_by=_made_by(network),
        problems=_problems(volume, doubtful),
    )


def _doubted(bones: tuple[Bone, ...], settings: MrSettings) -> tuple[tuple[Bone, ...], tuple[str, ...]]:
    """Bones, of which those much taller than the others are trusted less; and the ids of these."""
    heights = {b.id: b.size_mm.height_mm for b in bones if b.size_mm is not None and b.size_mm.height_mm}
    if len(heights) < 3:
        return bones, ()
    usual = float(np.percentile(list(heights.values()), 40.0))
    tall = tuple(key for key, height in heights.items() if height > settings.tall_ratio * usual)
    less = {
        key: round(settings.tall_confidence_factor * next(b.confidence for b in bones if b.id == key), 3)
        for key in tall
    }
    return tuple(replace(b, confidence=less.get(b.id, b.confidence)) for b in bones), tall


def _problems(volume: Volume, doubtful: tuple[str, ...]) -> tuple[Problem, ...]:
    if not doubtful:
        return ()
    return (
        Problem(
            Severity.INFERRED,
            "vertebrae-not-told-apart",
            f"{', '.join(doubtful)}: so tall that two vertebrae may be outlined as one",
            where=volume.series.id,
            expected="slices thin enough to show the discs",
            remedy="do not count vertebrae on this series alone",
        ),
    )


def _unfit(grid: Grid, settings: MrSettings, *, sagittal: bool) -> tuple[str, str, str] | None:
    """Code, what was found and what is expected, where a volume cannot be read."""
    extent = np.array(grid.shape) * grid.spacing
    if min(grid.shape) < settings.voxels_min or extent.min() < settings.extent_min_mm:
        shown = " x ".join(str(n) for n in grid.shape)
        return ("too-few-slices", f"the volume has {shown} voxels", "slices across a whole vertebral body")
    if sagittal and not mr.slices_are_sagittal(grid, settings):
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


def _bones(found: mr.MrBodies, network: Network, settings: MrSettings) -> tuple[Bone, ...]:
    """The bodies from head to tail; the last one may be the body of S1.

    A vertebra that may be S1 instead is trusted less.
    """
    points = [found.lattice.points(np.argwhere(found.bodies == n)) for n in range(1, found.count + 1)]
    frames = body_shape.frames(np.array([p.mean(axis=0) for p in points]), found.lattice)
    body = found.probability[mr.channel(network, "body")]
    s1 = found.probability[mr.channel(network, "s1")]
    bones = []
    for number, (own, frame) in enumerate(zip(points, frames, strict=True), start=1):
        cut = _is_cut(found, number)
        x, y, z = (float(v) for v in frame.centre)
        sure = float(body[found.bodies == number].mean())
        if number != found.sacral:
            sure *= max(0.0, 1.0 - float(s1[found.bodies == number].mean()) / settings.s1_probability)
        bones.append(
            Bone(
                id="sacrum" if number == found.sacral else f"V{number}",
                name="sacrum" if number == found.sacral else "vertebra",
                label=number,
                centroid_mm=(x, y, z),
                confidence=round(sure, 3),
                touches_edge=cut,
                size_mm=body_shape.size_of(own, frame, found.lattice.spacing, cut=cut),
                orientation=body_shape.orientation_of(own, frame),
            )
        )
    return tuple(bones)


def _is_cut(found: mr.MrBodies, number: int) -> bool:
    """Whether a body touches the end of the volume above, below, before or behind it."""
    box = ndimage.find_objects((found.bodies == number).view(np.uint8))[0]
    wide = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in box)
    own = ndimage.binary_dilation(found.bodies[wide] == number, iterations=1)
    at_an_end = any(wide[axis].start == 0 or wide[axis].stop >= found.bodies.shape[axis] for axis in (0, 1))
    return at_an_end or bool((own & ~found.inside[wide]).any())
