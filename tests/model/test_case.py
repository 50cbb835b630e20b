"""case.toml and sidecars: what they say, and the words of every refusal."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osteotrace.errors import DeclarationError
from osteotrace.model.case import (
    Case,
    ImageDeclaration,
    MaskDeclaration,
    PatientFacts,
    place_events,
    read_case,
    read_sidecar,
    sidecar_path,
)
from osteotrace.model.patient import (
    Biopsy,
    DrugTherapy,
    EarlierReading,
    Event,
    Pathology,
    Radiotherapy,
    Surgery,
    Symptom,
)
from osteotrace.model.values import Modality, Quantity


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with three NIfTI names in it; the reader looks at names only."""
    (tmp_path / "mr").mkdir()
    for name in ("t1.nii.gz", "t2.nii.gz", "lesions.nii"):
        (tmp_path / "mr" / name).touch()
    return tmp_path


def case_of(folder: Path, text: str) -> Case:
    path = folder / "case.toml"
    path.write_text(text, encoding="utf-8")
    return read_case(path)


def refusal(folder: Path, text: str) -> DeclarationError:
    with pytest.raises(DeclarationError) as caught:
        case_of(folder, text)
    return caught.value


def where_refused(path: Path) -> str:
    try:
        read_case(path)
    except DeclarationError as error:
        return error.where
    return ""


IMAGE = '[[image]]\nfile = "mr/t1.nii.gz"\nmodality = "MR"\nquantity = "MR signal"\n'
MASK = '[[image]]\nfile = "mr/lesions.nii"\nmask_of = "mr/t1.nii.gz"\n'


def test_an_empty_case_declares_nothing(folder: Path) -> None:
    assert case_of(folder, "") == Case(PatientFacts("", "", None), (), (), ())


def test_the_patient_is_read(folder: Path) -> None:
    case = case_of(folder, '[patient]\nid = " P01 "\nsex = "M"\nage_years = 39\n')
    assert case.patient == PatientFacts("P01", "M", 39.0)


EVENTS = """
[[event]]
kind = "surgery"
date = 2000-09-08
text = "subtotal resection"
site = "conus"

[[event]]
kind = "radiotherapy"
day = 30
levels = ["T11", "L2"]
dose_gy = 36
fractions = 20

[[event]]
kind = "drug"
drugs = ["ifosfamide", "carboplatin"]
cycles = 6

[[event]]
kind = "biopsy"
site = "L5"
adequate = false

[[event]]
kind = "pathology"
text = "glioblastoma"
site = "L5"

[[event]]
kind = "symptom"
text = "back pain"

[[event]]
kind = "reading"
date = 2000-09-03
modality = "MR"
lesions = ["cord mass"]
"""


def test_each_kind_of_event_is_read_into_its_record(folder: Path) -> None:
    assert case_of(folder, EVENTS).events == (
        Surgery(date(2000, 9, 8), None, "subtotal resection", "conus"),
        Radiotherapy(None, 30, "", ("T11", "L2"), 36.0, 20),
        DrugTherapy(None, None, "", ("ifosfamide", "carboplatin"), 6),
        Biopsy(None, None, "", "L5", False),
        Pathology(None, None, "glioblastoma", "L5"),
        Symptom(None, None, "back pain"),
        EarlierReading(date(2000, 9, 3), None, "", "MR", ("cord mass",)),
    )


def test_a_reading_without_lesions_is_one_that_named_none(folder: Path) -> None:
    (reading,) = case_of(folder, '[[event]]\nkind = "reading"\nmodality = "DX"\nlesions = []\n').events
    assert reading == EarlierReading(None, None, "", "DX", ())


def test_an_image_is_read_with_all_that_is_declared(folder: Path) -> None:
    more = (
        "datetime = 2000-09-03T14:05:00\nweighting = 'T2W'\nfat_suppression = true\ncontrast = false\n"
        "field_strength_t = 1.5\nframe = 'spine'\nbody_part = 'LSPINE'\n"
    )
    (image,) = case_of(folder, IMAGE + more).images
    assert image == ImageDeclaration(
        where="case.toml: image 1",
        files=(folder / "mr/t1.nii.gz",),
        modality=Modality.MR,
        quantity=Quantity.MR_SIGNAL,
        unit="1",
        scale=1.0,
        start=datetime(2000, 9, 3, 14, 5),
        weighting="T2W",
        fat_suppression=True,
        contrast=False,
        field_strength_t=1.5,
        frame="spine",
        body_part="LSPINE",
    )


