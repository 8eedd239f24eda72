from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.nn import lookup
from kinfolk.nn.lookup import dot_rows, mean_rows, shared_sum, used_rows
from kinfolk.testing.counts import examples


def bags(seed: int, n_bags: int, height: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 12, n_bags)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return torch.from_numpy(rng.integers(0, height, offsets[-1]).astype(np.int32)), torch.from_numpy(offsets)


def plain_mean(table: torch.Tensor, index: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    rows = [table[index[a:b].long()] for a, b in itertools.pairwise(offsets)]
    return torch.stack([r.mean(0) if len(r) else table.new_zeros(table.shape[1]) for r in rows])


@pytest.fixture(params=["kernels", "plain torch"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "plain torch":  # what runs on an accelerator
        monkeypatch.setattr(lookup, "has_kernels", lambda table: False)
    return str(request.param)


@pytest.mark.parametrize("seed", range(3))
def test_mean_and_its_gradient_are_those_of_a_plain_loop(path: str, seed: int) -> None:
    index, offsets = bags(seed, 20, 9)
    table = torch.randn(9, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(20, 5, dtype=torch.float64)
    expected = plain_mean(table, index, offsets)
    (want,) = torch.autograd.grad((expected * weight).sum(), table)
    got = mean_rows(table, index, offsets)
    (grad,) = torch.autograd.grad((got * weight).sum(), table)
    torch.testing.assert_close(got, expected)
    assert grad.is_sparse
    torch.testing.assert_close(grad.to_dense(), want)


@pytest.mark.parametrize("seed", range(3))
def test_dots_and_their_gradients_are_those_of_a_plain_product(path: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    index = torch.from_numpy(rng.integers(0, 9, (20, 4)).astype(np.int32))
    table = torch.randn(9, 5, dtype=torch.float64, requires_grad=True)
    x = torch.randn(20, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(20, 4, dtype=torch.float64)
    expected = (x[:, None, :] * table[index.long()]).sum(-1)
    want = torch.autograd.grad((expected * weight).sum(), (table, x))
    got = dot_rows(table, x, index)
    grads = torch.autograd.grad((got * weight).sum(), (table, x))
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(grads[0].to_dense(), want[0])
    torch.testing.assert_close(grads[1], want[1])


@pytest.mark.parametrize("seed", range(3))
def test_sums_of_shared_vectors_and_their_gradients_are_those_of_copies(seed: int) -> None:
    torch.manual_seed(seed)
    H = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    w = torch.randn(20, 3, dtype=torch.float64, requires_grad=True)
    place, weight = torch.randint(0, 5, (20, 3)), torch.randn(20, 5, dtype=torch.float64)  # nobody uses the last
    expected = (w[:, :, None] * H[place]).sum(1)
    got = shared_sum(H, place, w)
    torch.testing.assert_close(got, expected)
    want = torch.autograd.grad((expected * weight).sum(), [H, w])
    torch.testing.assert_close(torch.autograd.grad((got * weight).sum(), [H, w]), want)


def test_two_uses_of_a_table_add_up() -> None:
    index, offsets = bags(0, 15, 9)
    table = torch.randn(9, 5, dtype=torch.float64, requires_grad=True)
    x = torch.randn(15, 5, dtype=torch.float64)
    picks = torch.from_numpy(np.random.default_rng(1).integers(0, 9, (15, 3)).astype(np.int32))
    (mean_rows(table, index, offsets).sum() + dot_rows(table, x, picks).sum()).backward()  # type: ignore[no-untyped-call]
    other = table.detach().clone().requires_grad_()
    (plain_mean(other, index, offsets).sum() + (x[:, None] * other[picks.long()]).sum()).backward()  # type: ignore[no-untyped-call]
    assert table.grad is not None
    assert other.grad is not None
    torch.testing.assert_close(table.grad.to_dense(), other.grad)


def test_a_gradient_holds_the_used_rows_once_and_in_order() -> None:
    index = torch.tensor([7, 2, 7, 5], dtype=torch.int32)
    table = torch.randn(9, 3, requires_grad=True)
    mean_rows(table, index, torch.tensor([0, 2, 4])).sum().backward()  # type: ignore[no-untyped-call]
    assert table.grad is not None
    assert table.grad.coalesce().indices()[0].tolist() == [2, 5, 7]
    assert table.grad._nnz() == 3


@settings(deadline=None, max_examples=examples(30))
@given(st.lists(st.integers(0, 8), max_size=30), st.booleans())
def test_used_rows_sums_what_torch_would(rows: list[int], ordered: bool) -> None:
    index = torch.tensor([sorted(set(rows)) if ordered else rows], dtype=torch.int64).reshape(1, -1)
    values = torch.randn(index.shape[1], 3)
    grad = torch.sparse_coo_tensor(index, values, (9, 3), check_invariants=True)
    found, sums = used_rows(grad)
    assert len(found) == len(set(rows))
    torch.testing.assert_close(torch.zeros(9, 3).index_add(0, found, sums), grad.to_dense())


@settings(deadline=None, max_examples=examples(30))
@given(st.integers(0, 1000), st.integers(1, 70))
def test_order_within_a_bag_does_not_matter(seed: int, width: int) -> None:
    index, offsets = bags(seed, 6, 11)
    table = torch.randn(11, width)
    shuffled = index.clone()
    for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        shuffled[a:b] = index[a:b].flip(0)
    torch.testing.assert_close(mean_rows(table, index, offsets), mean_rows(table, shuffled, offsets))


def test_threads_do_not_change_a_bit() -> None:
    rng = np.random.default_rng(0)
    index = torch.from_numpy(rng.integers(0, 500, 40_000).astype(np.int32))
    offsets = torch.arange(0, 40_001, 20)
    table = torch.randn(500, 128, requires_grad=True)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            table.grad = None
            out = mean_rows(table, index, offsets)
            out.square().sum().backward()  # type: ignore[no-untyped-call]
            assert table.grad is not None
            results.append((out.detach(), table.grad.to_dense()))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
