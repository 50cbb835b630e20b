"""The same pair of images for the programs that `alignment.py` compares with."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from osteotrace.model.imaging import Volume
from osteotrace.space import FloatArray, Grid, RigidTransform, box_around, resample, write_nifti

_HERE = Path(__file__).resolve().parent
_PYTHON = Path(os.environ.get("PEERS", _HERE.parent / ".venv-peers")) / "bin" / "python"
_MARGIN_MM = 35.0
_SPACING_MM, _COARSE_MM, _MOST_VOXELS = 2.0, 3.0, 3_000_000
_TIMEOUT_S = 1200
RIGID = ("elastix rigid", "greedy rigid")
DEFORMABLE = ("elastix", "greedy", "ants")


def installed() -> bool:
    """Whether the environment of the peers is there (``make peers``)."""
    return _PYTHON.is_file()


def run_peers(
    fixed: Volume, moving: Volume, start: RigidTransform, points: FloatArray, folder: Path
) -> Mapping[str, tuple[FloatArray, float]]:
    """Points of the fixed image in the moving one as each tool says, and its seconds.

    All tools get the same crop around the points, on cubic voxels, after the rigid start of osteotrace: they
    are spared the search. A tool that fails or takes too long is left out.

    Parameters
    ----------
    fixed, moving : Volume
    start : RigidTransform
        From the frame of the fixed to that of the moving image.
    points : ndarray, shape (n, 3)
        LPS mm, fixed frame.
    folder : Path
        For the files of the tools; made when absent.
    """
    folder.mkdir(parents=True, exist_ok=True)
    grid = _crop(fixed.grid, points)
    low = float(np.min(fixed.values)), float(np.min(moving.values))
    here = resample(fixed.values, fixed.grid, grid, fill=low[0])
    there = resample(moving.values, moving.grid, grid, onto_to_grid=start, fill=low[1])
    write_nifti(folder / "fixed.nii.gz", here, grid)
    write_nifti(folder / "moving.nii.gz", there, grid)
    np.save(folder / "points.npy", points)
    out = {}
    for tool in (*RIGID, *DEFORMABLE):
        command = [str(_PYTHON), str(_HERE / "_alignment_peers.py"), str(folder), tool]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=_TIMEOUT_S)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            continue
        with np.load(folder / f"{tool}.npz") as said:
            out[tool] = (start.apply(said["points"]), float(said["seconds"]))
    return out


def _crop(grid: Grid, points: FloatArray) -> Grid:
    box = box_around(grid, points, _MARGIN_MM)
    assert box is not None
    fine = box.isotropic(_SPACING_MM)
    return fine if np.prod(fine.shape) <= _MOST_VOXELS else box.isotropic(_COARSE_MM)
