"""One process's part in a lease: asked for now and then, renewed while work goes on (`HeldLease`)."""

from __future__ import annotations

from kinfolk.online.clock import Clock, due
from kinfolk.online.ports import FenceError, Lease


class HeldLease:
    """Args:
    leases: the store that says who holds it.
    name: of the lease.
    owner: this process, distinct among all that want it.
    lease_ms: after so long without a sign of life another takes over; a sign is given three times as often.
    clock: ms.

    `fence` is the number of this hold, which every publication carries; None while another holds the lease.
    """

    def __init__(self, leases: Lease, name: str, owner: str, lease_ms: int, clock: Clock) -> None:
        self._leases, self._name, self._owner = leases, name, owner
        self._lease_ms, self._clock = lease_ms, clock
        self.fence: int | None = None
        self._told: int | None = None  # when a sign of life was last given, or the lease asked for

    def ask(self, now: int) -> bool:
        """Take or keep it, if it is time to; returns whether another has held it meanwhile, or holds it now."""
        if not due(self._told, self._lease_ms // 3, now):
            return False
        fence = self._leases.acquire(self._name, self._owner, now, self._lease_ms)
        changed = fence is None or fence != self.fence
        self.fence, self._told = fence, now
        return changed

    def keep(self) -> None:
        """Renew it if it is time to. Raises FenceError if it was lost."""
        if due(self._told, self._lease_ms // 3, self._clock()):
            self.renew()

    def renew(self) -> None:
        """Renew it at once. Raises FenceError if it was lost."""
        now = self._clock()
        if not self._leases.renew(self._name, self._owner, now, self._lease_ms):
            raise FenceError(f"the lease {self._name!r} was lost", "its new holder goes on")
        self._told = now

    def release(self) -> None:
        """Hand it over, if it is held; asked for again at the next `ask`."""
        if self.fence is not None:
            self.fence = None
            self._leases.release(self._name, self._owner)
        self._told = None
