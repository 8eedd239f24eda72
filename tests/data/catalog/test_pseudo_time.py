import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.data.catalog.pseudo_time import spread


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=10),
    start=st.floats(-1e9, 1e9),
    span=st.floats(1.0, 1e7),
    seed=st.integers(0, 2**32),
)
def test_order_span_and_share(lengths: list[int], start: float, span: float, seed: int) -> None:
    position = np.concatenate([np.arange(n) for n in lengths])
    length = np.repeat(lengths, lengths)
    time = spread(position, length, start, start + span, np.random.default_rng(seed))
    assert ((time >= start) & (time < start + span)).all()
    for one in np.split(time, np.cumsum(lengths)[:-1]):
        assert (np.diff(one) >= 0).all()
        # half of a list, give or take one entry, lies in the first half of the span: for every user alike
        assert abs((one < start + span / 2).sum() - len(one) / 2) <= 1


def test_lists_of_one_length_do_not_fall_together() -> None:
    position, length = np.tile(np.arange(5), 100), np.full(500, 5)
    assert len(np.unique(spread(position, length, 0.0, 1.0, np.random.default_rng(0)))) == 500
