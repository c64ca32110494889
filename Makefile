# make speak  a sentence spoken by a trained model: make speak TEXT="the curious judge"
# make app    a page that speaks what is typed, while it is generated
# make demo   a WaveNet trained on this machine, and what it has to say
# make test   lint, types and the test suite, on the CPU
# make test-long  the tests that the suite leaves out: more models, voices and signals
# make lint   the first two alone
# make soak   programs killed at random moments, KILLS times (200)
# make fuzz   every reader given what nobody wrote, for MINUTES (60)
# make memory programs watched on a corpus of GIGABYTES (10)
# make clean  removes .venv and what was built
#
# All but the last make .venv when it is missing or older than what it is made from: with python3,
# or with the one that is asked for, such as make test PYTHON=python3.13.

PYTHON ?= python3
BIN := .venv/bin

# Two lines of versions are proven: that of Python 3.11, and the newest, for every later Python.
LINE = $(shell $(BIN)/python -c 'import sys; print("3.11" if sys.version_info < (3, 12) else "3.13")')
INSTALL = $(BIN)/python -m pip --disable-pip-version-check install --quiet \
  --constraint constraints-$(LINE).txt --editable

.PHONY: speak app demo test test-long lint soak fuzz memory clean venv

TEXT = the curious judge followed her shadow
OUT = speech.wav
speak: .venv/.demo
	@$(BIN)/python -m experiments.speak --workdir=experiments/pretrained/tts --text="$(TEXT)" \
	  --out="$(OUT)" --top_p=0.95 --comb_filter=1 --spectral_matching=1

app: .venv/.app
	@$(BIN)/python -m experiments.app --precision=int8 --top_p=0.95

demo: .venv/.demo
	$(BIN)/python -m experiments.demo

# One worker more than there are cores, since programs that are run often wait.
WORKERS = $(shell $(BIN)/python -c 'import os; print(os.cpu_count() + 1)')
PYTEST = JAX_PLATFORMS=cpu $(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=worksteal
test: lint
	$(PYTEST) -m 'not long'

test-long: .venv/.test
	$(PYTEST) -m long

lint: .venv/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/shellcheck launch_tpu.sh launch_slurm.sh .ci/run

KILLS = 200
soak: .venv/.test
	$(BIN)/python tests/soak.py --kills=$(KILLS)

GIGABYTES = 10
memory: .venv/.test
	$(BIN)/python tests/memory.py --gigabytes=$(GIGABYTES)

MINUTES = 60
fuzz: .venv/.fuzz
	$(BIN)/python tests/fuzz.py --minutes=$(MINUTES)

.venv/.demo: setup.cfg constraints-3.11.txt constraints-3.13.txt | venv
	$(INSTALL) '.[demo]'
	@touch $@

.venv/.app: setup.cfg constraints-3.11.txt constraints-3.13.txt | venv
	$(INSTALL) '.[demo,app]'
	@touch $@ .venv/.demo

.venv/.test: setup.cfg constraints-3.11.txt constraints-3.13.txt | venv
	$(INSTALL) '.[demo,test]'
	@touch $@ .venv/.demo .venv/.app

.venv/.fuzz: setup.cfg constraints-3.11.txt constraints-3.13.txt | venv
	$(INSTALL) '.[demo,test,fuzz]'
	@touch $@ .venv/.test .venv/.demo .venv/.app

# A .venv that is there serves, unless PYTHON asks for another version.
VERSION := -c 'import sys; print("Python %d.%d" % sys.version_info[:2])'
venv:
	@if [ ! -e $(BIN)/python ]; then \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "error: $(PYTHON) is no Python 3.11 or later: say make PYTHON=python3.11" >&2; exit 1; }; \
	  $(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }; \
	elif [ "$(origin PYTHON)" != file ] && \
	    [ "$$($(PYTHON) $(VERSION))" != "$$($(BIN)/python $(VERSION))" ]; then \
	  echo "error: .venv has $$($(BIN)/python $(VERSION)), not that of $(PYTHON): say make clean first" >&2; \
	  exit 1; \
	fi

clean:
	rm -rf .venv build *.egg-info .*_cache
