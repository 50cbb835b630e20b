"""Tables of a TOML file that a person wrote, read key by key, with errors that say where and what to do."""

from __future__ import annotations

import difflib
import math
import re
import sys
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from osteotrace.errors import DeclarationError

Word = TypeVar("Word", bound=StrEnum)

_SHOWN = 40  # characters of a wrong value that a message repeats
_TOML_PLACE = re.compile(r"(.*?)\s*\(at (?:line (\d+), column (\d+)|end of document)\)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a TOML file, and where it stands.

    Attributes
    ----------
    values : mapping
        As :mod:`tomllib` delivers it.
    file : str
        Name of the file, without its folder.
    place : str
        ``event 2``; empty for the top of the file.
    """

    values: Mapping[str, object]
    file: str
    place: str = ""

    def where(self, key: str = "") -> str:
        """Words for the place of this table, or of one key in it."""
        inner = ", ".join(part for part in (self.place, f"key {key}" if key else "") if part)
        return f"{self.file}: {inner}" if inner else self.file

    def error(self, found: str, *, key: str = "", expected: str = "", remedy: str = "") -> DeclarationError:
        """A :class:`DeclarationError` about this table or one of its keys."""
        return DeclarationError(found, where=self.where(key), expected=expected, remedy=remedy)

    def check_keys(self, allowed: Collection[str], required: Iterable[str] = ()) -> None:
        """Raise DeclarationError for a key that is not allowed, or required and absent."""
        for key in self.values:
            if key not in allowed:
                raise self.error(
                    f"unknown key {_shown(key)}",
                    expected=f"one of {', '.join(allowed)}",
                    remedy=_nearest(key, allowed),
                )
        for key in required:
            self.require(key)

    def require(self, key: str, expected: str = "") -> None:
        """Raise DeclarationError when a key is absent."""
        if key not in self.values:
            raise self.error(f"the key {key} is missing", expected=expected, remedy=f"add {key}")

    def check_not_both(self, first: str, second: str) -> None:
        """Raise DeclarationError when both keys are given."""
        if first in self.values and second in self.values:
            raise self.error(
                f"both {first} and {second} are given",
                expected="one of them",
                remedy=f"delete {first} or {second}",
            )

    def text(self, key: str) -> str:
        """Text of a key without surrounding blanks; empty when the key is absent."""
        value = self.values.get(key, "")
        if not isinstance(value, str):
            raise self._wrong(key, "text in quotes", f'write {key} = "..."')
        if key in self.values and not value.strip():
            raise self.error("the text is empty", key=key, remedy=f"fill it in or delete {key}")
        return value.strip()

    def texts(self, key: str) -> tuple[str, ...]:
        """Texts of a list; empty when the key is absent."""
        values = self.values.get(key, [])
        if not isinstance(values, list) or not all(isinstance(v, str) and v.strip() for v in values):
            raise self._wrong(key, "a list of texts", f'write {key} = ["...", "..."]')
        return tuple(v.strip() for v in values)

    def number(self, key: str, *, above: float = -math.inf, at_most: float = math.inf) -> float | None:
        """Finite number of a key, ``above < number <= at_most``; None when absent."""
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(key, "a number", "write it without quotes and without its unit")
        if not (abs(value) <= sys.float_info.max and above < value <= at_most):
            raise self._wrong(key, f"a number{_range_words(above, at_most)}")
        return float(value)

    def count(self, key: str, *, at_least: int, at_most: int) -> int | None:
        """Whole number of a key within limits; None when absent."""
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not at_least <= value <= at_most:
            raise self._wrong(key, f"a whole number from {at_least} to {at_most}")
        return value

    def flag(self, key: str) -> bool | None:
        """Truth of a key; None when absent."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, bool):
            raise self._wrong(key, "true or false", "write it without quotes")
        return value

    def day_of(self, key: str) -> date | None:
        """Calendar date of a key; None when absent."""
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, datetime) or not isinstance(value, date):
            raise self._wrong(
                key, "a date such as 2024-03-01", "write year-month-day without quotes and without a time"
            )
        return value

    def moment(self, key: str) -> datetime | None:
        """Local date and time of a key; None when absent."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, datetime) or value.tzinfo is not None:
            raise self._wrong(
                key,
                "a local date and time such as 2024-03-01T14:05:00",
                "write it without quotes and without a time zone",
            )
        return value

    def one_of(self, key: str, words: Collection[str]) -> str:
        """A word of a fixed list; empty when the key is absent."""
        word = self.text(key)
        if word and word not in words:
            raise self.error(
                f"{_shown(word)} is not known",
                key=key,
                expected=f"one of {', '.join(words)}",
                remedy=_nearest(word, words),
            )
        return word

    def word(self, key: str, kind: type[Word]) -> Word:
        """A word of an enumeration; the key is required."""
        self.require(key, f"one of {', '.join(kind)}")
        return kind(self.one_of(key, list(kind)))

    def table(self, key: str) -> Table | None:
        """Table of a key; None when absent."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self._wrong(key, "a table", f"start it with [{key}]")
        return Table(value, self.file, f"{self.place}, {key}" if self.place else key)

    def tables(self, key: str) -> tuple[Table, ...]:
        """Tables of an array of tables, counted from 1; empty when absent."""
        values = self.values.get(key, [])
        if not isinstance(values, list) or not all(isinstance(v, dict) for v in values):
            raise self._wrong(key, f"tables that start with [[{key}]]", f"write [[{key}]] with two brackets")
        return tuple(Table(value, self.file, f"{key} {n}") for n, value in enumerate(values, start=1))

    def _wrong(self, key: str, expected: str, remedy: str = "") -> DeclarationError:
        value = self.values[key]
        return self.error(f"{key} is {_type_words(value)}", key=key, expected=expected, remedy=remedy)


