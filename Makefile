# `make help` lists the targets. Paths are relative, so that a folder with spaces in its name works.
# Settings: PYTHON=/path/to/python3.12 chooses the Python, NEED_GB=4 the disk space asked for.

.DEFAULT_GOAL := help
.PHONY: help setup book pdf notebooks test check lint format clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

setup: ## make .venv and install the project into it; safe to repeat
	@sh scripts/setup.sh

book: setup ## build the HTML book; notebooks that are not current are executed
	@.venv/bin/asgml book

pdf: setup ## print the whole book to _build/book.pdf; needs Chromium or Chrome
	@.venv/bin/asgml book --pdf

notebooks: setup ## execute the committed notebooks that are not current, with texts and figures
	@.venv/bin/asgml notebooks

test: lint ## lint, then run the tests but the slow ones
	.venv/bin/pytest -n 2 --dist loadfile

check: lint ## lint, then run every test, the slow ones too
	.venv/bin/pytest -n 2 --dist loadfile -m ""

lint: setup ## check style and formatting, change nothing
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

format: setup ## fix what the linter can fix, and format the code
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

clean: ## remove the built book and all caches; keeps .venv, data and outputs
	rm -rf _build book/_build build *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . \( -path ./.venv -o -path ./.git -o -path ./data -o -path ./outputs \) -prune -o \
		-type d \( -name __pycache__ -o -name .ipynb_checkpoints \) -exec rm -rf {} +
