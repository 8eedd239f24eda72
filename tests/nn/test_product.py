"""Products of many rows with a layer and their gradients are those of float64, whichever library computes them."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import linear

from kinfolk.nn.product import product


@pytest.mark.parametrize("shape", [(0, 24), (3, 24), (700, 24), (40, 20, 24), (600, 1)])
@pytest.mark.parametrize("with_bias", [False, True])
def test_values_and_gradients_are_those_of_double_precision(shape: tuple[int, ...], with_bias: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator)
    weight = torch.randn(9, shape[-1], generator=generator)
    bias = torch.randn(9, generator=generator)
    up = torch.randn(*shape[:-1], 9, generator=generator)
    learned = [x, weight, bias] if with_bias else [x, weight]
    ours = [t.clone().requires_grad_() for t in learned]
    theirs = [t.double().requires_grad_() for t in learned]
    found, wanted = product(*ours), linear(*theirs)
    assert found.shape == wanted.shape
    torch.testing.assert_close(found.double(), wanted, atol=1e-4, rtol=1e-4)
    got = torch.autograd.grad((found * up).sum(), ours)
    want = torch.autograd.grad((wanted * up).sum(), theirs)
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a.double(), b, atol=1e-3, rtol=1e-3)


def test_rows_that_do_not_lie_side_by_side() -> None:
    x, weight = torch.randn(24, 900, generator=torch.Generator().manual_seed(1)).T, torch.eye(24)
    torch.testing.assert_close(product(x, weight), x)


def test_it_repeats_bit_for_bit_with_its_gradients() -> None:
    generator = torch.Generator().manual_seed(2)
    x, weight, up = (torch.randn(shape, generator=generator) for shape in ((5000, 64), (32, 64), (5000, 32)))
    weight.requires_grad_()
    first, *others = (product(x, weight) for _ in range(4))
    wanted = torch.autograd.grad(first, weight, up)[0]
    for again in others:
        assert torch.equal(again, first)
        assert torch.equal(torch.autograd.grad(again, weight, up)[0], wanted)


def test_double_precision_stays_double() -> None:
    x = torch.ones(600, 2, dtype=torch.float64) / 3
    assert torch.equal(product(x, torch.eye(2, dtype=torch.float64)), x)