def test_what_is_not_declared_stays_unknown(folder: Path) -> None:
    (image,) = case_of(folder, IMAGE).images
    assert (image.start, image.fat_suppression, image.contrast, image.field_strength_t) == (None,) * 4
    assert (image.weighting, image.tracer, image.frame, image.body_part) == ("",) * 4


def test_a_date_alone_is_midnight(folder: Path) -> None:
    (image,) = case_of(folder, IMAGE + "date = 2000-09-03\n").images
    assert image.start == datetime(2000, 9, 3)


def test_a_pattern_names_several_images_in_order(folder: Path) -> None:
    text = IMAGE.replace("mr/t1.nii.gz", "**/t*.nii.gz")
    (image,) = case_of(folder, text).images
    assert [f.name for f in image.files] == ["t1.nii.gz", "t2.nii.gz"]


def test_a_name_with_brackets_is_a_name_before_it_is_a_pattern(folder: Path) -> None:
    (folder / "t[1].nii").touch()
    (image,) = case_of(folder, IMAGE.replace("mr/t1.nii.gz", "t[1].nii")).images
    assert [f.name for f in image.files] == ["t[1].nii"]


def test_a_mask_is_read_with_its_labels_in_order(folder: Path) -> None:
    case = case_of(folder, MASK + 'labels = { 10 = "sacrum", 2 = "L5 lesion" }\n')
    assert case.images == ()
    assert case.masks == (
        MaskDeclaration(
            "case.toml: image 1",
            (folder / "mr/lesions.nii",),
            folder / "mr/t1.nii.gz",
            ((2, "L5 lesion"), (10, "sacrum")),
        ),
    )


@pytest.mark.parametrize(
    ("modality", "quantity", "unit", "ucum", "scale"),
    [
        ("MR", "ADC", "mm2/s", "um2/s", 1e6),
        ("MR", "ADC", "1e-3 mm2/s", "um2/s", 1e3),
        ("MR", "ADC", "um2/s", "um2/s", 1.0),
        ("PT", "activity concentration", "kBq/mL", "Bq/ml", 1e3),
        ("PT", "SUVbw", "g/mL", "g/ml{SUVbw}", 1.0),
        ("CT", "HU", "HU", "[hnsf'U]", 1.0),
        ("RTDOSE", "absorbed dose", "cGy", "Gy", 0.01),
    ],
)
def test_a_unit_is_turned_into_the_one_of_its_quantity(
    folder: Path, modality: str, quantity: str, unit: str, ucum: str, scale: float
) -> None:
    text = f'[[image]]\nfile="mr/t1.nii.gz"\nmodality="{modality}"\nquantity="{quantity}"\nunit="{unit}"\n'
    (image,) = case_of(folder, text).images
    assert (image.unit, image.scale) == (ucum, scale)


def test_a_sidecar_holds_the_keys_of_one_image(folder: Path) -> None:
    image = folder / "mr/t1.nii.gz"
    path = sidecar_path(image)
    path.write_text('modality = "PT"\nquantity = "SUVbw"\ntracer = "FDG"\n')
    declared = read_sidecar(path, image)
    assert isinstance(declared, ImageDeclaration)
    assert (declared.where, declared.files, declared.tracer) == ("t1.toml", (image,), "FDG")


def test_a_sidecar_may_declare_a_mask(folder: Path) -> None:
    mask = folder / "mr/lesions.nii"
    sidecar_path(mask).write_text('mask_of = "t1.nii.gz"\n')
    declared = read_sidecar(sidecar_path(mask), mask)
    assert declared == MaskDeclaration("lesions.toml", (mask,), folder / "mr/t1.nii.gz", ())


def test_a_sidecar_does_not_name_its_file(folder: Path) -> None:
    image = folder / "mr/t1.nii.gz"
    sidecar_path(image).write_text('file = "t1.nii.gz"\nmodality = "CT"\nquantity = "HU"\n')
    with pytest.raises(DeclarationError, match=r"unknown key 'file' \[t1.toml\]"):
        read_sidecar(sidecar_path(image), image)


