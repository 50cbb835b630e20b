"""Folders and files: empty, foreign, cut, without pixels, unreadable; slices and patients."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import UID, JPEG2000Lossless, JPEGLSLossless, RLELossless

from _tiny import compress
from bad_input.builder import Case, Command, edit, found, set_to, write_case
from osteotrace import pipeline
from osteotrace.errors import NothingFoundError, PatientMismatchError

Spoil = Callable[[Case], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    made.mkdir()
    return made


def refused(command: Command, source: Path, out: Path, *words: str) -> None:
    """``run`` and ``inspect`` end with 3, say why on one line, and nothing is written."""
    ended = command("run", source, "-o", out)
    assert ended.code == 3, ended
    assert ended.err.startswith("refused: ")
    for word in words:
        assert word in ended.words, (word, ended.words)
    assert not out.exists()


def test_an_empty_folder(command: Command, folder: Path, out: Path) -> None:
    refused(
        command,
        folder,
        out,
        "no DICOM and no NIfTI among 0 files (nothing) [in]",
        "expected: DICOM files, or NIfTI files that are declared",
        "do: give the folder that holds the images",
    )
    assert command("inspect", folder).code == 3


def test_a_folder_that_is_not_there(command: Command, tmp_path: Path, out: Path) -> None:
    refused(
        command, tmp_path / "absent", out, "there is no such file or folder [absent]", "a folder with DICOM"
    )


def test_no_dicom(command: Command, folder: Path, out: Path) -> None:
    for name in ("a.jpg", "b.jpg", "report.pdf", "DICM"):
        (folder / name).write_bytes(b"not an image" * 40)
    refused(command, folder, out, "among 4 files (2 .jpg, ", "1 .pdf", "1 .(no ending)")
    (problem, *_) = [p for p in pipeline.survey(folder)[1] if ".jpg" in p.found]
    assert problem.found == "2 files .jpg are neither DICOM nor NIfTI"


def test_an_earlier_result_outlives_a_refusal(command: Command, case: Case, folder: Path, out: Path) -> None:
    assert command("run", case.folder, "-o", out).code == 0
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert command("run", folder, "-o", out).code == 3
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def truncated_pixels(case: Case) -> None:
    case.ct[3].write_bytes(case.ct[3].read_bytes()[:-700])


def truncated_header(case: Case) -> None:
    """Cut behind the SOP Instance UID, before Patient ID: it must not become a patient of its own."""
    case.ct[3].write_bytes(case.ct[3].read_bytes()[:500])


def truncated_at_once(case: Case) -> None:
    case.ct[3].write_bytes(case.ct[3].read_bytes()[:300])


def without_pixels(case: Case) -> None:
    edit(case.ct, set_to(PixelData=None))


def corrupt_frame(syntax: str) -> Spoil:
    def spoil(case: Case) -> None:
        for file in case.ct:
            compress(file, UID(syntax))
        content = bytearray(case.ct[4].read_bytes())
        start = content.rindex(b"\xfe\xff\x00\xe0") + 8  # the fragment, then the header of its stream
        content[start + 4 : start + 150] = b"\xff" * 146
        case.ct[4].write_bytes(content)

    return spoil


def missing_slice(case: Case) -> None:
    case.ct[4].unlink()


def another_slice_at_one_place(case: Case) -> None:
    twin = Path(shutil.copy(case.ct[4], case.ct[4].with_name("twin.dcm")))
    edit(twin, lambda d: set_to(SOPInstanceUID="1.2.3.4", PixelData=bytes(len(d.PixelData)))(d))


def another_image_of_one_uid(case: Case) -> None:
    twin = Path(shutil.copy(case.ct[4], case.ct[4].with_name("twin.dcm")))
    edit(twin, lambda d: set_to(PixelData=bytes(len(d.PixelData)))(d))


def unequal_spacing(case: Case) -> None:
    for file in case.ct[5:]:
        edit(
            file,
            lambda d: set_to(
                ImagePositionPatient=[*d.ImagePositionPatient[:2], d.ImagePositionPatient[2] + 1.2]
            )(d),
        )


def a_slice_far_away(case: Case) -> None:
    edit(case.ct[9], lambda d: set_to(ImagePositionPatient=[*d.ImagePositionPatient[:2], "3e11"])(d))


def rows_of_a_bomb(case: Case) -> None:
    for file in case.ct:
        compress(file, JPEGLSLossless)
    edit(case.ct, set_to(Rows=65535, Columns=65535))


def stream_of_a_bomb(case: Case) -> None:
    """The header is right; the compressed stream claims a gigapixel."""
    for file in case.ct:
        compress(file, JPEGLSLossless)
    content = bytearray(case.ct[0].read_bytes())
    size = content.rindex(b"\xff\xf7\x00\x0b") + 5
    content[size : size + 4] = b"\x80\0\x80\0"
    case.ct[0].write_bytes(content)


def frames_of_a_bomb(case: Case) -> None:
    edit(case.ct, set_to(NumberOfFrames=1_000_000_000))


LOST_CT = {
    "truncated file": (
        truncated_pixels,
        "pixel data end after 1348 bytes [series CT: IM0004.dcm]; expected: 2048 bytes; do: copy it again",
    ),
    "truncated header": (
        truncated_header,
        "the DICOM header does not say what the file is, or ends before [IM0004.dcm]; expected: SOP "
        "Class UID, SOP Instance UID and Series Instance UID; do: export the file again",
    ),
    "truncated at once": (
        truncated_at_once,
        "1 of 10 slices missing [series CT: -4.50 mm along the normal]; expected: a slice every 3.000 mm; "
        "do: send the whole series again",
    ),
    "header without pixels": (
        without_pixels,
        "the file ends before its pixels [series CT: IM0001.dcm]; expected: pixel data; do: export it again",
    ),
    "corrupt JPEG 2000": (
        corrupt_frame(JPEG2000Lossless),
        "the pixels cannot be decoded (RuntimeError) [series CT: IM0005.dcm]; expected: undamaged frames; "
        "do: export it again",
    ),
    "corrupt JPEG-LS": (
        corrupt_frame(JPEGLSLossless),
        "the pixels cannot be decoded (RuntimeError) [series CT: IM0005",
    ),
    "corrupt RLE": (corrupt_frame(RLELossless), "[series CT: IM0005.dcm]; expected: undamaged frames"),
    "missing slice": (
        missing_slice,
        "1 of 10 slices missing [series CT: -1.50 mm along the normal]; expected: a slice every 3.000 mm; "
        "do: send the whole series again",
    ),
    "two slices at one place": (
        another_slice_at_one_place,
        "two different slices lie at the same place [series CT: twin.dcm and IM0005.dcm]; expected: one "
        "slice at each place, or an attribute that tells them apart; do: remove the slice that does not",
    ),
    "two images of one UID": (
        another_image_of_one_uid,
        "files with the same SOP Instance UID hold different images; the series was not read [series CT: "
        "IM0005.dcm and twin.dcm]; expected: one image for each SOP Instance UID; do: remove the wrong file",
    ),
    "unequal spacing": (
        unequal_spacing,
        "slice distances from 3.000 to 4.200 mm [series CT]; expected: equal distances; do: send the whole",
    ),
    "a slice far away": (a_slice_far_away, "slice distances from 3.000 to 299999999989.500 mm [series CT]"),
    "65535 rows": (
        rows_of_a_bomb,
        "65535 rows, 65535 columns, 12 bits [series CT: IM0001.dcm]; expected: an image",
    ),
    "a gigapixel stream": (
        stream_of_a_bomb,
        "a compressed frame claims 32768 rows and 32768 columns [series CT: IM0001.dcm]; expected: 32",
    ),
    "a billion frames": (
        frames_of_a_bomb,
        "1000000000 frames, but 0 of them are described [IM0001.dcm]; expected: one item of Per-Frame",
    ),
}


@pytest.mark.parametrize(("spoil", "words"), LOST_CT.values(), ids=LOST_CT.keys())
def test_a_spoilt_ct_is_named_and_the_pet_stays(
    spoil: Spoil, words: str, case: Case, command: Command, out: Path
) -> None:
    uid = _series_uid(case.ct[0])
    spoil(case)
    ended = command("run", case.folder, "-o", out)
    assert ended.code == 4, ended
    assert words in ended.words.replace(uid, "CT"), ended.words
    assert _modalities(case.folder) == ["PT"]
    assert "PET FDG" in (out / "workup.json").read_text(encoding="utf-8")
    assert command("inspect", case.folder).code == 0


def _series_uid(file: Path) -> str:
    return str(pydicom.dcmread(file, stop_before_pixels=True).SeriesInstanceUID)


def _modalities(folder: Path) -> list[str]:
    (patient,), _ = pipeline.survey(folder)
    return [str(s.modality) for exam in patient.timeline.exams for s in exam.series]


@pytest.mark.parametrize("spoil", [without_pixels, truncated_pixels])
def test_when_nothing_is_left_the_input_is_refused(
    spoil: Spoil, case: Case, command: Command, out: Path
) -> None:
    shutil.rmtree(case.folder / "pet")
    spoil(case)
    refused(
        command,
        case.folder,
        out,
        "no image can be used; ",
        "IM000",
        "[patient]",
        "expected: at least one image that makes a volume or a view",
        "do: osteotrace inspect lists everything",
    )
    assert command("inspect", case.folder).code == 3


@pytest.mark.parametrize(
    ("new_uid", "code", "words"),
    [
        (
            None,
            "duplicate-file",
            "warning: 1 image is there in 2 files; each was read once [series CT: IM0005.dcm, twin.dcm]",
        ),
        (
            "1.2.3.4",
            "duplicate-slice",
            "warning: 1 slice is there twice with the same pixels; one of each was read [series CT",
        ),
    ],
)
def test_the_same_slice_twice_counts_once(
    new_uid: str | None, code: str, words: str, case: Case, command: Command, out: Path
) -> None:
    twin = Path(shutil.copy(case.ct[4], case.ct[4].with_name("twin.dcm")))
    if new_uid:
        edit(twin, set_to(SOPInstanceUID=new_uid))
    assert command("run", case.folder, "-o", out).code == 0
    (patient,), _ = pipeline.survey(case.folder)
    assert words in found(patient.problems, code).replace(_series_uid(twin), "CT")
    assert len(patient.regions) == 1


def test_two_patients_in_one_folder(command: Command, case: Case, out: Path) -> None:
    write_case(case.folder / "other", seed=2)
    refused(
        command,
        case.folder,
        out,
        "files of 2 patients (PHANTOM-1: 21 files; PHANTOM-2: 21 files) [patient]",
        "expected: one patient",
        "do: give one folder per patient",
    )
    patients, problems = pipeline.survey(case.folder)
    assert [len(p.regions) for p in patients] == [1, 1]
    assert "2 patients are in one folder" in found(problems, "patient-mismatch")
    with pytest.raises(PatientMismatchError):
        pipeline.run(case.folder, out, pipeline.Settings())


def test_one_patient_with_two_names_is_told_without_them(case: Case) -> None:
    edit(case.pet, set_to(PatientName="Secret^Other"))
    (patient,), _ = pipeline.survey(case.folder)
    words = found(patient.problems, "patient-identity")
    assert "headers of one Patient ID contradict each other in Patient's Name [Patient ID PHANTOM-1]" in words
    assert "Secret" not in words
    assert "Phantom" not in words


# What root may read in spite of its permissions is made unreadable in other ways.


def test_what_is_no_file_is_named_and_never_opened(case: Case, command: Command, out: Path) -> None:
    writers = [pipe_with_content(case.folder / name) for name in ("pipe.dcm", "pipe.nii.gz")]
    (case.folder / "lost.dcm").symlink_to("nowhere")
    (case.folder / "ct" / "round").symlink_to(case.folder)
    assert [p.where for p in pipeline.survey(case.folder)[1]] == ["lost.dcm", "pipe.dcm", "pipe.nii.gz"]
    ended = command("run", case.folder, "-o", out)
    assert ended.code == 4
    assert "this is no regular file [pipe.dcm]; expected: a file; do: remove it" in ended.words
    assert "this is no regular file [pipe.nii.gz]" in ended.words
    assert "this is a link that leads nowhere [lost.dcm]" in ended.words
    assert _modalities(case.folder) == ["CT", "PT"]
    for writer in writers:
        os.close(writer)


def pipe_with_content(path: Path) -> int:
    """A pipe that somebody writes to, so that a reader who opens it gets an answer."""
    os.mkfifo(path)
    writer = os.open(path, os.O_RDWR)
    os.write(writer, bytes(200))
    return writer


def test_a_pipe_alone_is_nothing(tmp_path: Path, out: Path) -> None:
    pipe_with_content(tmp_path / "pipe")
    with pytest.raises(NothingFoundError, match="no DICOM and no NIfTI"):
        pipeline.run(tmp_path / "pipe", out, pipeline.Settings())


def test_an_unreadable_file(case: Case, command: Command, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = case.contours
    real = Path.open

    def opened(self: Path, *arguments: object, **options: object) -> object:
        if self == locked:
            raise PermissionError(13, "Permission denied", str(self))
        return real(self, *arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", opened)
    ended = command("run", case.folder, "-o", out)
    assert ended.code == 4, ended
    assert (
        "the file cannot be opened (PermissionError) [rtstruct.dcm]; do: check its permissions" in ended.words
    )
    assert (out / "workup.json").is_file()


def test_a_file_that_vanishes_between_scan_and_reading(
    case: Case, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a network drive goes away."""
    doomed = case.ct[2]

    def vanish(what: str, done: int, total: int) -> None:
        if what == "scan" and done == total:
            doomed.unlink()

    result = pipeline.run(case.folder, out, pipeline.Settings(), vanish)
    assert "the pixels cannot be decoded (FileNotFoundError)" in found(result.left_out, "pixels")


def as_bone_scan(case: Case) -> Path:
    """One file: a planar bone scan in RLE that claims more views than it holds."""
    (kept, *others) = case.ct
    for file in (*others, *case.pet, case.contours):
        file.unlink()
    compress(kept, RLELossless)
    edit(kept, set_to(SOPClassUID="1.2.840.10008.5.1.4.1.1.20", Modality="NM", NumberOfFrames=1))
    edit(kept, set_to(ImageType=["ORIGINAL", "PRIMARY", "STATIC"]))
    return kept


@pytest.mark.parametrize(("frames", "images", "reasons"), [(1, 1, 0), (3, 1, 2), (950, 0, 1), (10**9, 0, 1)])
def test_a_bone_scan_with_frames_that_are_not_there(
    frames: int, images: int, reasons: int, case: Case
) -> None:
    """Few are tried one by one; many are refused at once."""
    edit(as_bone_scan(case), set_to(NumberOfFrames=frames))
    (patient,), _ = pipeline.survey(case.folder)
    assert len(patient.timeline.exams) == images
    assert len([p for p in patient.problems if p.code == "pixels"]) == reasons
