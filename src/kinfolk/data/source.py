"""Where a table comes from: a path (parquet, csv, tsv, jsonl; csv and jsonl also compressed) or a polars frame.

Text files are read as text: `007` stays `007`, and what does not parse is reported with its row. Files are
scanned lazily, jsonl once more for its columns; only `.xz`, `.bz2` and compressed jsonl are decompressed into memory
first.
"""

from __future__ import annotations

import bz2
import glob
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kinfolk.errors import DataError

TableSource = str | Path | pl.DataFrame | pl.LazyFrame
"""What `read_tables` accepts as a table."""

_FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_UNPACK: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.decompress, ".xz": lzma.decompress, ".bz2": bz2.decompress}
_SUFFIXES = ", ".join(_FORMATS)


@dataclass(frozen=True)
class Table:
    """name: for messages (the file's name); frame: its raw columns; text: the file has no types (csv)."""

    name: str
    frame: pl.LazyFrame
    columns: dict[str, pl.DataType]
    text: bool = False


def open_table(source: TableSource, role: str, texts: Sequence[str] = (), numbers: Sequence[str] = ()) -> Table:
    """A table, unread but for its header.

    Args:
        source: a path (may be a glob) or a polars frame.
        role: "events", "users" or "items": names a frame in messages.
        texts, numbers: columns that are text resp. real numbers, where jsonl has to guess a type from its values.

    Raises:
        DataError: no such file, unknown suffix, empty, truncated or unreadable.
    """
    if isinstance(source, pl.DataFrame | pl.LazyFrame):
        name, frame, text = f"the {role} table", source.lazy(), False
    elif isinstance(source, str | Path):
        path = Path(source)
        name, text = path.name, False
        with readable(name):
            frame, text = _scan(path, texts, numbers)
    else:
        raise DataError(f"{role} is a {type(source).__name__}", "give a path or a polars DataFrame or LazyFrame")
    with readable(name):
        columns = dict(frame.collect_schema())
    if text and any("\0" in c or "\ufffd" in c for c in columns):
        raise DataError(f"{name} is no text in UTF-8", "is it what its suffix says? write it as UTF-8, or as parquet")
    twice = [c for c in columns if text and f"{c}_duplicated_0" in columns]  # as polars calls the second one
    if twice:
        raise DataError(f"{name} has two columns {twice[0]!r}", "rename one, or take it out")
    return Table(name, frame, columns, text)


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turn what readers raise on a damaged file into a DataError that names the file."""
    try:
        yield
    except pl.exceptions.NoDataError as e:
        raise DataError(f"{name} is empty", "give a file with a header and at least one row") from e
    except pl.exceptions.SchemaError as e:
        raise DataError(
            f"{name} has a column with values of several kinds ({_first_line(e)})",
            "write each column as one kind, say numbers, text or lists, or the table as parquet",
        ) from e
    except (pl.exceptions.PolarsError, OSError, EOFError, lzma.LZMAError, zlib.error, ValueError) as e:
        raise DataError(
            f"{name} cannot be read ({_first_line(e)})",
            "is it complete and what its suffix says? write or fetch it again",
        ) from e


def _first_line(e: Exception) -> str:
    return str(e).strip().splitlines()[0] if str(e).strip() else type(e).__name__


def _scan(path: Path, texts: Sequence[str], numbers: Sequence[str]) -> tuple[pl.LazyFrame, bool]:
    suffixes = [s.lower() for s in path.suffixes]
    packed = suffixes.pop() if suffixes and suffixes[-1] in _UNPACK else ""
    kind = _FORMATS.get(suffixes[-1] if suffixes else "")
    if kind is None or (packed and kind == "parquet"):
        raise DataError(
            f"{path.name} has the suffix {''.join(path.suffixes[-2:])!r}",
            f"give a file ending in one of {_SUFFIXES} (text files also with .gz, .xz, .bz2)",
        )
    if not (glob.glob(str(path)) if glob.has_magic(str(path)) else path.is_file()):
        raise DataError(f"{path}: no such file", "check the path")
    if not glob.has_magic(str(path)) and path.stat().st_size == 0:
        raise DataError(f"{path.name} is empty", "give a file with a header and at least one row")
    if kind == "parquet":
        return pl.scan_parquet(path), False
    if kind == "jsonl":
        return _scan_jsonl(_UNPACK[packed](path.read_bytes()) if packed else path, texts, numbers), False
    separator = "\t" if kind == "tsv" else ","
    if packed in ("", ".gz"):
        return pl.scan_csv(path, infer_schema=False, separator=separator), True
    return pl.read_csv(_UNPACK[packed](path.read_bytes()), infer_schema=False, separator=separator).lazy(), True


def _scan_jsonl(source: bytes | Path, texts: Sequence[str], numbers: Sequence[str]) -> pl.LazyFrame:
    found = _jsonl_columns(source)
    wanted: dict[str, pl.DataType] = {n: pl.String() for n in texts if n in found and not found[n].is_nested()}
    wanted |= {n: pl.Float64() for n in numbers if n in found and found[n].is_integer()}
    return pl.scan_ndjson(source, schema={**found, **wanted})


def _jsonl_columns(source: bytes | Path) -> dict[str, pl.DataType]:
    """Of all lines of all files: a column that the first lines lack may come later."""
    parts: list[bytes | Path] = [source]
    if isinstance(source, Path) and glob.has_magic(str(source)):
        parts = [p for p in map(Path, sorted(glob.glob(str(source)))) if p.stat().st_size]
    heads = [pl.DataFrame(schema=pl.scan_ndjson(part, infer_schema_length=None).collect_schema()) for part in parts]
    return dict(pl.concat(heads, how="diagonal_relaxed").schema) if heads else {}
