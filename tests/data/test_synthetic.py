import hashlib

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from kinfolk.data.synthetic import (
    EPOCH,
    REGIMES,
    Config,
    Feed,
    events,
    generate,
    information,
    items,
    load,
    schema,
    truth,
    users,
    world,
)
from kinfolk.errors import DataError, OptionError

# Frozen before any model was trained on the feed. If one of these changes, every published figure on it is void.
FROZEN = {
    "one_taste": "1f14c375ad2e5d77061a035660709d97b26fa49b0051df0cea6dcb5b1840dd6d",
    "many_taste": "4eef41281e3959768b8def1cae0c24fb3faa4c29d56c1d128672ef75aa6c3cce",
    "balanced": "b21ce775c5b3793f54808d07d3724a44495e3f424592fbda5d676c81cfe8aa95",
}


@pytest.fixture(scope="module")
def config() -> Config:
    return Config.small()


@pytest.fixture(scope="module")
def feed(config: Config) -> Feed:
    return generate(config)


def shown(feed: Feed, config: Config) -> pl.DataFrame:
    """Events with what decided them."""
    true = truth(config)
    e = feed.events
    user, item = e["user_id"].to_numpy(), e["item_id"].to_numpy()
    return e.with_columns(
        interest=pl.Series(true.world.interest[true.appeal[item], true.profile[user]]),
        pull=pl.Series(true.pull[item]),
        age=e["time"].to_numpy() / 1000 - true.born[item],
        popularity=pl.Series(true.popularity[item]),
    )


@pytest.mark.parametrize("regime", REGIMES)
def test_the_feed_is_frozen(regime: str):
    digest = hashlib.sha256()
    for table in generate(Config.small(regime=regime)):
        plain = table.with_columns(pl.col(pl.List(pl.String)).list.join("|"), pl.col(pl.Float64).cast(pl.Int64))
        digest.update(plain.write_csv().encode())
    assert digest.hexdigest() == FROZEN[regime]


def test_another_seed_is_another_world(config: Config):
    other = Config.small(seed=1)
    assert not np.array_equal(truth(config).profile, truth(other).profile)
    assert not np.array_equal(world(config).fields["city"], world(other).fields["city"])
    assert not next(events(truth(config))).equals(next(events(truth(other))))


def test_files_hold_the_same_as_memory(config: Config, feed: Feed, tmp_path):
    files = generate(config, tmp_path / "feed")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["feed"]
    for path, frame in zip(files, feed, strict=True):
        assert pl.read_parquet(path).equals(frame)


