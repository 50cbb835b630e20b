"""RT Structure Sets: which image a ROI belongs to, what is refused, and the real one of a thigh sarcoma."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import dcmread

from osteotrace.intake.regions import import_regions
from osteotrace.model.codes import Code
from osteotrace.model.values import Basis, Severity
from region_cases import (
    circle,
    coded,
    contour_item,
    dataset,
    load_series,
    make_grid,
    make_volume,
    region_object,
    sop_of,
    sops_of,
    square,
    write_rtstruct,
)

GRID = make_grid()
VOLUME = make_volume(GRID)


def z_of(k: float) -> float:
    return float(GRID.points((0, 0, k))[2])


def disc(k: float = 10, radius: float = 8, *, kind="CLOSED_PLANAR", sop="", center=(4.0, 1.0)):
    return contour_item(circle((*center, z_of(k)), radius), kind, sop)


def read(path, volumes=(VOLUME,)):
    sops = {sop: series for v in volumes for sop, series in sops_of(v).items()}
    return import_regions([region_object(path)], volumes, series_of_sop=sops)


def rewrite(path, change):
    made = dcmread(path)
    change(made)
    made.save_as(path)
    return path


def test_rois_become_regions_on_the_image_that_they_name(tmp_path):
    rois = {"mass": [disc(k, sop=sop_of(k)) for k in range(8, 13)], "edema": [disc(10, 12, sop=sop_of(10))]}
    (mass, edema), problems = read(write_rtstruct(tmp_path / "rt.dcm", rois))
    assert (mass.name, mass.number, mass.source_kind, mass.source_uid) == ("mass", 1, "RTSTRUCT", "1.2.826.9")
    assert (edema.name, edema.number) == ("edema", 2)
    assert mass.series_id == VOLUME.series.id
    assert (mass.placed.basis, mass.placed.source) == (Basis.DECLARED, "referenced image")
    assert mass.mask.volume_ml == pytest.approx(np.pi * 64 * 5 * 2 / 1000, rel=0.02)
    assert mass.mask.grid.offset_in(GRID)[2] == 8
    assert problems == ()


def test_the_type_of_a_roi_is_its_identification_code(tmp_path):
    def add(made):
        category = coded("49755003", "SCT", "Morphologically Abnormal Structure")
        (item,) = coded("14799000", "SCT", "Neoplasm, Secondary")
        item.SegmentedPropertyCategoryCodeSequence = category
        observation = dataset(
            ReferencedROINumber=1, ObservationNumber=1, RTROIIdentificationCodeSequence=[item]
        )
        made.RTROIObservationsSequence = [observation]

    path = rewrite(write_rtstruct(tmp_path / "rt.dcm", {"m": [disc()]}), add)
    (region,), _ = read(path)
    assert region.type == Code("14799000", "SCT", "Neoplasm, Secondary")
    assert region.category == Code("49755003", "SCT", "Morphologically Abnormal Structure")


def test_non_ascii_names_are_kept(tmp_path):
    path = write_rtstruct(tmp_path / "rt.dcm", {"x": [disc()]})

    def rename(made):
        made.SpecificCharacterSet = "ISO_IR 192"
        made.StructureSetROISequence[0].ROIName = "Läsion 骨"

    (region,), _ = read(rewrite(path, rename))
    assert region.name == "Läsion 骨"


# --- the image is absent


PET = make_volume(make_grid((30, 25, 40), (4.0, 4.0, 2.0), (-50, -40, 40.02)), "1.2.826.31", modality="PT")
CT = make_volume(GRID, "1.2.826.32")


def on_pixels(k: float = 10):
    corners = GRID.points(np.array([[10.5, 10.5, k], [30.5, 10.5, k], [30.5, 30.5, k], [10.5, 30.5, k]]))
    return contour_item(corners)


def test_an_absent_image_is_inferred_from_planes_and_pixels(tmp_path):
    path = write_rtstruct(tmp_path / "rt.dcm", {"m": [on_pixels()]}, series="1.2.826.404")
    (region,), problems = read(path, (PET, CT))
    assert region.series_id == CT.series.id
    assert region.placed.basis is Basis.INFERRED
    assert region.placed.source.startswith("referenced series absent; same frame of reference, same study")
    assert region.placed.source.endswith("points on its pixels")
    assert [p.severity for p in problems] == [Severity.INFERRED]
    assert "the image was inferred: referenced series absent" in problems[0].found


def test_a_finer_image_on_whose_pixels_the_points_do_not_lie_is_not_taken(tmp_path):
    fine = make_volume(make_grid((130, 110, 30), (0.37, 0.61, 2.0)), "1.2.826.37")
    path = write_rtstruct(tmp_path / "rt.dcm", {"m": [on_pixels()]}, series="1.2.826.404")
    (region,), _ = read(path, (CT, fine))
    assert region.series_id == CT.series.id
    assert region.placed.source.endswith("points on its pixels")


def test_images_that_agree_equally_well_are_counted(tmp_path):
    twin = make_volume(GRID, "1.2.826.35")
    path = write_rtstruct(tmp_path / "rt.dcm", {"m": [on_pixels()]}, series="1.2.826.404")
    (region,), _ = read(path, (CT, twin))
    assert region.series_id == CT.series.id
    assert region.placed.source.endswith(
        "no drawing of its own; 1 other image agrees as well: the first was taken"
    )


def test_the_image_of_the_same_study_comes_first(tmp_path):
    elsewhere = make_volume(GRID, "1.2.826.33", study="1.2.826.999")
    path = write_rtstruct(tmp_path / "rt.dcm", {"m": [on_pixels()]}, series="1.2.826.404")
    (region,), _ = read(path, (elsewhere, PET))
    assert region.series_id == PET.series.id


def test_slices_that_the_planes_lie_on_decide(tmp_path):
    between = make_volume(make_grid(origin=(-20.0, -30.0, 41.0)), "1.2.826.34")
    path = write_rtstruct(tmp_path / "rt.dcm", {"m": [on_pixels()]}, series="1.2.826.404")
    (region,), _ = read(path, (between, CT))
    assert region.series_id == CT.series.id
    assert region.placed.source.endswith("planes on its slices")


def test_an_image_without_a_drawing_of_its_own_decides_between_equal_ones(tmp_path):
    twin = make_volume(GRID, "1.2.826.35")
    first = write_rtstruct(tmp_path / "a.dcm", {"m": [disc()]}, series="1.2.826.35", uid="1.2.826.91")
    second = write_rtstruct(tmp_path / "b.dcm", {"m": [disc()]}, series="1.2.826.404", uid="1.2.826.92")
    regions, _ = import_regions([region_object(p) for p in (second, first)], (CT, twin), series_of_sop={})
    assert [r.series_id for r in regions] == [CT.series.id, twin.series.id]
    assert regions[0].placed.source.endswith("no drawing of its own")


def test_the_finest_pixels_decide_last(tmp_path):
    coarse = make_volume(make_grid((30, 25, 30), (1.6, 2.5, 2.0)), "1.2.826.36")
    path = write_rtstruct(tmp_path / "rt.dcm", {"m": [disc()]}, series="1.2.826.404")
    (region,), _ = read(path, (coarse, CT))
    assert region.series_id == CT.series.id
    assert region.placed.source.endswith("finest pixels")


def test_series_and_frame_both_absent_are_refused(tmp_path):
    path = write_rtstruct(tmp_path / "rt.dcm", {"m": [disc()]}, series="1.2.826.404", frame="1.2.826.405")
    regions, (problem,) = read(path)
    assert regions == ()
    assert problem.severity is Severity.REFUSED
    assert problem.found == (
        "the ROI was refused: neither the referenced image nor any volume in its frame of reference is there"
    )
    assert problem.where == "rt.dcm, ROI 1 m: 1.2.826.404"
    assert problem.remedy == "add its series to the folder"


def test_a_frame_that_contradicts_the_named_image_is_refused(tmp_path):
    path = write_rtstruct(tmp_path / "rt.dcm", {"m": [disc(sop=sop_of(10))]}, frame="1.2.826.405")
    regions, (problem,) = read(path)
    assert regions == ()
    assert "in another frame of reference than the image that it names" in problem.found


def test_a_drawing_outside_every_image_of_its_frame_is_refused(tmp_path):
    path = write_rtstruct(tmp_path / "rt.dcm", {"m": [disc(center=(900.0, 0.0))]}, series="1.2.826.404")
    _, (problem,) = read(path)
    assert "lies wholly outside every image in its frame of reference" in problem.found


def test_an_image_that_was_refused_makes_way_for_another_of_its_frame(tmp_path):
    rois = {"m": [disc(k, sop="1.2.826.77.1") for k in (9, 10)]}
    path = write_rtstruct(tmp_path / "rt.dcm", rois)
    (region,), _ = import_regions([region_object(path)], (CT,), series_of_sop={"1.2.826.77.1": "1.2.826.77"})
    assert region.series_id == CT.series.id
    assert region.placed.basis is Basis.INFERRED


# --- bad contours


def test_a_bad_roi_does_not_stop_the_others(tmp_path):
    rois = {"outside": [disc(center=(900.0, 0.0))], "point": [disc(kind="POINT")], "good": [disc()]}
    regions, problems = read(write_rtstruct(tmp_path / "rt.dcm", rois))
    assert [r.name for r in regions] == ["good"]
    assert [p.where for p in problems] == ["rt.dcm, ROI 1 outside", "rt.dcm, ROI 2 point"]
    assert problems[0].found == "the ROI was refused: the contours lie wholly outside the image"
    assert problems[1].found == "the ROI was refused: no contour can be used (1 of the type POINT)"
    assert problems[1].expected == "contours of the type CLOSED_PLANAR"


def test_other_contours_of_a_roi_are_left_out_and_counted(tmp_path):
    rois = {"m": [disc(), disc(kind="OPEN_PLANAR"), disc(kind="OPEN_PLANAR"), contour_item([1.0, 2.0])]}
    regions, (problem,) = read(write_rtstruct(tmp_path / "rt.dcm", rois))
    assert len(regions) == 1
    assert problem.severity is Severity.EXCLUDED
    assert problem.found.startswith(
        "contours were left out: 2 of the type OPEN_PLANAR; 1 of ContourData cannot"
    )


def test_exclusive_contours_are_combined_by_exclusive_or(tmp_path):
    rings = [disc(10, 12, kind="CLOSEDPLANAR_XOR"), disc(10, 6, kind="CLOSEDPLANAR_XOR")]
    (region,), _ = read(write_rtstruct(tmp_path / "rt.dcm", {"m": rings}))
    assert region.mask.volume_ml == pytest.approx(np.pi * (144 - 36) * 2 / 1000, rel=0.03)


def test_a_contour_partly_outside_tells_the_share_lost(tmp_path):
    border = float(GRID.points((-0.5, 0, 0))[0])
    rois = {"m": [contour_item(square((border, 1.0, z_of(10)), 8.0))]}
    (region,), (problem,) = read(write_rtstruct(tmp_path / "rt.dcm", rois))
    assert region.mask.grid.offset_in(GRID)[0] == 0
    assert problem.severity is Severity.WARNING
    assert problem.found == "50.0% of the drawing lies outside the image"


def test_a_one_pixel_contour_keeps_its_voxel(tmp_path):
    rois = {"m": [contour_item(square(GRID.points((20, 21, 10)), 0.01))]}
    (region,), problems = read(write_rtstruct(tmp_path / "rt.dcm", rois))
    assert region.mask.n_voxels == 1
    assert problems == ()


def test_oblique_contours_name_their_angle(tmp_path):
    ring = circle((0, 0, 0), 10)
    tilted = np.stack([ring[:, 0] + 4, ring[:, 1] * np.cos(0.3) + 1, ring[:, 1] * np.sin(0.3) + 70], axis=1)
    _, (problem,) = read(write_rtstruct(tmp_path / "rt.dcm", {"m": [contour_item(tilted)]}))
    assert problem.found == "the ROI was refused: the contours are tilted by 17.2 degrees to the slices"


def test_a_structure_set_without_contours_is_refused(tmp_path):
    regions, (problem,) = read(write_rtstruct(tmp_path / "rt.dcm", {}))
    assert regions == ()
    assert problem.found == "the drawing was refused: the structure set has no contours"


def drop_names(made):
    del made.StructureSetROISequence
    del made.ReferencedFrameOfReferenceSequence


def drop_numbers(made):
    del made.ROIContourSequence[0].ReferencedROINumber


def drop_data(made):
    del made.ROIContourSequence[0].ContourSequence[0].ContourData


def far_data(made):
    made.ROIContourSequence[0].ContourSequence[0].ContourData = ["1e308"] * 9


def drop_contours(made):
    del made.ROIContourSequence[0].ContourSequence


def test_a_roi_without_a_name_gets_its_number(tmp_path):
    path = rewrite(write_rtstruct(tmp_path / "rt.dcm", {"m": [disc()]}), drop_names)
    (region,), _ = read(path)
    assert region.name == "ROI 1"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (drop_numbers, "ReferencedROINumber is absent or no whole number"),
        (drop_data, "no contour can be used (1 of ContourData"),
        (far_data, "no contour can be used (1 of ContourData is empty or has impossible values)"),
        (drop_contours, "no contour can be used (it has none)"),
    ],
)
def test_missing_attributes_are_named(tmp_path, damage, message):
    path = rewrite(write_rtstruct(tmp_path / "rt.dcm", {"m": [disc()]}), damage)
    regions, (problem,) = read(path)
    assert regions == ()
    assert message in problem.found


# --- real


NAMES = ("pet", "ct_cropped", "mr_t1", "mr_t2fs")
GOLDEN_ML = {
    ("rtstruct_pet.dcm", "GTV_Mass"): ("pet", 365.2),
    ("rtstruct_mr_t1.dcm", "GTV_Mass"): ("mr_t1", 364.5),
    ("rtstruct_mr_t2fs.dcm", "GTV_Mass"): ("mr_t2fs", 365.3),
    ("rtstruct_ct.dcm", "GTV_Mass_CT"): ("ct_cropped", 365.2),
    ("rtstruct_pet.dcm", "GTV_Edema"): ("pet", 580.0),
    ("rtstruct_mr_t1.dcm", "GTV_Edema"): ("mr_t1", 580.0),
    ("rtstruct_mr_t2fs.dcm", "GTV_Edema"): ("mr_t2fs", 580.0),
}


def polygons_ml(path, name, spacing_mm):
    """Shoelace areas of the contours of a ROI times the slice spacing: independent of any voxel."""
    made = dcmread(path)
    number = next(r.ROINumber for r in made.StructureSetROISequence if r.ROIName == name)
    roi = next(r for r in made.ROIContourSequence if r.ReferencedROINumber == number)
    area = 0.0
    for item in roi.ContourSequence:
        p = np.array(item.ContourData, dtype=float).reshape(-1, 3)
        p -= p[0]
        area += float(np.linalg.norm(np.cross(p, np.roll(p, -1, axis=0)).sum(axis=0))) / 2
    return area * spacing_mm / 1000


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_real_patient_with_four_images(case_dir):
    folder = case_dir("sts001_pet_ct_mr_rtstruct")
    loaded = {name: load_series(folder / name) for name in NAMES}
    paths = {p.name: p for p in sorted((folder / "rtstructs").rglob("*.dcm"))}
    sources = {n: region_object(p) for n, p in paths.items()}
    sops = {sop: series for _, uids in loaded.values() for sop, series in uids.items()}
    volumes = [v for v, _ in loaded.values()]
    regions, problems = import_regions(list(sources.values()), volumes, series_of_sop=sops)
    file_of = {s.sop_instance_uid: n for n, s in sources.items()}
    found = {(file_of[r.source_uid], r.name): r for r in regions}
    assert found.keys() == GOLDEN_ML.keys()
    for key, (image, golden_ml) in GOLDEN_ML.items():
        grid = loaded[image][0].grid
        assert found[key].series_id == loaded[image][0].series.id
        assert found[key].mask.volume_ml == pytest.approx(golden_ml, rel=0.005)
        drawn = polygons_ml(paths[key[0]], key[1], float(grid.spacing[2]))
        assert found[key].mask.volume_ml == pytest.approx(drawn, rel=0.005)
        assert found[key].mask.grid.offset_in(grid)
    ct = found["rtstruct_ct.dcm", "GTV_Mass_CT"].placed
    assert ct.basis is Basis.INFERRED
    assert ct.source.endswith("planes on its slices, field of view, points on its pixels")
    assert [p.severity for p in problems if p.code != "dicom-warning"] == [Severity.INFERRED]
