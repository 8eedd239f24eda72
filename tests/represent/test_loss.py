from __future__ import annotations

import numpy as np
import pytest
import torch

from kinfolk.represent.loss import draw, sampled_softmax
from kinfolk.represent.negatives import LogUniform


@pytest.mark.parametrize("logq", [False, True])
@pytest.mark.parametrize("shared", [None, 6])
@pytest.mark.parametrize("first_row", [0, 4])
def test_the_formula_in_float64(shared: int | None, logq: bool, first_row: int) -> None:
    rng, D = np.random.default_rng(3), 9
    table = torch.randn(D + first_row, 5, dtype=torch.float64, requires_grad=True)
    x = torch.randn(8, 5, dtype=torch.float64, requires_grad=True)
    ranks = rng.integers(0, D, 8).astype(np.int32)
    contrast = draw(ranks, LogUniform(D), rng, negatives=4, shared=shared, logq=logq)
    losses = sampled_softmax(x, table, contrast, first_row)
    negative = np.broadcast_to(contrast.negative.numpy(), (8, shared or 4))
    hits = 0
    for b in range(8):
        logits, own = [], 0.0
        for j, item in enumerate([ranks[b], *negative[b].tolist()]):
            z = float(x[b].detach() @ table[first_row + int(item)].detach())
            if logq:
                assert contrast.positive_log is not None
                assert contrast.negative_log is not None
                logs = np.broadcast_to(contrast.negative_log.numpy(), negative.shape)
                z -= float(contrast.positive_log[b]) if j == 0 else float(logs[b, j - 1])
            if j == 0:
                own = z
            if j > 0 and item == ranks[b]:
                hits += 1
                continue
            logits.append(z)
        assert float(losses[b].detach()) == pytest.approx(np.log(np.sum(np.exp(logits))) - own, rel=1e-5)
    assert hits > 0  # accidental hits occurred, so masking them was tested
    losses.mean().backward()  # type: ignore[no-untyped-call]
    assert table.grad is not None
    assert table.grad.to_dense()[:first_row].abs().sum() == 0


def test_corrections_are_the_expected_counts() -> None:
    ranks, rng = np.arange(9, dtype=np.int32), np.random.default_rng(0)
    own = draw(ranks, LogUniform(9), rng, negatives=4, logq=True)
    assert own.positive_log is not None
    np.testing.assert_allclose(np.exp(own.positive_log.numpy()), 4 * LogUniform(9).probability(ranks), rtol=1e-6)
    shared = draw(ranks, LogUniform(9), rng, negatives=4, shared=9, logq=True)
    assert shared.positive_log is not None
    assert shared.negative_log is not None
    assert (shared.positive_log <= 0).all()
    assert shared.negative_log[shared.negative.argsort()].tolist() == shared.positive_log.tolist()


def test_only_accidental_hits_cost_nothing() -> None:
    table, x = torch.randn(1, 5, requires_grad=True), torch.randn(3, 5, requires_grad=True)
    contrast = draw(np.zeros(3, np.int32), LogUniform(1), np.random.default_rng(0), negatives=2)
    losses = sampled_softmax(x, table, contrast)
    losses.sum().backward()  # type: ignore[no-untyped-call]
    assert losses.detach().tolist() == [0.0, 0.0, 0.0]
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_the_corrected_sampled_gradient_is_that_of_the_full_softmax() -> None:
    """With shared distinct negatives that cover all items, nothing is sampled away."""
    D = 9
    table, x = torch.randn(D, 5, dtype=torch.float64), torch.randn(4, 5, dtype=torch.float64)
    ranks = np.array([0, 8, 3, 3], np.int32)
    contrast = draw(ranks, LogUniform(D), np.random.default_rng(0), negatives=1, shared=D)
    full = torch.nn.functional.cross_entropy(x @ table.T, torch.from_numpy(ranks).long(), reduction="none")
    torch.testing.assert_close(sampled_softmax(x, table, contrast), full)
