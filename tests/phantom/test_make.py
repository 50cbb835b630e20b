"""A whole small patient: files, drawings, truth, stopping and going on, bad requests."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from osteotrace.errors import OutputError
from osteotrace.intake import read_study
from osteotrace.model.case import read_case
from osteotrace.model.criteria import load_criteria
from osteotrace.model.values import Modality
from osteotrace.phantom import make
from osteotrace.phantom.index_case import index_case
from osteotrace.phantom.make import make_patient
from osteotrace.phantom.plan import CasePlan, SeriesPlan, SessionPlan
from osteotrace.phantom.protocols import CtProtocol, MrProtocol, NmProtocol, PetProtocol
from osteotrace.space import read_nifti
from phantom_stick import stick_body

SERIES = ["mr0-t1", "mr0-t2fs", "ct69", "nm70", "pet71-ct", "pet71-pet"]
MR = MrProtocol("T1 SE sag", "SE", tr_ms=520, te_ms=12, matrix=96, pixel_mm=3.2, slices=9, thickness_mm=5.0)
CT = CtProtocol("CT", matrix=144, pixel_mm=3.0, slice_mm=4.0)
PET = PetProtocol("PET", matrix=84, pixel_mm=5.5, slice_mm=5.0)
NM = NmProtocol("NM", columns=160, rows=400, pixel_mm=3.0)


def sessions() -> tuple[SessionPlan, ...]:
    def one(name: str, *series: SeriesPlan, day: int, scanner: str, drawn: str = "") -> SessionPlan:
        return SessionPlan(name, day, 600, scanner, "down", series, drawn)

    second = replace(MR, name="T2 TSE FS sag", sequence="TSE", tr_ms=3600, te_ms=95, fat_suppression="FATSAT")
    return (
        one(
            "mr0",
            SeriesPlan("mr0-t1", MR, 0, "T10", "sacrum"),
            SeriesPlan("mr0-t2fs", second, 6, "T10", "sacrum"),
            day=0,
            scanner="referring MR",
            drawn="mr0-t1",
        ),
        one("ct69", SeriesPlan("ct69", CT, 0, "T10", "hip_left"), day=69, scanner="CT", drawn="ct69"),
        one("nm70", SeriesPlan("nm70", NM, 0, "C1", "hip_left"), day=70, scanner="gamma camera"),
        one(
            "pet71",
            SeriesPlan("pet71-ct", replace(CT, low_dose=True), 0, "T10", "hip_left", breath_mm=5.0),
            SeriesPlan("pet71-pet", PET, 2, "T10", "hip_left", breath_mm=0.0),
            day=71,
            scanner="PET-CT",
            drawn="pet71-pet",
        ),
    )


@pytest.fixture(scope="module")
def plan() -> CasePlan:
    return replace(index_case(stick_body(), 5), sessions=sessions())


@pytest.fixture(scope="module")
def made(plan: CasePlan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "patient"
    make_patient(folder, plan)
    return folder


def truth_of(folder: Path) -> dict:
    return json.loads((folder / "truth" / "truth.json").read_text())


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_dicom_and_truth_are_apart(made: Path) -> None:
    assert {p.suffix for p in (made / "dicom").rglob("*") if p.is_file()} == {".dcm"}
    assert not list((made / "truth").rglob("*.dcm"))
    assert sorted(p.name for p in made.iterdir()) == ["case.toml", "dicom", "phantom.json", "truth"]


def test_the_pipeline_reads_it_as_planned(made: Path) -> None:
    images = read_study(made / "dicom", load_criteria())
    days = [(e.day, e.modality) for e in images.timeline.exams]
    assert sorted(days) == [
        (0, Modality.MR),
        (69, Modality.CT),
        (70, Modality.NM),
        (71, Modality.CT),
        (71, Modality.PT),
    ]
    frames = {v.grid.frame_of_reference_uid for v in images.volumes}
    assert len(frames) == 3  # MR, CT, PET-CT
    assert {r.source_kind for r in images.regions} == {"RTSTRUCT"}
    assert len(images.planar) == 2


def test_the_case_file_tells_what_happened(made: Path) -> None:
    case = read_case(made / "case.toml")
    kinds = [event.kind for event in case.events]
    assert {"surgery", "radiotherapy", "drug", "reading", "biopsy", "symptom"} == set(kinds)
    reading = next(event for event in case.events if event.kind == "reading")
    assert reading.lesions == ("cord mass T12-L1",)


def test_the_truth_knows_every_series_bone_and_lesion(made: Path, plan: CasePlan) -> None:
    truth = truth_of(made)
    assert [s["id"] for s in truth["series"]] == [
        "mr0-t1",
        "mr0-t2fs",
        "ct69",
        "nm70",
        "pet71-ct",
        "pet71-pet",
    ]
    assert {b["name"] for b in truth["bones"]} == {b.name for b in plan.body.bones}
    first = {x["id"]: x for x in truth["series"][0]["lesions"]}
    assert first["B01"]["present"]
    assert not first["B09"]["present"]
    assert first["B04"]["covered"] == 1.0
    ct = {x["id"]: x for x in truth["series"][2]["lesions"]}
    assert ct["B04"]["volume_ml"] > first["B04"]["volume_ml"]
    assert ct["B12"]["covered"] == 0.0


def test_sequences_of_a_session_are_up_to_3_mm_apart(made: Path) -> None:
    t1, t2 = truth_of(made)["series"][:2]
    step = np.subtract(t2["bones"]["vertebrae_L3"]["centroid"], t1["bones"]["vertebrae_L3"]["centroid"])
    assert 0 < np.linalg.norm(step) <= 3.0


def test_ct_and_pet_of_one_session_breathe_differently(made: Path) -> None:
    ct, pet = truth_of(made)["series"][-2:]
    assert ct["frame_of_reference_uid"] == pet["frame_of_reference_uid"]
    spine = np.subtract(ct["bones"]["vertebrae_L3"]["centroid"], pet["bones"]["vertebrae_L3"]["centroid"])
    rib = np.subtract(ct["bones"]["rib_left_6"]["centroid"], pet["bones"]["rib_left_6"]["centroid"])
    assert np.abs(spine).max() < 1e-6
    assert np.abs(rib).max() > 0.5


def test_truth_volumes_agree_with_the_truth_file(made: Path) -> None:
    names = json.loads((made / "truth" / "ct69_labels.json").read_text())
    image = read_nifti(made / "truth" / "ct69_bones.nii.gz", "x")
    number = next(int(n) for n, name in names["bones"].items() if name == "vertebrae_L3")
    points = image.grid.points(np.argwhere(image.values == number))
    where = truth_of(made)["series"][2]["bones"]["vertebrae_L3"]["centroid"]
    assert np.abs(points.mean(axis=0) - where).max() < 3.0


def test_the_wanted_suv_is_reached(made: Path) -> None:
    images = read_study(made / "dicom", load_criteria())
    pet = next(v for v in images.volumes if v.series.modality is Modality.PT)
    truth = truth_of(made)["series"][-1]
    where = next(x for x in truth["lesions"] if x["id"] == "B01")["centroid"]
    i, j, k = np.rint(pet.grid.indices(where)).astype(int)
    near = pet.values[i - 3 : i + 4, j - 3 : j + 4, k - 3 : k + 4]
    assert float(near.max()) == pytest.approx(2.19, rel=0.25)  # one noisy draw on coarse voxels


def test_drawings_lie_near_the_truth_and_not_on_it(made: Path) -> None:
    images = read_study(made / "dicom", load_criteria())
    truth = {s["series_instance_uid"]: s for s in truth_of(made)["series"]}
    offsets = []
    for region in images.regions:
        uid = next(v for v in images.volumes if v.series.id == region.series_id).series.series_instance_uid
        series = truth[uid]
        lesion = series["drawings"][region.name]
        if lesion:
            center = region.mask.grid.points(np.argwhere(region.mask.values)).mean(axis=0)
            there = next(x for x in series["lesions"] if x["id"] == lesion)["centroid"]
            offsets.append(np.linalg.norm(center - there))
    assert len(offsets) >= 6
    assert np.median(offsets) < 5.0
    assert min(offsets) > 0.0


def test_segmentations_on_request_and_nothing_on_request(plan: CasePlan, tmp_path: Path) -> None:
    few = replace(plan, sessions=plan.sessions[1:2])
    make_patient(tmp_path / "seg", few, reader="seg")
    images = read_study(tmp_path / "seg" / "dicom", load_criteria())
    assert {r.source_kind for r in images.regions} == {"SEG"}
    make_patient(tmp_path / "none", few, reader="none")
    assert read_study(tmp_path / "none" / "dicom", load_criteria()).regions == ()


def test_a_stopped_run_goes_on_and_gives_the_same_bytes(
    plan: CasePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = replace(plan, sessions=plan.sessions[:1])
    make_patient(tmp_path / "whole", few)
    write, calls = make.write_acquisition, []

    def stop_at_the_second(*args: object) -> object:
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return write(*args)

    monkeypatch.setattr(make, "write_acquisition", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        make_patient(tmp_path / "p", few)
    assert not (tmp_path / "p" / "truth" / "truth.json").exists()
    make_patient(tmp_path / "p", few)
    assert len(calls) == 2 + 1  # the first series was kept
    assert files_of(tmp_path / "p") == files_of(tmp_path / "whole")
    make_patient(tmp_path / "p", few)
    assert len(calls) == 3


def test_other_things_in_the_folder_are_kept(plan: CasePlan, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="the folder holds something else"):
        make_patient(tmp_path, plan)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_another_phantom_in_the_folder_is_kept(made: Path, plan: CasePlan) -> None:
    before = files_of(made)
    with pytest.raises(OutputError, match="the folder holds something else"):
        make_patient(made, replace(plan, seed=plan.seed + 1))
    assert files_of(made) == before


def test_progress_names_the_series(plan: CasePlan, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    make_patient(
        tmp_path / "p", replace(plan, sessions=plan.sessions[2:3]), progress=lambda *a: told.append(a)
    )
    assert told == [("making the phantom: nm70", 0, 1), ("making the phantom", 1, 1)]
