"""A feed small enough for an experiment's every training to take a moment."""

import pytest


@pytest.fixture(scope="session")
def tiny_log():
    from kinfolk.data.synthetic import Config, load

    return load(Config(n_users=500, days=4, births_per_hour=0.5, seed=1))


@pytest.fixture(scope="session")
def tiny_terms(tiny_log):
    from dataclasses import replace

    from kinfolk.evaluate.protocol import defaults
    from kinfolk.reproduce.quick import few

    sizes = {"n": (3, 5), "min_positives": 2, "min_negatives": 10, "min_later": 3, "simulate_min_clickers": 10}
    return replace(few(defaults("synthetic", tiny_log)), **sizes)


@pytest.fixture
def asked(tiny_log, tiny_terms):
    """Run an experiment on the tiny feed in its quick form; returns the outcome and what it told on the way."""
    from kinfolk.reproduce.experiments import load
    from kinfolk.reproduce.kept import Kept

    def run(which, seeds=(0,), kept=None, **more):
        steps = []
        outcome = load(which)(
            tiny_log, tiny_terms, seeds, dataset="synthetic", kept=kept or Kept(), quick=True,
            on_step=lambda *step: steps.append(step), **more,
        )  # fmt: skip
        return outcome, steps

    return run
