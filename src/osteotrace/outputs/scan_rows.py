"""``bone_scan.csv``: where every lesion would show in every view of a bone scan."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from osteotrace.model.bone_scan import BoneScan, LesionFootprint, ViewFootprint
from osteotrace.model.workup import Workup


@dataclass(frozen=True, slots=True)
class ScanRow:
    """One line of ``bone_scan.csv``: a lesion in a view, or why it is in none; None is an empty cell.

    Columns and rows start at 0; lengths are mm. ``share`` is the share of the counts that reach the head,
    ``others`` the share of the normal bone counts there that come from other bones, ``error_mm`` the
    predicted 95% radius of the place. ``state``: placed, not covered, not placed.
    """

    track_id: str
    lesion_id: str | None
    exam_id: str
    series_id: str | None
    view: str | None
    state: str
    column: float | None = None
    row: float | None = None
    half_axis_long_mm: float | None = None
    half_axis_short_mm: float | None = None
    depth_mm: float | None = None
    share: float | None = None
    others: float | None = None
    error_mm: float | None = None
    verdict: str | None = None
    region: str | None = None
    bone: str | None = None
    reasons: str | None = None


def scan_rows(workup: Workup) -> tuple[ScanRow, ...]:
    """By exam, then by track in their order, then by view."""
    return tuple(
        row for scan in workup.bone_scans for track in workup.tracks for row in _of_track(scan, track.id)
    )


def scan_csv(rows: Sequence[ScanRow]) -> str:
    """The table as RFC 4180 text with a header line; an empty cell is an absent value."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(field.name for field in dataclasses.fields(ScanRow))
    for row in rows:
        writer.writerow("" if cell is None else cell for cell in dataclasses.astuple(row))
    return stream.getvalue()


def _of_track(scan: BoneScan, track_id: str) -> Iterator[ScanRow]:
    for one in (one for one in scan.footprints if one.track_id == track_id):
        for view in one.views:
            yield _row(scan, one, view)
    for left in (left for left in scan.not_placed if left.track_id == track_id):
        yield ScanRow(track_id, None, scan.exam_id, None, None, "not placed", reasons=left.reason)


def _row(scan: BoneScan, one: LesionFootprint, view: ViewFootprint) -> ScanRow:
    row = ScanRow(
        one.track_id, one.lesion_id, scan.exam_id, view.series_id, str(view.view), "not covered",
        error_mm=one.error_mm, verdict=str(one.verdict), region=one.region, bone=one.bone,
        reasons="; ".join(one.reasons) or None,
    )  # fmt: skip
    if not view.covered:
        return row
    long, short = view.half_axes_mm or (None, None)
    return dataclasses.replace(
        row, state="placed", column=view.place[0], row=view.place[1], half_axis_long_mm=long,
        half_axis_short_mm=short, depth_mm=view.depth_mm, share=view.share, others=view.others,
    )  # fmt: skip
