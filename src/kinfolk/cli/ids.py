"""Lists of ids in files: one a line, or the only or first id-like column of a csv or parquet file."""

from __future__ import annotations

from pathlib import Path

from kinfolk.errors import DataError


def read_ids(file: Path, *, what: str) -> list[str]:
    """Ids in file order, blank lines skipped; `what` ("user", "item") names the column to prefer and the errors.

    Raises:
        DataError: no such file, no id in it, or no column of that name among several.
    """
    if not file.is_file():
        said = "is a folder" if file.is_dir() else "no such file"
        raise DataError(f"{file}: {said}", f"give a file with one {what} id a line")
    if file.suffix in (".parquet", ".csv"):
        import polars as pl

        try:
            parquet = file.suffix == ".parquet"
            table = pl.read_parquet(file, glob=False) if parquet else pl.read_csv(file, infer_schema=False, glob=False)
        except (pl.exceptions.PolarsError, OSError) as e:
            first = (str(e).strip() or type(e).__name__).splitlines()[0]
            raise DataError(f"{file} cannot be read ({first})", "is it complete and what its suffix says?") from e
        wanted = [c for c in (f"{what}_id", what, "id") if c in table.columns]
        if not wanted and len(table.columns) != 1:
            raise DataError(
                f"{file} has no column {what}_id, only {', '.join(table.columns)}", f"rename one to {what}_id"
            )
        column = table[wanted[0] if wanted else table.columns[0]]
        ids = [str(v) for v in column.drop_nulls()]
    else:
        try:
            text = file.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as e:
            raise DataError(f"{file} is no text ({e})", f"write one {what} id a line, in UTF-8") from e
        ids = [line.strip() for line in text.splitlines() if line.strip()]
    if not ids:
        raise DataError(f"{file} holds no {what} id", f"write one {what} id a line")
    return ids
