"""Draw the bones that were found on a CT, as outlines, with their levels: the pictures of numbering.md.

    python docs/skeleton_figure.py FOLDER OUT.png

FOLDER holds the DICOM of one patient. The largest CT is read. The picture is made of the label map alone: no
voxel of the scan is in it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from osteotrace import anatomy, intake
from osteotrace.anatomy.network import canonical_grid
from osteotrace.model.anatomy import Anatomy, Bone, Certainty, Numbering
from osteotrace.model.corrections import Corrections
from osteotrace.model.criteria import load_criteria
from osteotrace.model.values import Modality
from osteotrace.space import Grid, resample

STEP_MM = 2.0
COLOURS = {Certainty.CERTAIN: "#1b7837", Certainty.PROBABLE: "#2166ac", Certainty.UNCERTAIN: "#b35806"}
OTHER, RIB = "#6b6b6b", "#a8a8a8"
# Title, axis that is looked along, axis across, what lies at its two ends.
VIEWS = (("from the front", 1, 2, "RL"), ("from the left", 2, 1, "AP"))
BAR_MM = 50.0


def main() -> None:
    """Read, number, draw."""
    folder, target = Path(sys.argv[1]), Path(sys.argv[2])
    criteria = load_criteria()
    images = intake.read_patient(intake.only_patient(intake.scan(folder), folder), criteria)
    volumes = [v for v in images.volumes if v.series.modality is Modality.CT]
    found = anatomy.segment(max(volumes, key=lambda v: v.values.size * v.grid.voxel_volume_mm3))
    numbering = anatomy.number((found,), (), Corrections(), criteria)
    drawn(found, numbering).savefig(target, dpi=80)
    for bone in found.vertebrae:
        sys.stdout.write(f"{bone.id} {told(bone, found, numbering)}\n")


def told(bone: Bone, found: Anatomy, numbering: Numbering) -> str:
    """Level and certainty of a vertebra, and whether a rib joins it."""
    vertebra = numbering.of(found.series_id, bone.id)
    rib = "rib not told" if bone.rib is None else "rib" if bone.rib > 1 / 2 else "no rib"
    if vertebra is None or vertebra.level is None:
        return f"no level; {rib}"
    return f"{vertebra.level} {vertebra.certainty} {vertebra.probability:.2f}; {rib}"


def drawn(found: Anatomy, numbering: Numbering) -> Figure:
    """Outlines of all bones in two projections."""
    lattice = canonical_grid(found.grid, (STEP_MM, STEP_MM, STEP_MM))
    labels = resample(found.labels.astype(np.float32), found.grid, lattice, order=0, fill=0.0).astype(int)
    sizes = np.array(labels.shape) * STEP_MM
    width = (sizes[1] + sizes[2]) / sizes[0]
    figure = Figure(figsize=(7.0 * width + 1.0, 7.6), layout="constrained")
    panels = figure.subplots(1, 2, width_ratios=[sizes[2], sizes[1]])
    for axes, (title, along, across, ends) in zip(panels, VIEWS, strict=True):
        for bone in sorted(found.bones, key=lambda b: not b.name.startswith("rib")):
            if across == 1 and bone.name.split()[0] in ("hip", "scapula", "femur"):
                continue
            _outline(axes, labels == bone.label, along, bone, found, numbering)
        _names(axes, lattice, along, across, found, numbering)
        axes.set_title(title, fontsize=9)
        axes.set_aspect("equal")
        axes.invert_yaxis()
        axes.axis("off")
        _marks(axes, ends)
    keys = [Patch(facecolor=colour, alpha=0.5, label=str(name)) for name, colour in COLOURS.items()]
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys), fontsize=8, frameon=False)
    return figure


def _marks(axes: Axes, ends: str) -> None:
    """Sides of the patient and a scale bar."""
    for x, letter in zip((0.02, 0.98), ends, strict=True):
        axes.text(x, 0.5, letter, transform=axes.transAxes, ha="center", weight="bold")
    left = min(axes.get_xlim())
    bottom = max(axes.get_ylim())
    axes.plot([left + 2, left + 2 + BAR_MM / STEP_MM], [bottom - 3] * 2, color="black", linewidth=2)
    axes.text(left + 2, bottom - 5, f"{BAR_MM / 10:.0f} cm", fontsize=7)


def _outline(
    axes: Axes, inside: NDArray[np.bool_], along: int, bone: Bone, found: Anatomy, numbering: Numbering
) -> None:
    picture = inside.any(axis=along)
    if min(picture.shape) < 2 or not picture.any():
        return
    colour = RIB if bone.name.startswith("rib") else OTHER
    if bone in found.vertebrae:
        vertebra = numbering.of(found.series_id, bone.id)
        colour = COLOURS[Certainty.UNCERTAIN if vertebra is None else vertebra.certainty]
        axes.contourf(picture, levels=[0.5, 1.5], colors=[colour], alpha=0.25)
    axes.contour(picture, levels=[0.5], colors=[colour], linewidths=0.8)


def _names(axes: Axes, lattice: Grid, along: int, across: int, found: Anatomy, numbering: Numbering) -> None:
    for bone in found.vertebrae:
        vertebra = numbering.of(found.series_id, bone.id)
        index = lattice.indices(np.array(bone.centroid_mm))
        level = "?" if vertebra is None or vertebra.level is None else vertebra.level
        rib = "" if bone.rib is None or bone.rib < 1 / 2 else " r"
        axes.text(index[across], index[0], level + rib, fontsize=7, ha="center", va="center")


if __name__ == "__main__":
    main()
