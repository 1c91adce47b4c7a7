# What there is to do here; `make` lists it.  Everything uses the environment in $(VENV).
VENV ?= .venv
PYTHON ?= python3
BIN = $(VENV)/bin

.DEFAULT_GOAL = help
.PHONY: help build debug test test-c bench instructions generate lint

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

build: $(BIN)/python ## install in place, with what the tests need
	$(BIN)/pip install -e '.[test]'

debug: $(BIN)/python ## the same, with symbols and checked lock order
	GOALLOC_DEBUG_BUILD=1 $(BIN)/pip install -e '.[test]'

test: ## all tests
	$(BIN)/pytest

test-c: ## the C core alone, under sanitizers
	$(BIN)/pytest tests/test_c_units.py tests/test_c_death.py tests/test_c_layers.py

bench: ## time malloc and free, and fill the tables
	$(BIN)/python benchmarks/run_pairs.py
	$(BIN)/python benchmarks/run_pairs.py --markdown
	$(BIN)/python benchmarks/summary.py

instructions: ## count instructions (needs valgrind), and fill the tables
	$(BIN)/python benchmarks/instructions.py
	$(BIN)/python benchmarks/run_pairs.py --markdown
	$(BIN)/python benchmarks/summary.py

generate: ## the table of size classes
	$(BIN)/python csrc/mksizeclass.py --write

lint: ## types of the Python files, floors and sizes of the C files
	$(BIN)/mypy --exclude '^goalloc/include/'
	$(BIN)/pytest tests/test_c_layers.py
