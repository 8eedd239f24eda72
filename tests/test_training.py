"""The offline half in one call: honest about time and removed items, repeatable, resumable after a kill."""

from dataclasses import replace

import numpy as np
import pytest

from kinfolk.bundle import Bundle
from kinfolk.data.log import Events, Log
from kinfolk.errors import BundleError, DataError, OptionError
from kinfolk.lookalike.config import EpisodeConfig
from kinfolk.schema import Schema
from kinfolk.training import train


@pytest.mark.parametrize("by_episodes", [False, True])
def test_nothing_after_until_and_no_removed_item_is_seen(small_log, tiny_preset, by_episodes):
    if by_episodes:
        shape = replace(tiny_preset.lookalike, activation="prelu", unit_input=True, start="average")
        tiny_preset = replace(tiny_preset, lookalike=shape, episodes=EpisodeConfig(steps=10, validated=8))
    events = small_log.events
    cut = float(np.quantile(events.time, 0.7))
    gone = small_log.item_ids[np.argsort(-np.bincount(events.item, minlength=small_log.n_items))[:3]]
    hidden = np.isin(small_log.item_ids[events.item], gone) | (events.time >= cut)
    other = np.where(hidden, (events.item + 5) % small_log.n_items, events.item).astype(np.int32)
    kept = np.isin(small_log.item_ids[other], gone)
    scrambled = replace(small_log, events=replace(events, item=np.where(hidden & ~kept, other, events.item)))
    # what is hidden may be anything: moving it to later moments of any item must change nothing
    late = np.where(hidden & (events.time < cut), cut + 1, events.time)
    order = np.argsort(late, kind="stable")
    moved = replace(
        scrambled,
        events=Events(
            scrambled.events.user[order],
            scrambled.events.item[order],
            late[order],
            scrambled.events.kind[order],
            {k: v[order] for k, v in events.context.items()},
        ),
    )
    a = train(small_log, until=cut, hold_out_items=list(gone), preset=tiny_preset, seed=2)
    b = train(moved, until=cut, hold_out_items=list(gone), preset=tiny_preset, seed=2)
    np.testing.assert_array_equal(a.universal, b.universal)
    np.testing.assert_array_equal(a.lookalike, b.lookalike)
    assert a.provenance.trained_until == cut
    assert a.provenance.removed_items == tuple(gone)


def test_a_killed_run_resumes_to_the_same_bundle(small_log, tiny_preset, tmp_path):
    class KilledError(Exception):
        """Stands for the kill."""

    def kill(stage, at):
        if stage == "look-alike" and at["epoch"] == 1:
            raise KilledError

    whole = train(small_log, preset=tiny_preset, seed=3)
    with pytest.raises(KilledError):
        train(small_log, preset=tiny_preset, seed=3, out=tmp_path / "b", on_progress=kill)
    assert not (tmp_path / "b").exists()
    again = train(small_log, preset=tiny_preset, seed=3, out=tmp_path / "b", resume=True)
    np.testing.assert_array_equal(again.lookalike, whole.lookalike)
    assert [p.name for p in tmp_path.iterdir()] == ["b"], "nothing is left beside it"


def test_the_folder_one_is_in_can_be_written_to(small_log, tiny_preset, tmp_path, monkeypatch):
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "b")
    made = train(small_log, preset=tiny_preset, seed=3, out=".")
    assert Bundle.load(tmp_path / "b").version == made.version
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def _log(users, items, times):
    n = len(users)
    events = Events(np.array(users, np.int32), np.array(items, np.int32), np.array(times, float), np.zeros(n, np.int16))
    names = np.array([str(i) for i in range(max([*users, *items], default=0) + 1)], np.str_)
    return Log("few", Schema(), names, names, ("click",), events)


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (_log([], [], []), "no click"),
        (_log([0] * 30, list(range(30)), range(30)), "fewer than two users"),
        (_log([0, 1], [0, 1], [1.0, 1.0]), "split|few"),
        (_log(list(range(30)), list(range(30)), range(30)), "no item has"),
    ],
)
def test_too_little_to_learn_from_is_said(log, said, tiny_preset):
    with pytest.raises(DataError, match=said):
        train(log, preset=tiny_preset)


def test_bad_options_are_refused_before_training(small_log, small_bundle, tmp_path):
    with pytest.raises(OptionError, match="kinfolk"):
        train(small_log, preset="papper")
    with pytest.raises(DataError, match="nobody-knows"):
        train(small_log, hold_out_items=["nobody-knows"])
    small_bundle.save(tmp_path / "b")
    with pytest.raises(BundleError, match="--overwrite"):
        train(small_log, out=tmp_path / "b")
    assert Bundle.load(tmp_path / "b").version == small_bundle.version