@pytest.mark.parametrize(
    ("image", "sidecar"), [("a.nii.gz", "a.toml"), ("a.nii", "a.toml"), ("a.b.NII.GZ", "a.b.toml")]
)
def test_where_the_sidecar_is(image: str, sidecar: str) -> None:
    assert sidecar_path(Path("x") / image) == Path("x") / sidecar


RT = '[[event]]\nkind = "symptom"\ntext = "pain"\n\n[[event]]\nkind = "radiotherapy"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            RT + "dose_gy = -2.0",
            "dose_gy is the number -2.0 [case.toml: event 2, key dose_gy]; expected: a number above 0",
        ),
        (
            RT + 'dose_gy = "36 Gy"',
            "dose_gy is the text '36 Gy' [case.toml: event 2, key dose_gy]; expected: a number; "
            "do: write it without quotes and without its unit",
        ),
        (
            RT + "dose_gy = true",
            "dose_gy is true [case.toml: event 2, key dose_gy]; expected: a number; "
            "do: write it without quotes and without its unit",
        ),
        (
            RT + "dose_gy = nan",
            "dose_gy is the number nan [case.toml: event 2, key dose_gy]; expected: a number above 0",
        ),
        (
            RT + f"dose_gy = 1{'0' * 400}",
            "dose_gy is the number too large [case.toml: event 2, key dose_gy]; expected: a number above 0",
        ),
        (
            RT + "fractions = 2.5",
            "fractions is the number 2.5 [case.toml: event 2, key fractions]; "
            "expected: a whole number from 1 to 1000",
        ),
        (
            RT + "dose = 36",
            "unknown key 'dose' [case.toml: event 2]; "
            "expected: one of kind, date, day, text, levels, dose_gy, fractions; do: did you mean dose_gy?",
        ),
        (
            RT + 'levels = "T11"',
            "levels is the text 'T11' [case.toml: event 2, key levels]; expected: a list of texts; "
            'do: write levels = ["...", "..."]',
        ),
        (
            RT + 'levels = ["T11", 3]',
            "levels is a list [case.toml: event 2, key levels]; expected: a list of texts; "
            'do: write levels = ["...", "..."]',
        ),
        (
            RT + "date = 2000-10-02\nday = 30",
            "both date and day are given [case.toml: event 2]; expected: one of them; do: delete date or day",
        ),
        (
            RT + 'date = "2000-10-02"',
            "date is the text '2000-10-02' [case.toml: event 2, key date]; "
            "expected: a date such as 2024-03-01; do: write year-month-day without quotes and without a time",
        ),
        (
            RT + "date = 2000-10-02T10:00:00",
            "date is a date with a time [case.toml: event 2, key date]; "
            "expected: a date such as 2024-03-01; do: write year-month-day without quotes and without a time",
        ),
        (
            RT + "day = 20001002",
            "day is the number 20001002 [case.toml: event 2, key day]; "
            "expected: a whole number from -50000 to 50000",
        ),
        (
            RT + 'text = " "',
            "the text is empty [case.toml: event 2, key text]; do: fill it in or delete text",
        ),
        (
            RT + "text = 5",
            "text is the number 5 [case.toml: event 2, key text]; expected: text in quotes; "
            'do: write text = "..."',
        ),
        (
            '[[event]]\nkind = "radiotherpy"\n',
            "'radiotherpy' is not known [case.toml: event 1, key kind]; expected: one of surgery, "
            "radiotherapy, drug, biopsy, pathology, symptom, reading; do: did you mean radiotherapy?",
        ),
        (
            "[[event]]\nday = 1\n",
            "the key kind is missing [case.toml: event 1]; expected: one of surgery, radiotherapy, drug, "
            "biopsy, pathology, symptom, reading; do: add kind",
        ),
        (
            '[[event]]\nkind = "pathology"\nday = 1\n',
            "the key text is missing [case.toml: event 1]; do: add text",
        ),
        (
            '[[event]]\nkind = "reading"\ntext = "normal"\n',
            "the key lesions is missing [case.toml: event 1]; do: add lesions",
        ),
        (
            '[[event]]\nkind = "reading"\nmodality = "PET"\nlesions = []\n',
            "'PET' is not known [case.toml: event 1, key modality]; "
            "expected: one of CT, MR, PT, NM, RTDOSE, CR, DX, US; do: did you mean PT?",
        ),
        (
            '[[event]]\nkind = "biopsy"\nadequate = "no"\n',
            "adequate is the text 'no' [case.toml: event 1, key adequate]; expected: true or false; "
            "do: write it without quotes",
        ),
        (
            '[event]\nkind = "symptom"\n',
            "event is a table [case.toml: key event]; expected: tables that start with [[event]]; "
            "do: write [[event]] with two brackets",
        ),
        (
            'events = "none"\n',
            "unknown key 'events' [case.toml]; expected: one of patient, event, image; "
            "do: did you mean event?",
        ),
        (
            "patient = 3\n",
            "patient is the number 3 [case.toml: key patient]; expected: a table; "
            "do: start it with [patient]",
        ),
        (
            '[patient]\nsex = "male"\n',
            "'male' is not known [case.toml: patient, key sex]; expected: one of M, F, O",
        ),
        (
            "[patient]\nage_years = 390\n",
            "age_years is the number 390 [case.toml: patient, key age_years]; "
            "expected: a number above 0 and up to 130",
        ),
        (
            "[patient]\nid = 17\n",
            "id is the number 17 [case.toml: patient, key id]; expected: text in quotes; "
            'do: write id = "..."',
        ),
        (
            '[patient]\nname = "A^B"\n',
            "unknown key 'name' [case.toml: patient]; expected: one of id, sex, age_years",
        ),
    ],
)
def test_a_wrong_patient_or_event_is_refused_in_words(folder: Path, text: str, message: str) -> None:
    assert str(refusal(folder, text)) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[[image]]\nmodality = "MR"\n',
            "the key file is missing [case.toml: image 1]; do: add file",
        ),
        (
            IMAGE.replace("t1.nii.gz", "t3.nii.gz"),
            "no file 'mr/t3.nii.gz' [case.toml: image 1, key file]; "
            "expected: a path or a pattern relative to the folder of case.toml; "
            "do: correct the name or put the file there",
        ),
        (
            IMAGE.replace("mr/t1.nii.gz", "case.toml"),
            "'case.toml' is not called a NIfTI file [case.toml: image 1, key file]; "
            "expected: a name that ends in .nii or .nii.gz",
        ),
        (
            IMAGE.replace('"MR"', '"MRI"'),
            "'MRI' is not known [case.toml: image 1, key modality]; expected: one of CT, MR, PT, NM, RTDOSE; "
            "do: did you mean MR?",
        ),
        (
            IMAGE.replace("MR signal", "mr Signal"),
            "'mr Signal' is not known [case.toml: image 1, key quantity]; expected: one of HU, SUVbw, "
            "activity concentration, counts, MR signal, ADC, absorbed dose, unknown; "
            "do: did you mean MR signal?",
        ),
        (
            '[[image]]\nfile = "mr/t1.nii.gz"\nmodality = "CT"\n',
            "the key quantity is missing [case.toml: image 1]; expected: one of HU, SUVbw, "
            "activity concentration, counts, MR signal, ADC, absorbed dose, unknown; do: add quantity",
        ),
        (
            IMAGE.replace("MR signal", "HU"),
            "MR does not give HU [case.toml: image 1, key quantity]; "
            "expected: one of MR signal, ADC, unknown",
        ),
        (
            IMAGE + 'unit = "ms"\n',
            "'ms' is not known [case.toml: image 1, key unit]; expected: one of 1",
        ),
        (
            IMAGE + 'tracer = "FDG"\n',
            "tracer is declared of MR [case.toml: image 1, key tracer]; "
            "do: delete tracer or correct modality",
        ),
        (
            '[[image]]\nfile = "mr/t1.nii.gz"\nmodality = "CT"\nquantity = "HU"\nfat_suppression = true\n',
            "fat_suppression is declared of CT [case.toml: image 1, key fat_suppression]; "
            "do: delete fat_suppression or correct modality",
        ),
        (
            '[[image]]\nfile = "mr/t1.nii.gz"\nmodality = "PT"\nquantity = "SUVbw"\ncontrast = true\n',
            "contrast is declared of PT [case.toml: image 1, key contrast]; "
            "do: delete contrast or correct modality",
        ),
        (
            IMAGE + 'weighting = "t2w"\n',
            "'t2w' is not known [case.toml: image 1, key weighting]; "
            "expected: one of T1W, T2W, PD, T2*, STIR, FLAIR, DWI; do: did you mean T2W?",
        ),
        (
            IMAGE + "date = 2000-09-03\ndatetime = 2000-09-03T10:00:00\n",
            "both date and datetime are given [case.toml: image 1]; expected: one of them; "
            "do: delete date or datetime",
        ),
        (
            IMAGE + "datetime = 2000-09-03T10:00:00Z\n",
            "datetime is a date with a time [case.toml: image 1, key datetime]; "
            "expected: a local date and time such as 2024-03-01T14:05:00; "
            "do: write it without quotes and without a time zone",
        ),
        (
            IMAGE + "datetime = 10:00:00\n",
            "datetime is a time of day [case.toml: image 1, key datetime]; "
            "expected: a local date and time such as 2024-03-01T14:05:00; "
            "do: write it without quotes and without a time zone",
        ),
        (
            IMAGE + "field_strength_t = 0\n",
            "field_strength_t is the number 0 [case.toml: image 1, key field_strength_t]; "
            "expected: a number above 0",
        ),
        (
            IMAGE + IMAGE.replace("t1.nii", "t*.nii"),
            "t1.nii.gz is declared twice [case.toml: image 1 and case.toml: image 2]; "
            "do: keep one of them, or narrow the pattern",
        ),
        (
            IMAGE + "labels = { 1 = 'x' }\n",
            "unknown key 'labels' [case.toml: image 1]; expected: one of file, modality, quantity, unit, "
            "date, datetime, contrast, frame, body_part, weighting, fat_suppression, field_strength_t, "
            "tracer",
        ),
        (
            MASK + 'modality = "MR"\n',
            "unknown key 'modality' [case.toml: image 1]; expected: one of file, mask_of, labels",
        ),
        (
            MASK.replace("mr/t1.nii.gz", "mr/t?.nii.gz"),
            "2 images fit [case.toml: image 1, key mask_of]; expected: one image",
        ),
        (
            MASK.replace("mr/t1.nii.gz", "mr/../mr/lesions.nii"),
            "the drawing is declared to be of itself [case.toml: image 1, key mask_of]; "
            "expected: the image it lies on",
        ),
        (
            MASK + "labels = { L1 = 'lesion' }\n",
            "'L1' is no label [case.toml: image 1, labels]; "
            "expected: whole numbers above 0, as in { 1 = 'name' }",
        ),
        (
            MASK + "labels = { 0 = 'background' }\n",
            "'0' is no label [case.toml: image 1, labels]; "
            "expected: whole numbers above 0, as in { 1 = 'name' }",
        ),
        (
            MASK + "labels = { 1 = 'a', 01 = 'b' }\n",
            "label 1 is named twice [case.toml: image 1, labels]; do: keep one name",
        ),
        (
            MASK + "labels = { 1 = 2 }\n",
            "1 is the number 2 [case.toml: image 1, labels, key 1]; expected: text in quotes; "
            'do: write 1 = "..."',
        ),
    ],
)
def test_a_wrong_image_is_refused_in_words(folder: Path, text: str, message: str) -> None:
    assert str(refusal(folder, text)) == message


