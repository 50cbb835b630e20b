"""The bone scans of a patient: which skeleton, which lesions, and what is said where there is none."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter

from osteotrace.model.alignment import Alignment
from osteotrace.model.bone_scan import BoneScan
from osteotrace.model.criteria import load_criteria
from osteotrace.model.imaging import Attribute, Exam, NuclearFacts, Volume
from osteotrace.model.lesion import Lesion, LesionTrack, Origin
from osteotrace.model.patient import Patient, PatientImages, Timeline
from osteotrace.model.planar import FittedView
from osteotrace.model.values import Basis, Modality, Quantity, Verdict
from osteotrace.registration import bone_scan, fit_bone_scans, place_lesions, planar
from osteotrace.registration.planar_outline import ellipse_of
from osteotrace.space import Grid, Mask, RigidTransform
from registration.test_planar import ANT, FRAME, POST, lesion, own_skeleton, scan, small_ct

CRITERIA = load_criteria()
MR_FRAME = "4.5.6"


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CT shows the trunk that the views were made of."""
    for module in (bone_scan, planar):
        monkeypatch.setattr(module, "skeleton_of", lambda *_: own_skeleton())


def ct_of_trunk(frame: str = FRAME) -> tuple:
    """An anatomy with bones, and an empty volume around the trunk."""
    points = np.asarray(own_skeleton().points)
    low, high = points.min(axis=0) - 20.0, points.max(axis=0) + 20.0
    affine = np.diag([10.0, 10.0, 10.0, 1.0])
    affine[:3, 3] = low
    shape = tuple(int(n) for n in np.ceil((high - low) / 10.0) + 1)
    grid = Grid(shape, affine, frame)
    anatomy, volume = small_ct()
    return anatomy, Volume(np.zeros(shape, np.float32), grid, replace(volume.series, grid=grid))


def patient(views, volumes=()) -> PatientImages:
    exams = [
        Exam("E1", "CT", Modality.CT, None, 0, tuple(v.series for v in volumes)),
        Exam("E2", "NM", Modality.NM, None, 3, tuple({v.series.id: v.series for v in views}.values())),
    ]
    someone = Patient("", "", "", None)
    return PatientImages(
        someone, Timeline(None, tuple(e for e in exams if e.series)), tuple(volumes), tuple(views), (), ()
    )


def outlined(bone: str, frame: str = FRAME, series: str = "pet", name: str = "E1-R1") -> Lesion:
    mask, centre = lesion(bone, frame)
    place = tuple(float(c) for c in centre)
    return Lesion(name, "", "E1", series, mask, place, mask.volume_ml, 12.0, Origin("imported", "", "SEG", 1))


def track(*lesions: Lesion, number: int = 1) -> LesionTrack:
    return LesionTrack(f"L{number}", "", "", tuple(x.id for x in lesions), (), "single")


def with_tracer(name: str | None):
    basis = Basis.DECLARED if name else Basis.UNKNOWN
    facts = NuclearFacts(Attribute(name, basis, ""))
    return [replace(view, series=replace(view.series, facts=facts)) for view in scan()]


@pytest.fixture(scope="module")
def fitted() -> tuple[BoneScan, ...]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (bone_scan, planar):
            patch.setattr(module, "skeleton_of", lambda *_: own_skeleton())
        anatomy, volume = ct_of_trunk()
        return fit_bone_scans(patient(scan(), [volume]), CRITERIA, anatomies=[anatomy])


def placed(fitted, lesions, alignments=()):
    anatomy, volume = ct_of_trunk()
    (found,) = place_lesions(
        fitted,
        patient(scan(), [volume]),
        lesions,
        [track(*lesions)],
        tuple(alignments),
        CRITERIA,
        anatomies=[anatomy],
    )
    return found


def aligned(verdict: Verdict, error: float | None = 4.0) -> Alignment:
    """CT to MR: nothing moved."""
    motion = RigidTransform(np.eye(4), FRAME, MR_FRAME)
    return Alignment(motion, "rigid", "ct", "mr", 1.0, 0.8, error, verdict)


def test_the_ct_comes_first_and_its_outlines_are_kept(fitted):
    (one,) = fitted
    assert one.exam_id == "E2"
    assert [fit.source for fit in one.fits] == ["ct", "standard"]
    assert one.shown is one.of_ct is one.fits[0]
    assert {outline.region for outline in one.outlines} >= {"spine", "pelvis", "thorax left"}
    spine = next(outline for outline in one.outlines if outline.region == "spine")
    columns = one.fits[0].views[0].pixels(spine.lines[0])
    assert (columns >= 0).all()
    assert columns[:, 1].max() - columns[:, 1].min() > 50  # rows: a spine is long


