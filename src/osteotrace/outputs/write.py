"""Everything that a run leaves in its folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from osteotrace.model.criteria import Criteria
from osteotrace.model.patient import PatientImages
from osteotrace.model.workup import Workup
from osteotrace.model.workup_json import workup_schema, workup_to_json
from osteotrace.outputs.deidentify import images_of
from osteotrace.outputs.figures import (
    Picture,
    bone_scan_figures,
    display_settings,
    lesion_figure,
    planar_figures,
    spine_figures,
    timeline_figure,
)
from osteotrace.outputs.folder import OutputFolder
from osteotrace.outputs.masks import save_masks
from osteotrace.outputs.registrations import fields_of, save_registrations
from osteotrace.outputs.report import render_html
from osteotrace.outputs.rows import measurement_rows
from osteotrace.outputs.scan_rows import scan_csv, scan_rows, spot_csv, spot_rows
from osteotrace.outputs.tables import rows_to_csv, write_parquet

Progress = Callable[[str, int, int], None]

WORKUP, SCHEMA, REPORT = "workup.json", "workup.schema.json", "report.html"
CSV, PARQUET, SCANS = "measurements.csv", "measurements.parquet", "bone_scan.csv"
SPOTS = "bone_scan_spots.csv"


def write_outputs(
    workup: Workup, images: PatientImages, out: Path, criteria: Criteria, *, progress: Progress | None = None
) -> tuple[Path, ...]:
    """Write masks and label images, ``workup.json`` and its JSON Schema, tables, figures and report.

    Parameters
    ----------
    workup : Workup
        The result; de-identified before, where that is wanted: all texts in the files come from it.
    images : PatientImages
        The images of the same patient, as intake delivered them, for the figures.
    out : Path
        Folder; made when absent. Files of an earlier run are replaced or removed, all at the end
        and none when the run is stopped; other files are left alone.
    criteria : Criteria
        For windows and cited values.
    progress : callable, optional
        Called with (what, done, total).

    Returns
    -------
    tuple of Path
        All files of this run, in the order in which they were written.

    Raises
    ------
    OutputError
        The folder or a file cannot be written, or a file of somebody else is in the way.
    DeclarationError
        The workup holds a number that is not finite.
    """
    folder = OutputFolder.open(out)
    folder.check_free(WORKUP, SCHEMA, CSV, PARQUET, SCANS, SPOTS, REPORT)
    aside = ThreadPoolExecutor(1)
    try:
        fields = aside.submit(fields_of, workup)  # while the figures are drawn
        refs = save_masks(workup, folder)
        folder.save(WORKUP, workup_to_json(workup, refs))
        folder.save(SCHEMA, json.dumps(workup_schema(), indent=1) + "\n")
        table = folder.save(CSV, rows_to_csv(measurement_rows(workup)))
        folder.save(PARQUET, partial(write_parquet, table))
        if workup.bone_scans:
            folder.save(SCANS, scan_csv(scan_rows(workup)))
        if any(scan.spots for scan in workup.bone_scans):
            folder.save(SPOTS, spot_csv(spot_rows(workup)))
        pictures = []
        for picture in _pictures(workup, images_of(workup, images), criteria, progress):
            folder.save(f"figures/{picture.name}.png", picture.png)
            pictures.append(picture)
        save_registrations(workup, folder, fields.result())
        folder.save(REPORT, render_html(workup, pictures, criteria))
        return folder.finish()
    finally:
        aside.shutdown(cancel_futures=True)
        folder.discard()


def _pictures(
    workup: Workup, images: PatientImages, criteria: Criteria, progress: Progress | None
) -> Iterator[Picture]:
    settings = display_settings(criteria)
    timeline = timeline_figure(workup)
    if timeline is not None:
        yield timeline
    yield from planar_figures(workup, images, settings)
    yield from bone_scan_figures(workup, images, settings)
    yield from spine_figures(workup, images, settings)
    for number, track in enumerate(workup.tracks, start=1):
        picture = lesion_figure(workup, images, track, settings)
        if picture is not None:
            yield picture
        if progress is not None:
            progress("figures", number, len(workup.tracks))
