"""Packed label maps of the CT network, one compressed file a case."""

from __future__ import annotations

import lzma
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Keep arrays, compressed."""
    raw = []
    head = []
    for name, values in arrays.items():
        values = np.ascontiguousarray(values)
        head.append(f"{name}|{values.dtype.str}|{','.join(map(str, values.shape))}")
        raw.append(values.tobytes())
    path.write_bytes(lzma.compress("\n".join(head).encode().ljust(1024) + b"".join(raw), preset=3))


def read(path: Path) -> dict[str, np.ndarray]:
    """The reverse of `write`."""
    raw = lzma.decompress(path.read_bytes())
    start, out = 1024, {}
    for line in raw[:1024].decode().strip().split("\n"):
        name, rest = line.split("|", 1)
        dtype, shape = rest.rsplit("|", 1)
        sizes = tuple(int(n) for n in shape.split(","))
        count = int(np.prod(sizes))
        out[name] = np.frombuffer(raw, np.dtype(dtype), count, start).reshape(sizes).copy()
        start += count * np.dtype(dtype).itemsize
    return out


def read_all(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """Every case of a pack."""
    paths = sorted(folder.glob("*.case"))
    with ThreadPoolExecutor(16) as pool:
        return dict(zip((p.stem for p in paths), pool.map(read, paths), strict=True))
