"""Hot spots of a bone scan that a person points at: which image, which bones, which lesions."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter

from osteotrace.errors import DeclarationError
from osteotrace.model.bone_scan import BoneScan, Spot, ViewFootprint
from osteotrace.model.corrections import BoneScanSpot, Corrections
from osteotrace.model.criteria import load_criteria
from osteotrace.model.patient import PatientImages
from osteotrace.model.values import Verdict, View
from osteotrace.registration import bone_scan, bone_scan_spots, check_spots, fit_bone_scans, map_spots, planar
from osteotrace.registration.planar_maps import project
from osteotrace.registration.planar_skeleton import REGIONS, standard_skeleton
from registration.test_bone_scan import ct_of_trunk, outlined, patient, placed
from registration.test_planar import ANT, POST, SHAPE, own_skeleton, scan

CRITERIA = load_criteria()
LESION = "vertebra L3"


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CT shows the trunk that the views were made of."""
    for module in (bone_scan, bone_scan_spots, planar):
        monkeypatch.setattr(module, "skeleton_of", lambda *_: own_skeleton())


@pytest.fixture(scope="module")
def images() -> PatientImages:
    return patient(scan(), [ct_of_trunk()[1]])


@pytest.fixture(scope="module")
def with_lesion(images: PatientImages) -> BoneScan:
    """A CT fitted to both views, and a lesion in one of its vertebrae."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (bone_scan, planar):
            patch.setattr(module, "skeleton_of", lambda *_: own_skeleton())
        fitted = fit_bone_scans(images, CRITERIA, anatomies=[ct_of_trunk()[0]])
        return placed(fitted, [outlined(LESION)])


def footprint(found: BoneScan, view: View) -> ViewFootprint:
    return next(one for one in found.footprints[0].views if one.view is view)


def at(pixel: tuple[float, float], series: str = "back", **more: object) -> Corrections:
    return Corrections((BoneScanSpot(series, pixel, **more),))  # type: ignore[arg-type]


def mapped(
    found: BoneScan,
    images: PatientImages,
    pixel: tuple[float, float],
    series: str = "back",
    **more: object,
) -> Spot:
    (one,) = map_spots([found], images, at(pixel, series, **more), CRITERIA, anatomies=[ct_of_trunk()[0]])
    (spot,) = one.spots
    return spot


@pytest.mark.parametrize("view", [ANT, POST])
def test_the_bone_of_a_lesion_and_the_lesion_are_named(
    view: View, with_lesion: BoneScan, images: PatientImages
) -> None:
    shape = footprint(with_lesion, view)
    spot = mapped(with_lesion, images, shape.place, shape.series_id, name="lumbar focus")
    assert (spot.id, spot.name, spot.view, spot.place) == ("F1", "lumbar focus", view, shape.place)
    assert LESION in [one.bone for one in spot.candidates[:2]]
    assert {one.source for one in spot.candidates} == {"ct"}
    assert sum(one.probability for one in spot.candidates) <= 1.0 + 1e-6
    assert [(one.track_id, one.distance_mm) for one in spot.lesions] == [("L1", 0.0)]
    assert spot.lesions[0].error_mm == with_lesion.footprints[0].error_mm
    assert (spot.better, spot.verdict, spot.reasons) == (POST, Verdict.GOOD, ())


def test_another_bone_is_another_answer(with_lesion: BoneScan, images: PatientImages) -> None:
    """Ten centimetres higher it is neither that bone nor that lesion."""
    column, row = footprint(with_lesion, POST).place
    spot = mapped(with_lesion, images, (column, row - 100.0 / 4.8))
    assert spot.candidates
    assert LESION not in [one.bone for one in spot.candidates[:2]]
    assert spot.lesions == ()


def test_a_lesion_is_named_as_far_as_its_place_is_unsure(
    with_lesion: BoneScan, images: PatientImages
) -> None:
    shape, (lesion,) = footprint(with_lesion, POST), with_lesion.footprints
    assert shape.half_axes_mm is not None
    circle = replace(shape, half_axes_mm=(20.0, 20.0))
    round_one = replace(with_lesion, footprints=(replace(lesion, views=(circle,), error_mm=10.0),))
    column, row = shape.place
    within = mapped(round_one, images, (column, row + 18.0 / 4.8))
    beside = mapped(round_one, images, (column, row + 27.0 / 4.8))
    beyond = mapped(round_one, images, (column, row + 32.0 / 4.8))
    assert [one.distance_mm for one in within.lesions] == [0.0]
    assert [one.distance_mm for one in beside.lesions] == [pytest.approx(7.0, abs=0.1)]
    assert beyond.lesions == ()


def test_a_long_footprint_reaches_along_its_axis_only(with_lesion: BoneScan) -> None:
    turned = replace(footprint(with_lesion, POST), half_axes_mm=(40.0, 10.0), turn=np.pi / 6)
    along = np.array([np.cos(np.pi / 6), np.sin(np.pi / 6)])
    assert bone_scan_spots._beyond(35.0 * along, turned) == 0.0
    assert bone_scan_spots._beyond(45.0 * along, turned) == pytest.approx(5.0, abs=0.01)
    assert bone_scan_spots._beyond(35.0 * along[::-1] * (-1, 1), turned) == pytest.approx(25.0, abs=0.01)


def test_an_uncovered_footprint_names_no_lesion(with_lesion: BoneScan, images: PatientImages) -> None:
    (lesion,) = with_lesion.footprints
    views = tuple(replace(one, covered=False, half_axes_mm=None) for one in lesion.views)
    place = footprint(with_lesion, POST).place
    away = replace(with_lesion, footprints=(replace(lesion, views=views),))
    assert mapped(away, images, place).lesions == ()


def test_counts_of_both_views_tell_the_depth(with_lesion: BoneScan, images: PatientImages) -> None:
    """Uptake that both heads see is measured; noise is not."""
    place = footprint(with_lesion, POST).place
    front, back = scan()
    hot = []
    for image, shape, amount in ((front, ANT, 300.0), (back, POST, 900.0)):
        column, row = (round(x) for x in footprint(with_lesion, shape).place)
        counts = np.array(image.counts)
        counts[column - 1 : column + 2, row - 1 : row + 2] += amount
        hot.append(replace(image, counts=counts))
    spot = mapped(with_lesion, replace(images, planar=tuple(hot)), place)
    assert spot.ratio == pytest.approx(1.0 / 3.0, rel=0.2)
    assert any("anterior over posterior counts" in reason for reason in spot.candidates[0].reasons)
    flat = tuple(replace(image, counts=np.full(SHAPE, 40.0, np.float32)) for image in (front, back))
    assert mapped(with_lesion, replace(images, planar=flat), place).ratio is None


@pytest.mark.parametrize("ct_failed", [False, True])
def test_where_the_ct_is_silent_the_standard_skeleton_speaks_and_is_doubtful(
    ct_failed: bool, with_lesion: BoneScan, images: PatientImages
) -> None:
    """The CT shows the trunk: the head is asked of the standard skeleton, as everything is without a CT."""
    ct, standard = with_lesion.fits
    verdict = Verdict.FAILED if ct_failed else ct.verdict
    fits = (replace(ct, verdict=verdict), replace(standard, verdict=Verdict.DOUBTFUL))
    whole = standard_skeleton()
    head = np.asarray(whole.points)[np.asarray(whole.region) == REGIONS.index("skull")]
    view = standard.views[0]
    place = tuple(float(x) for x in view.pixels(project(standard, whole, head)).mean(axis=0))
    spot = mapped(replace(with_lesion, fits=fits), images, place, view.series_id)
    assert spot.candidates[0].region == "skull"
    assert {candidate.source for candidate in spot.candidates} == {"standard"}
    assert spot.verdict is Verdict.DOUBTFUL
    assert "standard skeleton: not the patient's own" in spot.reasons


def test_a_failed_fit_names_no_bone(with_lesion: BoneScan, images: PatientImages) -> None:
    fits = tuple(
        replace(fit, verdict=Verdict.FAILED, error_mm=None, reasons=("the counts agree by only 0.10",))
        for fit in with_lesion.fits
    )
    failed = replace(with_lesion, fits=fits, footprints=())
    spot = mapped(failed, images, footprint(with_lesion, POST).place)
    assert (spot.candidates, spot.lesions, spot.better, spot.ratio) == ((), (), None, None)
    assert spot.verdict is Verdict.FAILED
    assert spot.reasons == (
        "the CT could not be fitted to the scan: the counts agree by only 0.10",
        "the standard skeleton could not be fitted to the scan: the counts agree by only 0.10",
    )


def test_without_any_fit_no_bone_is_named(with_lesion: BoneScan, images: PatientImages) -> None:
    none = BoneScan("E2", (), reasons=("FDG is no bone tracer: its views are not used",))
    spot = mapped(none, images, footprint(with_lesion, POST).place)
    assert spot.candidates == ()
    assert spot.reasons == (
        "no skeleton was fitted to the scan", "FDG is no bone tracer: its views are not used",
    )  # fmt: skip


def test_an_image_that_the_fit_did_not_use_names_no_bone(
    with_lesion: BoneScan, images: PatientImages
) -> None:
    fits = tuple(
        replace(fit, views=fit.views[:1], reasons=("the posterior view has no pixel size and is not used",))
        for fit in with_lesion.fits
    )
    spot = mapped(replace(with_lesion, fits=fits), images, footprint(with_lesion, POST).place)
    assert (spot.view, spot.candidates, spot.lesions) == (POST, (), ())
    assert spot.reasons == (
        "the fit did not use this image", "the posterior view has no pixel size and is not used",
    )  # fmt: skip


def test_a_spot_away_from_all_bones_names_none(with_lesion: BoneScan, images: PatientImages) -> None:
    spot = mapped(with_lesion, images, (2.0, 2.0))
    assert spot.candidates == ()
    assert spot.verdict is Verdict.FAILED
    assert spot.reasons == ("no bone of a fitted skeleton lies within 24 mm of it",)


def test_a_failed_region_is_doubtful_and_said(with_lesion: BoneScan, images: PatientImages) -> None:
    ct, standard = with_lesion.fits
    regions = tuple(
        replace(region, verdict=Verdict.FAILED, error_mm=None) if region.name == "spine" else region
        for region in ct.regions
    )
    scan_of = replace(with_lesion, fits=(replace(ct, regions=regions), standard))
    spot = mapped(scan_of, images, footprint(with_lesion, POST).place)
    assert spot.candidates[0].region == "spine"
    assert spot.verdict is Verdict.DOUBTFUL
    assert spot.reasons[0] == "its region (spine) could not be fitted"


@pytest.mark.parametrize(("bone", "ends"), [("vertebra C1", True), ("vertebra T9", False)])
def test_at_the_end_of_the_ct_a_bone_beyond_it_is_possible(
    bone: str, ends: bool, with_lesion: BoneScan, images: PatientImages
) -> None:
    """The uppermost vertebra of the CT could be the next one above, which the CT does not show."""
    skeleton, fit = own_skeleton(), with_lesion.fits[0]
    points = np.asarray(skeleton.points)[np.asarray(skeleton.bone) == skeleton.bones.index(bone)]
    place = tuple(float(x) for x in fit.views[1].pixels(project(fit, skeleton, points)).mean(axis=0))
    spot = mapped(with_lesion, images, place)
    assert bone in [one.bone for one in spot.candidates]
    words = "the skeleton ends here: a bone beyond its end is not among these"
    assert (words in spot.reasons) is ends
    assert (spot.verdict is Verdict.DOUBTFUL) is ends


def test_views_that_are_swapped_are_taken_as_the_fit_takes_them(
    with_lesion: BoneScan, images: PatientImages
) -> None:
    """The header calls the back the front; the fit knows better."""
    front, back = images.planar
    swapped = replace(images, planar=(replace(front, view=POST), replace(back, view=ANT)))
    place = footprint(with_lesion, POST).place
    spot = mapped(with_lesion, swapped, place, "back", view=ANT)
    assert spot.view is POST
    assert LESION in [one.bone for one in spot.candidates[:2]]


def test_without_spots_nothing_changes(with_lesion: BoneScan, images: PatientImages) -> None:
    assert map_spots([with_lesion], images, Corrections(), CRITERIA) == (with_lesion,)


def test_spots_survive_json(with_lesion: BoneScan, images: PatientImages) -> None:
    spot = mapped(with_lesion, images, footprint(with_lesion, POST).place)
    found = with_lesion.with_spots((spot,))
    adapter = TypeAdapter(BoneScan)
    assert adapter.validate_json(adapter.dump_json(found)) == found


# --- where a spot is --------------------------------------------------------------------------------


def one_uid() -> PatientImages:
    """Both views in one file: one Series Instance UID."""
    front, back = scan()
    views = (
        replace(front, series=replace(front.series, id="1.2.9", series_instance_uid="1.2.9")),
        replace(back, series=replace(back.series, id="1.2.9#2", series_instance_uid="1.2.9")),
    )
    return patient(views, [ct_of_trunk()[1]])


@pytest.mark.parametrize(
    ("series", "view", "found"),
    [
        ("E2-S1", None, "1.2.9"),
        ("E2-S2", None, "1.2.9#2"),
        ("1.2.9#2", None, "1.2.9#2"),
        ("1.2.9", POST, "1.2.9#2"),
        ("1.2.9", ANT, "1.2.9"),
    ],
)
def test_an_image_is_named_by_its_place_in_the_list_or_by_uid_and_view(
    series: str, view: View | None, found: str
) -> None:
    item = BoneScanSpot(series, (5.0, 5.0), view)
    assert bone_scan_spots._image(item, 1, one_uid()).series.id == found


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            BoneScanSpot("E9-S1", (5.0, 5.0)),
            "a hot spot is on a series that is not there: E9-S1 [bone_scan_spot 2]; "
            "expected: one of E2-S1 (anterior), E2-S2 (posterior); "
            "do: take it from the table of osteotrace inspect",
        ),
        (
            BoneScanSpot("E1-S1", (5.0, 5.0)),
            "a hot spot is on a series that is no planar image: E1-S1 [bone_scan_spot 2]; "
            "expected: one of E2-S1 (anterior), E2-S2 (posterior); "
            "do: point at it in the bone scan; a lesion of a volume is given by add_mask",
        ),
        (
            BoneScanSpot("1.2.9", (5.0, 5.0)),
            "the series 1.2.9 holds 2 images that a hot spot can be on: E2-S1 (anterior), E2-S2 (posterior) "
            "[bone_scan_spot 2]; expected: one image; do: add view, or name the image as inspect lists it",
        ),
        (
            BoneScanSpot("E2-S1", (5.0, 5.0), POST),
            "the series E2-S1 has no posterior view [bone_scan_spot 2]; expected: view: anterior; "
            "do: correct view, or delete it where the series holds one image",
        ),
        (
            BoneScanSpot("E2-S1", (128.0, 5.0)),
            "column 128, row 5 lies outside of the image of series E2-S1 [bone_scan_spot 2]; "
            "expected: a column from 0 to 127 and a row from 0 to 419; "
            "do: write pixel = [column, row]; the first pixel is 0",
        ),
        (
            BoneScanSpot("E2-S1", (5.0, -0.6)),
            "column 5, row -0.6 lies outside of the image of series E2-S1 [bone_scan_spot 2]; "
            "expected: a column from 0 to 127 and a row from 0 to 419; "
            "do: write pixel = [column, row]; the first pixel is 0",
        ),
    ],
)
def test_a_spot_that_is_nowhere_is_refused_in_words(item: BoneScanSpot, message: str) -> None:
    good = BoneScanSpot("E2-S1", (-0.4, 419.4))
    check_spots(Corrections((good,)), one_uid())
    with pytest.raises(DeclarationError) as caught:
        check_spots(Corrections((good, item)), one_uid())
    assert str(caught.value) == message


def test_without_planar_images_a_spot_says_so() -> None:
    with pytest.raises(DeclarationError, match="expected: a planar image; there is none"):
        check_spots(at((5.0, 5.0)), patient([], [ct_of_trunk()[1]]))


def test_of_an_image_without_a_view_none_can_be_named() -> None:
    front, _ = scan()
    images = patient([replace(front, view=View.UNKNOWN)])
    check_spots(at((5.0, 5.0), "front"), images)
    with pytest.raises(DeclarationError, match="expected: no view: the header names none"):
        check_spots(at((5.0, 5.0), "front", view=ANT), images)