def test_a_folder_in_use_is_left_alone(config: Config, tmp_path):
    (tmp_path / "mine").write_text("keep")
    with pytest.raises(DataError, match="exists already"):
        generate(config, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_hours_come_one_by_one_in_order_of_time(config: Config):
    last = 0
    for hour, frame in enumerate(events(truth(config))):
        start = 1000 * (EPOCH + 3600 * hour)
        time = frame["time"].to_numpy()
        assert np.all(np.diff(time) >= 0)
        assert time.min() >= max(start, last)
        assert time.max() < start + 3_600_000
        last = time.max()
        if hour == 30:
            return


def test_a_list_holds_distinct_live_items_in_distinct_positions(feed: Feed, config: Config):
    e = shown(feed, config).with_columns(at=pl.col("time") // 3_600_000)
    lists = e.group_by("user_id", "at").agg(
        n=pl.len(), items=pl.col("item_id").n_unique(), places=pl.col("position").n_unique(), last=pl.max("position")
    )
    for column in ("items", "places", "last"):
        assert lists[column].equals(lists["n"].cast(lists[column].dtype), check_names=False)
    assert lists["n"].max() == config.list_length
    assert lists["n"].mean() > 0.99 * config.list_length
    assert e["age"].min() >= 0
    assert e["age"].max() <= 3600 * (config.life_hours + 1)


def test_nothing_is_shown_to_somebody_who_clicked_it(feed: Feed):
    e = feed.events
    first = e.filter(pl.col("label") == 1).group_by("user_id", "item_id").agg(clicked=pl.min("time"), n=pl.len())
    assert first["n"].max() == 1
    assert e.join(first, on=["user_id", "item_id"]).filter(pl.col("time") > pl.col("clicked")).is_empty()


@pytest.mark.parametrize("regime", ["one_taste", "many_taste"])
def test_clicks_follow_interest_popularity_and_position(regime: str):
    config = Config.small(seed=5, regime=regime)
    e = shown(generate(config), config).with_columns(
        p=REGIMES[regime].appetite
        * pl.col("position").pow(-config.position_decay)
        * pl.col("pull")
        * pl.col("interest"),
        pulled=pl.col("pull").mul(5).floor(),
    )
    for by in ("position", "interest", "pulled"):
        groups = e.group_by(by).agg(
            hits=pl.sum("label").cast(pl.Float64),
            want=pl.sum("p"),
            spread=(pl.col("p") * (1 - pl.col("p"))).sum().sqrt(),
        )
        assert len(groups) >= 2
        z = (groups["hits"] - groups["want"]) / groups["spread"]
        assert z.abs().max() < 4, by


def test_popular_and_young_items_are_shown_more(feed: Feed, config: Config):
    true = truth(config)
    times = np.bincount(feed.events["item_id"].to_numpy(), minlength=len(true.born))
    whole_life = (true.born > EPOCH) & (true.born < config.end - 3600 * config.life_hours)
    head = true.popularity > np.median(true.popularity[whole_life])
    assert times[whole_life & head].mean() > 2 * times[whole_life & ~head].mean()
    age = shown(feed, config)["age"].to_numpy() / 3600
    assert np.mean(age < 12) > 2 * np.mean((age >= 12) & (age < 24))


def test_what_is_shown_does_not_depend_on_taste(feed: Feed, config: Config):
    e = shown(feed, config)
    start = e.filter(pl.col("time") < 1000 * (EPOCH + 12 * 3600))  # later, what was clicked is left out
    true = truth(config)
    item = start["item_id"].to_numpy()
    w = true.world
    by_chance = w.interest[true.appeal[item]] @ w.prior
    gap = start["interest"].to_numpy() - by_chance
    assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(len(gap) / config.list_length)


def test_strong_in_few_fields_and_weak_in_many(config: Config):
    w = world(config)
    nats = {name: information(table, w.prior) for name, table in w.fields.items()}
    strong = nats.pop("section")
    assert strong > 5 * max(nats.values())
    assert all(x > 0 for x in nats.values())
    assert sum(x < strong / 20 for x in nats.values()) >= 10


def test_balanced_spreads_the_same_information_evenly():
    strong, even = (world(Config.small(regime=r)) for r in ("one_taste", "balanced"))

    def nats(w):
        return np.array([information(t, w.prior) for name, t in w.fields.items() if name != "age"])

    np.testing.assert_allclose(nats(even), nats(strong).mean(), rtol=1e-3)


def test_balanced_differs_from_one_taste_in_nothing_but_user_fields():
    one, even = (generate(Config.small(regime=r)) for r in ("one_taste", "balanced"))
    assert one.events.equals(even.events)
    assert one.items.equals(even.items)
    assert not one.users.equals(even.users)
    same = ["user_id", "age", "tags", "tenure"]
    assert one.users.select(same).equals(even.users.select(same))


def test_information_of_known_tables():
    half = np.array([0.5, 0.5])
    assert information(np.eye(2), half) == pytest.approx(np.log(2))
    assert information(np.full((2, 3), 1 / 3), half) == pytest.approx(0)


@pytest.mark.parametrize("regime", REGIMES)
def test_tables_are_distributions(regime: str):
    w = world(Config.small(regime=regime))
    for table in (*w.fields.values(), w.publisher, w.category, w.prior, w.appeal_prior):
        assert table.min() >= 0
        np.testing.assert_allclose(table.sum(axis=-1), 1)
    assert (w.tags > 0).all()
    assert (w.tags < 1).all()
    assert set(w.appeals.sum(axis=1)) == {REGIMES[regime].liked}
    assert w.interest.min() >= w.config.background
    assert w.interest.max() <= 1


def test_users_carry_fields_as_often_as_the_tables_say():
    config = Config(n_users=20_000)
    true = truth(config)
    frame = pl.concat(users(true))
    assert frame["user_id"].equals(pl.Series("user_id", np.arange(20_000)))
    z_most = norm.isf(1e-6)
    for name in ("section", "city", "age"):
        there = frame[name].is_not_null().to_numpy()
        assert abs(there.mean() - 0.9) < 0.01
        table = true.world.fields[name]
        values = frame[name].drop_nulls()
        codes = values.to_numpy() - 14 if name == "age" else values.str.split("_").list[1].cast(pl.Int64).to_numpy()
        for topic in range(3):
            mine = true.world.first[true.profile[there]] == topic
            want = table[true.profile[there]][mine]
            hits = np.bincount(codes[mine].astype(int), minlength=table.shape[1])
            spread = np.sqrt((want * (1 - want)).sum(axis=0))
            assert (np.abs(hits - want.sum(axis=0)) <= z_most * spread + 1).all(), name


def test_items_are_in_order_of_birth_with_an_initial_stock(config: Config):
    true = truth(config)
    assert np.all(np.diff(true.born) >= 0)
    assert true.born[0] < EPOCH < true.born[-1] < config.end
    rate = len(true.born) / (config.hours + config.life_hours)
    assert rate == pytest.approx(config.births_per_hour, rel=0.25)
    assert items(true).columns == ["item_id", "publisher", "category", "form"]


def test_load_keeps_every_row(feed: Feed, config: Config):
    log = load(config)
    assert (log.n_users, log.n_items) == (len(feed.users), len(feed.items))
    assert list(log.user_ids) == [str(i) for i in range(config.n_users)]
    assert log.impressions is not None
    assert len(log.impressions) == len(feed.events)
    assert len(log.events) == feed.events["label"].sum()
    assert set(log.users) == {f.name for f in schema().user}
    assert log.kinds == ("read", "watch")


def test_a_world_without_items_shows_nothing():
    config = Config(n_users=50, days=1, births_per_hour=0.01, life_hours=1)
    frames = list(events(truth(config)))
    assert len(frames) == 24
    assert sum(map(len, frames)) <= 50 * 24
    assert any(f.is_empty() for f in frames)


@pytest.mark.parametrize(
    "bad", [{"regime": "flat"}, {"n_users": 0}, {"background": 0.0}, {"missing": 1.0}, {"seed": -1}, {"days": -2}]
)
def test_an_impossible_world_is_refused(bad: dict[str, object]):
    with pytest.raises(OptionError):
        Config(**bad)
