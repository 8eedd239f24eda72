"""What a model knows of fields, and how any log becomes its batches: `UserFeatures`.

Vocabularies and scales are fitted on training time only and match by outside value, so a model trained on one log
embeds the users of another.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kinfolk.data.jagged import Jagged
from kinfolk.data.log import Codes, JaggedCodes, Log, Numbers, UserIndex, View
from kinfolk.data.vocabulary import UNKNOWN, ContinuousScale, FieldVocabulary, rows_of
from kinfolk.errors import SchemaError
from kinfolk.nn.spread import spread
from kinfolk.represent import gather
from kinfolk.represent.batch import UserBatch
from kinfolk.represent.coded import CodedLog, first_of, history_index, interleave, some
from kinfolk.schema import Categorical, Continuous, MultiCategorical, Schema


@dataclass(frozen=True, eq=False)
class UserFeatures:
    """The vocabularies and scales of one model.

    Args:
        schema: which fields there are.
        vocabularies: of the categorical and multivalent user fields and the context fields, by name.
        scales, means: of the continuous fields, by name; a missing number takes the training mean of the scaled ones.
        item_ids: str[D] outside ids of the known items, most frequent first: rank r has code r + 2.
        skip_unknown_items: leave unknown items out of histories instead of giving them the unknown code.
    """

    schema: Schema
    vocabularies: Mapping[str, FieldVocabulary]
    scales: Mapping[str, ContinuousScale]
    means: Mapping[str, float]
    item_ids: NDArray[np.str_]
    skip_unknown_items: bool = False
    _coded: list[tuple[weakref.ref[Log], CodedLog]] = field(default_factory=list, repr=False)

    @classmethod
    def fit(
        cls, view: View, schema: Schema, *, item_min_count: int = 1, skip_unknown_items: bool = False
    ) -> UserFeatures:
        """Learn from the users and items that `view` shows at work, and from nothing later.

        Args:
            view: the training time.
            schema: which fields to use; a subset of the log's.
            item_min_count: items that fewer users consumed are unknown.
            skip_unknown_items: see the class.

        Raises:
            SchemaError: a field that the log does not have, or has as another kind.
        """
        log, pairs = view.log, view.pairs
        users = np.flatnonzero(np.bincount(pairs.user, minlength=log.n_users))
        vocabularies: dict[str, FieldVocabulary] = {}
        scales: dict[str, ContinuousScale] = {}
        means: dict[str, float] = {}
        for f in schema.user:
            column = _column(log, f)
            if isinstance(column, Numbers) and isinstance(f, Continuous):
                scales[f.name] = scale = ContinuousScale.fit(column, users, f.log)
                numbers, missing = scale.apply(Numbers(column.numbers[users]))
                means[f.name] = float(numbers[~missing].mean(dtype=np.float64)) if not missing.all() else 0.0
            elif isinstance(column, Codes | JaggedCodes) and not isinstance(f, Continuous):
                vocabularies[f.name] = FieldVocabulary.fit(column, users, f.min_count)
        end = int(np.searchsorted(log.events.time, view.now, side="left"))
        rows = np.flatnonzero(~view.is_removed[log.events.item[:end]])
        for c in schema.context:
            vocabularies[c.name] = FieldVocabulary.fit(_context(log, c), rows, c.min_count)
        counts = np.bincount(pairs.item, minlength=log.n_items)
        known = np.flatnonzero(counts >= max(item_min_count, 1))
        item_ids = np.asarray(log.item_ids[known[np.argsort(-counts[known], kind="stable")]])
        return cls(schema, vocabularies, scales, means, item_ids, skip_unknown_items)

    @property
    def n_items(self) -> int:
        """D, number of known items."""
        return len(self.item_ids)

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Number of codes of every lookup field, by name, in the order of the encoder's table."""
        out = {f.name: len(self.vocabularies[f.name]) for f in self.schema.user if not isinstance(f, Continuous)}
        out |= {c.name: len(self.vocabularies[c.name]) for c in self.schema.context}
        return out | {h.name: self.n_items + 2 for h in self.schema.history}

    @cached_property
    def starts(self) -> dict[str, int]:
        """First row of every lookup field in the encoder's table, by name."""
        ends = np.cumsum([0, *self.sizes.values()])
        return dict(zip(self.sizes, ends.tolist(), strict=False))

    def item_codes(self, log: Log) -> NDArray[np.int32]:
        """int32[M]: 2 + rank of every item row of a log, 1 for an unknown one."""
        return self.coded(log).item_codes

    def coded(self, log: Log) -> CodedLog:
        """A log in this model's codes; the last one asked for is kept as long as the log lives.

        Raises:
            SchemaError: a field that the log does not have, or has as another kind.
        """
        for known, coded in list(self._coded):
            if known() is log:
                return coded
        coded = self._encode(log)
        self._coded[:] = [(weakref.ref(log), coded)]
        return coded

    def batch(
        self,
        source: View | Log,
        users: NDArray[np.integer],
        now: float | NDArray[np.float64] | None = None,
        without: NDArray[np.integer] | None = None,
    ) -> UserBatch:
        """The fields of users, each as of a moment of their own.

        Args:
            source: a view, beyond whose `now` and removed items nothing is seen; or a whole log.
            users: int[B] rows of the log.
            now: seconds, one for all or float64[B]; events strictly before it count. None: all that `source` shows.
            without: int[B] item rows (-1 for none) treated as if the user had never met them.

        Returns:
            The batch, on the CPU.
        """
        log = source.log if isinstance(source, View) else source
        limit = source.now if isinstance(source, View) else np.inf
        removed = source.is_removed if isinstance(source, View) else np.zeros(log.n_items, bool)
        coded, n = self.coded(log), len(self.sizes)
        rows: NDArray[np.int32] = np.ascontiguousarray(users, np.int32)
        moments = np.empty(len(rows), np.float64)
        moments[:] = limit if now is None else np.minimum(now, limit)
        excluded = np.full(len(rows), -1, np.int32)
        if without is not None:
            excluded[:] = without
        codes = coded.item_codes.copy()
        codes[removed] = 0
        if self.skip_unknown_items:
            codes[codes == UNKNOWN] = 0
        index, offsets = self._gather(coded, rows, moments, excluded, removed, codes, n)
        return UserBatch(
            torch.from_numpy(index),
            torch.from_numpy(offsets),
            torch.from_numpy(coded.numbers[rows]),
            torch.from_numpy(coded.has_numbers[rows]),
            n,
        )

    def _gather(
        self,
        coded: CodedLog,
        users: NDArray[np.int32],
        now: NDArray[np.float64],
        without: NDArray[np.int32],
        removed: NDArray[np.bool_],
        codes: NDArray[np.int32],
        n: int,
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        B, n_static, n_context = len(users), coded.n_static, len(coded.context)
        lengths = np.zeros((B, n), np.int64)
        if n_static:
            spread(gather.count_static, B, B * n_static, users, coded.static.offsets, lengths, n_static)
        context = np.zeros((n_context, B), np.int32)
        if n_context and len(coded.events.time):
            last = np.empty(B, np.int64)
            events = coded.events
            args = (users, now, without, events.offsets, events.time, events.payload, removed, last)
            spread(gather.last_event, B, 10 * B, *args)
            context = np.where(last >= 0, coded.context[:, last], 0)
            lengths[:, n_static : n_static + n_context] = (context != 0).T
        histories = list(zip(self.schema.history, coded.histories, range(n_static + n_context, n), strict=True))
        for history, index, column in histories:
            at = (users, now, without, index.offsets, index.time, index.payload, codes)
            spread(gather.count_history, B, B * history.length, *at, history.length, lengths, column)
        offsets = np.zeros(B * n + 1, np.int64)
        np.cumsum(lengths.ravel(), out=offsets[1:])
        out = np.empty(offsets[-1], np.int32)
        if n_static:
            static = (coded.static.offsets, coded.static.values, n_static, n, offsets, out)
            spread(gather.copy_static, B, B * n_static, users, *static)
        for i, c in enumerate(self.schema.context):
            known = context[i] != 0
            out[offsets[:-1].reshape(B, n)[known, n_static + i]] = context[i][known] + self.starts[c.name]
        for history, index, column in histories:
            at = (users, now, without, index.offsets, index.time, index.payload, codes)
            row = self.starts[history.name]
            spread(gather.copy_history, B, B * history.length, *at, row, column, n, offsets, out)
        return out, offsets

    def _encode(self, log: Log) -> CodedLog:
        lookups = []
        numbers = np.zeros((log.n_users, len(self.scales)), np.float32)
        missing = np.ones((log.n_users, len(self.scales)), bool)
        for f in self.schema.user:
            column = _column(log, f)
            if isinstance(column, Numbers):
                i = list(self.scales).index(f.name)
                scaled, missing[:, i] = self.scales[f.name].apply(column)
                numbers[:, i] = np.where(missing[:, i], np.float32(self.means[f.name]), scaled)
            elif isinstance(column, Codes):
                lookups.append(some(self.vocabularies[f.name].apply(column), self.starts[f.name]))
            elif isinstance(f, MultiCategorical):
                codes = first_of(self.vocabularies[f.name].apply_jagged(column), f.max_length)
                values = np.asarray(codes.values, np.int32) + np.int32(self.starts[f.name])
                lookups.append(Jagged(values, codes.offsets))
        by_user = log.events_by_user
        order = by_user.payload
        context = np.zeros((len(self.schema.context), len(order)), np.int32)
        for i, c in enumerate(self.schema.context):
            context[i] = self.vocabularies[c.name].apply(_context(log, c))[order]
        events = UserIndex(by_user.offsets, by_user.time, np.asarray(log.events.item[order], np.int32))
        item_codes = np.full(log.n_items, UNKNOWN, np.int32)
        rows = rows_of(log.item_ids, self.item_ids)
        item_codes[rows[rows >= 0]] = np.flatnonzero(rows >= 0) + 2
        return CodedLog(
            interleave(lookups, log.n_users),
            len(lookups),
            numbers,
            np.asarray(~missing.all(axis=1)),
            context,
            events,
            tuple(history_index(log, h) for h in self.schema.history),
            item_codes,
        )

    def to_arrays(self) -> tuple[dict[str, NDArray[np.generic]], dict[str, Any]]:
        """(arrays, JSON-able meta) to store; `from_arrays` is the inverse."""
        arrays: dict[str, NDArray[np.generic]] = {"items": self.item_ids}
        for name, vocabulary in self.vocabularies.items():
            arrays |= {f"vocabulary.{name}.{k}": a for k, a in vocabulary.to_arrays().items()}
        for name, scale in self.scales.items():
            arrays |= {f"scale.{name}.{k}": a for k, a in scale.to_arrays().items()}
        meta = {
            "schema": self.schema.to_dict(),
            "means": dict(self.means),
            "skip_unknown_items": self.skip_unknown_items,
        }
        return arrays, meta

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]], meta: Mapping[str, Any]) -> UserFeatures:
        """The inverse of `to_arrays`."""
        schema = Schema.from_dict(meta["schema"])
        vocabularies = {
            f.name: FieldVocabulary.from_arrays(_under(arrays, f"vocabulary.{f.name}."))
            for f in (*schema.user, *schema.context)
            if not isinstance(f, Continuous)
        }
        scales = {
            f.name: ContinuousScale.from_arrays(_under(arrays, f"scale.{f.name}."))
            for f in schema.user
            if isinstance(f, Continuous)
        }
        items = np.asarray(arrays["items"]).astype(np.str_)
        return cls(schema, vocabularies, scales, dict(meta["means"]), items, bool(meta["skip_unknown_items"]))


def _under(arrays: Mapping[str, NDArray[np.generic]], prefix: str) -> dict[str, NDArray[np.generic]]:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def _column(log: Log, f: Categorical | MultiCategorical | Continuous) -> Codes | JaggedCodes | Numbers:
    column = log.users.get(f.name)
    if column is None:
        raise SchemaError(
            f"{log.name}: users have no field {f.name!r}", "take it out of the schema, or encode the log with it"
        )
    want = {Categorical: Codes, MultiCategorical: JaggedCodes, Continuous: Numbers}[type(f)]
    if not isinstance(column, want):
        raise SchemaError(
            f"{log.name}: the user field {f.name!r} holds {type(column).__name__}, not {want.__name__}",
            "declare it as the kind it was encoded as",
        )
    return column


def _context(log: Log, c: Categorical) -> Codes:
    if c.name not in log.events.context:
        raise SchemaError(
            f"{log.name}: events have no context field {c.name!r}",
            "take it out of the schema, or encode the log with it",
        )
    return Codes(log.events.context[c.name], log.context_values[c.name])
