"""``workup.json``: the whole result as text, and back.

The records carry no serialiser of their own; pydantic reads their types here. Voxels stay outside (see
:mod:`osteotrace.model.fields`).
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from osteotrace.errors import DeclarationError
from osteotrace.model.fields import ArrayRef
from osteotrace.model.workup import SCHEMA_VERSION, Workup

_FILE = "workup.json"
_REWRITE = "run osteotrace again on the images"


def workup_to_json(workup: Workup, refs: Mapping[int, ArrayRef]) -> str:
    """Write a workup as JSON; equal workups give equal text.

    Parameters
    ----------
    workup : Workup
        What was found.
    refs : mapping of int to ArrayRef
        By ``id(mask)``: the file of every mask of the workup's lesions and findings, and of every label image
        of its skeletons.

    Returns
    -------
    str
        Keys in the order of the records, indent 1, ends with a line break.

    Raises
    ------
    DeclarationError
        A number is not finite (the path to it is named), or a mask has no file.
    """
    for path in _not_finite(workup, ""):
        raise DeclarationError(
            "a number is not finite", where=path, expected="a finite number, or Missing with a reason"
        )
    arrays: list[tuple[str, object]] = [(lesion.id, lesion.mask) for lesion in workup.lesions]
    arrays += [(finding.id, finding.mask) for finding in workup.findings]
    arrays += [(x.series_id, x.labels) for x in workup.skeletons if x.labels is not None]
    for owner, array in arrays:
        if id(array) not in refs:
            raise DeclarationError("a mask has no file", where=owner, expected="every mask saved before")
    data = _adapter().dump_python(workup, mode="json", context={"refs": refs})
    return json.dumps(data, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def workup_from_json(text: str, root: Path) -> Workup:
    """Read a workup back, with its masks.

    Parameters
    ----------
    text : str
        Content of ``workup.json``.
    root : Path
        The folder that it lies in; the mask files are found relative to it.

    Raises
    ------
    DeclarationError
        Not JSON, another schema version, a field that is missing, unknown or of the wrong type, or a mask
        file that is absent or was changed.
    """
    _check_version(_parsed(text))
    try:
        return _adapter().validate_json(text, strict=True, extra="forbid", context={"root": root})
    except ValidationError as error:
        raise _declaration_error(error) from error


def workup_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of ``workup.json``."""
    schema = _adapter().json_schema(mode="serialization")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    for record in (schema, *schema["$defs"].values()):
        if record.get("type") == "object":
            record["additionalProperties"] = False
    return schema


@cache
def _adapter() -> TypeAdapter[Workup]:
    return TypeAdapter(Workup)


def _parsed(text: str) -> object:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise DeclarationError(
            f"not JSON: {error.msg} (line {error.lineno}, column {error.colno})",
            where=_FILE,
            expected="a workup.json that osteotrace wrote",
            remedy=_REWRITE,
        ) from error
    except RecursionError as error:
        raise DeclarationError("not a workup: nested too deeply", where=_FILE, remedy=_REWRITE) from error


def _refuse_constant(word: str) -> float:
    raise DeclarationError(f"the number {word}", where=_FILE, expected="finite numbers", remedy=_REWRITE)


def _check_version(data: object) -> None:
    found = data.get("schema_version") if isinstance(data, dict) else None
    if found != SCHEMA_VERSION:
        what = "no schema version" if found is None else f"schema version {str(found)!r}"
        raise DeclarationError(
            what, where=f"{_FILE}: schema_version", expected=repr(SCHEMA_VERSION), remedy=_REWRITE
        )


def _declaration_error(error: ValidationError) -> DeclarationError:
    """Name the first of pydantic's complaints, and how many there are."""
    details = error.errors(include_url=False, include_input=False)
    first = details[0]
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return DeclarationError(
        f"{first['msg']}{more}",
        where=f"{_FILE}: {_place(first['loc'])}",
        expected="a workup.json that osteotrace wrote",
        remedy=_REWRITE,
    )


def _place(location: tuple[int | str, ...]) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return text.removeprefix(".")


def _not_finite(value: object, path: str) -> Iterator[str]:
    """Paths to every float in the records that is NaN or infinite."""
    if isinstance(value, float):
        if not math.isfinite(value):
            yield path
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _not_finite(item, f"{path}[{index}]")
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _not_finite(getattr(value, field.name), f"{path}.{field.name}".removeprefix("."))
