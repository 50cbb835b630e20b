"""Landmarks that tell levels, as they were seen along a row of vertebrae."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from osteotrace.anatomy.joined import Row
from osteotrace.anatomy.spine_prior import USUAL_COUNT
from osteotrace.model.anatomy import BoneRef

_SEEN: Final = 0.5


@dataclass(frozen=True, slots=True)
class Landmarks:
    """What tells the levels of a row.

    Attributes
    ----------
    dens, first_rib, last_rib, sacrum, told : bool
        Which were seen. A rib is the first or last only where the next vertebra was seen to have none.
    odd : tuple of str
        What does not fit the most probable levels, or makes them unusual.
    at : tuple of tuple of BoneRef
        The vertebrae that show them.
    """

    dens: bool
    first_rib: bool
    last_rib: bool
    sacrum: bool
    told: bool
    odd: tuple[str, ...]
    at: tuple[tuple[BoneRef, ...], ...]

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return self.dens or self.first_rib or self.last_rib or self.sacrum or self.told

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
        assumed = (
            ("12 thoracic vertebrae assumed: first rib not in view",) if thoracic and self.sacrum else ()
        )
        return (f"seen{elsewhere}: {', '.join(seen)}", *assumed)


def landmarks_of(row: Row, levels: Sequence[str | None], count: tuple[int, int]) -> Landmarks:
    """Find the landmarks of a row.

    Parameters
    ----------
    levels : sequence of str or None
        Most probable level of each detection; None where it is no vertebra.
    count : tuple of int
        Most probable number of thoracic and lumbar vertebrae.
    """
    signs, members = row.chain.signs, row.members
    kept = [i for i, level in enumerate(levels) if level is not None]
    dens = [i for i in kept if (signs[i].dens or 0.0) >= _SEEN]
    first, last = _ends_of_ribs(kept, [signs[i].rib for i in kept])
    near = np.flatnonzero(np.isfinite(row.chain.sacrum_mm))
    sacrum = [int(near[np.argmin(row.chain.sacrum_mm[near])])] if near.size else []
    told = [i for i in kept if signs[i].told]
    odd = []
    if first is not None and _parts(levels, kept, kept.index(first) - 1) != "CT":
        odd.append(f"the first rib seems to be at {levels[first]}")
    if last is not None and _parts(levels, kept, kept.index(last)) != "TL":
        odd.append(f"the last rib seems to be at {levels[last]}")
    if count != USUAL_COUNT and not dens and first is None:
        odd.append("{} thoracic and {} lumbar vertebrae, but the first rib is not in view".format(*count))
    ribs = [i for i in (first, last) if i is not None]
    return Landmarks(
        dens=bool(dens),
        first_rib=first is not None,
        last_rib=last is not None,
        sacrum=bool(sacrum),
        told=bool(told),
        odd=tuple(odd),
        at=tuple(members[i] for i in sorted({*dens, *ribs, *sacrum, *told})),
    )


def _parts(levels: Sequence[str | None], kept: Sequence[int], first: int) -> str:
    """Parts of the spine of two neighbours in the row, as letters."""
    return "".join((levels[i] or "-")[0] for i in kept[first : first + 2])


def _ends_of_ribs(at: Sequence[int], ribs: Sequence[float | None]) -> tuple[int | None, int | None]:
    """Vertebrae with the first and the last rib; None where the next vertebra was not seen to have none.

    The longest run of ribs counts, a single vertebra in it that seems to have none left aside.
    """
    has = [rib is not None and rib >= _SEEN for rib in ribs]
    closed = [here or (0 < i < len(has) - 1 and has[i - 1] and has[i + 1]) for i, here in enumerate(has)]
    runs = [(len(run), run) for run in _runs(closed)]
    if not runs:
        return None, None
    run = max(runs, key=lambda item: item[0])[1]
    above, below = run[0] - 1, run[-1] + 1
    first = at[run[0]] if above >= 0 and ribs[above] is not None else None
    last = at[run[-1]] if below < len(at) and ribs[below] is not None else None
    return first, last


def _runs(flags: Sequence[bool]) -> list[list[int]]:
    runs: list[list[int]] = []
    for i, flag in enumerate(flags):
        if flag and i and flags[i - 1]:
            runs[-1].append(i)
        elif flag:
            runs.append([i])
    return runs
