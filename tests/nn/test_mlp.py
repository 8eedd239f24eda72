from __future__ import annotations

import pytest
import torch

from kinfolk.nn.mlp import mlp


@pytest.mark.parametrize("hidden", [(), (7,), (7, 5)])
def test_shape_and_linear_last_layer(hidden: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    out = mlp(4, hidden, 3, dropout=0.5)(torch.randn(200, 4))
    assert out.shape == (200, 3)
    assert (out < 0).any()
    assert (out > 0).any()


def test_dropout_only_in_training() -> None:
    layers, x = mlp(4, (64,), 3, dropout=0.5), torch.randn(10, 4)
    assert not torch.equal(layers(x), layers(x))
    layers.eval()
    assert torch.equal(layers(x), layers(x))
