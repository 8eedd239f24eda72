from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from kinfolk.baselines import registry
from kinfolk.baselines.shared import Shared
from kinfolk.errors import OptionError
from kinfolk.testing.two_groups import two_groups


@pytest.fixture(scope="module")
def world():
    return two_groups()


def test_groups_are_subsets_in_one_order():
    everything = registry.names()
    assert registry.names("none") == []
    for group in registry.GROUPS:
        chosen = registry.names(group)
        assert chosen == [n for n in everything if n in chosen]
    gates = {"lr_als_fields_activity", "lr_fields_history", "lr_als", "als_lda", "als_fold_in", "item_knn_fresh"}
    feed = {
        "recency_popularity",
        "newest",
        "als_lda_log_recency",
        "als_mean_cosine_z_log_recency",
        "trend",
        "als_lda_trend",
    }
    assert gates | feed <= set(registry.names("opponents"))
    assert gates.isdisjoint(registry.names("opponents", "table1"))
    assert feed.isdisjoint(registry.names("opponents", "new-item"))


def test_every_row_belongs_to_known_groups_and_protocols():
    for row in registry.ROWS.values():
        assert set(row.groups) <= set(registry.GROUPS) - {"all", "none"}
        assert row.protocols
        assert set(row.needs) <= {"window", "tau", "shared"}


def test_resolve_mixes_names_and_groups_and_drops_repeats():
    names = registry.resolve(["newest", "quick", "newest", "none"], "feed")
    assert names[0] == "newest"
    assert sorted(names) == sorted(registry.names("quick", "feed"))


def test_what_is_asked_for_wrongly_is_refused():
    with pytest.raises(OptionError, match=r"no group .*'quik'"):
        registry.names("quik")
    with pytest.raises(OptionError, match=r"no baseline .*'als'"):
        registry.make("als", 0)
    with pytest.raises(OptionError, match=r"no baseline .*'als'"):
        registry.resolve(["als"])
    with pytest.raises(OptionError, match="'newest' makes no sense in the new-item"):
        registry.resolve(["newest"], "new-item")


def test_a_run_hands_down_what_a_row_needs():
    shared = Shared()
    made = registry.make("lr_als", 5, window=60.0, shared=shared)
    assert (made.name, made.seed, made.window, made.shared) == ("lr_als", 5, 60.0, shared)
    assert registry.make("recency_popularity", 0, tau=7.0).tau == 7.0


def test_importing_the_registry_loads_no_library_of_a_method():
    loaded = "[m for m in ('torch', 'sklearn', 'lightgbm') if m in sys.modules]"
    code = f"import sys, kinfolk.baselines.registry; print({loaded})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_shared_keeps_one_view_and_makes_each_fit_once(world):
    shared, calls = Shared(), []
    first, second = world.seen, world.later

    def make(view):
        calls.append(view)
        return len(calls)

    assert [shared.get(first, "a", make), shared.get(first, "a", make), shared.get(first, "b", make)] == [1, 1, 2]
    assert shared.get(second, "a", make) == 3
    assert shared.get(first, "a", make) == 4
    assert calls == [first, first, second, first]


def test_shared_knows_a_view_by_what_it_shows(world):
    shared, log = Shared(), world.log
    assert shared.get(log.view(5.0, np.array([1])), "a", lambda view: 1) == 1
    assert shared.get(log.view(5.0, np.array([1])), "a", lambda view: 2) == 1
    assert shared.get(log.view(5.0, np.array([2])), "a", lambda view: 3) == 3
