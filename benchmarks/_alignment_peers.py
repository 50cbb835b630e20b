"""One registration by another program, in the environment of the peers.

    python _alignment_peers.py FOLDER TOOL

The folder holds ``fixed.nii.gz``, ``moving.nii.gz`` (cubic voxels, one frame, started alike for all tools)
and ``points.npy`` (LPS mm, fixed). ``TOOL.npz`` is written: the points in the moving image, and the seconds
without imports and reading.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np


def elastix(folder: Path, points: Any, *, deformable: bool) -> tuple[Any, float]:
    """itk-elastix: default parameter maps, mutual information; rigid, then B-spline."""
    import itk

    images = [itk.imread(str(folder / f"{name}.nii.gz"), itk.F) for name in ("fixed", "moving")]
    maps = itk.ParameterObject.New()
    for kind in ("rigid", "bspline") if deformable else ("rigid",):
        maps.AddParameterMap(maps.GetDefaultParameterMap(kind, 4, 16.0))
    start = time.perf_counter()
    _, found = itk.elastix_registration_method(*images, parameter_object=maps, log_to_console=False)
    seconds = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as out:
        listed = "\n".join(" ".join(f"{x:.6f}" for x in p) for p in points)
        (Path(out) / "points.txt").write_text(f"point\n{len(points)}\n{listed}\n")
        mapped = itk.TransformixFilter.New(images[1])
        mapped.SetFixedPointSetFileName(str(Path(out) / "points.txt"))
        mapped.SetTransformParameterObject(found)
        mapped.SetOutputDirectory(out)
        mapped.Update()
        text = (Path(out) / "outputpoints.txt").read_text()
    moved = re.findall(r"OutputPoint = \[([^\]]*)\]", text)
    return np.array([[float(x) for x in row.split()] for row in moved]), seconds


def greedy(folder: Path, points: Any, *, deformable: bool) -> tuple[Any, float]:
    """picsl-greedy: rigid by normalised mutual information, then a diffeomorphic warp."""
    import SimpleITK as sitk
    from picsl_greedy import Greedy3D

    tool = Greedy3D()
    images = {name: sitk.ReadImage(str(folder / f"{name}.nii.gz")) for name in ("fixed", "moving")}
    start = time.perf_counter()
    tool.execute("-i fixed moving -a -dof 6 -m NMI -n 60x40x20 -ia-identity -o rigid", **images, rigid=None)
    rigid = np.asarray(tool["rigid"])
    if deformable:
        tool.execute(
            "-i fixed moving -it rigid -m WNCC 2x2x2 -n 60x40x20 -s 2.0vox 0.7vox -o warp", warp=None
        )
    seconds = time.perf_counter() - start
    turn = np.diag([-1.0, -1.0, 1.0, 1.0])  # its matrices are in RAS
    matrix = turn @ rigid @ turn
    moved = np.asarray(points)
    if deformable:
        warp = sitk.DisplacementFieldTransform(sitk.Cast(tool["warp"], sitk.sitkVectorFloat64))
        moved = np.array([warp.TransformPoint([float(x) for x in p]) for p in moved])
    return moved @ matrix[:3, :3].T + matrix[:3, 3], seconds


def ants(folder: Path, points: Any, *, deformable: bool) -> tuple[Any, float]:
    """ANTs: symmetric normalisation by mutual information after a rigid stage."""
    import ants as tool
    import pandas as pd

    fixed, moving = (tool.image_read(str(folder / f"{name}.nii.gz")) for name in ("fixed", "moving"))
    kind = "SyNRA" if deformable else "Rigid"
    start = time.perf_counter()
    found = tool.registration(fixed, moving, kind, initial_transform="Identity", syn_metric="mattes")
    seconds = time.perf_counter() - start
    table = pd.DataFrame(points, columns=["x", "y", "z"])
    moved = tool.apply_transforms_to_points(3, table, found["fwdtransforms"])
    return moved[["x", "y", "z"]].to_numpy(), seconds


TOOLS = {
    "elastix rigid": (elastix, False),
    "elastix": (elastix, True),
    "greedy rigid": (greedy, False),
    "greedy": (greedy, True),
    "ants": (ants, True),
}


def main() -> None:
    """Run one tool and write what it says."""
    folder, name = Path(sys.argv[1]), sys.argv[2]
    run, deformable = TOOLS[name]
    moved, seconds = run(folder, np.load(folder / "points.npy"), deformable=deformable)
    np.savez(folder / f"{name}.npz", points=moved, seconds=seconds)


if __name__ == "__main__":
    main()
