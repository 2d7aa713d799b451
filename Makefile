# Set-up, demonstration and checks. `make demo` and `make test` need only Python and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test lint benchmarks-quick benchmarks clean

demo: $(VENV)/demo.installed
	$(BIN)/python -m sklearn_jedi.demo --out demo.png

test: $(VENV)/test.installed
	$(BIN)/python -m pytest

lint: $(VENV)/test.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

benchmarks-quick: $(VENV)/demo.installed
	$(BIN)/python -m benchmarks --quick

benchmarks: $(VENV)/demo.installed
	$(BIN)/python -m benchmarks --seeds 5

$(VENV)/demo.installed: pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'sklearn-jedi needs Python 3.11 or newer; choose one with: make PYTHON=python3.12 demo')"
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q -c constraints.txt -e '.[plot]'
	touch $@

$(VENV)/test.installed: $(VENV)/demo.installed
	$(PIP) install -q -c constraints.txt -e '.[test]'
	touch $@

clean:
	rm -rf $(VENV) demo.png build dist *.egg-info
