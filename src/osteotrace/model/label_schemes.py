"""Anatomical structures under one set of names, and the label numbers that other programs give them.

A structure is called, for example, ``vertebra T11``, ``disc L4-L5``, ``rib left 7``, ``hip bone left``,
``sacrum``. Label numbers are facts read in the sources named in ``label_schemes.toml``; a number that could
not be read there is left out, and `translate` reports a mask that holds it.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from osteotrace.errors import DeclarationError, RegionError
from osteotrace.model import codes
from osteotrace.model.codes import Code

Side: TypeAlias = Literal["left", "right"]
Kind: TypeAlias = Literal[
    "vertebra",
    "disc",
    "endplates",
    "rib",
    "bone",
    "vertebra part",
    "nervous system",
    "muscle",
    "vessel",
    "organ",
    "region",
    "finding",
]

SIDES: Final[tuple[Side, ...]] = ("left", "right")

VERTEBRAE: Final = (
    *(f"C{number}" for number in range(1, 8)),
    *(f"T{number}" for number in range(1, 14)),
    *(f"L{number}" for number in range(1, 7)),
    *(f"S{number}" for number in range(1, 6)),
)
"""All levels from head to tail, with the variants T13 and L6."""

VARIANTS: Final = frozenset({"T13", "L6"})

USUAL: Final = tuple(level for level in VERTEBRAE if level not in VARIANTS)
"""The levels of a spine with 12 thoracic and 5 lumbar vertebrae."""

RIB_NUMBERS: Final = range(1, 14)

_FILE: Final = "label_schemes.toml"
_T13_IN_VERSE: Final = 28
_BLOCK: Final = 1 << 20  # voxels


@dataclass(frozen=True, slots=True)
class Structure:
    """One anatomical structure.

    Parameters
    ----------
    name : str
        The name in osteotrace.
    kind : str
        Vertebra, disc, rib, bone ...
    code : Code or None
        SNOMED CT concept without side; None where none was found. For T13, L6 and the thirteenth ribs it is
        that of the vertebra or rib as such, so the name has to go with it.
    side : {"left", "right"} or None
    level : str
        Level of a vertebra (``"T11"``), the two of a disc (``"L4-L5"``), number of a rib, else empty.
    """

    name: str
    kind: Kind
    code: Code | None
    side: Side | None = None
    level: str = ""

    @property
    def laterality(self) -> Code | None:
        """Code of the side (DICOM PS3.16 CID 244)."""
        return {"left": codes.LEFT, "right": codes.RIGHT, None: None}[self.side]

    @property
    def is_bone(self) -> bool:
        """Whether a bone lesion can lie in it."""
        return self.kind in ("vertebra", "rib", "bone", "vertebra part")


@dataclass(frozen=True, slots=True, eq=False)
class LabelScheme:
    """The label numbers of one program.

    Parameters
    ----------
    name : str
        E.g. ``"totalsegmentator_ct"``.
    source : str
        Where the numbers were read.
    labels : mapping of int to Structure
        One label, one structure. 0 is background.
    aliases : mapping of Structure to int
        Structures of spines with a T13 or L6 that carry a label which otherwise means another structure.
    """

    name: str
    source: str
    labels: Mapping[int, Structure]
    aliases: Mapping[Structure, int]

    def structure_of(self, label: int) -> Structure | None:
        """Return what a label means in a usual spine, or None where the scheme does not have it."""
        return self.labels.get(label)

    def label_of(self, structure: Structure) -> int | None:
        """Return the label of a structure, or None where the scheme does not have it."""
        for label, labelled in self.labels.items():
            if labelled == structure:
                return label
        return self.aliases.get(structure)

    def structures_in(self, labels: Iterable[int]) -> dict[int, Structure]:
        """Return what the labels of one image mean together; unknown labels are left out.

        A disc that is numbered by the vertebra above it is named by the vertebra below as well: label 119 of
        SPINEPS is the disc T12-L1, but T12-T13 in an image that shows a T13.
        """
        found = {label: self.labels[label] for label in labels if label in self.labels}
        levels = {structure.level for structure in found.values() if structure.kind == "vertebra"}
        for alias, label in self.aliases.items():
            if label in found and alias.level.split("-")[1] in levels:
                found[label] = alias
        return found


def structure(name: str) -> Structure:
    """Return a structure by its name.

    Raises
    ------
    DeclarationError
        No structure has this name; the message names the closest ones.
    """
    found = structures().get(name)
    if found is None:
        raise _unknown("structure", name, structures())
    return found


@cache
def structures() -> Mapping[str, Structure]:
    """Return all structures by name."""
    return MappingProxyType({item.name: item for item in _all_structures()})


def structure_of_codes(code: tuple[str, str], laterality: tuple[str, str] | None = None) -> Structure | None:
    """Return the structure of a coded segment.

    Parameters
    ----------
    code, laterality : tuple of str
        Code value and coding scheme designator of type and type modifier.

    Returns
    -------
    Structure or None
        None where no structure has the code, or the side of a paired one is not given. The code of the
        vertebra as such gives ``vertebra``, never T13 or L6.
    """
    side = next((s for s in SIDES if laterality is not None and _SIDE_CODES[s].matches(*laterality)), None)
    for item in structures().values():
        if item.code is not None and item.code.matches(*code) and item.side == side and not _is_variant(item):
            return item
    return None


def scheme(name: str) -> LabelScheme:
    """Return a label scheme by its name.

    Raises
    ------
    DeclarationError
        No scheme has this name; the message names the closest ones.
    """
    found = schemes().get(name)
    if found is None:
        raise _unknown("label scheme", name, schemes())
    return found


@cache
def schemes() -> Mapping[str, LabelScheme]:
    """Return all label schemes by name."""
    return MappingProxyType({name: _scheme(name, table) for name, table in _tables()["schemes"].items()})


def translate(
    labels: NDArray[np.integer[Any]], source: LabelScheme, target: LabelScheme
) -> tuple[NDArray[np.uint16], tuple[str, ...]]:
    """Write a label image in the numbers of another scheme.

    Parameters
    ----------
    labels : ndarray of int
        Label image of any shape; 0 is background.
    source, target : LabelScheme

    Returns
    -------
    translated : ndarray of uint16
        Same shape and memory order; 0 where `target` has no label for what was there.
    lacking : tuple of str
        By rising label, the names of the structures that are in the image but not in `target`, and
        ``"label 999 of SCHEME"`` for numbers that `source` does not know. Empty when nothing was lost.

    Raises
    ------
    RegionError
        The values are not whole numbers.
    """
    if not np.issubdtype(labels.dtype, np.integer):
        raise RegionError(
            f"label values are {labels.dtype}",
            where=source.name,
            expected="whole numbers",
            remedy="round first",
        )
    present = np.unique(labels)
    known = source.structures_in(int(label) for label in present)
    numbers = np.zeros(present.size, dtype=np.uint16)
    lacking = []
    for index, label in enumerate(int(value) for value in present):
        number = target.label_of(known[label]) if label in known else None
        if number is not None:
            numbers[index] = number
        elif label != 0:
            lacking.append(known[label].name if label in known else f"label {label} of {source.name}")
    return _look_up(labels, present, numbers), tuple(lacking)


def verse_number(level: str) -> int:
    """Return the VerSe label of a vertebra: C1 to C7 1–7, T1 to T12 8–19, L1 to L6 20–25, T13 28.

    Raises
    ------
    DeclarationError
        Not a presacral vertebra: VerSe has one label (26) for the whole sacrum.
    """
    numbers = _verse_numbers()
    if level not in numbers:
        raise DeclarationError(
            f"VerSe has no number for a vertebra {level!r}", expected="C1 to C7, T1 to T13, L1 to L6"
        )
    return numbers[level]


def level_of_verse(number: int) -> str | None:
    """Return the vertebra of a VerSe label, or None (0, sacrum, coccyx, unknown)."""
    return next((level for level, label in _verse_numbers().items() if label == number), None)


def cranial_to_caudal(levels: Iterable[str]) -> tuple[str, ...]:
    """Return levels from head to tail, each once.

    Raises
    ------
    DeclarationError
        One of them is no level.
    """
    unique = set(levels)
    for level in unique - set(VERTEBRAE):
        raise _unknown("vertebra", level, VERTEBRAE)
    return tuple(level for level in VERTEBRAE if level in unique)


def neighbours(level: str, levels: Collection[str] = USUAL) -> tuple[str | None, str | None]:
    """Return the vertebrae above and below one.

    Parameters
    ----------
    level : str
        A vertebra; T13 and L6 take their place in the row.
    levels : collection of str
        The vertebrae that this patient has; by default 12 thoracic and 5 lumbar.

    Raises
    ------
    DeclarationError
        Not a level.
    """
    row = cranial_to_caudal({*levels, level})
    index = row.index(level)
    above = row[index - 1] if index > 0 else None
    below = row[index + 1] if index + 1 < len(row) else None
    return above, below


def disc_below(level: str, levels: Collection[str] = USUAL) -> Structure | None:
    """Return the disc under a vertebra, or None: under C1 and in the sacrum there is none.

    Raises
    ------
    DeclarationError
        Not a level.
    """
    below = neighbours(level, levels)[1]
    return structures().get(f"disc {level}-{below}")


_SIDE_CODES: Final[Mapping[Side, Code]] = MappingProxyType({"left": codes.LEFT, "right": codes.RIGHT})


@cache
def _verse_numbers() -> Mapping[str, int]:
    usual = [level for level in VERTEBRAE if level[0] in "CTL" and level != "T13"]
    return MappingProxyType({level: number for number, level in enumerate(usual, 1)} | {"T13": _T13_IN_VERSE})


def _is_variant(item: Structure) -> bool:
    stands_in = (codes.VERTEBRA, codes.RIB)
    return item.code in stands_in and bool(item.level)


def _look_up(
    labels: NDArray[np.integer[Any]], present: NDArray[np.integer[Any]], numbers: NDArray[np.uint16]
) -> NDArray[np.uint16]:
    """Replace the k-th of `present` by the k-th of `numbers`, block by block to spare memory."""
    translated = np.zeros_like(labels, dtype=np.uint16)
    with np.nditer(
        [labels, translated],
        flags=["external_loop", "buffered", "zerosize_ok"],
        op_flags=[["readonly"], ["writeonly"]],
        buffersize=_BLOCK,
    ) as blocks:
        for old, new in blocks:
            new[...] = numbers[np.searchsorted(present, old)]
    return translated


@cache
def _tables() -> dict[str, Any]:
    return tomllib.loads(resources.files("osteotrace.model").joinpath(_FILE).read_text("utf-8"))


def _scheme(name: str, table: Mapping[str, Any]) -> LabelScheme:
    return LabelScheme(
        name=name,
        source=table["source"],
        labels=MappingProxyType({int(label): structure(what) for label, what in table["labels"].items()}),
        aliases=MappingProxyType(
            {structure(what): label for what, label in table.get("aliases", {}).items()}
        ),
    )


def _all_structures() -> Iterator[Structure]:
    yield Structure("vertebra", "vertebra", codes.VERTEBRA)
    yield Structure("intervertebral disc", "disc", None)
    for level in VERTEBRAE:
        yield Structure(f"vertebra {level}", "vertebra", codes.VERTEBRAE.get(level), level=level)
    yield from _discs_and_endplates()
    for side in SIDES:
        yield Structure(f"rib {side}", "rib", codes.RIB, side)
        for number in RIB_NUMBERS:
            yield Structure(f"rib {side} {number}", "rib", codes.RIBS[number], side, str(number))
    for kind, names in _tables()["structures"].items():
        yield from _listed(cast("Kind", kind), names)


def _discs_and_endplates() -> Iterator[Structure]:
    presacral = [level for level in VERTEBRAE if level[0] in "CTL" and level != "C1"]
    for level in presacral:
        yield Structure(f"endplates {level}", "endplates", None, level=level)
        for levels in (USUAL, VERTEBRAE):
            below = neighbours(level, levels)[1]
            pair = f"{level}-{below}"
            yield Structure(f"disc {pair}", "disc", codes.DISCS.get(pair), level=pair)


def _listed(kind: Kind, names: Mapping[str, list[str]]) -> Iterator[Structure]:
    for name in names["single"]:
        yield Structure(name, kind, codes.ANATOMY.get(name))
    for name in names["paired"]:
        for side in SIDES:
            yield Structure(f"{name} {side}", kind, codes.ANATOMY.get(name), side)


def _unknown(what: str, name: str, known: Iterable[str]) -> DeclarationError:
    names = list(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return DeclarationError(
        f"no {what} is called {name!r}", expected="one of " + ", ".join(close or names[:3])
    )
