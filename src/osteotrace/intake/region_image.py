"""Which image a drawing belongs to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from osteotrace.errors import RegionError
from osteotrace.intake.contours import COINCIDES, plane_offsets
from osteotrace.model.imaging import Attribute, Volume
from osteotrace.model.values import Basis
from osteotrace.space import FloatArray, Grid

# Drawing tools put vertices on whole pixels or on simple fractions of them, and write micrometres.
_VERTEX_FRACTION = 8
_VERTEX_ROUNDING_MM = 2e-3
_ON_LATTICE = 0.9  # share of the vertices


@dataclass(frozen=True, slots=True)
class Reference:
    """What a drawing says of the image that it was made on.

    Attributes
    ----------
    sop_uids : tuple of str
        Referenced SOP Instance UIDs.
    series_uids : tuple of str
        Referenced Series Instance UIDs.
    study_uid, frame_uid : str
        Of the drawing; empty when not told.
    """

    sop_uids: tuple[str, ...] = ()
    series_uids: tuple[str, ...] = ()
    study_uid: str = ""
    frame_uid: str = ""


@dataclass(frozen=True, slots=True)
class Images:
    """The volumes of the patient, as drawings see them.

    Attributes
    ----------
    series_of_sop : mapping
        SOP Instance UID to id of a series.
    drawn : frozenset of str
        Ids of the series that some drawing names.
    position_of_sop : mapping
        SOP Instance UID to Image Position (Patient); LPS, mm.
    """

    volumes: tuple[Volume, ...]
    series_of_sop: Mapping[str, str]
    drawn: frozenset[str] = frozenset()
    position_of_sop: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)


def named_volume(reference: Reference, images: Images) -> Volume | None:
    """Volume that a drawing names by instances or by series; None when it is not there."""
    by_id = {v.series.id: v for v in images.volumes}
    named = Counter(images.series_of_sop.get(uid) for uid in reference.sop_uids)
    for series_id, _ in named.most_common():
        if series_id is not None and series_id in by_id:
            return by_id[series_id]
    if any(uid in images.series_of_sop for uid in reference.sop_uids):
        return None
    alone = [v for v in images.volumes if v.series.series_instance_uid in reference.series_uids]
    return alone[0] if len(alone) == 1 else None


def place(reference: Reference, images: Images, points: FloatArray) -> tuple[Volume, Attribute]:
    """Image on which a drawing is placed, and how that is known.

    The image that it names; when that is absent, the image in the same frame of reference that agrees
    best with it: same study, planes on the slices, field of view, vertices on the pixels, no drawing of
    its own, finest pixels - in this order.

    Parameters
    ----------
    points : ndarray, shape (n, 3)
        Points of the drawing; LPS, mm.

    Raises
    ------
    RegionError
        When neither the image nor another one in its frame of reference is there, or when the drawing and
        the image that it names are in different frames.
    """
    named = named_volume(reference, images)
    if named is not None:
        if reference.frame_uid and reference.frame_uid != named.grid.frame_of_reference_uid:
            raise RegionError(
                "the drawing is in another frame of reference than the image that it names",
                where=f"{reference.frame_uid} and {named.grid.frame_of_reference_uid}",
                expected="one frame of reference",
                remedy="export the drawing together with its image",
            )
        return named, Attribute(named.series.id, Basis.DECLARED, "referenced image")
    return _inferred(reference, images, points)


def _inferred(reference: Reference, images: Images, points: FloatArray) -> tuple[Volume, Attribute]:
    same = [v for v in images.volumes if v.grid.frame_of_reference_uid == reference.frame_uid]
    if not same or not reference.frame_uid:
        raise RegionError(
            "neither the referenced image nor any volume in its frame of reference is there",
            where=next(iter(reference.series_uids), "") or reference.frame_uid,
            expected="the image that was drawn on",
            remedy="add its series to the folder",
        )
    scored = [(_agreement(v, reference, images, points), v) for v in same]
    best, volume = max(scored, key=lambda x: x[0].key)  # the first of those that agree equally well
    if best.inside == 0:
        raise RegionError(
            "the drawing lies wholly outside every image in its frame of reference",
            where=reference.frame_uid,
            expected="the image that was drawn on",
        )
    others = [a for a, v in scored if v is not volume]
    return volume, Attribute(volume.series.id, Basis.INFERRED, _reason(best, others))


@dataclass(frozen=True, slots=True)
class _Agreement:
    study: bool
    planes: bool
    covered: bool
    vertices: bool
    undrawn: bool
    pixel_mm: float
    inside: float

    @property
    def key(self) -> tuple[bool, bool, bool, bool, bool, float, float]:
        return (
            self.study,
            self.planes,
            self.covered,
            self.vertices,
            self.undrawn,
            -self.pixel_mm,
            self.inside,
        )


def _agreement(volume: Volume, reference: Reference, images: Images, points: FloatArray) -> _Agreement:
    off, inside = plane_offsets(points, volume.grid)
    return _Agreement(
        study=volume.series.study_instance_uid == reference.study_uid,
        planes=off <= COINCIDES,
        covered=inside == 1.0,
        vertices=vertices_on_pixels(points, volume.grid),
        undrawn=volume.series.id not in images.drawn,
        pixel_mm=round(float(volume.grid.spacing[:2].max()), 3),
        inside=inside,
    )


def vertices_on_pixels(points: FloatArray, grid: Grid) -> bool:
    """Whether contour vertices lie on simple fractions of the pixels, more than chance would have it."""
    index = grid.indices(points)[:, :2] * _VERTEX_FRACTION
    distance = np.abs(index - np.round(index)) * grid.spacing[:2] / _VERTEX_FRACTION
    chance = 2 * _VERTEX_ROUNDING_MM * _VERTEX_FRACTION / float(grid.spacing[:2].min())
    return bool((distance <= _VERTEX_ROUNDING_MM).mean() >= max(_ON_LATTICE, 2 * chance))


_WORDS = {
    "study": "same study",
    "planes": "planes on its slices",
    "covered": "field of view",
    "vertices": "points on its pixels",
    "undrawn": "no drawing of its own",
}


def _reason(best: _Agreement, others: Sequence[_Agreement]) -> str:
    """The facts that speak for an image, the deciding one last."""
    said = "referenced series absent; same frame of reference"
    rivals = list(others)
    for name, words in _WORDS.items():
        if getattr(best, name):
            said += f", {words}"
        rivals = [r for r in rivals if getattr(r, name) == getattr(best, name)]
        if not rivals:
            return said
    equal = sum(r.key == best.key for r in rivals)
    if equal == 0:
        return said + ", finest pixels"
    many = "1 other image agrees" if equal == 1 else f"{equal} other images agree"
    return f"{said}; {many} as well: the first was taken"


def series_named(references: Iterable[Reference], images: Images) -> frozenset[str]:
    """Ids of the volumes that drawings name."""
    volumes = (named_volume(r, images) for r in references)
    return frozenset(v.series.id for v in volumes if v is not None)
