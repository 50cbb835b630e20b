"""corrections.toml: what it says, whom it means, and the words of every refusal."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osteotrace.errors import DeclarationError
from osteotrace.model.corrections import (
    AddMask,
    BoneScanSpot,
    ByDrawing,
    ById,
    ByTrackingUid,
    Corrections,
    Different,
    LesionRef,
    Level,
    NotALesion,
    Note,
    ReplaceMask,
    Same,
    find_lesions,
    read_corrections,
)
from osteotrace.model.lesion import Lesion, Origin
from osteotrace.model.values import View
from osteotrace.space import Grid, Mask


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two mask files in it; the reader looks at names only."""
    (tmp_path / "new.nii.gz").touch()
    (tmp_path / "old.nii").touch()
    return tmp_path


def corrections_of(folder: Path, text: str) -> Corrections:
    path = folder / "corrections.toml"
    path.write_text(text, encoding="utf-8")
    return read_corrections(path)


def lesion(lesion_id: str, source: str = "1.2.3", number: int = 1, tracking: str = "") -> Lesion:
    grid = Grid((1, 1, 1), np.eye(4), "1.2")
    return Lesion(
        lesion_id,
        "mass",
        "E1",
        "1.5",
        Mask(np.ones((1, 1, 1), dtype=bool), grid),
        (0.0, 0.0, 0.0),
        0.001,
        1.7,
        Origin("imported", source, "RTSTRUCT", number),
        tracking_uid=tracking,
    )


EVERYTHING = """
[[replace_mask]]
lesion = "E2-R1"
file = "old.nii"
label = 3

[[same]]
lesions = ["E1-R1", { source_uid = "1.2.3.4", number = 2 }]
by = "reader 1"
date = 2000-10-01
note = "same level"

[[different]]
lesions = ["E1-R1", "E1-R2", { tracking_uid = "2.25.77" }]

[[not_a_lesion]]
lesion = { tracking_uid = "2.25.78" }
note = "haemangioma"

[[add_mask]]
file = "new.nii.gz"
series = "1.2.840.1.5"
name = "left iliac wing"

[[level]]
series = "1.2.840.1.5"
point_mm = [3, -42.5, 118.0]
level = "L5"
by = "reader 2"

[[bone_scan_spot]]
series = "E4-S1"
view = "posterior"
pixel = [63.5, 212]
name = "lower thoracic focus"
by = "reader 2"
note = "faint"

[[bone_scan_spot]]
series = "1.2.840.1.7"
pixel = [0, 0.25]
"""


def test_every_kind_of_correction_is_read(folder: Path) -> None:
    assert corrections_of(folder, EVERYTHING).items == (
        Same((ById("E1-R1"), ByDrawing("1.2.3.4", 2)), Note("reader 1", date(2000, 10, 1), "same level")),
        Different((ById("E1-R1"), ById("E1-R2"), ByTrackingUid("2.25.77"))),
        NotALesion(ByTrackingUid("2.25.78"), Note(text="haemangioma")),
        AddMask(folder / "new.nii.gz", "1.2.840.1.5", "left iliac wing"),
        ReplaceMask(folder / "old.nii", ById("E2-R1"), 3),
        Level("1.2.840.1.5", (3.0, -42.5, 118.0), "L5", Note("reader 2")),
        BoneScanSpot(
            "E4-S1", (63.5, 212.0), View.POSTERIOR, "lower thoracic focus", Note("reader 2", text="faint")
        ),
        BoneScanSpot("1.2.840.1.7", (0.0, 0.25)),
    )


