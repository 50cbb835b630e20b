"""``measurements.csv`` and ``measurements.parquet``: the same rows twice."""

from __future__ import annotations

import csv
import dataclasses
import io
import shutil
import tempfile
import typing
from collections.abc import Sequence
from pathlib import Path

import duckdb

from osteotrace.errors import OutputError
from osteotrace.outputs.rows import Row

COLUMNS = tuple(f.name for f in dataclasses.fields(Row))
_SQL_TYPES = {str: "VARCHAR", int: "BIGINT", float: "DOUBLE"}


def rows_to_csv(rows: Sequence[Row]) -> str:
    """The table as RFC 4180 text with a header line; an empty cell is an absent value.

    Numbers are written with as many digits as it takes to read the same number back.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(tuple("" if cell is None else cell for cell in _cells(row)) for row in rows)
    return stream.getvalue()


def write_parquet(csv_path: Path, path: Path) -> None:
    """Write the table of a CSV file made by :func:`rows_to_csv` as Parquet, typed, in the same order.

    Raises
    ------
    OutputError
        The Parquet file cannot be written.
    """
    types = ", ".join(f"'{name}': '{kind}'" for name, kind in _column_types().items())
    try:
        # DuckDB opens no path that is not UTF-8: it works under plain names.
        with tempfile.TemporaryDirectory(prefix="osteotrace-") as folder:
            rows, table = Path(folder) / "rows.csv", Path(folder) / "rows.parquet"
            shutil.copyfile(csv_path, rows)
            _convert(rows, table, types)
            shutil.copyfile(table, path)
    except (duckdb.Error, OSError) as error:
        raise OutputError(
            f"the table cannot be written as Parquet ({type(error).__name__})", where=path.name
        ) from error


def _convert(csv_path: Path, path: Path, types: str) -> None:
    source = (
        f"read_csv({_quoted(csv_path)}, header = true, delim = ',', quote = '\"', escape = '\"',"
        " nullstr = '',"
        f" auto_detect = false, parallel = false, columns = {{{types}}})"
    )
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        connection.execute(
            f"COPY (SELECT * FROM {source}) TO {_quoted(path)} (FORMAT parquet, COMPRESSION zstd)"
        )


def _cells(row: Row) -> tuple[object, ...]:
    return tuple(getattr(row, name) for name in COLUMNS)


def _column_types() -> dict[str, str]:
    hints = typing.get_type_hints(Row)
    kinds = {
        name: next(k for k in (float, int, str) if k in (hints[name], *typing.get_args(hints[name])))
        for name in COLUMNS
    }
    return {name: _SQL_TYPES[kind] for name, kind in kinds.items()}


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
