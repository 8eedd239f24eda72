"""What intrinsics share that write out vector instructions of LLVM over arrays: arguments, loads and stores.

Written out, sums of many loops stay in registers and no loop has to ask first whether its arrays overlap.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

FLOAT, INT = ir.FloatType(), ir.IntType(32)
FUSED = ("contract",)  # a product and its sum may be one instruction


def arrays(context: Any, builder: Any, signature: Any, arguments: Any) -> list[Any]:
    """What an intrinsic gets, arrays as structures with `data` and `shape`."""
    return [
        context.make_array(t)(context, builder, a) if isinstance(t, types.Array) else a
        for t, a in zip(signature.args, arguments, strict=True)
    ]


def width(builder: Any, array: Any) -> Any:
    """The second length of an array of two dimensions."""
    return cgutils.unpack_tuple(builder, array.shape, 2)[1]  # type: ignore[no-untyped-call]


def load(builder: Any, data: Any, position: Any, size: int) -> Any:
    """`size` elements from `position` on, side by side."""
    pointer = builder.bitcast(builder.gep(data, [position]), ir.VectorType(data.type.pointee, size).as_pointer())
    return builder.load(pointer, align=4)


def store(builder: Any, value: Any, data: Any, position: Any) -> None:
    """The elements of `value` from `position` on."""
    builder.store(value, builder.bitcast(builder.gep(data, [position]), value.type.as_pointer()), align=4)


def same(builder: Any, number: Any, size: int) -> Any:
    """A vector of one number."""
    one = builder.insert_element(ir.Constant(ir.VectorType(number.type, size), ir.Undefined), number, INT(0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(INT, size), [0] * size))
