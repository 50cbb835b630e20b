"""A reader's drawings as structure set and as segmentation, on lattices that are turned about all axes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest

from osteotrace.errors import FrameMismatchError, InputError, LatticeMismatchError
from osteotrace.intake import read_study
from osteotrace.model.codes import Code
from osteotrace.model.imaging import Region
from osteotrace.model.values import Basis
from osteotrace.phantom.protocols import Acquisition
from osteotrace.phantom.storage import write_acquisition, write_segmentation, write_structure_set
from osteotrace.space import Grid, Mask
from phantom_storage import complaints, context, ct, mr, pet, planar, smooth

ON = [
    mr(name="mr"),
    ct(),
    replace(pet(slices=24), values=smooth((20, 24, 24), 0, 8)),
]
BALLS = (("T11 körper", (0.45, 0.5, 0.5), 0.3), ("iliac", (0.6, 0.4, 0.4), 0.22))


def ball(grid: Grid, place: tuple[float, ...], share: float) -> tuple[np.ndarray, float]:
    """Centre (LPS mm) and radius of a ball, by share of the field of view and of its smallest side."""
    reach = np.array(grid.shape) * grid.spacing
    return grid.points(np.array(place) * grid.shape), float(share * reach.min())


def inside(grid: Grid, center: np.ndarray, radius: float) -> np.ndarray:
    points = grid.points(np.moveaxis(np.indices(grid.shape), 0, -1))
    return np.asarray(np.linalg.norm(points - center, axis=-1) <= radius)


def circles(grid: Grid, center: np.ndarray, radius: float) -> list[np.ndarray]:
    """Where the surface of a ball meets the slices."""
    i, j, middle = grid.indices(center)
    turn = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    found = []
    for k in range(grid.shape[2]):
        squared = radius**2 - ((k - middle) * grid.spacing[2]) ** 2
        if squared > 0:
            reach = np.sqrt(squared) / grid.spacing[:2]
            index = [i + reach[0] * np.cos(turn), j + reach[1] * np.sin(turn), np.full_like(turn, k)]
            found.append(grid.points(np.stack(index, axis=1)))
    return found


def masks(grid: Grid) -> list[tuple[str, Mask]]:
    return [(name, Mask.from_array(inside(grid, *ball(grid, *where)), grid)) for name, *where in BALLS]


def dice(region: Region, grid: Grid, center: np.ndarray, radius: float) -> float:
    """Overlap of a region with a ball, voxel by voxel on the lattice that it was read on."""
    got = {tuple(np.rint(grid.indices(p)).astype(int)) for p in region.mask.points}
    meant = {tuple(int(n) for n in index) for index in np.argwhere(inside(grid, center, radius))}
    return 2 * len(got & meant) / (len(got) + len(meant))


def read(folder: Path) -> tuple[Region, ...]:
    images = read_study(folder)
    assert images.problems == ()
    return images.regions


@pytest.mark.parametrize("acquisition", ON, ids=lambda a: a.id)
def test_a_structure_set_comes_back(acquisition: Acquisition, tmp_path: Path) -> None:
    write_acquisition(tmp_path / "images", acquisition, context())
    grid = acquisition.grid
    rois = [(name, circles(grid, *ball(grid, *where))) for name, *where in BALLS]
    path = write_structure_set(tmp_path / "drawn" / "rt.dcm", acquisition, rois, context())
    assert complaints(path) == ([], [])
    regions = read(tmp_path)
    assert [r.name for r in regions] == [name for name, *_ in BALLS]
    for region, (_, *where) in zip(regions, BALLS, strict=True):
        assert (region.source_kind, region.placed.basis) == ("RTSTRUCT", Basis.DECLARED)
        assert dice(region, grid, *ball(grid, *where)) >= 0.98


@pytest.mark.parametrize("acquisition", ON, ids=lambda a: a.id)
def test_a_segmentation_comes_back_voxel_by_voxel(acquisition: Acquisition, tmp_path: Path) -> None:
    write_acquisition(tmp_path / "images", acquisition, context())
    path = write_segmentation(tmp_path / "seg.dcm", acquisition, masks(acquisition.grid), context())
    assert complaints(path) == ([], [])
    regions = read(tmp_path)
    for region, (name, *where) in zip(regions, BALLS, strict=True):
        assert (region.name, region.source_kind, region.tracking_id) == (name, "SEG", name)
        assert region.type == Code("52988006", "SCT", "Lesion")
        assert region.placed.basis is Basis.DECLARED
        assert dice(region, acquisition.grid, *ball(acquisition.grid, *where)) == 1.0


def test_highdicom_reads_the_segmentation(tmp_path: Path) -> None:
    acquisition = ct()
    drawn = masks(acquisition.grid)
    seg = highdicom.seg.segread(write_segmentation(tmp_path / "seg.dcm", acquisition, drawn, context()))
    assert [seg.get_segment_description(n).segment_label for n in seg.segment_numbers] == [
        n for n, _ in drawn
    ]
    sources = [context().image_uid(acquisition, k) for k in range(acquisition.grid.shape[2])]
    frames = seg.get_pixels_by_source_instance(sources, assert_missing_frames_are_empty=True)
    for n, (_, mask) in enumerate(drawn):
        np.testing.assert_array_equal(frames[..., n].transpose(2, 1, 0), mask.on(acquisition.grid))


def test_drawings_lie_in_the_study_of_their_series(tmp_path: Path) -> None:
    acquisition, who = ct(), context()
    image = pydicom.dcmread(write_acquisition(tmp_path / "ct", acquisition, who)[0])
    outlines = [("a", circles(acquisition.grid, *ball(acquisition.grid, *BALLS[0][1:])))]
    made = [
        write_structure_set(tmp_path / "a.dcm", acquisition, outlines, who),
        write_structure_set(tmp_path / "b.dcm", acquisition, outlines, who, label="SECOND"),
        write_segmentation(tmp_path / "c.dcm", acquisition, masks(acquisition.grid), who),
    ]
    headers = [pydicom.dcmread(path) for path in made]
    for header in headers:
        same = ("PatientID", "PatientName", "StudyInstanceUID", "StudyDate", "FrameOfReferenceUID")
        assert all(header[keyword].value == image[keyword].value for keyword in same)
    assert len({h.SOPInstanceUID for h in headers} | {image.SOPInstanceUID}) == 4
    assert len({h.SeriesInstanceUID for h in headers} | {image.SeriesInstanceUID}) == 4
    again = write_segmentation(tmp_path / "d.dcm", acquisition, masks(acquisition.grid), who)
    assert again.read_bytes() == made[2].read_bytes()


def test_a_contour_beyond_the_series_names_no_image(tmp_path: Path) -> None:
    far = ct().grid.points([(5, 5, 99), (9, 5, 99), (9, 9, 99)])
    header = pydicom.dcmread(write_structure_set(tmp_path / "rt.dcm", ct(), [("far", [far])], context()))
    assert "ContourImageSequence" not in header.ROIContourSequence[0].ContourSequence[0]


@pytest.mark.parametrize(
    ("acquisition", "rois", "words"),
    [
        (ct(), [], "no ROI was drawn"),
        (ct(), [("a", [])], "the ROI a has no contour of points"),
        (ct(), [("a", [np.zeros((4, 2))])], "expected: arrays of shape (n, 3)"),
        (planar(), [("a", [np.zeros((4, 3))])], "nm has no slices"),
    ],
)
def test_contours_that_cannot_be_written(acquisition, rois, words, tmp_path):
    with pytest.raises(InputError) as caught:
        write_structure_set(tmp_path / "rt.dcm", acquisition, rois, context())
    assert words in str(caught.value)
    assert not list(tmp_path.iterdir())


def far_mask(grid: Grid) -> Mask:
    """On the lattice of a grid, but beyond its field of view."""
    affine = np.array(grid.affine)
    affine[:3, 3] = grid.points((0, 0, 100))
    return Mask(np.ones((1, 1, 1), dtype=bool), Grid((1, 1, 1), affine, grid.frame_of_reference_uid))


@pytest.mark.parametrize(
    ("acquisition", "segments", "error", "words"),
    [
        (ct(), [], InputError, "no segment was drawn"),
        (ct(), [("a", far_mask(ct().grid))], InputError, "the segment a lies beyond the series"),
        (planar(), masks(ct().grid), InputError, "nm has no slices"),
        (ct(), masks(mr().grid), FrameMismatchError, "two frames of reference"),
        (
            ct(),
            masks(replace(ct().grid, affine=ct().grid.affine + np.eye(4, 4) * [[1], [1], [1], [0]])),
            LatticeMismatchError,
            "do not coincide",
        ),
    ],
)
def test_masks_that_cannot_be_written(acquisition, segments, error, words, tmp_path):
    with pytest.raises(error) as caught:
        write_segmentation(tmp_path / "seg.dcm", acquisition, segments, context())
    assert words in str(caught.value)
    assert not list(tmp_path.iterdir())
