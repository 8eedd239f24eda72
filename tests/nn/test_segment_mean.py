"""Means over segments and their gradients are those of plain torch."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from kinfolk.nn.segment_mean import segment_mean

OFFSETS = [0, 3, 3, 4, 40, 40]


def plain(x: Tensor, relu: bool, bias: Tensor | float = 0.0) -> Tensor:
    e = torch.relu(x + bias) if relu else x + bias
    parts = [e[a:b].mean(0) if b > a else torch.zeros(x.shape[1], dtype=x.dtype) for a, b in pairwise(OFFSETS)]
    return torch.stack(parts)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_means_and_gradients_are_those_of_plain_torch(relu: bool, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    ours = torch.randn(40, 17, generator=generator, dtype=dtype, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    weight = torch.randn(5, 17, generator=generator, dtype=dtype)
    mine, other = segment_mean(ours, torch.tensor(OFFSETS), relu), plain(theirs, relu)
    torch.testing.assert_close(mine, other)
    (mine * weight).sum().backward()
    (other * weight).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize("relu", [False, True])
def test_a_bias_is_added_first_and_rows_after_the_last_segment_are_nobodys(relu: bool) -> None:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(43, 17, generator=generator, requires_grad=True)
    bias = torch.randn(17, generator=generator, requires_grad=True)
    weight = torch.randn(5, 17, generator=generator)
    found, wanted = segment_mean(x, torch.tensor(OFFSETS), relu, bias), plain(x, relu, bias)
    torch.testing.assert_close(found, wanted)
    got, want = (torch.autograd.grad((m * weight).sum(), (x, bias)) for m in (found, wanted))
    torch.testing.assert_close(got, want)
    assert not got[0][40:].any()


def test_the_gradient_of_the_bias_of_many_segments() -> None:
    x = torch.randn(3000, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    bias = torch.zeros(8, dtype=torch.float64, requires_grad=True)
    segment_mean(x, torch.arange(0, 3001, 3), relu=True, bias=bias).sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(bias.grad, (x > 0).double().sum(0) / 3)


def test_many_rows_on_several_threads_are_the_same() -> None:
    x = torch.randn(20_000, 64, generator=torch.Generator().manual_seed(1))
    offsets = torch.arange(0, 20_001, 4)
    torch.testing.assert_close(segment_mean(x, offsets, relu=True), torch.relu(x).view(-1, 4, 64).mean(1))


@pytest.mark.parametrize("relu", [False, True])
def test_a_number_that_is_none_is_not_hidden(relu: bool) -> None:
    x = torch.ones(4, 2)
    x[1, 0] = torch.nan
    found = segment_mean(x, torch.tensor([0, 2, 4]), relu)
    assert found.isnan().tolist() == [[True, False], [False, False]]