@pytest.mark.parametrize(
    "pattern", ["/nowhere/*.nii", "**x", "a\\u0000b.nii", "x" * 400 + ".nii", "mr", "..", "mr/*.txt"]
)
def test_a_pattern_that_cannot_match_is_no_file(folder: Path, pattern: str) -> None:
    error = refusal(folder, IMAGE.replace("mr/t1.nii.gz", pattern))
    assert error.found.startswith("no file '")
    assert error.where == "case.toml: image 1, key file"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError) as caught:
        read_case(tmp_path / "case.toml")
    assert str(caught.value) == "the file does not exist [case.toml]; do: check the path"


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"cannot be read \(IsADirectoryError\)"):
        read_case(tmp_path)


def test_a_syntax_error_tells_its_line(folder: Path) -> None:
    error = refusal(folder, "[patient]\nid = P01\n")
    assert error.where == "case.toml: line 2, column 6"
    assert error.found == "not valid TOML (invalid value)"
    assert error.expected == "key = value, text in quotes, dates as 2024-03-01 without quotes"


def test_a_date_that_is_not_in_the_calendar_tells_its_line(folder: Path) -> None:
    error = refusal(folder, RT + "date = 2000-02-31\n")
    assert error.where.startswith("case.toml: line 7, ")


def test_a_text_that_does_not_end(folder: Path) -> None:
    assert refusal(folder, '[patient]\nid = """P01').where == "case.toml: end of the file"


