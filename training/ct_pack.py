"""Pack label maps for the CT network: ``ct_pack.py DATA PHANTOMS OUT``.

DATA is the folder ``nifti`` of the real data; of it only ``ct_totalsegmentator_subjects`` is read.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import edt
import numpy as np
from scipy import ndimage

import prepare
from ct_cases import write
from ct_codes import BONES, VERTEBRAE
from ct_phantoms import STEP_MM, unpacked

REAL = ("s0327", "s0328")


def measured(tissue: np.ndarray, spacing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of the depth in a body (of 200) and depth below the surface of a bone (0.1 mm); uint8."""
    bodies = np.zeros(256, np.uint8)
    bones = np.zeros(256, np.uint8)
    bones[list(BONES)] = BONES
    for rear, body in VERTEBRAE:
        bodies[body], bones[body] = body, rear
    size = tuple(float(s) for s in spacing)
    own = bodies[tissue]
    deep = edt.edt(own, anisotropy=size)
    most = ndimage.maximum(deep, own, np.arange(256))
    most = np.where(np.isfinite(most) & (most > 0), most, 1.0).astype(np.float32)
    share = np.where(own > 0, np.round(deep / most[own] * 200), 0).astype(np.uint8)
    depth = edt.edt(bones[tissue], anisotropy=size)
    return share, np.clip(np.round(depth * 10), 0, 255).astype(np.uint8)


def main() -> None:
    """Write one file a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("phantoms", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for name in REAL:
        if not (given.out / f"{name}.case").exists():
            case = prepare.skeleton_case(given.data / "ct_totalsegmentator_subjects", name)
            kept = {key: case[key] for key in ("tissue", "spacing", "bone_hu") if key in case}
            kept["share"], kept["depth"] = measured(kept["tissue"], kept["spacing"])
            write(given.out / f"{name}.case", kept)
    for path in sorted(given.phantoms.glob("phantom_*.xz")):
        out = given.out / f"{path.stem}.case"
        if out.exists():
            continue
        tissue, spacing = unpacked(path.read_bytes()), np.full(3, STEP_MM)
        share, depth = measured(tissue, spacing)
        write(out, {"tissue": tissue, "spacing": spacing, "share": share, "depth": depth})


if __name__ == "__main__":
    main()
