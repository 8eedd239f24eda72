"""Compiled loops: numba hands `fastmath` on to what a loop calls, unless that says itself what it may do."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from numba.core.dispatcher import Dispatcher

import kinfolk


def compiled() -> dict[str, Dispatcher]:
    """Every compiled function of the package by its full name."""
    found = {}
    for info in pkgutil.walk_packages(kinfolk.__path__, "kinfolk."):
        if info.name.endswith("__main__"):
            continue
        module = importlib.import_module(info.name)
        for value in vars(module).values():
            if isinstance(value, Dispatcher):
                found[f"{value.py_func.__module__}.{value.py_func.__name__}"] = value
    return found


def called(function: Dispatcher) -> list[Dispatcher]:
    """Compiled functions that it names, alone or behind a module's name."""
    names, known = function.py_func.__code__.co_names, function.py_func.__globals__
    modules = [known[n] for n in names if isinstance(known.get(n), ModuleType)]
    values = [known.get(n) for n in names] + [getattr(m, n, None) for m in modules for n in names]
    return [v for v in values if isinstance(v, Dispatcher)]


def test_what_a_loose_loop_calls_says_itself_how_exact_it_is() -> None:
    """Else its bits depend on who was compiled first: sums in another order, or rounding that is undone."""
    every = compiled()
    loose = {name: f for name, f in every.items() if f.targetoptions.get("fastmath")}
    assert len(loose) > 10
    silent = {
        f"{name} calls {other.py_func.__name__}"
        for name, f in loose.items()
        for other in called(f)
        if "fastmath" not in other.targetoptions
    }
    assert not silent
    assert any(called(f) for f in loose.values())
