"""What is counted for Prometheus: `Metrics`. Requests by route, method and status; clicks; and what the engine knows.

With several workers each writes to files of a folder that the first process sets up (`PROMETHEUS_MULTIPROC_DIR`), so
that any worker's /metrics shows the sum. What comes from the engine is as the answering worker sees it.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from kinfolk.online.answers import Accepted

CONTENT_TYPE = CONTENT_TYPE_LATEST
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"

OUTCOMES = ("accepted", "duplicates", "unknown_users", "unknown_candidates", "refused_retired", "forgotten")
"""What may become of a click; names of `Accepted`."""

HELP = {
    "scorable": "Live candidates with a crowd.",
    "stale": "Live candidates with changes of seeds that their published crowd does not show.",
    "refresh_age_ms": "Age of the oldest change of seeds that no published crowd shows; ms, to a twentieth of a round.",
    "expired": "Candidates that this process has retired because their time had come.",
    "refresher_lag_ms": "Every change older than this is shown; ms, where this process leads.",
    "refresher_duration_ms": "Duration of the last round of this process, ms.",
    "store_bytes": "What the store takes; may be some seconds old.",
    "forgotten_pending": "Users who asked to be forgotten and are not yet purged everywhere.",
    "swap_failed": "1 where this process cannot open the model that others serve.",
}
"""Numbers of the engine that their name does not explain."""

Stats = Callable[[], Mapping[str, float]]


class Metrics:
    """Counters of one process; `render` shows those of all workers.

    stats: the engine's numbers, asked for when /metrics is. model: version of the bundle that is served.
    """

    def __init__(self, stats: Stats, model: Callable[[], str]) -> None:
        own = CollectorRegistry()
        self.requests = Histogram(
            "kinfolk_request_seconds", "Time to answer.", ("route", "method", "status"), buckets=_BUCKETS, registry=own
        )
        self.clicks = Counter("kinfolk_clicks", "Clicks by what became of them.", ("outcome",), registry=own)
        self.bus = Counter("kinfolk_bus_clicks", "Clicks from the bus by outcome.", ("outcome",), registry=own)
        self.refused = Counter("kinfolk_refused", "Requests refused, by class of problem.", ("problem",), registry=own)
        self.registry = own
        self._engine = EngineNumbers(stats, model)
        own.register(self._engine)

    def also(self, stats: Stats) -> None:
        """More numbers of this process; asking for them never fails."""
        self._engine.more = stats

    def count_bus(self, outcomes: Mapping[str, int]) -> None:
        """Clicks came from the bus; outcome -> number."""
        for outcome, number in outcomes.items():
            self.bus.labels(outcome).inc(number)

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """One request was answered."""
        self.requests.labels(route, method, str(status)).observe(seconds)

    def count_accepted(self, done: Accepted) -> None:
        """Clicks were taken."""
        for outcome in OUTCOMES:
            number = getattr(done, outcome)
            if number:
                self.clicks.labels(outcome).inc(number)

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        if not os.environ.get(_FOLDER):
            return generate_latest(self.registry)
        from prometheus_client.multiprocess import MultiProcessCollector

        everyone = CollectorRegistry()
        MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]  # the library leaves it untyped
        everyone.register(self._engine)
        return generate_latest(everyone)


class EngineNumbers(Collector):
    """`stats()` as gauges `kinfolk_<name>`, the model's version as a label, and this process's memory."""

    def __init__(self, stats: Stats, model: Callable[[], str]) -> None:
        self.stats, self.model = stats, model
        self.more: Stats = dict

    def describe(self) -> Iterable[Metric]:
        """None in advance: the engine may not be ready when this is registered."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """As of now. A store that cannot be reached costs the engine's numbers, not the rest."""
        from kinfolk.errors import KinfolkError

        yield GaugeMetricFamily("kinfolk_memory_bytes", "Resident memory of the answering process.", resident_bytes())
        yield from _gauges(self.more())
        try:
            found = self.stats()
        except KinfolkError:
            yield GaugeMetricFamily("kinfolk_store_reachable", "1 where the store answers.", 0)
            return
        yield GaugeMetricFamily("kinfolk_store_reachable", "1 where the store answers.", 1)
        yield from _gauges(found)
        yield InfoMetricFamily("kinfolk", "What is served.", {"model": self.model()})


def _gauges(numbers: Mapping[str, float]) -> Iterable[Metric]:
    for name, value in numbers.items():
        yield GaugeMetricFamily(f"kinfolk_{name}", HELP.get(name, name.replace("_", " ")), float(value))


def resident_bytes() -> int:
    """Memory of this process that lies in RAM, bytes."""
    try:
        with open("/proc/self/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux: the most it ever was
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
