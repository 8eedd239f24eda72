from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from kinfolk.data.jagged import Jagged
from kinfolk.data.log import Codes, Events, JaggedCodes, Log, Numbers
from kinfolk.schema import Categorical, Continuous, History, MultiCategorical, Schema

SCHEMA = Schema(
    user=(
        Categorical("city"),
        MultiCategorical("tags", max_length=4),
        Continuous("age"),
        Continuous("visits", log=True),
    ),
    context=(Categorical("device"),),
    history=(History("reads", length=5), History("buys", length=3, kinds=("buy",))),
)


def _make_log(
    seed: int = 0, n_users: int = 30, n_items: int = 20, n_events: int = 400, schema: Schema = SCHEMA, tastes: int = 4
) -> Log:
    """A small log with every kind of field, ties in time, repeats, and missing values; users of a taste share items."""
    rng = np.random.default_rng(seed)
    taste = rng.integers(0, tastes, n_users)
    user = rng.integers(0, n_users, n_events).astype(np.int32)
    own = rng.integers(0, n_items // tastes, n_events) * tastes + taste[user]
    item = np.where(rng.random(n_events) < 0.8, own, rng.integers(0, n_items, n_events)).astype(np.int32)
    time = np.sort(rng.integers(0, n_events // 2, n_events)).astype(np.float64)
    tags = [rng.choice(6, rng.integers(0, 6), replace=False) + 1 for _ in range(n_users)]
    age = rng.uniform(10, 80, n_users).astype(np.float32)
    age[::4] = np.nan
    visits = rng.integers(0, 1000, n_users).astype(np.float32)
    visits[::8] = np.nan
    return Log(
        name="small",
        schema=schema,
        user_ids=np.array([f"u{i:03}" for i in range(n_users)]),
        item_ids=np.array([f"i{i:03}" for i in range(n_items)]),
        kinds=("read", "buy"),
        events=Events(
            user,
            item,
            time,
            rng.integers(0, 2, n_events).astype(np.int16),
            {"device": rng.integers(0, 4, n_events).astype(np.int32)},
        ),
        users={
            "city": Codes(np.where(rng.random(n_users) < 0.2, 0, taste + 1).astype(np.int32), np.array(list("abcd"))),
            "tags": JaggedCodes(Jagged.of(tags, np.int32), np.array(list("pqrstu"))),
            "age": Numbers(age),
            "visits": Numbers(visits),
        },
        context_values={"device": np.array(["phone", "tablet", "tv"])},
    )


@pytest.fixture(scope="session")
def log() -> Log:
    """A small log with every kind of field."""
    return _make_log()


@pytest.fixture(scope="session")
def make_log() -> Callable[..., Log]:
    return _make_log


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Models this small only lose by threads, and on a busy machine they lose a lot."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
