# What there is to do here; `make` lists it.  Everything uses the environment in $(VENV).
VENV ?= .venv
PYTHON ?= python3
BIN = $(VENV)/bin

.DEFAULT_GOAL = help
.PHONY: help build debug test test-c fuzz generate lint
.PHONY: $(shell awk -F: '/^bench-[a-z]+:/ { print $$1 }' $(MAKEFILE_LIST))

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-22s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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

fuzz: ## operations chosen by what they reach (needs clang with libFuzzer); ARGS="--seconds 1200"
	$(PYTHON) tests/fuzz_guided.py $(ARGS)

# ARGS="--quick --rounds 3 ...": what a benchmark is told.
bench-all: ## every benchmark in order, then pictures and tables; hours
	$(BIN)/python benchmarks/run_all.py $(ARGS)

bench-golden: ## instructions of each tier against the golden file (needs valgrind)
	$(BIN)/python benchmarks/golden.py $(ARGS)

bench-startup: ## start, exit, fork
	$(BIN)/python benchmarks/startup.py $(ARGS)

bench-go: ## against Go (needs go)
	$(BIN)/python benchmarks/against_go.py $(ARGS)

bench-threads: ## native threads, and Python's
	$(BIN)/python benchmarks/threads.py $(ARGS)

bench-growth: ## time against how much there is
	$(BIN)/python benchmarks/growth.py $(ARGS)

bench-pairs: ## malloc and free, timed
	$(BIN)/python benchmarks/run_pairs.py $(ARGS)

bench-instructions: ## the same, instructions (needs valgrind)
	$(BIN)/python benchmarks/instructions.py $(ARGS)

bench-programs: ## allocation-heavy scripts
	$(BIN)/python benchmarks/run_programs.py $(ARGS)

bench-profile: ## what the heap profile costs, beside tracemalloc and memray
	$(BIN)/python benchmarks/profile_cost.py $(ARGS)

bench-rss: ## memory given back after four scenarios
	$(BIN)/python benchmarks/run_rss.py $(ARGS)

bench-service: ## memory of a service under load
	$(BIN)/python benchmarks/run_service.py $(ARGS)

bench-pyperformance: ## pyperformance by turns
	$(BIN)/python benchmarks/run_pyperformance.py $(ARGS)

bench-counts: ## instructions of whole programs (needs valgrind)
	$(BIN)/python benchmarks/count_programs.py $(ARGS)

bench-plots: ## the pictures of growth and service, from results (needs matplotlib)
	$(BIN)/python benchmarks/growth.py --plot
	$(BIN)/python benchmarks/plot_service.py

bench-tables: ## fill the tables of the READMEs from results
	$(BIN)/python benchmarks/tables.py

generate: ## the table of size classes
	$(BIN)/python csrc/mksizeclass.py --write

lint: ## types of the Python files, floors and sizes of the C files
	$(BIN)/mypy --exclude '^goalloc/include/'
	$(BIN)/pytest tests/test_c_layers.py
