"""Suites that every backend passes; inherit them to test your own.

    import pytest
    from kinfolk.testing.ports import PortSuites

    class MyHarness:
        def open(self, options): ...        # an empty backend on data of its own
        def reopen(self, backend): ...      # close it, open the same data again

    class TestMyBackend(PortSuites):
        @pytest.fixture
        def harness(self):
            return MyHarness()

They need pytest and hypothesis. To test one port alone, inherit its suite.
"""

from __future__ import annotations

from kinfolk.testing.audience_store_suite import AudienceStoreSuite
from kinfolk.testing.harness import Harness
from kinfolk.testing.lease_suite import BackendSuite, LeaseSuite
from kinfolk.testing.record_suites import (
    CandidateStoreSuite,
    CounterStoreSuite,
    KeyStoreSuite,
    SettingStoreSuite,
    UserStoreSuite,
)
from kinfolk.testing.seed_store_suite import SeedStoreSuite
from kinfolk.testing.snapshot_store_suite import SnapshotStoreSuite

__all__ = [
    "AudienceStoreSuite",
    "BackendSuite",
    "CandidateStoreSuite",
    "CounterStoreSuite",
    "Harness",
    "KeyStoreSuite",
    "LeaseSuite",
    "PortSuites",
    "SeedStoreSuite",
    "SettingStoreSuite",
    "SnapshotStoreSuite",
    "UserStoreSuite",
]


class _Records(
    CandidateStoreSuite, UserStoreSuite, CounterStoreSuite, KeyStoreSuite, SettingStoreSuite, LeaseSuite, BackendSuite
):
    """The small ports."""


class PortSuites(SeedStoreSuite, SnapshotStoreSuite, AudienceStoreSuite, _Records):
    """All of them."""
