"""A news feed with known truth, any size: `generate(config)` gives the tables, `load(config)` a `Log`.

`truth(config)` is what no model may see, `Oracle` the best score possible without it. Why the world is as it is:
docs/decisions/0002-synthetic-feed.md.
"""

from kinfolk.data.synthetic.config import EPOCH, REGIMES, Config, Regime, RegimeName
from kinfolk.data.synthetic.feed import Feed, events, generate, load, schema
from kinfolk.data.synthetic.inhabitants import Truth, items, truth, users
from kinfolk.data.synthetic.oracle import Oracle
from kinfolk.data.synthetic.tables import World, information, world

__all__ = [
    "EPOCH",
    "REGIMES",
    "Config",
    "Feed",
    "Oracle",
    "Regime",
    "RegimeName",
    "Truth",
    "World",
    "events",
    "generate",
    "information",
    "items",
    "load",
    "schema",
    "truth",
    "users",
    "world",
]
