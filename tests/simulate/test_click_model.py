import json
from dataclasses import replace

import numpy as np
import pytest

from kinfolk.errors import DataError
from kinfolk.simulate.click_model import GLOBO, ClickModel


def test_a_model_comes_back_from_its_file(tmp_path):
    GLOBO.save(tmp_path / "rates.json")
    assert ClickModel.load(tmp_path / "rates.json") == GLOBO


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"visits_a_day": 0.0}, "visits_a_day"),
        ({"repeat": float("nan")}, "repeat"),
        ({"age_edges": (0.0, 2.0, 1.0), "age_rate": (1.0, 0.5)}, "edges"),
        ({"age_edges": (0.0, 1.0), "age_rate": (0.0,)}, "rates by age"),
        ({"rhythm": (1.0,) * 23}, "rhythm"),
    ],
)
def test_figures_that_cannot_be_are_refused(change, word):
    with pytest.raises(DataError, match=word):
        replace(GLOBO, **change)


@pytest.mark.parametrize("text", ["", "[]", json.dumps({"source": "x"}), json.dumps({**GLOBO.to_dict(), "more": 1})])
def test_a_file_that_holds_no_model_is_refused(tmp_path, text):
    (tmp_path / "rates.json").write_text(text)
    with pytest.raises(DataError, match="fit"):
        ClickModel.load(tmp_path / "rates.json")


def test_an_item_pulls_by_its_age_and_not_beyond_its_life():
    model = replace(GLOBO, age_edges=(0.0, 1.0, 4.0), age_rate=(0.5, 1.0))
    np.testing.assert_array_equal(model.pull_of_age(np.array([-0.1, 0.0, 0.99, 1.0, 3.9, 4.0])), [0, 0.5, 0.5, 1, 1, 0])
