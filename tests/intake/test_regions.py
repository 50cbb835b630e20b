"""All drawings of a patient together: order, doubles, files that cannot be read, and any garbage at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import RLELossless

from osteotrace.intake.regions import REGION_SOP_CLASSES, RegionObject, import_regions
from osteotrace.model.values import Severity
from region_cases import (
    ball,
    circle,
    coded,
    contour_item,
    dataset,
    make_grid,
    make_volume,
    region_object,
    save,
    sop_of,
    sops_of,
    write_rtstruct,
    write_seg,
)

GRID = make_grid((40, 36, 12))
VOLUME = make_volume(GRID)
MIDDLE = GRID.points((20, 18, 6))
SR = "1.2.840.10008.5.1.4.1.1.88.34"


def rtstruct(folder: Path) -> Path:
    rois = {"a": [contour_item(circle(GRID.points((20, 18, k)), 7, 24), sop=sop_of(k)) for k in (5, 6, 7)]}
    return write_rtstruct(folder / "rt.dcm", rois, uid="1.2.826.91")


def binary(folder: Path) -> Path:
    return write_seg(folder / "seg.dcm", GRID, ball(GRID, MIDDLE, 7)[..., None])


def labelmap(folder: Path) -> Path:
    labels = ball(GRID, MIDDLE, 7).astype(np.uint8)
    return write_seg(folder / "map.dcm", GRID, labels, "LABELMAP", syntax=RLELossless)


def report(folder: Path) -> Path:
    referenced = dataset(
        ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.66.4",
        ReferencedSOPInstanceUID="1.2.826.9",
        ReferencedSegmentNumber=1,
    )
    content = [
        dataset(ValueType="TEXT", ConceptNameCodeSequence=coded("112039", "DCM", "x"), TextValue="lesion A"),
        dataset(ValueType="IMAGE", ReferencedSOPSequence=[referenced]),
    ]
    drawn = dataset(
        ValueType="SCOORD3D",
        GraphicType="ELLIPSOID",
        GraphicData=np.concatenate([[MIDDLE - 5 * e, MIDDLE + 5 * e] for e in np.eye(3)]).ravel().tolist(),
        ReferencedFrameOfReferenceUID=GRID.frame_of_reference_uid,
    )
    groups = [
        dataset(ValueType="CONTAINER", ConceptNameCodeSequence=coded("125007", "DCM", "x"), ContentSequence=c)
        for c in (content, [drawn])
    ]
    return save(dataset(ValueType="CONTAINER", ContentSequence=groups), folder / "sr.dcm", SR, "1.2.826.92")


def read(*objects: RegionObject):
    return import_regions(objects, (VOLUME,), series_of_sop=sops_of(VOLUME))


def test_all_kinds_of_drawings_together_in_any_order(tmp_path):
    paths = [report(tmp_path), binary(tmp_path), rtstruct(tmp_path)]
    regions, problems = read(*(region_object(p) for p in paths))
    assert [(r.source_kind, r.name) for r in regions] == [
        ("SEG", "lesion 1"),
        ("RTSTRUCT", "a"),
        ("SR", "group 2"),
    ]
    assert regions[0].tracking_id == "lesion A"
    assert {p.severity for p in problems} == {Severity.INFO, Severity.INFERRED}


def test_the_classes_that_are_read_are_told():
    assert "1.2.840.10008.5.1.4.1.1.481.3" in REGION_SOP_CLASSES
    assert "1.2.840.10008.5.1.4.1.1.66.7" in REGION_SOP_CLASSES
    assert "1.2.840.10008.5.1.4.1.1.88.67" not in REGION_SOP_CLASSES  # a dose report


def test_another_kind_of_object_is_refused_by_its_name(tmp_path):
    path = save(Dataset(), tmp_path / "x.dcm", "1.2.840.10008.5.1.4.1.1.66.5")
    regions, (problem,) = read(region_object(path))
    assert regions == ()
    assert problem.found == "the drawing was refused: Surface Segmentation Storage is not read"


def test_the_same_object_twice_is_read_once(tmp_path):
    first = rtstruct(tmp_path)
    second = tmp_path / "copy.dcm"
    second.write_bytes(first.read_bytes())
    regions, (problem,) = read(region_object(first), region_object(second))
    assert len(regions) == 1
    assert (problem.where, problem.found) == ("copy.dcm", "the same object is there twice and was read once")


def test_a_file_that_is_gone_is_refused_and_the_others_go_on(tmp_path):
    gone = RegionObject(tmp_path / "gone.dcm", "1.2.840.10008.5.1.4.1.1.66.4", "1.2.3", "", "")
    regions, (problem,) = read(gone, region_object(rtstruct(tmp_path)))
    assert len(regions) == 1
    assert problem.severity is Severity.REFUSED
    assert problem.where == "gone.dcm"
    assert problem.found == "the drawing was refused: the drawing cannot be read (FileNotFoundError)"


def test_warnings_of_the_reader_are_recorded_without_the_values(tmp_path):
    path = rtstruct(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"1.2.826.91", b"1.2.Doe.91"))
    source = RegionObject(path, "1.2.840.10008.5.1.4.1.1.481.3", "1.2.826.91", "", "", "1.2.826.2")
    regions, problems = read(source)
    assert len(regions) == 1
    assert not any("Doe" in str(p) for p in problems)


def test_without_volumes_everything_is_refused(tmp_path):
    objects = [region_object(p) for p in (report(tmp_path), binary(tmp_path), rtstruct(tmp_path))]
    regions, problems = import_regions(objects, (), series_of_sop={})
    assert regions == ()
    assert sum(p.severity is Severity.REFUSED for p in problems) == 4


# --- garbage

KINDS: dict[str, Callable[[Path], Path]] = {
    "rtstruct": rtstruct,
    "binary": binary,
    "labelmap": labelmap,
    "report": report,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, RegionObject]:
    folder = tmp_path_factory.mktemp("whole")
    return {name: region_object(make(folder)) for name, make in KINDS.items()}


def never_raises(source: RegionObject, folder: Path, data: bytes) -> None:
    path = folder / "damaged.dcm"
    path.write_bytes(data)
    damaged = RegionObject(path, source.sop_class_uid, source.sop_instance_uid, "", "1.2.826.1", "1.2.826.2")
    regions, problems = read(damaged)
    assert regions or problems
    for region in regions:
        assert region.mask.n_voxels > 0


edits = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12)


@settings(max_examples=60)
@given(st.sampled_from(sorted(KINDS)), edits, st.floats(0.05, 1))
def test_damaged_bytes_and_truncated_files_end_in_problems(files, tmp_path_factory, kind, edits, share):
    source = files[kind]
    data = source.path.read_bytes()
    damaged = bytearray(data[: max(1, int(len(data) * (share if share < 0.5 else 1)))])
    for place, byte in edits:
        damaged[int(place * len(damaged))] = byte
    never_raises(source, tmp_path_factory.mktemp("f"), bytes(damaged))


def everything(made: Dataset) -> list[tuple[Dataset, object]]:
    """Every element of a dataset and of its items, with the dataset that holds it."""
    found = []
    for element in made:
        found.append((made, element.tag))
        if element.VR == "SQ":
            found += [x for entry in element.value for x in everything(entry)]
    return found


TEXTS = {"CS", "DA", "DS", "IS", "LO", "LT", "SH", "ST", "TM", "UI", "UT"}
ODD = st.sampled_from([None, "", "x", "-1", "1e308", "nan", "7\\8", "99999999999"])


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(KINDS)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), ODD), min_size=1, max_size=4),
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_attributes_that_are_absent_or_odd_end_in_problems(files, tmp_path_factory, kind, changes):
    source = files[kind]
    made = dcmread(source.path)
    for place, odd in changes:
        elements = everything(made)
        holder, tag = elements[int(place * len(elements))]
        if odd is None or holder[tag].VR not in TEXTS:
            del holder[tag]
        else:
            holder[tag]._value = odd
    folder = tmp_path_factory.mktemp("f")
    dcmwrite(folder / "odd.dcm", made, implicit_vr=False, little_endian=True, force_encoding=True)
    never_raises(source, folder, (folder / "odd.dcm").read_bytes())
