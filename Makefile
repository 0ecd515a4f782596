# `make` lists what there is to do. Every target sets up what it needs on a bare Debian 12 machine.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := operator owner workload sandbox dev
CRDS := crds/confidentialsummarizers.yaml charts/confidential-summarizer/files/confidentialsummarizers.yaml

.PHONY: help demo demo-down setup test test-fast lint format crds bench lock clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: setup ## from kubectl apply to summaries of sealed text, all on this machine (DEMO_ONCE=1: end afterwards)
	@$(BIN)/python -m azure_sandbox.demo $(if $(DEMO_ONCE),--once) $(if $(MODEL),--model "$(MODEL)")

demo-down: ## stop everything that the demo started
	@if [ -x $(BIN)/csum ]; then $(BIN)/csum sandbox down; fi

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml requirements.lock sandbox/packages.txt sandbox/setup.sh
	@bash sandbox/setup.sh "$(PYTHON)" "$(VENV)"
	@touch $@

test: setup lint ## everything that CI runs: lint, unit, component, oracle and end-to-end tests
	@$(BIN)/python -m pytest -m "not bench"

test-fast: setup ## the tests that need no cluster and no builds, in under two minutes
	@$(BIN)/python -m pytest -m "not slow and not e2e and not oracle and not reference and not bench"

lint: setup ## ruff, mypy, import contracts, stale CRDs, chart
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m azure_sandbox.helm lint charts/confidential-summarizer

format: setup ## rewrite the code in the house style
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

crds: setup ## write the CRD from the models
	@$(BIN)/python -m confidential_summarizer.api.crd $(CRDS)

bench: setup ## speed and memory against the raw tools, as ratios measured in one run
	@$(BIN)/python -m pytest tests/bench -m bench -s --no-header -q

lock: setup ## write requirements.lock from what pyproject.toml allows today
	@$(BIN)/pip install -q pip-tools
	@$(BIN)/pip-compile -q --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header $(EXTRAS:%=--extra %) -o requirements.lock pyproject.toml

clean: demo-down ## remove what was made in this tree; caches of built tools stay
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
