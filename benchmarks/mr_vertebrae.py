"""Vertebral bodies on MR against bodies outlined by hand.

Searches ``--data`` for images ``*_mr.nii.gz`` beside instances ``*_vb.nii.gz``. A predicted body belongs to
the outlined body with which it shares most. One above the uppermost or below the lowest outlined body is left
out (nobody outlined what lies there); any other that belongs to none counts as false. All are found when
every outlined body has exactly one predicted body, of which no other outlined one has a part, and none is
false.

With ``--folds DIR`` every exam is read by the network that has not seen its person: ``mr_0.onnx`` ... and
``split.json`` as ``training/`` writes them.

    python benchmarks/mr_vertebrae.py --data DIR [--folds DIR]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from _common import finish, nothing_found, table
from osteotrace.anatomy.network import Network, load_network, network_of
from osteotrace.anatomy.segment import segment_mr
from osteotrace.model.imaging import UNKNOWN, CtFacts, MrFacts, Series, Volume
from osteotrace.model.values import Modality, Quantity
from osteotrace.space import NiftiImage, read_nifti, threads

BAR = {"dice_median": 0.90, "dice_p10": 0.80, "all_found_rate": 0.95, "seconds_median": 10.0}
LEAST_SHARE = (
    0.3  # of an outlined body in a predicted one, or the reverse, from which on they belong together
)


@dataclass(frozen=True, slots=True)
class Row:
    """One exam."""

    exam: str
    bodies: int
    found: int
    false: int
    all_found: bool
    dice: float
    seconds: float


def volume_of(image: NiftiImage, name: str, modality: Modality = Modality.MR) -> Volume:
    """An MR or CT volume of which nothing but its values is known."""
    is_mr = modality is Modality.MR
    series = Series(
        id=name,
        series_instance_uid="",
        study_instance_uid="",
        sop_class_uid="",
        modality=modality,
        name=str(modality),
        description="",
        body_part=UNKNOWN,
        datetime=None,
        quantity=Quantity.MR_SIGNAL if is_mr else Quantity.HU,
        unit="1",
        grid=image.grid,
        facts=MrFacts(UNKNOWN, UNKNOWN, UNKNOWN) if is_mr else CtFacts(),
        n_instances=1,
        source="nifti",
    )
    return Volume(image.values, image.grid, series)


def measured(path: Path, network: Network) -> Row:
    """One exam read and compared."""
    name = path.name.removesuffix("_mr.nii.gz")
    image = read_nifti(path, name)
    truth = np.asarray(read_nifti(path.with_name(f"{name}_vb.nii.gz"), name).values).astype(int)
    start = time.perf_counter()
    anatomy = segment_mr(volume_of(image, name), network)
    seconds = time.perf_counter() - start
    predicted = np.where(np.isin(anatomy.labels, [b.label for b in anatomy.bones]), anatomy.labels, 0)
    return compared(name, predicted.astype(int), truth, image.grid.affine[2, :3], seconds)


def compared(
    name: str, predicted: NDArray[Any], truth: NDArray[Any], upward: NDArray[Any], seconds: float
) -> Row:
    """Compare two instance images of one lattice; ``upward`` is the height of each index step, mm."""
    shared = np.zeros((truth.max() + 1, predicted.max() + 1), int)
    np.add.at(shared, (truth.ravel(), predicted.ravel()), 1)
    sizes = shared.sum(axis=1)
    parts = shared[1:, 1:] > LEAST_SHARE * sizes[1:, None]
    volumes = shared.sum(axis=0)
    belongs = {
        p: int(shared[1:, p].argmax()) + 1
        for p in range(1, shared.shape[1])
        if shared[1:, p].max() > LEAST_SHARE * volumes[p]
    }
    heights = [float(c @ upward) for c in _centres(truth)]
    outside = {
        p
        for p, centre in enumerate(_centres(predicted), start=1)
        if p not in belongs and not min(heights) < float(centre @ upward) < max(heights)
    }
    false = {p for p in range(1, shared.shape[1]) if shared[:, p].any()} - set(belongs) - outside
    counted = np.isin(predicted, [*belongs, *false])
    both = int((counted & (truth > 0)).sum())
    alone = parts.sum(axis=0) == 1
    once = (parts.sum(axis=1) == 1) & (parts[:, alone].sum(axis=1) == 1)
    split = len(belongs) > len(set(belongs.values()))
    return Row(
        exam=name,
        bodies=len(heights),
        found=int(once.sum()),
        false=len(false),
        all_found=bool(once.all()) and not (false or split),
        dice=2 * both / max(1, int(counted.sum()) + int((truth > 0).sum())),
        seconds=seconds,
    )


def _centres(labels: NDArray[Any]) -> list[NDArray[Any]]:
    numbers = range(1, int(labels.max()) + 1)
    return [np.array(c) for c in ndimage.center_of_mass(labels > 0, labels, numbers)] if labels.any() else []


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folds", type=Path)
    given = parser.parse_args()
    exams = [p for p in sorted(given.data.rglob("*_mr.nii.gz")) if _outlined(p).exists()]
    if not exams:
        nothing_found(given.data)
    fold_of = json.loads((given.folds / "split.json").read_text())["fold_of"] if given.folds else {}
    rows = []
    for path in exams:
        name = path.name.removesuffix("_mr.nii.gz")
        if given.folds:
            data = (given.folds / f"mr_{fold_of[name]}.onnx").read_bytes()
            rows.append(measured(path, network_of(data, threads())))
        else:
            rows.append(measured(path, load_network("mr")))
        sys.stderr.write(f"{rows[-1]}\n")
    columns = ("exam", "bodies", "found once", "false", "all", "Dice", "s")
    table("Vertebral bodies on MR", columns, [tuple(getattr(r, f) for f in Row.__slots__) for r in rows])
    dice = [r.dice for r in rows]
    finish(
        exams=len(rows),
        dice_median=round(float(np.median(dice)), 4),
        dice_p10=round(float(np.percentile(dice, 10)), 4),
        all_found_rate=round(float(np.mean([r.all_found for r in rows])), 4),
        seconds_median=round(float(np.median([r.seconds for r in rows])), 2),
    )


def _outlined(path: Path) -> Path:
    return path.with_name(path.name.replace("_mr.nii.gz", "_vb.nii.gz"))


if __name__ == "__main__":
    main()
