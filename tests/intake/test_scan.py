"""One pass over a tree: what is DICOM, whose it is, what is there twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_images import ROOT, counted, image, save, write_stack
from osteotrace.errors import NothingFoundError, PatientMismatchError
from osteotrace.intake import only_patient, read_study, scan
from osteotrace.intake.dicom_file import looks_like_dicom


def test_any_names_and_depth_non_ascii_too(tmp_path):
    paths = write_stack(tmp_path / "Übung 1" / "日本")
    for n, path in enumerate(paths):
        path.rename(path.parent.parent / f"Ä {n}")
    found = scan(tmp_path)
    assert len(found.files) == 4
    assert only_patient(found, tmp_path).n_files == 4


def test_a_file_is_a_tree_of_one(tmp_path):
    path = write_stack(tmp_path)[0]
    assert [i.path for i in scan(path).patients[0].instances] == [path]


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian], ids=lambda s: s.name)
def test_without_preamble_and_without_meta_header(tmp_path, syntax):
    for path in write_stack(tmp_path, syntax=syntax):
        data = path.read_bytes()
        length = int.from_bytes(data[140:144], "little")
        path.write_bytes(data[144 + length :])
        assert not path.read_bytes().startswith(b"\0" * 128)
    (volume,) = read_study(tmp_path).volumes
    assert volume.grid.shape[2] == 4


@pytest.mark.parametrize(
    "start",
    [b"", b"\xff\xd8\xff\xe0" + bytes(200), b"id,label\n" * 30, b"PK\x03\x04" + bytes(200), bytes(300)],
)
def test_other_files_do_not_look_like_dicom(start):
    assert not looks_like_dicom(start)


def test_other_files_are_counted_by_kind_not_one_by_one(tmp_path):
    write_stack(tmp_path)
    for n in range(12):
        (tmp_path / f"{n}.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(200))
    (tmp_path / "labels.csv").write_text("a,b\n" * 60)
    said = [str(p) for p in scan(tmp_path).problems]
    assert said == [
        "info: 12 files .jpg are neither DICOM nor NIfTI",
        "info: 1 file .csv is neither DICOM nor NIfTI",
    ]


def test_links_in_a_circle_end(tmp_path):
    write_stack(tmp_path / "a")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    found = scan(tmp_path)
    assert len(found.files) == 4
    assert [p.found for p in found.problems] == ["this is a link that leads nowhere"]


def test_an_unreadable_file_is_a_problem(tmp_path, monkeypatch):
    path = write_stack(tmp_path)[0]
    plain = Path.open

    def refuse(self, *args, **kwargs):
        if self.name == path.name:
            raise PermissionError(13, "Permission denied")
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    (problem,) = scan(tmp_path).problems
    assert problem.found == "the file cannot be opened (PermissionError)"
    assert (problem.where, problem.remedy) == (path.name, "check its permissions")


def test_a_file_that_is_a_broken_link_is_a_problem(tmp_path):
    write_stack(tmp_path)
    (tmp_path / "x.dcm").symlink_to(tmp_path / "nowhere")
    (problem,) = scan(tmp_path).problems
    assert problem.found == "this is a link that leads nowhere"
    assert problem.where == "x.dcm"


def test_a_header_that_ends_early_is_named(tmp_path):
    path = write_stack(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:300])
    (problem,) = scan(tmp_path).problems
    assert problem.code == "unreadable-file"
    assert problem.where == path.name


def test_the_same_file_twice_is_read_once(tmp_path):
    path = write_stack(tmp_path)[0]
    (tmp_path / "copy.dcm").write_bytes(path.read_bytes())
    found = read_study(tmp_path)
    assert found.volumes[0].grid.shape[2] == 4
    (problem,) = found.problems
    assert (problem.severity, problem.code) == ("warning", "duplicate-file")
    assert "CT1-001.dcm, copy.dcm" in problem.where


def test_the_same_image_in_another_encoding_is_read_once(tmp_path):
    write_stack(tmp_path)
    save(image(counted(0), SeriesDescription="again"), tmp_path / "copy.dcm", ImplicitVRLittleEndian)
    found = read_study(tmp_path)
    assert found.volumes[0].grid.shape[2] == 4
    assert [p.code for p in found.problems] == ["duplicate-file"]


def test_a_damaged_copy_beside_a_good_one_costs_only_itself(tmp_path):
    path = write_stack(tmp_path)[0]
    (tmp_path / "a-copy.dcm").write_bytes(path.read_bytes()[:-40])
    found = read_study(tmp_path)
    assert found.volumes[0].grid.shape[2] == 4
    (problem,) = found.problems
    assert (problem.severity, problem.code) == ("excluded", "damaged-copy")
    assert problem.where.endswith(": a-copy.dcm")


def test_one_uid_for_two_images_refuses_the_series_and_names_both_files(tmp_path):
    write_stack(tmp_path)
    write_stack(tmp_path, series=2)
    save(image(counted(5)), tmp_path / "other.dcm")
    found = read_study(tmp_path)
    assert [v.series.series_instance_uid for v in found.volumes] == [f"{ROOT}.2.2"]
    (problem,) = found.problems
    assert (problem.severity, problem.code) == ("refused", "duplicate-uid")
    assert "CT1-001.dcm and other.dcm" in problem.where


def test_two_patients_are_refused_with_their_ids_and_counts(tmp_path):
    write_stack(tmp_path)
    write_stack(tmp_path, series=2, PatientID="P2")
    with pytest.raises(PatientMismatchError) as error:
        read_study(tmp_path)
    assert "files of 2 patients (P1: 4 files; P2: 4 files)" in str(error.value)
    assert "Doe" not in str(error.value)


def test_the_same_id_of_two_issuers_is_two_patients(tmp_path):
    write_stack(tmp_path, IssuerOfPatientID="North")
    write_stack(tmp_path, series=2, IssuerOfPatientID="South")
    assert [p.key.issuer for p in scan(tmp_path).patients] == ["North", "South"]


def test_without_an_id_name_and_birth_date_tell_patients_apart(tmp_path):
    write_stack(tmp_path, PatientID="")
    write_stack(tmp_path, series=2, PatientID="", PatientName="DOE^Jane^")
    write_stack(tmp_path, series=3, PatientID="", PatientBirthDate="19700101")
    assert [p.n_files for p in scan(tmp_path).patients] == [4, 8]


def test_one_id_with_two_birth_dates_is_recorded_without_the_name(tmp_path):
    write_stack(tmp_path)
    write_stack(tmp_path, series=2, PatientBirthDate="19700101", PatientName="Roe^Mary")
    problems = read_study(tmp_path).problems
    assert [p.found for p in problems] == [
        "headers of one Patient ID contradict each other in Patient's Name",
        "headers of one Patient ID contradict each other in Patient's Birth Date",
    ]
    assert not any("Roe" in str(p) or "Doe" in str(p) for p in problems)


def test_objects_that_are_no_images_are_counted_by_class(tmp_path):
    write_stack(tmp_path)
    write_stack(tmp_path, modality="CR", series=2, SOPClassUID="1.2.840.10008.5.1.4.1.1.1")
    (problem,) = read_study(tmp_path).problems
    assert problem.found == "4 files of Computed Radiography Image Storage"


def test_warnings_of_the_reader_become_problems_without_the_value(tmp_path):
    path = write_stack(tmp_path)[0]
    data = path.read_bytes().replace(b"19800102", b"19X80102")
    path.write_bytes(data)
    assert not any("19X80102" in str(p) for p in read_study(tmp_path).problems)


@pytest.mark.parametrize("kind", ["empty", "other", "absent"])
def test_nothing_found_tells_what_was_seen(tmp_path, kind):
    folder = tmp_path / "in"
    if kind != "absent":
        folder.mkdir()
    if kind == "other":
        (folder / "a.jpg").write_bytes(b"\xff\xd8" + bytes(200))
    with pytest.raises(NothingFoundError) as error:
        read_study(folder)
    words = {
        "empty": "no DICOM and no NIfTI among 0 files (nothing)",
        "other": "no DICOM and no NIfTI among 1 files (1 .jpg)",
        "absent": "there is no such file or folder",
    }
    assert words[kind] in str(error.value)


def test_progress_is_told(tmp_path):
    write_stack(tmp_path)
    told = []
    read_study(tmp_path, progress=lambda *step: told.append(step))
    assert told == [*(("scan", n, 4) for n in range(1, 5)), ("read", 1, 1)]
