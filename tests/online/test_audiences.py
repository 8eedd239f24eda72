"""Audiences as jobs: the right users, in pages and as parquet, whatever happens to the worker."""

import io

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kinfolk.errors import DataError, OptionError, TooFewSeedsError
from kinfolk.lookalike.activity import DEFAULT, DOSES
from kinfolk.lookalike.audience import expand
from kinfolk.online.answers import ConflictError, NotFoundError
from kinfolk.online.audiences import Asked, Crowd, Question, work
from kinfolk.online.clicks import user_keys
from kinfolk.testing.served import wait_until

QUICK = hypothesis_settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
CHOICES = [{"size": 30}, {"size": 10**9}, {"percent": 7.5}, {"min_score": 0.9}, {"reach": "broad"}]


def made(engine, question):
    """The audience, worked out here."""
    asked = engine.create_audience(question)
    assert asked.state == "pending"
    while work(engine._d, "test worker"):
        pass
    return engine.audience(asked.id)


def everyone(engine, id, limit=37):
    out, cursor = [], None
    while True:
        page = engine.members(id, cursor, limit)
        out += page.members
        assert len(page.members) == limit or page.next is None
        if page.next is None:
            return out
        cursor = page.next


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("include_seeds", [False, True])
def test_it_is_what_expand_finds(engine, backend, small_bundle, users, choice, include_seeds):
    seeds, exclude = users[:25], users[100:120]
    question = Question(seeds=[*seeds, "stranger", seeds[0]], **choice, exclude=exclude, include_seeds=include_seeds)
    crowd = Crowd(engine._d, engine._d.model, Asked.of(question, backend.secret()))
    rows = small_bundle.rows(np.array([*seeds, "stranger"]))
    want = expand(
        crowd.target.index,
        small_bundle.lookalike,
        small_bundle.weights.arrays["local"],
        seeds=rows,
        exclude=small_bundle.rows(np.array(exclude)),
        include_seeds=include_seeds,
        **choice,
    )
    guess = engine.estimate(question)
    got = made(engine, question)
    assert got.state == "ready"
    members = everyone(engine, got.id)
    assert len(members) == len(want) == got.facts["size"] == guess.size
    assert [m.score for m in members] == pytest.approx(want.scores.tolist(), abs=1e-6)
    worst = want.scores[-1] if len(want) else 0
    assert {m.id for m in members if m.score > worst + 1e-5} == {
        str(small_bundle.user_ids[r]) for r, s in zip(want.rows, want.scores, strict=True) if s > worst + 1e-5
    }
    assert len({m.id for m in members}) == len(members)
    for said in (got.facts, guess.__dict__):
        assert (said["matched"], said["missing"], said["eligible"]) == (25, 1, want.n_eligible)
        assert said["model"] == small_bundle.version
        assert said["min_score"] == pytest.approx(members[-1].score if members else None, abs=1e-6)
        assert said["max_score"] == pytest.approx(members[0].score if members else None, abs=1e-6)
    assert guess.exact
    assert engine.reach(got.id) == [(n, pytest.approx(s, abs=1e-6)) for n, s in want.reach]
    table = pq.read_table(io.BytesIO(b"".join(engine.members_parquet(got.id))))
    assert table["user_id"].to_pylist() == [m.id for m in members]
    assert table["score"].to_pylist() == pytest.approx([m.score for m in members])


