from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from kinfolk.baselines.label_propagation import LabelPropagation, normalised
from kinfolk.data.jagged import Jagged
from kinfolk.data.log import JaggedCodes
from kinfolk.errors import OptionError, SchemaError

USERS = np.arange(304, dtype=np.int32)


def test_scores_are_the_closed_form_of_the_paper(checkerboard):
    method = LabelPropagation(alpha=0.6, iterations=60)
    method.fit(checkerboard.seen)
    candidates = checkerboard.candidates()
    Y = np.zeros((304, 2))
    for c in range(2):
        Y[np.asarray(candidates.seeds[c]), c] = 1 / 20
    S = method.graph.toarray().astype(np.float64)
    want = 0.4 * np.linalg.solve(np.eye(304) - 0.6 * S, Y)
    np.testing.assert_allclose(method.score(USERS, candidates, checkerboard.later), want, rtol=1e-3, atol=1e-7)


def test_normalisation_divides_by_both_degrees():
    W = np.array([[0, 2, 0, 0], [2, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0.0]])
    d = W.sum(1)
    want = W / np.sqrt(np.outer(np.where(d, d, 1), np.where(d, d, 1)))
    np.testing.assert_allclose(normalised(sp.csr_matrix(W)).toarray(), want, rtol=1e-6)


def test_given_edges_are_followed(checkerboard):
    """A chain of users 0 - 1 - 2 - 3: nearer is higher, and nobody else is reached."""
    rows = [[u + 1] if u < 4 else [] for u in range(304)]
    chain = JaggedCodes(Jagged.of(rows, np.int32), np.array([f"u{i:03}" for i in (1, 2, 3, 3)]))
    log = replace(checkerboard.log, users={**checkerboard.log.users, "friends": chain})
    method = LabelPropagation(edges_field="friends")
    method.fit(log.view(1000.0))
    seeds = checkerboard.candidates(n=1)
    scores = method.score(USERS, seeds, log.view(1500.0))[:, 0]
    assert scores[0] > scores[1] > scores[2] > scores[3] > 0
    assert not scores[4:].any()


def test_a_field_without_ids_is_refused(checkerboard):
    with pytest.raises(SchemaError, match="team"):
        LabelPropagation(edges_field="team").fit(checkerboard.seen)


def test_impossible_options_are_refused():
    with pytest.raises(OptionError, match="alpha"):
        LabelPropagation(alpha=1.0)
