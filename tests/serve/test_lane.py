from __future__ import annotations

import asyncio
import threading

import pytest

from kinfolk.serve.lane import Lane
from kinfolk.serve.problems import NotReadyError

PATIENCE = 30


def test_beyond_what_may_wait_a_call_is_refused_and_room_comes_back() -> None:
    async def main() -> None:
        lane, go = Lane("tries", 2, 3), threading.Event()
        calls = [asyncio.ensure_future(lane(go.wait, PATIENCE)) for _ in range(5)]
        await asyncio.sleep(0)  # each has asked
        with pytest.raises(NotReadyError, match="3 tries are waiting"):
            await lane(go.wait, PATIENCE)
        go.set()
        assert await asyncio.gather(*calls) == [True] * 5
        assert await lane(lambda: 7) == 7
        assert await lane.close(PATIENCE)

    asyncio.run(main())


def test_never_more_at_once_than_there_are_threads() -> None:
    running, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(3)

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(PATIENCE)  # passes by threes alone: so three do run at once
        with lock:
            running -= 1

    async def main() -> None:
        lane = Lane("tries", 3, 100)
        await asyncio.gather(*(lane(work) for _ in range(30)))
        assert await lane.close(PATIENCE)

    asyncio.run(main())
    assert most == 3


def test_an_error_is_the_callers_and_costs_no_room() -> None:
    def fail() -> None:
        raise ValueError("no")

    async def main() -> None:
        lane = Lane("tries", 1, 0)
        for _ in range(3):
            with pytest.raises(ValueError, match="no"):
                await lane(fail)
        assert await lane.close(PATIENCE)

    asyncio.run(main())


def test_a_caller_that_goes_away_keeps_its_room_until_its_work_is_done() -> None:
    """Else clients that give up and ask again would pile up work behind each other."""

    async def main() -> None:
        lane, go = Lane("tries", 1, 0), threading.Event()
        call = asyncio.ensure_future(lane(go.wait, PATIENCE))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        with pytest.raises(NotReadyError):
            await lane(go.wait, PATIENCE)
        go.set()
        assert await lane.close(PATIENCE), "it has ended"
        assert await lane(lambda: 7) == 7, "the room is back"
        await lane.close(PATIENCE)

    asyncio.run(main())


def test_a_closed_lane_can_be_used_again() -> None:
    lane = Lane("tries", 1, 1)

    async def ask() -> int:
        found = await lane(lambda: 7)
        await lane.close(PATIENCE)
        return found

    for _ in range(2):
        assert asyncio.run(ask()) == 7


def test_a_stop_refuses_what_waits_and_does_not_wait_for_ever() -> None:
    async def main() -> None:
        lane, go, begun, ran = Lane("tries", 2, 100), threading.Event(), threading.Barrier(3), []
        running = [asyncio.ensure_future(lane(lambda: (begun.wait(PATIENCE), go.wait(PATIENCE))[1])) for _ in range(2)]
        waiting = [asyncio.ensure_future(lane(ran.append, i)) for i in range(100)]
        await asyncio.to_thread(begun.wait, PATIENCE)
        assert not await lane.close(0.05), "it says that two do not end"
        said = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(e) for e in said] == [NotReadyError] * 100
        assert ran == []
        go.set()
        assert await asyncio.gather(*running) == [True] * 2, "what runs is finished"
        assert await lane.close(PATIENCE)

    asyncio.run(main())
