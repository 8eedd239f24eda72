"""Users as they are now -> x_u, by the encoder that was trained: known ones from their stored inputs, new ones from
what is told of them, both with the clicks that came since (`Live`).

The vector is that of `embed` on a log with those clicks added (to rounding), given that a user's context stays that of
their last event in the log and that no click is older than it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.check import close
from kinfolk.data.inputs import Inputs, unknown_item
from kinfolk.data.jagged import Jagged
from kinfolk.data.log import Numbers
from kinfolk.data.vocabulary import UNKNOWN
from kinfolk.errors import BundleError, DataError
from kinfolk.represent.alone import Alone
from kinfolk.represent.inputs import kept
from kinfolk.represent.many import bags_of
from kinfolk.represent.values import items_of, number_of, text_of, texts_of
from kinfolk.schema import Categorical, Continuous, MultiCategorical

if TYPE_CHECKING:
    from kinfolk.represent.represented import Represented

I32 = NDArray[np.int32]
F32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Encoded:
    """One user in the codes of one model.

    Args:
        static: int32 rows of the encoder's table, one array a lookup field of the users table; empty = missing.
        numbers: float32[c], scaled; NaN = missing.
        context: int32[n_context] codes, 0 = missing.
        histories: int32 item numbers as in `Inputs`, oldest first, one array a history.
    """

    static: tuple[I32, ...]
    numbers: F32
    context: I32
    histories: tuple[I32, ...]


class Live:
    """An encoder with what it needs to embed users outside of any log. Safe for concurrent use.

    Args:
        represented: stage 1.
        inputs: of the users of training; None: only new users can be embedded.
        removed: outside ids of items that count as never clicked, as in training.
        kind: the behaviour that a live click is. None: clicks count in the histories of all kinds, or in the first
            history where each is of certain kinds.
    """

    def __init__(
        self,
        represented: Represented,
        inputs: Inputs | None = None,
        *,
        removed: Iterable[str] = (),
        kind: str | None = None,
    ) -> None:
        self._represented, self._features = represented, represented.features
        self._inputs = None if inputs is None else inputs.plain()
        represented.encoder.eval()
        self._alone = Alone.of(represented.encoder)
        schema = self._features.schema
        ids = self._features.item_ids
        self._order = np.argsort(ids, kind="stable").astype(np.int32)
        self._items = ids[self._order]
        self._removed = frozenset(removed)
        self._lookups = [f for f in schema.user if not isinstance(f, Continuous)]
        self._scaled = [f for f in schema.user if isinstance(f, Continuous)]
        self._means = np.array([self._features.means[f.name] for f in self._scaled], np.float32)
        takes = [not h.kinds or kind in h.kinds for h in schema.history]
        if kind is None and not any(takes):
            takes[:1] = [True] * len(takes[:1])
        self._takes = takes

    @property
    def field_names(self) -> tuple[str, ...]:
        """Columns of the field weights."""
        return tuple(self._represented.encoder.field_names)

    def known(self, row: int) -> Encoded:
        """A user of training, as of `trained_until`.

        Raises:
            BundleError: there are no inputs. DataError: no such row.
        """
        inputs = self._inputs
        if inputs is None:
            raise BundleError("the bundle holds no inputs of its users", "train anew, so that it does")
        if not 0 <= row < len(inputs):
            raise DataError(f"user row {row} of {len(inputs)}", "give a row of the bundle's users")
        n = len(self._lookups)
        return Encoded(
            tuple(np.asarray(inputs.static[row * n + i], np.int32) for i in range(n)),
            np.asarray(inputs.numbers[row]),
            np.asarray(inputs.context[row]),
            tuple(np.asarray(h[row], np.int32) for h in inputs.histories),
        )

    def encode(self, features: Mapping[str, object], history: object = (), base: Encoded | None = None) -> Encoded:
        """A user from what is told of them.

        Args:
            features: values by name: fields of the users table, context fields, and histories as lists of item ids,
                oldest first. A field that is absent is missing; one that is null, too. Texts, numbers and lists as
                JSON has them are read as the tables of training were.
            history: item ids, oldest first, for every history that live clicks count in and `features` does not name.
            base: keep this user's values where a field is absent.

        Raises:
            DataError: an unknown field, or a value that is not of its field's kind; both name the field.
        """
        schema = self._features.schema
        names = [f.name for f in schema.user_fields()]
        for name in features:
            if name not in names:
                near = close(name, names)
                hint = f"write {near!r}" if near else f"the model reads {', '.join(names)}"
                raise DataError(f"the model reads no field {name!r}", hint)
        nobody = Encoded(
            (np.zeros(0, np.int32),) * len(self._lookups),
            np.full(len(self._scaled), np.nan, np.float32),
            np.zeros(len(schema.context), np.int32),
            (np.zeros(0, np.int32),) * len(schema.history),
        )
        old = base or nobody
        static = tuple(
            self._looked_up(f, features[f.name]) if f.name in features else before
            for f, before in zip(self._lookups, old.static, strict=True)
        )
        numbers, context = old.numbers.copy(), old.context.copy()
        for i, f in enumerate(self._scaled):
            if f.name in features:
                given = np.array([number_of(features[f.name], f)], np.float32)
                scaled, missing = self._features.scales[f.name].apply(Numbers(given))
                numbers[i] = np.nan if missing[0] else scaled[0]
        for i, c in enumerate(schema.context):
            if c.name in features:
                context[i] = self._codes(c.name, [text_of(features[c.name], c.name)])[0]
        told = self.items(items_of(history, "history"))
        histories = []
        for h, takes, before in zip(schema.history, self._takes, old.histories, strict=True):
            own = self.items(items_of(features[h.name], h.name)) if h.name in features else told if takes else None
            numbers_of = before if own is None or (not len(own) and h.name not in features) else own
            histories.append(_distinct(numbers_of.tolist())[-kept(h) :])
        return Encoded(static, numbers, context, tuple(histories))

    def items(self, ids: Sequence[str]) -> I32:
        """int32[n] item numbers as in `Inputs`; 0 for removed items."""
        out = np.zeros(len(ids), np.int32)
        if not len(ids):
            return out
        wanted = np.asarray(ids, np.str_)
        place = np.minimum(np.searchsorted(self._items, wanted), max(len(self._items) - 1, 0))
        hit = self._items[place] == wanted if len(self._items) else np.zeros(len(ids), bool)
        for i, item in enumerate(ids):
            if item not in self._removed:
                out[i] = self._order[place[i]] + 2 if hit[i] else unknown_item(item)
        return out

    @overload
    def embed(
        self,
        users: Sequence[Encoded],
        trails: Sequence[Sequence[str]] | None = None,
        *,
        return_weights: Literal[False] = False,
    ) -> F32: ...

    @overload
    def embed(
        self, users: Sequence[Encoded], trails: Sequence[Sequence[str]] | None = None, *, return_weights: Literal[True]
    ) -> tuple[F32, F32]: ...

    def embed(
        self, users: Sequence[Encoded], trails: Sequence[Sequence[str]] | None = None, *, return_weights: bool = False
    ) -> F32 | tuple[F32, F32]:
        """Universal embeddings of users with the clicks that came after.

        Args:
            users: U of them.
            trails: of each the outside ids of items clicked since, oldest first; repeats and items that are in the
                history already add nothing.
            return_weights: also give the weight of every field, columns as `field_names`.

        Returns:
            x float32[U, m]; with `return_weights` also w float32[U, n].

        Raises:
            OptionError: weights of an encoder with merge="concat".
        """
        if len(users) == 1 and self._alone is not None and (self._alone.merge is not None or not return_weights):
            bags = self._bags(users[0], None if trails is None else trails[0])
            numbers, there = self._filled(users[0].numbers)
            x, w = self._alone(_flat(bags), _offsets(bags), numbers, bool(there.any()))
            return (x[None], w[None]) if return_weights else x[None]
        bags = [bag for b, u in enumerate(users) for bag in self._bags(u, None if trails is None else trails[b])]
        numbers = np.stack([u.numbers for u in users]) if users else np.zeros((0, len(self._scaled)), np.float32)
        return self._run(_flat(bags), _offsets(bags), numbers, weights=return_weights)

    def embed_rows(self, rows: NDArray[np.int64], since: Jagged, without: I32 | None = None) -> F32:
        """As `embed` of `known(row)` for many rows at once, without Python between one user and the next.

        Args:
            rows: int64[U] of users of training.
            since: U rows of item numbers as `items` gives, clicked since, oldest first.
            without: int32[U], of each an item number that counts as never clicked; 0 for none.

        Returns:
            x float32[U, m].

        Raises:
            BundleError: there are no inputs.
        """
        inputs = self._inputs
        if inputs is None:
            raise BundleError("the bundle holds no inputs of its users", "train anew, so that it does")
        without = np.zeros(len(rows), np.int32) if without is None else without
        index, offsets = bags_of(self._features, inputs, rows, since, without, self._takes)
        x = self._run(index, offsets, np.asarray(inputs.numbers[rows]), weights=False)
        assert not isinstance(x, tuple)
        return x

    def _run(self, index: I32, offsets: NDArray[np.int64], numbers: F32, *, weights: bool) -> F32 | tuple[F32, F32]:
        """The encoder on bags as in `UserBatch`; numbers: float32[U, c], NaN where missing."""
        import torch

        from kinfolk.represent.batch import UserBatch

        encoder = self._represented.encoder
        filled, there = self._filled(numbers)
        with torch.inference_mode():
            arrays = [torch.from_numpy(a) for a in (index, offsets, filled, there.any(axis=1))]
            batch = UserBatch(arrays[0], arrays[1], arrays[2], arrays[3], len(self._features.sizes))
            batch = batch.to(next(encoder.parameters()).device)
            if weights:
                x, w = encoder(batch, return_weights=True)
                return np.asarray(x.cpu().numpy(), np.float32), np.asarray(w.cpu().numpy(), np.float32)
            return np.asarray(encoder(batch).cpu().numpy(), np.float32)

    def _bags(self, user: Encoded, trail: Sequence[str] | None) -> list[I32]:
        """Rows of the encoder's table, one array a lookup field."""
        schema, starts = self._features.schema, self._features.starts
        bags = list(user.static)
        for c, code in zip(schema.context, user.context.tolist(), strict=True):
            bags.append(np.full(int(code != 0), starts[c.name] + code, np.int32))
        clicked = self.items(trail).tolist() if trail else []
        for h, takes, old in zip(schema.history, self._takes, user.histories, strict=True):
            entries = _distinct(old.tolist() + clicked if takes else old.tolist())
            if self._features.skip_unknown_items:
                entries = entries[entries > 0]
            codes = np.where(entries > 0, entries, UNKNOWN)[-h.length :]
            bags.append((codes + starts[h.name]).astype(np.int32))
        return bags

    def _filled(self, numbers: F32) -> tuple[F32, NDArray[np.bool_]]:
        """float32 of the same shape with the training means where missing, and which were there."""
        there = ~np.isnan(numbers)
        return np.where(there, numbers, self._means).astype(np.float32), there

    def _looked_up(self, field: Categorical | MultiCategorical, value: object) -> I32:
        one = isinstance(field, Categorical)
        texts = [text_of(value, field.name)] if isinstance(field, Categorical) else texts_of(value, field)
        codes = self._codes(field.name, [t for t in texts if t is not None] if one else texts)
        return (codes + np.int32(self._features.starts[field.name])).astype(np.int32)

    def _codes(self, name: str, texts: Sequence[str | None]) -> I32:
        """Model codes of values, 0 for None."""
        table = self._features.vocabularies[name].table(np.asarray([t or "" for t in texts], np.str_))[1:]
        return np.where([t is not None for t in texts], table, 0).astype(np.int32)


def _distinct(numbers: list[int]) -> I32:
    """The first of every number, in order, without 0."""
    return np.array([n for n in dict.fromkeys(numbers) if n != 0], np.int32)


def _flat(bags: list[I32]) -> I32:
    return np.concatenate(bags) if bags else np.zeros(0, np.int32)


def _offsets(bags: list[I32]) -> NDArray[np.int64]:
    offsets = np.zeros(len(bags) + 1, np.int64)
    np.cumsum([len(bag) for bag in bags], out=offsets[1:])
    return offsets
