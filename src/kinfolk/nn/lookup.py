"""Differentiable lookups in an embedding table with sparse gradients: `mean_rows`, `dot_rows`; `shared_sum`, in a few.

The gradient of a table holds only the rows that a batch used, each once, as a `torch.sparse_coo_tensor`; `RowAdam` and
`torch.optim.SparseAdam` take it as it is. On a CPU the loops of `kinfolk.nn.rows` run; elsewhere, plain torch.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from kinfolk.nn import rows
from kinfolk.nn.spread import spread


def mean_rows(table: Tensor, index: Tensor, offsets: Tensor) -> Tensor:
    """Mean over the values of every bag, never over padding; 0 for an empty bag.

    Args:
        table: float[V, m].
        index: int32[values], rows of the table.
        offsets: int64[B + 1], bag b is index[offsets[b]:offsets[b + 1]].

    Returns:
        float[B, m]; the gradient of `table` is sparse.
    """
    return _MeanRows.apply(table, index, offsets)  # type: ignore[no-any-return, no-untyped-call]  # untyped in torch


def dot_rows(table: Tensor, x: Tensor, index: Tensor) -> Tensor:
    """out[b, j] = x[b] · table[index[b, j]] without a copy of the rows.

    Args:
        table: float[V, m].
        x: float[B, m].
        index: int32[B, K].

    Returns:
        float[B, K]; the gradient of `table` is sparse.
    """
    return _DotRows.apply(table, x, index)  # type: ignore[no-any-return, no-untyped-call]  # untyped in torch


def shared_sum(H: Tensor, place: Tensor, w: Tensor) -> Tensor:
    """Σ_i w[b, i] · H[place[b, i]], where many share few vectors.

    Args:
        H: float[q, m], on the CPU.
        place: int64[B, n], rows of H.
        w: float[B, n].

    Returns:
        float[B, m]; all gradients are dense.
    """
    return _SharedSum.apply(H, place, w)  # type: ignore[no-any-return, no-untyped-call]  # untyped in torch


def shared_bags(index: Tensor, offsets: Tensor, height: int) -> tuple[Tensor, Tensor, Tensor]:
    """The bags that are left when those of one value are told once each, for what depends on a bag's mean alone.

    Args:
        index: int32[values], rows of a table of `height`, on the CPU.
        offsets: int64[bags + 1].

    Returns:
        index and offsets of q bags, none of them empty, and int64[bags]: which of them each is, 0 for an empty one.
    """
    left, starts = np.empty(len(index), np.int32), np.empty(len(offsets), np.int64)
    place = np.empty(len(offsets) - 1, np.int64)
    q = rows.share_bags(_np(index), _np(offsets), _scratch(height), left, starts, place)
    starts = starts[: q + 1]
    return torch.from_numpy(left[: starts[-1]]), torch.from_numpy(starts), torch.from_numpy(place)


def has_kernels(table: Tensor) -> bool:
    """Whether the CPU loops serve this table."""
    return table.device.type == "cpu"


def used_rows(grad: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of a sparse gradient and their sums.

    Autograd drops the mark that a gradient is coalesced, and torch would sort it again; here a look at the rows
    decides.

    Args:
        grad: sparse [V, m].

    Returns:
        int64[r] distinct rows, float[r, m].
    """
    index, values = grad._indices()[0], grad._values()
    if not has_kernels(values):
        grad = grad.coalesce()
        return grad._indices()[0], grad._values()
    if grad.is_coalesced() or bool((np.diff(_np(index)) > 0).all()):
        return index, values
    places = _Uses(_np(index).astype(np.int32), grad.shape[0])
    order = np.empty(len(index), np.int32)
    rows.transpose(np.arange(len(index) + 1), places.place, places.starts, order)
    sums = values.new_empty(len(places.rows), values.shape[1])
    spread(rows.sum_rows, len(sums), values.numel(), _np(values.contiguous()), order, places.starts, False, _np(sums))
    return torch.from_numpy(places.rows), sums


class _MeanRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, index: Tensor, offsets: Tensor) -> Tensor:
        ctx.save_for_backward(index, offsets)
        ctx.shape = table.shape
        ctx.kernels = has_kernels(table)
        if not ctx.kernels:
            return torch.nn.functional.embedding_bag(
                index.long(), table.detach(), offsets, mode="mean", include_last_offset=True
            )
        out = table.new_empty(len(offsets) - 1, table.shape[1])
        work = (len(index) + len(out)) * table.shape[1]
        spread(rows.sum_rows, len(out), work, _np(table), _np(index), _np(offsets), True, _np(out))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        index, offsets = ctx.saved_tensors
        lengths = offsets.diff()
        grad = grad / lengths.clamp(min=1).to(grad.dtype)[:, None]
        if not ctx.kernels:
            bags = torch.repeat_interleave(torch.arange(len(lengths), device=index.device), lengths)
            return _sparse(index.long(), grad[bags], ctx.shape).coalesce(), None, None
        places = _Uses(_np(index), ctx.shape[0])
        bag = np.empty(len(index), np.int32)
        rows.transpose(_np(offsets), places.place, places.starts, bag)
        values = grad.new_empty(len(places.rows), ctx.shape[1])
        work = (len(index) + len(values)) * ctx.shape[1]
        spread(rows.sum_rows, len(values), work, _np(grad), bag, places.starts, False, _np(values))
        return places.sparse(values, ctx.shape), None, None


