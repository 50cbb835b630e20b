"""Decodes compressed frames in a process of its own, because the decoder may abort on damaged ones.

Run as a script by :mod:`osteotrace.intake.isolation`. It reads jobs as JSON from standard input and writes
the frames one after the other to standard output, as arrays of ``dtype``.
"""

from __future__ import annotations

import json
import sys
from typing import Any, BinaryIO

import numpy as np
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID


def decode(jobs: list[dict[str, Any]], out: BinaryIO) -> None:
    """Write the decoded frames of every job.

    Each job names a file, the offset of its pixel data, the numbers of the frames, the dtype wanted, the
    transfer syntax and the options of the decoder.
    """
    for job in jobs:
        with open(job["path"], "rb") as stream:  # noqa: PTH123  (the path may hold undecodable bytes)
            stream.seek(job["offset"])
            data = stream.read()
        syntax = UID(job["transfer_syntax_uid"])
        options = job["options"] | {"transfer_syntax_uid": syntax}
        for frame, _ in get_decoder(syntax).iter_array(data, indices=job["numbers"], raw=True, **options):
            out.write(np.ascontiguousarray(frame, dtype=job["dtype"]).tobytes())


if __name__ == "__main__":
    decode(json.load(sys.stdin.buffer), sys.stdout.buffer)
