# The two commands a newcomer needs: `make serve` and `make test`. Everything lives in .venv; `make clean` removes it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: serve test bench limits check format clean

serve: $(VENV)/.serve
	$(BIN)/python app.py serve $(ARGS)

# Two files at a time, one thread of PyTorch's each: with more they wait for each other.
test: $(VENV)/.dev
	$(BIN)/python -m limits.chromium
	$(BIN)/python -m limits.npm limits/packages tests/support/provider
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

bench: $(VENV)/.dev
	$(BIN)/python -m bench $(ARGS)

limits: $(VENV)/.dev
	$(BIN)/python app.py limits $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Portico needs Python 3.11 or newer; name one with: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.serve: requirements.txt | $(VENV)/bin/python
	@echo "Installing into $(VENV): a few minutes and up to 2 GB of disk, the first time only."
	$(BIN)/pip install --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt requirements.txt | $(VENV)/bin/python
	$(BIN)/pip install --disable-pip-version-check -q -r requirements-dev.txt
	@touch $@ $(VENV)/.serve