class _SharedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, H: Tensor, place: Tensor, w: Tensor) -> Tensor:
        H, index, w = H.contiguous(), place.to(torch.int32).contiguous(), w.contiguous()
        ctx.save_for_backward(H, index, w)
        out = H.new_empty(len(w), H.shape[1])
        read = _np(H), _np(index).ravel(), _np(w).ravel(), _starts(w)
        spread(rows.weighted_sum_rows, len(out), w.numel() * H.shape[1], *read, _np(out))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, Tensor]:
        H, index, w = ctx.saved_tensors
        grad, work = grad.contiguous(), w.numel() * H.shape[1]
        grad_w, grad_H = torch.empty_like(w), torch.empty_like(H)
        spread(rows.dot_rows, len(grad), work, _np(H), _np(grad), _np(index), _np(grad_w))
        flat, weight = _np(index).ravel(), _np(w).ravel()
        starts = np.concatenate([[0], np.cumsum(np.bincount(flat, minlength=len(H)))])
        bag, moved = np.empty(len(flat), np.int32), np.empty_like(weight)
        rows.transpose_weighted(_starts(w), flat, weight, starts, bag, moved)
        spread(rows.weighted_sum_rows, len(grad_H), work, _np(grad), bag, moved, starts, _np(grad_H))
        return grad_H, None, grad_w


class _DotRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, x: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(table, x, index)
        ctx.kernels = has_kernels(table)
        if not ctx.kernels:
            return torch.einsum("bm,bkm->bk", x, table[index.long()])
        x = x.contiguous()
        out = x.new_empty(index.shape)
        spread(rows.dot_rows, len(x), index.numel() * x.shape[1], _np(table), _np(x), _np(index), _np(out))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        table, x, index = ctx.saved_tensors
        grad, x = grad.contiguous(), x.contiguous()
        n, k = index.shape
        if not ctx.kernels:
            grad_x = torch.einsum("bk,bkm->bm", grad, table[index.long()])
            values = (grad[:, :, None] * x[:, None, :]).flatten(0, 1)
            return _sparse(index.flatten().long(), values, table.shape).coalesce(), grad_x, None
        offsets = np.arange(0, n * k + 1, k, dtype=np.int64)
        flat, weight = _np(index).ravel(), _np(grad).ravel()
        grad_x = torch.empty_like(x)
        work = n * k * x.shape[1]
        spread(rows.weighted_sum_rows, n, work, _np(table), flat, weight, offsets, _np(grad_x))
        places = _Uses(flat, table.shape[0])
        bag, moved = np.empty(len(flat), np.int32), np.empty_like(weight)
        rows.transpose_weighted(offsets, places.place, weight, places.starts, bag, moved)
        grad_rows = x.new_empty(len(places.rows), x.shape[1])
        spread(rows.weighted_sum_rows, len(grad_rows), work, _np(x), bag, moved, places.starts, _np(grad_rows))
        return places.sparse(grad_rows, table.shape), grad_x, None


class _Uses:
    """Which rows a batch uses. rows: int64[r] distinct, sorted; starts: int64[r + 1]; place: int32[values]."""

    def __init__(self, index: NDArray[np.int32], height: int) -> None:
        slot = _scratch(height)
        found = np.empty(len(index), np.int64)
        self.rows = found[: rows.distinct(index, slot, found)]
        self.rows.sort()  # torch adds coalesced gradients by merging them in order
        counts = np.zeros(len(self.rows) + 1, np.int64)
        self.place = np.empty(len(index), np.int32)
        rows.place_uses(index, slot, self.rows, counts, self.place)
        self.starts = np.cumsum(counts)

    def sparse(self, values: Tensor, shape: torch.Size) -> Tensor:
        return _sparse(torch.from_numpy(self.rows), values, shape, coalesced=True)


class _Scratch(threading.local):
    slots = np.empty(0, np.int32)


_local = _Scratch()


def _scratch(height: int) -> NDArray[np.int32]:
    """int32[>= height] of -1, one a thread, as large as the largest table."""
    if len(_local.slots) < height:
        _local.slots = np.full(height, -1, np.int32)
    return _local.slots


def _sparse(index: Tensor, values: Tensor, shape: torch.Size, coalesced: bool = False) -> Tensor:
    return torch.sparse_coo_tensor(index[None], values, shape, is_coalesced=coalesced, check_invariants=False)


def _starts(w: Tensor) -> NDArray[np.int64]:
    """Where each row of w float[B, n] begins in its values: int64[B + 1]."""
    return np.arange(len(w) + 1, dtype=np.int64) * w.shape[1]


def _np(t: Tensor) -> NDArray[Any]:
    return t.detach().numpy()
