"""Made-up spines, as a detector would deliver them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from osteotrace.anatomy import number
from osteotrace.anatomy.settings import Settings
from osteotrace.anatomy.spine_prior import spines
from osteotrace.model.alignment import Alignment
from osteotrace.model.anatomy import Anatomy, Bone, Numbering
from osteotrace.model.corrections import Correction, Corrections
from osteotrace.model.criteria import load_criteria
from osteotrace.space import Grid

FRAME = "1.2.826.0.1.3680043.8.498.1"
CRITERIA = load_criteria()
SETTINGS = Settings.of(CRITERIA)
SACRUM_BELOW = np.array([0.0, 8.0, -29.0])


def points_of(levels: Sequence[str], count: tuple[int, int] = (12, 5)) -> NDArray[np.float64]:
    """Mean places of levels in a spine of a count, with its mean curve; LPS mm."""
    spine = next(s for s in spines(SETTINGS) if (s.thoracic, s.lumbar) == count)
    tilt = np.radians(np.concatenate([[20.0], 20.0 + np.cumsum(np.nan_to_num(spine.bend_deg[1:-1]))]))
    step = np.diff(spine.place_mm)[:, None] * np.stack([0 * tilt, np.sin(tilt), -np.cos(tilt)], axis=1)
    places = np.concatenate([[[0.0, 0.0, 0.0]], np.cumsum(step, axis=0)])
    return places[[spine.levels.index(level) for level in levels]]


def range_of(first: str, last: str, count: tuple[int, int] = (12, 5)) -> tuple[str, ...]:
    levels = next(s for s in spines(SETTINGS) if (s.thoracic, s.lumbar) == count).levels
    return levels[levels.index(first) : levels.index(last) + 1]


def skeleton(
    levels: Sequence[str],
    *,
    count: tuple[int, int] = (12, 5),
    points: NDArray[np.float64] | None = None,
    ribs: bool = False,
    dens: bool = False,
    sacrum: bool = False,
    declared: Sequence[str] = (),
    series: str = "ct",
    frame: str = FRAME,
    confidence: float = 0.98,
) -> Anatomy:
    """A volume that shows these levels, and of landmarks what is asked for."""
    places = points_of(levels, count) if points is None else points
    bones = [
        Bone(
            id=f"V{n}",
            name="vertebra",
            label=n,
            centroid_mm=(float(place[0]), float(place[1]), float(place[2])),
            confidence=confidence,
            touches_edge=False,
            rib=(0.99 if level.startswith("T") else 0.01) if ribs else None,
            dens=(0.99 if level == "C2" else 0.01) if dens else None,
            declared_level=declared[n - 1] if declared else "",
        )
        for n, (level, place) in enumerate(zip(levels, places, strict=True), 1)
    ]
    if sacrum:
        x, y, z = places[-1] + SACRUM_BELOW
        bones.append(Bone("sacrum", "sacrum", len(bones) + 1, (float(x), float(y), float(z)), 0.98, False))
    grid = Grid((2, 2, 2), np.diag([5.0, 5.0, 5.0, 1.0]), frame)
    return Anatomy(series, np.zeros((2, 2, 2), np.uint16), grid, tuple(bones), (), frozenset(), "test")


def numbered(
    *anatomies: Anatomy, alignments: tuple[Alignment, ...] = (), corrections: tuple[Correction, ...] = ()
) -> Numbering:
    return number(anatomies, alignments, Corrections(corrections), CRITERIA)


def levels_in(numbering: Numbering, anatomy: Anatomy) -> tuple[str | None, ...]:
    found = [numbering.of(anatomy.series_id, bone.id) for bone in anatomy.vertebrae]
    return tuple(vertebra.level if vertebra else None for vertebra in found)


def certainties_in(numbering: Numbering, anatomy: Anatomy) -> set[str]:
    found = [numbering.of(anatomy.series_id, bone.id) for bone in anatomy.vertebrae]
    return {str(vertebra.certainty) for vertebra in found if vertebra}
