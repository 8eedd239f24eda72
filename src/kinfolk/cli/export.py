"""`kinfolk export`: embeddings out, for use elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    bundle: Annotated[Path, typer.Argument(help="Directory that `kinfolk train` wrote.", metavar="BUNDLE")],
    out: Annotated[Path, typer.Option(help="Parquet file to write.", metavar="FILE")],
    users: Annotated[
        bool, typer.Option("--users", help="Universal embeddings x_u of all users (the default).")
    ] = False,
    lookalike: Annotated[
        bool, typer.Option("--lookalike", help="Look-alike embeddings E_u, which scores are made of, instead.")
    ] = False,
) -> None:
    """Write the users' embeddings to a parquet file: user_id and a list of numbers.

    kinfolk export bundle --users --out embeddings.parquet
    """
    import os

    from rich.console import Console

    from kinfolk.cli.values import check_file, make_room
    from kinfolk.errors import OptionError

    if users and lookalike:
        raise OptionError("--users and --lookalike", "give one of them, and call twice for both")
    check_file(out, "--out", bundle=bundle)
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from kinfolk.bundle import Bundle

    model = Bundle.load(bundle)
    vectors = model.lookalike if lookalike else model.universal
    aside = make_room(out).with_name(f".{out.name}.part")
    width = vectors.shape[1]
    columns = pa.schema([("user_id", pa.string()), ("embedding", pa.list_(pa.float32(), width))])
    try:
        with pq.ParquetWriter(aside, columns) as writer:
            for first in range(0, len(vectors), 100_000):
                block = np.ascontiguousarray(vectors[first : first + 100_000])
                ids = pa.array(model.user_ids[first : first + 100_000], pa.string())
                lists = pa.FixedSizeListArray.from_arrays(pa.array(block.ravel()), width)
                writer.write_table(pa.Table.from_arrays([ids, lists], schema=columns))
        os.replace(aside, out)
    finally:
        aside.unlink(missing_ok=True)
    Console(stderr=True).print(f"{out}: {len(vectors):,} users, {width} numbers each", markup=False, soft_wrap=True)
