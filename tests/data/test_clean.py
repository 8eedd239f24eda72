"""The paper's cleaning against a loop, and what a subset of users keeps."""

from collections import Counter

import numpy as np
import polars as pl
import pytest

from kinfolk.data.clean import paper_cleaning, subset
from kinfolk.data.encode import encode
from kinfolk.data.tables import read_tables
from kinfolk.schema import Categorical, Continuous, MultiCategorical, Schema

DAY = 86_400
T = 19_000 * DAY


def make_log(rows, utc_offset=0.0, n_users=6):
    """rows: (user, item, time, label)."""
    schema = Schema(
        user=(Categorical("city"), MultiCategorical("tags"), Continuous("age")),
        context=(Categorical("device"),),
        utc_offset=utc_offset,
    )
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "time", "label"], orient="row")
    events = events.with_columns(device=pl.col("item_id").cast(pl.String), position=1.0)
    users = pl.DataFrame({"user_id": range(n_users), "city": [f"c{i}" for i in range(n_users)]})
    users = users.with_columns(tags=pl.concat_list("city", pl.lit("all")), age=pl.col("user_id") * 1.0)
    prior = pl.DataFrame({"user_id": list(range(n_users)), "item_id": [0] * n_users})
    return encode(read_tables(schema, events, users), schema, name="clean", prior=prior)


@pytest.mark.parametrize("offset", [0.0, 5.5, -3.0])
def test_cleaning_drops_idle_and_too_active_users(offset):
    rng = np.random.default_rng(1)
    rows = [(int(rng.integers(0, 5)), i, T + int(rng.integers(0, 3 * DAY)), 1) for i in range(60)]
    reads = Counter((u, int((t + 3600 * offset) // DAY)) for u, _, t, _ in rows)
    limit = 5
    active = {u for (u, _), n in reads.items() if n > limit}
    kept = {u for u, *_ in rows} - active
    assert active, "the case must have something to drop"
    assert kept
    log, counts = paper_cleaning(make_log(rows, offset), limit)
    assert log.user_ids.tolist() == [str(u) for u in sorted(kept)]
    assert counts.too_active == len(active)
    assert counts.idle == 6 - len({u for u, *_ in rows})
    assert counts.events == sum(u in active for u, *_ in rows)
    assert len(log.events) == len(rows) - counts.events


def test_exactly_the_limit_is_kept():
    rows = [(0, i, T + i, 1) for i in range(50)] + [(1, i, T + i, 1) for i in range(51)]
    assert paper_cleaning(make_log(rows))[0].user_ids.tolist() == ["0"]


def test_the_local_day_decides():
    late = [(0, i, T + DAY - 1800 + i * 60, 1) for i in range(60)]  # half an hour on either side of midnight UTC
    assert paper_cleaning(make_log(late), 40)[1].too_active == 0
    assert paper_cleaning(make_log(late, utc_offset=-3), 40)[1].too_active == 1


def test_impressions_without_a_click_are_no_behaviour():
    log, counts = paper_cleaning(make_log([(0, 1, T, 1), (1, 1, T, 0)]))
    assert log.user_ids.tolist() == ["0"]
    assert counts.idle == 5


def test_a_subset_keeps_everything_of_its_users_and_every_item():
    rows = [(u, i, T + u + i, int(i != 1)) for u in range(4) for i in range(3)]
    full = make_log(rows)
    part = subset(full, np.array([3, 1]))
    assert part.user_ids.tolist() == ["1", "3"]
    assert part.n_items == full.n_items
    assert part.user_ids[part.prior[0]].tolist() == ["1", "3"]
    for name in ("events", "impressions"):
        a, b = getattr(full, name), getattr(part, name)
        keep = np.isin(full.user_ids[a.user], ["1", "3"])
        assert part.user_ids[b.user].tolist() == full.user_ids[a.user[keep]].tolist()
        assert b.item.tolist() == a.item[keep].tolist()
        assert b.time.tolist() == a.time[keep].tolist()
    assert part.impressions.position.tolist() == [1.0] * len(part.impressions)
    assert (
        part.events.context["device"].tolist()
        == full.events.context["device"][np.isin(full.user_ids[full.events.user], ["1", "3"])].tolist()
    )
    city = part.users["city"]
    assert city.values[city.codes - 1].tolist() == ["c1", "c3"]
    tags = part.users["tags"]
    assert [tags.values[tags.codes[i] - 1].tolist() for i in range(2)] == [["c1", "all"], ["c3", "all"]]
    assert part.users["age"].numbers.tolist() == [1.0, 3.0]
