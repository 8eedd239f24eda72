"""Users of one bundle as the encoder takes them, those of training and those put later: `Living`.

Torch is loaded by the first who is asked for.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from kinfolk.bundle import Bundle
from kinfolk.errors import OptionError
from kinfolk.online.ports import UserRecord

if TYPE_CHECKING:
    from kinfolk.represent.live import Encoded, Live

HISTORY = "history"
"""Under this name a record may hold item ids for the histories that live clicks count in."""


class Living:
    """Safe for concurrent use.

    Args:
        bundle: the model.
        kind: the behaviour that a live click is; None: as `Live` says.

    Raises:
        OptionError: no history of the model counts that behaviour.
    """

    def __init__(self, bundle: Bundle, kind: str | None = None) -> None:
        self._bundle, self._kind = bundle, kind
        self._lock = threading.Lock()
        self._live: Live | None = None
        if kind is not None:
            histories = bundle.schema.history
            if histories and all(h.kinds and kind not in h.kinds for h in histories):
                kinds = ", ".join(sorted({k for h in histories for k in h.kinds}))
                raise OptionError(f"live_kind is {kind!r}, which no history of the model counts", f"one of {kinds}")

    def live(self) -> Live:
        """The encoder, opened once."""
        with self._lock:
            if self._live is None:
                from kinfolk.represent.live import Live

                b = self._bundle
                self._live = Live(b.represented, b.inputs, removed=b.provenance.removed_items, kind=self._kind)
            return self._live

    def told(self, record: UserRecord, row: int) -> Encoded:
        """A user who was put. row: of the bundle, -1 for none; its inputs stand where the record names no others.

        Raises:
            DataError: a field that the model does not know, or a value of another kind.
        """
        live, features = self.live(), dict(record.features)
        names = {f.name for f in self._bundle.schema.user_fields()}
        history = features.pop(HISTORY, ()) if HISTORY not in names else ()
        return live.encode(features, history, self.trained(row))

    def trained(self, row: int) -> Encoded | None:
        """A user of training; None for row -1, and where the bundle holds no inputs."""
        return self.live().known(row) if row >= 0 and self._bundle.inputs is not None else None
