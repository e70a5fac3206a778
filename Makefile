# make run, make check, make test, make clean and others; `make help` says what each does.

# The Python that .venv is made with, 3.11 or newer: make run PYTHON=python3.12
PYTHON ?= python3
# Arguments passed on: make run ARGS="--port 8600"; make test ARGS="-k policy"
ARGS ?=
# How long make fuzz looks for an input that breaks something
FUZZ_MINUTES ?= 10

BIN := .venv/bin
# The stamp's name holds a checksum of what decides the environment's content, so a changed pin
# installs again and a fresh checkout's file times do not matter. It is written last: an interrupted
# installation leaves none and the next call continues.
STAMP := .venv/.installed-$(shell cat requirements-serve.txt requirements-ray.txt requirements-s3.txt requirements.txt pyproject.toml | cksum | cut -d' ' -f1)
# The documents that hold tables of figures; the model cards are written beside them.
FIGURES := README.md docs/access.md docs/architecture.md docs/gate.md docs/settings.md docs/speed.md
COG := $(BIN)/python -m cogapp --verbosity=1 -I .
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input

.PHONY: run check test soak fuzz lint docs bench audit sbom clean help
.NOTPARALLEL:
.DEFAULT_GOAL := help

run: $(STAMP)  ## start the dashboard on http://127.0.0.1:8501
	$(BIN)/defectvision serve $(ARGS)

check: lint  ## check the code and run the quick tests, in about a minute
	$(BIN)/python -m pytest -n 2 -m "not slow and not browser" $(ARGS)

# Compiled once: where PYTHONDONTWRITEBYTECODE is set, each of some hundred processes would do it.
test: lint  ## check the code and run all tests but those of make soak
	$(BIN)/python -m compileall -q defectvision pages
	$(BIN)/python -m pytest -n 2 --durations=10 -m "not soak" $(ARGS)

soak: $(STAMP)  ## run the tests that count faults at length, and repeat others' proof in a browser
	$(BIN)/python -m pytest -n 2 --durations=10 -m soak $(ARGS)

fuzz: $(STAMP)  ## run the property tests for FUZZ_MINUTES, with other examples each time
	end=$$(( $$(date +%s) + 60 * $(FUZZ_MINUTES) )); \
	while [ $$(date +%s) -lt $$end ]; do \
		DEFECTVISION_TESTS=fuzz $(BIN)/python -m pytest -n 2 -q -x -m "hypothesis and not slow" $(ARGS) || exit 1; \
	done

lint: $(STAMP)  ## check code, types, imports and figures: ruff, mypy, import-linter, cog
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(COG) --check --check-fail-msg="Run: make docs" $(FIGURES)
	$(BIN)/python -m docs.figures --check

docs: $(STAMP)  ## write the figures of README, docs and model cards from the bundles and the code
	$(COG) -r $(FIGURES)
	$(BIN)/python -m docs.figures

bench: $(STAMP)  ## measure speed against the usual ways to run the same models
	$(BIN)/python -m benchmarks.speed $(ARGS)
	$(BIN)/python -m benchmarks.startup

audit: $(STAMP)  ## look up known weaknesses of the installed packages; skipped without internet
	$(BIN)/python -m docs.audit

sbom: $(STAMP)  ## write sbom.json, what is installed with versions and licences (CycloneDX)
	$(BIN)/cyclonedx-py environment $(BIN)/python --output-format JSON --no-validate --output-file sbom.json

clean:  ## remove .venv and all caches; data, runs and weights stay
	rm -rf .venv build dist *.egg-info .coverage htmlcov
	rm -rf .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis
	find . -name node_modules -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' Makefile

# bin/pip is the last file that creating an environment writes; bin/python is a link that dangles
# when the system's Python was replaced. Either one missing means: make the environment anew.
$(BIN)/python $(BIN)/pip:
	@command -v $(PYTHON) >/dev/null || { echo >&2 "$(PYTHON) was not found. Install Python 3.11 or newer (Debian, Ubuntu: apt-get install python3 python3-venv)."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "DefectVision needs Python 3.11 or newer, and $(PYTHON) is %d.%d. Name a newer one: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo >&2 "$(PYTHON) cannot create environments (no venv and ensurepip). Debian, Ubuntu: apt-get install $$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"; exit 1; }
	$(PYTHON) -m venv --clear .venv

$(STAMP): $(BIN)/python $(BIN)/pip
	@rm -f .venv/.installed-*
	@echo "Installing the pinned requirements into .venv: torch and its GPU libraries are several GB, the first time takes some minutes."
	$(PIP) install --no-compile -r requirements.txt
	@$(BIN)/python -m compileall -q -j 0 .venv/lib >/dev/null || true  # pip does it by one core; some files are templates
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@
