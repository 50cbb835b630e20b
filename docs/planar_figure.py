"""Draw a skeleton over a bone scan: the picture of architecture.md, or one of your own scan.

    python docs/planar_figure.py FOLDER OUT.png

FOLDER holds the DICOM of one patient: a planar bone scan, and CTs where there are any. Nothing of a patient
is kept in this repository; the picture in the documentation is of a phantom. ``osteotrace run`` draws the
same with the lesions in it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from osteotrace import anatomy, intake, registration
from osteotrace.model.criteria import load_criteria
from osteotrace.model.values import Modality, Quantity
from osteotrace.outputs.figures import bone_scan_figure, display_settings


def main() -> None:
    """Read, fit, draw."""
    folder, target = Path(sys.argv[1]), Path(sys.argv[2])
    criteria = load_criteria()
    images = intake.read_patient(intake.only_patient(intake.scan(folder), folder), criteria)
    volumes = [v for v in images.volumes if v.series.modality is Modality.CT]
    volumes = [v for v in volumes if v.series.quantity is Quantity.HU]
    largest = max(volumes, key=lambda v: v.values.size * v.grid.voxel_volume_mm3, default=None)
    anatomies = [] if largest is None else [anatomy.segment(largest)]
    exams = {exam.id: exam for exam in images.timeline.exams}
    for scan in registration.fit_bone_scans(images, criteria, anatomies=anatomies):
        picture = bone_scan_figure(exams[scan.exam_id], scan, images, display_settings(criteria))
        if picture is None:
            sys.stdout.write(f"{scan.exam_id}: no skeleton could be fitted\n")
            continue
        target.write_bytes(picture.png)
        sys.stdout.write(picture.caption + "\n")


if __name__ == "__main__":
    main()
