# raylake: `make demo` and `make test` do all set-up by themselves.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench lock clean

help: ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(READY) ## The year of flights, from raw files to a model that retrains itself (ARGS="--fast --keep --json")
	$(BIN)/raylake demo $(ARGS)

test: $(READY) ## The whole test suite (ARGS="-k word" for a part)
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

lint: $(READY) ## ruff format and check, mypy --strict, import layers
	$(BIN)/ruff format --check platform tests cluster conftest.py
	$(BIN)/ruff check platform tests cluster conftest.py
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## Rewrite the code in the project's format
	$(BIN)/ruff format platform tests cluster conftest.py
	$(BIN)/ruff check --fix platform tests cluster conftest.py

bench: $(READY) ## Benchmarks against peers; prints a table and writes bench.json
	$(BIN)/python tests/bench/run.py $(ARGS)

lock: ## Write requirements.lock from the virtual environment
	.ci/lock

clean: ## Remove the virtual environments and caches (never a workspace)
	rm -rf $(VENV) .venvs .mypy_cache .ruff_cache .pytest_cache

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "no python3.11 found: install Python 3.11 or run make PYTHON=/path/to/python3.11"; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11))' || { echo "$(PYTHON) is older than Python 3.11: run make PYTHON=/path/to/python3.11"; exit 2; }
	"$(PYTHON)" -m venv $(VENV) || { echo "the venv module is missing: on Debian, apt-get install python3.11-venv"; exit 2; }
	$(PIP) install --quiet 'pip>=25' 'wheel>=0.45' 'setuptools>=80'
	$(PIP) install --quiet -r requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $(READY)
