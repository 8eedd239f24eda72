# Two commands do everything: `make demo` (the main job, core install only) and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt
DATA   ?= synthetic
DIR    ?=
OUT    ?= demo
SEED   ?= 0
MINUTES ?= 20

.PHONY: help system setup demo test test-full lint types contracts unit bench soak clean
.DEFAULT_GOAL := help

help: ## what there is to make
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "kinfolk needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) -e .
	@touch $@

$(VENV)/.all: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) -e ".[dev,bench,lightgbm,redis]"
	@touch $@ $(VENV)/.core

# numba keeps a compiled loop for as long as its own file stays the same, whatever becomes of the loops it calls.
$(VENV)/.kernels: $(BIN)/python $(shell find src -name '*.py')
	@find src -name '*.nb[ic]' -delete
	@touch $@

setup: $(VENV)/.all $(VENV)/.kernels ## .venv with every extra and every benchmark peer

demo: $(VENV)/.core $(VENV)/.kernels ## the main job: make demo [DATA=kuairand|globo|movielens-1m DIR=folder]
	$(BIN)/kinfolk demo --data-set $(DATA) $(if $(DIR),--data $(DIR)) --out $(OUT) --seed $(SEED)

test: system setup lint types contracts unit ## lint, types, import contracts and all tests (heavy ones with reduced counts)

test-full: system setup lint types contracts ## as test, with full counts
	KINFOLK_FULL=1 $(BIN)/python -m pytest -q -rs -n 2 --dist loadfile

# A real Redis for the tests of the shared store. RUNLEVEL keeps Debian from starting one of its own.
system: ## programs the tests start: redis-server
	@command -v redis-server >/dev/null || command -v valkey-server >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -q && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -q redis-server; \
	  else false; fi; } || \
	  echo "tests on Redis will be skipped: install it first (Debian: apt-get install redis-server; macOS: brew install redis)" >&2

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

contracts:
	$(BIN)/lint-imports

unit:
	$(BIN)/python -m pytest -q -rs -n 2 --dist loadfile

bench: setup ## every benchmark of speed, one after the other; their table goes into docs/performance.md
	$(BIN)/python benchmarks/all.py --write docs/performance.md
	$(BIN)/python benchmarks/serve.py
	$(BIN)/python benchmarks/sizes.py

soak: setup ## a server under load for twenty minutes: memory flat, nothing refused (MINUTES=20)
	$(BIN)/python benchmarks/soak.py --minutes $(MINUTES)

clean: ## forget what was built
	rm -rf $(VENV) $(OUT) .mypy_cache .ruff_cache .pytest_cache
