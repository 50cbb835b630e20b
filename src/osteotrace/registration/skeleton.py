"""The bones that one frame of reference shows, from the anatomies of its volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from osteotrace.model.alignment import ANCHOR_MM
from osteotrace.model.anatomy import Anatomy, Bone
from osteotrace.space import FloatArray

_POINTS = 600  # of a bone at most
_ANCHORS = 48  # at most
_FEW = 0.75  # of the bones of another series
_SAME_MM = 12.0  # centres of one bone in two series of a frame
# Where the arch of a vertebra lies, of which only the body is outlined: behind its centre and a little below.
_ARCH_MM = ((0.0, 26.0, -3.0), (0.0, 44.0, -9.0))
_BODY_ML = 45.0  # a larger vertebra has its arch outlined


@dataclass(frozen=True, slots=True, eq=False)
class SeenBone:
    """A bone as one frame shows it.

    Attributes
    ----------
    name : str
        As in the anatomy.
    id, series_id : str
        In the anatomy of the series.
    centre : ndarray, shape (3,)
        LPS mm; of a vertebra that of its body.
    points : ndarray, shape (n, 3)
        Inside the outline, LPS mm.
    anchors : ndarray, shape (m, 3)
        Few points spread over it, LPS mm.
    confidence : float
        That it is one whole bone of this name, 0 to 1.
    cut : bool
        Whether the field of view may cut it.
    """

    name: str
    id: str
    series_id: str
    centre: FloatArray
    points: FloatArray
    anchors: FloatArray
    confidence: float
    cut: bool

    @property
    def is_vertebra(self) -> bool:
        """Whether it is one of the row."""
        return self.name == "vertebra"


@dataclass(frozen=True, slots=True, eq=False)
class Skeleton:
    """Bones of a frame: vertebrae from head to tail, then the others."""

    frame: str
    bones: tuple[SeenBone, ...]

    @property
    def row(self) -> tuple[SeenBone, ...]:
        """The vertebrae from head to tail."""
        return tuple(bone for bone in self.bones if bone.is_vertebra)


def skeletons_of(anatomies: Sequence[Anatomy], order: Sequence[str] = ()) -> dict[str, Skeleton]:
    """Skeleton of every frame of reference in which an anatomy has bones.

    Series of one frame that show the same bone count once.

    Parameters
    ----------
    anatomies : sequence of Anatomy
    order : sequence of str
        Series whose outlines are preferred, best first; one with far fewer bones than another comes after it.
    """
    rank = {series: number for number, series in enumerate(order)}
    frames: dict[str, list[Anatomy]] = {}
    for anatomy in anatomies:
        frames.setdefault(anatomy.grid.frame_of_reference_uid, []).append(anatomy)
    out = {}
    for frame, group in frames.items():
        bones: list[SeenBone] = []
        enough = _FEW * max(len(a.bones) for a in group)

        def place(a: Anatomy, enough: float = enough) -> tuple[bool, int, str]:
            return (len(a.bones) < enough, rank.get(a.series_id, len(rank)), a.series_id)

        for anatomy in sorted(group, key=place):
            new = [bone for bone in _bones(anatomy) if not _known(bone, bones)]
            bones += new
        if bones:
            rows = sorted((b for b in bones if b.is_vertebra), key=lambda b: -float(b.centre[2]))
            out[frame] = Skeleton(frame, (*rows, *(b for b in bones if not b.is_vertebra)))
    return out


def spread(points: FloatArray, apart_mm: float, most: int) -> FloatArray:
    """Some of the points that are far from one another: each next one is the farthest from those taken."""
    chosen = [int(np.linalg.norm(points - points.mean(axis=0), axis=1).argmin())]
    distance = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < most and float(distance.max()) > apart_mm:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.asarray(points[chosen])


def _known(bone: SeenBone, bones: Sequence[SeenBone]) -> bool:
    alike = [other for other in bones if other.name == bone.name]
    reach = _SAME_MM if bone.is_vertebra else np.inf
    return any(float(np.linalg.norm(other.centre - bone.centre)) < reach for other in alike)


def _bones(anatomy: Anatomy) -> list[SeenBone]:
    boxes = ndimage.find_objects(anatomy.labels)
    out = []
    for bone in anatomy.bones:
        box = boxes[bone.label - 1] if bone.label <= len(boxes) else None
        centre = np.array(bone.centroid_mm)
        if box is None or not np.isfinite(centre).all():
            continue
        index = np.argwhere(anatomy.labels[box] == bone.label) + [part.start for part in box]
        volume_ml = len(index) * anatomy.grid.voxel_volume_mm3 / 1000.0
        points = anatomy.grid.points(index[:: max(1, len(index) // _POINTS)])
        out.append(_seen(bone, anatomy.series_id, centre, points, volume_ml))
    return out


def _seen(bone: Bone, series_id: str, centre: FloatArray, points: FloatArray, volume_ml: float) -> SeenBone:
    anchors = spread(points, ANCHOR_MM, _ANCHORS)
    if (
        bone.name == "vertebra"
        and volume_ml < _BODY_ML
        and float(np.ptp(points[:, 1])) < -_ARCH_MM[0][2] + 55.0
    ):
        anchors = np.concatenate([anchors, centre + np.array(_ARCH_MM)])
    return SeenBone(
        bone.name, bone.id, series_id, centre, points, anchors, bone.confidence, bone.touches_edge
    )
