from __future__ import annotations

import numpy as np
import pytest
import torch

from kinfolk.nn import field_embedding
from kinfolk.nn.attention_merge import AttentionMerge
from kinfolk.nn.field_embedding import FieldEmbedding


def test_each_field_reads_its_own_stretch_of_the_table() -> None:
    layer = FieldEmbedding([4, 5], 3, 1.0)
    assert layer.starts == (0, 4)
    index = torch.tensor([2, 4 + 2, 4 + 4, 3], dtype=torch.int32)
    H, present = layer(index, torch.tensor([0, 1, 3, 4, 4]))  # user 0: a=2, b=(2, 4); user 1: a=3, no b
    table = layer.weight.detach()
    torch.testing.assert_close(H[0, 0], table[2])
    torch.testing.assert_close(H[0, 1], (table[6] + table[8]) / 2)
    torch.testing.assert_close(H[1, 0], table[3])
    assert not H[1, 1].any()
    assert present.tolist() == [[True, True], [True, False]]


def test_unknown_values_say_nothing_before_training() -> None:
    layer = FieldEmbedding([4, 5], 3, 1.0)
    used = layer.weight.detach().abs().sum(dim=1) > 0
    assert used.tolist() == [False, False, True, True, False, False, True, True, True]


SIZES, USERS, M = [3, 6, 40], 60, 5


def drawn(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Users of a field of one value, one of none to two, a history; the first user has nothing at all."""
    rng = np.random.default_rng(seed)
    lengths = np.stack([rng.integers(0, 2, USERS), rng.integers(0, 3, USERS), rng.integers(0, 8, USERS)], axis=1)
    lengths[0] = 0
    starts = np.cumsum([0, *SIZES[:-1]])
    index = [s + rng.integers(0, n, k) for row in lengths for s, n, k in zip(starts, SIZES, row, strict=True)]
    offsets = np.concatenate([[0], np.cumsum(lengths.ravel())]).astype(np.int64)
    return torch.from_numpy(np.concatenate(index).astype(np.int32)), torch.from_numpy(offsets)


def layers(seed: int) -> tuple[FieldEmbedding, AttentionMerge]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return FieldEmbedding(SIZES, M, 1.0).double(), AttentionMerge(M, 4).double()


def numbers(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    made = torch.Generator().manual_seed(seed)
    there = torch.rand(USERS, 1, generator=made) < 0.7
    there[0] = False
    return torch.randn(USERS, 1, M, dtype=torch.float64, generator=made).requires_grad_(), there


@pytest.mark.parametrize("with_numbers", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_merged_is_the_merge_of_all_fields_with_its_gradients(seed: int, with_numbers: bool) -> None:
    (index, offsets), (fields, merge) = drawn(seed), layers(seed)
    beside = numbers(seed) if with_numbers else None
    H, present = fields(index, offsets)
    if beside is not None:
        H, present = torch.cat([H, beside[0]], dim=1), torch.cat([present, beside[1]], dim=1)
    leaves = [fields.weight, *merge.parameters(), *([] if beside is None else [beside[0]])]
    toward = torch.Generator().manual_seed(9)
    weigh = torch.randn(USERS, M, dtype=torch.float64, generator=toward)
    expected, wanted_weights = merge(H, present)
    wanted = torch.autograd.grad((expected * weigh).sum(), leaves)
    got, weights = fields.merged(merge, index, offsets, beside)
    grads = torch.autograd.grad((got * weigh).sum(), leaves)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(weights, wanted_weights)
    torch.testing.assert_close(got[0], merge.nothing)
    assert grads[0].is_sparse
    for grad, want in zip(grads, wanted, strict=True):
        torch.testing.assert_close(grad.to_dense(), want.to_dense())


def test_merged_of_users_without_any_value_is_nothing() -> None:
    fields, merge = layers(0)
    empty = torch.zeros(0, dtype=torch.int32), torch.zeros(2 * len(SIZES) + 1, dtype=torch.int64)
    M_, w = fields.merged(merge, *empty)
    torch.testing.assert_close(M_, merge.nothing.expand(2, M))
    assert not w.any()
    (grad,) = torch.autograd.grad(M_.sum(), merge.nothing)
    torch.testing.assert_close(grad, torch.full((M,), 2.0, dtype=torch.float64))


def test_merged_off_the_cpu_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    (index, offsets), (fields, merge), beside = drawn(1), layers(1), numbers(1)
    M_, w = fields.merged(merge, index, offsets, beside)
    monkeypatch.setattr(field_embedding, "has_kernels", lambda table: False)
    plain, plain_w = fields.merged(merge, index, offsets, beside)
    torch.testing.assert_close(M_, plain)
    torch.testing.assert_close(w, plain_w)


def test_a_row_that_is_alone_in_many_bags_is_weighed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fields, merge = layers(0)
    seen = []
    logits = merge.logits
    monkeypatch.setattr(merge, "logits", lambda H: seen.append(len(H)) or logits(H))
    # 2 users with the same first value, one of them with two values in the second field and a history of one
    index = torch.tensor([1, 4, 5, 9 + 7, 1], dtype=torch.int32)
    fields.merged(merge, index, torch.tensor([0, 1, 3, 4, 5, 5, 5]))
    assert seen == [3]
