"""The bone scan in figure, table and report."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from osteotrace.model.alignment import BoneMotion
from osteotrace.model.bone_scan import BoneScan, LesionFootprint
from osteotrace.model.criteria import Criteria
from osteotrace.model.values import Verdict, View
from osteotrace.model.workup import Workup
from osteotrace.outputs import deidentify
from osteotrace.outputs.figures import DisplaySettings, bone_scan_figures
from osteotrace.outputs.figures.bone_scan import spread_rows
from osteotrace.outputs.figures.picture import Picture
from osteotrace.outputs.report import render_html
from osteotrace.outputs.report.exam_tables import alignment_lines
from osteotrace.outputs.report.scan_tables import scan_blocks
from osteotrace.outputs.scan_rows import scan_csv, scan_rows
from outputs.factory import FRAME_CT, Case

ORANGE, BLUE = (194, 65, 12), (29, 111, 184)


def coloured(picture: Picture, colour: tuple[int, int, int]) -> np.ndarray:
    """Columns and rows, shares of the picture, of pixels of about a colour."""
    image = np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB")).astype(int)
    found = np.argwhere(np.abs(image - np.array(colour)).max(axis=-1) < 60)
    return found[:, ::-1] / np.array([image.shape[1], image.shape[0]])


def with_scan(case: Case, **changes: object) -> Workup:
    (scan,) = case.workup.bone_scans
    return dataclasses.replace(case.workup, bone_scans=(dataclasses.replace(scan, **changes),))


def shown_lesion(case: Case, **changes: object) -> tuple[LesionFootprint, ...]:
    return (dataclasses.replace(case.workup.bone_scans[0].footprints[0], **changes),)


def test_one_figure_a_scan_with_skeleton_and_lesions(case: Case, display: DisplaySettings) -> None:
    (picture,) = bone_scan_figures(case.workup, case.images, display)
    assert picture.name == "bone_scan_E4"
    assert "bone scan with the patient's CT and 1 lesion; the fit is good" in picture.caption
    assert len(coloured(picture, BLUE)) > 100


def test_each_view_shows_the_lesion_on_its_side(case: Case, display: DisplaySettings) -> None:
    """On the patient's left: right of the middle from the front, left of it from behind."""
    (picture,) = bone_scan_figures(case.workup, case.images, display)
    columns = coloured(picture, ORANGE)[:, 0]
    front, back = columns[columns < 0.5], columns[columns >= 0.5]
    assert len(front) > 50
    assert len(back) > 50
    assert np.median(front) > 0.25
    assert np.median(back) < 0.75


def test_an_uncovered_lesion_is_not_drawn(case: Case, display: DisplaySettings) -> None:
    (one,) = case.workup.bone_scans[0].footprints
    views = tuple(dataclasses.replace(v, covered=False, half_axes_mm=None) for v in one.views)
    workup = with_scan(case, footprints=shown_lesion(case, views=views))
    (picture,) = bone_scan_figures(workup, case.images, display)
    assert len(coloured(picture, ORANGE)) == 0
    cells = scan_blocks(workup)[0].lesions[0].cells
    assert [cell.place for cell in cells] == ["not covered", "not covered"]
    assert {row.state for row in scan_rows(workup) if row.track_id == "L1"} == {"not covered"}


def test_a_failed_fit_has_no_figure(case: Case, display: DisplaySettings) -> None:
    fits = tuple(dataclasses.replace(f, verdict=Verdict.FAILED) for f in case.workup.bone_scans[0].fits)
    workup = with_scan(case, fits=fits, outlines=(), footprints=())
    assert bone_scan_figures(workup, case.images, display) == ()
    assert scan_blocks(workup)[0].regions == ()


def test_views_without_their_images_have_no_figure(case: Case, display: DisplaySettings) -> None:
    bare = dataclasses.replace(case.images, planar=())
    assert bone_scan_figures(case.workup, bare, display) == ()


def test_a_swapped_view_is_drawn_over_its_own_image(case: Case, display: DisplaySettings) -> None:
    (scan,) = case.workup.bone_scans
    one = [p for p in case.images.planar if p.view is View.ANTERIOR]
    fit = dataclasses.replace(scan.fits[0], views=scan.fits[0].views[1:])
    workup = with_scan(case, fits=(fit,))
    assert bone_scan_figures(workup, dataclasses.replace(case.images, planar=tuple(one)), display)


