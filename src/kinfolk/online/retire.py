"""What goes with a candidate that retires, and what stays where somebody puts it back at that very moment.

Three stores take part and no commit spans them, so the order decides. The candidate's own mark comes first: a process
killed after it leaves snapshots and seeds that no read shows, and the next to look takes them away. Seeds go only while
the mark is there; so those that follow upon a put-back are kept. A crowd that a put-back has just made, and that is
taken away in between, is made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kinfolk.online.intake import no_crowd, snapshots_now
from kinfolk.online.ports import Backend

if TYPE_CHECKING:
    from kinfolk.online.deployment import Deployment


def is_retired(backend: Backend, candidate: str) -> bool:
    """As the store has it now."""
    (found,) = backend.candidates.get([candidate])
    return found is not None and found.retired_at is not None


def drop_retired(backend: Backend, candidate: str) -> None:
    """Forget the seeds of a candidate if it is retired; what comes after a put-back stays."""
    backend.seeds.drop(candidate, lambda: is_retired(backend, candidate))


def clear(d: Deployment, retired: Sequence[str]) -> None:
    """Take away snapshots and seeds of candidates that were marked as retired."""
    for candidate in retired:
        if is_retired(d.backend, candidate):
            d.backend.snapshots.retire(candidate)
            drop_retired(d.backend, candidate)
    d.roster.catch_up()
    back = [candidate for candidate in retired if candidate in d.roster]
    if back:  # put back since; its snapshots may have gone after that
        for candidate in back:
            d.backend.snapshots.revive(candidate)
        snapshots_now(d, back, d.backend.seeds.generation())


def let_back(d: Deployment, candidate: str) -> None:
    """Let a retired candidate have snapshots again; an empty one is for processes that have not seen it retire."""
    generation = d.backend.seeds.generation()
    d.backend.snapshots.revive(candidate)
    d.backend.snapshots.publish([no_crowd(d, model, candidate, generation) for model in d.models()], None)
