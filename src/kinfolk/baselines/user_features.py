"""What is known of users as one sparse matrix: profile, context of the last event, history and its items' fields.

The columns are learnt once (`FeatureColumns.learn`) from users seen in a view; rows are then made for any users as of
any view, from nothing but what that view shows. Profile and context together, the fields of history items together,
and the history have rows of length at most 1 each: 30 fields do not drown what a user did. `FeatureSource` is
what the methods hold: the same rows, kept or made afresh.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kinfolk.baselines.feature_columns import Coded, Csr, Scale, csr, unit_rows
from kinfolk.baselines.shared import Shared
from kinfolk.data.jagged import Jagged, slices
from kinfolk.data.log import Codes, JaggedCodes, Log, Numbers, View
from kinfolk.errors import OptionError
from kinfolk.schema import Continuous, MultiCategorical


@dataclass(frozen=True)
class FeatureColumns:
    """The columns of the matrix, in the order profile, context, fields of history items, history items.

    Args:
        profile, context: the blocks of `schema.user` and `schema.context` that the log holds.
        item_fields: (block, csr[M, block.size]): rows are items, each the mean over its own values.
        items: history items as codes (code = 1 + item row), or None.
        idf: float32[items.size], ln(1 + users / users who clicked it).
        history_length: newest items that count.
    """

    profile: tuple[Coded | Scale, ...]
    context: tuple[Coded, ...]
    item_fields: tuple[tuple[Coded, Csr], ...]
    items: Coded | None
    idf: NDArray[np.float32]
    history_length: int | None

    @classmethod
    def learn(
        cls,
        view: View,
        *,
        history: bool = True,
        item_fields: bool = True,
        context: bool = True,
        min_users: int = 2,
        buckets: int = 8,
        history_length: int | None = 200,
    ) -> FeatureColumns:
        """Columns from the users that `view` knows (with a click before `view.now`; all users where nobody clicked).

        Args:
            view: what may be known.
            history: items clicked, as tf-idf. Always on where the log has no field at all.
            item_fields: fields of the items clicked, averaged over the history.
            context: context codes of the last event.
            min_users: history items clicked by fewer users have no column.
            buckets: of a continuous field; 0 scales it to [0, 1] instead.
            history_length: newest distinct items of a user that count; None means all.

        Raises:
            OptionError: a negative `buckets` or a `history_length` below 1.
        """
        if buckets < 0 or (history_length is not None and history_length < 1):
            raise OptionError(
                f"buckets = {buckets}, history_length = {history_length}", "give buckets >= 0 and history_length >= 1"
            )
        log, known = view.log, known_users(view)
        profile = tuple(_learn_field(log, name, known, buckets) for name in _user_fields(log))
        blocks: tuple[Coded, ...] = ()
        if context:
            codes, rare = view.context(known), {f.name: f.min_count for f in log.schema.context}
            blocks = tuple(
                Coded.learn(name, c, len(log.context_values[name]) + 1, rare.get(name, 1)) for name, c in codes.items()
            )
        clicked = view.pairs.item
        tags = tuple(_learn_item_field(log, n, clicked) for n in _item_fields(log)) if item_fields else ()
        items, idf = None, np.zeros(0, np.float32)
        if history or not (profile or blocks or tags):
            items = Coded.learn("history", clicked.astype(np.int64) + 1, log.n_items + 1, min_users, unknown=False)
            users = np.bincount(clicked, minlength=log.n_items)[items.column[1:] >= 0]
            idf = np.log1p(len(known) / users).astype(np.float32)
        return cls(profile, blocks, tags, items, idf, history_length)

    @property
    def spans(self) -> dict[str, slice]:
        """Field -> its columns."""
        sizes = [(b.name, b.size) for b in (*self.profile, *self.context, *(b for b, _ in self.item_fields))]
        if self.items is not None:
            sizes.append(("history", self.items.size))
        ends = np.cumsum([0, *(size for _, size in sizes)])
        return {name: slice(int(a), int(a) + size) for (name, size), a in zip(sizes, ends, strict=False)}

    @property
    def size(self) -> int:
        """Number of columns."""
        return max((s.stop for s in self.spans.values()), default=0)

    def matrix(self, users: NDArray[np.integer], view: View, without: int = -1) -> Csr:
        """csr float32[len(users), size] of what `view` shows, as if item row `without` had never been clicked."""
        rows = np.asarray(users, np.int64)
        if without >= 0:
            view = view.log.view(view.now, np.append(view.removed, without))
        log = view.log
        parts = [_profile_rows(block, log, rows) for block in self.profile]
        if self.context:
            codes = view.context(rows)
            parts += [block.one_hot(codes[block.name]) for block in self.context]
        parts = [part / np.sqrt(len(parts)) for part in parts]
        if self.item_fields or self.items is not None:
            read = view.history(rows, self.history_length)
            clicks = csr(read, None, log.n_items)
            parts += [unit_rows(clicks @ values) / np.sqrt(len(self.item_fields)) for _, values in self.item_fields]
            if self.items is not None:
                column = self.items.column[np.asarray(read.values, np.int64) + 1]
                parts.append(unit_rows(csr(Jagged(column, read.offsets), self.idf, self.items.size)))
        if not parts:
            return sp.csr_matrix((len(rows), 0), dtype=np.float32)
        return sp.hstack(parts, format="csr", dtype=np.float32)


class FeatureSource:
    """Rows of user features for a method: as of `fit` (`fresh=False`, made once) or as of the scoring view.

    Args:
        shared: methods with equal options share the columns and the rows of all users.
        fresh: which of the two.
        options: of `FeatureColumns.learn`.
    """

    def __init__(self, shared: Shared | None = None, fresh: bool = False, **options: Any) -> None:
        self.shared, self.fresh, self._options = shared or Shared(), fresh, options

    def fit(self, view: View) -> None:
        """Learn the columns; without `fresh` make the rows of all users."""
        key = tuple(sorted(self._options.items()))
        self._view = view
        self.columns = self.shared.get(
            view, ("feature columns", key), lambda v: FeatureColumns.learn(v, **self._options)
        )
        self.known = self.shared.get(view, "known users", known_users)
        self._clicks = self.shared.get(view, "clicks by item", _clicks_by_item)
        self._all: Csr | None = None if self.fresh else self.shared.get(view, ("feature rows", key), self._everybody)

    def _everybody(self, view: View) -> Csr:
        return self.columns.matrix(np.arange(view.log.n_users), view)

    @property
    def size(self) -> int:
        """Number of columns."""
        return self.columns.size

    def clicked(self, users: NDArray[np.integer], item: int) -> NDArray[np.bool_]:
        """bool[len(users)]: who clicked the item row before `fit`; nobody clicked -1."""
        return np.isin(users, self._clicks[item]) if item >= 0 else np.zeros(len(users), bool)

    def known_rows(self) -> Csr:
        """csr[known users, size] as of `fit`."""
        return self.columns.matrix(self.known, self._view) if self._all is None else self._all[self.known]

    def rows(self, users: NDArray[np.integer], view: View, without: int = -1) -> Csr:
        """csr float32[len(users), size]; the candidate `without` is taken out of every history.

        Seeds clicked the candidate and users to be scored did not: left in, it would tell them apart by itself.
        """
        if self._all is None:
            return self.columns.matrix(users, view, without)
        rows = self._all[np.asarray(users, np.int64)]
        changed = np.flatnonzero(self.clicked(users, without))
        if len(changed) == 0:
            return rows
        index = np.arange(len(users))
        index[changed] = len(users) + np.arange(len(changed))
        return sp.vstack([rows, self.columns.matrix(users[changed], self._view, without)], format="csr")[index]


def known_users(view: View) -> NDArray[np.int64]:
    """int64: users with a click before `view.now`, ascending; all users where there is none."""
    known = np.unique(view.pairs.user).astype(np.int64)
    return known if len(known) else np.arange(view.log.n_users, dtype=np.int64)


def as_sets(rows: Csr) -> Csr:
    """The same matrix with every stored positive value 1, the others dropped."""
    out = rows.copy()
    out.data = (out.data > 0).astype(np.float32)
    out.eliminate_zeros()
    return out


def _clicks_by_item(view: View) -> Jagged:
    """M rows: the users of every item."""
    pairs = view.pairs
    ends = np.zeros(view.log.n_items + 1, np.int64)
    np.cumsum(np.bincount(pairs.item, minlength=view.log.n_items), out=ends[1:])
    return Jagged(pairs.user[np.argsort(pairs.item, kind="stable")], ends)


def _user_fields(log: Log) -> list[str]:
    return [f.name for f in log.schema.user if f.name in log.users]


def _item_fields(log: Log) -> list[str]:
    return [f.name for f in log.schema.item if f.name in log.items and not isinstance(log.items[f.name], Numbers)]


def _learn_field(log: Log, name: str, known: NDArray[np.int64], buckets: int) -> Coded | Scale:
    field = next(f for f in log.schema.user if f.name == name)
    column = log.users[name]
    if isinstance(column, Numbers):
        return Scale.learn(name, column.numbers[known], isinstance(field, Continuous) and field.log, buckets)
    min_count = 1 if isinstance(field, Continuous) else field.min_count
    if isinstance(column, Codes):
        return Coded.learn(name, column.codes[known], len(column.values) + 1, min_count)
    return Coded.learn(name, _first_values(log, name, known).values, len(column.values) + 1, min_count)


def _learn_item_field(log: Log, name: str, clicked: NDArray[np.int32]) -> tuple[Coded, Csr]:
    column = log.items[name]
    if isinstance(column, Codes):
        block = Coded.learn(f"history.{name}", column.codes[clicked], len(column.values) + 1, 1, unknown=False)
        return block, block.one_hot(column.codes)
    assert isinstance(column, JaggedCodes)  # numbers were left out
    seen = column.codes.take(np.unique(clicked)).values
    block = Coded.learn(f"history.{name}", seen, len(column.values) + 1, 1, unknown=False)
    return block, block.mean_hot(column.codes)


def _profile_rows(block: Coded | Scale, log: Log, users: NDArray[np.int64]) -> Csr:
    column = log.users[block.name]
    if isinstance(block, Scale):
        assert isinstance(column, Numbers)  # as when learnt
        return block.rows(column.numbers[users])
    if isinstance(column, Codes):
        return block.one_hot(column.codes[users])
    return block.mean_hot(_first_values(log, block.name, users))


def _first_values(log: Log, name: str, users: NDArray[np.int64]) -> Jagged:
    column, field = log.users[name], next(f for f in log.schema.user if f.name == name)
    assert isinstance(column, JaggedCodes)
    most = field.max_length if isinstance(field, MultiCategorical) else len(column.codes.values)
    starts, ends = column.codes.offsets[users], column.codes.offsets[users + 1]
    return slices(column.codes.values, starts, np.minimum(ends, starts + most))
