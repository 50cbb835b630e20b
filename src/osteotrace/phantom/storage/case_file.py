"""``case.toml`` of a phantom patient: what its images cannot tell."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

from osteotrace.model.case import PatientFacts, read_case
from osteotrace.model.patient import Event


def write_case(path: Path, patient: PatientFacts, events: Sequence[Event]) -> Path:
    """Write ``case.toml`` with a patient and events, as :func:`osteotrace.model.case.read_case` reads it.

    Parameters
    ----------
    path : Path
        The file; its folder is made when absent.
    patient : PatientFacts
        What is empty or None is left out.
    events : sequence of Event
        In this order. An event with a date and a day is written with its date.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DeclarationError
        An event that the reader would refuse; nothing is written.
    """
    facts = {"id": patient.patient_id, "sex": patient.sex, "age_years": patient.age_years}
    blocks = ["[patient]", *_lines(facts)] if any(v not in ("", None) for v in facts.values()) else []
    for event in events:
        blocks += ["", "[[event]]", *_lines(_of_event(event))]
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=path.parent) as folder:
        part = Path(folder) / path.name
        part.write_text("\n".join(blocks).strip() + "\n", encoding="utf-8")
        read_case(part)
        return part.replace(path)


def _of_event(event: Event) -> dict[str, object]:
    values: dict[str, object] = {"kind": event.kind}
    values |= {f.name: getattr(event, f.name) for f in dataclasses.fields(event) if f.name != "kind"}
    if event.date is not None:
        del values["day"]
    return values


def _lines(values: Mapping[str, object]) -> Iterator[str]:
    """``key = value`` for each value that says something; a reading keeps its empty list of lesions."""
    for key, value in values.items():
        if value not in ("", None, ()) or key == "lesions":
            yield f"{key} = {_toml(value)}"


def _toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case date():
            return value.isoformat()
        case tuple():
            return f"[{', '.join(_toml(v) for v in value)}]"
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case _:
            return str(value)
