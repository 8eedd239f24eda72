"""The demo's live part against a real `kinfolk serve`: whole, broken off, and where the server does not come up."""

import json
import socket
from contextlib import closing
from urllib.parse import urlsplit

import numpy as np
import pytest
from rich.console import Console

from kinfolk.cli.client import ServerError
from kinfolk.cli.demo import live
from kinfolk.cli.demo.process import FILES, serving, store_of
from kinfolk.cli.demo.shown import growth_figure, growth_frame, growth_table, served_lines
from kinfolk.cli.progress import Bars
from kinfolk.evaluate.protocol import defaults
from kinfolk.online.stores.open import open_backend


def said(folder):
    return [json.loads(line) for line in (folder / "serve.log").read_text().splitlines()]


def stopped(folder):
    """Whether the server ended in order, and nobody listens where it did."""
    lines = said(folder)
    (url,) = [urlsplit(line["url"]) for line in lines if line["event"] == "listening"]
    with socket.socket() as probe:
        free = probe.connect_ex((url.hostname, url.port)) != 0
    return lines[-1]["event"] == "stopped" and free


@pytest.fixture
def terms(small_log):
    return defaults("synthetic", small_log)


def test_the_audience_of_a_new_item_is_followed_and_every_click_is_kept(small_log, terms, small_bundle, tmp_path):
    folder = tmp_path / "live"
    lived = live.run_live(
        Console(quiet=True), small_log, terms, small_bundle, folder, most_clicks=2_000, most_seconds=200.0
    )
    assert stopped(folder)
    assert {p.name for p in folder.iterdir()} <= set(FILES)
    assert lived.whole
    assert lived.sent == lived.told["accepted"] + lived.told["duplicates"] == 2_000 < lived.total
    assert [g.clicks for g in lived.growth][:2] == [10, 20]
    for growth in lived.growth:
        assert growth.seeds == growth.clicks, "everybody is known to this model"
        assert growth.eligible == small_log.n_users - growth.clicks
        assert growth.top1 == growth.eligible // 100
        assert growth.top5 == growth.eligible * 5 // 100
        assert growth.hits1 <= growth.hits5 <= growth.later
        assert 0 <= growth.alike <= growth.eligible
    assert lived.growth[0].alike == lived.growth[0].top1, "the first look sets the bound"
    assert len(lived.feeds)
    assert lived.failed == 0
    p50, p95, p99 = lived.percentiles()
    assert 0 < p50 <= p95 <= p99
    with closing(open_backend(store_of(folder))) as store:
        start = int(np.searchsorted(small_log.events.time, terms.t1))
        rows = slice(start, start + 2_000)
        item = small_log.item_ids.tolist().index(lived.item)
        users = np.unique(small_log.events.user[rows][small_log.events.item[rows] == item])
        assert store.seeds.count(lived.item) == len(users)
    bars, *lines = growth_figure(lived)["data"]
    assert bars["y"] == [g.alike for g in lived.growth]
    assert [line["y"] for line in lines[:2]] == [[g.lift1 for g in lived.growth], [g.lift5 for g in lived.growth]]
    assert growth_frame(lived).height == growth_table(lived).row_count == len(lived.growth)
    assert any("p99" in line for line in served_lines(lived))


def test_an_interrupt_stops_the_server_in_order(small_log, terms, small_bundle, tmp_path, monkeypatch):
    def interrupt(self, done, total, note):
        raise KeyboardInterrupt

    monkeypatch.setattr(Bars, "step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        live.run_live(Console(quiet=True), small_log, terms, small_bundle, tmp_path / "live", most_seconds=200.0)
    assert stopped(tmp_path / "live")


def test_when_the_time_is_up_it_ends_and_says_so(small_log, terms, small_bundle, tmp_path, monkeypatch):
    asked = []

    class Impatient(live._Session):
        def run(self):
            asked.append(self.done)
            self._stop.set()
            super().run()

    monkeypatch.setattr(live, "_Session", Impatient)
    lived = live.run_live(Console(quiet=True), small_log, terms, small_bundle, tmp_path / "live", most_seconds=200.0)
    assert stopped(tmp_path / "live")
    assert not lived.whole
    assert lived.sent == asked[0] < lived.total
    assert lived.growth == ()


def test_a_server_that_does_not_come_up_is_told_with_what_it_said(tmp_path):
    told = pytest.raises(ServerError, match=r"ended with code 2: error: .*no-bundle")
    with told, serving(tmp_path / "no-bundle", tmp_path / "live", patience=200.0):
        pytest.fail("it does not listen")