def test_a_lesion_of_the_frame_is_in_both_views(own, fitted):
    found = placed(fitted, [outlined("vertebra L3")])
    (one,) = found.footprints
    assert found.not_placed == ()
    assert (one.region, one.bone, one.better, one.carried) == ("spine", "vertebra L3", POST, False)
    assert [view.view for view in one.views] == [ANT, POST]
    assert all(view.covered and view.half_axes_mm is not None for view in one.views)
    assert all(0.0 < view.share < 1.0 for view in one.views)
    assert one.error_mm == fitted[0].fits[0].region("spine").error_mm


def test_a_carried_lesion_has_the_error_of_the_way_too(own, fitted):
    found = placed(fitted, [outlined("vertebra L3", MR_FRAME)], [aligned(Verdict.DOUBTFUL)])
    (one,) = found.footprints
    alone = fitted[0].fits[0].region("spine").error_mm
    assert one.carried
    assert one.error_mm == pytest.approx(np.hypot(alone, 4.0), abs=0.01)
    assert one.verdict is Verdict.DOUBTFUL
    assert "it was carried to the CT by a doubtful alignment" in one.reasons


def test_a_place_that_is_hardly_known_is_not_placed(own, fitted):
    found = placed(fitted, [outlined("vertebra L3", MR_FRAME)], [aligned(Verdict.DOUBTFUL, 90.0)])
    assert found.footprints == ()
    assert found.not_placed[0].reason == "its place is known to 90 mm only"


def test_the_outline_on_the_ct_is_taken_before_others(own, fitted):
    ours, other = outlined("sternum", series="ct", name="E1-R2"), outlined("vertebra L3", name="E1-R1")
    (one,) = placed(fitted, [other, ours]).footprints
    assert one.lesion_id == "E1-R2"


@pytest.mark.parametrize("alignments", [(), (aligned(Verdict.FAILED, None),)])
def test_without_a_way_a_lesion_is_not_placed(own, fitted, alignments):
    found = placed(fitted, [outlined("vertebra L3", MR_FRAME)], alignments)
    assert found.footprints == ()
    assert found.not_placed[0].reason == "no usable alignment leads from its exams to the CT"


def test_a_lesion_outside_of_the_ct_is_not_placed(own, fitted):
    here = outlined("vertebra L3")
    affine = np.array(here.mask.grid.affine)
    affine[2, 3] -= 2000.0
    far = Mask(here.mask.values, Grid(here.mask.grid.shape, affine, FRAME))
    place = (*here.centroid_mm[:2], here.centroid_mm[2] - 2000.0)
    found = placed(fitted, [replace(here, mask=far, centroid_mm=place)])
    assert found.not_placed[0].reason == "its place lies outside of the CT"


def test_a_failed_fit_places_nothing_and_says_why(own, fitted):
    (one,) = fitted
    ct = replace(
        one.fits[0], verdict=Verdict.FAILED, error_mm=None, reasons=("the counts agree by only 0.10",)
    )
    standard = replace(one.fits[1], verdict=Verdict.DOUBTFUL)
    found = placed([replace(one, fits=(ct, standard))], [outlined("vertebra L3")])
    assert found.shown is standard
    assert found.footprints == ()
    assert found.not_placed[0].reason == (
        "the CT could not be fitted to the scan: the counts agree by only 0.10"
    )


def test_a_failed_region_places_nothing(own, fitted):
    (one,) = fitted
    regions = tuple(
        replace(r, verdict=Verdict.FAILED, error_mm=None) if r.name == "spine" else r
        for r in one.fits[0].regions
    )
    found = placed(
        [replace(one, fits=(replace(one.fits[0], regions=regions), *one.fits[1:]))], [outlined("vertebra L3")]
    )
    assert found.not_placed[0].reason.startswith("its region (spine) could not be fitted")


def test_what_the_view_does_not_show_is_not_covered(own, fitted):
    (one,) = fitted
    views = tuple(
        FittedView(v.series_id, v.view, (v.shape[0], 150), v.pixel_mm, v.offset_mm) for v in one.fits[0].views
    )
    short = replace(one, fits=(replace(one.fits[0], views=views), *one.fits[1:]))
    (found,) = placed([short], [outlined("hip bone left")]).footprints
    assert not any(view.covered for view in found.views)
    assert all(view.half_axes_mm is None for view in found.views)


