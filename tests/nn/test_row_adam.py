from __future__ import annotations

import pytest
import torch

from kinfolk.nn import row_adam
from kinfolk.nn.row_adam import RowAdam


def gradients(steps: int, height: int, width: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    out = []
    for _ in range(steps):
        rows = torch.randperm(height, generator=generator)[:4].sort().values
        values = torch.randn(4, width, generator=generator)
        out.append(torch.sparse_coo_tensor(rows[None], values, (height, width), check_invariants=True).coalesce())
    return out


@pytest.mark.parametrize("path", ["kernels", "plain torch"])
def test_steps_are_those_of_sparse_adam(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if path == "plain torch":  # what runs on an accelerator
        monkeypatch.setattr(row_adam, "has_kernels", lambda table: False)
    ours = torch.nn.Parameter(torch.randn(9, 5))
    theirs = torch.nn.Parameter(ours.detach().clone())
    start = ours.detach().clone()
    mine, reference = RowAdam([ours], lr=0.05), torch.optim.SparseAdam([theirs], lr=0.05)
    for grad in gradients(12, 9, 5):
        ours.grad, theirs.grad = grad, grad.clone()
        mine.step()
        reference.step()
    torch.testing.assert_close(ours, theirs)
    assert not torch.equal(ours, start)


def test_unused_rows_stay_where_they_are() -> None:
    table = torch.nn.Parameter(torch.randn(9, 5))
    before = table.detach().clone()
    optimiser = RowAdam([table])
    table.grad = torch.sparse_coo_tensor(torch.tensor([[2, 4]]), torch.ones(2, 5), (9, 5), check_invariants=True)
    optimiser.step()
    moved = (table.detach() != before).any(dim=1)
    assert moved.nonzero().flatten().tolist() == [2, 4]


def test_a_restored_state_goes_on_the_same() -> None:
    a = torch.nn.Parameter(torch.randn(9, 5))
    first = RowAdam([a])
    grads = gradients(6, 9, 5)
    for grad in grads[:3]:
        a.grad = grad
        first.step()
    b = torch.nn.Parameter(a.detach().clone())
    second = RowAdam([b])
    second.load_state({k: v.clone() for k, v in first.state().items()})
    for grad in grads[3:]:
        a.grad = b.grad = grad
        first.step()
        second.step()
    assert torch.equal(a, b)
