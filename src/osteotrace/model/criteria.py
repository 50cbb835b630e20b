"""The criteria: every threshold and constant, with unit, source and kind.

They live in ``criteria.toml`` beside this module: a top ``version`` and one ``[[criterion]]`` table each. No
clinical number stands in code; code asks for it by id, and reports cite the id and the version.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import sys
import tomllib
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Final, Literal, TypeAlias, cast

from osteotrace.errors import CriterionError, DeclarationError

Value: TypeAlias = bool | float | str | tuple[float, ...] | tuple[str, ...]
Kind: TypeAlias = Literal["standard", "published", "project"]

KINDS: Final = ("standard", "published", "project")
EVIDENCE: Final = ("V", "V2", "C", "M-high", "M-med", "M-low", "P")

_FILE: Final = "criteria.toml"
_REQUIRED: Final = ("id", "value", "unit", "source", "kind")
_OPTIONAL: Final = ("evidence", "note")
_ID: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9][a-z0-9_]*)+")
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+")
_CLOSEST: Final = 3


@dataclass(frozen=True, slots=True)
class Criterion:
    """One threshold or constant.

    Parameters
    ----------
    id : str
        Dotted name, e.g. ``"ct.enostosis_mean_hu"``.
    value : bool, float, str or tuple
        Numbers are finite; a tuple holds numbers only or words only.
    unit : str
        UCUM code; ``"{term}"`` for words, ``"{flag}"`` for true or false.
    source : str
        Author and year, a DICOM clause, or ``"osteotrace"``.
    kind : {"standard", "published", "project"}
        Where the value has its authority from.
    evidence : str
        How well the source was read: one of `EVIDENCE`, or empty.
    note : str
        Direction, conditions, accuracy.
    """

    id: str
    value: Value
    unit: str
    source: str
    kind: Kind
    evidence: str = ""
    note: str = ""


@dataclass(frozen=True)
class Criteria:
    """All criteria of one file.

    Parameters
    ----------
    version : str
        Version of the file, ``major.minor.patch``.
    items : tuple of Criterion
        In the order of the file; ids are unique.
    sha256 : str
        Hex digest of the bytes of the file.
    """

    version: str
    items: tuple[Criterion, ...]
    sha256: str

    @cached_property
    def _by_id(self) -> dict[str, Criterion]:
        return {item.id: item for item in self.items}

    def get(self, id: str) -> Criterion:
        """Return one criterion.

        Raises
        ------
        CriterionError
            No criterion has this id; the message names the closest ones.
        """
        item = self._by_id.get(id)
        if item is None:
            raise self._unknown(id)
        return item

    def number(self, id: str) -> float:
        """Return the value of a criterion that is one number, in its `unit`.

        Raises
        ------
        CriterionError
            Unknown id, or the value is not one number.
        """
        value = self.get(id).value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._wrong_type(id, "one number")
        return float(value)

    def numbers(self, id: str) -> tuple[float, ...]:
        """Return the value of a criterion that is a list of numbers, in its `unit`.

        Raises
        ------
        CriterionError
            Unknown id, or the value is not a list of numbers.
        """
        value = self.get(id).value
        if not isinstance(value, tuple) or isinstance(value[0], str):
            raise self._wrong_type(id, "a list of numbers")
        return value

    def text(self, id: str) -> str:
        """Return the value of a criterion that is one word or text.

        Raises
        ------
        CriterionError
            Unknown id, or the value is not text.
        """
        value = self.get(id).value
        if not isinstance(value, str):
            raise self._wrong_type(id, "text")
        return value

    def texts(self, id: str) -> tuple[str, ...]:
        """Return the value of a criterion that is a list of words.

        Raises
        ------
        CriterionError
            Unknown id, or the value is not a list of words.
        """
        value = self.get(id).value
        if not isinstance(value, tuple) or not isinstance(value[0], str):
            raise self._wrong_type(id, "a list of words")
        return value

    def flag(self, id: str) -> bool:
        """Return the value of a criterion that is true or false.

        Raises
        ------
        CriterionError
            Unknown id, or the value is neither true nor false.
        """
        value = self.get(id).value
        if not isinstance(value, bool):
            raise self._wrong_type(id, "true or false")
        return value

    def _unknown(self, id: str) -> CriterionError:
        close = difflib.get_close_matches(id, self._by_id, n=_CLOSEST, cutoff=0.5)
        return CriterionError(
            f"no criterion has the id {id!r}",
            where=_FILE,
            expected="one of " + ", ".join(close) if close else "an id of criteria.toml",
        )

    def _wrong_type(self, id: str, expected: str) -> CriterionError:
        return CriterionError(f"the value is {_describe(self.get(id).value)}", where=id, expected=expected)


def load_criteria(path: Path | None = None) -> Criteria:
    """Read and check a criteria file.

    Parameters
    ----------
    path : Path, optional
        Another file of the same form; by default the file of the package, read once.

    Raises
    ------
    DeclarationError
        The file cannot be read, or an entry is wrong: missing or unknown key, duplicate id, unknown kind or
        evidence, a value that is not finite or mixes types.
    """
    if path is None:
        return _packaged()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DeclarationError(
            f"the criteria file cannot be read: {error.strerror}", where=path.name, expected="a TOML file"
        ) from error
    return parse_criteria(content, path.name)


@cache
def _packaged() -> Criteria:
    return parse_criteria(resources.files("osteotrace.model").joinpath(_FILE).read_bytes(), _FILE)


def parse_criteria(content: bytes, name: str) -> Criteria:
    """Read criteria from the bytes of a file; `name` appears in messages.

    Raises
    ------
    DeclarationError
        As `load_criteria`.
    """
    table = _toml(content, name)
    unknown = sorted(set(table) - {"version", "criterion"})
    if unknown:
        raise DeclarationError(
            f"unknown key {unknown[0]!r}", where=name, expected="version and [[criterion]] tables only"
        )
    version = table.get("version")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise DeclarationError(
            f"version is {version!r}", where=name, expected='text such as "1.0.0" before the first table'
        )
    entries = table.get("criterion")
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise DeclarationError("no criteria", where=name, expected="[[criterion]] tables")
    items = tuple(
        _criterion(cast("dict[str, object]", entry), index, name) for index, entry in enumerate(entries)
    )
    _refuse_duplicates(items, name)
    return Criteria(version, items, hashlib.sha256(content).hexdigest())


def _toml(content: bytes, name: str) -> dict[str, object]:
    try:
        return tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DeclarationError(f"not TOML: {error}", where=name, expected="a TOML file in UTF-8") from error


def _criterion(entry: dict[str, object], index: int, name: str) -> Criterion:
    where = f"{name}: {entry.get('id', f'criterion {index + 1}')}"
    _check_keys(entry, where)
    texts = {key: _text(entry, key, where) for key in (*_REQUIRED, *_OPTIONAL) if key != "value"}
    if not _ID.fullmatch(texts["id"]):
        raise DeclarationError(
            f"id is {texts['id']!r}",
            where=where,
            expected="lower-case dotted words such as suv.weight_min_kg",
        )
    _check_choice("kind", texts["kind"], KINDS, where)
    if texts["evidence"]:
        _check_choice("evidence", texts["evidence"], EVIDENCE, where)
    return Criterion(
        id=texts["id"],
        value=_value(entry["value"], where),
        unit=texts["unit"],
        source=texts["source"],
        kind=cast("Kind", texts["kind"]),
        evidence=texts["evidence"],
        note=texts["note"],
    )


def _check_keys(entry: dict[str, object], where: str) -> None:
    missing = [key for key in _REQUIRED if key not in entry]
    if missing:
        raise DeclarationError(
            f"{missing[0]} is missing", where=where, expected="keys " + ", ".join(_REQUIRED)
        )
    unknown = sorted(set(entry) - {*_REQUIRED, *_OPTIONAL})
    if unknown:
        raise DeclarationError(
            f"unknown key {unknown[0]!r}", where=where, expected="keys " + ", ".join((*_REQUIRED, *_OPTIONAL))
        )


def _text(entry: dict[str, object], key: str, where: str) -> str:
    value = entry.get(key, "")
    if not isinstance(value, str) or (key in _REQUIRED and not value.strip()):
        raise DeclarationError(f"{key} is {value!r}", where=where, expected="text")
    return value


def _check_choice(key: str, value: str, choices: tuple[str, ...], where: str) -> None:
    if value not in choices:
        raise DeclarationError(f"{key} is {value!r}", where=where, expected="one of " + ", ".join(choices))


def _value(raw: object, where: str) -> Value:
    if isinstance(raw, list):
        return _list(raw, where)
    if isinstance(raw, (bool, str)) or _is_finite(raw):
        return cast("Value", raw)
    raise DeclarationError(
        f"value is {raw!r}",
        where=where,
        expected="a finite number, text, true, false or a list of numbers or words",
    )


def _list(raw: list[object], where: str) -> tuple[float, ...] | tuple[str, ...]:
    if raw and all(isinstance(item, str) for item in raw):
        return tuple(cast("list[str]", raw))
    if raw and all(_is_finite(item) for item in raw):
        return tuple(float(item) for item in cast("list[float]", raw))
    raise DeclarationError(
        f"value is {raw!r}", where=where, expected="a list of finite numbers only or of words only, not empty"
    )


def _is_finite(raw: object) -> bool:
    return isinstance(raw, (int, float)) and not isinstance(raw, bool) and abs(raw) <= sys.float_info.max


def _refuse_duplicates(items: tuple[Criterion, ...], name: str) -> None:
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise DeclarationError(
                "the id appears twice", where=f"{name}: {item.id}", expected="each id once"
            )
        seen.add(item.id)


def _describe(value: Value) -> str:
    if isinstance(value, tuple):
        return f"a list of {len(value)}"
    return f"{type(value).__name__} {value!r}"