def test_without_a_ct_the_standard_skeleton_is_shown_and_no_lesion_is_placed():
    images = patient(scan())
    found = fit_bone_scans(images, CRITERIA)
    assert [fit.source for fit in found[0].fits] == ["standard"]
    one = outlined("vertebra L3")
    (there,) = place_lesions(found, images, [one], [track(one)], (), CRITERIA)
    assert there.not_placed[0].reason.startswith("no CT of the patient whose bones were found")


def test_a_ct_that_was_not_fitted_places_nothing(own, fitted):
    (one,) = fitted
    found = placed([replace(one, fits=one.fits[1:])], [outlined("vertebra L3")])
    assert found.not_placed[0].reason == "the CT shows too little bone to be fitted to the scan"


def test_another_tracer_is_no_bone_scan():
    (found,) = fit_bone_scans(patient(with_tracer("FDG")), CRITERIA)
    assert found.fits == ()
    assert found.shown is None
    assert found.reasons == ("FDG is no bone tracer: its views are not used",)


def test_a_tracer_without_name_is_taken_for_one_and_said(fitted):
    assert fitted[0].reasons == ("the header names no tracer: taken for a bone scan",)
    assert bone_scan._of_bone_tracer(with_tracer("MDP"))[1] == ()


def test_a_scan_without_counts_or_pixels_says_so():
    front, back = scan()
    views = [replace(front, pixel_mm=None), replace(back, counts=np.zeros_like(back.counts))]
    images = patient(views)
    (found,) = fit_bone_scans(images, CRITERIA)
    assert found.fits == ()
    assert "the anterior view has no pixel size and is not used" in found.reasons
    assert "the posterior view has too few counts and is not used" in found.reasons
    one = outlined("vertebra L3")
    (there,) = place_lesions([found], images, [one], [track(one)], (), CRITERIA)
    assert there.not_placed[0].reason == "no skeleton was fitted to the scan"


def test_without_planar_images_there_is_no_bone_scan():
    _, volume = ct_of_trunk()
    assert fit_bone_scans(patient([], [volume]), CRITERIA) == ()


def test_spot_views_come_after_the_whole_body():
    front, back = scan()
    spot = replace(front, counts=front.counts[:, :100], series=replace(front.series, id="spot"))
    images = patient([spot, front, back])
    assert bone_scan._views(images.timeline.exams[-1], images) == [front, back, spot]


def test_the_ct_with_most_bones_is_taken():
    anatomy, volume = ct_of_trunk()
    few = replace(anatomy, series_id="few", bones=anatomy.bones[:2])
    other = Volume(volume.values, volume.grid, replace(volume.series, id="few"))
    mr = replace(volume.series, id="mr", modality=Modality.MR, quantity=Quantity.MR_SIGNAL)
    images = patient(scan(), [other, volume, Volume(volume.values, volume.grid, mr)])
    anatomies = [few, anatomy, replace(anatomy, series_id="mr")]
    assert bone_scan.suited_ct(images, anatomies) == (anatomy, volume)


def test_it_survives_json(own, fitted):
    adapter = TypeAdapter(tuple[BoneScan, ...])
    found = (placed(fitted, [outlined("vertebra L3")]),)
    assert adapter.validate_json(adapter.dump_json(found)) == found


def test_the_ellipse_of_a_footprint():
    columns, rows = np.indices((80, 120))
    turn = 0.5
    x, y = 2.0 * (columns - 40), 3.0 * (rows - 60)
    along, across = x * np.cos(turn) + y * np.sin(turn), -x * np.sin(turn) + y * np.cos(turn)
    half_axes, found = ellipse_of((along / 50) ** 2 + (across / 25) ** 2 <= 1, (2.0, 3.0))
    assert half_axes == pytest.approx((50.0, 25.0), abs=0.7)
    assert found == pytest.approx(turn, abs=0.02)
    assert ellipse_of(np.zeros((3, 3), bool), (1.0, 1.0)) == (None, 0.0)
    one = np.zeros((5, 5), bool)
    one[2, 2] = True
    assert ellipse_of(one, (2.0, 2.0))[0] == pytest.approx((1.15, 1.15), abs=0.01)
