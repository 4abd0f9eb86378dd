# `make` or `make help` lists what there is.

.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
T ?= tests
N ?= 2
HTMX := htmx.org@2.0.11
HTMX_SHA256 := 165a2655073e9e6e55e307a7c74e8ebcdb76afb7701f9c16cfd106a13add408e

##@ Everyday

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(READY) ## Make .venv from the hashed lock

# uv comes from the lock too: its own hashes are cut out of it for pip.
$(READY): requirements.lock
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(BIN)/uv || { \
		awk '/^[^ ]/ { wanted = /^uv==/ } wanted' requirements.lock > .venv/uv.lock && \
		$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r .venv/uv.lock; }
	@VIRTUAL_ENV=.venv $(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes requirements.lock
	@touch $@

.PHONY: run
run: setup ## Run portal, jobs and demo API on this machine
	@exec $(BIN)/python app.py

.PHONY: demo
demo: setup ## Run the same with ten weeks of made-up life, in instance/demo
	@exec $(BIN)/python -m examples.demo_data

##@ Proof

.PHONY: test
test: setup test-tools ## Run the suite (T=path narrows it)
	@$(BIN)/python -m pytest -n $(N) -m "not long" $(T)

.PHONY: test-browser
test-browser: setup test-tools ## Run only what drives a real Chromium
	@$(BIN)/python -m pytest -m browser

.PHONY: test-all
test-all: setup test-tools ## Run the long proofs too
	@$(BIN)/python -m pytest -n $(N) $(T)

# Says what it could not get; the tests then skip, or fail where CI=true.
.PHONY: test-tools
test-tools:
	@sh .ci/test-tools

.PHONY: lint
lint: setup types imports ## Check style, types, imports and templates
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/djlint templates --check --lint

.PHONY: types
types: setup ## Check types
	@$(BIN)/mypy

.PHONY: imports
imports: setup ## Check that slices depend downwards
	@$(BIN)/lint-imports

.PHONY: fix
fix: setup ## Repair what tools can repair
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@-$(BIN)/djlint templates --reformat --quiet

.PHONY: bench
bench: setup ## Measure, next to peers and to the machine's own limits
	@$(BIN)/python -m bench

.PHONY: golden
golden: setup ## Keep what a release says on the wire, for the tests of later ones (V=0.2.0)
	@test -n "$(V)" || { echo 'make golden V=0.2.0'; exit 2; }
	@$(BIN)/python -m tests.contract.golden "$(V)"

##@ Database

.PHONY: migrate
migrate: setup ## Bring the database up to date
	@$(BIN)/flask --app app db upgrade

.PHONY: rollback
rollback: setup ## Take the last migration back
	@$(BIN)/flask --app app db downgrade

.PHONY: revision
revision: setup ## Write a migration from the models (M="what it does")
	@test -n "$(M)" || { echo 'make revision M="what it does"'; exit 2; }
	@$(BIN)/flask --app app db revision -m "$(M)"

##@ Files

.PHONY: assets
assets: ## Keep a copy of htmx here, for readers whom the CDN does not reach
	@mkdir -p static/local
	@npm pack --silent --pack-destination static/local $(HTMX) > /dev/null
	@echo "$(HTMX_SHA256)  static/local/htmx.org-2.0.11.tgz" | sha256sum --check --quiet
	@tar -xzOf static/local/htmx.org-2.0.11.tgz package/dist/htmx.min.js > static/local/htmx.js
	@rm static/local/htmx.org-2.0.11.tgz

.PHONY: clean
clean: ## Remove what was made here, but neither .venv nor data
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage htmlcov
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
