"""Foci of a bone scan that a reader points at, in figure, table and report."""

from __future__ import annotations

import csv
import html
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from osteotrace.model.bone_scan import LesionNearSpot, Spot
from osteotrace.model.criteria import Criteria
from osteotrace.model.values import View
from osteotrace.model.workup import Workup
from osteotrace.model.workup_json import workup_from_json
from osteotrace.outputs import deidentify, write_outputs
from osteotrace.outputs.figures import DisplaySettings, bone_scan_figures
from osteotrace.outputs.report import render_html
from osteotrace.outputs.report.scan_tables import SpotLine, scan_blocks
from osteotrace.outputs.scan_rows import spot_csv, spot_rows
from outputs.factory import Case
from outputs.scan_case import with_spots
from outputs.test_bone_scan import coloured

PINK = (190, 15, 107)


@pytest.fixture(scope="module")
def pointed(case: Case) -> Workup:
    return with_spots(case.workup)


def changed(workup: Workup, **changes: object) -> Workup:
    """The first spot, changed."""
    (scan,) = workup.bone_scans
    first, *others = scan.spots
    return replace(workup, bone_scans=(scan.with_spots((replace(first, **changes), *others)),))


def first_line(workup: Workup) -> SpotLine:
    return scan_blocks(workup)[0].spots[0]


def first_spot(workup: Workup) -> Spot:
    return workup.bone_scans[0].spots[0]


def test_the_report_says_it_as_a_radiologist_would(pointed: Workup) -> None:
    first, second = scan_blocks(pointed)[0].spots
    assert (first.id, first.place) == ("F1", "posterior view, column 23, row 150")
    assert first.bones == "most likely T9/T8? (p\N{NO-BREAK SPACE}0.62), rib left 7 (0.25)"
    assert first.details == (
        "3 mm from its projection",
        "seen better from behind (131 mm of water in front of it, 62 mm behind)",
        "anterior over posterior counts 0.41",
    )
    label = scan_blocks(pointed)[0].lesions[0].label
    assert first.lesions == (("lesion-L1", f"within the footprint of lesion {label}"),)
    assert (second.bones, second.details, second.lesions) == ("no bone can be named", (), ())
    assert second.no_lesion == "none of the 1 that are placed; 1 could not be placed"


def test_a_lesion_beside_and_a_bone_seen_from_both_sides(pointed: Workup) -> None:
    beside = (LesionNearSpot("L1", 6.6, 14.1),)
    line = first_line(changed(pointed, lesions=beside, better=None, ratio=None))
    assert line.lesions[0][1].startswith("7 mm beside that of lesion L1")
    assert line.lesions[0][1].endswith("whose place is known to 14 mm")
    assert line.details[1:] == (
        "seen about equally from both sides (131 mm of water in front of it, 62 mm behind)",
    )
    front = first_line(changed(pointed, better=View.ANTERIOR))
    assert front.details[1].startswith("seen better from the front")


def test_the_standard_skeleton_is_told_and_its_levels_are_its_own(pointed: Workup) -> None:
    one = replace(first_spot(pointed).candidates[0], bone="vertebra L3", source="standard")
    line = first_line(changed(pointed, candidates=(one,)))
    assert line.bones == "most likely L3 (p\N{NO-BREAK SPACE}0.62)"
    assert "by the standard skeleton, not the patient's own" in line.details


def test_a_vertebra_without_level_and_a_bone_without_name(pointed: Workup) -> None:
    first, rib = first_spot(pointed).candidates
    workup = changed(pointed, candidates=(replace(first, bone="vertebra V77"), replace(rib, bone="bone")))
    bones = first_line(workup).bones
    assert bones == "most likely vertebra V77 (p\N{NO-BREAK SPACE}0.62), bone without a name (0.25)"


def test_of_many_bones_the_first_are_said(pointed: Workup) -> None:
    rib = first_spot(pointed).candidates[1]
    many = tuple(replace(rib, bone=f"rib left {n}", probability=0.1) for n in range(1, 8))
    assert first_line(changed(pointed, candidates=many)).bones.endswith("rib left 4 (0.10) and 3 less likely")


def test_without_lesions_in_the_scan_it_says_so(pointed: Workup) -> None:
    (scan,) = pointed.bone_scans
    bare = replace(scan.with_lesions((), ()), spots=(replace(scan.spots[0], lesions=()),))
    assert first_line(replace(pointed, bone_scans=(bare,))).no_lesion == "no lesion is placed in the scan"


def test_the_table_has_a_row_for_each_bone(pointed: Workup) -> None:
    rows = spot_rows(pointed)
    assert [(r.spot_id, r.rank, r.word) for r in rows] == [
        ("F1", 1, "T9/T8?"), ("F1", 2, "rib left 7"), ("F2", None, None),
    ]  # fmt: skip
    assert (rows[0].column, rows[0].row, rows[0].ratio) == (23.0, 150.0, 0.41)
    assert (rows[0].probability, rows[0].front_mm, rows[0].back_mm) == (0.6234, 131.0, 62.0)
    assert rows[0].lesions == "L1 0.0 mm (95% error 14.1 mm)"
    assert rows[0].reasons is not None
    assert rows[0].reasons.startswith("3 mm from its projection; ")
    assert rows[2].reasons == "no bone of a fitted skeleton lies within 24 mm of it"
    read = list(csv.DictReader(io.StringIO(spot_csv(rows))))
    assert read[0]["view"] == "posterior"
    assert read[2]["bone"] == ""


