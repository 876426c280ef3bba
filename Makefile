# make demo · make test · make test-all · make train · make lint · make bench
# What they run, for people without make, is in README.md.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --disable-pip-version-check --quiet
ARGS ?=

.PHONY: demo test test-all train lint bench

demo: $(VENV)/.demo
	$(BIN)/python app.py

# Every promise in small, in minutes.
test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" $(ARGS)

# Everything: real trainings, the browser at length, npm, fuzzing, endurance.
test-all: $(VENV)/.dev lint
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

# Pass arguments of train.py as ARGS="--dataset_name path/to/folder --num_train_epochs 3".
train: $(VENV)/.all
	$(BIN)/python train.py $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

# Trains every row of the results' tables that has no result yet (hours), then writes the tables.
# FOLDER holds the public sets: make bench ARGS="--data FOLDER".
bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks.quality.accuracy $(ARGS)
	$(BIN)/python -m benchmarks.readme

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: requirements-demo.txt | $(VENV)/bin/python
	@echo "Installing what the demo needs into $(VENV)/ (about 770 MB, once)"
	$(PIP) -r requirements-demo.txt
	@touch $@

$(VENV)/.all: requirements.txt requirements-demo.txt | $(VENV)/bin/python
	@echo "Installing what training needs into $(VENV)/ (about 2.1 GB, once)"
	$(PIP) -r requirements.txt
	@touch $@ $(VENV)/.demo

$(VENV)/.dev: requirements.txt requirements-demo.txt requirements-dev.txt | $(VENV)/bin/python
	@echo "Installing what the tests need into $(VENV)/ (about 2.4 GB, once)"
	$(PIP) -r requirements-dev.txt
	@touch $@ $(VENV)/.demo $(VENV)/.all

$(VENV)/.bench: requirements.txt requirements-demo.txt requirements-dev.txt requirements-bench.txt | $(VENV)/bin/python
	@echo "Installing what the benchmarks need into $(VENV)/ (once)"
	$(PIP) -r requirements-bench.txt
	@touch $@ $(VENV)/.demo $(VENV)/.all $(VENV)/.dev
