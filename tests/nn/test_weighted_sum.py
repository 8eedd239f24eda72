from __future__ import annotations

import torch

from kinfolk.nn.weighted_sum import weighted_sum


def test_value_and_gradients_are_those_of_the_plain_formula() -> None:
    w = torch.rand(7, 3, dtype=torch.float64, requires_grad=True)
    H = torch.randn(7, 3, 5, dtype=torch.float64, requires_grad=True)
    out, want = weighted_sum(w, H), (w[..., None] * H).sum(1)
    torch.testing.assert_close(out, want)
    weight = torch.randn(7, 5, dtype=torch.float64)
    got = torch.autograd.grad((out * weight).sum(), (w, H))
    expected = torch.autograd.grad((want * weight).sum(), (w, H))
    torch.testing.assert_close(got, expected)


def test_a_gradient_of_one_value_for_all() -> None:
    w, H = torch.rand(4, 3, requires_grad=True), torch.randn(4, 3, 5, requires_grad=True)
    weighted_sum(w, H).sum().backward()  # type: ignore[no-untyped-call]  # hands on an expanded, non-contiguous gradient
    assert w.grad is not None
    torch.testing.assert_close(w.grad, H.detach().sum(-1))


def test_no_rows() -> None:
    assert weighted_sum(torch.rand(0, 3), torch.rand(0, 3, 5)).shape == (0, 5)
