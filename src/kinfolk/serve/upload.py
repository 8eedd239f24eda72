"""User ids out of an uploaded file: one a line, or a column of a csv or parquet file.

What a file unpacks to is bounded as it comes: a kilobyte of parquet may stand for gigabytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from kinfolk.errors import DataError
from kinfolk.serve.assemble import UPLOADED
from kinfolk.serve.problems import TooLargeError
from kinfolk.serve.wire import LONGEST_ID

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MOST = UPLOADED
"""Ids of one file."""

_NAMES = ("user_id", "user", "id")
_PARQUET = b"PAR1"
_LONGEST_ROW = 1 << 20
"""Characters of a line, or of a row of csv."""
_BATCH = 1 << 16
"""Rows of parquet at once."""
_EXACT = 2.0**53
"""Whole floats up to here are the numbers that were meant."""
_UNPACKED = 64 << 20
"""Bytes that a column of parquet may unpack to whatever its number of rows."""


def read_ids(file: BinaryIO, name: str, most: int) -> list[str]:
    """Ids in file order, blank ones left out.

    Args:
        file: open at its start; what it begins with says whether it is parquet.
        name: what the caller calls it; ".csv" says that it is csv.
        most: ids.

    Raises:
        DataError: unreadable, empty, no column of user ids among several, or an id that is too long.
        TooLargeError: more ids than `most`.
    """
    start = file.read(len(_PARQUET))
    file.seek(0)
    if start == _PARQUET:
        found = _parquet(file, most)
    elif name.lower().endswith(".csv"):
        found = _csv(file, most)
    else:
        found = _lines(file, most)
    ids: list[str] = []
    for text in found:
        if id := text.strip():
            if len(id) > LONGEST_ID:
                raise DataError(f"an id is {len(id)} characters long", f"give at most {LONGEST_ID}")
            if len(ids) == most:
                raise TooLargeError(f"the file holds more than {most} ids", "send several files")
            ids.append(id)
    if not ids:
        raise DataError("the file holds no user id", "write one user id a line")
    return ids


def _lines(file: BinaryIO, most: int) -> Iterator[str]:
    """With their ends. As many may be blank as there may be ids."""
    import io

    text = io.TextIOWrapper(file, "utf-8-sig", newline="")
    try:
        for _ in range(2 * most + 1):
            line = text.readline(_LONGEST_ROW)
            if not line:
                return
            if len(line) == _LONGEST_ROW:
                raise DataError(f"a line is longer than {_LONGEST_ROW} characters", "write one user id a line")
            yield line
        raise TooLargeError(f"the file holds more than {2 * most} lines", "send several files")
    except UnicodeDecodeError as e:
        raise DataError("the file is no UTF-8 text", "write one user id a line, or send parquet") from e
    finally:
        text.detach()


def _csv(file: BinaryIO, most: int) -> Iterator[str]:
    import csv

    size, place = 0, None

    def lines() -> Iterator[str]:
        nonlocal size
        for line in _lines(file, most):
            size += len(line)
            if size > _LONGEST_ROW:
                raise DataError(f"a row is longer than {_LONGEST_ROW} characters", "is a quotation mark left open?")
            yield line

    try:
        for row in csv.reader(lines()):
            size = 0
            if place is None:
                place = row.index(_column(row))
            elif len(row) > place:
                yield row[place]
    except csv.Error as e:
        raise DataError(f"the file is no csv ({e})", "is it what its suffix says?") from e


def _parquet(file: BinaryIO, most: int) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(file)
        name = _column(table.schema_arrow.names)
        kind = table.schema_arrow.field(name).type
        if pa.types.is_nested(kind) or pa.types.is_fixed_size_binary(kind):
            raise DataError(f"the column of user ids holds {kind}"[:200], "write texts or numbers")
        _check_size(table.metadata, name, most)
        # Texts stay codes and a dictionary, so that a long one that is repeated is in memory once.
        table = pq.ParquetFile(file, metadata=table.metadata, read_dictionary=[name])
        for batch in table.iter_batches(_BATCH, columns=[name]):
            yield from _texts(batch.column(0))
    except (pa.ArrowException, OSError, ValueError, LookupError) as e:
        raise DataError(f"the file is no parquet that can be read ({type(e).__name__})", "is it complete?") from e


def _check_size(told: pq.FileMetaData, name: str, most: int) -> None:
    """Before anything is unpacked."""
    if told.num_rows > most:
        raise TooLargeError(f"the file holds {told.num_rows} rows, at most {most} are taken", "split it")
    place = [told.schema.column(n).path for n in range(told.num_columns)].index(name)
    size = sum(told.row_group(n).column(place).total_uncompressed_size for n in range(told.num_row_groups))
    if size > max(_UNPACKED, LONGEST_ID * most):
        raise TooLargeError(f"the ids unpack to {size} bytes", f"give ids of at most {LONGEST_ID} characters")


def _texts(column: pa.Array) -> list[str]:
    """The values of a column as texts; equal ones are one object."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    words = coded.dictionary
    if pa.types.is_string(words.type) or pa.types.is_binary(words.type):
        longest = pc.max(pc.binary_length(words)).as_py() or 0
        if longest > 4 * LONGEST_ID:  # bytes
            raise DataError(f"an id is {longest} bytes long", f"give at most {LONGEST_ID} characters")
    used, places = np.unique(coded.indices.drop_null().to_numpy(), return_inverse=True)
    texts = [_text(word) for word in words.take(pa.array(used)).to_pylist()]
    return [texts[place] for place in places.tolist()]


def _text(word: object) -> str:
    """An id as it is written; whole floats are what pandas makes of integers with gaps."""
    if word is None:
        return ""
    if isinstance(word, float):
        if math.isnan(word):  # the gap
            return ""
        if not word.is_integer() or abs(word) > _EXACT:
            raise DataError(f"the file holds the user id {word}", "write ids as whole numbers or texts")
        return str(int(word))
    return str(word)


def _column(names: list[str]) -> str:
    for name in _NAMES:
        if name in names:
            return name
    if len(names) == 1:
        return names[0]
    raise DataError(f"the file has {len(names)} columns, and none is called user_id", "rename one to user_id")
