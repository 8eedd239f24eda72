"""A schema with some of its fields left out, and which fields of the synthetic feed are strong."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from kinfolk.data.synthetic.tables import STRONG, WEAK
from kinfolk.schema import Continuous, Schema

NUMBERS = "numbers"
"""All continuous fields together, which the encoder merges as one."""


def fields(schema: Schema) -> list[str]:
    """What the encoder merges, by name: lookup fields, and `NUMBERS` if there are continuous fields."""
    every = list(schema.user_fields())
    names = [f.name for f in every if not isinstance(f, Continuous)]
    return names + [NUMBERS] * any(isinstance(f, Continuous) for f in every)


def without(schema: Schema, left_out: Collection[str]) -> Schema:
    """The schema without the named `fields`."""
    return replace(
        schema,
        user=tuple(f for f in schema.user if (NUMBERS if isinstance(f, Continuous) else f.name) not in left_out),
        context=tuple(c for c in schema.context if c.name not in left_out),
        history=tuple(h for h in schema.history if h.name not in left_out),
    )


def strong(schema: Schema) -> str | None:
    """The synthetic feed's strong field, if the schema has it."""
    return STRONG if STRONG in fields(schema) else None


def groups(schema: Schema) -> tuple[list[str], list[str]]:
    """(strong and history, weak) of the synthetic feed's fields: the weak ones are its many noisy user fields."""
    weak = [f for f in fields(schema) if f in WEAK or f in (NUMBERS, "tags")]
    return [f for f in fields(schema) if f not in weak], weak
