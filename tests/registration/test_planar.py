"""The planar fit on counts that a skeleton gives at a known pose."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from pydantic import TypeAdapter
from scipy import ndimage

from osteotrace.errors import FrameMismatchError, RegionError
from osteotrace.model.anatomy import Anatomy, Bone
from osteotrace.model.criteria import load_criteria
from osteotrace.model.imaging import UNKNOWN, CtFacts, NuclearFacts, PlanarImage, Series, Volume
from osteotrace.model.planar import PlanarFit
from osteotrace.model.values import Modality, Quantity, Verdict, View
from osteotrace.registration.planar import fit_planar, fit_skeleton
from osteotrace.registration.planar_image import reach, splat
from osteotrace.registration.planar_maps import candidates, footprints, project, views_ratio
from osteotrace.registration.planar_pose import WHOLE, chain_of, moved, own_regions
from osteotrace.registration.planar_settings import PlanarSettings
from osteotrace.registration.planar_skeleton import (
    REGIONS,
    region_of,
    skeleton_of,
    standard_skeleton,
)
from osteotrace.space import Grid, Mask

CRITERIA = load_criteria()
SETTINGS = PlanarSettings.of(CRITERIA)
PIXEL, SHAPE = 4.8, (128, 420)
FRAME = "1.2.3"
ANT, POST = View.ANTERIOR, View.POSTERIOR


@cache
def own_skeleton():
    """The trunk of the standard skeleton, as if a CT showed it, bent sidewards: it is not symmetric."""
    whole = standard_skeleton()
    points = np.array(whole.points)
    names = np.array(whole.regions)[np.asarray(whole.region)]
    trunk = np.isin(names, ["spine", "pelvis", "sternum", "thorax left", "thorax right"])
    points[:, 0] += 22.0 * np.sin((points[:, 2] - points[:, 2].min()) / 140.0)
    kept = {
        key: np.asarray(getattr(whole, key))[trunk]
        for key in ("weight", "bone", "region", "front_mm", "back_mm")
    }
    return replace(
        whole, points=points[trunk], **kept, source="ct", series_id="ct", frame_of_reference_uid=FRAME
    )


def true_pose(skeleton):
    chain = chain_of(skeleton, SETTINGS)
    pose = chain.start.copy()
    pose[: len(WHOLE)] = [300.0, 900.0, 0.04, 0.05, -0.04, 0.01, 0.0, 0.0]
    knots = 2 * len(chain.knots)
    pose[len(WHOLE) : len(WHOLE) + knots : 2] = np.linspace(-6.0, 8.0, len(chain.knots))
    return chain, pose


@cache
def expected(skeleton=None):
    skeleton = skeleton or own_skeleton()
    chain, pose = true_pose(skeleton)
    plane = moved(chain, pose, skeleton.points, own_regions(chain, skeleton))
    out = []
    for view in (ANT, POST):
        amount = splat(plane, np.array([PIXEL, PIXEL]), SHAPE) @ reach(skeleton, view, SETTINGS)
        image = ndimage.gaussian_filter(amount.reshape(SHAPE), 1.1)
        body = ndimage.gaussian_filter(ndimage.grey_dilation(image, size=(15, 15)), 6.0)
        out.append(image / image.max() * 120.0 + body / body.max() * 15.0)
    return out


def scan(seed=0, hot=()):
    """Anterior and posterior view with noise; ``hot``: columns and rows of the anterior view."""
    rng = np.random.default_rng(seed)
    front, back = (image.copy() for image in expected())
    for column, row in hot:
        for image in (front, back):
            image[column - 2 : column + 3, row - 2 : row + 3] += 900.0
    return [
        planar(rng.poisson(front), ANT, "front"),
        planar(rng.poisson(back)[::-1], POST, "back"),
    ]


def planar(counts, view, name, pixel=(PIXEL, PIXEL)):
    facts = NuclearFacts(UNKNOWN)
    series = Series(
        name, "", "", "", Modality.NM, name, "", UNKNOWN, None, Quantity.COUNTS, "", None, facts, 1
    )
    return PlanarImage(np.asarray(counts, np.float32), pixel, view, series)


@cache
def fitted():
    return fit_skeleton(own_skeleton(), scan(), CRITERIA)


def errors(fit, skeleton=None):
    skeleton = skeleton or own_skeleton()
    chain, pose = true_pose(skeleton)
    true = moved(chain, pose, skeleton.points, own_regions(chain, skeleton))
    return np.linalg.norm(project(fit, skeleton, skeleton.points) - true, axis=1)


def test_the_pose_is_found_and_called_good():
    fit = fitted()
    assert np.percentile(errors(fit), 95) < 5.0
    assert fit.verdict is Verdict.GOOD
    assert fit.reasons == ()
    assert {region.name for region in fit.regions} == {
        "spine",
        "pelvis",
        "sternum",
        "thorax left",
        "thorax right",
    }
    assert all(region.error_mm is not None for region in fit.regions)


def test_the_radius_holds_the_errors():
    fit = fitted()
    skeleton = own_skeleton()
    radius = np.array([getattr(fit.region(name), "error_mm", 0.0) or 0.0 for name in skeleton.regions])
    assert (errors(fit) <= radius[np.asarray(skeleton.region)]).mean() > 0.9


def test_hot_lesions_do_not_pull():
    views = fitted().views
    plane = project(fitted(), own_skeleton(), own_skeleton().points[::400])
    hot = [tuple(int(v) for v in np.rint(p)) for p in views[0].pixels(plane)][:3]
    fit = fit_skeleton(own_skeleton(), scan(hot=hot), CRITERIA)
    assert np.percentile(errors(fit), 95) < 7.0


def test_swapped_views_are_recognised_and_used_the_right_way_round():
    front, back = scan()
    fit = fit_skeleton(own_skeleton(), [replace(front, view=POST), replace(back, view=ANT)], CRITERIA)
    assert any("anterior and posterior are swapped" in reason for reason in fit.reasons)
    assert fit.views[0].view is ANT
    assert np.percentile(errors(fit), 95) < 5.0


def test_a_mirrored_scan_makes_left_and_right_unsure():
    mirrored = [replace(image, counts=image.counts[::-1]) for image in scan()]
    fit = fit_skeleton(own_skeleton(), mirrored, CRITERIA)
    assert any("left and right are not sure" in reason for reason in fit.reasons)
    assert fit.verdict is not Verdict.GOOD


def test_a_view_that_the_header_does_not_name_is_told_by_the_counts():
    _, back = scan()
    fit = fit_skeleton(own_skeleton(), [replace(back, view=View.UNKNOWN)], CRITERIA)
    assert fit.views[0].view is POST
    assert any("the header names no view" in reason for reason in fit.reasons)


def test_one_of_two_views_without_name_is_the_other_one():
    front, back = scan()
    fit = fit_skeleton(own_skeleton(), [front, replace(back, view=View.UNKNOWN)], CRITERIA)
    assert [view.view for view in fit.views] == [ANT, POST]


def test_noise_fails():
    rng = np.random.default_rng(3)
    noise = [planar(rng.poisson(20, SHAPE), view, str(view)) for view in (ANT, POST)]
    fit = fit_skeleton(own_skeleton(), noise, CRITERIA)
    assert fit.verdict is Verdict.FAILED
    assert fit.error_mm is None
    assert all(region.verdict is Verdict.FAILED for region in fit.regions)
    assert any("the counts agree by only" in reason for reason in fit.reasons)
    assert candidates((60, 200), ANT, [(fit, own_skeleton())], CRITERIA) == ()


def test_a_scan_of_another_size_is_doubtful():
    wide = [replace(image, pixel_mm=(PIXEL * 1.06, PIXEL * 1.06)) for image in scan()]
    fit = fit_skeleton(own_skeleton(), wide, CRITERIA)
    assert fit.verdict is not Verdict.GOOD
    assert any("another patient, or a wrong pixel size" in reason for reason in fit.reasons)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"counts": np.zeros(SHAPE)}, "the posterior view has 0 counts and is not used"),
        ({"pixel_mm": None}, "the posterior view has no pixel size and is not used"),
        ({"view": ANT}, "there is another anterior view; the first is used"),
        ({"pixel_mm": (2.0, 2.0)}, "the posterior view has another matrix and is not used"),
    ],
)
def test_views_that_cannot_be_used_are_named(change, reason):
    front, back = scan()
    fit = fit_skeleton(own_skeleton(), [front, replace(back, **change)], CRITERIA)
    assert reason in fit.reasons
    assert len(fit.views) == 1


def test_no_view_no_fit():
    empty = planar(np.zeros(SHAPE), ANT, "front")
    assert fit_skeleton(own_skeleton(), [empty], CRITERIA) is None
    assert fit_planar([empty], CRITERIA) == ()


def test_without_a_ct_the_standard_skeleton_is_doubtful():
    (found,) = fit_planar(scan(), CRITERIA)
    assert found.fit.source == "standard"
    assert found.fit.verdict is not Verdict.GOOD
    assert "standard skeleton: not the patient's own" in found.fit.reasons


def test_a_fit_survives_json():
    adapter = TypeAdapter(PlanarFit)
    assert adapter.validate_json(adapter.dump_json(fitted())) == fitted()


def test_pixels_and_plane_are_inverse():
    for view in fitted().views:
        pixels = np.array([[3.0, 7.0], [100.0, 250.0]])
        assert np.allclose(view.pixels(view.plane(pixels)), pixels)
    front, back = fitted().views
    left, right = np.array([[400.0, 900.0]]), np.array([[200.0, 900.0]])
    assert front.pixels(left)[0, 0] > front.pixels(right)[0, 0]
    assert back.pixels(left)[0, 0] < back.pixels(right)[0, 0]


def test_the_same_again():
    assert fit_skeleton(own_skeleton(), scan(), CRITERIA) == fitted()


# --- lesions and hot spots --------------------------------------------------------------------------


def lesion(bone, frame=FRAME):
    skeleton = own_skeleton()
    own = np.asarray(skeleton.bone) == skeleton.bones.index(bone)
    centre = np.asarray(skeleton.points)[own].mean(axis=0)
    centre = np.asarray(skeleton.points)[own][
        np.argmin(np.linalg.norm(np.asarray(skeleton.points)[own] - centre, axis=1))
    ]
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = centre - 10.0
    grid = Grid((11, 11, 11), affine, frame)
    away = np.linalg.norm(grid.points(np.moveaxis(np.indices(grid.shape), 0, -1)) - centre, axis=-1)
    return Mask.from_array(away <= 6.0, grid), centre


def test_footprints_of_a_vertebra_are_seen_better_from_behind():
    mask, centre = lesion("vertebra L3")
    found = footprints(mask, fitted(), own_skeleton(), CRITERIA)
    assert (found.bone, found.region, found.better) == ("vertebra L3", "spine", POST)
    assert found.verdict is Verdict.GOOD
    for foot, view in zip(found.views, fitted().views, strict=True):
        place = view.pixels(project(fitted(), own_skeleton(), centre))[0]
        assert np.allclose((foot.column, foot.row), place, atol=0.5)
        assert foot.pixels[round(foot.column), round(foot.row)]
        assert foot.covered
        assert foot.share == pytest.approx(np.exp(-SETTINGS.mu_per_mm * foot.depth_mm), rel=0.05)
    assert found.views[1].depth_mm < found.views[0].depth_mm


def test_the_sternum_is_seen_better_from_the_front_and_lies_over_the_spine():
    mask, _ = lesion("sternum")
    found = footprints(mask, fitted(), own_skeleton(), CRITERIA)
    assert found.better is ANT
    assert found.views[1].others > 0.3


def test_a_lesion_of_another_frame_is_refused():
    mask, _ = lesion("sternum", frame="9.9")
    with pytest.raises(FrameMismatchError, match="a lesion of another frame of reference is projected"):
        footprints(mask, fitted(), own_skeleton(), CRITERIA)


def test_a_lesion_beyond_the_view_is_not_covered():
    cut = [replace(image, counts=image.counts[:, :200]) for image in scan()]
    fit = fit_skeleton(own_skeleton(), cut, CRITERIA)
    mask, _ = lesion("hip bone left")
    assert not footprints(mask, fit, own_skeleton(), CRITERIA).views[0].covered


def spot_of(bone, view):
    _, centre = lesion(bone)
    fit = fitted()
    shown = next(v for v in fit.views if v.view is view)
    return shown.pixels(project(fit, own_skeleton(), centre))[0]


def test_a_hot_spot_finds_its_bone():
    found = candidates(spot_of("hip bone left", ANT), ANT, [(fitted(), own_skeleton())], CRITERIA)
    assert found[0].bone == "hip bone left"
    assert sum(candidate.probability for candidate in found) <= 1.0 + 1e-6
    assert any("mm from its projection" in reason for reason in found[0].reasons)


def test_depth_tells_the_sternum_from_the_spine():
    spot = spot_of("sternum", ANT)
    pair = [(fitted(), own_skeleton())]
    front = candidates(spot, ANT, pair, CRITERIA, ratio=6.0)
    back = candidates(spot, ANT, pair, CRITERIA, ratio=0.4)
    assert front[0].bone == "sternum"
    assert back[0].bone.startswith(("vertebra", "rib"))
    assert any("expected at its depth" in reason for reason in front[0].reasons)


def test_a_spot_away_from_all_bones_has_no_candidate():
    assert candidates((5, 5), ANT, [(fitted(), own_skeleton())], CRITERIA) == ()


def test_the_ratio_of_the_views_is_measured():
    column, row = (round(float(v)) for v in spot_of("sternum", ANT))
    images = scan()
    front, back = (np.array(image.counts) for image in images)
    other = fitted().views[1].pixels(fitted().views[0].plane((column, row)))
    front[column - 1 : column + 2, row - 1 : row + 2] += 600.0
    at = np.rint(other).astype(int)
    back[at[0] - 1 : at[0] + 2, at[1] - 1 : at[1] + 2] += 200.0
    hot = [replace(images[0], counts=front), replace(images[1], counts=back)]
    assert views_ratio((column, row), ANT, hot, fitted(), 12.0) == pytest.approx(3.0, rel=0.2)
    assert views_ratio((column, row), ANT, hot[:1], fitted(), 12.0) is None
    one = replace(fitted(), views=fitted().views[:1])
    assert views_ratio((column, row), ANT, hot, one, 12.0) is None


# --- skeletons --------------------------------------------------------------------------------------


def small_ct(bone_hu=600.0, step=3.0):
    """An ellipse of soft tissue with a column of bone at its back and a plate in front."""
    shape = (80, 60, 60)
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = [-120.0, -90.0, -90.0]
    grid = Grid(shape, affine, FRAME)
    x, y, z = np.moveaxis(grid.points(np.moveaxis(np.indices(shape), 0, -1)), -1, 0)
    values = np.where((x / 105) ** 2 + (y / 75) ** 2 < 1, 40.0, -1000.0)
    values = np.where((np.abs(y - 85) < 3), 0.0, values)  # a table
    column = (np.abs(x) < 20) & (np.abs(y - 40) < 20)
    plate = (np.abs(x - 50) < 15) & (np.abs(y + 40) < 6)
    values = np.where(column | plate, bone_hu, values)
    labels = np.where(column, 1 + ((z + 90) // 30).astype(int), 0).astype(np.uint16)
    bones = tuple(
        Bone(f"V{n}", "vertebra", n, (0.0, 40.0, -75.0 + 30.0 * (n - 1)), 1.0, False)
        for n in range(6, 0, -1)
        if (labels == n).any()
    )
    series = Series("ct", "", "", "", Modality.CT, "", "", UNKNOWN, None, Quantity.HU, "", grid, CtFacts(), 1)
    anatomy = Anatomy("ct", labels, grid, bones, (), frozenset(), "test")
    return anatomy, Volume(values.astype(np.float32), grid, series)


def test_named_and_unnamed_bone_become_points():
    skeleton = skeleton_of(*small_ct(), SETTINGS)
    named = np.array(skeleton.bones)[np.asarray(skeleton.bone)]
    assert {"vertebra V1", "vertebra V6", "bone"} <= set(named)
    plate = np.asarray(skeleton.points)[named == "bone"]
    assert np.abs(plate[:, 0] - 50).max() < 18
    assert np.asarray(skeleton.points)[:, 1].max() < 70  # no table
    regions = np.array(skeleton.regions)[np.asarray(skeleton.region)]
    assert set(regions[named == "bone"]) == {"thorax left"}
    assert skeleton.weight.sum() == pytest.approx((40 * 40 + 30 * 12) * 180 / 1000, rel=0.25)


def test_depths_are_water():
    skeleton = skeleton_of(*small_ct(bone_hu=300.0), SETTINGS)
    middle = np.argmin(np.linalg.norm(np.asarray(skeleton.points) - (0.0, 40.0, 0.0), axis=1))
    y = float(skeleton.points[middle, 1])
    assert skeleton.front_mm[middle] == pytest.approx((20 + 75) * 1.04 + (y - 20) * 1.3, abs=8)
    assert skeleton.back_mm[middle] == pytest.approx((60 - y) * 1.3 + 15 * 1.04, abs=8)


def test_points_are_thinned_and_keep_their_weight():
    all_points = skeleton_of(*small_ct(), SETTINGS)
    few = skeleton_of(*small_ct(), replace(SETTINGS, most_points=1000))
    assert len(few.points) <= 1000
    assert few.weight.sum() == pytest.approx(all_points.weight.sum(), rel=0.01)


def test_too_little_bone_is_refused():
    anatomy, volume = small_ct()
    with pytest.raises(RegionError, match=r"the CT shows \d+ mL of bone"):
        skeleton_of(anatomy, volume, replace(SETTINGS, least_bone_ml=5000.0))
    found = fit_planar(
        scan(),
        CRITERIA,
        anatomy=replace(anatomy, labels=np.zeros_like(anatomy.labels), bones=()),
        volume=Volume(np.zeros(volume.grid.shape, np.float32), volume.grid, volume.series),
    )
    assert [one.fit.source for one in found] == ["standard"]
    assert any("the CT shows 0 mL of bone" in reason for reason in found[0].fit.reasons)


def test_the_waist_parts_chest_and_pelvis():
    anatomy, volume = small_ct()
    values = np.array(volume.values)
    x, y, z = np.moveaxis(volume.grid.points(np.moveaxis(np.indices(values.shape), 0, -1)), -1, 0)
    values[y < -30] = np.minimum(values[y < -30], 40.0)  # no plate in front
    wings = (np.abs(np.abs(x) - 75) < 5) & (np.abs(y) < 20)
    values[wings & (z < -20)] = 600.0
    values[wings & (z > 20)] = 600.0
    skeleton = skeleton_of(anatomy, Volume(values, volume.grid, volume.series), SETTINGS)
    unnamed = np.asarray(skeleton.bone) == 0
    points = np.asarray(skeleton.points)[unnamed]
    regions = np.array(skeleton.regions)[np.asarray(skeleton.region)][unnamed]
    side = np.abs(np.abs(points[:, 0]) - 75) < 8
    assert set(regions[side & (points[:, 2] < -25)]) == {"pelvis"}
    assert set(regions[side & (points[:, 2] > 25) & (points[:, 0] > 0)]) == {"thorax left"}
    assert set(regions[side & (points[:, 2] > 25) & (points[:, 0] < 0)]) == {"thorax right"}


def test_bone_far_out_at_the_top_goes_with_the_shoulder():
    anatomy, volume = small_ct()
    values = np.array(volume.values)
    x, y, _ = np.moveaxis(volume.grid.points(np.moveaxis(np.indices(values.shape), 0, -1)), -1, 0)
    values[(np.abs(np.abs(x) - 93) < 5) & (np.abs(y) < 10)] = 600.0
    skeleton = skeleton_of(anatomy, Volume(values, volume.grid, volume.series), SETTINGS)
    regions = np.array(skeleton.regions)[np.asarray(skeleton.region)]
    high = np.asarray(skeleton.points)[:, 2] > 0
    far = np.asarray(skeleton.points)[:, 0]
    assert set(regions[high & (far > 88)]) == {"shoulder left"}
    assert set(regions[high & (far < -88)]) == {"shoulder right"}


def test_without_vertebrae_all_bone_goes_with_the_spine():
    anatomy, volume = small_ct()
    skeleton = skeleton_of(replace(anatomy, bones=()), volume, SETTINGS)
    assert set(np.array(skeleton.regions)[np.asarray(skeleton.region)]) == {"spine"}


@pytest.mark.parametrize(
    ("name", "region"),
    [
        ("vertebra", "spine"),
        ("rib left 5", "thorax left"),
        ("hip bone right", "pelvis"),
        ("clavicle left", "shoulder left"),
        ("femur right", "leg right"),
        ("liver", None),
        ("humerus", None),
    ],
)
def test_regions_of_bones(name, region):
    assert region_of(name) == region


def test_the_standard_skeleton_is_whole():
    skeleton = standard_skeleton()
    assert {"sternum", "skull", "sacrum", "femur left", "vertebra T11"} <= set(skeleton.bones)
    assert skeleton.regions == REGIONS
    assert skeleton.source == "standard"
    assert len(np.unique(skeleton.region)) == len(REGIONS)
