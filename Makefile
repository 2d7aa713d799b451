# Set-up, demonstration and checks. `make demo` and `make test` need only Python and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: installed demo test test-matrix test-oldest test-newest dist lint docs benchmarks-quick benchmarks clean

demo: $(VENV)/demo.installed
	$(BIN)/sklearn-jedi demo --out demo

# On all cores, each with one thread; tests of a file share their fits. In their own
# order, which ends with small files: none is left to one core alone.
test: $(VENV)/test.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

# Every test on the oldest and on the newest versions supported. NEWEST can hold a
# library back: make NEWEST='torch==2.13.0' test-newest
PYTHON_OLDEST ?= python3.11
PYTHON_NEWEST ?= python3
NEWEST ?=

test-matrix: test-oldest test-newest

test-oldest:
	$(PYTHON_OLDEST) -m venv $(VENV)-oldest
	$(VENV)-oldest/bin/python -m pip install -q -c constraints-oldest.txt -e '.[test]'
	$(VENV)-oldest/bin/python -m pytest

test-newest:
	$(PYTHON_NEWEST) -m venv $(VENV)-newest
	$(VENV)-newest/bin/python -m pip install -q -U --upgrade-strategy eager -e '.[test]' $(NEWEST)
	$(VENV)-newest/bin/python -m pytest

# Builds the sdist and from it the wheel, which must hold the package, whole, and nothing
# else, and whose doctests must pass where nothing but it and its extras are installed.
dist: $(VENV)/test.installed
	rm -rf build dist
	$(PIP) install -q -c constraints.txt build
	$(BIN)/python -m build
	mkdir -p build
	find sklearn_jedi -type f ! -path '*/__pycache__/*' | sort > build/package
	$(BIN)/python -m zipfile -l dist/*.whl | awk '$$1 ~ "/" && $$1 !~ ".dist-info/" {print $$1}' | sort | diff build/package -
	$(PYTHON) -m venv build/venv
	build/venv/bin/python -m pip install -q -c constraints.txt pytest "$$(ls dist/*.whl)[io,plot]"
	cd build && venv/bin/python -m pytest -c ../setup.cfg --pyargs sklearn_jedi
	cd build && ../$(BIN)/mypy --config-file= --strict --python-executable venv/bin/python -c 'import sklearn_jedi'

lint: $(VENV)/test.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Two examples of the gallery run at a time, each on one thread.
docs: $(VENV)/docs.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -j 2 docs docs/_build/html

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

$(VENV)/docs.installed: $(VENV)/demo.installed
	$(PIP) install -q -c constraints.txt -e '.[docs]'
	touch $@

# Everything in one call, which is quicker than one after the other.
installed:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q -c constraints.txt -e '.[test,docs]'
	touch $(VENV)/demo.installed $(VENV)/test.installed $(VENV)/docs.installed

clean:
	rm -rf $(VENV) $(VENV)-oldest $(VENV)-newest demo build dist docs/_build docs/auto_examples docs/generated *.egg-info
