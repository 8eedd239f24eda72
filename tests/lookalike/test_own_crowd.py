"""The local attention of users to one crowd each, and its gradients, are those of the plain formula."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kinfolk.lookalike.own_crowd import own_crowd

C, K, H, B = 4, 5, 6, 9


def world() -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
    """clusters, queries, temperature with gradient; mine, bias, valid; crowd 2 has no cluster, crowd 3 no user."""
    g = torch.Generator().manual_seed(0)
    clusters = torch.randn(C, K, H, generator=g, dtype=torch.float64, requires_grad=True)
    queries = torch.randn(B, H, generator=g, dtype=torch.float64, requires_grad=True)
    valid = torch.rand(C, K, generator=g) < 0.7
    valid[0], valid[2] = True, False
    bias = torch.randn(C, K, generator=g, dtype=torch.float64)
    temperature = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    return [clusters, queries, temperature], torch.tensor([1, 0, 1, 2, 0, 0, 2, 1, 1]), bias, valid


def plain(learned: list[Tensor], mine: Tensor, bias: Tensor, valid: Tensor) -> Tensor:
    clusters, queries, temperature = learned
    out = []
    for query, c in zip(queries, mine.tolist(), strict=True):
        there = clusters[c][valid[c]]
        weights = torch.softmax(temperature * torch.tanh(there @ query) + bias[c][valid[c]], 0)
        out.append(weights @ there)
    return torch.stack(out)


def test_value_and_gradients_are_those_of_the_plain_formula() -> None:
    learned, mine, bias, valid = world()
    clusters, queries, temperature = learned
    found, wanted = own_crowd(clusters, queries, mine, bias, valid, temperature), plain(learned, mine, bias, valid)
    torch.testing.assert_close(found, wanted)
    assert not found[mine == 2].any()
    weight = torch.randn(B, H, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    got, want = (torch.autograd.grad((o * weight).sum(), learned) for o in (found, wanted))
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b)
    assert not got[0][3].any()


def test_in_single_precision_and_on_several_threads_it_is_the_same() -> None:
    g = torch.Generator().manual_seed(2)
    clusters, queries = torch.randn(90, 20, 64, generator=g), torch.randn(300, 64, generator=g)
    mine = torch.randint(0, 90, (300,), generator=g)
    bias, valid = torch.zeros(90, 20), torch.ones(90, 20, dtype=torch.bool)
    learned = [clusters.requires_grad_(), queries.requires_grad_(), torch.tensor(1.0, requires_grad=True)]
    found, wanted = own_crowd(*learned[:2], mine, bias, valid, learned[2]), plain(learned, mine, bias, valid)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    got, want = (torch.autograd.grad((o * o).sum(), learned) for o in (found, wanted))
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, atol=2e-2, rtol=1e-3)


@pytest.mark.parametrize("where", ["clusters", "queries"])
def test_a_number_that_is_none_is_not_hidden(where: str) -> None:
    learned, mine, bias, valid = world()
    clusters, queries, temperature = (t.detach().clone() for t in learned)
    (clusters[0] if where == "clusters" else queries[1]).fill_(torch.nan)
    found = own_crowd(clusters, queries, mine, bias, valid, temperature)
    assert found[1].isnan().all()
    assert not found[mine == 1].isnan().any()
