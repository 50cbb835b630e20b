from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from osteotrace.model.lesion import LesionTrack
from osteotrace.model.patient import PatientImages
from osteotrace.model.values import Verdict, View
from osteotrace.outputs.figures import DisplaySettings, lesion_figure, planar_figures, timeline_figure
from osteotrace.outputs.figures.panels import left_out, panels_of
from osteotrace.outputs.figures.picture import (
    _JPEG_BYTES,
    _QUALITIES,
    Picture,
    _small_jpeg,
    drawable,
    picture_of,
)
from outputs.factory import FRAME_CT, Case, without_lesions


def track(case: Case, number: int) -> LesionTrack:
    return case.workup.tracks[number - 1]


def pixels(picture: Picture) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB")).astype(int)


def orange(picture: Picture) -> int:
    """Pixels of the outline colour."""
    r, g, b = np.moveaxis(pixels(picture), -1, 0)
    return int(np.count_nonzero((r > 200) & (abs(g - 90) < 40) & (b < 90)))


def test_panels_follow_time_and_say_how_the_place_is_known(case: Case, display: DisplaySettings) -> None:
    panels = panels_of(case.workup, case.images, track(case, 2), 100.0, display)
    assert [(p.exam.id, p.series_name) for p in panels] == [
        ("E1", "T1"), ("E1", "T2 FS"), ("E2", "CT"), ("E3", "PET FDG"),
    ]  # fmt: skip
    assert [p.place for p in panels] == [
        "not seen · mapped ±6.5 mm",
        "seen · outlined here",
        "not seen · mapped ±6.5 mm",
        "not seen · mapped ±6.5 mm",
    ]
    assert [p.turned for p in panels] == ["turned 25° to CT", "turned 25° to CT", "", ""]
    assert [len(p.windows) for p in panels] == [1, 1, 2, 1]


def test_turned_panels_show_the_same_orientation(case: Case, display: DisplaySettings) -> None:
    """The bright bone lies in the same direction from the lesion in MR and CT although the MR lies turned."""
    panels = {p.series_name: p for p in panels_of(case.workup, case.images, track(case, 1), 160.0, display)}
    places = []
    for name in ("T1", "CT"):
        axial = panels[name].slices[0].values
        bright = np.argwhere(axial > 0.8 * np.nanmax(axial))
        places.append(bright.mean(axis=0) - 128)
    angle = [np.degrees(np.arctan2(*place)) for place in places]
    assert abs(angle[0] - angle[1]) < 6


def test_without_a_usable_alignment_the_panel_says_so(case: Case, display: DisplaySettings) -> None:
    failed = tuple(dataclasses.replace(a, verdict=Verdict.FAILED) for a in case.workup.alignments)
    workup = dataclasses.replace(case.workup, alignments=failed)
    panels = panels_of(workup, case.images, track(case, 1), 100.0, display)
    assert {p.series_name: p.turned for p in panels}["T1"] == "not turned to CT"


def test_a_doubtful_alignment_is_named(case: Case, display: DisplaySettings) -> None:
    doubt = tuple(
        dataclasses.replace(a, verdict=Verdict.DOUBTFUL) if a.frames[0] != a.frames[1] else a
        for a in case.workup.alignments
    )
    panels = panels_of(
        dataclasses.replace(case.workup, alignments=doubt), case.images, track(case, 1), 100.0, display
    )
    assert {p.series_name: p.turned for p in panels}["T1"] == "turned 25° to CT, doubtful"


def test_series_that_are_not_shown_are_named(case: Case, display: DisplaySettings) -> None:
    panels = panels_of(case.workup, case.images, track(case, 1), 100.0, display)
    assert left_out(case.workup, track(case, 1), panels) == (
        "STIR: cannot be assessed",
        "CT thorax: not covered",
        "bone scan: cannot be assessed",
    )


def test_lesion_figure(case: Case, display: DisplaySettings) -> None:
    picture = lesion_figure(case.workup, case.images, track(case, 1), display)
    assert picture is not None
    assert picture.name == "lesion_L1"
    assert "L1 'GTV_Mass'" in picture.caption
    assert "CT, CT 2000-11-10: seen · outlined here" in picture.caption
    assert len(picture.jpeg) <= 200_000
    assert orange(picture) > 1000
    again = lesion_figure(case.workup, case.images, track(case, 1), display)
    assert again == picture


def test_the_outline_is_at_the_lesion(case: Case, display: DisplaySettings) -> None:
    """Another lesion size, another outline: the orange ring of the edema is longer than that of the mass."""
    mass = lesion_figure(case.workup, case.images, track(case, 1), display)
    edema = lesion_figure(case.workup, case.images, track(case, 2), display)
    assert mass is not None
    assert edema is not None
    assert orange(edema) > 1.1 * orange(mass)


def test_no_image_no_figure(case: Case, display: DisplaySettings) -> None:
    nothing = PatientImages(case.images.patient, case.images.timeline, (), (), (), ())
    assert lesion_figure(case.workup, nothing, track(case, 1), display) is None


def test_pictures_carry_no_metadata(case: Case) -> None:
    picture = timeline_figure(case.workup)
    assert picture is not None
    assert Image.open(io.BytesIO(picture.png)).info == {}


def test_the_smaller_file_is_taken(case: Case) -> None:
    picture = timeline_figure(case.workup)
    assert picture is not None
    assert picture.smallest == ("png", picture.png)
    assert Picture("x", "", b"long", b"s").smallest == ("jpeg", b"s")


def test_planar_images_one_figure_an_exam(case: Case, display: DisplaySettings) -> None:
    (picture,) = planar_figures(case.workup, case.images, display)
    assert picture.name == "planar_E4"
    assert picture.caption == (
        "NM 2000-11-12 · day 70: bone scan anterior, bone scan posterior. Counts, dark is high."
    )


