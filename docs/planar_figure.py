"""Draw a skeleton over a bone scan: the picture of architecture.md, or one of your own scan.

    python docs/planar_figure.py FOLDER OUT.png

FOLDER holds the DICOM of one patient: a planar bone scan, and a CT where there is one. Nothing of a patient
is kept in this repository; the picture in the documentation is of a phantom.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from osteotrace import anatomy, intake
from osteotrace.model.criteria import load_criteria
from osteotrace.model.values import Modality, Quantity
from osteotrace.registration.planar import fit_planar
from osteotrace.registration.planar_maps import project

BRIGHTEST = 99.7  # percentile of the counts that is black
GAMMA = 0.6
BINS = 2  # pixels that are added up, for a small file


def main() -> None:
    """Read, fit, draw."""
    folder, target = Path(sys.argv[1]), Path(sys.argv[2])
    criteria = load_criteria()
    images = intake.read_patient(intake.only_patient(intake.scan(folder), folder), criteria)
    volumes = [v for v in images.volumes if v.series.modality is Modality.CT]
    volumes = [v for v in volumes if v.series.quantity is Quantity.HU]
    volume = max(volumes, key=lambda v: v.values.size * v.grid.voxel_volume_mm3, default=None)
    bones = None if volume is None else anatomy.segment(volume)
    fits = fit_planar(images.planar, criteria, anatomy=bones, volume=volume)
    columns = sum(len(one.fit.views) for one in fits)
    figure, axes = plt.subplots(1, columns, figsize=(2.6 * columns, 8), squeeze=False)
    axis = iter(axes[0])
    for one in fits:
        plane = project(one.fit, one.skeleton, one.skeleton.points)
        for view in one.fit.views:
            image = next(i for i in images.planar if i.series.id == view.series_id)
            draw(next(axis), np.asarray(image.counts), view, plane, one)
    figure.tight_layout()
    figure.savefig(target, dpi=110)


def draw(axis, counts, view, plane, one) -> None:  # noqa: ANN001 - matplotlib has no types here
    """One view with the points of a skeleton over it."""
    even = counts[: counts.shape[0] // BINS * BINS, : counts.shape[1] // BINS * BINS]
    shape = (even.shape[0] // BINS, BINS, even.shape[1] // BINS, BINS)
    small = even.reshape(shape).sum(axis=(1, 3))
    shown = np.minimum(small / np.percentile(small, BRIGHTEST), 1.0) ** GAMMA
    axis.imshow(shown.T, cmap="gray_r", extent=(-0.5, even.shape[0] - 0.5, even.shape[1] - 0.5, -0.5))
    pixels = view.pixels(plane)
    axis.scatter(pixels[:, 0], pixels[:, 1], c=one.skeleton.region, cmap="tab20", s=0.8, alpha=0.55, lw=0)
    axis.set_title(f"{one.fit.source}, {view.view}\n{one.fit.verdict}", fontsize=9)
    seen = np.flatnonzero(counts.sum(axis=0) > 0.02 * counts.sum(axis=0).max())
    axis.set_ylim(seen[-1], seen[0])
    axis.set_axis_off()


if __name__ == "__main__":
    main()
