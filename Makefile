# The commands of every day; `make` lists them. ARGS is handed on: make test ARGS="-k framing", make run ARGS="-d public".
.DEFAULT_GOAL := help
.PHONY: help run test lint judge translations matrix
BIN := .venv/bin

help: ## List these commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

.venv/installed: pyproject.toml
	python3 -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable . --group test --group lint --group types ./tests/tox_plugin
	touch $@

run: .venv/installed ## Serve a directory (this one, if ARGS names none)
	$(BIN)/greenserver $(ARGS)

test: .venv/installed ## Run the quick tests on this interpreter
	$(BIN)/pytest -n 2 -m "not once and not hypothesis" $(ARGS)

lint: .venv/installed ## Check style, contracts of imports, and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

judge: .venv/installed ## Judge greenserver by the conformance suite
	$(BIN)/conformance run --fail-on should --serve "$(BIN)/greenserver -p {port} -d {dir} --quiet" $(ARGS)

translations: .venv/installed ## Renew the translations of the suite, and say what is left to translate
	$(BIN)/python -m tests.conformance.translations

matrix: .venv/installed ## Run everything on every interpreter that is installed
	$(BIN)/tox run-parallel $(ARGS)
