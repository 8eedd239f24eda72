"""What the benchmarks of speed share: arguments, timing in turn, what the machine can do, a table, one JSON line.

A benchmark times ours and its peers in turn in one process (`in_turn`), measures with the same number of threads what
the machine could do at best (`read_bandwidth`, `gemm_rate`) and ends with `report`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from kinfolk.data.threads import ranges, spread

_READ_FLOATS = 1 << 26  # 256 MB: several times the processor's last cache
_GEMM_SIZE = 2048


@dataclass(frozen=True)
class Timing:
    """Seconds of one call, over several: the median, the fastest, the slowest."""

    median: float
    fastest: float
    slowest: float

    def __str__(self) -> str:
        return f"{milliseconds(self.median)} ({milliseconds(self.fastest)} to {milliseconds(self.slowest)})"

    @property
    def seconds(self) -> list[float]:
        """[median, fastest, slowest] to four digits, for the JSON line."""
        return [rounded(s) for s in (self.median, self.fastest, self.slowest)]


def arguments(doc: str, *, threads: bool = False) -> argparse.Namespace:
    """`--quick` and `--json`, with `threads` also `--threads` (all cores); doc is the program's docstring."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repeats; the same sizes")
    parser.add_argument("--json", action="store_true", help="print only the JSON line")
    if threads:
        parser.add_argument("--threads", type=int, default=cores())
    return parser.parse_args()


def cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_turn(
    calls: Mapping[str, Callable[[], Any]], repeats: int, *, least: float = 0.0, warm: bool = True
) -> dict[str, Timing]:
    """Time several calls in turn (a b c a b c ...), so that all meet the same noise.

    Args:
        calls: what to time, by name.
        repeats: turns; at least one.
        least: a short call is repeated within its turn until it has lasted so many seconds, and counts as their mean.
        warm: call each once beforehand, untimed.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    if warm:
        for call in calls.values():
            call()
    for _ in range(repeats):
        for name, call in calls.items():
            n, began = 0, time.perf_counter()
            while n == 0 or time.perf_counter() - began < least:
                call()
                n += 1
            times[name].append((time.perf_counter() - began) / n)
    return {name: Timing(float(np.median(t)), min(t), max(t)) for name, t in times.items()}


def read_bandwidth(threads: int, repeats: int = 7) -> float:
    """Bytes a second that `threads` threads read from memory, straight on; the fastest of several passes."""
    x = np.ones(_READ_FLOATS, np.float32)
    parts = [x[a:b] for a, b in ranges(len(x), threads)]
    return x.nbytes / in_turn({"read": lambda: spread(_sum, parts, threads)}, repeats)["read"].fastest


def gemm_rate(threads: int, repeats: int = 5) -> float:
    """Floating-point operations a second of a float32 product of square matrices (an addition counts as one)."""
    a = np.ones((_GEMM_SIZE, _GEMM_SIZE), np.float32)
    out = np.empty_like(a)
    with threadpool_limits(threads, user_api="blas"):
        fastest = in_turn({"gemm": lambda: np.matmul(a, a, out=out)}, repeats)["gemm"].fastest
    return 2 * _GEMM_SIZE**3 / fastest


@numba.njit(nogil=True, cache=True, fastmath=True)
def _sum(x: NDArray[np.float32]) -> np.float32:
    total = np.float32(0)
    for i in range(x.shape[0]):
        total += x[i]
    return total


def peak_mb() -> int:
    """The most memory that this process has held so far, in MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def machine() -> str:
    """The processor's name and the number of cores this process may use."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or platform.machine()}, {cores()} cores"


def milliseconds(seconds: float) -> str:
    """A time for a table."""
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def rounded(value: float, digits: int = 4) -> float:
    """A number to so many significant digits."""
    return float(f"{value:.{digits}g}")


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as they must be; the first to the left, the others to the right."""
    cells = [[str(c) for c in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = [
        "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        for row in cells
    ]
    return "\n".join(line.rstrip() for line in lines)


def report(
    bench: str,
    *,
    sizes: Mapping[str, Any],
    ours_s: float | None = None,
    peer_s: float | None = None,
    limit_s: float | None = None,
    identical: bool | None = None,
    **more: Any,
) -> None:
    """Print the JSON line that ends a benchmark; null where a figure does not exist.

    Args:
        bench: its name.
        sizes: how much work it was, seeds included.
        ours_s, peer_s, limit_s: seconds of the same work here, in the first-named peer, at the machine's limit.
        identical: whether ours gave the oracle's result.
        more: further fields.
    """

    def ratio(a: float | None, b: float | None) -> float | None:
        return None if a is None or not b else rounded(a / b)

    line = {
        "bench": bench,
        "ours_s": ours_s and rounded(ours_s),
        "peer_s": peer_s and rounded(peer_s),
        "limit_s": limit_s and rounded(limit_s),
        "peer_over_ours": ratio(peer_s, ours_s),
        "ours_over_limit": ratio(ours_s, limit_s),
        "identical": identical,
        "peak_mb": peak_mb(),
        "machine": machine(),
        "sizes": dict(sizes),
        **more,
    }
    print(json.dumps(line))
