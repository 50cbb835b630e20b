"""``bone_scan.csv`` and ``bone_scan_spots.csv``: lesions in the views, and hot spots in the bones."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from osteotrace.model.bone_scan import BoneScan, LesionFootprint, Spot, ViewFootprint
from osteotrace.model.workup import Workup
from osteotrace.outputs.words import candidate_word


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


@dataclass(frozen=True, slots=True)
class SpotRow:
    """One line of ``bone_scan_spots.csv``: a bone that a hot spot can lie in, or why there is none.

    Columns and rows start at 0; lengths are mm; None is an empty cell. ``ratio`` is anterior over posterior
    counts above the surroundings, ``lesions`` those whose footprint holds the spot, or would within its
    predicted 95% error. ``word`` is the bone with the level of a vertebra, ``bone`` as in ``bone_scan.csv``,
    ``probability`` that among the bones of the skeleton, ``distance_mm`` from the spot to the bone as
    projected, ``front_mm`` and ``back_mm`` the water before and behind it.
    """

    spot_id: str
    name: str | None
    exam_id: str
    series_id: str
    view: str
    column: float
    row: float
    ratio: float | None
    lesions: str | None
    verdict: str
    rank: int | None = None
    word: str | None = None
    bone: str | None = None
    region: str | None = None
    probability: float | None = None
    distance_mm: float | None = None
    front_mm: float | None = None
    back_mm: float | None = None
    source: str | None = None
    reasons: str | None = None


def scan_rows(workup: Workup) -> tuple[ScanRow, ...]:
    """By exam, then by track in their order, then by view."""
    return tuple(
        row for scan in workup.bone_scans for track in workup.tracks for row in _of_track(scan, track.id)
    )


def scan_csv(rows: Sequence[ScanRow]) -> str:
    """The table as RFC 4180 text with a header line; an empty cell is an absent value."""
    return _csv(ScanRow, rows)


def spot_rows(workup: Workup) -> tuple[SpotRow, ...]:
    """By exam, then by spot, then by probability."""
    return tuple(
        row for scan in workup.bone_scans for spot in scan.spots for row in _of_spot(workup, scan, spot)
    )


def spot_csv(rows: Sequence[SpotRow]) -> str:
    """As :func:`scan_csv`."""
    return _csv(SpotRow, rows)


def _csv(kind: type[ScanRow | SpotRow], rows: Sequence[ScanRow] | Sequence[SpotRow]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(field.name for field in dataclasses.fields(kind))
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


def _of_spot(workup: Workup, scan: BoneScan, spot: Spot) -> Iterator[SpotRow]:
    lesions = "; ".join(
        f"{one.track_id} {one.distance_mm:.1f} mm (95% error {one.error_mm:.1f} mm)" for one in spot.lesions
    )
    row = SpotRow(
        spot.id, spot.name or None, scan.exam_id, spot.series_id, str(spot.view), *spot.place, spot.ratio,
        lesions or None, str(spot.verdict), reasons="; ".join(spot.reasons) or None,
    )  # fmt: skip
    if not spot.candidates:
        yield row
    for rank, one in enumerate(spot.candidates, start=1):
        yield dataclasses.replace(
            row, rank=rank, word=candidate_word(workup, scan, one), bone=one.bone, region=one.region,
            probability=one.probability, distance_mm=one.distance_mm, front_mm=one.depth_mm[0],
            back_mm=one.depth_mm[1], source=one.source,
            reasons="; ".join(dict.fromkeys((*one.reasons, *spot.reasons))),
        )  # fmt: skip
