"""Pictures of the spine with levels."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from osteotrace.model.anatomy import Bone, Certainty, NumberedVertebra, Numbering, Possible
from osteotrace.model.imaging import Volume
from osteotrace.model.skeleton import Skeleton
from osteotrace.outputs.figures import DisplaySettings, spine_figures
from osteotrace.outputs.figures.curved import curved_pictures, row_of
from osteotrace.outputs.figures.picture import Picture
from osteotrace.outputs.words import alternatives_word, level_mark
from osteotrace.space import Grid, LabelImage
from outputs.factory import Case
from outputs.skeleton_case import FRONT, LEVELS, PITCH, TOP


def pixels(picture: Picture) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB")).astype(int)


def near(picture: Picture, colour: tuple[int, int, int]) -> int:
    return int((np.abs(pixels(picture) - np.array(colour)).max(axis=-1) < 30).sum())


def test_one_picture_for_each_exam_with_a_spine(case: Case, display: DisplaySettings) -> None:
    (picture,) = spine_figures(case.workup, case.images, display)
    assert picture.name == "spine_E2"
    assert picture.caption.startswith("CT 2000-11-10 · day 68: spine, sagittal and coronal; CT.")
    assert picture.caption.endswith("Dark blue: outside the field of view.")


def test_certainties_have_colours_of_their_own(case: Case, display: DisplaySettings) -> None:
    numbering = case.workup.numbering
    green, yellow, orange = (74, 222, 128), (250, 204, 21), (251, 113, 65)
    (picture,) = spine_figures(case.workup, case.images, display)
    assert min(near(picture, colour) for colour in (green, yellow, orange)) > 60
    doubtful = tuple(dataclasses.replace(v, certainty=Certainty.UNCERTAIN) for v in numbering.vertebrae)
    workup = dataclasses.replace(case.workup, numbering=dataclasses.replace(numbering, vertebrae=doubtful))
    (all_orange,) = spine_figures(workup, case.images, display)
    assert near(all_orange, orange) > 2 * near(picture, orange)
    assert near(all_orange, green) < near(picture, green) / 2  # the legend alone


def test_without_lesions_there_is_a_picture_too(case: Case, display: DisplaySettings) -> None:
    bare = dataclasses.replace(case.workup, lesions=(), findings=(), tracks=())
    assert len(spine_figures(bare, case.images, display)) == 1


def test_without_vertebrae_there_is_none(case: Case, display: DisplaySettings) -> None:
    bare = dataclasses.replace(case.workup, skeletons=case.workup.skeletons[1:])
    assert spine_figures(bare, case.images, display) == ()
    assert curved_pictures(case.images.volumes[0], case.workup.skeletons[1], ()) == ()


def test_equal_results_give_equal_bytes(case: Case, display: DisplaySettings) -> None:
    first, second = (spine_figures(case.workup, case.images, display)[0].png for _ in range(2))
    assert first == second


def test_many_series_of_one_exam_are_counted_not_drawn(case: Case, display: DisplaySettings) -> None:
    exam = next(e for e in case.workup.timeline.exams if e.id == "E2")
    names = [f"{exam.series[0].id}.{n}" for n in range(6)]
    series = tuple(dataclasses.replace(exam.series[0], id=n) for n in names)
    volume = case.images.volume(exam.series[0].id)
    assert volume is not None
    timeline = dataclasses.replace(case.workup.timeline, exams=(dataclasses.replace(exam, series=series),))
    skeletons = tuple(dataclasses.replace(case.workup.skeletons[0], series_id=n) for n in names)
    images = dataclasses.replace(
        case.images, volumes=tuple(dataclasses.replace(volume, series=s) for s in series)
    )
    workup = dataclasses.replace(case.workup, timeline=timeline, skeletons=skeletons)
    (picture,) = spine_figures(workup, images, display)
    assert picture.caption.endswith("2 more series are not shown.")
    unknown = dataclasses.replace(images, volumes=())
    assert spine_figures(workup, unknown, display) == ()


# --- curved pictures ------------------------------------------------------------------------------


def scoliotic(case: Case) -> tuple[Volume, Skeleton, np.ndarray]:
    """Blocks that stand aside by up to 40 mm, in a volume that is bright inside of them."""
    base = case.images.volumes[0]
    grid = Grid((60, 50, 120), np.diag([4.0, 4.0, 2.0, 1.0]), "1.2")
    values, labels, bones = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.uint16), []
    aside = 120.0 + 40.0 * np.sin(np.linspace(0, np.pi, 7))
    for n, x in enumerate(aside):
        i, k = round(x / 4), 110 - 16 * n
        box = (slice(i - 4, i + 5), slice(20, 28), slice(k - 6, k + 6))
        values[box], labels[box] = 100.0, n + 1
        bones.append(Bone(f"V{n + 1}", "vertebra", n + 1, (x, 94.0, 2.0 * k), 0.9, touches_edge=False))
    skeleton = Skeleton("x", tuple(bones), (), (), "test", LabelImage(labels, grid))
    return Volume(values, grid, dataclasses.replace(base.series, grid=grid)), skeleton, aside


def test_the_sagittal_picture_follows_the_curve(case: Case) -> None:
    volume, skeleton, _ = scoliotic(case)
    sagittal, coronal = curved_pictures(volume, skeleton, row_of(skeleton))
    assert sagittal.view.name == "sagittal"
    assert set(np.unique(sagittal.labels)) == set(range(8))  # all seven are cut
    assert set(np.unique(coronal.labels)) == set(range(8))
    straight = volume.values[30]  # a plane through the ends misses the middle ones
    assert not straight[:, (110 - 16 * 3)].any()


def test_places_in_the_pictures_are_those_of_the_patient(case: Case) -> None:
    volume, skeleton, aside = scoliotic(case)
    for picture, axis in zip(curved_pictures(volume, skeleton, row_of(skeleton)), (1, 0), strict=True):
        left, right, bottom, top = picture.box
        rows, columns = picture.labels.shape
        assert (right - left, top - bottom) == pytest.approx((columns, rows))
        for n, bone in enumerate(skeleton.bones[1:-1], start=2):
            place = np.argwhere(picture.labels == n).mean(axis=0)
            assert top - place[0] - 0.5 == pytest.approx(bone.centroid_mm[2], abs=2.5)
            across = bone.centroid_mm[1] if axis == 1 else aside[n - 1]
            assert left + place[1] + 0.5 == pytest.approx(across, abs=4.5)


def test_a_picture_ends_where_the_image_ends(case: Case) -> None:
    volume, skeleton, _ = scoliotic(case)
    sagittal, coronal = curved_pictures(volume, skeleton, row_of(skeleton))
    for picture in (sagittal, coronal):
        assert picture.box[3] <= volume.grid.corners[:, 2].max() + 1.0
        assert picture.box[2] >= volume.grid.corners[:, 2].min() - 1.0
    assert np.isnan(coronal.values[:, -1]).all()  # 95 mm beside the row is outside


def test_the_row_goes_from_head_to_tail_and_ends_in_the_sacrum(case: Case) -> None:
    row = row_of(case.workup.skeletons[0])
    assert [b.id for b in row] == [*(f"V{n + 1}" for n in range(len(LEVELS))), "sacrum"]
    assert row[0].centroid_mm == (0.0, FRONT, TOP)
    assert row[1].centroid_mm[2] == TOP - PITCH


@pytest.mark.parametrize(
    ("levels", "certainty", "mark"),
    [
        (("T11",), Certainty.CERTAIN, "T11"),
        (("T11", "T12"), Certainty.PROBABLE, "T11?"),
        (("T11", "T12", "L1"), Certainty.UNCERTAIN, "T11/T12?"),
        ((), Certainty.UNCERTAIN, "?"),
    ],
)
def test_marks_of_levels(levels: tuple[str, ...], certainty: Certainty, mark: str) -> None:
    possible = tuple(Possible(level, 1 / len(levels)) for level in levels)
    assert level_mark(NumberedVertebra((), possible, certainty, ())) == mark
    assert level_mark(None) == "?"
    assert alternatives_word(possible[:1]) == (f"T11 {1 / len(levels):.0%}" if levels else "")


def test_what_is_no_vertebra_does_not_bend_the_picture(case: Case, display: DisplaySettings) -> None:
    """A false detection far in front is outlined, but the pictures go through the vertebrae."""
    skeleton, numbering = case.workup.skeletons[0], case.workup.numbering
    far = dataclasses.replace(skeleton.bones[0], centroid_mm=(60.0, FRONT - 90.0, TOP))
    moved = dataclasses.replace(skeleton, bones=(far, *skeleton.bones[1:]))
    none = dataclasses.replace(numbering.vertebrae[0], possible=())
    others = numbering.vertebrae[1:]
    sizes = []
    for vertebrae in ((none, *others), numbering.vertebrae):
        changed = dataclasses.replace(numbering, vertebrae=vertebrae)
        workup = dataclasses.replace(case.workup, skeletons=(moved,), numbering=changed)
        (picture,) = spine_figures(workup, case.images, display)
        sizes.append(pixels(picture).shape[1])
    assert sizes[0] < sizes[1]
    nothing = tuple(dataclasses.replace(v, possible=()) for v in numbering.vertebrae)
    workup = dataclasses.replace(case.workup, numbering=dataclasses.replace(numbering, vertebrae=nothing))
    assert len(spine_figures(workup, case.images, display)) == 1


def test_a_bone_that_nobody_numbered_is_uncertain(case: Case, display: DisplaySettings) -> None:
    workup = dataclasses.replace(case.workup, numbering=Numbering(()))
    (picture,) = spine_figures(workup, case.images, display)
    assert near(picture, (251, 113, 65)) > 300
