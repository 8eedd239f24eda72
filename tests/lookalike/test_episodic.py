"""Training by episodes: starts at the average, learns who comes next, repeats bit for bit and resumes after a kill."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kinfolk.errors import BundleError, OptionError
from kinfolk.lookalike import episodic
from kinfolk.lookalike.config import EpisodeConfig, LookalikeConfig
from kinfolk.lookalike.episodes import Episodes
from kinfolk.lookalike.episodic import train_episodes
from kinfolk.lookalike.weights import Weights
from kinfolk.represent.embed import embed
from kinfolk.represent.encoder import EncoderConfig
from kinfolk.represent.train import RepresentConfig, train_represent

MODEL = LookalikeConfig(
    m=16, h=16, k=4, attention_size=8, activation="prelu", size_aware=True, local_gain=0.05, unit_input=True,
    start="average",
)  # fmt: skip
EPISODES = EpisodeConfig(steps=30, round=10, batch_size=4, positives=8, negatives=16, seeds_kept=16, validated=8)
ENCODER = EncoderConfig(embedding_size=16, attention_size=8, hidden=(16,))


@pytest.fixture(scope="module")
def view(small_log):
    return small_log.view(float(np.quantile(small_log.events.time, 0.9)))


@pytest.fixture(scope="module")
def learned(view):
    return train_represent(view, view.log.schema, RepresentConfig(encoder=ENCODER, epochs=2, shared_negatives=50))


def same(a, b):
    return all(torch.equal(x, b[k]) for k, x in a.items())


def test_before_training_it_is_the_cosine_to_the_mean(view, learned):
    run = episodic._Run(learned, Episodes(view, EPISODES), MODEL, 0, "cpu")
    run.encoder.eval(), run.model.eval()
    e = run.train_on.draw(np.random.default_rng(0))
    # W_l starts near zero, not at it: the local part departs from the mean by a little
    own, others = run.scores([e], 0)[0]
    users = np.concatenate([e.seeds, e.positives, e.negatives])
    x = embed(learned, view, users, now=e.now, without=np.full(len(users), e.item, np.int32))
    x = x / np.linalg.norm(x, axis=1, keepdims=True) + run.model.layer.bias.detach().numpy()
    unit = lambda v: v / np.linalg.norm(v, axis=-1, keepdims=True)  # noqa: E731
    want = unit(x[len(e.seeds) :]) @ unit(x[: len(e.seeds)].mean(0))
    got = (torch.cat([own, others]) - run.model.bias) / run.model.log_scale.exp()
    np.testing.assert_allclose(got.detach().numpy(), want, atol=0.02)


def test_it_learns_and_leaves_what_it_was_given(view, learned):
    before = {k: v.clone() for k, v in learned.encoder.state_dict().items()}
    config = replace(EPISODES, steps=150, round=50, batch_size=8, lr=3e-3, table_lr=5e-3)
    after, model, rows = train_episodes(learned, Episodes(view, config), MODEL, seed=1)
    assert same(before, learned.encoder.state_dict())
    assert not same(before, after.encoder.state_dict())
    assert [r["epoch"] for r in rows] == [1, 2, 3]
    assert rows[-1]["loss"] < rows[0]["loss"]
    start = episodic._Run(learned, Episodes(view, config), MODEL, 1, "cpu").judge()
    assert rows[-1]["validation_auc"] > start
    assert Weights.of(model).config.unit_input


def test_two_runs_are_equal_and_so_is_one_that_was_killed(view, learned, tmp_path, monkeypatch):
    one = train_episodes(learned, Episodes(view, EPISODES), MODEL, seed=3, checkpoint=tmp_path)
    two = train_episodes(learned, Episodes(view, EPISODES), MODEL, seed=3, metrics_path=tmp_path / "rows.jsonl")
    assert one[2] == two[2]
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 3
    assert same(one[0].encoder.state_dict(), two[0].encoder.state_dict())
    assert same(one[1].state_dict(), two[1].state_dict())
    killed, real = tmp_path / "killed", episodic._Run.round

    def dies(self, number, told):
        if number == 1:
            raise KeyboardInterrupt
        return real(self, number, told)

    monkeypatch.setattr(episodic._Run, "round", dies)
    with pytest.raises(KeyboardInterrupt):
        train_episodes(learned, Episodes(view, EPISODES), MODEL, seed=3, checkpoint=killed)
    monkeypatch.undo()
    rest = train_episodes(learned, Episodes(view, EPISODES), MODEL, seed=3, checkpoint=killed, resume=True)
    assert rest[2] == one[2]
    assert same(rest[0].encoder.state_dict(), one[0].encoder.state_dict())
    with pytest.raises(BundleError, match=r"another run \(seed differ\)"):
        train_episodes(learned, Episodes(view, EPISODES), MODEL, seed=4, checkpoint=killed, resume=True)
    other = view.log.view(view.now, view.pairs.item[:1])
    with pytest.raises(BundleError, match=r"another run \(removed differ\)"):
        train_episodes(learned, Episodes(other, EPISODES), MODEL, seed=3, checkpoint=killed, resume=True)


def test_what_comes_at_or_after_its_moment_changes_no_score_of_an_episode(view, learned):
    run = episodic._Run(learned, Episodes(view, EPISODES), MODEL, 0, "cpu")
    run.encoder.eval(), run.model.eval()
    log, rng = view.log, np.random.default_rng(4)
    for seed in range(10):
        e = run.train_on.draw(np.random.default_rng(seed))
        own, others = run.scores([e], 0)[0]
        after = log.events.time >= e.now
        assert after.any()
        item = np.where(after, rng.integers(0, log.n_items, len(after)), log.events.item).astype(np.int32)
        context = {k: np.where(after, 0, v).astype(np.int32) for k, v in log.events.context.items()}
        run.view = replace(log, events=replace(log.events, item=item, context=context)).view(view.now)
        again = run.scores([e], 0)[0]
        run.view = view
        assert torch.equal(own, again[0])
        assert torch.equal(others, again[1])


def test_progress_is_told(view, learned):
    told = []
    train_episodes(learned, Episodes(view, EPISODES), MODEL, seed=0, on_progress=told.append)
    assert told[-1]["step"] == told[-1]["steps"] == 30
    assert all(at["samples_per_second"] > 0 for at in told)


def test_unit_input_is_the_same_in_plain_arrays(view, learned):
    _, model, _ = train_episodes(learned, Episodes(view, replace(EPISODES, steps=10)), MODEL, seed=0)
    x = np.random.default_rng(0).normal(size=(50, 16)).astype(np.float32) * 7
    x[0] = 0
    want = model.transform(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(Weights.of(model).transform(x), want, atol=1e-6)


def test_an_average_start_needs_a_transform_that_can_be_linear():
    with pytest.raises(OptionError, match="prelu"):
        LookalikeConfig(start="average")
