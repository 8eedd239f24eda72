"""Find and read the files of a data set: plain, compressed (.gz, .xz), or inside a .zip or .tar archive.

Nothing is unpacked to disk: publishers' archives are read as they were downloaded.
"""

from __future__ import annotations

import gzip
import io
import lzma
import re
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import polars as pl

from kinfolk.data.catalog.about import About
from kinfolk.errors import DataError

_FOLDERS = ("", "*/", "*/*/")  # publishers' archives unpack into one or two folders
_BROKEN = (OSError, EOFError, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError)


@dataclass(frozen=True)
class Found:
    """A file at `path`, or the `member` of the archive at `path`."""

    path: Path
    member: str | None = None

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path}: {self.member}"

    def read(self) -> bytes:
        """The content, decompressed.

        Raises:
            DataError: unreadable or truncated.
        """
        try:
            if self.member is None:
                data = self.path.read_bytes()
                return {".gz": gzip.decompress, ".xz": lzma.decompress}.get(self.path.suffix, bytes)(data)
            if self.path.suffix == ".zip":
                with zipfile.ZipFile(self.path) as archive:
                    return archive.read(self.member)
            with tarfile.open(self.path) as tar:
                stream = tar.extractfile(self.member)
                return b"" if stream is None else stream.read()
        except _BROKEN as e:
            raise _broken(self, e) from e

    def text(self) -> str:
        """The content as text: UTF-8, or Latin-1 as in older publications."""
        data = self.read()
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            return data.decode("latin-1")


def find(directory: Path, *names: str) -> Found | None:
    """The first of `names` that is there; plain files go before compressed ones, those before archives."""
    for name in names:
        matches = find_all(directory, name)
        if matches:
            return matches[0]
    return None


def find_all(directory: Path, pattern: str) -> list[Found]:
    """All files whose name matches the shell pattern, by name; from the first place that holds any.

    Raises:
        DataError: an archive in `directory` cannot be read.
    """
    for suffix in ("", ".gz", ".xz"):
        for folder in _FOLDERS:
            paths = sorted(p for p in directory.glob(folder + pattern + suffix) if p.is_file())
            if paths:
                return [Found(p) for p in paths]
    for path in sorted(p for p in directory.glob("*") if p.is_file()):
        members = sorted(m for m in _members(path) if fnmatchcase(PurePosixPath(m).name, pattern))
        if members:
            return [Found(path, m) for m in members]
    return []


def require(about: About, directory: Path, *names: str) -> Found:
    """As `find`, but it must be there.

    Raises:
        DataError: none of `names` is there; says where the data set comes from.
    """
    found = find(directory, *names)
    if found is None:
        raise about.missing(directory, " or ".join(names))
    return found


def read_parquet(found: Found, columns: list[str]) -> pl.DataFrame:
    """The named columns.

    Raises:
        DataError: not parquet, or a column is missing.
    """
    source: Path | io.BytesIO = found.path if found.member is None else io.BytesIO(found.read())
    try:
        return pl.read_parquet(source, columns=columns)
    except (pl.exceptions.PolarsError, OSError) as e:
        raise _broken(found, e, f"a parquet file with the columns {', '.join(columns)}") from e


def read_csv(
    found: Found, columns: Mapping[str, type[pl.DataType]], separator: str = ",", header: bool = True
) -> pl.DataFrame:
    """The named columns with their types. Without a header, `columns` names all columns in order. `separator` may be
    several characters long (MovieLens has "::"). Quotes are special only where there is a header.

    Raises:
        DataError: a column is missing, or a value is not of its type.
    """
    data = found.read() if header else found.text().encode()
    if len(separator) > 1:
        data, separator = data.replace(separator.encode(), b"\x1f"), "\x1f"
    if not data.strip():
        return pl.DataFrame(schema=dict(columns))
    try:
        return pl.read_csv(
            data,
            separator=separator,
            has_header=header,
            columns=list(columns) if header else None,
            new_columns=None if header else list(columns),
            schema_overrides=dict(columns) if header else list(columns.values()),
            quote_char='"' if header else None,
            infer_schema=False,
        ).select(pl.col(name).cast(dtype) for name, dtype in columns.items())
    except pl.exceptions.PolarsError as e:
        raise _broken(found, e, f"the columns {', '.join(columns)}") from e


def seconds(milliseconds: pl.Series) -> pl.Series:
    """Float64 `time`, correctly rounded, so that a whole second stays one (polars multiplies by 0.001 instead)."""
    return pl.Series("time", milliseconds.to_numpy() / 1000)


def read_lines(found: Found) -> pl.LazyFrame:
    """One column `line`, String; a plain file is scanned, not held in memory."""
    source = found.path if found.member is None and found.path.suffix not in (".gz", ".xz") else found.read()
    return pl.scan_csv(source, separator="\x1f", has_header=False, quote_char=None, schema={"line": pl.String})


def _members(path: Path) -> list[str]:
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                return [i.filename for i in archive.infolist() if not i.is_dir()]
        if re.search(r"\.(tar(\.\w+)?|tgz|txz)$", path.name):
            with tarfile.open(path) as tar:
                return [m.name for m in tar.getmembers() if m.isfile()]
    except _BROKEN as e:
        raise _broken(Found(path), e) from e
    return []


def _broken(found: Found, error: Exception, want: str = "a whole file") -> DataError:
    said = str(error).strip().splitlines() or [type(error).__name__]
    return DataError(f"{found}: cannot be read ({said[0]})", f"{want} was expected; download it again")
