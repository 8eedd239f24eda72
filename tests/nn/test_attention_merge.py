from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.nn.attention_merge import AttentionMerge
from kinfolk.testing.counts import examples


def fields(seed: int, B: int = 6, n: int = 4, m: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    present = torch.rand(B, n, generator=generator) < 0.6
    present[0] = False
    return torch.randn(B, n, m, generator=generator) * present[..., None], present


@settings(deadline=None, max_examples=examples(25))
@given(st.integers(0, 1000))
def test_the_formula_in_float64(seed: int) -> None:
    torch.manual_seed(seed)
    layer = AttentionMerge(8, 5)
    H, present = fields(seed)
    M, w = layer(H, present)
    W1 = layer.hidden.weight.detach().numpy().astype(np.float64).T
    w2 = layer.weight.weight.detach().numpy().astype(np.float64)[0]
    for b in range(len(H)):
        mask = present[b].numpy()
        if not mask.any():
            np.testing.assert_allclose(M[b].detach(), layer.nothing.detach(), rtol=1e-6)
            assert not w[b].any()
            continue
        h = H[b].numpy().astype(np.float64)[mask]
        e = np.exp(np.tanh(h @ W1) @ w2)
        np.testing.assert_allclose(w[b].detach().numpy()[mask], e / e.sum(), rtol=1e-4, atol=1e-6)
        assert not w[b].detach().numpy()[~mask].any()
        np.testing.assert_allclose(M[b].detach(), (e / e.sum()) @ h, rtol=1e-4, atol=1e-5)


def test_order_of_fields_does_not_matter() -> None:
    layer = AttentionMerge(8, 5)
    H, present = fields(3)
    order = torch.tensor([2, 0, 3, 1])
    M, w = layer(H, present)
    other, v = layer(H[:, order], present[:, order])
    torch.testing.assert_close(M, other)
    torch.testing.assert_close(w[:, order], v)


def test_users_without_a_field_train_the_default_vector_without_nan() -> None:
    layer = AttentionMerge(8, 5)
    H, present = fields(1)
    H.requires_grad_()
    layer(H, present)[0].square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in layer.parameters())
    assert H.grad is not None
    assert torch.isfinite(H.grad).all()
    assert layer.nothing.grad is not None
    assert layer.nothing.grad.abs().sum() > 0


def test_only_users_without_fields() -> None:
    layer = AttentionMerge(8, 5)
    M, w = layer(torch.zeros(3, 4, 8), torch.zeros(3, 4, dtype=torch.bool))
    torch.testing.assert_close(M, layer.nothing.expand(3, 8))
    assert not w.any()
