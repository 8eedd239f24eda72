"""Seeds in, audience out."""

import numpy as np
import polars as pl
import pytest

import kinfolk
from kinfolk.errors import OptionError, TooFewSeedsError


@pytest.fixture
def seeds(small_bundle):
    return list(small_bundle.user_ids[:25])


def test_the_audience_is_the_best_percent_without_seeds_or_excluded(small_bundle, seeds):
    excluded = list(small_bundle.user_ids[100:120])
    found = kinfolk.expand(small_bundle, [*seeds, "stranger"], percent=5, exclude=excluded)
    assert found.audience.n_eligible == len(small_bundle.user_ids) - 45
    assert len(found) == pytest.approx(0.05 * found.audience.n_eligible, abs=1)
    assert not set(found.ids) & {*seeds, *excluded}
    assert (np.diff(found.scores) <= 0).all()
    assert (found.audience.seeds_used, found.audience.seeds_unknown) == (25, 1)
    assert ((found.probabilities > 0) & (found.probabilities < 1)).all()
    assert (np.diff(found.probabilities) <= 1e-7).all(), "the probability ranks as the score"


def test_scores_are_the_model_s(small_bundle, small_log, seeds):
    """The audience's scores are those of the torch model on the same clusters."""
    import torch

    from kinfolk.lookalike.model import LookalikeModel

    found = kinfolk.expand(small_bundle, seeds, size=20)
    model = LookalikeModel(small_bundle.weights.config).eval()
    names = {"layer_weight": "layer.weight", "layer_bias": "layer.bias", "local": "local.weight"}
    names |= {"log_temperature": "local.log_temperature", "global_inner": "global_.inner.weight"}
    names |= {"global_outer": "global_.outer.weight", "log_scale": "log_scale", "bias": "bias"}
    model.load_state_dict({names[k]: torch.from_numpy(v.copy()) for k, v in small_bundle.weights.arrays.items()})
    users = model.transform(torch.from_numpy(small_bundle.universal[found.audience.rows].copy()))
    clusters, sizes = (torch.from_numpy(a.copy()) for a in (found.snapshot.centroids, found.snapshot.sizes))
    want = model.score(clusters, sizes, users)[0].detach().numpy()
    np.testing.assert_allclose(found.scores, want, atol=1e-5)


def test_seeds_come_back_only_when_asked(small_bundle, seeds):
    everyone = kinfolk.expand(small_bundle, seeds, percent=100, include_seeds=True)
    assert set(everyone.ids) == set(small_bundle.user_ids)


@pytest.mark.parametrize("choice", [{}, {"size": 5, "percent": 1.0}, {"percent": 0.0}, {"reach": "wide"}])
def test_one_way_to_choose(small_bundle, seeds, choice):
    with pytest.raises(OptionError):
        kinfolk.expand(small_bundle, seeds, **choice)


def test_one_text_is_no_list_of_ids(small_bundle, seeds):
    with pytest.raises(OptionError, match="the seeds are one text, 'u50'"):
        kinfolk.expand(small_bundle, "u50", size=5)
    with pytest.raises(OptionError, match="the excluded users are one text, 'u50'"):
        kinfolk.expand(small_bundle, seeds, size=5, exclude="u50")


def test_too_few_known_seeds_are_refused(small_bundle, seeds):
    with pytest.raises(TooFewSeedsError, match="9 of 12 seeds"):
        kinfolk.expand(small_bundle, [*seeds[:9], "a", "b", "c"], size=5)


def test_the_file_holds_what_was_found(small_bundle, seeds, tmp_path):
    found = kinfolk.expand(small_bundle, seeds, size=7)
    found.write(tmp_path / "deep" / "audience.parquet")
    table = pl.read_parquet(tmp_path / "deep" / "audience.parquet")
    assert table.columns == ["user_id", "score", "probability"]
    assert table["user_id"].to_list() == list(found.ids)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["audience.parquet"]