def read_toml(path: Path) -> Table:
    """Read a TOML file (UTF-8, a byte order mark is allowed).

    Raises
    ------
    DeclarationError
        When the file cannot be opened, is not UTF-8 or not TOML; with the line where that shows.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = (
            "does not exist"
            if isinstance(error, FileNotFoundError)
            else f"cannot be read ({type(error).__name__})"
        )
        raise DeclarationError(f"the file {reason}", where=path.name, remedy="check the path") from error
    try:
        return Table(tomllib.loads(_decoded(data, path.name)), path.name)
    except RecursionError as error:
        raise DeclarationError("the lists or tables are nested too deep", where=path.name) from error
    except ValueError as error:
        raise _syntax_error(error, path.name) from error


def existing_files(table: Table, key: str, folder: Path) -> tuple[Path, ...]:
    """Files that a path or a glob pattern names, relative to ``folder``; in order of name.

    Raises
    ------
    DeclarationError
        When there is none.
    """
    pattern = table.text(key)
    try:
        literal = folder / pattern
        files = [literal] if literal.is_file() else sorted(p for p in folder.glob(pattern) if p.is_file())
    except (OSError, ValueError, NotImplementedError):  # not a pattern that can match
        files = []
    if not files:
        raise table.error(
            f"no file {_shown(pattern)}",
            key=key,
            expected=f"a path or a pattern relative to the folder of {table.file}",
            remedy="correct the name or put the file there",
        )
    return tuple(files)


def nifti_files(table: Table, key: str, folder: Path) -> tuple[Path, ...]:
    """As :func:`existing_files`; each must be called ``.nii`` or ``.nii.gz``."""
    files = existing_files(table, key, folder)
    for file in files:
        if not file.name.lower().endswith((".nii", ".nii.gz")):
            raise table.error(
                f"{_shown(file.name)} is not called a NIfTI file",
                key=key,
                expected="a name that ends in .nii or .nii.gz",
            )
    return files


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DeclarationError(
            "the file is not UTF-8 text",
            where=f"{name}: line {line}",
            expected="UTF-8",
            remedy="save it as UTF-8",
        ) from error


def _syntax_error(error: ValueError, name: str) -> DeclarationError:
    match = _TOML_PLACE.match(str(error))
    words, line, column = match.groups() if match else (str(error), None, None)
    place = f"line {line}, column {column}" if line else "end of the file" if match else ""
    return DeclarationError(
        f"not valid TOML ({words[:1].lower()}{words[1:]})",
        where=f"{name}: {place}" if place else name,
        expected="key = value, text in quotes, dates as 2024-03-01 without quotes",
    )


def _type_words(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f"the text {_shown(value)}"
        case int() | float():
            return f"the number {str(value)[:_SHOWN] if isinstance(value, float) else _shown_int(value)}"
        case datetime():
            return "a date with a time"
        case date():
            return f"the date {value}"
        case time():
            return "a time of day"
        case list():
            return "a list"
        case _:
            return "a table"


def _shown_int(value: int) -> str:
    return str(value) if abs(value) < 10**_SHOWN else "too large"


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "...")


def _range_words(above: float, at_most: float) -> str:
    low = "" if above == -math.inf else f" above {above:g}"
    high = "" if at_most == math.inf else f" up to {at_most:g}"
    return low + (" and" if low and high else "") + high


def _nearest(word: str, words: Collection[str]) -> str:
    by_lower = {w.lower(): w for w in words}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return f"did you mean {by_lower[near[0]]}?" if near else ""
