# osteotrace: `make demo` and `make test` do all set-up with a plain Python (3.11 or newer) and pip.

PYTHON ?= python3
VENV ?= .venv
PEERS ?= .venv-peers
OUT ?= demo-out
BIN := $(VENV)/bin
SEEDS ?= 0-1
SEEDED := benchmarks/phantom.py benchmarks/alignment.py benchmarks/planar.py
BENCHMARKS := $(sort $(filter-out benchmarks/_%,$(wildcard benchmarks/*.py)))

export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench lock peers clean
.DELETE_ON_ERROR:

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.core ## the index case re-enacted and worked up, into demo-out (OUT=...)
	$(BIN)/osteotrace demo -o $(OUT)

test: $(VENV)/.dev ## all tests; warnings are errors; branch coverage must hold
	$(BIN)/python -m pytest --cov --cov-report=term

lint: $(VENV)/.dev ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## let ruff lay out the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev $(PEERS)/.done ## every benchmark, on the real scans in OSTEOTRACE_DATA and on phantoms
	@test -n "$(OSTEOTRACE_DATA)" || { echo "set OSTEOTRACE_DATA to the folder of real scans" >&2; exit 2; }
	@for script in $(filter-out $(SEEDED),$(BENCHMARKS)); do \
	    echo "== $$script"; $(BIN)/python $$script --data "$(OSTEOTRACE_DATA)" || exit $$?; \
	done
	@for script in $(SEEDED); do \
	    echo "== $$script"; $(BIN)/python $$script --seeds "$(SEEDS)" || exit $$?; \
	done

peers: $(PEERS)/.done ## programs to compare with, in an environment of their own

# uv is needed here only, to make the locks anew.
COMPILE := uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-strip-extras --no-header --no-annotate --no-emit-index-url --no-emit-find-links
lock: ## write the requirements files anew (needs uv)
	$(COMPILE) pyproject.toml --extra anatomy --group build -o requirements.txt
	$(COMPILE) pyproject.toml --group build --group dev -c requirements.txt -o requirements-dev.txt
	$(COMPILE) --group peers -o requirements-peers.txt

clean: ## remove environments, caches and the demo's output
	rm -rf $(VENV) $(PEERS) $(OUT) .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache \
	    .import_linter_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

define make_venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or newer is needed; name one with PYTHON=..." >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	    { echo "this Python lacks the venv module; on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv $(1)
endef

$(BIN)/python:
	$(call make_venv,$(VENV))

# Python compiles what is imported when it is imported first: a tenth less on the disk.
$(VENV)/.core: requirements.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --no-compile --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-compile --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $(VENV)/.core $@

$(PEERS)/.done: requirements-peers.txt
	$(call make_venv,$(PEERS))
	$(PEERS)/bin/python -m pip install --quiet --require-hashes -r requirements-peers.txt
	@touch $@
