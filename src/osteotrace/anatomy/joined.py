"""The vertebrae of all volumes of a patient, brought together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from osteotrace.anatomy.bends import aside_mm, sagittal_bends_deg
from osteotrace.anatomy.chain import Chain
from osteotrace.anatomy.signs import Signs
from osteotrace.model.alignment import Alignment, Route, route
from osteotrace.model.anatomy import Anatomy, Bone, BoneRef
from osteotrace.model.label_schemes import structure
from osteotrace.model.values import Verdict
from osteotrace.space import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """Vertebrae of one group of aligned volumes, from head to tail.

    Attributes
    ----------
    members : tuple of tuple of BoneRef
        Per vertebra, its instances.
    chain : Chain
        What numbering needs to know of them.
    sacrum_above : bool
        Whether a sacrum lies towards the head of most of its vertebrae, as in a volume upside down.
    doubtful : frozenset of str
        Series whose alignment with the one that shows most vertebrae is doubtful.
    """

    members: tuple[tuple[BoneRef, ...], ...]
    chain: Chain
    sacrum_above: bool
    doubtful: frozenset[str]


@dataclass(slots=True)
class _Node:
    """A vertebra while volumes are being brought together; places in the frame of the first volume."""

    bones: dict[str, Bone] = field(default_factory=dict)
    places: list[FloatArray] = field(default_factory=list)

    @property
    def place(self) -> FloatArray:
        return self.places[0]  # of the volume that shows most vertebrae


def join(
    anatomies: Sequence[Anatomy],
    alignments: tuple[Alignment, ...],
    told: Mapping[BoneRef, str],
    same_vertebra_mm: float,
) -> tuple[Row, ...]:
    """Group the volumes that are aligned, and merge the instances that are one vertebra.

    Parameters
    ----------
    told : mapping of BoneRef to str
        Levels that a person gave.
    same_vertebra_mm : float
        Instances of two volumes whose centres are farther apart are two vertebrae; an alignment with a
        greater error does not connect two volumes.

    Returns
    -------
    tuple of Row
        The one with most vertebrae first; volumes without a vertebra are in none.
    """
    left = sorted((a for a in anatomies if usable(a)), key=lambda a: -len(usable(a)))
    rows = []
    while left:
        group, left = _group(left, alignments, same_vertebra_mm)
        rows.append(_row(group, told, same_vertebra_mm))
    return tuple(rows)


def usable(anatomy: Anatomy) -> tuple[Bone, ...]:
    """Vertebrae whose place is known."""
    return tuple(bone for bone in anatomy.vertebrae if np.isfinite(bone.centroid_mm).all())


def _group(
    left: Sequence[Anatomy], alignments: tuple[Alignment, ...], reach_mm: float
) -> tuple[list[tuple[Anatomy, Route]], list[Anatomy]]:
    """The first volume with those that can be brought into its frame, and the others."""
    frame = left[0].grid.frame_of_reference_uid
    group, others = [], []
    for anatomy in left:
        way = route(alignments, anatomy.grid.frame_of_reference_uid, frame)
        if anatomy is left[0] or (way is not None and way.error_mm <= reach_mm):
            assert way is not None
            group.append((anatomy, way))
        else:
            others.append(anatomy)
    return group, others


def _row(group: Sequence[tuple[Anatomy, Route]], told: Mapping[BoneRef, str], reach_mm: float) -> Row:
    nodes: list[_Node] = []
    for anatomy, way in group:
        _merge(nodes, anatomy, way, reach_mm)
    nodes.sort(key=lambda node: -node.place[2])
    sacra = [
        (anatomy.series_id, bone.centroid_mm, way.apply(bone.centroid_mm))
        for anatomy, way in group
        for bone in anatomy.bones
        if structure(bone.name).name == "sacrum" and np.isfinite(bone.centroid_mm).all()
    ]
    bones = {anatomy.series_id: usable(anatomy) for anatomy, _ in group}
    places = np.array([node.place for node in nodes])
    chain = Chain(
        signs=tuple(_signs(node, bones, told) for node in nodes),
        gap_mm=np.array([[_gap(a, b) for b in nodes] for a in nodes]),
        bend_deg=sagittal_bends_deg(places),
        aside_mm=aside_mm(places),
        sacrum_mm=np.array([_to_sacrum(node, sacra) for node in nodes]),
    )
    return Row(
        members=tuple(tuple(BoneRef(s, b.id) for s, b in node.bones.items()) for node in nodes),
        chain=chain,
        sacrum_above=any(place[2] > np.median(places[:, 2]) for *_, place in sacra),
        doubtful=frozenset(a.series_id for a, way in group if way.verdict is not Verdict.GOOD),
    )


def _merge(nodes: list[_Node], anatomy: Anatomy, way: Route, reach_mm: float) -> None:
    """Add the vertebrae of a volume to those that are known; each known one takes at most one of them."""
    bones = usable(anatomy)
    places = way.apply([bone.centroid_mm for bone in bones])
    known = np.array([node.place for node in nodes]).reshape(-1, 3)
    distance = np.linalg.norm(places[:, None] - known[None], axis=-1)
    pairs = zip(*linear_sum_assignment(np.minimum(distance, reach_mm)), strict=True)
    partner = {int(i): nodes[j] for i, j in pairs if distance[i, j] < reach_mm}
    for i, bone in enumerate(bones):
        node = partner.get(i)
        if node is None:
            node = _Node()
            nodes.append(node)
        node.bones[anatomy.series_id] = bone
        node.places.append(places[i])


def _signs(node: _Node, others: Mapping[str, Sequence[Bone]], told: Mapping[BoneRef, str]) -> Signs:
    bones = node.bones
    heights = [b.size_mm.height_mm for b in bones.values() if b.size_mm and b.size_mm.height_mm]
    return Signs(
        confidence=max(bone.confidence for bone in bones.values()),
        rib=_most_decided([bone.rib for bone in bones.values()]),
        dens=_most_decided([bone.dens for bone in bones.values()]),
        declared=tuple((b.declared_level, 1 / len(others[s])) for s, b in bones.items() if b.declared_level),
        told=next((told[ref] for s, b in bones.items() if (ref := BoneRef(s, b.id)) in told), ""),
        height_mm=float(np.median(heights)) if heights else None,
        cut=all(_is_cut(bone, others[s]) for s, bone in bones.items()),
    )


def _is_cut(bone: Bone, others: Sequence[Bone]) -> bool:
    """Whether the field of view may cut a vertebra across the spine: the first and the last of a volume."""
    heights = [other.centroid_mm[2] for other in others]
    return bone.touches_edge and bone.centroid_mm[2] in (min(heights), max(heights))


def _most_decided(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known, key=lambda value: abs(value - 0.5), default=None)


def _gap(a: _Node, b: _Node) -> float:
    """Distance in the volumes that show both, so that no alignment error comes in; else across frames."""
    both = [
        float(np.linalg.norm(np.subtract(a.bones[s].centroid_mm, b.bones[s].centroid_mm)))
        for s in a.bones
        if s in b.bones
    ]
    return float(np.mean(both)) if both else float(np.linalg.norm(a.place - b.place))


def _to_sacrum(node: _Node, sacra: Sequence[tuple[str, tuple[float, float, float], FloatArray]]) -> float:
    own = [np.subtract(node.bones[s].centroid_mm, place) for s, place, _ in sacra if s in node.bones]
    ways = own or [node.place - place for *_, place in sacra]
    return float(np.mean(np.linalg.norm(ways, axis=1))) if ways else float("nan")
