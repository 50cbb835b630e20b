"""Reports of TID 1500: what they add to segmentations, the shapes that they draw, and a real one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from osteotrace.intake.regions import import_regions
from osteotrace.model.codes import Code
from osteotrace.model.values import Basis, Severity
from region_cases import (
    FRAME,
    SERIES,
    CTImageStorage,
    ball,
    circle,
    coded,
    dataset,
    load_series,
    make_grid,
    make_volume,
    region_object,
    save,
    sop_of,
    sops_of,
    write_seg,
)

GRID = make_grid()
VOLUME = make_volume(GRID)
MIDDLE = GRID.points((30, 25, 15))
SR = "1.2.840.10008.5.1.4.1.1.88.34"
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
FINDING = coded("94222008", "SCT", "Bony metastasis")
POSITIONS = {sop_of(k): tuple(GRID.points((0, 0, k))) for k in range(GRID.shape[2])}


def item(kind: str, concept=None, **values) -> Dataset:
    made = dataset(ValueType=kind, RelationshipType="CONTAINS", **values)
    if concept:
        made.ConceptNameCodeSequence = coded(concept, "DCM", "concept")
    return made


def group(*content: Dataset, name="lesion A", uid="1.2.826.55", finding=FINDING) -> Dataset:
    identity = [
        item("TEXT", "112039", TextValue=name),
        item("UIDREF", "112040", UID=uid),
        item("CODE", "121071", ConceptCodeSequence=finding),
    ]
    number = item("NUM", "118565006", MeasuredValueSequence=[dataset(NumericValue="3.5")])
    return item("CONTAINER", "125007", ContentSequence=[*identity, *content, number])


def write_sr(path: Path, *groups: Dataset, uid="1.2.826.66") -> Path:
    measurements = item("CONTAINER", "126010", ContentSequence=list(groups))
    root = item("CONTAINER", "126000", ContentSequence=[measurements], ContentTemplateSequence=[])
    return save(root, path, SR, uid)


def of_segment(number: int | None, uid="1.2.826.9") -> Dataset:
    referenced = dataset(ReferencedSOPClassUID=SEG, ReferencedSOPInstanceUID=uid)
    if number is not None:
        referenced.ReferencedSegmentNumber = number
    return item("IMAGE", "121191", ReferencedSOPSequence=[referenced])


def of_slice(k: int) -> Dataset:
    referenced = dataset(ReferencedSOPClassUID=CTImageStorage, ReferencedSOPInstanceUID=sop_of(k))
    return item("IMAGE", ReferencedSOPSequence=[referenced])


def in_space(kind: str, points, frame=FRAME) -> Dataset:
    data = [float(x) for x in np.ravel(points)]
    return item("SCOORD3D", "111030", GraphicType=kind, GraphicData=data, ReferencedFrameOfReferenceUID=frame)


def on_slice(kind: str, points, k: int) -> Dataset:
    data = [float(x) for x in np.ravel(points)]
    return item("SCOORD", "111030", GraphicType=kind, GraphicData=data, ContentSequence=[of_slice(k)])


def closed(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points, points[:1]])


def read(*paths: Path, volumes=(VOLUME,), positions=POSITIONS):
    objects = [region_object(p) for p in paths]
    return import_regions(objects, volumes, series_of_sop=sops_of(VOLUME), position_of_sop=positions)


def said(problems) -> list[str]:
    return [p.found for p in problems if p.severity is not Severity.INFO]


# --- segments


@pytest.fixture
def seg(tmp_path) -> Path:
    masks = np.stack([ball(GRID, MIDDLE, 9), ball(GRID, MIDDLE + np.array([6, 3, 2]), 7)], axis=-1)
    return write_seg(tmp_path / "seg.dcm", GRID, masks)


def test_a_report_gives_its_identity_to_the_segment_that_it_measures(tmp_path, seg):
    report = write_sr(tmp_path / "sr.dcm", group(of_segment(2)))
    regions, problems = read(report, seg)
    assert [(r.number, r.tracking_id, r.tracking_uid) for r in regions] == [
        (1, "", ""),
        (2, "lesion A", "1.2.826.55"),
    ]
    assert [r.source_kind for r in regions] == ["SEG", "SEG"]
    assert regions[1].type == Code("52988006", "SCT", "Lesion")
    (problem,) = problems
    assert problem.severity is Severity.INFO
    assert problem.found == "the values of the report (1) stay in the source; they were not computed again"


def test_a_segment_that_is_tracked_otherwise_keeps_its_own_identity(tmp_path):
    tracked = write_seg(tmp_path / "seg.dcm", GRID, ball(GRID, MIDDLE, 9)[..., None], tracked=True)
    regions, problems = read(write_sr(tmp_path / "sr.dcm", group(of_segment(1))), tracked)
    assert regions[0].tracking_uid == "1.2.826.77.1"
    assert said(problems) == [
        "the report tracks the segment under another Tracking UID than the segmentation, which was kept"
    ]


def test_a_segment_without_number_is_the_only_one(tmp_path):
    single = write_seg(tmp_path / "seg.dcm", GRID, ball(GRID, MIDDLE, 9)[..., None])
    regions, problems = read(write_sr(tmp_path / "sr.dcm", group(of_segment(None))), single)
    assert regions[0].tracking_id == "lesion A"
    assert said(problems) == []


@pytest.mark.parametrize(("number", "words"), [(3, "3"), (None, "without number")])
def test_a_segment_that_is_not_there_is_refused(tmp_path, seg, number, words):
    regions, problems = read(write_sr(tmp_path / "sr.dcm", group(of_segment(number))), seg)
    assert len(regions) == 2
    assert said(problems) == [
        f"the measurement group was refused: the referenced segment {words} was not imported"
    ]
    refused = next(p for p in problems if p.severity is Severity.REFUSED)
    assert refused.where == "sr.dcm, measurement group 1 lesion A: 1.2.826.9"


# --- shapes in space


def one(tmp_path, *content, **options):
    regions, problems = read(write_sr(tmp_path / "sr.dcm", group(*content)), **options)
    return (regions[0] if regions else None), said(problems)


def test_polygons_in_space_make_a_volume(tmp_path):
    rings = []
    for k in range(10, 21):
        z = (k - 15) * 2.0
        rings.append(in_space("POLYGON", closed(circle(MIDDLE + np.array([0, 0, z]), np.sqrt(144 - z**2)))))
    region, problems = one(tmp_path, *rings, of_slice(15))
    assert region.mask.volume_ml == pytest.approx(
        np.pi * 2 * sum(144 - z**2 for z in range(-10, 11, 2)) / 1000, rel=0.02
    )
    assert (region.name, region.tracking_id, region.tracking_uid) == ("lesion A", "lesion A", "1.2.826.55")
    assert (region.source_kind, region.source_uid, region.number) == ("SR", "1.2.826.66", 1)
    assert region.type == Code("94222008", "SCT", "Bony metastasis")
    assert region.placed.basis is Basis.DECLARED
    assert problems == []


def test_without_an_image_the_frame_of_reference_decides(tmp_path):
    region, problems = one(tmp_path, in_space("POLYGON", closed(circle(MIDDLE, 8))))
    assert region.series_id == SERIES
    assert region.placed.basis is Basis.INFERRED
    assert problems[0].startswith("the image was inferred")


def test_an_ellipse_in_space(tmp_path):
    a, b = np.array([12.0, 0, 0]), np.array([0, 7.0, 0])
    ends = np.array([MIDDLE - a, MIDDLE + a, MIDDLE - b, MIDDLE + b])
    region, problems = one(tmp_path, in_space("ELLIPSE", ends), of_slice(15))
    assert region.mask.volume_ml == pytest.approx(np.pi * 12 * 7 * 2 / 1000, rel=0.02)
    assert problems == []


def test_an_ellipsoid(tmp_path):
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    half = turn * [12.0, 7.0, 9.0]
    ends = np.concatenate([[MIDDLE - h, MIDDLE + h] for h in half.T])
    region, problems = one(tmp_path, in_space("ELLIPSOID", ends), of_slice(15))
    local = np.linalg.solve(half, (GRID.points(np.argwhere(np.ones(GRID.shape))) - MIDDLE).T)
    inside = ((local**2).sum(axis=0) <= 1).reshape(GRID.shape)
    np.testing.assert_array_equal(region.mask.on(GRID), inside)
    assert region.mask.volume_ml == pytest.approx(4 / 3 * np.pi * 12 * 7 * 9 / 1000, rel=0.02)
    assert problems == []


def axis_ends(center, radius: float) -> np.ndarray:
    return np.concatenate([[center - radius * e, center + radius * e] for e in np.eye(3)])


def test_an_ellipsoid_smaller_than_a_voxel_keeps_the_voxel_of_its_centre(tmp_path):
    region, problems = one(
        tmp_path, in_space("ELLIPSOID", axis_ends(GRID.points((30.3, 25.2, 15.4)), 0.1)), of_slice(1)
    )
    np.testing.assert_allclose(region.mask.centroid, MIDDLE)
    assert problems == ["smaller than a voxel: the voxel of its centre was kept"]


def test_half_an_ellipsoid_outside_is_lost(tmp_path):
    region, (problem,) = one(
        tmp_path, in_space("ELLIPSOID", axis_ends(GRID.points((30, 25, -0.5)), 12.0)), of_slice(1)
    )
    assert region.mask.grid.offset_in(GRID)[2] == 0
    assert float(problem.split("%")[0]) == pytest.approx(50, abs=3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (in_space("POINT", MIDDLE), "a shape of the type POINT with 1 points has no extent"),
        (in_space("POLYLINE", circle(MIDDLE, 8)), "an open polyline of 200 points"),
        (in_space("ELLIPSOID", np.tile(MIDDLE, (6, 1))), "the ellipsoid is flat"),
        (in_space("ELLIPSOID", axis_ends(MIDDLE + 900, 5.0)), "the contours lie wholly outside the image"),
        (in_space("POLYGON", [1.0, 2.0]), "GraphicData has 2 values that are no points"),
        (item("TEXT", "121106", TextValue="a note"), "the group refers to no region"),
    ],
)
def test_shapes_that_cannot_be_used_are_refused(tmp_path, content, message):
    region, problems = one(tmp_path, content, of_slice(15))
    assert region is None
    assert problems == [f"the measurement group was refused: {message}"]


def test_a_frame_without_an_image_is_refused(tmp_path):
    region, (problem,) = one(tmp_path, in_space("POLYGON", closed(circle(MIDDLE, 8)), frame="1.2.826.405"))
    assert region is None
    assert "neither the referenced image nor any volume in its frame of reference is there" in problem


def test_an_ellipsoid_and_more_is_refused(tmp_path):
    shapes = in_space("ELLIPSOID", axis_ends(MIDDLE, 5.0)), in_space("POLYGON", closed(circle(MIDDLE, 8)))
    region, (problem,) = one(tmp_path, *shapes, of_slice(15))
    assert region is None
    assert problem.endswith("the group draws an ellipsoid and more")


def test_a_bad_group_does_not_stop_the_others(tmp_path):
    good = group(in_space("POLYGON", closed(circle(MIDDLE, 8))), of_slice(15), name="good")
    regions, problems = read(
        write_sr(tmp_path / "sr.dcm", group(in_space("POINT", MIDDLE), of_slice(15)), good)
    )
    assert [(r.name, r.number) for r in regions] == [("good", 2)]
    assert len(said(problems)) == 1


# --- outlines in the pixels of one slice


def test_an_outline_on_a_slice_counts_from_the_corner_of_the_first_pixel(tmp_path):
    square = np.array([[10, 12], [16, 12], [16, 15], [10, 15], [10, 12]], dtype=float)
    region, problems = one(tmp_path, on_slice("POLYLINE", square, 7))
    expected = np.zeros(GRID.shape, dtype=bool)
    expected[10:16, 12:15, 7] = True
    np.testing.assert_array_equal(region.mask.on(GRID), expected)
    assert region.placed.basis is Basis.DECLARED
    assert problems == []


def test_a_circle_on_a_slice(tmp_path):
    region, _ = one(tmp_path, on_slice("CIRCLE", [[30.5, 25.5], [38.5, 25.5]], 7))
    assert region.mask.n_voxels == pytest.approx(np.pi * 64, rel=0.05)
    np.testing.assert_allclose(region.mask.centroid, GRID.points((30, 25, 7)), atol=0.1)


def test_an_ellipse_on_a_slice(tmp_path):
    region, _ = one(tmp_path, on_slice("ELLIPSE", [[20.5, 25], [40.5, 25], [30.5, 20], [30.5, 30]], 7))
    assert region.mask.n_voxels == pytest.approx(np.pi * 50, rel=0.03)


def test_an_outline_on_a_slice_that_is_not_there_is_refused(tmp_path):
    region, (problem,) = one(tmp_path, on_slice("CIRCLE", [[30, 25], [38, 25]], 7), positions={})
    assert region is None
    assert problem == "the measurement group was refused: the slice that was drawn on is not there"


def test_a_slice_that_does_not_lie_on_its_volume_is_refused(tmp_path):
    positions = {sop_of(7): (0.0, 0.0, 55.0)}
    region, (problem,) = one(tmp_path, on_slice("CIRCLE", [[30, 25], [38, 25]], 7), positions=positions)
    assert region is None
    assert problem.endswith("the slice that was drawn on does not lie on its volume")


# --- reports


def test_a_report_without_measurement_groups_is_refused(tmp_path):
    regions, (problem,) = read(write_sr(tmp_path / "sr.dcm"))
    assert regions == ()
    assert problem.found == "the drawing was refused: the report holds no measurement group"


def test_a_real_report_refers_to_its_segmentation(case_dir):
    folder = next(p for p in case_dir("seg_sr_samples").rglob("sr-example") if p.is_dir())
    chest, sops = load_series(next(p for p in case_dir("seg_sr_samples").rglob("ct-3slice") if p.is_dir()))
    objects = [region_object(folder / name) for name in ("sr.dcm", "seg.dcm")]
    regions, problems = import_regions(objects, (chest,), series_of_sop=sops)
    assert regions == ()
    assert [p.found for p in problems] == [
        "the segment was refused: "
        "neither the referenced image nor any volume in its frame of reference is there",
        "the measurement group was refused: the referenced segment 1 was not imported",
        "the values of the report (22) stay in the source; they were not computed again",
    ]


def test_a_real_report_gives_its_segment_the_name_of_the_lesion(case_dir):
    folder = next(p for p in case_dir("seg_sr_samples").rglob("sr-example") if p.is_dir())
    source = region_object(folder / "seg.dcm")
    image = make_volume(
        make_grid(
            (128, 128, 13),
            (3.5390625,) * 2 + (2.5,),
            (-226.4105, -430.7887, -119.271),
            frame=source.frame_of_reference_uid,
        )
    )
    objects = [region_object(folder / "sr.dcm"), source]
    (region,), _ = import_regions(objects, (image,), series_of_sop={})
    assert (region.tracking_id, region.source_kind) == ("primary tumor", "SEG")
    assert region.tracking_uid
