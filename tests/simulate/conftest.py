import pytest

from kinfolk.simulate.play import as_log, warm_up
from kinfolk.simulate.ranker import Ranker
from kinfolk.simulate.world import STEPS_AN_HOUR, World, WorldConfig


@pytest.fixture(scope="session")
def world():
    """Some 12,000 impressions a simulated day."""
    return World(WorldConfig(seed=3, users=4000, warm_up_hours=48, hours=12))


@pytest.fixture(scope="session")
def before(world):
    return warm_up(world)


@pytest.fixture(scope="session")
def log(world, before):
    return as_log(world, before)


@pytest.fixture(scope="session")
def ranker(world, before, log):
    made = Ranker(log, world.config.list_length)
    made.warm(before, STEPS_AN_HOUR)
    return made
