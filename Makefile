# Everything a person or a machine needs to do with this repository. `make` alone explains.
#
#   ARGS=...     passed on: make test ARGS="-k idset -x", make demo ARGS="--for 20s"
#   PYTHON=...   the interpreter to make .venv with; otherwise python3, or a newer one beside it

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := .venv/bin
STAMP := .venv/.installed
PYTHON ?= python3 python3.13 python3.12 python3.11
# A name on the PATH may be a shim without an interpreter behind it: only running it tells.
USABLE = import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))

.PHONY: help
help: ## Show what there is
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

.PHONY: install
install: $(STAMP) ## Make .venv with orchbridge and everything to work on it

$(STAMP): requirements.lock pyproject.toml
	@for python in $(PYTHON); do "$$python" -c '$(USABLE)' 2>/dev/null && break || python=; done; \
	if [ -z "$$python" ]; then \
	  echo "orchbridge needs Python 3.11 or newer with its venv module; looked at: $(PYTHON)." >&2; \
	  echo "On Debian and Ubuntu: apt-get install python3 python3-venv. Elsewhere: make install PYTHON=/path/to/python3" >&2; \
	  exit 1; \
	fi; \
	echo "Making .venv with $$python ($$("$$python" -V))"; \
	"$$python" -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: demo
demo: install ## Run simulator and bridge together: make demo ARGS="--for 20s"
	@$(BIN)/orchbridge demo $(ARGS)

.PHONY: lint
lint: install ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: test
test: lint ## Check everything: style, types, all tests
	$(BIN)/python -m pytest $(ARGS)

.PHONY: bench
bench: install ## Measure: make bench ARGS="..."
	@$(BIN)/python -m tests.bench $(ARGS)

KEPT := --results tests/chaos/results.jsonl --table

.PHONY: chaos
chaos: install ## Let the world go wrong for MINUTES=10; what comes of it goes into docs/reliability.md
	@$(BIN)/python -m tests.chaos --minutes $(or $(MINUTES),10) $(KEPT) $(ARGS)

.PHONY: soak
soak: install ## Watch the bridge's memory for MINUTES=60; that goes into docs/reliability.md too
	@$(BIN)/python -m tests.chaos.soak --minutes $(or $(MINUTES),60) $(KEPT) $(ARGS)

.PHONY: docs
docs: install ## Write docs/metrics.md, docs/api-coverage.md, dashboards and Kubernetes' rules anew from what they are made of
	@$(BIN)/python -m orchbridge.ops.reference > docs/metrics.md.draft
	@mv docs/metrics.md.draft docs/metrics.md
	@$(BIN)/python -m tests.api_coverage > docs/api-coverage.md.draft
	@mv docs/api-coverage.md.draft docs/api-coverage.md
	@$(BIN)/python -m deploy.grafana.boards
	@$(BIN)/python deploy/kubernetes/monitoring/rules.py

.PHONY: lock
lock: install ## Pin the newest dependencies that pyproject.toml allows, for all Pythons from 3.11
	@$(BIN)/python -m uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@echo 'setuptools>=77' | $(BIN)/python -m uv pip compile --quiet --upgrade --extra dev --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate pyproject.toml - -o requirements.lock

.PHONY: clean
clean: ## Remove .venv and whatever tools left behind
	rm -rf .venv build dist demo-data *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
