"""tanh and exp of many float32 numbers in place: `tanh`, `exp`.

A call of the library's function for each number takes longer than the product it is taken of. Written as vector
instructions of LLVM, as wide as registers are; a number has the same bits wherever it stands, for what is left at the
end of an array goes through the same operations.

`fastmath=False` is said and not left out: numba compiles what says nothing as its first caller is compiled, and sums
that may be taken in another order undo the rounding to a whole number in `exp`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from kinfolk.lookalike.dots import F32
from kinfolk.lookalike.registers import FLOAT, FUSED, INT, arrays, load, store
from kinfolk.lookalike.tiles import LANES

# e^r for |r| <= ln(2) / 2, and tanh(x) / x in x^2 for |x| <= _FLAT, lowest power first: least largest error (relative,
# absolute), by weighted least squares, with the first of each held at 1 so that what is small comes out exact.
_EXP = (1.0, 1.0, 0.49999229, 0.16667116, 0.04189055, 0.00831248)
_ABOVE = (1.0, 0.134437398, 0.00357069443, 2.18796417e-05, 1.52090937e-08)
_BELOW = (1.0, 0.467770677, 0.0261610129, 0.00034098087, 8.51384354e-07)
_FLAT = 8.0  # from here on tanh is 1 in float32, but for its last place
_LOWEST = -87.3  # e to the power of this is the least that float32 holds in full
_LN2_HIGH = 0.693359375  # few bits, so that its multiples are exact
_WHOLE = 1.5 * 2.0**23  # a float32 of this size has no bits for a fraction: adding it rounds, to its lowest bits
_EXPONENT = 23  # bits below those of the exponent
_ZERO_EXPONENT = 127 << _EXPONENT


@numba.njit(nogil=True, cache=True, fastmath=False)
def exp(x: F32) -> None:
    """x <- e^x in place for float32[n] of x <= 0, to about 2e-7; below e^-87.3 exactly 0."""
    _exp(x)  # type: ignore[call-arg]  # numba gives the context


@numba.njit(nogil=True, cache=True, fastmath=False)
def tanh(x: F32) -> None:
    """x <- tanh(x) in place for float32[n], to about 3e-7 absolute, between -1 and 1."""
    _tanh(x)  # type: ignore[call-arg]  # as above


@intrinsic
def _exp(context: Any, x: Any) -> Any:
    return types.void(x), _each(_exp_of)


@intrinsic
def _tanh(context: Any, x: Any) -> Any:
    return types.void(x), _each(_tanh_of)


def _each(curve: Callable[[Any, Any], Any]) -> Any:
    """The code that puts an array through `curve`, a vector of LANES at a time and then number by number."""

    def compiled(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (x,) = arrays(context, builder, signature, arguments)
        n = cgutils.unpack_tuple(builder, x.shape, 1)[0]  # type: ignore[no-untyped-call]  # numba leaves it untyped
        index = n.type
        whole = builder.and_(n, index(-LANES))
        with cgutils.for_range_slice(builder, index(0), whole, index(LANES)) as (at, _):
            store(builder, curve(builder, load(builder, x.data, at, LANES)), x.data, at)
        with cgutils.for_range_slice(builder, whole, n, index(1)) as (at, _):
            place = builder.gep(x.data, [at])
            builder.store(curve(builder, builder.load(place)), place)
        return context.get_dummy_value()

    return compiled


def _exp_of(builder: Any, x: Any) -> Any:
    """2^n e^r with n whole and r = x - n ln 2 at most half of ln 2 away from 0."""
    kind = x.type
    lowest = _all(kind, _LOWEST)
    kept = _no_less(builder, x, lowest)
    rounded = _fused(builder, kept, _all(kind, 1 / math.log(2)), _all(kind, _WHOLE))
    n = builder.fsub(rounded, _all(kind, _WHOLE))
    r = _fused(builder, n, _all(kind, -_LN2_HIGH), kept)
    r = _fused(builder, n, _all(kind, _LN2_HIGH - math.log(2)), r)
    bits = _whole_numbers(kind)
    power = builder.shl(builder.bitcast(rounded, bits), _all(bits, _EXPONENT))
    scale = builder.bitcast(builder.add(power, _all(bits, _ZERO_EXPONENT)), kind)
    found = builder.fmul(_polynomial(builder, r, _EXP), scale)
    return builder.select(builder.fcmp_ordered("<", x, lowest), _all(kind, 0.0), found)


def _tanh_of(builder: Any, x: Any) -> Any:
    """x times a quotient of two polynomials in x^2."""
    x = _no_less(builder, x, _all(x.type, -_FLAT))
    x = builder.select(builder.fcmp_ordered(">", x, _all(x.type, _FLAT)), _all(x.type, _FLAT), x)
    square = builder.fmul(x, x)
    above = builder.fmul(x, _polynomial(builder, square, _ABOVE))
    return builder.fdiv(above, _polynomial(builder, square, _BELOW))


def _polynomial(builder: Any, x: Any, coefficients: Sequence[float]) -> Any:
    """Lowest power first."""
    total = _all(x.type, coefficients[-1])
    for c in coefficients[-2::-1]:
        total = _fused(builder, x, total, _all(x.type, c))
    return total


def _fused(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c."""
    return builder.fadd(builder.fmul(a, b, flags=FUSED), c, flags=FUSED)


def _no_less(builder: Any, x: Any, least: Any) -> Any:
    """The larger of both; NaN stays NaN."""
    return builder.select(builder.fcmp_ordered("<", x, least), least, x)


def _all(kind: Any, number: float) -> Any:
    """A number, or a vector of it, of that type."""
    value = float(np.float32(number)) if (getattr(kind, "element", kind)) == FLOAT else number
    return ir.Constant(kind, [value] * kind.count if isinstance(kind, ir.VectorType) else value)


def _whole_numbers(kind: Any) -> Any:
    """The type of the bits of a float or of a vector of them."""
    return ir.VectorType(INT, kind.count) if isinstance(kind, ir.VectorType) else INT
