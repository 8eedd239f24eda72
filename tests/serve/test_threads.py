"""A process that serves takes one thread for a matrix product; looked at in processes of their own."""

import os
import subprocess
import sys

import pytest

from kinfolk.data.threads import usable

LOOK = """
{first}
from kinfolk.serve.threads import one_each
one_each()
import numpy, torch
from threadpoolctl import threadpool_info
print({{p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"}}, torch.get_num_threads())
"""


def threads(first="", **environment):
    kept = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    asked = [sys.executable, "-c", LOOK.format(first=first)]
    done = subprocess.run(asked, env=kept | environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("first", ["", "import numpy"])
def test_products_take_one_thread_whether_the_library_is_there_or_comes_later(first):
    assert threads(first) == "{1} 1"


@pytest.mark.skipif(usable(None) < 2, reason="one core is one thread anyway")
def test_the_environment_may_say_otherwise():
    assert threads(OMP_NUM_THREADS="2") == "{2} 2"
