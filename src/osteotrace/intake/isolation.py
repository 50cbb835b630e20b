"""Decoders that may abort the process are run in another one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteotrace.errors import PixelError

_WORKER = Path(__file__).with_name("decode_worker.py")


@dataclass(frozen=True, slots=True)
class DecodeJob:
    """Frames of one file to decode.

    Attributes
    ----------
    offset : int
        Byte of the file at which the pixel data start.
    numbers : tuple of int
        Frames, from 0.
    options : dict
        Decoding options of pydicom.
    """

    path: Path
    offset: int
    numbers: tuple[int, ...]
    transfer_syntax_uid: str
    options: dict[str, Any]


def decode_isolated(jobs: Sequence[DecodeJob], targets: Sequence[NDArray[Any]]) -> None:
    """Decode frames in another process, each into its target of shape (rows, columns), contiguous.

    GDCM ends the whole process on some damaged JPEG frames, and its library writes to the standard error.

    Raises
    ------
    PixelError
        When the other process ends before all frames are there; names the file it stopped at.
    """
    with subprocess.Popen(
        [sys.executable, "-P", "-W", "ignore", os.fspath(_WORKER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        try:
            worker.stdin.write(_as_json(jobs, targets[0].dtype))
            worker.stdin.close()
        except BrokenPipeError:  # it ended before it read: seen below
            pass
        paths = [job.path for job in jobs for _ in job.numbers]
        for path, target in zip(paths, targets, strict=True):
            data = worker.stdout.read(target.nbytes)
            if len(data) != target.nbytes:
                worker.kill()
                raise PixelError(
                    "the pixels cannot be decoded",
                    where=path.name,
                    expected="undamaged frames",
                    remedy="export it again",
                )
            target[...] = np.frombuffer(data, dtype=target.dtype).reshape(target.shape)


def _as_json(jobs: Sequence[DecodeJob], dtype: np.dtype[Any]) -> bytes:
    listed = [
        {
            "path": os.fspath(job.path.absolute()),
            "offset": job.offset,
            "numbers": job.numbers,
            "dtype": dtype.str,
            "transfer_syntax_uid": job.transfer_syntax_uid,
            "options": job.options,
        }
        for job in jobs
    ]
    return json.dumps(listed).encode("ascii")
