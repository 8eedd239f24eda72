"""Lists of ids in files: one a line, or the only or first id-like column of a csv, tsv or parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kinfolk.errors import DataError

if TYPE_CHECKING:
    import polars as pl

_LINES = ("", ".txt")
_SEPARATED = {".csv": ",", ".tsv": "\t"}
_PARQUET = (".parquet", ".pq")
_EXACT = 2.0**53


def read_ids(file: Path, *, what: str) -> list[str]:
    """Ids in file order, blank ones left out; `what` ("user", "item") names the column to prefer and the errors.

    The suffix, in capitals or not, says how to read: .csv, .tsv, .parquet and .pq are tables, .txt or none is one id a
    line. The only column of a parquet file may have any name. That of a csv file may not: its first line may be an id.

    Raises:
        DataError: no such file, a suffix of no list, no id in it, no column of that name, or values that are no ids.
    """
    if not file.is_file():
        said = "is a folder" if file.is_dir() else "no such file"
        raise DataError(f"{file}: {said}", f"give a file with one {what} id a line")
    suffix = file.suffix.lower()
    if suffix in _LINES:
        ids = _lines(file, what)
    elif suffix in _SEPARATED or suffix in _PARQUET:
        ids = _column(file, suffix, what)
    else:
        raise DataError(
            f"{file} has the suffix {file.suffix!r}", f"write one {what} id a line into a .txt, or a .csv or .parquet"
        )
    if not ids:
        raise DataError(f"{file} holds no {what} id", f"write one {what} id a line")
    return ids


def _lines(file: Path, what: str) -> list[str]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as e:
        raise DataError(f"{file} is no text ({e})", f"write one {what} id a line, in UTF-8") from e
    return [line.strip() for line in text.splitlines() if line.strip()]


def _column(file: Path, suffix: str, what: str) -> list[str]:
    import polars as pl

    parquet = suffix in _PARQUET
    try:
        if parquet:
            table = pl.read_parquet(file, glob=False)
        else:
            table = pl.read_csv(file, infer_schema=False, separator=_SEPARATED[suffix], glob=False)
    except (pl.exceptions.PolarsError, OSError) as e:
        first = (str(e).strip() or type(e).__name__).splitlines()[0]
        raise DataError(f"{file} cannot be read ({first})", "is it complete and what its suffix says?") from e
    name = _named(table.columns, what)
    if name is None and len(table.columns) == 1 and parquet:
        name = table.columns[0]
    if name is None:
        remedy = f"rename one to {what}_id"
        if not parquet:
            separator = "tabs" if suffix == ".tsv" else "commas"
            remedy = f"write {what}_id into its first line and {separator} between columns, or name a plain list .txt"
        raise DataError(f"{file} has no column {what}_id, only {', '.join(table.columns)[:200]}", remedy)
    column = table[name].drop_nulls()
    ids = _as_text(column, file, what) if parquet else column.str.strip_chars().to_list()
    return [i for i in ids if i.strip()]


def _named(columns: list[str], what: str) -> str | None:
    """The column of ids, by its name in capitals or not."""
    for wanted in (f"{what}_id", what, "id"):
        for name in columns:
            if name.strip().lower() == wanted:
                return name
    return None


def _as_text(column: pl.Series, file: Path, what: str) -> list[str]:
    """Ids of a typed column; whole floats are what pandas makes of integers with gaps."""
    import polars as pl

    if column.dtype.is_float():
        column = column.fill_nan(None).drop_nulls()
        odd = column.filter((column != column.floor()) | (column.abs() > _EXACT))
        if len(odd):
            raise DataError(
                f"{file} holds the {what} id {odd[0]}, of type {column.dtype}", "write ids as whole numbers"
            )
        column = column.cast(pl.Int64)
    elif len(column) and not (column.dtype.is_integer() or column.dtype in (pl.String, pl.Categorical, pl.Enum)):
        raise DataError(f"{file} holds {what} ids of type {column.dtype}", "write them as whole numbers or text")
    return column.cast(pl.String).to_list()