def test_the_figure_marks_it_in_its_view_only(pointed: Workup, case: Case, display: DisplaySettings) -> None:
    """F1 lies in the posterior view, on the right of the picture; F2 in the anterior one."""
    (scan,) = pointed.bone_scans
    only = replace(pointed, bone_scans=(scan.with_spots(scan.spots[:1]),))
    (picture,) = bone_scan_figures(only, case.images, display)
    places = coloured(picture, PINK)
    assert len(places) > 50
    assert places[:, 0].min() > 0.5
    assert "Rings with F1, F2 ...: foci that a reader points at." in picture.caption
    (both,) = bone_scan_figures(pointed, case.images, display)
    assert coloured(both, PINK)[:, 0].min() < 0.5
    (none,) = bone_scan_figures(case.workup, case.images, display)
    assert len(coloured(none, PINK)) == 0
    assert "Rings" not in none.caption


def test_a_spot_beside_the_body_is_in_the_figure(
    pointed: Workup, case: Case, display: DisplaySettings
) -> None:
    """The figure is cut to the body; a place that a reader names is shown nonetheless."""
    (scan,) = pointed.bone_scans
    far = replace(scan.spots[0], place=(20.0, 240.0), lesions=())
    shown = replace(pointed, bone_scans=(scan.with_spots((far,)),))
    body = np.arange(256) < 180
    planar = tuple(replace(image, counts=np.asarray(image.counts) * body) for image in case.images.planar)
    (picture,) = bone_scan_figures(shown, replace(case.images, planar=planar), display)
    places = coloured(picture, PINK)
    assert len(places) > 50
    assert places[:, 1].max() < 0.99


def test_the_ring_leaves_the_counts_inside_free(
    pointed: Workup, case: Case, display: DisplaySettings
) -> None:
    """The middle of the ring is as it was without it."""
    (scan,) = pointed.bone_scans
    lone = replace(scan.spots[0], place=(20.0, 40.0), lesions=())
    shown = replace(pointed, bone_scans=(scan.with_spots((lone,)),))
    bare = replace(pointed, bone_scans=(scan.with_spots(()),))
    with_ring, without = (
        np.asarray(Image.open(io.BytesIO(bone_scan_figures(w, case.images, display)[0].png)).convert("RGB"))
        for w in (shown, bare)
    )
    marked = (with_ring != without).any(axis=-1)
    rows, columns = np.nonzero(marked)
    row, column = (rows.min() + rows.max()) // 2, int(np.median(columns[rows == rows.min()]))
    assert not marked[row - 4 : row + 5, column - 4 : column + 5].any()
    assert marked[row, :column].any()
    assert marked[row, column + 1 :].any()


def test_written_it_comes_back_as_it_was(small: Case, criteria: Criteria, tmp_path: Path) -> None:
    workup = with_spots(small.workup)
    write_outputs(workup, small.images, tmp_path, criteria)
    again = workup_from_json((tmp_path / "workup.json").read_text(encoding="utf-8"), tmp_path)
    assert again.bone_scans == workup.bone_scans
    assert (tmp_path / "bone_scan_spots.csv").is_file()
    page = html.unescape((tmp_path / "report.html").read_text(encoding="utf-8"))
    for words in ("Foci that a reader points at", "Mrs Example's focus", "most likely T9/T8?", "no bone"):
        assert words in page, words
    write_outputs(small.workup, small.images, tmp_path, criteria)
    assert not (tmp_path / "bone_scan_spots.csv").exists()


def test_without_spots_no_table(case: Case, criteria: Criteria) -> None:
    assert "Foci that a reader points at" not in render_html(case.workup, (), criteria)


def test_deidentified_it_loses_name_and_uid_only(pointed: Workup, criteria: Criteria) -> None:
    clean = deidentify(pointed)
    before, after = first_spot(pointed), first_spot(clean)
    assert after.name == ""
    assert after.series_id == clean.bone_scans[0].fits[0].views[0].series_id != before.series_id
    assert after.candidates == before.candidates
    assert after.lesions == before.lesions
    assert after.reasons == before.reasons
    assert clean.provenance.corrections == ("hot spot F1 at column 23, row 150 of series E4-S1",)
    assert scan_blocks(clean)[0].spots[0].bones == first_line(pointed).bones
    assert "Example" not in render_html(clean, (), criteria)


def test_a_name_in_a_spot_is_escaped(pointed: Workup, criteria: Criteria) -> None:
    page = render_html(changed(pointed, name="<b>x</b>"), (), criteria)
    assert "<b>x</b>" not in page
