# make demo, make test; `make help` lists the rest. Needs Python 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# vLLM for the CPU, or for an NVIDIA GPU where there is one: `make EXTRA=gpu ...` overrides.
EXTRA ?= $(shell command -v nvidia-smi >/dev/null 2>&1 && echo gpu || echo cpu)
# Triton has no CPU backend.
CPU_ONLY := $(if $(filter cpu,$(EXTRA)),triton; sys_platform == 'never')
# uv does not read pip's settings: pass local wheels on, where there are any.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-socratic-rl test test-slow lint types study study-full bench clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 13

setup: $(VENV)/.ready ## set up the environment in .venv (done by the others when needed)

$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than Python 3.11; use make PYTHON=/path/to/python3.11" >&2; exit 1; }
	test -x $(BIN)/uv || { $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet --disable-pip-version-check uv; }
	echo "$(CPU_ONLY)" > $(VENV)/overrides.txt
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --override $(VENV)/overrides.txt -e '.[$(EXTRA),test]'
	touch $@

# The world and the student of the study's seed 104, so that its committed runs can stand beside.
DEMO := runs/demo-$(shell date +%Y%m%d-%H%M%S)
demo: setup ## train a small student with SocraticPO on the CPU and write a report (minutes)
	$(BIN)/python -m agents.train --preset chains --questions chains:104 --seed 104 --run-dir $(DEMO)
	$(BIN)/python -m benchmarks.study.beside $(DEMO)

demo-socratic-rl: setup ## viewpoints that are proposed, measured, shown and distilled (minutes)
	$(BIN)/python -m agents.socratic_rl --run-dir $(DEMO)
	$(BIN)/socratic viewpoints $(DEMO)/viewpoints.jsonl

# By file: what the tests of a file share is made once. More workers want about 4 GB each.
WORKERS ?= 2
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(PYTEST_OPTIONS)

test: lint types ## lint, types, and all tests but the slow ones (minutes)
	$(PYTEST) -m "not slow"

test-slow: setup ## the slow tests: servers, whole trainings, several processes (a quarter of an hour)
	$(PYTEST) -m slow

lint: setup ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## check types
	$(BIN)/mypy

study: setup ## the studies' main tables and pages (three hours; they go on where they were)
	$(BIN)/python -m benchmarks.study.run
	$(BIN)/python -m benchmarks.study.page
	$(BIN)/python -m benchmarks.socratic_rl.run
	$(BIN)/python -m benchmarks.socratic_rl.page

study-full: setup ## all arms of the learning study, and the choice of learning rates (hours)
	$(BIN)/python -m benchmarks.study.run --rates
	$(BIN)/python -m benchmarks.study.run --full
	$(BIN)/python -m benchmarks.study.page

bench: setup ## measure speed
	$(BIN)/python -m pytest -o python_files='bench_*.py' benchmarks --benchmark-only --benchmark-columns=median,iqr,rounds

clean: ## remove the environment and caches (runs/ stays)
	rm -rf $(VENV) .venv-* .pytest_cache .mypy_cache .ruff_cache .hypothesis
