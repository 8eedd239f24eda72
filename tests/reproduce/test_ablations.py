"""Ablations: presets that differ in one thing, dot products in numpy, and what is said of the differences."""

from dataclasses import asdict, replace

import numpy as np
import polars as pl
import pytest

from kinfolk.errors import OptionError
from kinfolk.lookalike.config import LookalikeConfig
from kinfolk.presets import PRESETS as KNOWN
from kinfolk.reproduce.ablations import dots, findings, flattery
from kinfolk.reproduce.kept import Kept
from kinfolk.reproduce.quick import small
from kinfolk.reproduce.variants import LEAK, PRESETS, Variant, variants


def flat(settings, prefix=""):
    out = {}
    for key, value in settings.items():
        out |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return out


def test_each_variant_differs_from_what_it_is_paired_with():
    every = {v.name: v for v in variants()}
    assert len(every) == len(variants()), "every name once"
    for name in PRESETS:
        assert every[name].preset == KNOWN[name]
        assert every[name].against is None
    for v in every.values():
        if v.against is None:
            continue
        mine, other = flat(asdict(v.preset)), flat(asdict(every[v.against].preset))
        changed = {k.split(".")[0] for k in mine.keys() | other.keys() if mine.get(k) != other.get(k)}
        assert len(changed) == (0 if v.model == "leaky" else 1), v.name
        assert v.name.split(":")[0] == v.against.split(":")[0]


def test_quick_variants_stay_what_they_are():
    for v in variants(small):
        assert v.preset.lookalike.m == v.preset.represent.encoder.embedding_size == 16
    by_name = {v.name: v.preset for v in variants(small)}
    assert by_name["kinfolk: no co-clicks, no episodes"].episodes is None
    assert by_name["paper: local attention only"].lookalike.alpha == 0
    assert not by_name["kinfolk: no co-clicks"].co_click


@pytest.mark.parametrize("changes", [{}, {"size_aware": True, "learned_temperature": True}, {"pooling": "average"}])
def test_dot_products_are_those_of_the_model(changes):
    import torch

    from kinfolk.lookalike.model import LookalikeModel
    from kinfolk.lookalike.weights import Weights

    torch.manual_seed(0)
    model = LookalikeModel(LookalikeConfig(m=6, h=8, k=3, attention_size=4, similarity="dot", **changes)).eval()
    weights = Weights.of(model)
    rng = np.random.default_rng(0)
    e = weights.transform(rng.normal(size=(40, 6)).astype(np.float32))
    offsets = np.array([0, 20, 22, 40])
    snapshot = weights.snapshots(e, np.arange(40), offsets, seed=0)
    with torch.no_grad():
        want = model.score(torch.from_numpy(snapshot.centroids), torch.from_numpy(snapshot.sizes), torch.from_numpy(e))
    np.testing.assert_allclose(dots(weights, snapshot, e), want.numpy().T, atol=1e-5)


def test_losses_and_gains_are_told_apart_from_noise():
    every = [Variant("paper", KNOWN["paper"], None)]
    every += [Variant(f"paper: {name}", KNOWN["paper"], "paper") for name in ("worse", "better", "same")]
    rng = np.random.default_rng(0)
    plus = {"paper": 0.0, "paper: worse": -0.1, "paper: better": 0.1, "paper: same": 0.0}
    rows = pl.DataFrame(
        [
            {"variant": name, "seed": s, "item": i, "n": 10, "eauc": 0.6 + d + rng.normal(0, 0.01)}
            for name, d in plus.items()
            for s in (0, 1)
            for i in range(30)
        ]
    )
    lost, gained, even = findings(rows, every)
    assert lost.startswith("eAUC falls with: paper: worse -0.")
    assert gained.startswith("eAUC rises with: paper: better +0.")
    assert even.startswith("1 of 3 changes are within their 95 % intervals; by chance")