def test_each_correction_tells_itself_in_one_line(folder: Path) -> None:
    assert [str(x) for x in corrections_of(folder, EVERYTHING).items] == [
        "same lesion: E1-R1, number 2 of 1.2.3.4 (reader 1, 2000-10-01, same level)",
        "different lesions: E1-R1, E1-R2, tracking UID 2.25.77",
        "not a lesion: tracking UID 2.25.78 (haemangioma)",
        "lesion left iliac wing added from new.nii.gz on series 1.2.840.1.5",
        "outline of E2-R1 replaced by old.nii label 3",
        "the vertebra at (3.0, -42.5, 118.0) on series 1.2.840.1.5 is L5 (reader 2)",
        "hot spot lower thoracic focus at column 63.5, row 212 in the posterior view of series E4-S1 "
        "(reader 2, faint)",
        "hot spot at column 0, row 0.25 of series 1.2.840.1.7",
    ]


def test_the_spots_are_found_among_the_corrections(folder: Path) -> None:
    spots = corrections_of(folder, EVERYTHING).spots
    assert [spot.series for spot in spots] == ["E4-S1", "1.2.840.1.7"]


def test_an_empty_file_corrects_nothing(folder: Path) -> None:
    assert corrections_of(folder, "# none yet\n") == Corrections(())


