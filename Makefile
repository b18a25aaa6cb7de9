# make test    every test, on a fresh machine too        make demo    the whole flow on embedded data
# make check   linters, types, import contracts and the quick tests, before each commit
# make extras  every extra resolves with the pins       make wheel-test   the wheel in an empty environment

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
# Neighbouring tests stay in one worker, so that what a module prepares is prepared once.
SPREAD = -n $(WORKERS) --dist worksteal
EXTRAS = vision,clip,text,api,hf,pretrain,adapt,scale,dev
BIN = $(VENV)/bin
INSTALLED = $(VENV)/.installed
# Build environments obey the pins, too.
export PIP_CONSTRAINT = $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# Compiled once, tests are collected in half the time, and every command they start is faster.
export PYTHONDONTWRITEBYTECODE =

.PHONY: install test demo check lint quick extras wheel wheel-test constraints clean

install: $(INSTALLED)

# torch comes first and alone, so that nothing else chooses another build of it. A newer pip takes two thirds of the time;
# compiled is what is imported, a third of what is installed.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "noiseproof needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Next: make PYTHON=python3.11 ..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --no-compile torch==2.13.0
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[$(EXTRAS)]'
	touch $@

test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(SPREAD)

demo: $(INSTALLED)
	$(BIN)/noiseproof demo --out runs/demo

check: lint quick

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

quick: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(SPREAD) -m "not slow"

# Nothing is installed. Once for all: what resolves together with exact pins, also does in part.
extras: $(INSTALLED)
	extras=$$(sed -nE '/optional-dependencies/,/^\[project.scripts/ s/^([a-z0-9]+) = \[.*/\1/p' pyproject.toml | paste -sd ,); \
	echo "extras $$extras"; $(BIN)/python -m pip install --quiet --dry-run ".[$$extras]"

wheel: $(INSTALLED)
	rm -rf dist
	$(BIN)/python -m build --wheel --outdir dist .

# Elsewhere, so that the package comes from the wheel and not from this folder.
wheel-test: wheel
	rm -rf build/wheel-test
	$(BIN)/python -m venv build/wheel-test/venv
	build/wheel-test/venv/bin/python -m pip install --quiet torch==2.13.0
	build/wheel-test/venv/bin/python -m pip install --quiet "$$(ls $(CURDIR)/dist/*.whl)[vision]"
	cd build/wheel-test && NOISEPROOF_CACHE=$(CURDIR)/build/wheel-test/cache venv/bin/noiseproof demo --out demo

constraints: $(INSTALLED)
	{ sed -n '/^#/p' constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | sed -E 's/\+cpu$$//'; } > constraints.new
	mv constraints.new constraints.txt

clean:
	rm -rf $(VENV) dist build runs
