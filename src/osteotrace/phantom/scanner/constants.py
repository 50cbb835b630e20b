"""The constants of the scanners: ``scanner.toml`` beside this module, with unit and source for each."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any

from osteotrace.errors import CriterionError

_FILE = "scanner.toml"


@cache
def _table() -> dict[str, Any]:
    text = resources.files(__package__).joinpath(_FILE).read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def _values() -> dict[str, Any]:
    return {entry["id"]: entry["value"] for entry in _table()["constant"]}


def number(id: str) -> float:
    """A constant that is one number, in its unit.

    Raises
    ------
    CriterionError
        When there is none of this id.
    """
    return float(_get(id))


def numbers(id: str) -> tuple[float, ...]:
    """A constant that is a list of numbers, in its unit.

    Raises
    ------
    CriterionError
        When there is none of this id.
    """
    return tuple(float(value) for value in _get(id))


def of_part(table: str, part: str, otherwise: float) -> float:
    """Value of a table of parts: that of the longest start of the part's name."""
    values: dict[str, float] = next(v for v in _table()[table].values() if isinstance(v, dict))
    starts = [start for start in values if part.startswith(start)]
    return float(values[max(starts, key=len)]) if starts else otherwise


def _get(id: str) -> Any:
    try:
        return _values()[id]
    except KeyError:
        raise CriterionError(f"no constant has the id {id!r}", where=_FILE) from None
