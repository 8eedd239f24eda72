"""How many requests may be under way, and which are not counted."""

import asyncio

import pytest

from kinfolk.serve.metrics import Metrics
from kinfolk.serve.watch import Watch


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_a_server_that_is_full_still_answers_probes(path):
    async def main():
        go = asyncio.Event()

        async def app(scope, receive, send):
            if scope["path"] != path:
                await go.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})

        watch = Watch(app, Metrics(dict, str), most=2)

        async def ask(path):
            said = []

            async def send(message):
                said.append(message)

            await watch({"type": "http", "method": "GET", "path": path, "headers": []}, None, send)
            return said[0]["status"]

        held = [asyncio.ensure_future(ask("/v1/candidates")) for _ in range(2)]
        await asyncio.sleep(0)
        assert [await ask(path) for _ in range(3)] == [200] * 3
        assert await ask("/v1/candidates") == 503
        go.set()
        assert await asyncio.gather(*held) == [200] * 2
        assert await ask("/v1/candidates") == 200, "there is room again"

    asyncio.run(main())
