"""The columns a log has and what kind each is: `Schema`, `Categorical`, `MultiCategorical`, `Continuous`, `History`.

Frozen and free of torch. A schema is written in Python or in TOML (`Schema.load`), e.g.

    [[user]]
    name = "city"
    kind = "categorical"

    [[history]]
    name = "reads"
    length = 200
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from kinfolk.errors import SchemaError


@dataclass(frozen=True)
class Categorical:
    """One value a row (gender, city). Unseen values share one bucket, a missing value leaves the field empty.

    `min_count`: values seen on fewer training rows go to the unknown bucket.
    """

    name: str
    min_count: int = 1


@dataclass(frozen=True)
class MultiCategorical:
    """Any number of values a row (tags, apps). In csv the values are joined by `separator`.

    At most `max_length` values of a row are used, the first ones.
    """

    name: str
    separator: str = "|"
    min_count: int = 1
    max_length: int = 200


@dataclass(frozen=True)
class Continuous:
    """A number a row (age, days since registration), scaled to [0, 1] on training statistics; empty or NaN is missing.

    `log`: take log(1 + x) first, for counts with a long tail (values must then be >= 0).
    """

    name: str
    log: bool = False


@dataclass(frozen=True)
class History:
    """The last `length` distinct items a user consumed before the moment of the sample, newest last.

    `kinds`: behaviour kinds that count (names as in the events' kind column); empty means all.
    """

    name: str = "history"
    length: int = 200
    kinds: tuple[str, ...] = ()


T = TypeVar("T")
Field = Categorical | MultiCategorical | Continuous
UserField = Categorical | MultiCategorical | Continuous | History
_KINDS: dict[str, type[Field]] = {
    "categorical": Categorical,
    "multicategorical": MultiCategorical,
    "continuous": Continuous,
}


@dataclass(frozen=True)
class Columns:
    """Names of the fixed columns in the tables."""

    user: str = "user_id"
    item: str = "item_id"
    time: str = "time"
    kind: str = "kind"
    label: str = "label"
    position: str = "position"
    dwell: str = "dwell"


@dataclass(frozen=True)
class Schema:
    """Which fields describe users, items and the context of an event.

    Args:
        user: fields of the users table.
        item: fields of the items table.
        context: categorical columns of the events table (device, region). A user's value is that of their last event
            before the moment of the sample.
        history: histories built from the events.
        columns: names of the fixed columns.
        time_unit: unit of numeric times in the events table: "s", "ms", "us" or "ns"; times are UTC.
        utc_offset: hours that local time is ahead of UTC; "a day" is the local day.

    Raises:
        SchemaError: two fields share a name, or a name collides with a fixed column.
    """

    user: tuple[Field, ...] = ()
    item: tuple[Field, ...] = ()
    context: tuple[Categorical, ...] = ()
    history: tuple[History, ...] = (History(),)
    columns: Columns = field(default_factory=Columns)
    time_unit: str = "s"
    utc_offset: float = 0.0

    def __post_init__(self) -> None:
        if self.time_unit not in ("s", "ms", "us", "ns"):
            raise SchemaError(f"time_unit is {self.time_unit!r}", "use one of 's', 'ms', 'us', 'ns'")
        if not isinstance(self.utc_offset, int | float) or not -24 <= self.utc_offset <= 24:
            raise SchemaError(f"utc_offset is {self.utc_offset!r}", "give the hours that local time is ahead of UTC")
        for f in (*self.user, *self.item, *self.history):
            length = getattr(f, "length", getattr(f, "max_length", 1))
            if length < 1:
                raise SchemaError(f"field {f.name!r} has a length of {length}", "give at least 1")
        names = [f.name for f in (*self.user, *self.context, *self.history)]
        twice = sorted({n for n in names if names.count(n) > 1})
        items = [f.name for f in self.item]
        twice += sorted({n for n in items if items.count(n) > 1})
        if twice:
            raise SchemaError(f"field {twice[0]!r} is declared more than once", "give every field a name of its own")
        fixed = set(asdict(self.columns).values())
        clash = sorted(fixed.intersection(f.name for f in (*self.user, *self.item, *self.context)))
        if clash:
            raise SchemaError(
                f"field {clash[0]!r} has the name of a fixed column",
                "rename the field, or the fixed column under [columns]",
            )

    def user_fields(self) -> Iterator[UserField]:
        """All fields of a user's vector: user table, context of the last event, histories."""
        yield from self.user
        yield from self.context
        yield from self.history

    def to_dict(self) -> dict[str, Any]:
        """Plain data, the shape of the TOML file."""
        kind_of = {cls: kind for kind, cls in _KINDS.items()}
        out: dict[str, Any] = {
            "time_unit": self.time_unit,
            "utc_offset": self.utc_offset,
            "columns": asdict(self.columns),
        }
        for side in ("user", "item", "context"):
            out[side] = [{"kind": kind_of[type(f)], **asdict(f)} for f in getattr(self, side)]
        out["history"] = [{**asdict(h), "kinds": list(h.kinds)} for h in self.history]
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "schema") -> Schema:
        """The inverse of `to_dict`; `where` names the source in errors.

        Raises:
            SchemaError: an unknown key, an unknown kind of field, a value of the wrong type.
        """
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise SchemaError(f"{where}: unknown key {unknown[0]!r}", f"use one of {', '.join(sorted(known))}")
        sides = {
            side: tuple(_field(d, f"{where}: {side}") for d in _list(data, side, where)) for side in ("user", "item")
        }
        context = tuple(
            _field({"kind": "categorical", **d}, f"{where}: context") for d in _list(data, "context", where)
        )
        if not all(isinstance(f, Categorical) for f in context):
            raise SchemaError(f"{where}: a context field is not categorical", 'give it kind = "categorical"')
        rest: dict[str, Any] = {k: data[k] for k in ("time_unit", "utc_offset") if k in data}
        if "history" in data:
            rest["history"] = tuple(
                _build(History, {**d, "kinds": _kinds(d, where)}, f"{where}: history")
                for d in _list(data, "history", where)
            )
        if not isinstance(data.get("columns", {}), Mapping):
            raise SchemaError(f"{where}: 'columns' is not a table", "write it as [columns]")
        columns = _build(Columns, dict(data.get("columns", {})), f"{where}: columns")
        try:
            return cls(user=sides["user"], item=sides["item"], context=context, columns=columns, **rest)  # type: ignore[arg-type]  # checked above
        except SchemaError as e:
            raise SchemaError(f"{where}: {e.problem}", e.remedy) from e

    @classmethod
    def load(cls, path: str | Path) -> Schema:
        """Read a TOML file.

        Raises:
            SchemaError: the file is missing or is not TOML, or as `from_dict`.
        """
        path = Path(path)
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as e:
            raise SchemaError(f"{path}: no such file", "draft one with `kinfolk validate`") from e
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
            raise SchemaError(f"{path}: not TOML ({e})", "mend that line") from e
        return cls.from_dict(data, where=str(path))

    def to_toml(self) -> str:
        """The text of a TOML file that `load` reads back to an equal schema."""
        data = self.to_dict()
        lines = [f'time_unit = "{self.time_unit}"', f"utc_offset = {float(self.utc_offset)}", "", "[columns]"]
        lines += [f"{k} = {_toml(v)}" for k, v in data["columns"].items()]
        for side in ("user", "item", "context", "history"):
            if not data[side]:
                lines = [f"{side} = []", *lines]
            for entry in data[side]:
                lines += ["", f"[[{side}]]", *(f"{k} = {_toml(v)}" for k, v in entry.items())]
        return "\n".join(lines) + "\n"


