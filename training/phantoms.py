"""Label maps of procedural skeletons: ``phantoms.py OUT --seeds 1 2 3``. Needs osteotrace's phantom room.

Only the bones, discs and the canal of the phantom are taken; soft tissue is filled in by ``prepare.py``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from codes import CANAL_TISSUE, DISC_TISSUE
from osteotrace.phantom.body import BodyOptions, build, build_body, label_at

STEP_MM = 2.0
WIDTH_MM, DEPTH_MM, BELOW_MM, ABOVE_MM = 460.0, 340.0, 260.0, 90.0
BRAIN = 90


def tissue_of(name: str, label: int) -> int:
    """Tissue of a part by its name and TotalSegmentator number."""
    if label:
        return label
    if name.startswith("intervertebral"):
        return DISC_TISSUE
    if name.startswith(("spinal", "cauda")):
        return CANAL_TISSUE
    return BRAIN if name.startswith("cranial") else 0


def label_map(seed: int) -> np.ndarray:
    """Tissues of a random person's skeleton; uint8, axes inferior, posterior, left."""
    rng = np.random.default_rng(seed)
    options = BodyOptions(
        sex="MF"[seed % 2],
        age_years=int(rng.integers(30, 85)),
        cobb_deg=float(rng.choice([0, 0, 15, 30])),
        extra_kyphosis_deg=float(rng.uniform(-10, 25)),
    )
    body = build_body(options, seed)
    tissue = np.array([*(tissue_of(p.name, p.label) for p in body.parts), 0], np.uint8)
    centres = np.array([bone.centroid for bone in body.bones])
    left = np.arange(-WIDTH_MM / 2, WIDTH_MM / 2, STEP_MM)
    back = centres[:, 1].mean() - DEPTH_MM / 2 + np.arange(0, DEPTH_MM, STEP_MM)
    rows = []
    for height in np.arange(centres[:, 2].max() + ABOVE_MM, -BELOW_MM, -STEP_MM):
        points = np.stack(np.meshgrid(left, back, height, indexing="ij"), axis=-1)[:, :, 0]
        rows.append(tissue[label_at(body, points.reshape(-1, 3))].reshape(len(left), len(back)).T)
    return np.stack(rows)


def main() -> None:
    """Write one file a seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--skeleton-only", action="store_true", help="leave out the phantom's soft tissue")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.skeleton_only:
        build._soft_parts = lambda plan: []
    for seed in given.seeds:
        np.savez_compressed(given.out / f"phantom_{seed}.npz", labels=label_map(seed), step=STEP_MM)


if __name__ == "__main__":
    main()
