"""Names and paths beyond ASCII: of patients, regions, folders and files, in any bytes that a disk allows."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import numpy as np
import pytest

from _tiny import write_contours
from bad_input.builder import Case, Command, edit, set_to
from osteotrace import pipeline
from osteotrace.errors import OsteotraceError, one_line
from osteotrace.model.problem import Problem
from osteotrace.model.values import Severity
from osteotrace.space import Grid, write_nifti

NAMES = {
    "Latin 1": ("ISO_IR 100", "Müller^Jürgen"),
    "Cyrillic": ("ISO_IR 144", "Люкceмбypг^Иван"),
    "Greek": ("ISO_IR 126", "Διονυσιος"),
    "Japanese": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "Korean": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    "Chinese": ("GB18030", "Wang^XiaoDong=王^小东"),
    "UTF-8": ("ISO_IR 192", "Buc^Jérôme 🦴"),
}


@pytest.mark.parametrize(("charset", "name"), NAMES.values(), ids=NAMES.keys())
def test_a_patient_name_is_read_in_any_character_set(charset: str | list[str], name: str, case: Case) -> None:
    for file in (*case.ct, *case.pet, case.contours):
        edit(file, set_to(SpecificCharacterSet=charset, PatientName=name))
    (patient,), problems = pipeline.survey(case.folder)
    assert patient.patient.name == name
    assert (patient.problems, problems) == ((), ())


def test_a_name_in_the_wrong_character_set_is_no_obstacle(case: Case) -> None:
    """Bytes of Latin 1 in a file that says nothing of it: read with a replacement, the same in every file."""
    for file in (*case.ct, *case.pet, case.contours):
        content = file.read_bytes().replace(b"ISO_IR 192", b"ISO_IR 6  ")
        file.write_bytes(content.replace(b"Phantom^Osteotrace", b"M\xfcller^J\xfcrgen\0\0\0\0\0"))
    (patient,), _ = pipeline.survey(case.folder)
    assert len(patient.regions) == 1
    assert patient.patient.name.isprintable()


def test_the_log_and_the_file_names_hold_no_name(case: Case, command: Command, out: Path) -> None:
    for file in (*case.ct, *case.pet, case.contours):
        edit(file, set_to(SpecificCharacterSet="ISO_IR 192", PatientName="Müller^Jürgen"))
    ended = command("run", case.folder, "-o", out)
    assert ended.code == 0
    assert "Müller" not in ended.words
    assert "Müller" not in (out / "run.log.jsonl").read_text(encoding="utf-8")
    assert not [p for p in out.rglob("*") if "ller" in p.name]


@pytest.mark.parametrize(
    "name", ["Läsion L5 – Übersicht", "病変１", "a\nb", "[bold]x[/]", "<script>", "'\";--", " " * 3]
)
def test_a_region_may_have_any_name(name: str, case: Case, command: Command, out: Path) -> None:
    write_contours(case.contours, name=name)
    ended = command("run", case.folder, "-o", out)
    assert ended.code == 0
    (patient,), _ = pipeline.survey(case.folder)
    assert patient.regions[0].name == (name.strip() or "ROI 1")
    assert "<script>" not in (out / "report.html").read_text(encoding="utf-8").replace("<script>const", "")
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT DISTINCT lesion_name FROM read_parquet(?)", [str(out / "measurements.parquet")]
        ).fetchall()
    assert rows == [(patient.regions[0].name,)]


FOLDERS = [
    "Prüfung Ä",
    "患者 一",
    "two  blanks",
    "line\nbreak",
    "[1] *?{a}",
    "-o",
    "%s $HOME",
    "e\u0301",
    "'quo\"te'",
]


@pytest.mark.parametrize("name", FOLDERS)
def test_folders_may_have_any_name(name: str, case: Case, command: Command, tmp_path: Path) -> None:
    source, out = tmp_path / "in" / name, tmp_path / "results" / name
    case.copy_to(source)
    (source / "ct").rename(source / f"CT {name}")
    ended = command("run", source, "-o", out)
    assert ended.code == 0, ended
    assert (out / "measurements.parquet").stat().st_size > 0
    assert command("inspect", source).code == 0


def test_names_that_are_not_utf_8_are_written_as_escapes(
    case: Case, command: Command, tmp_path: Path
) -> None:
    raw = os.fsencode(tmp_path) + b"/M\xfcller"
    os.rename(case.folder, raw)  # noqa: PTH104  (bytes that no str of Python holds)
    source, out = Path(os.fsdecode(raw)), Path(os.fsdecode(raw + b"-out"))
    (source / "ct" / os.fsdecode(b"l\xe4nge\n.dcm")).write_bytes(case_start(source))
    ended = command("run", source, "-o", out)
    assert ended.code == 4, ended
    assert r"[l\udce4nge\n.dcm]; expected: SOP Class UID" in ended.words
    assert (out / "report.html").is_file()


def test_a_nifti_image_and_its_drawing_with_a_name_that_is_not_utf_8(
    command: Command, tmp_path: Path
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    raw = os.fsdecode(b"l\xe4nge")
    values = np.zeros((8, 8, 8), dtype=np.uint8)
    values[2:5, 2:5, 2:5] = 1
    for name in (f"{raw}.nii.gz", "mask.nii.gz"):
        write_nifti(source / name, values, Grid((8, 8, 8), np.eye(4), "1.2.3"))
    (source / f"{raw}.toml").write_text('modality = "MR"\nquantity = "MR signal"\ndate = 2000-09-03\n')
    (source / "mask.toml").write_text('mask_of = "l*.nii.gz"\n')
    ended = command("run", source, "-o", tmp_path / "out")
    assert ended.code == 0, ended
    assert "mask" in (tmp_path / "out" / "measurements.csv").read_text(encoding="utf-8")


def case_start(folder: Path) -> bytes:
    """The first bytes of a DICOM file."""
    return (folder / "rtstruct.dcm").read_bytes()[:300]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain", "plain"),
        ("Ä 山\u3000田", "Ä 山\u3000田"),
        ("a\nb\t\x1b[31m", r"a\nb\t\x1b[31m"),
        ("\udce4\u2028", r"\udce4\u2028"),
    ],
)
def test_messages_are_one_line_that_can_be_shown(text: str, line: str) -> None:
    assert one_line(text) == line
    assert str(OsteotraceError(text, where=text)) == f"{line} [{line}]"
    assert Problem(Severity.INFO, "x", text, text).found == line
