"""User ids out of an uploaded file: one a line, or a column of a csv or parquet file."""

from __future__ import annotations

from typing import BinaryIO

from kinfolk.errors import DataError
from kinfolk.serve.assemble import UPLOADED
from kinfolk.serve.problems import TooLargeError

MOST = UPLOADED
"""Ids of one file."""

_NAMES = ("user_id", "user", "id")
_PARQUET = b"PAR1"


def read_ids(file: BinaryIO, name: str, most: int) -> list[str]:
    """Ids in file order, blank ones left out.

    Args:
        file: open at its start; what it begins with says whether it is parquet.
        name: what the caller calls it; ".csv" says that it is csv.
        most: ids.

    Raises:
        DataError: unreadable, empty, or no column of user ids among several.
        TooLargeError: more ids than `most`.
    """
    start = file.read(len(_PARQUET))
    file.seek(0)
    if start == _PARQUET:
        ids = _parquet(file, most)
    elif name.lower().endswith(".csv"):
        ids = _csv(file)
    else:
        ids = [line.strip() for line in _text(file).splitlines() if line.strip()]
    if not ids:
        raise DataError("the file holds no user id", "write one user id a line")
    if len(ids) > most:
        raise TooLargeError(f"the file holds {len(ids)} ids, at most {most} are taken", "send several files")
    return ids


def _text(file: BinaryIO) -> str:
    try:
        return file.read().decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise DataError("the file is no UTF-8 text", "write one user id a line, or send parquet") from e


def _csv(file: BinaryIO) -> list[str]:
    import csv
    import io

    try:
        rows = list(csv.reader(io.StringIO(_text(file))))
    except csv.Error as e:
        raise DataError(f"the file is no csv ({e})", "is it what its suffix says?") from e
    if not rows:
        return []
    place = rows[0].index(_column(rows[0]))
    return [row[place].strip() for row in rows[1:] if len(row) > place and row[place].strip()]


def _parquet(file: BinaryIO, most: int) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(file)
        if table.metadata.num_rows > most:  # before anything is unpacked
            raise TooLargeError(f"the file holds {table.metadata.num_rows} rows, at most {most} are taken", "split it")
        name = _column(table.schema_arrow.names)
        column = table.read(columns=[name]).column(0)
    except (pa.ArrowException, OSError, ValueError) as e:
        raise DataError(f"the file is no parquet that can be read ({type(e).__name__})", "is it complete?") from e
    return [text for value in column.to_pylist() if value is not None and (text := str(value).strip())]


def _column(names: list[str]) -> str:
    for name in _NAMES:
        if name in names:
            return name
    if len(names) == 1:
        return names[0]
    raise DataError(f"the file has {len(names)} columns, and none is called user_id", "rename one to user_id")
