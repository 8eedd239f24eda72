from __future__ import annotations

import torch

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
