"""The thread that takes clicks from a bus: it waits for what is away, loses nothing and is held up by nothing."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.errors import DataError
from kinfolk.online.bus import Delivery
from kinfolk.online.listener import Listener
from kinfolk.online.ports import StoreError
from kinfolk.testing.counts import examples
from kinfolk.testing.served import wait_until


class Queue:
    """A ClickSource over a list of users; acknowledged ones leave it."""

    def __init__(self, users):
        self.left, self.held, self.dead = list(users), [], []
        self.away, self.closed = False, False
        self.told = dict.fromkeys(("read", "claimed", "acknowledged", "refused"), 0)

    def read(self, limit):
        if self.away:
            raise StoreError("the bus is away", "start it")
        if not self.held:
            self.held, self.left = self.left[:limit], self.left[limit:]
        n = len(self.held)
        return Delivery(tuple(self.held), tuple(self.held), ("c",) * n, tuple(range(n)), (None,) * n)

    def _done(self, delivery, what):
        self.held = [user for user in self.held if user not in delivery.users]
        self.told[what] += len(delivery)

    def ack(self, delivery):
        self._done(delivery, "acknowledged")

    def refuse(self, delivery, reason):
        self.dead += [(user, reason) for user in delivery.users]
        self._done(delivery, "refused")

    def again(self): ...

    def waiting(self):
        return len(self.left), len(self.held)

    def counts(self):
        return dict(self.told)

    def close(self):
        self.closed = True


class Writer:
    """Keeps users; raises what `wrong` says of a batch."""

    def __init__(self, wrong=lambda users: None):
        self.users, self.wrong = [], wrong

    def __call__(self, users, candidates, times, event_ids):
        error = self.wrong(users)
        if error is not None:
            raise error
        self.users += users


def people(n):
    return [f"u{i}" for i in range(n)]


def test_batch_by_batch_until_nothing_is_left():
    queue, writer, counted = Queue(people(25)), Writer(), []
    listener = Listener(queue, writer, limit=10, count=lambda found: counted.append(dict(found)))
    assert [listener.turn() for _ in range(4)] == [0.0, 0.0, 0.0, 0.1]
    assert writer.users == people(25)
    assert counted == [{"acknowledged": 10}, {"acknowledged": 10}, {"acknowledged": 5}]


def test_what_is_away_is_waited_for_longer_and_longer_and_nothing_is_lost():
    queue, writer = Queue(people(5)), Writer()
    listener = Listener(queue, writer)
    assert listener.stats()["bus_taking"] == 0, "it has not begun"
    queue.away = True
    pauses = [listener.turn() for _ in range(9)]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert (listener.stats()["bus_taking"], listener.stats()["bus_errors"]) == (0, 9)
    queue.away = False
    writer.wrong = lambda users: StoreError("the store is away", "start it")
    assert listener.turn() == 30
    writer.wrong = lambda users: None
    assert listener.turn() == 0
    assert (writer.users, queue.dead, listener.stats()["bus_taking"]) == (people(5), [], 1)
    queue.away = True
    assert listener.turn() == 0.5, "patience starts anew"


def test_it_says_so_once_a_minute_and_names_nobody(caplog):
    now = [0.0]
    queue = Queue([])
    listener = Listener(queue, Writer(), clock=lambda: now[0])
    queue.away = True
    with caplog.at_level("INFO", "kinfolk.online"):
        for now[0] in (0.0, 30.0, 59.0, 60.0):
            listener.turn()
        queue.away = False
        listener.turn()
    said = [record.getMessage() for record in caplog.records]
    assert [text.partition(":")[0] for text in said] == ["no clicks are taken from the bus"] * 2 + [
        "clicks are taken from the bus"
    ]
    assert "StoreError in read" in said[0]
    assert "away" not in said[0]


@settings(deadline=None, max_examples=examples(50))
@given(
    st.sets(st.integers(0, 59)), st.sets(st.integers(0, 59), max_size=15), st.sampled_from([DataError("bad", "mend")])
)
def test_clicks_that_are_refused_or_break_the_writer_are_set_aside_and_all_others_written(refused, breaking, refusal):
    def wrong(users):
        if any(int(user[1:]) in breaking for user in users):
            return ValueError("secret")
        return refusal if any(int(user[1:]) in refused for user in users) else None

    queue, writer = Queue(people(60)), Writer(wrong)
    listener = Listener(queue, writer, limit=16)
    for _ in range(4):
        listener.turn()
    aside = {f"u{i}" for i in refused | breaking}
    assert sorted(writer.users) == sorted(set(people(60)) - aside)
    assert {user for user, _ in queue.dead} == aside
    reasons = dict(queue.dead)
    assert all("ValueError" in reasons[f"u{i}"] and "secret" not in reasons[f"u{i}"] for i in breaking)


def test_where_nothing_can_be_written_the_clicks_wait(caplog):
    queue, writer = Queue(people(500)), Writer(lambda users: ZeroDivisionError())
    listener = Listener(queue, writer, limit=100)
    pauses = [listener.turn() for _ in range(10)]
    assert pauses[0] == 0.5
    assert pauses[-1] == 30
    assert len(queue.dead) <= 20 + 9, "a few, of which nobody can tell that they are not at fault"
    writer.wrong = lambda users: None
    while not listener.turn():
        pass
    assert len(writer.users) + len(queue.dead) == 500


@pytest.mark.parametrize("error", [OSError("disk"), MemoryError()])
def test_a_machine_in_trouble_is_no_fault_of_the_clicks(error):
    queue = Queue(people(3))
    listener = Listener(queue, Writer(lambda users: error))
    assert listener.turn() == 0.5
    assert queue.dead == []


def test_it_measures_what_waits(monkeypatch):
    now = [0.0]
    queue = Queue(people(25))
    listener = Listener(queue, Writer(), limit=10, clock=lambda: now[0])
    assert math.isnan(listener.stats()["bus_lag"])
    listener.turn()
    assert listener.stats()["bus_lag"] == 15
    listener.turn()
    assert listener.stats()["bus_lag"] == 15, "not with every batch"
    now[0] = 1.0
    monkeypatch.setattr(queue, "waiting", lambda: (None, 3))
    listener.turn()
    assert math.isnan(listener.stats()["bus_lag"]), "a bus that lost count"
    assert listener.stats()["bus_pending"] == 3


def test_the_thread_takes_everything_and_lets_go():
    queue, writer = Queue(people(50)), Writer()
    listener = Listener(queue, writer, limit=7)
    listener.start()
    listener.start()
    wait_until(lambda: len(writer.users) == 50, "everything is taken")
    assert listener.stop(60)
    assert (writer.users, queue.closed, listener.stats()["bus_taking"]) == (people(50), True, 0)