def test_an_estimate_from_a_sample_is_near(make, users):
    question = Question(seeds=users[:25], percent=10)
    exact, near = make().estimate(question), make(estimate_sample=len(users) // 4).estimate(question)
    assert (exact.exact, near.exact) == (True, False)
    assert near.size == exact.size
    assert near.eligible == exact.eligible
    assert near.min_score == pytest.approx(exact.min_score, abs=0.05)


@QUICK
@given(st.data())
def test_pages_of_any_length_join(engine, users, data):
    got = made(engine, Question(seeds=users[:10], size=data.draw(st.integers(1, 180))))
    whole = everyone(engine, got.id, 10_000)
    assert everyone(engine, got.id, data.draw(st.integers(1, 120))) == whole
    assert len(whole) == got.facts["size"]


def test_of_a_candidate(crowded, small_bundle, users):
    engine, seeds = crowded
    got = made(engine, Question(candidate="c09", size=40))
    members = everyone(engine, got.id)
    assert (got.facts["matched"], got.facts["missing"]) == (len(seeds["c09"]), 0)
    assert not {m.id for m in members} & set(seeds["c09"])
    assert engine.candidate_audience("c09", 40) == [(m.id, m.score) for m in members]
    assert engine.audiences_of(members[0].id) == [got.id]
    assert engine.audiences_of(seeds["c09"][0]) == []
    scores = {s.candidate: s.score for s in engine.feed(members[0].id, 100).items}
    assert scores["c09"] == pytest.approx(members[0].score, abs=1e-5)
    with pytest.raises(NotFoundError):
        engine.create_audience(Question(candidate="never", size=4))
    with pytest.raises(OptionError):
        engine.candidate_audience("c09", 0)


def test_too_few_seeds_are_refused_at_once(engine, backend, users):
    few = Question(seeds=[*users[:2], "x", "y"], size=5)
    engine.post_seeds("small", users[:2])
    engine.post_seeds("strangers", [f"x{i}" for i in range(20)])
    for question, said in (
        (few, "2 of 4"),
        (Question(seeds=["x"] * 20, size=5), "0 of 1"),
        (Question(candidate="small", size=5), "2 of 2"),
        (Question(candidate="strangers", size=5), "0 of 20"),
    ):
        refusals = []
        for ask in (engine.estimate, engine.create_audience):
            with pytest.raises(TooFewSeedsError, match=said) as refused:
                ask(question)
            refusals.append((refused.value.problem, refused.value.remedy))
        assert refusals[0] == refusals[1]
    assert backend.audiences.page("", 10) == []
    engine.post_clicks([users[2]], ["small"], [None])  # no crowd shows it yet
    assert made(engine, Question(candidate="small", size=5)).state == "ready"


def test_too_few_seeds_left_when_the_work_begins_are_a_state(engine, users):
    waiting = engine.create_audience(Question(seeds=[*users[:3], "x"], size=5))
    engine.forget(users[0])
    assert engine._work.audience()
    got = engine.audience(waiting.id)
    assert (got.state, got.facts["matched"], got.facts["min_seeds"]) == ("too_few_seeds", 2, 3)
    with pytest.raises(ConflictError):
        engine.members(got.id)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"size": 5, "percent": 1.0},
        {"size": 0},
        {"percent": 101.0},
        {"reach": "wide"},
        {"size": 5, "candidate": "a"},
        {"size": 5, "seeds": None},
        {"size": 5, "seeds": "a text"},
        {"size": 5, "on_missing": "shrug"},
        {"size": 5, "on_missing": "error", "seeds": ["a stranger"]},
        {"size": 5, "seeds": None, "candidate": "c01", "on_missing": "error"},
        {"size": 5, "exclude": [""]},
        {"size": 5, "exclude": ["a"] * 2_000_000},
        {"size": 5, "name": "x" * 10_000},
    ],
)
def test_contradictions_are_refused(crowded, users, wrong):
    engine, _ = crowded
    for ask in (engine.create_audience, engine.estimate):
        with pytest.raises((OptionError, DataError)):
            ask(Question(**{"seeds": users[:5], **wrong}))
    assert engine.list_audiences("", 10) == []


def test_it_survives_its_worker(make, backend, users, clock, settings):
    """A worker dies midway; another takes the job over once the claim has run out, and writes it whole."""
    engine, other = make(), make()
    asked = engine.create_audience(Question(seeds=users[:20], size=120))

    class Killed(BaseException):
        pass

    write = backend.audiences.write_part

    def dies(id, worker, part, members):
        if part == 1:
            raise Killed
        write(id, worker, part, members)

    backend.audiences.write_part = dies
    with pytest.raises(Killed):
        work(engine._d, "first")
    backend.audiences.write_part = write
    assert engine.audience(asked.id).state == "running"
    assert not work(other._d, "second"), "still claimed"
    with pytest.raises(ConflictError):
        other.members(asked.id)
    clock.forward(settings.audience_claim_ms + 1)
    assert work(other._d, "second")
    assert other.audience(asked.id).state == "ready"
    assert len(everyone(other, asked.id)) == 120


