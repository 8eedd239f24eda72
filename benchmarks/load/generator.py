"""Requests at fixed times, whatever the answers: `python generator.py < plan.json > result.json`.

A plan is `{"url": ..., "seconds": ..., "seed": ..., "streams": [...]}`. A stream is `{"name", "kind", "rate", ...}`:
`rate` requests a second, evenly spaced (open loop), or `"connections": n` instead, each sending as soon as it is
answered (closed loop). Kinds: feed (`users`, `n`), rank (`users`, `items`, `count`), clicks (`users`, `items`,
`batch`). Latency is measured from the moment a request was due, so a server that stalls is charged for all who wait.

The result has, for each stream, counts of answers by status and latencies in ms, and the generator's own CPU share and
how late it sent at the 99th percentile: where these are high, it was the generator that was measured.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

DRAIN_S = 30.0
MOST_CONNECTIONS = 256
IDLE_S = 2.0  # the server closes a connection that was idle for 5 s, perhaps while a request is on its way
_PREPARED = 512  # requests of a stream, sent in turn


class Connection(asyncio.Protocol):
    """One keep-alive connection; one request at a time."""

    def __init__(self) -> None:
        self.buffer, self.waiting, self.lost, self.idle_since = bytearray(), None, False, 0.0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, _: object) -> None:
        self.lost = True
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result((0, b""))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self.buffer[:end]).lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self.buffer) >= end + 4 + length and self.waiting is not None:
            body = bytes(self.buffer[end + 4 : end + 4 + length])
            self.buffer.clear()
            self.waiting.set_result((int(head.split(b" ", 2)[1]), body))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """(status, body); status 0 where the connection broke."""
        self.waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.waiting


class Pool:
    """Connections that are free, newest first; another one where there is none."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port, self.free, self.n = host, port, deque[Connection](), 0

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """(status, body)."""
        while self.free:
            connection = self.free.pop()
            if not connection.lost and time.monotonic() - connection.idle_since < IDLE_S:
                break
            connection.transport.abort()
            self.n -= 1
        else:
            if self.n >= MOST_CONNECTIONS:
                return 0, b""
            self.n += 1
            try:
                _, connection = await asyncio.get_running_loop().create_connection(Connection, self.host, self.port)
            except OSError:
                self.n -= 1
                return 0, b""
        answer = await connection.ask(request)
        if connection.lost:
            self.n -= 1
        else:
            connection.idle_since = time.monotonic()
            self.free.append(connection)
        return answer


def post(path: str, body: object) -> bytes:
    """A request."""
    data = json.dumps(body, separators=(",", ":")).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    return head.encode() + data


def requests_of(stream: dict[str, Any], rng: random.Random) -> Callable[[], bytes]:
    """What makes the next request of a stream; feed and rank come from a prepared stock."""
    users = stream["users"]
    if stream["kind"] == "clicks":
        items, batch, name = stream["items"], stream["batch"], rng.getrandbits(40)
        count = iter(range(sys.maxsize))

        def clicks() -> bytes:
            who, what = rng.choices(users, k=batch), rng.choices(items, k=batch)
            n = next(count)
            rows = ",".join(
                f'{{"user":"{u}","candidate":"{c}","event_id":"{name:x}.{n}.{i}"}}'
                for i, (u, c) in enumerate(zip(who, what, strict=True))
            )
            data = f"[{rows}]".encode()
            return (
                f"POST /v1/clicks HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                f"content-length: {len(data)}\r\n\r\n"
            ).encode() + data

        return clicks
    if stream["kind"] == "feed":
        stock = [
            f"GET /v1/users/{u}/candidates?n={stream['n']} HTTP/1.1\r\nhost: x\r\n\r\n".encode()
            for u in rng.choices(users, k=_PREPARED)
        ]
    else:
        stock = [
            post(
                "/v1/rank",
                {
                    "user": u,
                    "items": [{"id": i, "pctr": 0.05} for i in rng.sample(stream["items"], stream["count"])],
                },
            )
            for u in rng.choices(users, k=_PREPARED)
        ]
    turn = iter(range(sys.maxsize))
    return lambda: stock[next(turn) % len(stock)]


class Stream:
    """One stream's requests and what became of them."""

    def __init__(self, plan: dict[str, Any], pool: Pool, rng: random.Random) -> None:
        self.plan, self.pool = plan, pool
        self.make = requests_of(plan, rng)
        self.status: Counter[int] = Counter()
        self.ms: list[float] = []
        self.late: list[float] = []
        self.accepted = 0

    async def one(self, due: float, request: bytes) -> None:
        """Send it and note the answer."""
        self.late.append(1000 * (time.perf_counter() - due))
        status, body = await self.pool.ask(request)
        self.status[status] += 1
        # One that got no answer is as slow as can be measured, not as fast as it was given up.
        self.ms.append(1000 * (time.perf_counter() - due if status else DRAIN_S))
        if self.plan["kind"] == "clicks" and status == 200:
            self.accepted += json.loads(body)["accepted"]

    async def open_loop(self, start: float, end: float) -> None:
        """Each at its time."""
        step, n, tasks = 1 / self.plan["rate"], 0, set[asyncio.Task[None]]()
        while (due := start + n * step) < end:
            request = self.make()
            wait = due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            task = asyncio.ensure_future(self.one(due, request))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            n += 1
        if tasks:
            await asyncio.wait(tasks, timeout=DRAIN_S)
        self.status[-1] += len(tasks)  # never answered

    async def closed_loop(self, end: float) -> None:
        """One connection's."""
        while time.perf_counter() < end:
            await self.one(time.perf_counter(), self.make())

    def result(self) -> dict[str, Any]:
        """As the module says."""
        return {
            "status": {str(s): n for s, n in self.status.items() if n},
            "ms": {f"p{q:g}": percentile(self.ms, q) for q in (50, 95, 99, 99.9)} | {"max": max(self.ms, default=0.0)},
            "late_p99_ms": percentile(self.late, 99),
            "accepted": self.accepted,
        }


def percentile(values: list[float], q: float) -> float:
    """The least value that q percent do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * q / 100))] if ordered else 0.0


async def run(plan: dict[str, Any]) -> dict[str, Any]:
    """The result of a plan."""
    host, _, port = plan["url"].removeprefix("http://").rpartition(":")
    pool = Pool(host, int(port))
    streams = [Stream(s, pool, random.Random(f"{plan['seed']} {s['name']}")) for s in plan["streams"]]
    cpu, start = time.process_time(), time.perf_counter() + 0.1
    end = start + plan["seconds"]
    loops = []
    for s in streams:
        if "rate" in s.plan:
            loops.append(s.open_loop(start, end))
        else:
            loops += [s.closed_loop(end) for _ in range(s.plan["connections"])]
    await asyncio.gather(*loops)
    took = time.perf_counter() - start
    return {
        "streams": {s.plan["name"]: s.result() for s in streams},
        "seconds": took,
        "cpu_share": (time.process_time() - cpu) / took,
    }


if __name__ == "__main__":
    json.dump(asyncio.run(run(json.load(sys.stdin))), sys.stdout)