def test_variants_share_stage_1_and_are_paired(asked, monkeypatch, tmp_path):
    import kinfolk.baselines.ralm

    trained = []
    original = kinfolk.baselines.ralm.learn_users
    monkeypatch.setattr(kinfolk.baselines.ralm, "learn_users", lambda *a, **k: trained.append(a) or original(*a, **k))
    wanted = (
        "paper",
        "paper: average instead of attention",
        "paper: dot instead of cosine",
        "paper: histories as of now",
    )
    only = [v for v in variants(small) if v.name in wanted]
    path = tmp_path / "r.parquet"
    outcome, steps = asked("ablations", kept=Kept(path), only=only)
    assert len(steps) == 4
    assert len(trained) == 1
    found = {v: outcome.rows.filter(variant=v).sort("item", "n")["auc"].to_list() for v in wanted}
    assert all(found[v] != found["paper"] for v in wanted[1:])  # what is changed is changed
    (table,) = outcome.tables
    assert [row[0] for row in table.rows] == [name.removeprefix("paper: ") for name in wanted]
    assert table.columns[4].startswith("Δ")
    assert set(outcome.rows["variant"]) == set(wanted)
    changed = [replace(v, preset=replace(v.preset, seeds_share=0.2)) for v in only]
    with pytest.raises(OptionError, match="other data, terms or presets"):
        asked("ablations", kept=Kept(path, resume=True), only=changed)


def test_a_leak_flatters_validation_and_is_told_beside_the_truth(asked):
    only = [v for v in variants(small) if v.name in ("paper", LEAK, "paper: centroids T(mean of x), scored so too")]
    outcome, _ = asked("ablations", only=only)
    said = outcome.findings[-1]
    assert said.startswith("With seeds among the samples the validation of training itself reports an AUC of ")
    assert flattery(outcome.rows) == [said]
    assert flattery(outcome.rows.filter(pl.col("variant") == "paper")) == []
    assert len({part["eauc"].to_numpy().tobytes() for part in outcome.rows.partition_by("variant")}) == 3


def test_every_seed_is_a_click_on_its_candidate_and_shares_stay():
    from kinfolk.lookalike.campaign import Campaign
    from kinfolk.reproduce.leak import leaky

    seeds = np.arange(6, dtype=np.float32).reshape(3, 2)
    campaign = Campaign(
        np.array([7, 8], np.int32), np.array([0, 1, 3]), np.array([4, 5, 6], np.int32), seeds,
        np.array([0, 1, 1], np.int32), np.array([9, 8, 7], np.int32), np.array([1, 0, 0], np.int8),
        np.array([[1, 1], [2, 2], [3, 3]], np.float32), np.zeros(1, np.int64), 10,
    )  # fmt: skip
    found = leaky(campaign, seed=0)
    assert found.candidate[:6].tolist() == [0, 1, 1, 0, 1, 1]
    assert found.user[:6].tolist() == [9, 8, 7, 4, 5, 6]
    assert found.label.tolist() == [1, 0, 0, 1, 1, 1] + 6 * [0], "two without a click for each, as before"
    np.testing.assert_array_equal(found.targets[3:6], seeds)
    assert {tuple(t) for t in found.targets[6:]} <= {(2, 2), (3, 3)}
    np.testing.assert_array_equal(found.targets[6:, 0], np.where(found.user[6:] == 8, 2, 3))


def test_centroids_are_transformed_means_of_inputs():
    import torch

    from kinfolk.lookalike.model import LookalikeModel
    from kinfolk.lookalike.weights import Weights
    from kinfolk.reproduce.input_centroids import input_crowds

    torch.manual_seed(0)
    weights = Weights.of(LookalikeModel(LookalikeConfig(m=4, h=5, k=1, attention_size=3)).eval())
    x = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    found = input_crowds(weights, x, weights.transform(x), np.arange(10), np.array([0, 6, 10]), seed=0)
    want = weights.transform(np.stack([x[:6].mean(0), x[6:].mean(0)]))
    np.testing.assert_allclose(found.centroids[:, 0], want, atol=1e-6)
    assert found.sizes[:, 0].tolist() == [6, 4]


def test_where_times_are_made_up_nobody_knows_histories_as_of_now(asked, tiny_terms, monkeypatch):
    import kinfolk.reproduce.ablations as ablations

    seen = []
    original = ablations._MODELS["ralm"]
    monkeypatch.setitem(ablations._MODELS, "ralm", lambda **k: seen.append(k["fresh"]) or original(**k))
    only = [v for v in variants(small) if v.name == "paper"]
    asked("ablations", only=only)
    assert seen == [tiny_terms.fresh] == [None]