def test_a_file_that_is_not_utf8_tells_its_line(folder: Path) -> None:
    path = folder / "case.toml"
    path.write_bytes('[patient]\nid = "Zürich"\n'.encode("latin-1"))
    with pytest.raises(DeclarationError) as caught:
        read_case(path)
    assert str(caught.value) == (
        "the file is not UTF-8 text [case.toml: line 2]; expected: UTF-8; do: save it as UTF-8"
    )


def test_windows_line_ends_and_byte_order_mark_are_read(folder: Path) -> None:
    path = folder / "case.toml"
    path.write_bytes('[patient]\r\nid = "Zürich"\r\n'.encode("utf-8-sig"))
    assert read_case(path).patient.patient_id == "Zürich"


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = 1" + "0" * 5000])
def test_what_the_parser_chokes_on_is_a_named_error(folder: Path, text: str) -> None:
    assert refusal(folder, text).where.startswith("case.toml")


def test_a_long_wrong_word_is_cut_and_stays_on_one_line(folder: Path) -> None:
    message = str(refusal(folder, IMAGE.replace('"MR"', f'"M\\n{"R" * 200}"')))
    assert "\n" not in message
    assert "RRR...' is not known" in message
    assert len(message) < 200


KEYS = ("kind", "date", "day", "text", "dose_gy", "levels", "lesions", "file", "mask_of", "labels", "unit")
VALUES = st.one_of(
    st.sampled_from(['"reading"', '"MR"', '"mr/t1.nii.gz"', "2000-09-03", "12:00:00", "inf", "-0.0", "[]"]),
    st.integers().map(str),
    st.text(st.characters(codec="ascii", exclude_characters="\r\n")),
)


