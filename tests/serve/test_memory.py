"""However many threads allocate, a process that serves has two heaps."""

import ctypes
import os
import subprocess
import sys

import pytest

COUNT = """
import ctypes, os, sys, tempfile, threading
from kinfolk.serve.memory import settle
done = settle() if sys.argv[1] == "settled" else None
c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes, c.fopen.restype = ctypes.c_void_p, [ctypes.c_size_t], ctypes.c_void_p
c.malloc_info.argtypes, c.fclose.argtypes = [ctypes.c_int, ctypes.c_void_p], [ctypes.c_void_p]
together = threading.Barrier(12)
def allocate():
    together.wait()
    for _ in range(100):
        c.malloc(1000)
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(12)]
for t in threads: t.start()
for t in threads: t.join()
with tempfile.NamedTemporaryFile() as out:
    file = c.fopen(out.name.encode(), b"w")
    c.malloc_info(0, file)
    c.fclose(file)
    print(done, out.read().decode().count("<heap nr="))
"""


def heaps(how, **environment):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    told = subprocess.run(
        [sys.executable, "-c", COUNT, how], env={**kept, **environment}, capture_output=True, text=True, check=True
    )
    done, n = told.stdout.split()
    return done, int(n)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="only glibc has such heaps")
def test_threads_share_two_heaps():
    assert heaps("as it is")[1] > 2
    assert heaps("settled") == ("True", 2)


def test_an_operator_may_say_otherwise(monkeypatch):
    from kinfolk.serve.memory import settle

    monkeypatch.setenv("MALLOC_ARENA_MAX", "5")
    assert not settle()
    monkeypatch.delenv("MALLOC_ARENA_MAX")
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.arena_max=5")
    assert not settle()


def test_what_is_set_apart_is_not_searched_and_what_comes_later_is():
    script = """
import gc, weakref
from kinfolk.serve.memory import set_apart
class Knot:
    def __init__(self):
        self.me = self
old, alone = Knot(), type("Alone", (), {})()
seen_old, seen_alone = weakref.ref(old), weakref.ref(alone)
set_apart()
new = Knot()
seen_new = weakref.ref(new)
del old, alone, new
gc.collect()
print(seen_old() is not None, seen_alone() is None, seen_new() is None, len(gc.get_objects()) < gc.get_freeze_count())
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["True"] * 4


def test_a_start_is_not_searched_and_what_follows_is():
    script = """
import gc
from kinfolk.serve.memory import set_apart, unsearched
said = []
with unsearched():
    said.append(not gc.isenabled())
    set_apart()
    said.append(gc.isenabled())
try:
    with unsearched():
        raise OSError
except OSError:
    said.append(gc.isenabled())
gc.disable()
with unsearched():
    pass
said.append(not gc.isenabled())
print(*said)
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["True"] * 4
