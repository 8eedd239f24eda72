import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.errors import OptionError
from kinfolk.lookalike.attention import masked_softmax
from kinfolk.lookalike.config import LookalikeConfig
from kinfolk.lookalike.model import LookalikeModel
from kinfolk.testing.counts import examples

SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 5), st.integers(0, 2**31))
OPTIONS = st.fixed_dictionaries(
    {
        "pooling": st.sampled_from(["attention", "average"]),
        "similarity": st.sampled_from(["cosine", "dot"]),
        "size_aware": st.booleans(),
        "learned_temperature": st.booleans(),
        "alpha": st.sampled_from([0.0, 0.3]),
    }
)


def world(c, k, b, seed, **options):
    torch.manual_seed(seed)
    model = LookalikeModel(LookalikeConfig(m=7, h=6, k=k, attention_size=4, **options)).double().eval()
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, 50, (c, k)).astype(float)
    sizes[:, 0] += 1
    clusters = model.transform(torch.from_numpy(rng.normal(size=(c, k, 7)))).detach() * (
        torch.from_numpy(sizes[..., None]) > 0
    )
    users = model.transform(torch.from_numpy(rng.normal(size=(b, 7)))).detach()
    return model, clusters, torch.from_numpy(sizes), users


def cosine(a, b):
    na, nb = np.linalg.norm(a), np.linalg.norm(b)
    return 0.0 if na == 0 or nb == 0 else float(a @ b / (na * nb))


def by_the_book(model, clusters, sizes, user):
    """Equations 2, 9 and 10, one candidate and one user, written out."""
    c = model.config
    keep = sizes > 0
    e, n, like = clusters[keep], sizes[keep], (cosine if c.similarity == "cosine" else np.dot)
    if c.pooling == "average":
        return like(user, n @ e / n.sum())

    def pool(logits):
        logits = logits + (np.log(n) if c.size_aware else 0)
        w = np.exp(logits - logits.max())
        return (w / w.sum()) @ e

    get = lambda p: p.detach().numpy()  # noqa: E731  # a name is shorter than six calls
    local = float(get(model.local.temperature)) * np.tanh(e @ get(model.local.weight) @ user)
    inner, outer = np.tanh(e @ get(model.global_.inner.weight).T), get(model.global_.outer.weight)[0]
    if c.global_attention == "lin":
        overall = pool(inner @ outer)
    else:
        overall = outer[np.flatnonzero(keep)] @ np.stack([pool(row) for row in inner @ e.T])
    return c.alpha * like(user, overall) + c.beta * like(user, pool(local))


@settings(deadline=None, max_examples=examples(60))
@given(SHAPES, OPTIONS, st.sampled_from(["lin", "ordered"]))
def test_score_is_the_formula(shape, options, global_attention):
    model, clusters, sizes, users = world(*shape, global_attention=global_attention, **options)
    got = model.score(clusters, sizes, users).detach().numpy()
    for i in range(len(clusters)):
        for j in range(len(users)):
            want = by_the_book(model, clusters[i].numpy(), sizes[i].numpy(), users[j].numpy())
            assert got[i, j] == pytest.approx(want, abs=2e-4)


@settings(deadline=None, max_examples=examples(40))
@given(SHAPES, OPTIONS)
def test_order_of_clusters_and_padding_change_nothing(shape, options):
    model, clusters, sizes, users = world(*shape, **options)
    want = model.score(clusters, sizes, users)
    order = torch.from_numpy(np.random.default_rng(shape[-1]).permutation(shape[1]))
    torch.testing.assert_close(model.score(clusters[:, order], sizes[:, order], users), want)
    padded = torch.nn.functional.pad(clusters, (0, 0, 0, 3), value=5.0)
    more = torch.nn.functional.pad(sizes, (0, 3))
    torch.testing.assert_close(model.score(padded, more, users), want)


@pytest.mark.parametrize("size_aware", [False, True])
@pytest.mark.parametrize("global_attention", ["lin", "ordered"])
def test_centred_training_starts_at_the_average_of_the_clusters(global_attention, size_aware):
    options = {"global_attention": global_attention, "alpha": 1.0, "beta": 0.0, "size_aware": size_aware}
    model = LookalikeModel(LookalikeConfig(m=4, h=4, k=3, activation="prelu", start="average", **options))
    model.centre(torch.randn(9, 4, generator=torch.Generator().manual_seed(0)))
    rng = np.random.default_rng(0)
    clusters, users = (torch.from_numpy(rng.normal(size=s).astype(np.float32)) for s in ((1, 3, 4), (5, 4)))
    sizes = torch.tensor([[2.0, 5.0, 1.0]])
    mean = ((sizes if size_aware else torch.ones(1, 3))[..., None] * clusters).sum(1)
    want = torch.nn.functional.cosine_similarity(users, mean)
    torch.testing.assert_close(model.score(clusters, sizes, users)[0], want, atol=1e-4, rtol=1e-4)


def test_masked_softmax_of_nothing_is_zero():
    out = masked_softmax(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[False, False], [True, False]]))
    assert out.tolist() == [[0.0, 0.0], [1.0, 0.0]]


@pytest.mark.parametrize("activation", ["relu", "prelu"])
def test_a_dead_user_scores_zero_and_gradients_stay_finite(activation):
    model = LookalikeModel(LookalikeConfig(m=3, h=4, k=2, activation=activation))
    with torch.no_grad():
        model.layer.bias.fill_(0.0)
    users = model.transform(torch.zeros(1, 3))
    clusters = model.transform(torch.randn(1, 2, 3))
    score = model.score(clusters, torch.ones(1, 2), users)
    assert score.item() == 0.0
    score.sum().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


def test_the_tanh_of_the_paper_bounds_every_local_weight():
    """At k = 20 no cluster gets more than e / (e + 19/e) = 0.28 of the weight."""
    logits = torch.full((1, 20), -1.0)
    logits[0, 0] = 1.0
    assert masked_softmax(logits, torch.ones(1, 20, dtype=torch.bool)).max() == pytest.approx(0.28, abs=0.005)


def test_unknown_choice_names_the_choices():
    with pytest.raises(OptionError, match="attention, average"):
        LookalikeConfig(pooling="mean")


@pytest.mark.parametrize("options", [{}, {"size_aware": True}, {"pooling": "average"}, {"similarity": "dot"}])
def test_a_user_against_its_own_crowd_scores_as_among_all(options):
    """Crowds may be several users' own, or nobody's."""
    model, clusters, sizes, users = world(5, 4, 7, 1, **options)
    clusters.requires_grad_()
    users.requires_grad_()
    mine = torch.tensor([3, 0, 4, 0, 1, 3, 0])
    every = model.score(clusters, sizes, users)[mine, torch.arange(7)]
    own = model.score_pairs(clusters, sizes, users, mine)
    torch.testing.assert_close(own, every, atol=1e-5, rtol=1e-5)
    weight = torch.linspace(-1, 2, 7, dtype=own.dtype)
    learned = [clusters, users, *(p for p in model.parameters() if p.requires_grad)]
    theirs, ours = (torch.autograd.grad((weight * s).sum(), learned, allow_unused=True) for s in (every, own))
    for a, b in zip(theirs, ours, strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            torch.testing.assert_close(b, a, atol=1e-5, rtol=1e-4)
