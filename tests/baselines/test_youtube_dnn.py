from __future__ import annotations

import numpy as np
import pytest
import torch

from kinfolk.baselines.cosine import Cosine
from kinfolk.baselines.shared import Shared
from kinfolk.baselines.youtube_dnn import DnnVectors, YoutubeDnn, trained
from kinfolk.represent.embed import embed
from kinfolk.represent.encoder import EncoderConfig
from kinfolk.represent.train import RepresentConfig

SMALL = RepresentConfig(EncoderConfig(embedding_size=8, hidden=(8,)), epochs=2, shared_negatives=10, validation=0)
USERS = np.arange(304, dtype=np.int32)


@pytest.fixture(scope="module")
def ready(checkerboard):
    """A fitted method with the view and the fits it shares."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    shared, view = Shared(), checkerboard.seen
    method = YoutubeDnn(config=SMALL, shared=shared)
    method.fit(view)
    yield method, shared, view
    torch.set_num_threads(before)


def test_the_score_is_the_dot_product_of_user_and_item_and_ignores_the_seeds(ready, checkerboard):
    method, _, view = ready
    scores = method.score(USERS, checkerboard.candidates((3, 33), n=20), view)
    ids = method.model.features.item_ids.tolist()
    e = method.model.item_embeddings[[ids.index("i03"), ids.index("i33")]]
    np.testing.assert_allclose(scores, embed(method.model, view, USERS) @ e.T, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(scores, method.score(USERS, checkerboard.candidates((3, 33), n=2), view))


def test_an_item_training_did_not_see_scores_0_for_everybody(ready, checkerboard):
    method, _, view = ready
    scores = method.score(USERS, checkerboard.candidates((60, -1)), view)
    assert not scores.any()


def test_fields_stand_side_by_side_whatever_the_config_says(ready):
    assert SMALL.encoder.merge == "attention"
    assert ready[0].model.encoder.config.merge == "concat"


def test_vectors_are_those_of_the_same_training_and_zero_without_history(ready):
    method, shared, view = ready
    vectors = DnnVectors(SMALL)(shared, view, seed=0)
    assert vectors.shape == (304, 8)
    np.testing.assert_array_equal(vectors[:300], embed(method.model, view, USERS)[:300])
    assert not vectors[300:].any()
    assert trained(shared, view, SMALL, 0) is method.model


def test_cosine_takes_the_vectors(ready, checkerboard):
    _, shared, view = ready
    cosine = Cosine(vectors=DnnVectors(SMALL), shared=shared)
    cosine.fit(view)
    scores = cosine.score(USERS, checkerboard.candidates(), view)
    assert np.abs(scores[:300]).max() <= 1 + 1e-5
    assert not scores[300:].any()


def test_a_fresh_method_reads_the_scoring_view(checkerboard, ready):
    method = YoutubeDnn(config=SMALL, fresh=True)
    early = checkerboard.log.view(300.0)
    method.fit(early)
    candidates = checkerboard.candidates((3, 33))
    late = method.score(USERS, candidates, checkerboard.seen)
    assert not np.array_equal(late, method.score(USERS, candidates, early))
