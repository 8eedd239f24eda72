"""Episodes ask what a new item will ask: nothing later than their moment is in them, nobody is in two parts."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.errors import DataError, OptionError
from kinfolk.lookalike.config import EpisodeConfig
from kinfolk.lookalike.episodes import Episodes
from kinfolk.testing.counts import examples

CONFIG = EpisodeConfig(seeds_min=3, seeds_max=40, seeds_kept=20, positives_min=2, positives=6, negatives=10)


@pytest.fixture(scope="module")
def view(small_log):
    end = float(np.quantile(small_log.events.time, 0.9))
    popular = np.argsort(-np.bincount(small_log.events.item, minlength=small_log.n_items))
    return small_log.view(end, popular[:3])


@pytest.fixture(scope="module")
def clicks_of(view):
    """item row -> (users, times) of its distinct clickers in the view, in click order; by plain loops."""
    found = {}
    for user, item, time in zip(view.pairs.user, view.pairs.item, view.pairs.time, strict=True):
        found.setdefault(int(item), []).append((int(user), float(time)))
    return found


@settings(max_examples=examples(60), deadline=None)
@given(st.integers(0, 10**6))
def test_an_episode_is_a_question_of_its_moment(view, clicks_of, seed):
    episodes = Episodes(view, CONFIG)
    e = episodes.draw(np.random.default_rng(seed))
    clicked = clicks_of[e.item]
    when = dict(clicked)
    until = min(e.now + episodes.window, view.now)
    assert e.item not in set(view.removed.tolist())
    assert e.now in when.values()
    assert len(set(e.seeds.tolist())) == len(e.seeds) <= CONFIG.seeds_kept
    assert all(when[u] <= e.now for u in e.seeds.tolist())
    assert CONFIG.positives_min <= len(e.positives) <= CONFIG.positives
    assert all(e.now < when[u] <= until for u in e.positives.tolist())
    assert not set(e.negatives.tolist()) & {u for u, time in clicked if time <= until}
    events = view.log.events
    seen = (events.time > e.now) & (events.time <= until) & ~view.is_removed[events.item]
    assert set(e.negatives.tolist()) <= set(events.user[seen].tolist())


def test_many_numbers_of_seeds_are_asked_about(view):
    episodes = Episodes(view, replace(CONFIG, seeds_kept=40))
    rng = np.random.default_rng(0)
    sizes = [len(episodes.draw(rng).seeds) for _ in range(400)]
    assert min(sizes) == CONFIG.seeds_min
    assert max(sizes) > 15
    assert np.median(sizes) < 12, "log-uniform: small ones are as frequent as large ones"


def test_a_new_item_starts_with_its_first_click(view, clicks_of):
    episodes = Episodes(view, replace(CONFIG, from_birth=1.0, seeds_kept=40))
    rng = np.random.default_rng(1)
    begin = float(view.pairs.time[0])
    born = 0
    for _ in range(100):
        e = episodes.draw(rng)
        users, times = zip(*clicks_of[e.item], strict=True)
        if times[0] > begin + 0.05 * (view.now - begin):
            born += 1
            assert sorted(e.seeds.tolist()) == sorted(users[: len(e.seeds)])
    assert born > 10


def test_only_the_items_that_were_asked_for(view, clicks_of):
    wanted = sorted(clicks_of, key=lambda i: -len(clicks_of[i]))[:4]
    episodes = Episodes(view, CONFIG).only(np.array(wanted))
    rng = np.random.default_rng(2)
    drawn = [episodes.draw(rng) for _ in range(60)]
    assert {e.item for e in drawn} == set(wanted)
    for e in drawn:
        assert set(e.seeds.tolist()) <= {user for user, time in clicks_of[e.item] if time <= e.now}


def test_the_same_seed_draws_the_same_episode(view):
    one, two = (Episodes(view, CONFIG).draw(np.random.default_rng(5)) for _ in range(2))
    assert one.item == two.item
    assert all(np.array_equal(getattr(one, k), getattr(two, k)) for k in ("seeds", "positives", "negatives"))


def test_a_log_without_crowds_is_refused(view):
    with pytest.raises(DataError, match="no item has 100005 clickers"):
        Episodes(view, replace(CONFIG, seeds_min=100_000, seeds_max=100_000, positives_min=5))
    with pytest.raises(DataError, match=r"no item has 2 clickers within 0 s of its first 3"):
        Episodes(view, replace(CONFIG, window=1e-3))


def test_a_draw_never_gives_up_where_a_question_can_be_asked(view, clicks_of):
    """Of an item whose clickers are far between, only the few moments that have an answer are drawn."""
    config = replace(CONFIG, window_share=0.02)
    every = Episodes(view, config)
    rare = min(every.item.tolist(), key=lambda i: len(clicks_of[i]))
    only = every.only(np.array([rare]))
    rng = np.random.default_rng(3)
    assert {only.draw(rng).item for _ in range(50)} == {rare}


def test_a_moment_far_after_the_last_event_changes_nothing(small_log):
    late = [Episodes(small_log.view(float(small_log.events.time[-1]) + far), CONFIG) for far in (1.0, 1e9)]
    one, two = ([e.draw(np.random.default_rng(s)) for s in range(20)] for e in late)
    assert [e.now for e in one] == [e.now for e in two]


def test_senseless_choices_are_refused():
    for wrong in ({"steps": 0}, {"seeds_min": 9, "seeds_max": 5}, {"cooling": 0.0}, {"validation": 1.0}):
        with pytest.raises(OptionError):
            EpisodeConfig(**wrong)
