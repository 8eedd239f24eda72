"""A first draft of a schema from the tables: `infer_schema`. Every choice comes with its reason; a person decides.

Only the first `SAMPLE` rows of each table are looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import polars as pl

from kinfolk.data.check import close, field_text, need
from kinfolk.data.source import Table, TableSource, open_table, readable
from kinfolk.data.times import EARLIEST, LATEST, UNITS, numeric_text
from kinfolk.errors import DataError
from kinfolk.schema import Categorical, Columns, Continuous, Field, History, MultiCategorical, Schema

SAMPLE = 200_000
"""Rows of a table that are looked at."""

_NAMES = {  # spelled without case, "_" or blanks; the first that is there wins
    "user": "userid user uid userkey visitorid visitor customerid customer accountid memberid clientid deviceid openid",
    "item": "itemid item iid itemkey videoid articleid clickarticleid productid contentid newsid movieid docid postid "
    "songid bookid adid aid creativeid candidateid pageid",
    "time": "time timestamp ts timems timestampms eventtime clicktime clicktimestamp unixtime datetime createdat date",
    "kind": "kind event eventtype type action actiontype behavior behaviour behaviortype",
    "label": "label click clicked isclick isclicked target",
    "position": "position pos slot rank",
    "dwell": "dwell dwelltime playtime playtimems watchtime readtime",
}
_CODE_NAMES = ("id", "code", "type", "category", "class", "zip", "group", "level", "range", "flag")
_FEW = 50  # whole numbers with at most so many distinct values are taken for names of things
_MANY_CONTEXTS = 100
_HISTORY = History().name  # which every draft has


@dataclass(frozen=True)
class Note:
    """Why a column of a table plays a role ("user", "categorical", "ignored", ...)."""

    table: str
    column: str
    role: str
    why: str


@dataclass(frozen=True)
class Draft:
    """A schema and the reasons for it, a note a column."""

    schema: Schema
    notes: tuple[Note, ...]

    def to_toml(self) -> str:
        """The schema as a TOML file, the notes above it as comments."""
        width = max((len(n.column) for n in self.notes), default=0)
        lines = ["# A first draft: read the reasons, mend what is wrong, delete what you do not want."]
        for table in dict.fromkeys(n.table for n in self.notes):
            lines += ["#", f"# {table}"]
            lines += [f"#   {n.column:<{width}}  {n.role}: {n.why}" for n in self.notes if n.table == table]
        return "\n".join(lines) + "\n\n" + self.schema.to_toml()


@dataclass(frozen=True)
class _Profile:
    """A column's sample: distinct and present count non-missing values."""

    values: pl.Series
    rows: int
    present: int
    distinct: int


def infer_schema(
    events: TableSource,
    users: TableSource | None = None,
    items: TableSource | None = None,
    columns: Columns | None = None,
) -> Draft:
    """Draft a schema.

    Args:
        events, users, items: as in `read_tables`.
        columns: names of the fixed columns where they are known; else they are guessed.

    Raises:
        DataError: a table cannot be read; or no column looks like the user, the item or the time.
    """
    table = open_table(events, "events")
    head = _head(table)
    names = asdict(columns) if columns is not None else _fixed_columns(table)
    notes = [_fixed_note(table, role, name, columns) for role, name in names.items() if name in table.columns]
    need(table, [names["user"], names["item"], names["time"]], "[columns]")
    unit, why = _time_unit(table, head, names["time"])
    notes.append(Note(table.name, names["time"], "time_unit", why))
    fixed = set(names.values())
    context = []
    for column in (n for n in table.columns if n not in fixed):
        if column == _HISTORY:
            notes.append(Note(table.name, column, "ignored", "its name is taken by the history: rename it to use it"))
            continue
        f, note = _context(table, head, column)
        notes.append(note)
        context += [f] if f else []
    sides: dict[str, tuple[Field, ...]] = {}
    for role, source, key in (("users", users, names["user"]), ("items", items, names["item"])):
        sides[role] = ()
        if source is not None:
            side = open_table(source, role)
            need(side, [key], f"columns.{role[:-1]}")
            taken = fixed | ({f.name for f in context} if role == "users" else set()) | {_HISTORY}
            sides[role], more = _fields(side, key, taken - {key})
            notes += more
    schema = Schema(
        user=sides["users"], item=sides["items"], context=tuple(context), columns=Columns(**names), time_unit=unit
    )
    return Draft(schema, tuple(notes))


def _head(table: Table) -> pl.DataFrame:
    with readable(table.name):
        head = table.frame.head(SAMPLE).collect()
    if head.height == 0:
        raise DataError(f"{table.name} has no rows", "give a table with at least one row")
    return head


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def _fixed_columns(table: Table) -> dict[str, str]:
    names = asdict(Columns())
    plain = {_plain(c): c for c in reversed(table.columns)}
    for role, known in _NAMES.items():
        found = [plain[k] for k in known.split() if k in plain]
        if found:
            names[role] = found[0]
        elif role in ("user", "item", "time"):
            near = close(names[role], table.columns)
            maybe = f" (is it {near!r}?)" if near else ""
            raise DataError(
                f"no column of {table.name} looks like the {role} (it has {', '.join(table.columns)})",
                f"rename the column to {names[role]!r}{maybe}",
            )
    return names