def test_planar_images_keep_left_and_right_apart(case: Case, display: DisplaySettings) -> None:
    """The hot spot lies on the right half of the anterior picture, on the left of the posterior one."""
    (picture,) = planar_figures(case.workup, case.images, display)
    grey = pixels(picture)[60:].mean(axis=-1)
    half = grey.shape[1] // 2
    for panel, side in ((grey[:, :half], 1), (grey[:, half:], -1)):
        dark = np.argwhere(panel[panel.shape[0] // 2 : -40] < 40)  # below is the scale bar
        columns = dark[:, 1] - panel.shape[1] / 2
        assert np.sign(columns[np.abs(columns).argmax()]) == side


def test_many_views_are_counted_not_drawn(case: Case, display: DisplaySettings) -> None:
    first = case.images.planar[0]
    many = dataclasses.replace(case.images, planar=(dataclasses.replace(first, view=View.UNKNOWN),) * 8)
    (picture,) = planar_figures(case.workup, many, display)
    assert "view unknown" in picture.caption
    assert picture.caption.endswith("2 more views are not shown.")


def test_planar_image_without_counts_or_pixel_size(case: Case, display: DisplaySettings) -> None:
    first = case.images.planar[0]
    empty = dataclasses.replace(first, counts=np.zeros((8, 8)), pixel_mm=None)
    (picture,) = planar_figures(case.workup, dataclasses.replace(case.images, planar=(empty,)), display)
    assert picture.png


def test_timeline(case: Case) -> None:
    picture = timeline_figure(case.workup)
    assert picture is not None
    assert "2 without a date are not shown" in picture.caption


def test_one_day_is_no_timeline(case: Case) -> None:
    assert timeline_figure(without_lesions(case).workup) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GTV\n_Mass\t1", "GTV _Mass 1"),
        ("$x^2$ \\frac", "$x^2$ \\frac"),
        ("Läsion ±", "Läsion ±"),
        ("a山b", "a□b"),
    ],
)
def test_only_what_the_font_knows_is_drawn(text: str, shown: str) -> None:
    assert drawable(text) == shown


def test_long_text_is_cut() -> None:
    assert drawable("x" * 50, 10) == "x" * 9 + "…"


def test_strange_names_do_not_break_figures(case: Case, display: DisplaySettings) -> None:
    exams = tuple(
        dataclasses.replace(
            e,
            name="山田 $\\frac{$",
            series=tuple(dataclasses.replace(s, name="$_{^ 骨\x07") for s in e.series),
        )
        for e in case.workup.timeline.exams
    )
    timeline = dataclasses.replace(case.workup.timeline, exams=exams)
    workup = dataclasses.replace(case.workup, timeline=timeline)
    assert lesion_figure(workup, case.images, track(case, 2), display) is not None
    assert planar_figures(workup, case.images, display)
    assert timeline_figure(workup) is not None


def test_reference_is_the_ct_frame(case: Case, display: DisplaySettings) -> None:
    panels = panels_of(case.workup, case.images, track(case, 1), 100.0, display)
    plain = [p for p in panels if p.turned == ""]
    grids = {v.series.id: v.grid for v in case.images.volumes}
    assert {grids[p.finding.series_id].frame_of_reference_uid for p in plain} == {FRAME_CT}


def test_more_than_five_columns_go_below_each_other(case: Case, display: DisplaySettings) -> None:
    """Two more CT with the same place: nine columns in two blocks."""
    workup, ct = case.workup, next(v for v in case.images.volumes if v.series.name == "CT")
    exam = workup.timeline.exams[1]
    finding = next(f for f in workup.findings if f.series_id == ct.series.id)
    twins = [dataclasses.replace(ct.series, id=f"{ct.series.id}#{n}") for n in (2, 3)]
    more = dataclasses.replace(exam, series=(*exam.series, *twins))
    timeline = dataclasses.replace(
        workup.timeline, exams=(workup.timeline.exams[0], more, *workup.timeline.exams[2:])
    )
    found = tuple(dataclasses.replace(finding, series_id=t.id) for t in twins)
    images = dataclasses.replace(
        case.images, volumes=(*case.images.volumes, *(dataclasses.replace(ct, series=t) for t in twins))
    )
    wide = dataclasses.replace(workup, timeline=timeline, findings=(*workup.findings, *found))
    plain = lesion_figure(workup, case.images, track(case, 1), display)
    picture = lesion_figure(wide, images, track(case, 1), display)
    assert plain is not None
    assert picture is not None
    assert pixels(picture).shape[1] == pixels(plain).shape[1]
    assert pixels(picture).shape[0] > 1.8 * pixels(plain).shape[0]


def test_a_noisy_figure_still_fits_into_the_report() -> None:
    figure = Figure(figsize=(12, 9))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(np.random.default_rng(1).random((900, 1200)), cmap="gray", interpolation="nearest")
    picture = picture_of(figure, "noise", "", 60)
    assert len(picture.jpeg) < len(picture.png) / 2
    assert picture.smallest[0] == "jpeg"


@pytest.mark.parametrize("noise", [0.0, 0.3, 0.6, 2.0, 20.0])
def test_the_best_quality_that_fits_is_taken(noise: float) -> None:
    values = np.random.default_rng(1).normal(100.0, 1.0 + noise, (700, 900, 3))
    image = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    tried = []
    for quality in _QUALITIES:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=quality, subsampling=0, optimize=True)
        tried.append(stream.getvalue())
    fitting = [content for content in tried if len(content) <= _JPEG_BYTES]
    assert _small_jpeg(image) == (fitting[0] if fitting else tried[-1])
