"""Many rows through one layer: `product`, x W^T + b by whichever of torch's libraries is faster.

torch multiplies matrices with MKL, which on processors of AMD leaves half of AVX-512 unused; convolutions go to oneDNN,
which does not. A layer is a convolution of width one over an image one pixel wide, whose channels lie side by side:
the same numbers in the same places, and the gradients likewise.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import linear

_MANY = 512  # rows from which the convolution is faster


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Rows times a matrix, as `torch.nn.functional.linear`.

    Args:
        x: float[..., m].
        weight: float[h, m].
        bias: float[h].

    Returns:
        float[..., h].
    """
    rows = x.numel() // max(x.shape[-1], 1)
    if rows < _MANY or x.device.type != "cpu" or x.dtype != torch.float32 or not _has_wide_convolution():
        return linear(x, weight, bias)
    image = x.reshape(1, rows, 1, -1).permute(0, 3, 1, 2)
    out = torch.conv2d(image, weight[:, :, None, None], bias)
    return out.permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)


@cache
def _has_wide_convolution() -> bool:
    there: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # untyped in torch
    return there and "AVX512" in torch.backends.cpu.get_cpu_capability()
