# Needs make and Python 3.11 or newer; everything else goes into .venv and .venv-edge.
#
#   make demo    train, export, verify, bench and predict, in a few minutes
#   make test    lint, all tests, then the tests of the edge side without torch
#   make lint    ruff, mypy and the import contracts
#   make edge    the tests that pass with the base dependencies alone
#   make floors  those tests with the oldest versions of all packages that pyproject.toml allows
#   make attack  damage and malice by the thousand, for at most fifteen minutes; keeps the table
#   make lock    the versions that are developed with, and their digests
#   make extras  the tests of LiteRT, ncnn, OpenVINO and web pages, with their runtimes, the one
#                of microcontrollers, the compiler of pages and of C for other processors, and
#                Chromium and emulators where they are installed
#   make docs    the documentation, in build/site, with every link checked
#   make console the console blocks of the pages, from real runs on this machine
#   make examples  the examples' tests, with what the notebook and the Ray job need
#   make default BUNDLE=exports/model    make of that bundle the one that is shipped
#   make teacher BUNDLE=exports/model    make of it the one that recipes learn from
#   make clean   remove the environments and caches; bundles stay
#
# Another interpreter: make PYTHON=python3.13 demo

PYTHON ?= python3
VENV := .venv
EDGE := .venv-edge
FLOORS := .venv-floors

BUNDLE ?= exports/model
# Tests run in so many processes at a time, a file of them in one, where its fixtures are made.
WORKERS ?= 2
PYTEST := -m pytest --numprocesses $(WORKERS) --dist loadfile

.PHONY: demo test lint edge floors attack lock extras docs console examples default teacher clean
.DELETE_ON_ERROR:

demo: $(VENV)/train.stamp
	$(VENV)/bin/mnist-edge run

test: lint
	$(VENV)/bin/python $(PYTEST)
	$(MAKE) edge

lint: $(VENV)/dev.stamp
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

edge: $(EDGE)/test.stamp
	$(EDGE)/bin/python $(PYTEST) -m edge

floors: $(FLOORS)/test.stamp
	$(FLOORS)/bin/python $(PYTEST) -m edge

attack: $(VENV)/extras.stamp
	PYTHONPATH=.:tests:benchmarks $(VENV)/bin/python -m attack --out benchmarks/results

# To develop with just these: pip install --require-hashes --requirement requirements-dev.lock
lock: $(VENV)/dev.stamp
	$(VENV)/bin/python -m pip install --quiet uv
	$(VENV)/bin/uv pip compile pyproject.toml --extra train --group dev --universal \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
		--quiet --upgrade --output-file requirements-dev.lock

extras: $(VENV)/extras.stamp
	$(VENV)/bin/python -m pytest tests/formats/test_litert.py tests/formats/test_ncnn.py \
		tests/formats/test_web.py tests/formats/test_page.py tests/formats/test_edge_formats.py \
		tests/formats/test_openvino.py tests/formats/test_wishes.py \
		tests/formats/test_bad_runtimes.py tests/formats/test_backends.py \
		tests/formats/test_c_package.py benchmarks/tests/test_c_targets.py

docs: $(VENV)/docs.stamp
	$(VENV)/bin/python tools/pages.py

console: $(VENV)/train.stamp
	$(VENV)/bin/python tools/console.py

examples: $(VENV)/examples.stamp
	$(VENV)/bin/python -m pytest tests/test_examples.py

default: SHIPPED := default
teacher: SHIPPED := large
default teacher: $(VENV)/train.stamp
	$(VENV)/bin/python tools/ship.py $(BUNDLE) exports/$(SHIPPED)

clean:
	rm -rf $(VENV) $(EDGE) $(FLOORS) build dist
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find mnist_edge tests benchmarks tools -name __pycache__ -exec rm -rf {} +

# A stamp is newer than what it was installed from, so a second call installs nothing.
# pip is upgraded because it knows dependency groups only from 25.1 on.
$(VENV)/train.stamp: pyproject.toml $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/bin/python -m pip install --quiet --editable '.[train]'
	touch $@

$(VENV)/dev.stamp: pyproject.toml $(VENV)/train.stamp
	$(VENV)/bin/python -m pip install --quiet --group dev
	touch $@

$(VENV)/extras.stamp: pyproject.toml $(VENV)/dev.stamp
	$(VENV)/bin/python -m pip install --quiet --editable '.[litert,ncnn,web,openvino,tflm]' \
		--group extras
	touch $@

$(VENV)/docs.stamp: pyproject.toml $(VENV)/train.stamp
	$(VENV)/bin/python -m pip install --quiet --group docs
	touch $@

$(VENV)/examples.stamp: pyproject.toml $(VENV)/dev.stamp
	$(VENV)/bin/python -m pip install --quiet --group examples
	touch $@

$(FLOORS)/test.stamp: pyproject.toml $(FLOORS)/bin/python
	$(FLOORS)/bin/python -m pip install --quiet uv
	$(FLOORS)/bin/uv pip install --quiet --python $(FLOORS)/bin/python \
		--resolution lowest-direct --editable . --group test
	touch $@

$(EDGE)/test.stamp: pyproject.toml $(EDGE)/bin/python
	$(EDGE)/bin/python -m pip install --quiet --upgrade pip
	$(EDGE)/bin/python -m pip install --quiet --editable . --group test
	touch $@

%/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $*
