"""The first page: made of what `gates` wrote, before all other sections, with reasons that a rewrite keeps."""

import xml.etree.ElementTree as ET

import polars as pl
import pytest

from kinfolk.errors import DataError
from kinfolk.evaluate.output import write_json
from kinfolk.reproduce.front import draw, read, write


def curves(best):
    rows = []
    for method, level in (("kinfolk", 0.7), (best, 0.6)):
        for n in (10, 30):
            row = {"method": method, "n": n}
            for m in ("eauc", "auc", "recall_1"):
                row |= {m: level, f"{m}_low": None, f"{m}_high": level + 0.01}
            rows.append(row)
    return pl.DataFrame(rows)


@pytest.fixture
def wrote(tmp_path):
    def make(dataset, passed=True, best="als_lda", **settings):
        flat = {f"{key}_{n}": 0.5 for n in (10, 30) for key in ("ours_eauc", "best_peer_eauc")}
        flat |= {f"best_peer_{n}": best for n in (10, 30)}
        flat |= {"pooled_diff": 0.02, "pooled_diff_low": 0.01, "pooled_diff_high": 0.03, "pooled_peer": best}
        gates = [{"gate": "AUC not inferior", "passed": passed, "said": "n = 30: -0.010"}]
        gates += [{"gate": "sAUC not below", "passed": True, "said": "n = 10: +0.010"}]
        tables = {"flat": [flat], "gates": gates, "curves": curves(best), "alternatives": [{"method": best}]}
        what = {"command": f"kinfolk reproduce gates --dataset {dataset}", "date": "2026-11-23"}
        what |= {"settings": {"training seeds": "0 to 4", **settings}, "figures": tables}
        write_json(tmp_path / f"gates-{dataset}.json", what)
        return tmp_path

    return make


def test_all_data_sets_side_by_side_with_the_same_lines(wrote):
    wrote("globo", best="lr_als")
    svg = draw(read(wrote("kuairand")))
    said = {e.text for e in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")}
    assert said >= {"eAUC, globo", "AUC, globo", "eAUC, kuairand", "AUC, kuairand", "kinfolk", "lr_als", "als_lda"}


def test_the_section_comes_first_and_names_what_fails(wrote, tmp_path):
    wrote("globo")
    folder = wrote("kuairand", passed=False, quick="small models and samples, no result")
    page = tmp_path / "results.md"
    page.write_text("# Results\n\nHow to read it.\n\n## Other\n\nText.\n")
    write(read(folder), page, date="2026-11-24")
    text = page.read_text()
    assert text.startswith("# Results\n\nHow to read it.\n\n<!-- reproduce: front all -->\n## At a glance\n")
    assert text.endswith("<!-- end -->\n\n## Other\n\nText.\n")
    assert "* **kuairand, AUC not inferior**: n = 30: -0.010.\n" in text
    assert "sAUC not below**" not in text
    assert "over all n +0.020 [+0.010, +0.030] against als_lda; 2 of 2 gates" in text
    assert "training seeds 0 to 4, small models and samples, no result." in text
    assert "](results/front.svg)" in text
    assert (tmp_path / "results" / "front.svg").is_file()


def test_reasons_given_by_hand_stay_while_the_gate_fails(wrote, tmp_path):
    folder, page = wrote("globo", passed=False), tmp_path / "r.md"
    write(read(folder), page, date="2026-11-24")
    point = "* **globo, AUC not inferior**: n = 30: -0.010.\n"
    why = "  Many seeds want a discriminant;\n  see the decision.\n"
    page.write_text(page.read_text().replace(point, point + why))
    write(read(folder), page, date="2026-11-25")
    assert point + why in page.read_text()
    assert "2026-11-25" in page.read_text()
    write(read(wrote("globo")), page, date="2026-11-26")
    assert "discriminant" not in page.read_text()
    assert "Every gate is passed on globo." in page.read_text()


def test_what_is_no_outcome_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no gates-DATASET\.json"):
        read(tmp_path)
    (tmp_path / "gates-globo.json").write_text('{"figures": {}}')
    with pytest.raises(DataError, match="no outcome of `gates`"):
        read(tmp_path)