@given(st.lists(st.tuples(st.sampled_from(KEYS), VALUES)), st.sampled_from(["event", "image", "patient"]))
def test_no_text_makes_the_reader_fall_over(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[str, str]], table: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "case.toml"
    path.write_text(f"[[{table}]]\n" + "\n".join(f"{k} = {v}" for k, v in lines), encoding="utf-8")
    assert (where_refused(path) or "case.toml").startswith("case.toml")


@given(st.binary())
def test_no_bytes_make_the_reader_fall_over(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "case.toml"
    path.write_bytes(data)
    assert (where_refused(path) or "case.toml").startswith("case.toml")


def test_events_get_their_day_from_the_date_and_their_date_from_the_day() -> None:
    first, second = place_events(
        [Surgery(date(2000, 9, 8), None, "s"), Symptom(None, -2, "p")], date(2000, 9, 3)
    )
    assert first == Symptom(date(2000, 9, 1), -2, "p")
    assert second == Surgery(date(2000, 9, 8), 5, "s")


def test_events_are_sorted_and_the_undated_come_last() -> None:
    undated, dated, day = (
        Symptom(None, None, "u"),
        Symptom(date(1999, 1, 1), None, "d"),
        Symptom(None, 7, "x"),
    )
    assert place_events([undated, dated, day], None) == (day, dated, undated)
    assert [e.text for e in place_events([undated, day, dated], date(2000, 1, 1))] == ["d", "x", "u"]


def test_a_day_beyond_the_calendar_keeps_no_date() -> None:
    assert place_events([Symptom(None, 40_000, "p")], date(9999, 1, 1)) == (Symptom(None, 40_000, "p"),)


DATES = st.dates(date(1900, 1, 1), date(2100, 1, 1))
PLACED: st.SearchStrategy[Event] = st.one_of(
    DATES.map(lambda d: Surgery(d, None, "")),
    st.integers(-5000, 5000).map(lambda n: Biopsy(None, n, "")),
    st.just(Symptom(None, None, "p")),
)


@given(st.lists(PLACED), DATES)
def test_placing_is_complete_ordered_and_idempotent(events: list[Event], zero: date) -> None:
    placed = place_events(events, zero)
    assert len(placed) == len(events)
    days = [e.day for e in placed if e.day is not None]
    assert days == sorted(days)
    assert all((e.date - zero).days == e.day for e in placed if e.date and e.day is not None)
    assert all((e.date is None) == (e.day is None) for e in placed)
    assert place_events(placed, zero) == placed
