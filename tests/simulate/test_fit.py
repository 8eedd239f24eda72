"""A fit must find again what a world was made with; counts too small for figures must be refused."""

from dataclasses import replace

import numpy as np
import pytest

from kinfolk.errors import DataError
from kinfolk.simulate.click_model import GLOBO
from kinfolk.simulate.fit import fit, poisson_lognormal
from kinfolk.simulate.play import as_log, warm_up
from kinfolk.simulate.world import World, WorldConfig


@pytest.mark.parametrize(("mean", "spread"), [(2.0, 1.0), (0.7, 0.5), (3.0, 0.0)])
def test_rates_are_found_behind_counts_without_their_zeros(mean, spread):
    rng = np.random.default_rng(0)
    rates = mean * np.exp(spread * rng.standard_normal(200_000) - spread**2 / 2)
    counts = rng.poisson(rates)
    found, width = poisson_lognormal(counts[counts > 0])
    assert found == pytest.approx(mean, rel=0.05)
    assert width == pytest.approx(spread, abs=0.08)


def test_a_fit_finds_what_the_world_was_made_with():
    # Ages and taste multiply, so two ages of very different pull, and short lives, make the curve plain.
    made = replace(
        GLOBO,
        visits_a_day=1.5,
        births_a_visit=0.003,
        age_edges=(0.0, 6.0, 12.0),
        age_rate=(1.0, 0.3),
        popularity_spread=0.3,
        repeat=0.0,
    )
    world = World(WorldConfig(seed=1, users=1500, warm_up_hours=96, hours=1, model=made))
    found = fit(as_log(world, warm_up(world)), age_edges=made.age_edges)
    assert found.visits_a_day == pytest.approx(made.visits_a_day, rel=0.2)
    assert found.clicks_a_visit == pytest.approx(made.clicks_a_visit, rel=0.2)
    births = 24 * world.config.births_an_hour / (made.visits_a_day * world.config.users)
    assert found.births_a_visit == pytest.approx(births, rel=0.3)  # visits without a click are not in the log
    assert found.age_rate[0] == 1
    assert found.age_rate[1] == pytest.approx(0.3, abs=0.1)
    assert found.repeat < 0.05
    assert np.corrcoef(found.rhythm, made.rhythm)[0, 1] > 0.95


def test_a_log_too_short_for_ages_is_refused(log):
    with pytest.raises(DataError, match="longer log"):
        fit(log)


def test_the_figures_kept_are_those_of_the_real_log(shared_data):
    from kinfolk.data.catalog import load

    found = fit(load("globo", shared_data / "globo_news_clicks"))
    for name, value in found.to_dict().items():
        if name != "source":
            np.testing.assert_allclose(getattr(GLOBO, name), value, atol=1e-4)
