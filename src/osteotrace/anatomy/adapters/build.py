"""An Anatomy from a label image whose labels are understood."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from osteotrace.anatomy.adapters.instances import (
    Instance,
    axes,
    body_centre,
    body_size,
    centre,
    instances,
    rib_signs,
    top_centre,
)
from osteotrace.model.anatomy import Anatomy, Bone, Orientation, Outlined
from osteotrace.model.label_schemes import Structure, structure
from osteotrace.model.problem import Problem
from osteotrace.space import FloatArray, Grid

_SURE: Final = 0.97  # of a whole vertebra that another program outlined
_CUT: Final = 0.8  # of one that the field of view may cut
_SLIVER: Final = 0.05  # of the usual volume in this image; less is hardly a vertebra


def build(
    labels: NDArray[np.integer[Any]],
    grid: Grid,
    meaning: Mapping[int, Structure],
    *,
    series_id: str,
    searched: frozenset[str],
    made_by: str,
    bodies: NDArray[np.bool_] | None = None,
    problems: tuple[Problem, ...] = (),
) -> Anatomy:
    """Measure every labelled bone and number the labels anew.

    Parameters
    ----------
    labels : ndarray of int, shape grid.shape
        0 and what is not in `meaning` become background.
    meaning : mapping of int to Structure
        One label, one instance. Sacral vertebrae become part of the sacrum.
    searched : frozenset of str
        As in `Anatomy`.
    bodies : ndarray of bool, shape grid.shape, or None
        Vertebral bodies without their posterior parts, where the program tells.
    """
    own, structures = _renumbered(labels, meaning)
    found = instances(own, grid, [n for n, item in structures.items() if item.is_bone])
    vertebrae = {n: found[n] for n, item in structures.items() if item.kind == "vertebra"}
    ribs = frozenset(n for n, item in structures.items() if item.kind == "rib")
    has_ribs = any(name.startswith("rib ") for name in searched)
    signs = rib_signs(own, grid, vertebrae, ribs) if has_ribs else dict.fromkeys(vertebrae, None)
    bones = _vertebrae(vertebrae, structures, grid, signs, bodies)
    for n, item in structures.items():
        if item.is_bone and n not in vertebrae:
            bones.append(_other(found[n], item))
    return Anatomy(
        series_id=series_id,
        labels=own,
        grid=grid,
        bones=tuple(bones),
        structures=tuple(
            Outlined(item.name, n)
            for n, item in structures.items()
            if not item.is_bone and n not in vertebrae
        ),
        searched=searched,
        made_by=made_by,
        problems=problems,
    )


def _renumbered(
    labels: NDArray[np.integer[Any]], meaning: Mapping[int, Structure]
) -> tuple[NDArray[np.uint16], dict[int, Structure]]:
    """Labels 1, 2 ... in the order of the names given, without gaps; the sacrum in one piece."""
    present = [int(n) for n in np.flatnonzero(np.bincount(labels.ravel())) if int(n) in meaning]
    target: dict[int, int] = {}
    structures: dict[int, Structure] = {}
    sacrum = None
    for label in present:
        item = meaning[label]
        if item.name == "sacrum" or item.level.startswith("S"):
            sacrum = sacrum or len(structures) + 1
            target[label] = sacrum
            structures[sacrum] = structure("sacrum")
        else:
            target[label] = len(structures) + 1
            structures[target[label]] = item
    table = np.zeros(int(labels.max()) + 1, dtype=np.uint16)
    for label, n in target.items():
        table[label] = n
    return table[labels], structures


def _vertebrae(
    vertebrae: Mapping[int, Instance],
    structures: Mapping[int, Structure],
    grid: Grid,
    ribs: Mapping[int, float | None],
    bodies: NDArray[np.bool_] | None,
) -> list[Bone]:
    """Vertebrae from head to tail."""
    inside = {n: None if bodies is None else bodies[tuple(v.indices.T)] for n, v in vertebrae.items()}
    centres = {n: body_centre(item, grid, inside[n]) for n, item in vertebrae.items()}
    order = sorted(vertebrae, key=lambda n: -centres[n][2])
    usual = float(np.median([len(item.points) for item in vertebrae.values()])) if vertebrae else 0.0
    bones = []
    for i, (n, axis) in enumerate(zip(order, axes(np.array([centres[n] for n in order])), strict=True), 1):
        at_end = i in (1, len(order))
        item, body = vertebrae[n], inside[n]
        cranial = (float(axis[0]), float(axis[1]), float(axis[2]))
        whole = body is not None and body.any() and not item.touches_edge
        bones.append(
            Bone(
                id=f"V{i}",
                name="vertebra",
                label=n,
                centroid_mm=centres[n],
                confidence=_confidence(item, usual, at_end=at_end),
                touches_edge=item.touches_edge,
                size_mm=body_size(item.points[body], cranial, grid) if whole and body is not None else None,
                orientation=Orientation(cranial) if len(order) > 1 else None,
                rib=ribs[n],
                declared_level=structures[n].level,
            )
        )
    return bones


def _confidence(item: Instance, usual: float, *, at_end: bool) -> float:
    """A program gives none: less for what is in pieces, cut across the spine, or a sliver."""
    sure = (_CUT if item.touches_edge and at_end else _SURE) * item.largest_share
    return float(sure * min(1.0, len(item.points) / (_SLIVER * usual)))


def _other(item: Instance, structure: Structure) -> Bone:
    place = top_centre(item.points) if structure.name == "sacrum" else centre(item.points)
    return Bone(structure.name, structure.name, item.label, place, _SURE, item.touches_edge)


def whole_numbers(labels: FloatArray | NDArray[np.integer[Any]]) -> NDArray[np.int32] | None:
    """Labels as integers; None when they are none, or negative."""
    values = np.asarray(labels)
    if not np.isfinite(values).all() or (values != np.rint(values)).any() or values.min() < 0:
        return None
    return values.astype(np.int32)
