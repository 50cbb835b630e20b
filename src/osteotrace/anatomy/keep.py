"""Skeletons kept between runs: one file each, without pickle, whole or not at all."""

from __future__ import annotations

import hashlib
import io
import zipfile
from contextlib import suppress
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from osteotrace.errors import OutputError, SpaceError
from osteotrace.model.anatomy import Anatomy
from osteotrace.model.fields import GridField
from osteotrace.model.imaging import MrFacts, Volume
from osteotrace.model.problem import Problem
from osteotrace.model.skeleton import Skeleton

_SKELETON: TypeAdapter[Skeleton] = TypeAdapter(Skeleton)
_GRID: TypeAdapter[GridField] = TypeAdapter(GridField)
_PROBLEMS: TypeAdapter[tuple[Problem, ...]] = TypeAdapter(tuple[Problem, ...])


def key_of(volume: Volume, *made_by: str) -> str:
    """Key of the skeleton of a volume: its values, its place, what it is, and who reads it.

    Parameters
    ----------
    made_by : str
        Whatever else changes the answer: version, criteria, digest of the networks.
    """
    grid, facts = volume.grid, volume.series.facts
    digest = hashlib.sha256()
    for text in (
        volume.series.id, volume.series.modality, volume.series.quantity, repr(grid.shape),
        grid.frame_of_reference_uid, volume.values.dtype.str, *made_by,
        repr(facts) if isinstance(facts, MrFacts) else "",
    ):  # fmt: skip
        digest.update(text.encode() + b"\0")
    digest.update(grid.affine.tobytes())
    for part in as_stored(volume.values):
        digest.update(part)
    return digest.hexdigest()[:24]


def as_stored(values: NDArray[Any]) -> tuple[bytes, memoryview]:
    """Order of an array in memory, and its bytes in this order: to bring a CT into another one takes long."""
    if values.flags.f_contiguous:
        return b"F", values.T.data
    return b"C", np.ascontiguousarray(values).data


@cache
def networks_digest() -> str:
    """Digest of all embedded networks."""
    folder = resources.files("osteotrace.anatomy") / "weights"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".onnx")), key=lambda f: f.name)
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


def save(anatomy: Anatomy, file: Path) -> None:
    """Write a skeleton under a temporary name and rename it.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    facts = _SKELETON.dump_json(_without_labels(anatomy))
    temporary = file.with_suffix(".part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            np.savez_compressed(
                stream,
                facts=_bytes(facts),
                grid=_bytes(_GRID.dump_json(anatomy.grid)),
                problems=_bytes(_PROBLEMS.dump_json(anatomy.problems)),
                labels=anatomy.labels,
            )
        temporary.replace(file)
    except OSError as error:
        raise OutputError(
            f"the skeleton cannot be kept ({error.strerror or type(error).__name__})",
            where=file.name,
            remedy="choose another -o, or make room",
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def load(file: Path) -> Anatomy | None:
    """Read a skeleton back; None when there is none, or when the file is damaged."""
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as stored:
            facts = _SKELETON.validate_json(stored["facts"].tobytes())
            return Anatomy(
                series_id=facts.series_id,
                labels=stored["labels"],
                grid=_GRID.validate_json(stored["grid"].tobytes()),
                bones=facts.bones,
                structures=facts.structures,
                searched=frozenset(facts.searched),
                made_by=facts.made_by,
                problems=_PROBLEMS.validate_json(stored["problems"].tobytes()),
            )
    except (OSError, ValueError, KeyError, EOFError, ValidationError, SpaceError, zipfile.BadZipFile):
        return None


def _without_labels(anatomy: Anatomy) -> Skeleton:
    return Skeleton(
        anatomy.series_id, anatomy.bones, anatomy.structures, tuple(sorted(anatomy.searched)), anatomy.made_by
    )


def _bytes(text: bytes) -> np.ndarray:
    return np.frombuffer(text, dtype=np.uint8)
