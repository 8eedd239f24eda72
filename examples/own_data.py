"""From tables to an audience: python own_data.py FOLDER, which holds *.parquet, schema.toml and seeds.txt."""

import sys
from pathlib import Path

from kinfolk import Schema, encode, expand, read_tables, train

folder = Path(sys.argv[1])
schema = Schema.load(folder / "schema.toml")
tables = read_tables(schema, *(folder / f"{name}.parquet" for name in ("events", "users", "items")))
bundle = train(encode(tables, schema, name="mine"), out=folder / "bundle")
audience = expand(bundle, (folder / "seeds.txt").read_text().split(), percent=1)
audience.write(folder / "audience.parquet")
print(f"{len(audience)} of {audience.audience.n_eligible} users, the last with a score of {audience.scores[-1]:.3f}")
