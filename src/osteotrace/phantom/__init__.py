"""Synthetic patients, written as DICOM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from osteotrace.phantom.anatomy import build_body
from osteotrace.phantom.dicom import uid, write_series, write_structure_set
from osteotrace.phantom.reader import outlines
from osteotrace.phantom.scanners import sample, scans

Progress = Callable[[str, int, int], None]

__all__ = ["write_patient"]


def write_patient(folder: Path, *, seed: int = 1, progress: Progress | None = None) -> None:
    """Write CT, PET, T1 and fat-suppressed T2 of one synthetic trunk, with a reader's contours.

    CT and PET share a frame of reference; the MR, four days earlier, has another one in which the
    patient lies turned. The same seed gives the same files.

    Parameters
    ----------
    folder : Path
        Made when absent; one folder per series inside.
    """
    frames = (str(uid(seed, "tomograph")), str(uid(seed, "magnet")))
    body = build_body()
    todo = scans(frames, str(uid(seed, "body")))
    for done, scan in enumerate(todo):
        write_series(folder / scan.channel.lower(), scan, sample(scan, body, seed * 100 + done), seed)
        path = folder / "rtstruct" / f"{scan.channel.lower()}.dcm"
        write_structure_set(path, scan, outlines(scan, seed * 100 + 50 + done), seed)
        if progress is not None:
            progress("making the phantom", done + 1, len(todo))
