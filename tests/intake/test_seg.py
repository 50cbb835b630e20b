"""Segmentations: every kind, every orientation, what is refused, and real ones against another decoder."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGLSLossless, RLELossless

from osteotrace.intake.regions import import_regions
from osteotrace.model.codes import Code
from osteotrace.model.criteria import parse_criteria
from osteotrace.model.values import Basis, Severity
from osteotrace.space import Grid
from region_cases import (
    FRAME,
    ball,
    coded,
    dataset,
    load_series,
    make_grid,
    make_volume,
    oblique_grid,
    plain_seg,
    region_object,
    save,
    sops_of,
    write_seg,
)

GRID = make_grid()
VOLUME = make_volume(GRID)
MIDDLE = GRID.points((30, 25, 15))
SEG, LABELMAP = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"
HALF = parse_criteria(
    b'version = "1.0.0"\n[[criterion]]\nid = "seg.fractional_threshold"\nvalue = 0.5\nunit = "1"\n'
    b'source = "test"\nkind = "project"\n',
    "test.toml",
)


def read(path, volumes=(VOLUME,)):
    sops = {sop: series for v in volumes for sop, series in sops_of(v).items()}
    return import_regions([region_object(path)], volumes, series_of_sop=sops, criteria=HALF)


def two_balls(grid: Grid) -> np.ndarray:
    """Two balls that overlap; shape (i, j, k, 2)."""
    middle = grid.points((30, 25, 15))
    return np.stack([ball(grid, middle, 9), ball(grid, middle + np.array([6, 3, 2]), 7)], axis=-1)


def rewrite(path, change):
    made = dcmread(path)
    change(made)
    made.save_as(path)
    return path


# --- kinds


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"])
@pytest.mark.parametrize("grid", [GRID, oblique_grid()], ids=["straight", "oblique"])
def test_binary_segments_that_overlap_are_read_voxel_by_voxel(tmp_path, grid, syntax):
    masks = two_balls(grid)
    path = write_seg(tmp_path / "seg.dcm", grid, masks, syntax=syntax, tracked=True)
    regions, problems = read(path, (make_volume(grid),))
    assert [r.number for r in regions] == [1, 2]
    for n, region in enumerate(regions):
        np.testing.assert_array_equal(region.mask.on(grid), masks[..., n])
    assert problems == ()
    first = regions[0]
    assert (first.name, first.source_kind, first.placed.basis) == ("lesion 1", "SEG", Basis.DECLARED)
    assert first.type == Code("52988006", "SCT", "Lesion")
    assert first.category == Code("49755003", "SCT", "Morphologically Abnormal Structure")
    assert (first.tracking_id, first.tracking_uid) == ("lesion 1", "1.2.826.77.1")


def test_a_deflated_file(tmp_path):
    path = write_seg(tmp_path / "seg.dcm", GRID, two_balls(GRID))
    made = dcmread(path)
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    made.save_as(path)
    regions, problems = read(path)
    np.testing.assert_array_equal(regions[0].mask.on(GRID), two_balls(GRID)[..., 0])
    assert problems == ()


def test_frames_that_do_not_start_on_a_byte(tmp_path):
    grid = make_grid((13, 7, 5))
    masks = np.random.default_rng(1).random((13, 7, 5, 2)) < 0.4
    regions, _ = read(write_seg(tmp_path / "seg.dcm", grid, masks), (make_volume(grid),))
    for n, region in enumerate(regions):
        np.testing.assert_array_equal(region.mask.on(grid), masks[..., n])


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", RLELossless, JPEGLSLossless])
def test_labelmaps(tmp_path, syntax):
    masks = two_balls(GRID)
    labels = np.where(masks[..., 0], 1, 0).astype(np.uint8)
    labels[masks[..., 1] & ~masks[..., 0]] = 2
    regions, problems = read(write_seg(tmp_path / "seg.dcm", GRID, labels, "LABELMAP", syntax=syntax))
    assert dcmread(tmp_path / "seg.dcm").SOPClassUID == LABELMAP
    assert [r.number for r in regions] == [1, 2]
    for region in regions:
        np.testing.assert_array_equal(region.mask.on(GRID), labels == region.number)
    assert problems == ()


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", RLELossless])
def test_fractional_segments_are_cut_at_the_criterion_and_that_is_said(tmp_path, syntax):
    share = np.clip(1.5 - np.abs(np.arange(60) - 30) / 10, 0, 1)[:, None, None, None] * np.ones(
        (60, 50, 30, 1)
    )
    path = write_seg(
        tmp_path / "seg.dcm",
        GRID,
        share,
        "FRACTIONAL",
        syntax=syntax,
        fractional_type="PROBABILITY",
        max_fractional_value=200,
    )
    (region,), (problem,) = read(path)
    np.testing.assert_array_equal(region.mask.on(GRID), share[..., 0] >= 0.5)
    assert problem.severity is Severity.INFERRED
    assert problem.code == "seg.fractional_threshold"
    assert problem.found == "the segmentation is fractional (probability): voxels of 0.5 or more were taken"


def test_deflated_frames(tmp_path):
    path = write_seg(tmp_path / "seg.dcm", GRID, two_balls(GRID))
    made = dcmread(path)
    frames = []
    for frame in made.pixel_array:
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        bits = np.packbits(frame.ravel(), bitorder="little").tobytes()
        frames.append(packer.compress(bits) + packer.flush())
    made.PixelData = encapsulate([f + b"\0" * (len(f) % 2) for f in frames])
    made["PixelData"].is_undefined_length = True
    made.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.8.1"
    dcmwrite(path, made, implicit_vr=False, little_endian=True, force_encoding=True)
    regions, problems = read(path)
    np.testing.assert_array_equal(regions[1].mask.on(GRID), two_balls(GRID)[..., 1])
    assert problems == ()


def test_background_and_padding_of_a_labelmap_are_no_regions(tmp_path):
    labels = np.where(ball(GRID, MIDDLE, 9), 2, 1).astype(np.uint8)
    labels[:10] = 3
    path = write_seg(tmp_path / "seg.dcm", GRID, labels, "LABELMAP")

    def declare(made):
        made.PixelPaddingValue = 3
        made.SegmentSequence[-1].SegmentLabel = "padding"
        (item,) = coded("125040", "DCM", "Background")
        for segment in made.SegmentSequence:
            if segment.SegmentNumber == 1:
                segment.SegmentedPropertyTypeCodeSequence[0] = item

    regions, problems = read(rewrite(path, declare))
    assert [r.number for r in regions] == [2]
    assert problems == ()


# --- orientation and lattice

CUBE = np.zeros(GRID.shape, dtype=bool)
CUBE[20:27, 11:16, 4:9] = True
CUBE[20, 11, 4] = False


def frames_along(axes: tuple[int, int, int], flips: tuple[int, int, int], mask=CUBE, grid=GRID):
    """Frames of a mask whose columns, rows and slices run along other axes of the grid, some backwards."""
    steps = [np.eye(3)[a] * f for a, f in zip(axes, flips, strict=True)]
    corner = np.array([0.0, 0.0, 0.0])
    for a, f in zip(axes, flips, strict=True):
        corner[a] = 0 if f > 0 else grid.shape[a] - 1
    turned = np.moveaxis(mask, axes, (0, 1, 2))[tuple(slice(None, None, f) for f in flips)]
    frames = []
    for n in range(turned.shape[2]):
        if turned[:, :, n].any():
            frames.append((1, grid.points(corner + n * steps[2]), turned[:, :, n].T))
    vectors = [grid.affine[:3, :3] @ s for s in steps]
    unit = [v / np.linalg.norm(v) for v in vectors]
    pixel_mm = (float(np.linalg.norm(vectors[1])), float(np.linalg.norm(vectors[0])))
    return frames, [*unit[0], *unit[1]], pixel_mm, float(np.linalg.norm(vectors[2]))


@pytest.mark.parametrize(
    ("axes", "flips"),
    [
        ((0, 1, 2), (1, 1, 1)),
        ((0, 1, 2), (-1, -1, 1)),
        ((0, 1, 2), (1, -1, -1)),
        ((1, 0, 2), (1, 1, -1)),
        ((1, 2, 0), (1, -1, 1)),
        ((0, 2, 1), (-1, 1, -1)),
    ],
)
def test_any_orientation_lands_on_the_voxels_of_the_image(tmp_path, axes, flips):
    frames, cosines, pixel_mm, slice_mm = frames_along(axes, flips)
    made = plain_seg(frames[::-1], cosines, pixel_mm, slice_mm=slice_mm)
    (region,), problems = read(save(made, tmp_path / "seg.dcm", SEG))
    np.testing.assert_array_equal(region.mask.on(GRID), CUBE)
    assert problems == ()


def test_slices_without_pixels_may_be_absent(tmp_path):
    mask = CUBE.copy()
    mask[:, :, 6] = False
    frames, cosines, pixel_mm, _ = frames_along((0, 1, 2), (1, 1, 1), mask)
    assert len(frames) == 4
    made = plain_seg(frames, cosines, pixel_mm, slice_mm=None)
    (region,), problems = read(save(made, tmp_path / "seg.dcm", SEG))
    np.testing.assert_array_equal(region.mask.on(GRID), mask)
    assert problems == ()


def test_rounded_positions_still_are_of_the_lattice(tmp_path):
    frames, cosines, pixel_mm, slice_mm = frames_along((0, 1, 2), (1, 1, 1))
    frames = [(s, p + np.array([0.03, -0.05, 0.1]), x) for s, p, x in frames]
    (region,), _ = read(
        save(plain_seg(frames, cosines, pixel_mm, slice_mm=slice_mm), tmp_path / "s.dcm", SEG)
    )
    np.testing.assert_array_equal(region.mask.on(GRID), CUBE)


@pytest.mark.parametrize("declared", [1.5, None])
def test_a_lattice_of_its_own_is_kept_and_that_is_said(tmp_path, declared):
    own = make_grid((40, 40, 20), (1.0, 1.0, 1.5), (-15.3, -20.2, 50.1))
    mask = ball(own, own.points((20, 20, 10)), 8)
    mask[:, :, 9] = False
    frames, cosines, pixel_mm, _ = frames_along((0, 1, 2), (1, 1, -1), mask, own)
    made = plain_seg(frames, cosines, pixel_mm, slice_mm=declared)
    (region,), (problem,) = read(save(made, tmp_path / "seg.dcm", SEG))
    assert region.series_id == VOLUME.series.id
    np.testing.assert_allclose(
        np.sort(region.mask.points, axis=0), np.sort(own.points(np.argwhere(mask)), axis=0), atol=1e-6
    )
    assert region.mask.grid.spacing == pytest.approx([1.0, 1.0, 1.5])
    assert problem.severity is Severity.INFO
    assert problem.found == "the drawing has a lattice of its own (1.00 x 1.00 x 1.50 mm), which was kept"


def test_frames_of_two_orientations_are_refused(tmp_path):
    frames, cosines, pixel_mm, slice_mm = frames_along((0, 1, 2), (1, 1, 1))
    made = plain_seg(frames, cosines, (pixel_mm[0] * 1.3, pixel_mm[1]), slice_mm=slice_mm)
    other = dataset(ImageOrientationPatient=[0, 1, 0, 0, 0, 1])
    made.PerFrameFunctionalGroupsSequence[1].PlaneOrientationSequence = [other]
    _, (problem,) = read(save(made, tmp_path / "seg.dcm", SEG))
    assert problem.found == "the segment was refused: the frames of the segmentation are not parallel"


def test_uneven_frames_on_a_lattice_of_their_own_are_refused(tmp_path):
    frames, cosines, pixel_mm, _ = frames_along((0, 1, 2), (1, 1, 1))
    frames = [(s, p + np.array([0, 0, 0.31 * n**2]), x) for n, (s, p, x) in enumerate(frames)]
    _, (problem,) = read(save(plain_seg(frames, cosines, pixel_mm, slice_mm=None), tmp_path / "seg.dcm", SEG))
    assert problem.found == "the segment was refused: the frames of the segmentation are not evenly spaced"


def test_one_slice_of_unknown_thickness_off_the_image_is_refused(tmp_path):
    frames, cosines, pixel_mm, _ = frames_along((0, 1, 2), (1, 1, 1))
    frames = [(1, frames[0][1] + np.array([0, 0, 0.9]), frames[0][2])]
    _, (problem,) = read(save(plain_seg(frames, cosines, pixel_mm, slice_mm=None), tmp_path / "seg.dcm", SEG))
    assert "one slice of unknown thickness" in problem.found


# --- which image


def test_an_absent_image_of_the_same_frame_is_inferred(tmp_path):
    frames, cosines, pixel_mm, slice_mm = frames_along((0, 1, 2), (1, 1, 1))
    made = plain_seg(frames, cosines, pixel_mm, slice_mm=slice_mm, series="1.2.826.404")
    other = make_volume(make_grid((30, 25, 40), (4.0, 4.0, 2.0), (-50, -40, 41)), "1.2.826.31", modality="PT")
    (region,), (problem,) = read(save(made, tmp_path / "seg.dcm", SEG), (other, VOLUME))
    np.testing.assert_array_equal(region.mask.on(GRID), CUBE)
    assert region.placed.basis is Basis.INFERRED
    assert problem.found.startswith(
        "the image was inferred: referenced series absent; same frame of reference"
    )


def test_another_frame_of_reference_is_refused(tmp_path):
    frames, cosines, pixel_mm, slice_mm = frames_along((0, 1, 2), (1, 1, 1))
    made = plain_seg(frames, cosines, pixel_mm, slice_mm=slice_mm, frame="1.2.826.405")
    regions, (problem,) = read(save(made, tmp_path / "seg.dcm", SEG))
    assert regions == ()
    assert problem.severity is Severity.REFUSED
    assert problem.found == (
        "the segment was refused: the drawing is in another frame of reference than the image that it names"
    )
    assert problem.where == f"seg.dcm, segment 1 lesion 1: 1.2.826.405 and {FRAME}"


def test_image_and_frame_absent_are_refused(tmp_path):
    frames, cosines, pixel_mm, slice_mm = frames_along((0, 1, 2), (1, 1, 1))
    made = plain_seg(frames, cosines, pixel_mm, slice_mm=slice_mm, frame="1.2.826.405", series="1.2.826.404")
    _, (problem,) = read(save(made, tmp_path / "seg.dcm", SEG))
    assert "neither the referenced image nor any volume in its frame of reference is there" in problem.found


def test_voxels_outside_the_image_are_lost_and_counted(tmp_path):
    frames, cosines, pixel_mm, slice_mm = frames_along((0, 1, 2), (1, 1, 1))
    small = make_volume(make_grid((60, 50, 6)))
    (region,), (problem,) = read(
        save(plain_seg(frames, cosines, pixel_mm, slice_mm=slice_mm), tmp_path / "seg.dcm", SEG), (small,)
    )
    assert region.mask.n_voxels == 69
    assert problem.found == "60.3% of the drawing lies outside the image"


def test_a_segment_wholly_outside_is_refused(tmp_path):
    frames, cosines, pixel_mm, slice_mm = frames_along((0, 1, 2), (1, 1, 1))
    small = make_volume(make_grid((60, 50, 3)))
    path = save(plain_seg(frames, cosines, pixel_mm, slice_mm=slice_mm), tmp_path / "seg.dcm", SEG)
    regions, (problem,) = read(path, (small,))
    assert regions == ()
    assert problem.found == "the segment was refused: the drawing lies wholly outside the image"


# --- bad objects


def a_seg(tmp_path, change=None):
    frames, cosines, pixel_mm, slice_mm = frames_along((0, 1, 2), (1, 1, 1))
    made = plain_seg(frames, cosines, pixel_mm, slice_mm=slice_mm)
    if change is not None:
        change(made)
    return save(made, tmp_path / "seg.dcm", SEG)


def test_an_empty_segment_is_named_and_the_others_go_on(tmp_path):
    def add(made):
        made.SegmentSequence.append(dataset(SegmentNumber=7, SegmentLabel="nothing"))

    regions, (problem,) = read(a_seg(tmp_path, add))
    assert len(regions) == 1
    assert problem.where == "seg.dcm, segment 7 nothing"
    assert problem.found == "the segment was refused: no pixel is set"


def test_pixels_of_a_segment_that_is_not_described_are_named(tmp_path):
    def renumber(made):
        made.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence[0].ReferencedSegmentNumber = 4

    regions, (problem,) = read(a_seg(tmp_path, renumber))
    assert regions[0].mask.grid.shape[2] == 4
    assert problem.severity is Severity.EXCLUDED
    assert problem.found == "segment 4 has pixels, but is not described"


def short_pixels(made):
    made.PixelData = made.PixelData[:1000]


def no_pixels(made):
    del made.PixelData


def no_position(made):
    del made.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence


def no_shared(made):
    del made.SharedFunctionalGroupsSequence


def no_frames(made):
    del made.PerFrameFunctionalGroupsSequence


def no_segments(made):
    del made.SegmentSequence


def no_rows(made):
    del made.Rows


def no_segment_number(made):
    made.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence = []


def zero_segment(made):
    made.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence[0].ReferencedSegmentNumber = 0


def no_type(made):
    made.SegmentationType = "SURFACE"


def no_maximum(made):
    made.SegmentationType = "FRACTIONAL"


def long_axes(made):
    made.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient = [
        2,
        0,
        0,
        0,
        1,
        0,
    ]


def deep_pixels(made):
    made.BitsAllocated = 32


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (short_pixels, "the pixel data hold 2 of 5 frames"),
        (no_pixels, "the pixels cannot be decoded (AttributeError)"),
        (no_position, "ImagePositionPatient has 0 usable values"),
        (no_shared, "ImageOrientationPatient has 0 usable values"),
        (no_frames, "5 frames, but 0 functional groups"),
        (no_segments, "the segmentation describes no segment"),
        (no_rows, "frames of 0 x 60 pixels"),
        (no_segment_number, "ReferencedSegmentNumber is absent or no whole number"),
        (zero_segment, "a frame is of segment 0"),
        (no_type, "SegmentationType is SURFACE"),
        (no_maximum, "MaximumFractionalValue is absent"),
        (long_axes, "a frame has no valid orientation or pixel spacing"),
        (deep_pixels, "32 bits a pixel"),
    ],
)
def test_damage_is_named(tmp_path, damage, message):
    regions, (problem,) = read(a_seg(tmp_path, damage))
    assert regions == ()
    assert problem.severity is Severity.REFUSED
    assert problem.found == f"the drawing was refused: {message}"


def test_corrupt_compressed_frames_are_refused(tmp_path):
    labels = np.where(ball(GRID, MIDDLE, 9), 1, 0).astype(np.uint8)
    path = write_seg(tmp_path / "seg.dcm", GRID, labels, "LABELMAP", syntax=RLELossless)
    data = path.read_bytes()
    at = data.rindex(b"\xfe\xff\x00\xe0")  # the last fragment
    path.write_bytes(data[: at + 8] + b"\xff" * (len(data) - at - 16) + data[-8:])
    regions, problems = read(path)
    assert regions == ()
    assert any("the pixels cannot be decoded" in p.found for p in problems)


def test_a_file_that_ends_inside_the_pixels_is_refused(tmp_path):
    path = write_seg(tmp_path / "seg.dcm", GRID, two_balls(GRID))
    source = region_object(path)
    path.write_bytes(path.read_bytes()[:-2000])
    regions, problems = import_regions([source], (VOLUME,), series_of_sop=sops_of(VOLUME), criteria=HALF)
    assert regions == ()
    assert [p.severity for p in problems if p.code != "dicom-warning"] == [Severity.REFUSED]


# --- real


def decoded(path) -> dict[int, np.ndarray]:
    """Patient points of the set pixels of every segment, by pydicom's own decoder and one frame at a time."""
    made = dcmread(path)
    shared = made.SharedFunctionalGroupsSequence[0]
    axes = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float).reshape(2, 3)
    row_mm, column_mm = (float(x) for x in shared.PixelMeasuresSequence[0].PixelSpacing)
    points: dict[int, list[np.ndarray]] = {}
    for group, frame in zip(made.PerFrameFunctionalGroupsSequence, made.pixel_array, strict=True):
        origin = np.array(group.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        is_labelmap = made.SegmentationType == "LABELMAP"
        numbers = (
            np.unique(frame)
            if is_labelmap
            else [group.SegmentIdentificationSequence[0].ReferencedSegmentNumber]
        )
        for number in numbers:
            rows, columns = np.nonzero(frame == number if is_labelmap else frame)
            here = origin + columns[:, None] * column_mm * axes[0] + rows[:, None] * row_mm * axes[1]
            points.setdefault(int(number), []).append(here)
    return {n: np.concatenate(p) for n, p in points.items()}


REAL = [
    ("qin_headneck_pet_seg", ["pet"], ["seg.dcm"], {"seg.dcm": 11}),
    (
        "acrin_nsclc_fdg_pet_042_petct",
        ["ct", "pet_ac"],
        ["SEG_162308.dcm", "SEG_504365.dcm", "SEG_760111.dcm"],
        {"SEG_162308.dcm": 1, "SEG_504365.dcm": 2, "SEG_760111.dcm": 2},
    ),
    (
        "seg_sr_samples",
        ["ct-3slice"],
        ["liver.dcm", "partial_overlaps.dcm"],
        {"liver.dcm": 1, "partial_overlaps.dcm": 5},
    ),
    (
        "seg_sr_samples",
        ["24x38x3/image"],
        ["sparse-labelmap-noppv.dcm", "sparse-labelmap-ppv5.dcm"],
        {"sparse-labelmap-noppv.dcm": 1, "sparse-labelmap-ppv5.dcm": 1},
    ),
]


@pytest.mark.parametrize(("case", "images", "files", "counts"), REAL)
def test_real_segmentations_are_voxel_equal_to_an_independent_decoder(case_dir, case, images, files, counts):
    folder = case_dir(case)
    loaded = [load_series(next(p for p in folder.rglob(name) if p.is_dir())) for name in images]
    sops = {sop: series for _, uids in loaded for sop, series in uids.items()}
    volumes = {v.series.id: v for v, _ in loaded}
    for file in files:
        path = next(folder.rglob(file))
        regions, problems = import_regions([region_object(path)], list(volumes.values()), series_of_sop=sops)
        assert len(regions) == counts[file]
        assert [p for p in problems if p.code != "dicom-warning"] == []
        points = decoded(path)
        for region in regions:
            grid = volumes[region.series_id].grid
            expected = np.zeros(grid.shape, dtype=bool)
            expected[tuple(np.round(grid.indices(points[region.number])).astype(int).T)] = True
            np.testing.assert_array_equal(region.mask.on(grid), expected)


def test_the_real_pet_segments_have_their_volumes_and_uptake(case_dir):
    folder = case_dir("qin_headneck_pet_seg")
    volume, sops = load_series(folder / "pet")
    regions, _ = import_regions([region_object(folder / "seg.dcm")], (volume,), series_of_sop=sops)
    volumes_ml = [r.mask.volume_ml for r in regions]
    assert min(volumes_ml) == pytest.approx(1.0, abs=0.05)
    assert max(volumes_ml) == pytest.approx(98.7, abs=0.1)
    assert all(r.placed.basis is Basis.DECLARED for r in regions)
    values = [float(volume.values[r.mask.on(volume.grid)].max()) for r in regions]
    assert max(values) / min(values) == pytest.approx(21.8 / 4.9, rel=0.02)


def test_the_real_chest_segments_lie_on_their_own_images(case_dir):
    folder = case_dir("acrin_nsclc_fdg_pet_042_petct")
    loaded = {name: load_series(folder / name) for name in ("ct", "pet_ac", "pet_nac")}
    sops = {sop: series for _, uids in loaded.values() for sop, series in uids.items()}
    paths = sorted(folder.rglob("SEG_*.dcm"))
    regions, _ = import_regions(
        [region_object(p) for p in paths], [v for v, _ in loaded.values()], series_of_sop=sops
    )
    names = {v.series.id: name for name, (v, _) in loaded.items()}
    assert [names[r.series_id] for r in regions] == ["pet_ac", "pet_ac", "pet_ac", "ct", "ct"]
