# One command for each thing a contributor does. Needs make and Python 3.11 or newer, nothing else.
# The virtual environment .venv is made on first use and again when a pin changes.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime-installed
TOOLS := $(VENV)/.tools-installed
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

# The first interpreter that is new enough and can make virtual environments; PYTHON=… overrides.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	if "$$name" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' \
	>/dev/null 2>&1; then command -v "$$name"; break; fi; done)

# What check and format look at.
CODE := src tests examples bench .ci

.PHONY: help demo test check format bench reference lock install clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(RUNTIME) ## Run the weather flow, then break it and look at what happened
	@$(BIN)/python examples/weather/demo.py

test: check ## Run every check and every test, with coverage
	@$(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term:skip-covered --durations=10

check: $(TOOLS) ## Formatting, lint rules, types and the direction of imports
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(TOOLS) ## Format the code and mend what ruff can mend
	@$(BIN)/ruff format $(CODE)
	@$(BIN)/ruff check --fix $(CODE)

bench: $(RUNTIME) ## Measure speed and memory against raw limits (QUICK=1 for a short one)
	@$(BIN)/python bench/run.py $(if $(QUICK),--quick) $(BENCH)

install: $(TOOLS) ## Make .venv with the package and all tools

reference: $(RUNTIME) ## Write the pages of the reference that come from the program itself
	@$(BIN)/python .ci/reference.py

lock: $(RUNTIME) ## Resolve all dependencies anew and pin them
	@$(BIN)/python .ci/lock.py

clean: ## Remove .venv, caches and whatever was built
	@rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache \
		.ruff_cache .import_linter_cache
	@find src tests examples bench .ci -type d -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Tailrace needs Python 3.11 or newer with its venv module, and none" \
		"was found on PATH; install it (Debian and Ubuntu: apt install python3-venv)," \
		"or name one: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "making $(VENV) with $(PYTHON)" >&2
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		f"Tailrace needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}")'
	@"$(PYTHON)" -m venv $(VENV)

$(RUNTIME): pyproject.toml requirements.txt | $(BIN)/python
	@echo "installing Tailrace" >&2
	@$(PIP) install --requirement requirements.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(TOOLS): requirements-dev.txt $(RUNTIME)
	@echo "installing the tools" >&2
	@$(PIP) install --requirement requirements-dev.txt
	@touch $@
