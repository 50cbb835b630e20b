"""``corrections.toml``: where a person overrules the program.

::

    [[same]]                        # these outlines are one lesion
    lesions = ["E1-R1", { source_uid = "1.2.3.4", number = 2 }]
    by = "reader 1"                 # optional, as are date and note
    date = 2000-10-01

    [[different]]                   # no two of these are one lesion
    lesions = ["E1-R1", "E1-R2"]

    [[not_a_lesion]]
    lesion = { tracking_uid = "2.25.77" }
    note = "haemangioma"

    [[add_mask]]                    # a new lesion, drawn on the lattice of a series
    file = "extra.nii.gz"           # relative to this file; every value above 0, or the value of label
    series = "1.2.840.1.5"
    name = "left iliac wing"

    [[replace_mask]]                # the outline of a lesion, drawn anew on the lattice of its series
    lesion = "E2-R1"
    file = "E2-R1.nii.gz"
    label = 3

    [[level]]                       # the vertebra at this point is L5
    series = "1.2.840.1.5"
    point_mm = [3.0, -42.5, 118.0]  # LPS, in the frame of reference of the series
    level = "L5"

    [[bone_scan_spot]]              # a hot spot of a planar bone scan: in which bone can it lie?
    series = "E4-S1"                # as inspect lists it, or the Series Instance UID
    view = "posterior"              # anterior or posterior; needed where the series holds more than one view
    pixel = [63.5, 212.0]           # column and row, the first is 0
    name = "lower thoracic focus"   # optional

A lesion is named by its id, which is stable while the input stays the same, or by what its source says
of it, which is stable always: the drawing's SOP Instance UID and ROI or segment number, or its tracking UID.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import combinations
from pathlib import Path
from typing import Literal

from osteotrace.errors import DeclarationError
from osteotrace.model.declarations import Table, nifti_files, read_toml
from osteotrace.model.label_schemes import VERTEBRAE
from osteotrace.model.lesion import Lesion
from osteotrace.model.values import View

_MAX_NUMBER = 2**31 - 1  # ROI and segment numbers are integers of at most 31 bits (DICOM IS, US)
_NOTE_KEYS = ("by", "date", "note")
_SIDES = (View.ANTERIOR.value, View.POSTERIOR.value)
_PRESACRAL = tuple(level for level in VERTEBRAE if level[0] != "S")


@dataclass(frozen=True, slots=True)
class ById:
    """A lesion by its id, for example ``E1-R1``."""

    id: str
    kind: Literal["id"] = "id"

    def __str__(self) -> str:
        """Words for it."""
        return self.id


@dataclass(frozen=True, slots=True)
class ByDrawing:
    """A lesion by the object that it was drawn in (SOP Instance UID) and its ROI or segment number."""

    source_uid: str
    number: int
    kind: Literal["drawing"] = "drawing"

    def __str__(self) -> str:
        """Words for it."""
        return f"number {self.number} of {self.source_uid}"


@dataclass(frozen=True, slots=True)
class ByTrackingUid:
    """All outlines that carry a Tracking UID (0062,0021)."""

    tracking_uid: str
    kind: Literal["tracking"] = "tracking"

    def __str__(self) -> str:
        """Words for it."""
        return f"tracking UID {self.tracking_uid}"


LesionRef = ById | ByDrawing | ByTrackingUid


@dataclass(frozen=True, slots=True)
class Note:
    """Who corrected, when and why; empty or None where not told."""

    by: str = ""
    date: date | None = None
    text: str = ""

    def __str__(self) -> str:
        """In brackets, with a leading blank; empty when nothing is told."""
        parts = [self.by, self.date.isoformat() if self.date else "", self.text]
        told = ", ".join(p for p in parts if p)
        return f" ({told})" if told else ""


@dataclass(frozen=True, slots=True)
class Same:
    """These outlines are one lesion."""

    lesions: tuple[LesionRef, ...]
    note: Note = Note()
    kind: Literal["same"] = "same"

    def __str__(self) -> str:
        """For :class:`osteotrace.model.workup.Provenance`."""
        return f"same lesion: {_listed(self.lesions)}{self.note}"


@dataclass(frozen=True, slots=True)
class Different:
    """No two of these outlines are one lesion."""

    lesions: tuple[LesionRef, ...]
    note: Note = Note()
    kind: Literal["different"] = "different"

    def __str__(self) -> str:
        """For :class:`osteotrace.model.workup.Provenance`."""
        return f"different lesions: {_listed(self.lesions)}{self.note}"


@dataclass(frozen=True, slots=True)
class NotALesion:
    """This outline is left out."""

    lesion: LesionRef
    note: Note = Note()
    kind: Literal["not_a_lesion"] = "not_a_lesion"

    def __str__(self) -> str:
        """For :class:`osteotrace.model.workup.Provenance`."""
        return f"not a lesion: {self.lesion}{self.note}"


@dataclass(frozen=True, slots=True)
class AddMask:
    """A lesion that was drawn by a person on the lattice of a series.

    Attributes
    ----------
    file : Path
        NIfTI; it exists.
    series : str
        Series id.
    label : int or None
        Value in the file that is the lesion; None: every value above 0.
    """

    file: Path
    series: str
    name: str
    label: int | None = None
    note: Note = Note()
    kind: Literal["add_mask"] = "add_mask"

    def __str__(self) -> str:
        """For :class:`osteotrace.model.workup.Provenance`."""
        return f"lesion {self.name} added from {_source(self)} on series {self.series}{self.note}"


@dataclass(frozen=True, slots=True)
class ReplaceMask:
    """The outline of a lesion, drawn anew on the lattice of its series; fields as in :class:`AddMask`."""

    file: Path
    lesion: LesionRef
    label: int | None = None
    note: Note = Note()
    kind: Literal["replace_mask"] = "replace_mask"

    def __str__(self) -> str:
        """For :class:`osteotrace.model.workup.Provenance`."""
        return f"outline of {self.lesion} replaced by {_source(self)}{self.note}"


@dataclass(frozen=True, slots=True)
class Level:
    """The vertebra at a point has this level.

    Attributes
    ----------
    series : str
        Series id.
    point_mm : tuple of float
        In the vertebra; LPS, in the frame of reference of the series.
    level : str
        C1 to L6, or T13.
    """

    series: str
    point_mm: tuple[float, float, float]
    level: str
    note: Note = Note()
    kind: Literal["level"] = "level"

    def __str__(self) -> str:
        """For :class:`osteotrace.model.workup.Provenance`."""
        place = ", ".join(f"{x:.1f}" for x in self.point_mm)
        return f"the vertebra at ({place}) on series {self.series} is {self.level}{self.note}"


@dataclass(frozen=True, slots=True)
class BoneScanSpot:
    """A hot spot that a person points at in a planar bone scan.

    Attributes
    ----------
    series : str
        As ``inspect`` lists it (``E4-S1``), series id, or Series Instance UID.
    pixel : tuple of float
        Column and row, fractional; the middle of the first pixel is 0.
    view : View or None
        Anterior or posterior; None where not told.
    name : str
        Empty when it has none.
    """

    series: str
    pixel: tuple[float, float]
    view: View | None = None
    name: str = ""
    note: Note = Note()
    kind: Literal["bone_scan_spot"] = "bone_scan_spot"

    def __str__(self) -> str:
        """For :class:`osteotrace.model.workup.Provenance`."""
        name = f" {self.name}" if self.name else ""
        view = f" in the {self.view} view" if self.view else ""
        column, row = self.pixel
        return f"hot spot{name} at column {column:g}, row {row:g}{view} of series {self.series}{self.note}"


Correction = Same | Different | NotALesion | AddMask | ReplaceMask | Level | BoneScanSpot


@dataclass(frozen=True, slots=True)
class Corrections:
    """The content of ``corrections.toml``: by kind, and within a kind in the order of the file."""

    items: tuple[Correction, ...] = ()

    @property
    def spots(self) -> tuple[BoneScanSpot, ...]:
        """Hot spots that a person points at, in the order of the file."""
        return tuple(item for item in self.items if isinstance(item, BoneScanSpot))


def read_corrections(path: Path) -> Corrections:
    """Read ``corrections.toml``.

    Raises
    ------
    DeclarationError
        At the first thing that is wrong, also when two corrections contradict each other.
    """
    top = read_toml(path)
    top.check_keys(
        ("same", "different", "not_a_lesion", "add_mask", "replace_mask", "level", "bone_scan_spot")
    )
    items: tuple[Correction, ...] = (
        *(Same(_group(t), _note(t)) for t in top.tables("same")),
        *(Different(_group(t), _note(t)) for t in top.tables("different")),
        *(_not_a_lesion(t) for t in top.tables("not_a_lesion")),
        *(_add_mask(t, path.parent) for t in top.tables("add_mask")),
        *(_replace_mask(t, path.parent) for t in top.tables("replace_mask")),
        *(_level(t) for t in top.tables("level")),
        *(_spot(t) for t in top.tables("bone_scan_spot")),
    )
    _refuse_contradictions(items, path.name)
    return Corrections(items)


def find_lesions(ref: LesionRef, lesions: Iterable[Lesion]) -> tuple[Lesion, ...]:
    """Lesions that a reference names.

    Raises
    ------
    DeclarationError
        When it names none.
    """
    known = tuple(lesions)
    found = tuple(x for x in known if _names(ref, x))
    if not found:
        raise DeclarationError(
            f"a correction names a lesion that is not there: {ref}",
            expected=f"one of {', '.join(x.id for x in known)}" if known else "a lesion; there is none",
            remedy="use an id of measurements.csv, or the source_uid and number of the drawing",
        )
    return found


def _names(ref: LesionRef, lesion: Lesion) -> bool:
    match ref:
        case ById():
            return lesion.id == ref.id
        case ByDrawing():
            return (lesion.origin.source_uid, lesion.origin.number) == (ref.source_uid, ref.number)
        case ByTrackingUid():
            return lesion.tracking_uid == ref.tracking_uid


def _group(table: Table) -> tuple[LesionRef, ...]:
    table.check_keys(("lesions", *_NOTE_KEYS), ("lesions",))
    values = table.values["lesions"]
    if not isinstance(values, list) or len(values) < 2:
        raise table.error("fewer than two lesions", key="lesions", expected="a list of two or more lesions")
    refs = tuple(_ref(value, table, "lesions") for value in values)
    if len(set(refs)) < len(refs):
        raise table.error("a lesion is named twice", key="lesions", remedy="name each once")
    return refs


def _ref(value: object, table: Table, key: str) -> LesionRef:
    if isinstance(value, str) and value.strip():
        return ById(value.strip())
    if not isinstance(value, dict):
        raise table.error(
            "this does not name a lesion",
            key=key,
            expected='"E1-R1", { source_uid = "...", number = 1 } or { tracking_uid = "..." }',
        )
    inner = Table(value, table.file, f"{table.place}, key {key}")
    if "tracking_uid" in value:
        inner.check_keys(("tracking_uid",))
        return ByTrackingUid(inner.text("tracking_uid"))
    inner.check_keys(("source_uid", "number"), ("source_uid", "number"))
    return ByDrawing(inner.text("source_uid"), inner.count("number", at_least=0, at_most=_MAX_NUMBER) or 0)


def _note(table: Table) -> Note:
    return Note(table.text("by"), table.day_of("date"), table.text("note"))


def _label(table: Table) -> int | None:
    return table.count("label", at_least=1, at_most=_MAX_NUMBER)


def _one_file(table: Table, folder: Path) -> Path:
    files = nifti_files(table, "file", folder)
    if len(files) > 1:
        raise table.error(f"{len(files)} files fit", key="file", expected="one file")
    return files[0]


def _not_a_lesion(table: Table) -> NotALesion:
    table.check_keys(("lesion", *_NOTE_KEYS), ("lesion",))
    return NotALesion(_ref(table.values["lesion"], table, "lesion"), _note(table))


def _add_mask(table: Table, folder: Path) -> AddMask:
    table.check_keys(("file", "series", "name", "label", *_NOTE_KEYS), ("file", "series", "name"))
    file = _one_file(table, folder)
    return AddMask(file, table.text("series"), table.text("name"), _label(table), _note(table))


def _replace_mask(table: Table, folder: Path) -> ReplaceMask:
    table.check_keys(("file", "lesion", "label", *_NOTE_KEYS), ("file", "lesion"))
    lesion = _ref(table.values["lesion"], table, "lesion")
    return ReplaceMask(_one_file(table, folder), lesion, _label(table), _note(table))


def _level(table: Table) -> Level:
    keys = ("series", "point_mm", "level")
    table.check_keys((*keys, *_NOTE_KEYS), keys)
    point = table.values["point_mm"]
    if not isinstance(point, list) or len(point) != 3 or not all(_is_number(x) for x in point):
        raise table.error("this is not a point", key="point_mm", expected="three numbers: LPS, mm")
    place = (float(point[0]), float(point[1]), float(point[2]))
    return Level(table.text("series"), place, table.one_of("level", _PRESACRAL), _note(table))


def _spot(table: Table) -> BoneScanSpot:
    table.check_keys(("series", "view", "pixel", "name", *_NOTE_KEYS), ("series", "pixel"))
    pixel = table.values["pixel"]
    if not isinstance(pixel, list) or len(pixel) != 2 or not all(_is_number(x) for x in pixel):
        raise table.error(
            "this is not a pixel",
            key="pixel",
            expected="two numbers: column and row, the first pixel is 0",
            remedy="write pixel = [63.5, 212.0]",
        )
    view = table.one_of("view", _SIDES)
    place = (float(pixel[0]), float(pixel[1]))
    return BoneScanSpot(
        table.text("series"), place, View(view) if view else None, table.text("name"), _note(table)
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _refuse_contradictions(items: tuple[Correction, ...], file: str) -> None:
    """As far as the references alone tell; two names of one lesion are found out when they are looked up."""
    replaced = [x.lesion for x in items if isinstance(x, ReplaceMask)]
    dropped = {x.lesion for x in items if isinstance(x, NotALesion)}
    used = {r for x in items if isinstance(x, Same | Different) for r in x.lesions} | set(replaced)
    for ref in sorted(dropped & used, key=str):
        raise _contradiction(f"{ref} is not a lesion and is spoken of as one", file)
    for ref in replaced:
        if replaced.count(ref) > 1:
            raise _contradiction(f"the outline of {ref} is replaced twice", file)
    joined = _merged(set(x.lesions) for x in items if isinstance(x, Same))
    for pair in (p for x in items if isinstance(x, Different) for p in combinations(x.lesions, 2)):
        if any(group.issuperset(pair) for group in joined):
            raise _contradiction(f"{_listed(pair)} are the same and different", file)
    told: dict[tuple[str, tuple[float, float, float]], str] = {}
    for item in items:
        if isinstance(item, Level):
            first = told.setdefault((item.series, item.point_mm), item.level)
            if first != item.level:
                raise _contradiction(f"one point is in {first} and in {item.level}", file)


def _merged(groups: Iterable[set[LesionRef]]) -> list[set[LesionRef]]:
    """Groups that share a lesion become one."""
    merged: list[set[LesionRef]] = []
    for group in groups:
        apart = [g for g in merged if not g & group]
        merged = [*apart, group.union(*(g for g in merged if g & group))]
    return merged


def _contradiction(found: str, file: str) -> DeclarationError:
    return DeclarationError(found, where=file, expected="corrections that agree", remedy="delete one of them")


def _listed(refs: Iterable[LesionRef]) -> str:
    return ", ".join(str(r) for r in refs)


def _source(item: AddMask | ReplaceMask) -> str:
    return item.file.name if item.label is None else f"{item.file.name} label {item.label}"
