"""Files of an outcome, and its section in a page of results."""

import json

import polars as pl
import pytest

from kinfolk.errors import DataError
from kinfolk.evaluate.summary import Cells
from kinfolk.reproduce.outcome import Outcome
from kinfolk.reproduce.page import write_outcome, write_section

RUN = {"command": "kinfolk reproduce table1 --dataset globo --data DIR", "date": "2026-11-23"}


@pytest.fixture
def outcome():
    def make(auc="0.60", name="table1"):
        table = pl.DataFrame({"variant": ["ralm"], "auc": [float(auc)], "low": [float("nan")]})
        return Outcome(
            name,
            "globo",
            "Table 1 on globo",
            {"Data": "globo", "users asked": 20_000, "test from": 5.0},
            [f"AUC is {auc}."],
            [Cells("Models", ("model", "AUC"), (("ralm", auc),))],
            {"models": table},
            {"": "<svg>main</svg>", "field weights": "<svg>bars</svg>"},
            table,
        )

    return make


def test_an_outcome_is_four_files_and_further_plots(outcome, tmp_path):
    write_outcome(outcome(), tmp_path / "out", **RUN)
    files = {p.name: p.read_text() for p in (tmp_path / "out").iterdir()}
    assert set(files) == {"table1-globo.json", "table1-globo.md", "table1-globo.svg", "table1-globo-field-weights.svg"}
    found = json.loads(files["table1-globo.json"])
    assert found["figures"]["models"] == [{"variant": "ralm", "auc": 0.6, "low": None}]
    assert (found["command"], found["date"]) == (RUN["command"], "2026-11-23")
    text = files["table1-globo.md"]
    for part in (
        "## Table 1 on globo\n\n`kinfolk reproduce table1 --dataset globo --data DIR`, 2026-11-23.\n",
        "* AUC is 0.60.\n",
        "| ralm | 0.60 |",
        "](table1-globo.svg)",
        "](table1-globo-field-weights.svg)",
        "users asked: 20,000; test from: 5.",
    ):
        assert part in text
    assert files["table1-globo.svg"] == "<svg>main</svg>"


def test_a_section_is_replaced_and_nothing_else(outcome, tmp_path):
    page = tmp_path / "results.md"
    page.write_text("# Results\n\nBefore.\n")
    write_section(outcome("0.60"), page, **RUN)
    write_section(outcome("0.70", "fig6"), page, **RUN)
    page.write_text(page.read_text() + "\nAfter.\n")
    both = page.read_text()
    assert both.startswith("# Results\n\nBefore.\n\n<!-- reproduce: table1 globo -->\n## Table 1")
    write_section(outcome("0.65"), page, **RUN)
    assert page.read_text() == both.replace("0.60", "0.65")
    assert "](results/table1-globo.svg)" in both
    assert (tmp_path / "results" / "fig6-globo.svg").read_text() == "<svg>main</svg>"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["results", "results.md"]


def test_a_page_is_made_where_there_is_none(outcome, tmp_path):
    write_section(outcome(), tmp_path / "r.md", **RUN)
    text = (tmp_path / "r.md").read_text()
    assert text.startswith("<!-- reproduce: table1 globo -->\n")
    assert text.endswith("<!-- end -->\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<!-- reproduce: table1 globo -->\nno end\n", "without <!-- end -->"),
        ("<!-- reproduce: table1 globo -->\n<!-- reproduce: fig6 globo -->\n<!-- end -->\n", "without <!-- end -->"),
        (2 * "<!-- reproduce: table1 globo -->\n<!-- end -->\n", "2 times"),
    ],
)
def test_marks_that_do_not_match_are_refused(outcome, tmp_path, text, said):
    page = tmp_path / "r.md"
    page.write_text(text)
    with pytest.raises(DataError, match=said):
        write_section(outcome(), page, **RUN)
    assert page.read_text() == text