NAMES = 'expected: "E1-R1", { source_uid = "...", number = 1 } or { tracking_uid = "..." }'
PART_GROUP = '[[same]]\nlesions = ["a", "b"]\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[[vertebra]]\nlevel = "L5"\n',
            "unknown key 'vertebra' [corrections.toml]; "
            "expected: one of same, different, not_a_lesion, add_mask, replace_mask, level, bone_scan_spot",
        ),
        (
            "[[same]]\n",
            "the key lesions is missing [corrections.toml: same 1]; do: add lesions",
        ),
        (
            PART_GROUP + '[[same]]\nlesions = ["E1-R1"]\n',
            "fewer than two lesions [corrections.toml: same 2, key lesions]; "
            "expected: a list of two or more lesions",
        ),
        (
            '[[same]]\nlesions = "E1-R1"\n',
            "fewer than two lesions [corrections.toml: same 1, key lesions]; "
            "expected: a list of two or more lesions",
        ),
        (
            '[[same]]\nlesions = ["a", "b", "a "]\n',
            "a lesion is named twice [corrections.toml: same 1, key lesions]; do: name each once",
        ),
        (
            '[[different]]\nlesions = ["a", 2]\n',
            f"this does not name a lesion [corrections.toml: different 1, key lesions]; {NAMES}",
        ),
        (
            '[[not_a_lesion]]\nlesion = ""\n',
            f"this does not name a lesion [corrections.toml: not_a_lesion 1, key lesion]; {NAMES}",
        ),
        (
            '[[not_a_lesion]]\nlesion = { source_uid = "1.2" }\n',
            "the key number is missing [corrections.toml: not_a_lesion 1, key lesion]; do: add number",
        ),
        (
            '[[not_a_lesion]]\nlesion = { source_uid = "1.2", number = -1 }\n',
            "number is the number -1 [corrections.toml: not_a_lesion 1, key lesion, key number]; "
            "expected: a whole number from 0 to 2147483647",
        ),
        (
            '[[not_a_lesion]]\nlesion = { trackinguid = "1.2" }\n',
            "unknown key 'trackinguid' [corrections.toml: not_a_lesion 1, key lesion]; "
            "expected: one of source_uid, number",
        ),
        (
            '[[not_a_lesion]]\nlesion = "a"\nwhy = "x"\n',
            "unknown key 'why' [corrections.toml: not_a_lesion 1]; expected: one of lesion, by, date, note",
        ),
        (
            '[[not_a_lesion]]\nlesion = "a"\ndate = "yesterday"\n',
            "date is the text 'yesterday' [corrections.toml: not_a_lesion 1, key date]; "
            "expected: a date such as 2024-03-01; do: write year-month-day without quotes and without a time",
        ),
        (
            '[[add_mask]]\nfile = "absent.nii"\nseries = "1.2"\nname = "x"\n',
            "no file 'absent.nii' [corrections.toml: add_mask 1, key file]; "
            "expected: a path or a pattern relative to the folder of corrections.toml; "
            "do: correct the name or put the file there",
        ),
        (
            '[[add_mask]]\nfile = "*.ni*"\nseries = "1.2"\nname = "x"\n',
            "2 files fit [corrections.toml: add_mask 1, key file]; expected: one file",
        ),
        (
            '[[add_mask]]\nfile = "old.nii"\nname = "x"\n',
            "the key series is missing [corrections.toml: add_mask 1]; do: add series",
        ),
        (
            '[[replace_mask]]\nfile = "old.nii"\nlesion = "a"\nlabel = 0\n',
            "label is the number 0 [corrections.toml: replace_mask 1, key label]; "
            "expected: a whole number from 1 to 2147483647",
        ),
    ],
)
def test_a_wrong_correction_is_refused_in_words(folder: Path, text: str, message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        corrections_of(folder, text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            '[[same]]\nlesions = ["a", "b"]\n[[different]]\nlesions = ["b", "a"]\n',
            "b, a are the same and different",
        ),
        (
            '[[same]]\nlesions=["a","b"]\n[[same]]\nlesions=["c","d"]\n[[same]]\nlesions=["b","c"]\n'
            '[[different]]\nlesions=["x","a","d"]\n',
            "a, d are the same and different",
        ),
        (
            '[[same]]\nlesions = ["a", "b"]\n[[not_a_lesion]]\nlesion = "b"\n',
            "b is not a lesion and is spoken of as one",
        ),
        (
            '[[not_a_lesion]]\nlesion = "a"\n[[replace_mask]]\nlesion = "a"\nfile = "old.nii"\n',
            "a is not a lesion and is spoken of as one",
        ),
        (
            '[[replace_mask]]\nlesion="a"\nfile="old.nii"\n[[replace_mask]]\nlesion="a"\nfile="new.nii.gz"\n',
            "the outline of a is replaced twice",
        ),
    ],
)
def test_contradictions_are_refused(folder: Path, text: str, found: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        corrections_of(folder, text)
    error = caught.value
    assert (error.found, error.where, error.expected, error.remedy) == (
        found,
        "corrections.toml",
        "corrections that agree",
        "delete one of them",
    )


def test_groups_that_do_not_touch_do_not_contradict(folder: Path) -> None:
    text = '[[same]]\nlesions=["a","b"]\n[[same]]\nlesions=["c","d"]\n[[different]]\nlesions=["a","c"]\n'
    assert len(corrections_of(folder, text).items) == 3


LESIONS = (
    lesion("E1-R1", "1.2.3", 1, "2.25.1"),
    lesion("E1-R2", "1.2.3", 2, "2.25.2"),
    lesion("E2-R1", "1.2.4", 1, "2.25.1"),
)


@pytest.mark.parametrize(
    ("ref", "ids"),
    [
        (ById("E1-R2"), ["E1-R2"]),
        (ByDrawing("1.2.3", 1), ["E1-R1"]),
        (ByDrawing("1.2.4", 1), ["E2-R1"]),
        (ByTrackingUid("2.25.1"), ["E1-R1", "E2-R1"]),
    ],
)
def test_a_reference_finds_its_lesions(ref: LesionRef, ids: list[str]) -> None:
    assert [x.id for x in find_lesions(ref, LESIONS)] == ids


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        (ById("E9-R1"), "E9-R1"),
        (ByDrawing("1.2.3", 3), "number 3 of 1.2.3"),
        (ByTrackingUid("2.25.3"), "tracking UID 2.25.3"),
    ],
)
def test_a_reference_to_nothing_is_refused_in_words(ref: LesionRef, words: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        find_lesions(ref, LESIONS)
    assert str(caught.value) == (
        f"a correction names a lesion that is not there: {words}; expected: one of E1-R1, E1-R2, E2-R1; "
        "do: use an id of measurements.csv, or the source_uid and number of the drawing"
    )


def test_a_reference_when_there_are_no_lesions() -> None:
    with pytest.raises(DeclarationError, match="expected: a lesion; there is none"):
        find_lesions(ById("E1-R1"), ())


@given(st.binary() | st.text().map(str.encode))
def test_no_bytes_make_the_reader_fall_over(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "corrections.toml"
    path.write_bytes(b"[[same]]\nlesions = " + data)
    try:
        read_corrections(path)
    except DeclarationError as error:
        where = error.where
    else:
        where = path.name
    assert where.startswith("corrections.toml")


LEVEL = """
[[level]]
series = "1.5"
point_mm = [1.0, 2.0, 3.0]
level = "L5"
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"L5"', '"L7"', "'L7' is not known"),
        ('"L5"', '"S1"', "'S1' is not known"),
        ("[1.0, 2.0, 3.0]", "[1.0, 2.0]", "this is not a point"),
        ("[1.0, 2.0, 3.0]", "[1.0, 2.0, nan]", "this is not a point"),
        ("[1.0, 2.0, 3.0]", '["1", 2.0, 3.0]', "this is not a point"),
        ("[1.0, 2.0, 3.0]", "[true, 2.0, 3.0]", "this is not a point"),
        ("[1.0, 2.0, 3.0]", "7", "this is not a point"),
        ('level = "L5"', "", "level"),
    ],
)
def test_a_level_that_cannot_be_meant_is_refused(folder: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        corrections_of(folder, LEVEL.replace(old, new))


def test_one_point_with_two_levels_is_a_contradiction(folder: Path) -> None:
    with pytest.raises(DeclarationError, match="one point is in L5 and in L4"):
        corrections_of(folder, LEVEL + LEVEL.replace("L5", "L4"))


def test_a_level_tells_itself(folder: Path) -> None:
    (item,) = corrections_of(folder, LEVEL).items
    assert str(item) == "the vertebra at (1.0, 2.0, 3.0) on series 1.5 is L5"


SPOT = """
[[bone_scan_spot]]
series = "E4-S1"
view = "posterior"
pixel = [63.5, 212.0]
"""
NO_PIXEL = (
    "this is not a pixel [corrections.toml: bone_scan_spot 1, key pixel]; "
    "expected: two numbers: column and row, the first pixel is 0; do: write pixel = [63.5, 212.0]"
)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[63.5, 212.0]", "[63.5]", NO_PIXEL),
        ("[63.5, 212.0]", "[63.5, 212.0, 1.0]", NO_PIXEL),
        ("[63.5, 212.0]", "[63.5, nan]", NO_PIXEL),
        ("[63.5, 212.0]", '[63.5, "212"]', NO_PIXEL),
        ("[63.5, 212.0]", "[63.5, true]", NO_PIXEL),
        ("[63.5, 212.0]", "63.5", NO_PIXEL),
        (
            "pixel = [63.5, 212.0]",
            "",
            "the key pixel is missing [corrections.toml: bone_scan_spot 1]; do: add pixel",
        ),
        (
            'series = "E4-S1"',
            "",
            "the key series is missing [corrections.toml: bone_scan_spot 1]; do: add series",
        ),
        (
            '"posterior"',
            '"posteror"',
            "'posteror' is not known [corrections.toml: bone_scan_spot 1, key view]; "
            "expected: one of anterior, posterior; do: did you mean posterior?",
        ),
        (
            '"posterior"',
            '"unknown"',
            "'unknown' is not known [corrections.toml: bone_scan_spot 1, key view]; "
            "expected: one of anterior, posterior",
        ),
        (
            "view =",
            "views =",
            "unknown key 'views' [corrections.toml: bone_scan_spot 1]; "
            "expected: one of series, view, pixel, name, by, date, note; do: did you mean view?",
        ),
    ],
)
def test_a_spot_that_cannot_be_meant_is_refused_in_words(
    folder: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(DeclarationError) as caught:
        corrections_of(folder, SPOT.replace(old, new))
    assert str(caught.value) == message
