# `make` lists what there is to do. Every target sets up what it needs on a bare Debian 12 machine.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DISTRIBUTIONS := confidential-summarizer confidential-summarizer-workload confidential-summarizer-sandbox
MANIFESTS := deploy/base/operator.yaml
CRDS := crds charts/confidential-summarizer/files

.PHONY: help demo demo-down setup setup-sandbox test test-fast lint lint-chart lint-workflows docs changelog format release-images crds manifests screenshots bench chaos mutants lock clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

demo: setup setup-sandbox ## from kubectl apply to summaries of sealed text, all on this machine (DEMO_ONCE=1: end afterwards)
	@$(BIN)/python -m demo $(if $(DEMO_ONCE),--once) $(if $(MODEL),--model "$(MODEL)")

demo-down: ## stop everything that the demo started
	@if [ -x $(BIN)/csum ]; then $(BIN)/csum sandbox down; fi

setup: $(VENV)/.ready ## the virtual environment, from the lock; Python alone, no root

$(VENV)/.ready: pyproject.toml workload/pyproject.toml sandbox/pyproject.toml requirements.lock
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --only-binary=:all: -r requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e . -e workload -e sandbox
	@touch $@

setup-sandbox: ## Debian packages of the sandbox, as root
	@bash sandbox/setup.sh

test: setup setup-sandbox lint lint-chart lint-workflows docs ## everything that CI runs: lint, unit, component, oracle and end-to-end tests
	@$(BIN)/python -m pytest -m "not bench"

test-fast: setup ## the tests that need no cluster and no builds, in under two minutes
	@$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow and not e2e and not oracle and not reference and not bench"

lint: setup ## ruff, mypy, import contracts; Python alone
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

lint-chart: setup ## helm lint; builds helm once
	@$(BIN)/python -m azure_sandbox.built_programs helm lint charts/confidential-summarizer

lint-workflows: setup ## actionlint on .github/workflows, and whether the changelog's fragments can be read
	@$(BIN)/python -m azure_sandbox.golang github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
	@$(BIN)/towncrier build --draft --version 0.0.0 >/dev/null 2>&1 || $(BIN)/towncrier build --draft --version 0.0.0

docs: setup ## the documentation as a site in build/docs; a link that leads nowhere is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

changelog: setup ## put the fragments in changes/ into CHANGELOG.md: make changelog VERSION=1.2.3
	@$(BIN)/towncrier build --yes --version $(VERSION)

format: setup ## rewrite the code in the house style
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

release-images: setup ## build and push REPOSITORY/summarizer:TAG and operator:TAG, and list the summarizer in the wheel
	@$(BIN)/python -m demo.release "$(REPOSITORY)" "$(TAG)"

crds: setup ## write the CRDs from the models
	@$(BIN)/python -m confidential_summarizer.api.crd $(CRDS)

manifests: setup ## write deploy/base from the chart, for kustomize; builds helm once
	@$(BIN)/python -m azure_sandbox.built_programs helm template confidential-summarizer charts/confidential-summarizer \
		--namespace confidential-summarizer --set image.repository=confidential-summarizer,crds.enabled=false > $(MANIFESTS)

screenshots: setup ## take the pictures of the page in docs/
	@$(BIN)/python -m tests.support.screenshots

bench: setup ## speed and memory against the raw tools, and what a thousand resources cost the operator
	@$(BIN)/python -m pytest tests/bench -m bench -s --no-header -q

chaos: setup setup-sandbox ## a long run among failing services, the operator killed again and again: make chaos SEED=1 FAULTS=1000
	@$(BIN)/python -m tests.support.chaos $(or $(SEED),1) $(or $(FAULTS),1000)

mutants: setup ## change MODULE in every small way, and count the changes that its tests notice (TESTS=tests/unit/…)
	@$(BIN)/python -m tests.mutants "$(MODULE)" $(TESTS)

lock: setup ## write requirements.lock from what pyproject.toml allows today
	@printf '%s\n' '.[operator,owner,dev]' ./workload ./sandbox | $(BIN)/uv pip compile - -q --universal --python-version 3.11 --generate-hashes --no-header $(foreach each,$(DISTRIBUTIONS),--no-emit-package $(each) --refresh-package $(each)) -o requirements.lock

clean: demo-down ## remove what was made in this tree; caches of built tools stay
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
