"""What leases and a backend as a whole promise, as tests: `LeaseSuite`, `BackendSuite`."""

from __future__ import annotations

from functools import partial

from kinfolk.online.ports import StoreOptions
from kinfolk.testing.harness import NOW, Harness, at_once


class LeaseSuite:
    """Needs a fixture `harness`."""

    def test_one_holds_it_until_it_runs_out(self, harness: Harness) -> None:
        """Every new holder has a higher number, after a restart, too."""
        backend = harness.open(StoreOptions())
        fence = backend.leases.acquire("refresher", "a", NOW, 1000)
        assert fence is not None
        leases = backend.leases
        assert leases.acquire("refresher", "b", NOW + 999, 1000) is None
        assert leases.acquire("refresher", "a", NOW + 500, 1000) == fence
        assert not leases.renew("refresher", "b", NOW + 600, 1000)
        assert leases.renew("refresher", "a", NOW + 1400, 1000)
        assert leases.acquire("refresher", "b", NOW + 2399, 1000) is None
        second = leases.acquire("refresher", "b", NOW + 2400, 1000)
        assert second is not None
        assert second > fence
        assert not leases.renew("refresher", "a", NOW + 2401, 1000)
        leases.release("refresher", "a")
        assert leases.acquire("refresher", "a", NOW + 2402, 1000) is None
        leases.release("refresher", "b")
        assert not leases.renew("refresher", "b", NOW + 2403, 1000)
        backend = harness.reopen(backend)
        third = backend.leases.acquire("refresher", "a", NOW + 2404, 1000)
        assert third is not None
        assert third > second
        assert backend.leases.acquire("other", "b", NOW, 1000) is not None
        backend.close()

    def test_one_that_ran_out_is_kept_until_somebody_takes_it(self, harness: Harness) -> None:
        """With its number; who let go, or was followed by another, has none to keep."""
        backend = harness.open(StoreOptions())
        leases = backend.leases
        fence = leases.acquire("refresher", "a", NOW, 1000)
        assert not leases.renew("refresher", "b", NOW + 5000, 1000)
        assert leases.renew("refresher", "a", NOW + 5000, 1000)
        assert leases.acquire("refresher", "b", NOW + 5999, 1000) is None
        assert leases.acquire("refresher", "a", NOW + 5999, 1000) == fence
        assert leases.acquire("refresher", "b", NOW + 7000, 1000) is not None
        assert not leases.renew("refresher", "a", NOW + 9000, 1000)
        leases.release("refresher", "b")
        assert not leases.renew("refresher", "a", NOW + 9000, 1000)
        assert not leases.renew("refresher", "b", NOW + 9000, 1000)
        assert not leases.renew("nobody's", "a", NOW, 1000)
        backend.close()

    def test_a_restart_frees_it_only_where_nobody_else_can_be_left(self, harness: Harness) -> None:
        """Other processes of a shared store go on; of a store that one process has open none is left, and its fence
        is outdated."""
        backend = harness.open(StoreOptions())
        fence = backend.leases.acquire("refresher", "a", NOW, 1000)
        assert fence is not None
        again = harness.reopen(backend)
        if again.shared:
            assert again.leases.acquire("refresher", "b", NOW + 1, 1000) is None
            assert again.leases.renew("refresher", "a", NOW + 2, 1000)
        elif again is not backend:
            assert not again.leases.renew("refresher", "a", NOW + 1, 1000)
            second = again.leases.acquire("refresher", "b", NOW + 2, 1000)
            assert second is not None
            assert second > fence
        again.close()

    def test_of_many_who_ask_at_once_one_gets_it(self, harness: Harness) -> None:
        """Ten rounds."""
        backend = harness.open(StoreOptions())
        for round in range(10):
            got = at_once(partial(backend.leases.acquire, "x", f"w{i}", NOW + 10_000 * round, 5000) for i in range(6))
            assert sum(fence is not None for fence in got) == 1
        backend.close()


class BackendSuite:
    """Needs a fixture `harness`."""

    def test_the_secret_stays(self, harness: Harness) -> None:
        """Whoever asks, at the same time or after a restart; another deployment has another."""
        backend, other = harness.open(StoreOptions()), harness.open(StoreOptions())
        secrets = set(at_once([backend.secret] * 4))
        backend = harness.reopen(backend)
        assert secrets == {backend.secret()}
        assert len(backend.secret()) == 32
        assert other.secret() != backend.secret()
        backend.ping()
        assert backend.url
        assert all(isinstance(line, str) for line in backend.warnings())
        other.close()
        backend.close()
