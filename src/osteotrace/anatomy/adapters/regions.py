"""Segments of a DICOM SEG (or other drawings) that are bones and structures, as intake delivers them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from osteotrace.anatomy.adapters.build import build
from osteotrace.errors import RegionError
from osteotrace.model.anatomy import Anatomy
from osteotrace.model.imaging import Region
from osteotrace.model.label_schemes import SIDES, Structure, structure, structure_of_codes, structures
from osteotrace.model.problem import Problem
from osteotrace.model.values import Severity
from osteotrace.space import Grid

_LEVEL: Final = re.compile(r"\b([CTLS])\s?(\d{1,2})\b", re.IGNORECASE)
_OTHER_WORDS: Final = {
    "vertebrae": "vertebra",
    "hip": "hip bone",
    "canal": "spinal canal",
    "cord": "spinal cord",
}


def from_regions(regions: Sequence[Region], grid: Grid, *, series_id: str) -> Anatomy:
    """Make an Anatomy of the segments of one image.

    A segment is understood by its coded type, its side and level by its name where the code does not tell;
    without a known code by its name alone, as ``vertebrae_T11`` or ``rib_left_7``.

    Parameters
    ----------
    regions : sequence of Region
        On the lattice of the image; where two share a voxel, the later one has it.
    grid : Grid
        The lattice of the image.

    Raises
    ------
    RegionError
        No segment is a bone or structure that is known.
    LatticeMismatchError, FrameMismatchError
        A segment is on another lattice.
    """
    labels = np.zeros(grid.shape, dtype=np.uint16)
    meaning: dict[int, Structure] = {}
    strange = []
    for number, region in enumerate(regions, 1):
        found = structure_of_region(region)
        if found is None:
            strange.append(region.name)
        else:
            labels[region.mask.on(grid)] = number
            meaning[number] = found
    source = regions[0].source_uid if regions else ""
    if not meaning:
        raise RegionError(
            "no segment is a bone or structure that is known",
            where=source,
            expected="segments with SNOMED CT codes, or names such as vertebrae_T11",
        )
    return build(
        labels,
        grid,
        meaning,
        series_id=series_id,
        searched=frozenset("vertebra" if s.kind == "vertebra" else s.name for s in meaning.values()),
        made_by=f"{regions[0].source_kind} {source}",
        problems=_strange(strange, source),
    )


def structure_of_region(region: Region) -> Structure | None:
    """What a segment is, or None."""
    words = _words(region.name)
    side = next((s for s in SIDES if s in words.split()), None)
    if region.type is not None:
        code = (region.type.value, region.type.scheme)
        for laterality in (None, *(_SIDE_CODES[s] for s in SIDES if s == side)):
            found = structure_of_codes(code, laterality)
            if found is not None and found.name == "vertebra":
                return _levelled(words) or found
            if found is not None:
                return found
    return _levelled(words) if "vertebra" in words else _named(words, side)


def _words(name: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", " ", name.lower()).strip()
    return " ".join(_OTHER_WORDS.get(word, word) for word in plain.split())


def _levelled(words: str) -> Structure | None:
    level = _LEVEL.search(words)
    return structures().get(f"vertebra {level[1].upper()}{int(level[2])}") if level else None


def _named(words: str, side: str | None) -> Structure | None:
    """A structure whose name has the same words, in any order."""
    wanted = sorted(words.split())
    same = [item for name, item in structures().items() if sorted(name.lower().split()) == wanted]
    return same[0] if same and same[0].side == side else None


def _strange(names: Sequence[str], source: str) -> tuple[Problem, ...]:
    if not names:
        return ()
    listed = ", ".join(names)
    return (
        Problem(
            Severity.EXCLUDED, "segment-unknown", f"no bone or structure is known as {listed}", where=source
        ),
    )


_SIDE_CODES: Final = {
    side: (code.value, code.scheme)
    for side in SIDES
    if (code := structure(f"hip bone {side}").laterality) is not None
}