def test_numbers_keep_apart_and_inside() -> None:
    rows = spread_rows([0.0, 1.0, 2.0, 99.0, 99.5], 10.0, 0.0, 100.0)
    assert min(np.diff(rows)) >= 10.0 - 1e-9
    assert spread_rows([50.0, 50.0, 50.0], 10.0, 0.0, 100.0) == [40.0, 50.0, 60.0]
    assert rows[0] >= 0.0
    assert rows[-1] <= 100.0
    assert spread_rows([20.0, 60.0], 10.0, 0.0, 100.0) == [20.0, 60.0]
    assert spread_rows([], 10.0, 0.0, 100.0) == []
    many = spread_rows([50.0] * 20, 10.0, 0.0, 100.0)
    assert min(many) >= 0.0 - 1e-9
    assert max(many) <= 100.0


def test_the_table_has_a_row_for_each_lesion_and_view(case: Case) -> None:
    rows = scan_rows(case.workup)
    assert [(r.track_id, r.view, r.state) for r in rows] == [
        ("L1", "anterior", "placed"),
        ("L1", "posterior", "placed"),
        ("L2", None, "not placed"),
    ]
    assert (rows[1].depth_mm, rows[1].share, rows[1].error_mm) == (61.0, 0.39, 14.1)
    assert rows[2].reasons == "its place lies outside of the CT"
    read = list(csv.DictReader(io.StringIO(scan_csv(rows))))
    assert read[0]["column"] == "40.0"
    assert read[2]["column"] == ""


def test_the_report_says_fit_regions_and_lesions(written: Path) -> None:
    page = html.unescape((written / "report.html").read_text(encoding="utf-8"))
    for words in (
        "the header names no tracer: taken for a bone scan",
        "CT of the patient",
        "the counts agree by only 0.31",
        "thorax left",
        "its place is known to 13 mm only",
        "39% of its counts arrive",
        "55% of the bone counts are of other bones",
        "sees it better",
        "carried over from E3",
        "its place lies outside of the CT",
        "not placed",
    ):
        assert words in page, words


def test_a_scan_that_was_not_fitted_says_why(case: Case, criteria: Criteria) -> None:
    scan = BoneScan("E4", (), reasons=("FDG is no bone tracer: its views are not used",))
    page = render_html(dataclasses.replace(case.workup, bone_scans=(scan,)), (), criteria)
    assert "FDG is no bone tracer" in page
    assert "No skeleton was fitted." in page


def test_without_bone_scan_no_section(case: Case, criteria: Criteria) -> None:
    page = render_html(dataclasses.replace(case.workup, bone_scans=()), (), criteria)
    assert 'id="bone_scan"' not in page


def test_deidentified_it_loses_its_uids_only(case: Case) -> None:
    (before,), (after,) = case.workup.bone_scans, deidentify(case.workup).bone_scans
    assert after.fits[0].series_id != before.fits[0].series_id
    assert after.fits[0].frame_of_reference_uid not in ("", FRAME_CT)
    assert after.fits[0].views[0].series_id == after.footprints[0].views[0].series_id
    assert after.fits[0].regions == before.fits[0].regions
    assert after.outlines == before.outlines
    assert after.footprints[0].reasons == before.footprints[0].reasons
    assert after.footprints[0].bone == "rib 7 left"


@pytest.fixture
def motions(case: Case) -> tuple[BoneMotion, ...]:
    alignment = case.workup.alignments[0]
    ct = case.workup.skeletons[0].series_id
    vertebra = BoneMotion(
        "vertebra", "V4", "", ct, alignment.moving_series, alignment.transform, (0.0, 0.0, 0.0),
        ((0.0, 0.0, 0.0),), "images", 0.8, 1.0, 0.2, 2.4, 0.05, Verdict.GOOD,
    )  # fmt: skip
    sacrum = dataclasses.replace(
        vertebra, name="sacrum", fixed_id="sacrum", source="neighbours", residual_mm=None,
        verdict=Verdict.DOUBTFUL, reasons=("its own images were not followed",),
    )  # fmt: skip
    failed = dataclasses.replace(vertebra, fixed_id="V99", verdict=Verdict.FAILED, reasons=("no overlap",))
    return (vertebra, sacrum, failed)


def test_an_alignment_lists_its_bones(
    case: Case, criteria: Criteria, motions: tuple[BoneMotion, ...]
) -> None:
    first, *others = case.workup.alignments
    bones = dataclasses.replace(first, method="bones", bones=motions)
    workup = dataclasses.replace(case.workup, alignments=(bones, *others))
    line = alignment_lines(workup)[0]
    assert line.bones_word == "Bone by bone: 1 good, 1 doubtful, 1 failed"
    assert [(b.bone, b.error, b.source) for b in line.bones] == [
        ("vertebra T12", "2.4 mm", "its own images"),
        ("sacrum", "2.4 mm", "its neighbours"),
        ("vertebra V99", "—", "its own images"),
    ]
    page = render_html(workup, (), criteria)
    assert page.count("<details>") == 2  # the other is the regions of the bone scan
    assert "its own images were not followed" in page