def _fixed_note(table: Table, role: str, name: str, columns: Columns | None) -> Note:
    return Note(table.name, name, role, "given" if columns is not None else f"is called {name!r}")


def _time_unit(table: Table, head: pl.DataFrame, name: str) -> tuple[str, str]:
    dtype = table.columns[name]
    if dtype.is_temporal():
        return "s", "holds datetimes"
    if dtype == pl.String and not numeric_text(table, name):
        return "s", "holds text, read as ISO 8601"
    median = head[name].cast(pl.Float64, strict=False).median()
    ticks = float(median) if isinstance(median, int | float) else 0.0
    for unit, per in UNITS.items():
        if EARLIEST <= ticks / per <= LATEST:
            return unit, f'its median {ticks:.0f} lies between 1990 and 2100 as "{unit}"'
    return "s", f"its median {ticks:.0f} is a real moment in no unit: if times are not real, skip the check of times"


def _profile(head: pl.DataFrame, name: str) -> _Profile:
    values = head.select(field_text(head.schema[name], pl.col(name))).to_series().drop_nulls()
    return _Profile(values, head.height, len(values), values.n_unique())


def _context(table: Table, head: pl.DataFrame, name: str) -> tuple[Categorical | None, Note]:
    dtype = table.columns[name]
    if dtype.is_nested() or dtype == pl.Binary or dtype.is_temporal():
        return None, Note(table.name, name, "ignored", f"holds {dtype}")
    p = _profile(head, name)
    if p.distinct < 2:
        return None, Note(table.name, name, "ignored", "has one value only")
    if dtype.is_float() or p.distinct > min(_MANY_CONTEXTS, max(p.rows // 20, _FEW)):
        return None, Note(table.name, name, "ignored", f"{_count(p)}: too many for a context")
    return Categorical(name), Note(
        table.name, name, "context", f"{_count(p)}; delete it if it is an outcome of the event"
    )


def _fields(table: Table, key: str, taken: Iterable[str]) -> tuple[tuple[Field, ...], list[Note]]:
    head, fields, notes = _head(table), [], [Note(table.name, key, "id", "the key of this table")]
    for name, dtype in table.columns.items():
        if name == key:
            continue
        if name in taken:
            notes.append(Note(table.name, name, "ignored", "its name is taken by a column of the events: rename it"))
            continue
        f, why = _field(table, head, name, dtype)
        notes.append(Note(table.name, name, _role(f), why))
        fields += [f] if f else []
    return tuple(fields), notes


def _role(f: Field | None) -> str:
    return {Categorical: "categorical", MultiCategorical: "multicategorical", Continuous: "continuous"}.get(
        type(f), "ignored"
    )


def _field(table: Table, head: pl.DataFrame, name: str, dtype: pl.DataType) -> tuple[Field | None, str]:
    if isinstance(dtype, pl.List | pl.Array):
        return MultiCategorical(name), "holds lists"
    if dtype.is_nested() or dtype == pl.Binary:
        return None, f"holds {dtype}"
    if dtype.is_temporal():
        return None, "holds times: make it a number (days before the log begins) to use it"
    p = _profile(head, name)
    if p.distinct < 2:
        return None, "has one value only"
    numbers = p.values.cast(pl.Float64, strict=False)
    if dtype == pl.Boolean or numbers.null_count():
        return _texts(name, p)
    whole = bool((numbers == numbers.round()).all())
    is_code = name.lower().endswith(_CODE_NAMES)
    if whole and not dtype.is_float() and is_code and p.distinct == p.present and p.present > _FEW:
        return None, "every row has a number of its own: an id"
    if whole and (p.distinct <= _FEW or (is_code and not dtype.is_float())):
        return Categorical(name), f"whole numbers, {_count(p)}"
    if whole and p.distinct > 2 * _FEW and _dense(numbers, p.distinct):
        return Categorical(name), f"whole numbers that use nearly every number of their range, {_count(p)}: codes"
    finite = numbers.filter(numbers.is_finite())
    top, middle, low = (
        float(v) if isinstance(v := m, int | float) else 0.0 for m in (finite.max(), finite.median(), finite.min())
    )
    log = low >= 0 and top > 20 * (middle + 1)
    tail = f"; log because the largest ({top:g}) is far above the median ({middle:g})" if log else ""
    return Continuous(name, log=log), f"numbers, {_count(p)}{tail}"


def _dense(numbers: pl.Series, distinct: int) -> bool:
    low, high = numbers.min(), numbers.max()
    if not (isinstance(low, float) and isinstance(high, float)):
        return False
    return low in (0.0, 1.0) and distinct >= 0.95 * (high - low + 1) and distinct < len(numbers) / 5


def _texts(name: str, p: _Profile) -> tuple[Field | None, str]:
    for separator in ("|", ";", ","):
        joined = p.values.str.contains(separator, literal=True)
        parts = p.values.str.split(separator).explode().n_unique()
        if int(joined.sum()) * 10 >= p.present and parts < p.distinct:
            return MultiCategorical(name, separator=separator), f"texts of {parts} values joined by {separator!r}"
    if p.distinct > max(_FEW, p.present // 2):
        return None, f"{_count(p)}: free text or an id"
    return Categorical(name), f"text, {_count(p)}"


def _count(p: _Profile) -> str:
    missing = p.rows - p.present
    return f"{p.distinct} distinct values in {p.rows} rows" + (f" ({missing} missing)" if missing else "")