def test_a_lost_claim_leaves_the_job_to_the_other(make, backend, users, clock, settings):
    engine, other = make(), make()
    asked = engine.create_audience(Question(seeds=users[:20], size=120))
    write, stolen = backend.audiences.write_part, []

    def sleeps(id, worker, part, members):
        if worker == "slow" and part == 1 and not stolen:
            stolen.append(True)
            clock.forward(settings.audience_claim_ms + 1)
            assert work(other._d, "quick")
        write(id, worker, part, members)

    backend.audiences.write_part = sleeps
    assert work(engine._d, "slow")
    assert stolen
    assert engine.audience(asked.id).state == "ready"
    assert len(everyone(engine, asked.id)) == 120


def test_what_cannot_be_answered_fails_and_says_why(crowded, users):
    engine, _ = crowded
    asked = engine.create_audience(Question(candidate="c09", size=5))
    engine.retire(["c09"])
    assert work(engine._d, "w")
    got = engine.audience(asked.id)
    assert got.state == "failed"
    assert "retired" in got.facts["problem"]
    assert got.facts["remedy"]


def test_background_threads_work_on_them(engine, users):
    asked = engine.create_audience(Question(seeds=users[:20], size=12, name="spring"))
    engine.start()
    wait_until(lambda: engine.audience(asked.id).state == "ready", "a thread has made it")
    got = engine.audience(asked.id)
    assert (got.state, got.question["name"], got.question["seeds"]) == ("ready", "spring", 20)


def test_no_outside_id_is_kept_with_the_question(engine, backend, users):
    asked = engine.create_audience(Question(seeds=users[:20], size=12, exclude=users[30:33]))
    kept = backend.audiences.get(asked.id).question
    assert Asked.from_json(kept).seeds.tolist() == sorted(user_keys(backend.secret(), users[:20]).tolist())
    assert not [name for name, value in kept.items() if isinstance(value, list | tuple)]
    assert engine.audience(asked.id).question["exclude"] == 3


@pytest.mark.parametrize("cursor", ["", "1", "a.b", "-1.0", "1.-1", "0.0.0", "9" * 40 + ".1"])
def test_a_bad_cursor_is_refused(engine, users, cursor):
    got = made(engine, Question(seeds=users[:20], size=12))
    with pytest.raises(OptionError, match="cursor"):
        engine.members(got.id, cursor)


def test_deleted_is_gone(engine, users):
    got = made(engine, Question(seeds=users[:20], size=12))
    engine.delete_audience(got.id)
    for ask in (engine.audience, engine.members, engine.reach, engine.members_parquet, engine.delete_audience):
        with pytest.raises(NotFoundError):
            ask(got.id)


KEYS = st.lists(st.integers(0, 2**64 - 1), max_size=20)


@given(KEYS, KEYS, st.booleans(), st.sampled_from(CHOICES), st.sampled_from(sorted(DOSES)), st.text(max_size=9))
def test_a_question_survives_its_storage(seeds, exclude, include, choice, activity, name):
    arrays = [np.array(sorted(k), np.uint64) for k in (seeds, exclude)]
    options = {"size": None, "percent": None, "min_score": None, "reach": None} | choice
    options |= {"include_seeds": include, "activity": activity, "on_missing": "ignore", "name": name}
    asked = Asked(arrays[0], None, exclude=arrays[1], **options)
    back = Asked.from_json(asked.to_json())
    of_before = {k: v for k, v in asked.to_json().items() if k != "activity"}
    assert Asked.from_json(of_before).activity == DEFAULT
    assert back.seeds.tolist() == sorted(seeds)
    assert back.exclude.tolist() == sorted(exclude)
    assert back.shown() == asked.shown()


def test_a_question_that_cannot_be_read_says_so():
    with pytest.raises(DataError):
        Asked.from_json({"seeds": "?"})
