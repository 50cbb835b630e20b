"""Landmarks that tell levels, as they were seen along a row of vertebrae."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from osteotrace.anatomy.joined import Row
from osteotrace.model.anatomy import BoneRef

_SEEN: Final = 0.5


@dataclass(frozen=True, slots=True)
class Landmarks:
    """What tells the levels of a row.

    Attributes
    ----------
    dens, first_rib, last_rib, sacrum, told : bool
        Which were seen. A rib is the first or last only where the next vertebra was seen to have none.
    at : tuple of tuple of BoneRef
        The vertebrae that show them.
    """

    dens: bool
    first_rib: bool
    last_rib: bool
    sacrum: bool
    told: bool
    at: tuple[tuple[BoneRef, ...], ...]

    @property
    def lacking(self) -> str:
        """Why no level can be certain, in words; empty where the landmarks can settle it.

        Counting needs both ends: from above the dens or the first rib, or else the last rib and the sacrum.
        The sacrum alone leaves open whether there are four, five or six lumbar vertebrae, the last rib alone
        whether it is the eleventh, twelfth or thirteenth; each is otherwise in several of a hundred people.
        """
        if self.told or self.dens or self.first_rib or (self.last_rib and self.sacrum):
            return ""
        if self.sacrum:
            return "5 lumbar vertebrae assumed: no last rib in view"
        if self.last_rib:
            return "12 thoracic vertebrae assumed: neither first rib nor sacrum in view"
        return "no landmark in view: level from the spacing and the curve of the spine alone"

    def reach(self, bones: Sequence[BoneRef], doubtful: frozenset[str]) -> bool:
        """Whether a vertebra shares a volume, or a group of well aligned volumes, with a landmark."""
        own = {ref.series_id for ref in bones}
        shown = {ref.series_id for refs in self.at for ref in refs}
        return bool(own & shown) or bool(own - doubtful and shown - doubtful)

    def reasons(self, level: str, bones: Sequence[BoneRef]) -> tuple[str, ...]:
        """What a level rests on, in words."""
        names = ("dens", "first rib", "last rib", "sacrum", "level given by a person")
        flags = (self.dens, self.first_rib, self.last_rib, self.sacrum, self.told)
        seen = [name for name, flag in zip(names, flags, strict=True) if flag]
        if not seen:
            return ()
        own = {ref.series_id for ref in bones}
        shown = {ref.series_id for refs in self.at for ref in refs}
        elsewhere = "" if own & shown else " in another volume"
        thoracic = level[0] == "T" and not (self.told or self.dens or self.first_rib)
        assumed = ("12 thoracic vertebrae assumed: first rib not in view",) if thoracic and self.sacrum else ()
        return (f"seen{elsewhere}: {', '.join(seen)}", *assumed)


def landmarks_of(row: Row, is_vertebra: Sequence[bool]) -> Landmarks:
    """Find the landmarks of a row, detections left out that are no vertebrae."""
    kept = [i for i, is_one in enumerate(is_vertebra) if is_one]
    signs, members = row.chain.signs, row.members
    dens = [i for i in kept if (signs[i].dens or 0.0) >= _SEEN]
    first, last = [], []
    for above, below in pairwise(kept):
        upper, lower = signs[above].rib, signs[below].rib
        if upper is not None and lower is not None:
            if upper < _SEEN <= lower:
                first.append(below)
            if lower < _SEEN <= upper:
                last.append(above)
    near = np.flatnonzero(np.isfinite(row.chain.sacrum_mm))
    sacrum = [int(near[np.argmin(row.chain.sacrum_mm[near])])] if near.size else []
    told = [i for i in kept if signs[i].told]
    shown = sorted({*dens, *first, *last, *sacrum, *told})
    return Landmarks(
        bool(dens), bool(first), bool(last), bool(sacrum), bool(told), tuple(members[i] for i in shown)
    )