def _list(data: Mapping[str, Any], key: str, where: str) -> list[dict[str, Any]]:
    value = data.get(key, [])
    if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
        raise SchemaError(f"{where}: {key!r} is not a list of tables", f"write each field as [[{key}]]")
    return value


def _kinds(data: Mapping[str, Any], where: str) -> tuple[str, ...]:
    kinds = data.get("kinds", ())
    if not isinstance(kinds, list | tuple) or not all(isinstance(k, str) for k in kinds):
        raise SchemaError(f"{where}: history: kinds = {kinds!r}", "give a list of names")
    return tuple(kinds)


def _field(data: Mapping[str, Any], where: str) -> Field:
    data = dict(data)
    kind = data.pop("kind", None)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise SchemaError(
            f"{where}: field {data.get('name', '?')!r} has kind {kind!r}", f"use one of {', '.join(sorted(_KINDS))}"
        )
    return _build(_KINDS[kind], data, where)


_TYPES: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)}


def _build(cls: type[T], data: dict[str, Any], where: str) -> T:
    types = {f.name: f.type for f in fields(cls)}  # type: ignore[arg-type]  # every caller passes a dataclass
    for key, value in data.items():
        if key not in types:
            raise SchemaError(f"{where}: unknown key {key!r}", f"use one of {', '.join(types)}")
        want = _TYPES.get(str(types[key]), (object,))
        if not isinstance(value, want) or (isinstance(value, bool) and types[key] != "bool"):
            raise SchemaError(f"{where}: {key} = {value!r}", f"give it a value of type {types[key]}")
    if "name" in types and cls is not History and "name" not in data:
        raise SchemaError(f"{where}: a field has no name", "add name = ...")
    return cls(**data)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML escapes as JSON does
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    return str(value)
