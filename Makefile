# Requires Python 3.11 or newer and make. Each target creates the virtual environment first.
PYTHON ?= python3
# Processes that run the tests. More than there are cores, because many tests wait for time-outs.
WORKERS ?= 4
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# With it, each process of the tests would compile all modules, which takes seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test test-slow test-all check bench torture histories pictures secrets requirements clean

run: $(READY)
	$(BIN)/relay serve

# Every behavior once.
test: $(READY)
	$(BIN)/pytest -n $(WORKERS) -m "not slow"

# What `make test-all` adds: tests with real processes, long waits, and the full range of inputs.
# Some of them measure how long others wait.
test-slow test-all: WORKERS = 3
test-slow: $(READY)
	$(BIN)/pytest -n $(WORKERS) -m slow

test-all: $(READY)
	$(BIN)/pytest -n $(WORKERS)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Speed, as ratios within one run. BASE=COMMIT alternates this checkout with that commit and compares the two.
bench: $(READY)
	$(BIN)/python -m tests.bench $(if $(BASE),--base $(BASE))

# Replicas are killed, Postgres is restarted and platforms fail; nothing may be lost. SEED=… repeats a run.
torture: $(READY)
	$(BIN)/python -m tests.faults.torture $(if $(SEED),--seed $(SEED))

# Random histories of senders, in the relay and in a model of the rules. HISTORIES=… plays more, SEED=… repeats a run.
histories: $(READY)
	$(BIN)/python -m tests.model $(if $(HISTORIES),--histories $(HISTORIES)) $(if $(SEED),--seed $(SEED))

# The pictures in docs/. Requires Chromium, and the fonts Inter, JetBrains Mono and Noto Color Emoji.
pictures: $(READY)
	$(BIN)/python docs/pictures/render.py

# The secrets that compose.yaml reads, in deploy/secrets. Existing ones are kept.
secrets:
	deploy/make-secrets.sh

# Update the pinned versions in requirements.txt from the ranges in pyproject.toml.
requirements:
	rm -rf $(VENV)-pin && $(PYTHON) -m venv $(VENV)-pin
	$(VENV)-pin/bin/pip install --quiet --disable-pip-version-check '.[dev]'
	( echo '# All dependencies, pinned, for the image, CI and `make`. Created by `make requirements`.'; \
	  $(VENV)-pin/bin/pip freeze --exclude alert-relay --exclude pip --exclude setuptools ) > requirements.txt
	rm -rf $(VENV)-pin

$(READY): pyproject.toml requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Alert Relay requires Python 3.11 or newer; specify one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "This Python cannot create virtual environments (Debian: apt install python3-venv)"; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $(READY)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
