"""A first request before the first request: `rehearse`, so that nobody waits for imports and compiled kernels.

A few users of the bundle live through everything once, on a store in memory that is thrown away: seeds, clicks, a
refresh, a feed with a live history, a re-ranking, an explanation, an audience. Kernels compiled here are kept on disk.
"""

from __future__ import annotations

from dataclasses import replace

from kinfolk.bundle import Bundle
from kinfolk.data.inputs import Inputs
from kinfolk.data.jagged import Jagged
from kinfolk.online.engine import Engine
from kinfolk.online.options import EngineSettings
from kinfolk.online.ports import StoreOptions
from kinfolk.online.question import Question
from kinfolk.online.stores.open import open_backend

USERS = 500


def rehearse(bundle: Bundle, settings: EngineSettings) -> bool:
    """Go through every kind of request once; False where the bundle has too few users to try."""
    few = first_users(bundle, USERS)
    ids = [str(u) for u in few.user_ids]
    if len(ids) < 4:
        return False
    backend = open_backend("memory:", StoreOptions())
    calm = replace(settings, min_seeds=1, create_on_click=True, segment_field=None, block=1 << 10, refresh=True)
    engine = Engine(backend, few, calm)
    try:
        half = len(ids) // 2
        engine.post_seeds("large", ids[:half])  # more than k: clustered
        engine.post_seeds("small", ids[:2])  # its seeds are its centroids
        engine.post_clicks(ids[half:], ["large"] * (len(ids) - half), [None] * (len(ids) - half))
        engine.refresh()
        items = [str(i) for i in few.represented.features.item_ids[:2]]
        engine.post_clicks(["rehearsal", *[ids[-1]] * len(items)], ["small", *items], [None] * (1 + len(items)))
        engine.feed(ids[-1], 10, 0)
        engine.feed("stranger", 10, 0)
        engine.rank(ids[-1], [("large", 0.1), ("small", 0.2)], 1.0)
        engine.explain(ids[-1], "large")
        engine.estimate(Question(seeds=tuple(ids[:half]), size=max(1, half // 4)))
    finally:
        engine.stop()
        backend.close()
    return True


def first_users(bundle: Bundle, count: int) -> Bundle:
    """The same model with its first `count` users alone; arrays stay what they are, memory-mapped or not."""
    n, inputs = min(count, len(bundle.user_ids)), bundle.inputs
    if inputs is not None:
        fields = len(inputs.static) // max(len(inputs), 1)
        inputs = Inputs(
            _first(inputs.static, n * fields),
            inputs.numbers[:n],
            inputs.context[:n],
            tuple(_first(history, n) for history in inputs.histories),
        )
    return Bundle(
        bundle.provenance,
        bundle.weights,
        bundle.user_ids[:n],
        bundle.universal[:n],
        bundle.lookalike[:n],
        represented=bundle.represented,
        path=bundle.path,
        version=bundle.version,
        inputs=inputs,
    )


def _first(jagged: Jagged, rows: int) -> Jagged:
    return Jagged(jagged.values[: jagged.offsets[rows]], jagged.offsets[: rows + 1])
