"""Ages of waiting changes against a log of all that happened."""

from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.online.overdue import Overdue

EVERY = 10
EVENTS = st.lists(
    st.tuples(st.integers(1, 7), st.sampled_from(["change", "cluster", "quiet"]), st.sampled_from("abc")), max_size=60
)


@given(EVENTS)
@settings(deadline=None)
def test_against_a_log_of_everything(events):
    """Looked at every 10 ms, an age is wrong by 10 ms at most."""
    overdue, now, generation, looked = Overdue(), 0, 0, 0
    changes: dict[str, list[tuple[int, int]]] = {c: [] for c in "abc"}  # (ms, generation)
    crowds: dict[str, SimpleNamespace] = {}

    def look(at: int) -> None:
        dirty = {c: log[-1][1] for c, log in changes.items() if log}
        waiting, age = overdue.look(dirty, crowds.get, at)
        hidden = {c: [t for t, g in log if c not in crowds or g > crowds[c].generation] for c, log in changes.items()}
        assert waiting == sum(bool(times) for times in hidden.values())
        oldest = max((at - times[0] for times in hidden.values() if times), default=0)
        assert abs(age - oldest) <= EVERY

    for wait, what, candidate in events:
        for moment in range(now + 1, now + wait + 1):
            if moment - looked == EVERY:
                look(moment)
                looked = moment
        now += wait
        if what == "change":
            generation += 1
            changes[candidate].append((now, generation))
        elif what == "cluster":
            crowds[candidate] = SimpleNamespace(made_at=now, generation=generation)


def test_a_clock_that_is_set_back_is_the_clock_from_then_on():
    overdue, crowd = Overdue(), SimpleNamespace(made_at=990, generation=1)
    assert overdue.look({"a": 2}, lambda _: crowd, 1000) == (1, 0)
    assert overdue.look({"a": 2}, lambda _: crowd, 1010) == (1, 10)
    assert overdue.look({"a": 2}, lambda _: crowd, 500) == (1, 0)
    assert overdue.look({"a": 2}, lambda _: crowd, 530) == (1, 30)


def test_a_quiet_candidate_does_not_jump():
    overdue, old = Overdue(), SimpleNamespace(made_at=0, generation=1)
    week = 7 * 24 * 3_600_000
    assert overdue.look({"a": 2}, lambda _: old, week) == (1, 0)
    assert overdue.look({"a": 2}, lambda _: old, week + 5) == (1, 5)
    assert overdue.look({"a": 3}, lambda _: SimpleNamespace(made_at=week + 6, generation=2), week + 9) == (1, 3)
    assert overdue.look({"a": 3}, lambda _: SimpleNamespace(made_at=week + 10, generation=3), week + 11) == (0, 0)
