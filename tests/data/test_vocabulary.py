"""Ids to rows, values to model codes, ranks and scales."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.data.jagged import Jagged
from kinfolk.data.log import Codes, JaggedCodes, Numbers
from kinfolk.data.vocabulary import (
    ContinuousScale,
    FieldVocabulary,
    as_str,
    factorize,
    frequency_rank,
    integers,
    rows_of,
    sort_ids,
)
from kinfolk.testing.counts import examples

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=5)
INT64 = st.integers(-(2**63), 2**63 - 1)
ID = st.one_of(TEXT, INT64.map(str), st.integers(0, 99).map(lambda i: f"{i:03}"))
IDS = st.one_of(st.lists(INT64.map(str), min_size=1, max_size=30), st.lists(ID, min_size=1, max_size=30))
SETTINGS = settings(deadline=None, max_examples=examples(150))


def is_plain_integer(text):
    try:
        return str(int(text)) == text and -(2**63) <= int(text) < 2**63
    except ValueError:
        return False


@SETTINGS
@given(st.lists(st.one_of(ID, st.sampled_from(["-0", "+1", " 1", "1 ", "²", "1_0", "9" * 25, "-"])), max_size=20))
def test_integers_agrees_with_python(texts):
    numbers, good = integers(np.array(texts, str))
    assert good.tolist() == [is_plain_integer(t) for t in texts]
    assert numbers[good].tolist() == [int(t) for t in texts if is_plain_integer(t)]


@SETTINGS
@given(IDS, st.lists(ID, max_size=10))
def test_rows_of_finds_every_id_and_nothing_else(ids, strangers):
    known = sort_ids(np.array(ids, str))
    wanted = ids + strangers
    place = {v: i for i, v in enumerate(known.tolist())}
    rows = rows_of(known, np.array(wanted, str))
    assert rows.dtype == np.int32
    assert rows.tolist() == [place.get(w, -1) for w in wanted]


@SETTINGS
@given(IDS)
def test_sort_ids_orders_by_number_or_by_text(ids):
    distinct = set(ids)
    want = sorted(distinct, key=int) if all(map(is_plain_integer, distinct)) else sorted(distinct)
    assert sort_ids(np.array(ids, str)).tolist() == want


@SETTINGS
@given(IDS)
def test_factorize_is_the_inverse_of_lookup(ids):
    rows, distinct = factorize(ids)
    assert distinct[rows].tolist() == ids
    assert len(distinct) == len(set(ids))


def test_ids_may_be_asked_for_as_numbers_or_series():
    ids = np.array(["2", "10", "300"])
    assert rows_of(ids, [300, 2, 5]).tolist() == [2, 0, -1]
    assert rows_of(ids, pl.Series([10, 11])).tolist() == [1, -1]
    assert rows_of(ids, pl.Series(["10", "010"])).tolist() == [1, -1]
    assert rows_of(ids, []).tolist() == []
    assert rows_of(np.array([], str), ["a"]).tolist() == [-1]


def test_as_str_of_a_long_series_is_exact():
    values = [f"id{i}" * (i % 3 + 1) for i in range(300_000)]
    assert as_str(pl.Series(values)).tolist() == values


@SETTINGS
@given(st.lists(st.integers(0, 5), max_size=20))
def test_frequency_rank_is_by_count_then_row(counts):
    rank = frequency_rank(counts)
    want = sorted(range(len(counts)), key=lambda i: (-counts[i], i))
    assert np.argsort(rank).tolist() == want
    assert rank.dtype == np.int64


VALUES = np.array(["a", "b", "c", "d"])
CODES = st.lists(st.integers(0, 4), max_size=30)


@SETTINGS
@given(CODES, st.integers(1, 4), st.data())
def test_vocabulary_knows_values_seen_often_enough_in_training(codes, min_count, data):
    column = Codes(np.array(codes, np.int32), VALUES)
    rows = data.draw(st.lists(st.integers(0, len(codes) - 1), max_size=20)) if codes else []
    vocabulary = FieldVocabulary.fit(column, np.array(rows, np.int64), min_count)
    seen = [VALUES[codes[r] - 1] for r in rows if codes[r]]
    known = sorted(v for v in set(seen) if seen.count(v) >= min_count)
    assert vocabulary.values.tolist() == known
    assert len(vocabulary) == len(known) + 2
    outside = ["", *VALUES]
    want = [0 if c == 0 else known.index(outside[c]) + 2 if outside[c] in known else 1 for c in codes]
    assert vocabulary.apply(column).tolist() == want


def test_vocabulary_matches_a_new_log_by_value():
    vocabulary = FieldVocabulary.fit(Codes(np.array([1, 2], np.int32), np.array(["b", "d"])))
    later = Codes(np.array([1, 2, 3, 0, 4], np.int32), np.array(["a", "b", "c", "d"]))
    assert vocabulary.apply(later).tolist() == [1, 2, 1, 0, 3]


def test_vocabulary_of_a_multivalent_column_counts_rows_not_repeats():
    column = JaggedCodes(Jagged.of([[1, 1, 1], [2], [2, 3], []], np.int32), np.array(["a", "b", "c"]))
    vocabulary = FieldVocabulary.fit(column, min_count=2)
    assert vocabulary.values.tolist() == ["b"]
    codes = vocabulary.apply_jagged(column)
    assert [codes[i].tolist() for i in range(4)] == [[1, 1, 1], [2], [2, 1], []]


def test_vocabulary_of_nothing_maps_all_to_unknown():
    vocabulary = FieldVocabulary.fit(Codes(np.zeros(3, np.int32), np.array([], str)))
    assert len(vocabulary) == 2
    assert vocabulary.apply(Codes(np.array([0, 1], np.int32), np.array(["x"]))).tolist() == [0, 1]


@SETTINGS
@given(st.lists(TEXT.filter(bool), unique=True, max_size=6))
def test_vocabulary_survives_storing(values):
    vocabulary = FieldVocabulary(np.sort(np.array(values, str)))
    again = FieldVocabulary.from_arrays(vocabulary.to_arrays())
    assert again.values.tolist() == vocabulary.values.tolist()


NUMBERS = st.lists(st.one_of(st.just(float("nan")), st.floats(0, 1e6, width=32)), min_size=1, max_size=20)


@SETTINGS
@given(NUMBERS, NUMBERS, st.booleans())
def test_scale_maps_training_to_the_unit_interval_and_clips_the_rest(train, later, log):
    scale = ContinuousScale.fit(Numbers(np.array(train, np.float32)), log=log)
    scaled, missing = scale.apply(Numbers(np.array(later, np.float32)))
    assert scaled.dtype == np.float32
    assert missing.tolist() == np.isnan(later).tolist()
    assert np.all((scaled >= 0) & (scaled <= 1))
    assert np.all(scaled[missing] == 0)
    f = np.log1p if log else np.asarray
    seen = f(np.array([v for v in train if v == v]))
    if len(seen) and seen.max() > seen.min():
        want = np.clip((f(np.array(later)) - seen.min()) / (seen.max() - seen.min()), 0, 1)
        np.testing.assert_allclose(scaled[~missing], want[~missing], atol=1e-6)


def test_scale_uses_training_rows_only_and_survives_storing():
    column = Numbers(np.array([1, 3, 100], np.float32))
    scale = ContinuousScale.fit(column, np.array([0, 1]), log=False)
    assert (scale.low, scale.high) == (1, 3)
    assert ContinuousScale.from_arrays(scale.to_arrays()) == scale
    assert scale.apply(column)[0].tolist() == [0, 1, 1]


@pytest.mark.parametrize("log", [False, True])
def test_scale_of_nothing(log):
    scale = ContinuousScale.fit(Numbers(np.full(3, np.nan, np.float32)), log=log)
    assert scale == ContinuousScale(0.0, 1.0, log)
