from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osteotrace.errors import OutputError
from osteotrace.model.site import UNASKED
from osteotrace.outputs.rows import Row, measurement_rows
from osteotrace.outputs.tables import COLUMNS, rows_to_csv, write_parquet
from outputs.factory import Case, without_lesions


def tuples(rows: tuple[Row, ...] | list[Row]) -> list[tuple[object, ...]]:
    return [tuple(getattr(row, name) for name in COLUMNS) for row in rows]


def parquet(path: Path) -> list[tuple[object, ...]]:
    with duckdb.connect(":memory:") as connection:
        return connection.execute("SELECT * FROM read_parquet(?)", [str(path)]).fetchall()


def test_one_row_for_each_measurement_of_each_finding(case: Case) -> None:
    rows = measurement_rows(case.workup)
    measured = [r for r in rows if r.lesion_id is not None]
    assert len(measured) == sum(len(f.values) for f in case.workup.findings)
    peak = next(
        r for r in rows if r.track_id == "L1" and r.series_name == "PET FDG" and r.measurement == "peak"
    )
    assert (peak.concept_value, peak.concept_scheme, peak.concept_meaning) == ("126401", "DCM", "SUVbw")
    assert (peak.derivation, peak.unit) == ("Peak Value Within ROI", "g/ml{SUVbw}")
    assert (peak.interval_low, peak.interval_high) == (6.0, 7.0)
    assert (peak.region, peak.presence, peak.day, peak.modality) == ("drawn", "seen", 68, "PT")
    assert peak.criterion_id == "suv.peak_sphere_volume_cm3"
    assert peak.missing_reason is None


def test_missing_is_a_row_with_a_reason(case: Case) -> None:
    adc = [r for r in measurement_rows(case.workup) if r.measurement == "ADC"]
    assert adc
    assert {r.missing_reason for r in adc} == {"no diffusion map <in this exam>"}
    assert {(r.value, r.unit, r.n_voxels, r.method) for r in adc} == {(None, None, None, None)}


def test_what_was_not_measured_still_shows(case: Case) -> None:
    rows = [r for r in measurement_rows(case.workup) if r.measurement is None]
    told = {(r.series_name, r.presence, r.missing_reason) for r in rows if r.track_id == "L1"}
    assert told == {
        ("STIR", "unassessable", "no usable alignment to 'CT'"),
        ("CT thorax", "not_covered", "not covered: 0% of the lesion lies in the field of view"),
        ("bone scan", "unassessable", "planar image: not aligned yet"),
    }


def test_a_mapped_region_is_called_mapped_and_not_seen(case: Case) -> None:
    rows = measurement_rows(case.workup)
    assert {(r.region, r.presence) for r in rows if r.track_id == "L2" and r.series_name == "CT"} == {
        ("mapped", "not_seen")
    }


def test_findings_without_a_track_are_kept(case: Case) -> None:
    rows = measurement_rows(dataclasses.replace(case.workup, tracks=()))
    assert {r.track_id for r in rows} == {None}
    assert {r.presence for r in rows} == {None}
    assert len(rows) == sum(len(f.values) for f in case.workup.findings)


def test_files_hold_the_same_rows(written: Path, case: Case) -> None:
    rows = measurement_rows(case.workup)
    assert parquet(written / "measurements.parquet") == tuples(rows)
    with (written / "measurements.csv").open(encoding="utf-8", newline="") as stream:
        lines = list(csv.reader(stream))
    assert tuple(lines[0]) == COLUMNS
    assert lines[1:] == [["" if cell is None else str(cell) for cell in row] for row in tuples(rows)]


def test_without_lesions_the_table_is_a_header(case: Case, tmp_path: Path) -> None:
    text = rows_to_csv(measurement_rows(without_lesions(case).workup))
    assert text == ",".join(COLUMNS) + "\n"
    (tmp_path / "m.csv").write_text(text)
    write_parquet(tmp_path / "m.csv", tmp_path / "m.parquet")
    assert parquet(tmp_path / "m.parquet") == []


def test_a_table_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(rows_to_csv([]))
    with pytest.raises(
        OutputError, match=r"cannot be written as Parquet \(FileNotFoundError\) \[m.parquet\]"
    ):
        write_parquet(tmp_path / "m.csv", tmp_path / "absent" / "m.parquet")


# An empty text is an absent value in the table; a lone carriage return is no text of a header.
words = st.none() | st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0\r"), min_size=1, max_size=20
)
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
counts = st.none() | st.integers(-(2**60), 2**60)
kinds = {
    "value": numbers,
    "interval_low": numbers,
    "interval_high": numbers,
    "day": counts,
    "n_voxels": counts,
}
table_rows = st.lists(st.builds(Row, **{name: kinds.get(name, words) for name in COLUMNS}), max_size=4)


@settings(max_examples=25)
@given(table_rows)
def test_any_row_survives_both_files(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> None:
    folder = tmp_path_factory.mktemp("rows")
    text = rows_to_csv(rows)
    (folder / "it's.csv").write_text(text, encoding="utf-8", newline="")
    write_parquet(folder / "it's.csv", folder / "m.parquet")
    assert parquet(folder / "m.parquet") == tuples(rows)
    lines = list(csv.reader(io.StringIO(text)))[1:]
    assert lines == [["" if c is None else str(c) for c in row] for row in tuples(rows)]


def test_writing_twice_gives_the_same_bytes(written: Path, tmp_path: Path) -> None:
    write_parquet(written / "measurements.csv", tmp_path / "m.parquet")
    assert (tmp_path / "m.parquet").read_bytes() == (written / "measurements.parquet").read_bytes()


def test_bone_and_level_stand_in_every_row(case: Case) -> None:
    rows = measurement_rows(case.workup)
    mass = {(r.bone, r.bone_code, r.level, r.level_certainty) for r in rows if r.track_id == "L1"}
    assert mass == {("vertebra T12", "23215003", "T12", "certain")}
    edema = next(r for r in rows if r.track_id == "L2" and r.series_name == "T2 FS")
    assert (edema.level, edema.level_certainty, edema.alternatives) == ("T9", "uncertain", "T8 30%")
    assert edema.place == "T9 or T8, body (uncertain)"
    away = next(r for r in rows if r.track_id == "L2" and r.series_name == "PET FDG")
    assert (away.bone, away.level) == (None, None)
    assert away.place == "no bone: no bone that was found lies within 15 mm"


def test_without_a_skeleton_the_cells_are_empty(case: Case) -> None:
    findings = tuple(dataclasses.replace(f, site=UNASKED) for f in case.workup.findings)
    rows = measurement_rows(dataclasses.replace(case.workup, findings=findings, tracks=()))
    assert {(r.bone, r.level, r.place) for r in rows} == {(None, None, None)}
