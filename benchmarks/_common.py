"""What the benchmarks share: finding the series under a folder, the table, the JSON line.

A benchmark is called as ``python benchmarks/NAME.py --data DIR``. ``DIR`` is searched recursively;
series archives (``*.tar.xz``) are unpacked to a temporary folder that goes away at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pydicom
from pydicom.errors import InvalidDicomError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

NOTHING_FOUND = 3
ARCHIVE_SUFFIX = ".tar.xz"
LOOSE_SUFFIXES = frozenset({".dcm", ".json"})
_WIDTH = 180  # of a table that no terminal shows
_HEADER_TAGS = ("Modality", "PatientID", "Rows", "SeriesInstanceUID", "SOPClassUID")


@dataclass(frozen=True, slots=True)
class SeriesFiles:
    """The files of one DICOM series in one folder.

    Attributes
    ----------
    uid : str
        Series Instance UID.
    modality : str
        Modality (0008,0060).
    sop_class : str
        SOP Class UID (0008,0016).
    transfer_syntax : str
        Transfer Syntax UID (0002,0010) of the first file.
    has_pixels : bool
        Whether the first file declares Rows, as images and segmentations do.
    files : tuple of pathlib.Path
        In name order.
    """

    uid: str
    modality: str
    sop_class: str
    transfer_syntax: str
    has_pixels: bool
    files: tuple[Path, ...]


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack the regular files of one archive into ``folder``; links and names that lead outside are refused.

    Parameters
    ----------
    archive : pathlib.Path
        A tar file, compressed in any way that :mod:`tarfile` reads.
    folder : pathlib.Path
        Made if absent.

    Returns
    -------
    pathlib.Path
        ``folder``.

    Raises
    ------
    ValueError
        A member's name leads outside ``folder``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    root = folder.resolve()
    with tarfile.open(archive, "r|*") as packed:
        for member in packed:
            source = packed.extractfile(member) if member.isfile() else None
            if source is None:
                continue
            target = (root / member.name).resolve()
            if not target.is_relative_to(root):
                raise ValueError(f"{archive.name}: member {member.name!r} leads outside the folder")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read())
    return folder


def unpack_case(case: Path, folder: Path) -> Path:
    """Unpack each archive directly in ``case`` to a folder of its own; loose DICOM and JSON files go beside.

    Parameters
    ----------
    case : pathlib.Path
        Folder with ``*.tar.xz`` archives or loose files.
    folder : pathlib.Path
        Where to; made if absent.

    Returns
    -------
    pathlib.Path
        ``folder``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for entry in sorted(case.iterdir()):
        if entry.name.endswith(ARCHIVE_SUFFIX):
            unpack(entry, folder / entry.name.removesuffix(ARCHIVE_SUFFIX))
        elif entry.suffix in LOOSE_SUFFIXES and entry.is_file():
            (folder / entry.name).symlink_to(entry.resolve())
    return folder


@contextlib.contextmanager
def unpacked(data: Path) -> Iterator[Path]:
    """Mirror ``data`` with its archives unpacked, for as long as the context lasts.

    Yields
    ------
    pathlib.Path
        Root of the mirror; plain files are links to the originals.
    """
    with tempfile.TemporaryDirectory(prefix="osteotrace-bench-") as name:
        root = Path(name)
        for folder, _, files in os.walk(data):
            here = Path(folder)
            mirror = root / here.relative_to(data)
            for file in sorted(files):
                if file.endswith(ARCHIVE_SUFFIX):
                    unpack(here / file, mirror / file.removesuffix(ARCHIVE_SUFFIX))
                else:
                    mirror.mkdir(parents=True, exist_ok=True)
                    (mirror / file).symlink_to((here / file).resolve())
        yield root


def series_in(folder: Path) -> tuple[SeriesFiles, ...]:
    """DICOM series whose files lie directly in ``folder``, by Series Instance UID."""
    headers: dict[str, list[tuple[Path, pydicom.Dataset]]] = {}
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        header = _header(path)
        if header is not None and "SeriesInstanceUID" in header:
            headers.setdefault(str(header.SeriesInstanceUID), []).append((path, header))
    return tuple(_series(uid, members) for uid, members in sorted(headers.items()))


def _header(path: Path) -> pydicom.FileDataset | None:
    try:
        return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_HEADER_TAGS))
    except (InvalidDicomError, OSError):
        return None


def _series(uid: str, members: Sequence[tuple[Path, Any]]) -> SeriesFiles:
    first = members[0][1]
    return SeriesFiles(
        uid=uid,
        modality=str(first.get("Modality", "")),
        sop_class=str(first.get("SOPClassUID", "")),
        transfer_syntax=str(first.file_meta.get("TransferSyntaxUID", "")),
        has_pixels="Rows" in first,
        files=tuple(path for path, _ in members),
    )


def dicom_folders(root: Path) -> dict[Path, tuple[SeriesFiles, ...]]:
    """Every folder under ``root`` (itself included) with DICOM files directly in it, and their series."""
    folders = [root, *sorted(p for p in root.rglob("*") if p.is_dir())]
    found = {folder: series_in(folder) for folder in folders}
    return {folder: series for folder, series in found.items() if series}


def patients(root: Path) -> tuple[Path, ...]:
    """Patients under ``root``: the deepest folders with at least two series.

    A folder of files that are not images (several RTSTRUCT, say) counts as one series, so that it is not
    taken for a patient beside the images it belongs to.
    """
    counts: dict[Path, int] = {}
    for folder, series in dicom_folders(root).items():
        images = sum(1 for s in series if s.has_pixels and s.modality != "SEG")
        for above in [folder, *folder.parents][: len(folder.relative_to(root).parts) + 1]:
            counts[above] = counts.get(above, 0) + max(1, images)
    enough = {folder for folder, count in counts.items() if count > 1}
    return tuple(sorted(f for f in enough if not any(f in other.parents for other in enough)))


def arguments(description: str) -> Path:
    """Folder given as ``--data DIR``; one that does not exist ends with exit code 3."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True, help="folder of real scans, searched recursively")
    data: Path = parser.parse_args().data
    if not data.is_dir():
        nothing_found(data)
    return data


def seeds(text: str) -> range:
    """Range of ``A-B`` (both included) or of a single ``A``.

    Raises
    ------
    argparse.ArgumentTypeError
        When the text is neither.
    """
    first, _, last = text.partition("-")
    if not first.isdigit() or not (last or first).isdigit() or int(last or first) < int(first):
        raise argparse.ArgumentTypeError(f"{text!r} is not a range of seeds such as 0-4")
    return range(int(first), int(last or first) + 1)


def nothing_found(data: Path) -> NoReturn:
    """Say that nothing usable lies under ``data`` and end with exit code 3."""
    sys.stderr.write(f"nothing to measure under {data.name!r}\n")
    raise SystemExit(NOTHING_FOUND)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table; floats get four significant digits."""
    grid = Table(title=title, title_justify="left")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(_cell(value) for value in row))
    Console(width=None if sys.stdout.isatty() else _WIDTH).print(grid)


def finish(**result: float | str | None) -> None:
    """Write the result as one JSON object: the last line of a benchmark."""
    sys.stdout.write(json.dumps(result, allow_nan=False) + "\n")


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else escape(str(value))
