"""Each process's copy of the candidates agrees with the store, whoever writes."""

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kinfolk.online.ports import Candidate, StoreOptions
from kinfolk.online.roster import Roster
from kinfolk.online.stores.memory import MemoryBackend

IDS = [f"c{i}" for i in range(6)]
ids = st.sampled_from(IDS)


class Rosters(RuleBasedStateMachine):
    """Two rosters, one of which remembers a single retired candidate, over one store and a plain dict."""

    def __init__(self):
        super().__init__()
        self.store = MemoryBackend(StoreOptions()).candidates
        self.rosters = [Roster(self.store), Roster(self.store, most=1)]
        self.want: dict[str, Candidate] = {}
        self.kept = 0, {}, {}

    @rule(id=ids, expires=st.none() | st.integers(10, 20))
    def put(self, id, expires):
        self.want[id] = Candidate(id, 1, expires)
        self.store.put([self.want[id]])

    @rule(id=ids)
    def retire(self, id):
        self.store.retire([id], 2)
        if id in self.want:
            self.want[id] = Candidate(id, 1, self.want[id].expires_at, 2)

    @rule()
    def replicate(self):
        self.kept = self.store.version(), dict(self.store._all), dict(self.want)

    @rule()
    def fail_over(self):
        """To a replica that has not seen the newest writes."""
        version, rows, want = self.kept
        self.store._version, self.store._all, self.want = version, dict(rows), dict(want)

    @rule(which=st.integers(0, 1))
    def lag(self, which):
        """One of them asks in between, so that they have seen different things."""
        self.rosters[which].catch_up()
        self.rosters[which].states(IDS)

    @invariant()
    def agree(self):
        live = {c for c, at in self.want.items() if at.retired_at is None}
        states = {c: "live" if c in live else "retired" if c in self.want else "unknown" for c in IDS}
        for roster in self.rosters:
            before = roster.changes, {c for c in IDS if c in roster}
            roster.catch_up()
            assert roster.live() == sorted(live)
            assert len(roster) == len(live)
            assert roster.states(IDS) == states
            assert all((roster.get(c) is not None) == (c in live) for c in IDS)
            if {c for c in IDS if c in roster} != before[1]:
                assert roster.changes > before[0]
            for now in (9, 10, 15, 20):
                due = {c for c in live if self.want[c].expires_at is not None and self.want[c].expires_at <= now}
                assert set(roster.due(now)) == due


TestRosters = Rosters.TestCase
TestRosters.settings = hypothesis_settings(deadline=None, max_examples=30, stateful_step_count=20)
