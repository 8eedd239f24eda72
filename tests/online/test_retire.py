"""A candidate that is put back while it is being retired: nothing that follows upon the put-back is lost."""

import pytest

from kinfolk.online.clicks import user_keys

ID = "c05"


@pytest.fixture
def two(crowded, make):
    """Two processes' engines over twelve candidates; one retires, the other puts back."""
    return crowded[0], make()


def just_before(monkeypatch, store, name, act):
    """Let `act` happen once, just before a store's method is called."""
    real, left = getattr(store, name), [act]

    def called(*args):
        while left:
            left.pop()()
        return real(*args)

    monkeypatch.setattr(store, name, called)


def put_back(engine, users):
    engine.put_candidate(ID)
    assert engine.post_seeds(ID, users[200:206]).accepted == 6


def check_is_back(backend, engines, users):
    want = user_keys(backend.secret(), users[200:206]).tolist()
    assert sorted(backend.seeds.recent(ID, 99).user.tolist()) == sorted(want)
    for engine in engines:
        seen = engine.get_candidate(ID)
        assert (seen.retired_at, seen.seeds, seen.scorable, seen.seeds_used) == (None, 6, True, 6)
        assert ID in {s.candidate for s in engine.feed(users[0], 50).items}
    assert engines[0].post_seeds(ID, users[210:212]).scorable
    assert engines[1].get_candidate(ID).seeds == 8


@pytest.mark.parametrize(("store", "step"), [("snapshots", "retire"), ("seeds", "drop")])
def test_put_back_between_the_steps_of_a_retirement(two, backend, users, monkeypatch, store, step):
    one, other = two
    just_before(monkeypatch, getattr(backend, store), step, lambda: put_back(other, users))
    one.retire([ID])
    check_is_back(backend, two, users)


def test_put_back_just_after_the_mark(two, backend, users, monkeypatch):
    one, other = two
    real, done = backend.candidates.retire, []

    def retire(*args):
        version = real(*args)
        if not done:
            done.append(put_back(other, users))
        return version

    monkeypatch.setattr(backend.candidates, "retire", retire)
    one.retire([ID])
    assert done
    check_is_back(backend, two, users)


@pytest.mark.parametrize(("store", "step"), [("seeds", "drop"), ("snapshots", "revive"), ("candidates", "put")])
def test_a_retirement_that_goes_on_between_the_steps_of_a_put_back(two, backend, users, monkeypatch, store, step):
    """Two retire it; the slower one goes on while it is put back."""
    one, other = two
    backend.candidates.retire([ID], 1)
    with monkeypatch.context() as during:
        just_before(during, getattr(backend, store), step, lambda: one.retire([ID]))
        other.put_candidate(ID)
    assert other.post_seeds(ID, users[200:206]).scorable
    check_is_back(backend, two, users)


def test_clicks_on_their_way_when_it_retires_go_with_the_next_round(two, backend, users, clock, monkeypatch):
    one, other = two
    just_before(monkeypatch, backend.seeds, "append", lambda: one.retire([ID]))
    other.post_clicks(users[200:203], [ID] * 3, [None] * 3)
    assert backend.seeds.count(ID) == 3, "they came after the seeds were dropped"
    clock.forward(10**6)
    one.refresh()
    assert backend.seeds.count(ID) == 0
    assert ID not in backend.seeds.dirty()
