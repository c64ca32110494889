# make demo   a WaveNet trained on this machine, and what it has to say
# make test   lint, types and the whole test suite, on the CPU
# make lint   the first two alone
#
# Each makes .venv when it is missing or older than what it is made from.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test lint clean

demo: .venv/.demo
	$(BIN)/python -m experiments.demo

test: lint
	JAX_PLATFORMS=cpu $(BIN)/python -m pytest --numprocesses=auto --dist=worksteal

lint: .venv/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/shellcheck launch_tpu.sh .ci/run

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than Python 3.11: say make PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.demo: setup.cfg constraints.txt | .venv/bin/python
	$(PIP) install --quiet --constraint constraints.txt --editable '.[demo]'
	@touch $@

.venv/.test: setup.cfg constraints.txt | .venv/bin/python
	$(PIP) install --quiet --constraint constraints.txt --editable '.[demo,test]'
	@touch $@ .venv/.demo

clean:
	rm -rf .venv build *.egg-info .*_cache
