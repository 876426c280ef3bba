# make demo · make test · make train · make lint · make bench — plain commands for people without make are in README.md

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: demo test train lint bench

demo: $(VENV)/.demo
	$(BIN)/python app.py

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(ARGS)

# Pass flags of train.py as ARGS="--dataset_name path/to/folder --num_train_epochs 3".
train: $(VENV)/.demo
	$(BIN)/python train.py $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

# Trains every row of the README's table that has no result yet (hours), then writes the table.
bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks.quality.accuracy $(ARGS)
	$(BIN)/python -m benchmarks.readme

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: requirements.txt | $(VENV)/bin/python
	$(BIN)/pip install --disable-pip-version-check --quiet -r requirements.txt
	touch $@

$(VENV)/.dev: requirements.txt requirements-dev.txt | $(VENV)/bin/python
	$(BIN)/pip install --disable-pip-version-check --quiet -r requirements-dev.txt
	touch $@ $(VENV)/.demo
