"""What an encoder reads of every user as of one moment, as plain arrays: `Inputs`.

A bundle keeps them, so that a user can be embedded anew with clicks that came later and without the log.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.jagged import Jagged
from kinfolk.errors import BundleError
from kinfolk.schema import History


def unknown_item(item: str) -> int:
    """The number of an item that the model does not know: below 0, the same in every process.

    31 bits of a hash tell items apart within the history of one user, which is all they are for.
    """
    return -1 - (int.from_bytes(hashlib.blake2b(item.encode(), digest_size=4).digest(), "little") >> 1)


@dataclass(frozen=True)
class Inputs:
    """N users in the codes of one model.

    Args:
        static: lookup fields of the users table; Jagged of N · n_static rows of int32 rows of the encoder's table,
            field i of user u in row u · n_static + i; an empty row is missing.
        numbers: float32[N, c], scaled; NaN = missing.
        context: int32[N, n_context] codes of the user's last event; 0 = missing.
        histories: one Jagged of N rows of int32 item numbers a history, oldest first, distinct: 2 + rank of a known
            item, `unknown_item` of another.
    """

    static: Jagged
    numbers: NDArray[np.float32]
    context: NDArray[np.int32]
    histories: tuple[Jagged, ...]

    def __len__(self) -> int:
        return len(self.numbers)

    def plain(self) -> Inputs:
        """The same arrays, still where they lie, as plain ones: a slice of a `numpy.memmap` costs ten times as much."""

        def jagged(j: Jagged) -> Jagged:
            return Jagged(np.asarray(j.values), np.asarray(j.offsets))

        histories = tuple(jagged(h) for h in self.histories)
        return Inputs(jagged(self.static), np.asarray(self.numbers), np.asarray(self.context), histories)

    def clicked(self, histories: Sequence[History]) -> Jagged:
        """N rows of the distinct item numbers of every user's histories together; those of all kinds, where one is.

        Args:
            histories: the schema's, in the order of `histories`.
        """
        for declared, found in zip(histories, self.histories, strict=True):
            if not declared.kinds or len(self.histories) == 1:
                return found
        rows = np.concatenate([h.rows() for h in self.histories] or [np.zeros(0, np.int64)])
        values = np.concatenate([np.asarray(h.values, np.int64) for h in self.histories] or [np.zeros(0, np.int64)])
        pairs = np.unique(np.stack([rows, values], axis=1), axis=0)
        offsets = np.searchsorted(pairs[:, 0], np.arange(len(self) + 1)).astype(np.int64)
        return Jagged(pairs[:, 1].astype(np.int32), offsets)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """What to store, by name; `from_arrays` is the inverse."""
        out: dict[str, NDArray[Any]] = {"numbers": self.numbers, "context": self.context}
        for name, jagged in {"static": self.static, **{f"history{i}": h for i, h in enumerate(self.histories)}}.items():
            out |= {f"{name}.values": np.asarray(jagged.values, np.int32), f"{name}.offsets": jagged.offsets}
        return out

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Inputs:
        """The inverse of `to_arrays`.

        Raises:
            BundleError: arrays are missing, of another kind, or do not fit each other.
        """
        n = sum(name.startswith("history") and name.endswith(".values") for name in arrays)
        try:
            jagged = [Jagged(arrays[f"{k}.values"], arrays[f"{k}.offsets"]) for k in _jagged_names(n)]
            found = cls(jagged[0], arrays["numbers"], arrays["context"], tuple(jagged[1:]))
        except KeyError as e:
            raise _broken(f"lack {e.args[0]!r}") from e
        found._check()
        return found

    def _check(self) -> None:
        kinds: dict[str, tuple[NDArray[Any], type, int]] = {
            "numbers": (self.numbers, np.float32, 2),
            "context": (self.context, np.int32, 2),
        }
        for name, jagged in zip(_jagged_names(len(self.histories)), (self.static, *self.histories), strict=True):
            kinds |= {f"{name}.values": (jagged.values, np.int32, 1), f"{name}.offsets": (jagged.offsets, np.int64, 1)}
            if len(jagged.offsets) < 1 or jagged.offsets[0] != 0 or jagged.offsets[-1] != len(jagged.values):
                raise _broken(f"have {name}.offsets that do not fit {name}.values")
        for name, (array, dtype, ndim) in kinds.items():
            if array.dtype != dtype or array.ndim != ndim:
                raise _broken(f"have {name} of {array.dtype}{list(array.shape)}")
        n = len(self)
        if len(self.context) != n or any(len(h) != n for h in self.histories) or (n and len(self.static) % n):
            raise _broken(f"are not of {n} users throughout")


def _jagged_names(histories: int) -> list[str]:
    return ["static", *(f"history{i}" for i in range(histories))]


def _broken(how: str) -> BundleError:
    return BundleError(f"the users' inputs {how}", "restore the bundle from a good copy, or train anew")
