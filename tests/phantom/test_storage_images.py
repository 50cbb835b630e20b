"""Image series of the phantom: valid files that this project and others read back as they were meant."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

import intake as bench
from osteotrace.errors import InputError, LatticeMismatchError
from osteotrace.intake import read_study
from osteotrace.intake.pet_header import pet_header
from osteotrace.intake.suv_time import reference_time
from osteotrace.model.criteria import load_criteria
from osteotrace.model.imaging import CtFacts, MrFacts, NuclearFacts
from osteotrace.model.patient import PatientImages
from osteotrace.model.values import Basis, Quantity, View
from osteotrace.phantom.protocols import MrProtocol
from osteotrace.phantom.storage import uid, write_acquisition
from phantom_storage import (
    STIR,
    T1,
    T2_FS,
    complaints,
    context,
    ct,
    mr,
    patient,
    pet,
    planar,
    volume_on,
    write_all,
)

DIXON = MrProtocol("T2 DIXON", "TSE", 3600.0, 94.0, fat_suppression="DIXON_WATER")
GRADIENT = MrProtocol("T1 GRE", "GRE", 180.0, 4.0, flip_deg=70.0, contrast=True)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_all(tmp_path_factory.mktemp("storage"), patient(), context())


@pytest.fixture(scope="module")
def images(written: dict[str, Path]) -> PatientImages:
    return read_study(written["ct"].parent, load_criteria())


@pytest.mark.parametrize("vendor", ["A", "B", "C"])
@pytest.mark.parametrize(
    "acquisition",
    [
        *(mr(p, p.name) for p in (T1, T2_FS, STIR, DIXON, GRADIENT)),
        mr(T1, "imported", "mr0"),
        ct(),
        ct(6000.0, contrast_phase="portal venous", kernel="bone", low_dose=True),
        pet(slices=4),
        planar(),
    ],
    ids=lambda a: a.id,
)
def test_dciodvfy_finds_no_error(acquisition, vendor, tmp_path):
    for file in write_acquisition(tmp_path, acquisition, context(vendor=vendor)):
        errors, warnings = complaints(file)
        assert errors == []
        # words of makers that the standard does not list, but allows
        assert [w for w in warnings if "Unrecognized defined term" not in w] == []


def test_dcentvfy_finds_the_files_of_a_patient_consistent(written):
    files = [str(f) for folder in written.values() for f in sorted(folder.iterdir())]
    assert complaints(Path(files[0]))[0] == []  # skips or fails without dicom3tools
    done = subprocess.run(["dcentvfy", *files], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_nothing_private_is_written_and_every_object_is_one_of_a_kind(written):
    files = sorted(written["ct"].parent.rglob("*.dcm"))
    headers = [pydicom.dcmread(f) for f in files]
    assert not any(e.tag.is_private for h in headers for e in h.iterall())
    assert len({h.SOPInstanceUID for h in headers}) == len(files)
    assert len({h.SeriesInstanceUID for h in headers}) == len(written)
    assert len({h.StudyInstanceUID for h in headers}) == 5  # PET and its CT are of one study
    assert all("phantom" in h.Manufacturer and h.QualityControlSubject == "YES" for h in headers)
    assert {h.file_meta.TransferSyntaxUID for h in headers} == {"1.2.840.10008.1.2.1"}
    assert [f.name for f in sorted(written["ct"].iterdir())][::8] == ["IM0001.dcm", "IM0009.dcm"]


def test_it_is_one_patient_with_five_exams_and_no_problem(images):
    assert images.problems == ()
    assert images.patient.name == "Müller^Jürgen"
    assert (images.patient.patient_id, images.patient.sex) == ("PHANTOM-1", "M")
    assert int(images.patient.age_years) == 50
    assert [(str(e.modality), e.day) for e in images.timeline.exams] == [
        ("MR", 0),
        ("MR", 68),
        ("CT", 69),
        ("NM", 70),
        ("PT", 71),
        ("CT", 71),
    ]


@pytest.mark.parametrize("name", ["山田^太郎", "Иванов^Пётр", "Łuczak^Zoë"])
def test_a_name_of_any_script(name, tmp_path):
    write_acquisition(tmp_path, ct(), context(name))
    assert read_study(tmp_path).patient.name == name


def test_an_import_keeps_the_identity_of_the_other_hospital(written):
    header = pydicom.dcmread(next(written["mr0-t1"].iterdir()))
    (before,) = header.OriginalAttributesSequence[0].ModifiedAttributesSequence
    assert (before.PatientID, before.IssuerOfPatientID) == ("77", "elsewhere")
    assert (header.PatientID, header.Manufacturer) == ("PHANTOM-1", "osteotrace phantom (vendor C)")
    assert "OriginalAttributesSequence" not in pydicom.dcmread(next(written["mr-t2"].iterdir()))


def volume_of(images: PatientImages, acquisition):
    (found,) = (
        v for v in images.volumes if v.series.series_instance_uid == context().series_uid(acquisition)
    )
    return found


@pytest.mark.parametrize("acquisition", [a for a in patient() if a.grid is not None], ids=lambda a: a.id)
def test_lattice_and_values_come_back(acquisition, images):
    volume = volume_of(images, acquisition)
    grid = acquisition.grid
    assert volume.grid.frame_of_reference_uid == grid.frame_of_reference_uid
    assert np.abs(np.sort(volume.grid.corners, axis=0) - np.sort(grid.corners, axis=0)).max() < 1e-3
    found, meant = volume_on(volume, grid), acquisition.values.astype(np.float64)
    if volume.series.quantity is Quantity.MR_SIGNAL:  # arbitrary units: in proportion
        np.testing.assert_allclose(found / found.max(), meant / meant.max(), atol=0.51 / 4095)
    elif volume.series.quantity is Quantity.HU:
        assert np.abs(found - meant).max() < 0.501
    else:
        steps = meant.max(axis=(0, 1)) / 32767
        assert (np.abs(found - meant).max(axis=(0, 1)) <= 0.51 * steps).all()


def test_dcm2niix_reads_the_same(written, images, tmp_path):
    bench.run_peer(written["ct"].parent, tmp_path)
    for volume in images.volumes:
        uid_ = volume.series.series_instance_uid
        (theirs,) = (x for path in tmp_path.glob(f"{uid_}*.nii") for x in bench.of_peer(path))
        ours = bench.canonical(bench.rescaled(volume), np.array(volume.grid.affine))
        stacked_along = int(np.abs(volume.grid.affine[:3, 2]).argmax())
        found = bench.compare(ours, theirs, stacked_along)
        assert (found.why, found.far_end_mm < 5e-3) == ("", True), volume.series.name


def test_the_same_seed_gives_the_same_bytes(written, tmp_path):
    again = write_all(tmp_path / "again", patient(), context())
    other = write_all(tmp_path / "other", patient(), context(seed=2))

    def digests(folders: dict[str, Path]) -> set[tuple[str, str]]:
        files = (f for folder in folders.values() for f in folder.iterdir())
        return {(f"{f.parent.name}/{f.name}", hashlib.sha256(f.read_bytes()).hexdigest()) for f in files}

    assert digests(again) == digests(written)
    assert not digests(other) & digests(written)


def mr_facts(protocol: MrProtocol, folder: Path, vendor="A") -> tuple[MrFacts, str]:
    write_acquisition(folder, mr(protocol), context(vendor=vendor))
    (volume,) = read_study(folder).volumes
    assert isinstance(volume.series.facts, MrFacts)
    return volume.series.facts, volume.series.name


@pytest.mark.parametrize("vendor", ["A", "B", "C"])
@pytest.mark.parametrize(
    ("protocol", "weighting", "suppressed", "name"),
    [
        (T1, "T1W", None, "T1"),
        (replace(T1, contrast=True), "T1W", None, "T1 +C"),
        (T2_FS, "T2W", "yes", "T2 FS"),
        (replace(T2_FS, declares_fat_suppression=False), "T2W", None, "T2"),
        (STIR, "STIR", "yes", "STIR"),
        (DIXON, "T2W", "yes", "T2 water"),
        (replace(DIXON, name="T2", declares_fat_suppression=False), "T2W", None, "T2"),
        (GRADIENT, "T1W", None, "T1 +C"),
    ],
)
def test_what_the_sequence_is(protocol, weighting, suppressed, name, vendor, tmp_path):
    facts, short = mr_facts(protocol, tmp_path, vendor)
    assert (facts.weighting.value, facts.weighting.basis) == (weighting, Basis.DECLARED)
    assert facts.fat_suppression.value == suppressed
    assert facts.fat_suppression.basis is (Basis.DECLARED if suppressed else Basis.UNKNOWN)
    assert facts.contrast.value == ("yes" if protocol.contrast else None)
    assert (facts.repetition_time_ms, facts.echo_time_ms) == (protocol.tr_ms, protocol.te_ms)
    assert facts.inversion_time_ms == protocol.ti_ms
    assert (facts.flip_angle_deg, facts.field_strength_t) == (protocol.flip_deg, 1.5)
    assert short == name


def test_the_gap_between_slices_is_told(written):
    header = pydicom.dcmread(next(written["mr-t2"].iterdir()))
    assert (float(header.SliceThickness), float(header.SpacingBetweenSlices)) == (4.0, pytest.approx(4.4))
    assert (header.BitsStored, header.PixelRepresentation, header.pixel_array.max() <= 4095) == (12, 0, True)


def test_signal_without_any_is_stored(tmp_path):
    dark = replace(mr(), values=np.zeros(mr().values.shape, np.float32))
    (first, *_) = write_acquisition(tmp_path, dark, context())
    assert pydicom.dcmread(first).pixel_array.max() == 0


@pytest.mark.parametrize(("highest", "bits"), [(1800.0, 12), (3071.0, 12), (8000.0, 16)])
def test_metal_needs_more_bits(highest, bits, tmp_path):
    acquisition = ct(highest)
    header = pydicom.dcmread(write_acquisition(tmp_path, acquisition, context())[0])
    assert (header.BitsStored, header.HighBit) == (bits, bits - 1)
    (volume,) = read_study(tmp_path).volumes
    assert float(volume.values.max()) == pytest.approx(highest, abs=0.5)


def test_contrast_of_a_ct_and_its_kernel_are_told(tmp_path):
    write_acquisition(tmp_path, ct(contrast_phase="portal venous", kernel="bone"), context())
    (volume,) = read_study(tmp_path).volumes
    assert isinstance(volume.series.facts, CtFacts)
    assert volume.series.facts.contrast.value == "yes"
    header = pydicom.dcmread(next(tmp_path.iterdir()))
    assert (header.ConvolutionKernel, float(header.ReconstructionDiameter)) == ("B60f", 32.0)


def test_uptake_is_told(images):
    facts = volume_of(images, pet()).series.facts
    assert isinstance(facts, NuclearFacts)
    assert (facts.tracer.value, facts.tracer.basis) == ("FDG", Basis.DECLARED)
    assert facts.uptake_min == pytest.approx(60.0)
    assert (facts.injected_bq, facts.weight_kg, facts.size_m) == (3.7e8, 74.0, 1.76)
    assert facts.suv_basis == "series date and time"


def test_each_bed_has_its_times_and_they_agree(written):
    headers = [pydicom.dcmread(f, stop_before_pixels=True) for f in sorted(written["pet"].iterdir())]
    by_height = sorted(headers, key=lambda h: h.ImagePositionPatient[2])
    times = [h.AcquisitionTime for h in by_height]
    assert times == sorted(times)  # from the feet to the head
    assert sorted(set(times)) == ["103200", "103500", "103800"]
    assert len({h.RescaleSlope for h in headers}) == len(headers)
    read = pet_header(headers)
    told = reference_time(read, load_criteria())
    assert (told.when.hour, told.when.minute, told.notes) == (10, 32, ())
    lost = replace(read, series_datetime=told.when.replace(hour=23))  # only the frames tell
    assert abs((reference_time(lost, load_criteria()).when - told.when).total_seconds()) < 0.01


def test_uptake_across_midnight(tmp_path):
    acquisition = replace(pet(minute=20, slices=4), session="petct")
    who = context()
    night = replace(who, sessions=tuple(replace(s, minute=0) for s in who.sessions))
    write_acquisition(tmp_path, acquisition, night)
    images = read_study(tmp_path)
    assert images.problems == ()
    found = volume_on(images.volumes[0], acquisition.grid)
    assert np.abs(found - acquisition.values).max() < 1e-3


def test_both_views_of_the_bone_scan_come_back(images):
    front, back = images.planar
    assert (front.view, back.view) == (View.ANTERIOR, View.POSTERIOR)
    for image, counts in zip((front, back), planar().values, strict=True):
        np.testing.assert_array_equal(image.counts, counts)
        assert image.pixel_mm == pytest.approx((9.6, 9.6))
        assert isinstance(image.series.facts, NuclearFacts)
        assert image.series.facts.tracer.value == "MDP"
        assert image.series.facts.view.basis is Basis.DECLARED
    assert (front.series.name, back.series.name) == ("bone scan ant", "bone scan post")


def test_the_header_of_the_bone_scan(written):
    header = pydicom.dcmread(next(written["nm"].iterdir()))
    assert header.CountsAccumulated == int(planar().values.sum())
    assert (header.WholeBodyTechnique, header.ScanLength) == ("1PS", round(9.6 * 256))
    assert header.ActualFrameDuration == pytest.approx(
        header.ScanLength / header.ScanVelocity * 1000, rel=1e-3
    )
    (agent,) = header.RadiopharmaceuticalInformationSequence
    assert agent.RadiopharmaceuticalCodeSequence[0].CodeValue == "96390006"


@pytest.mark.parametrize(
    ("spoilt", "error", "words"),
    [
        (replace(ct(), session="nowhere"), InputError, "the session nowhere is not described"),
        (replace(ct(), minute=30), InputError, "ct begins before its session"),
        (replace(ct(), values=np.full(ct().values.shape, np.nan, np.float32)), InputError, "not finite"),
        (replace(ct(), values=ct().values[1:]), LatticeMismatchError, "of shape (39, 36, 9)"),
        (replace(ct(), grid=None), LatticeMismatchError, "expected: no grid"),
        (replace(planar(), values=planar().values[:1]), LatticeMismatchError, "(2, columns, rows)"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is(spoilt, error, words, tmp_path):
    with pytest.raises(error) as caught:
        write_acquisition(tmp_path / "out", spoilt, context())
    assert words in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_uids_are_made_from_words():
    assert uid(1, "a") == uid(1, "a") != uid(1, "b")
    assert uid(1, "a").is_valid
    assert len(uid(1, "a")) <= 64
