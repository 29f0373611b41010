# The course's commands. `make help` lists them.
#   PYTHON=python3.12   the interpreter that makes .venv (3.11 or later; found by itself if not given)
#   ARGS="..."          passed on, for example  make lab ARGS=--no-browser

VENV ?= .venv
ARGS ?=
ONLY ?=
WORKERS ?= 2
UV ?= uv
NEW_ENOUGH = import sys; sys.exit(sys.version_info < (3, 11))
CANDIDATES = python3 python3.14 python3.13 python3.12 python3.11 python

ifndef PYTHON
PYTHON := $(shell for p in $(CANDIDATES); do \
	if $$p -c '$(NEW_ENOUGH)' >/dev/null 2>&1; then echo $$p; break; fi; done)
endif
ifeq ($(OS),Windows_NT)
RUN = "$(VENV)/Scripts/python"
else
RUN = "$(VENV)/bin/python"
endif
# the root user of a container needs leave; another address only if ARGS names one
LAB_FLAGS = --LabApp.default_url=/lab/tree/chapters/00_start_here.ipynb \
	--ServerApp.kernel_websocket_connection_class=alexnet_lib.cli.jupyter_server.PromptConnection \
	$(if $(filter 0,$(shell id -u 2>/dev/null)),--allow-root) \
	$(if $(findstring ip=,$(ARGS)),,--ServerApp.ip=127.0.0.1)

.PHONY: help lab test lint chapters train bench environment lock

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

lab: environment ## set up .venv on first use, then open the course in JupyterLab
	@$(RUN) -m jupyterlab $(LAB_FLAGS) $(ARGS)

test: environment ## every test: lint, units, chapters, browser (ARGS for pytest, WORKERS=2)
	@lint=0; $(RUN) -m ruff check . || lint=$$?; \
	$(RUN) -m pytest -n $(WORKERS) --dist loadgroup $(ARGS) && exit $$lint

lint: environment ## ruff over the library, the tests and the notebooks
	@$(RUN) -m ruff check . $(ARGS)

chapters: environment ## run the notebooks and store their outputs in place (ONLY="05 10")
	@$(RUN) chapters/build.py $(ONLY) $(ARGS)

train: environment ## python -m alexnet_lib train (ARGS="--data imagenette --out runs/first")
	@$(RUN) -m alexnet_lib train $(if $(ARGS),$(ARGS),--help)

bench: environment ## python -m alexnet_lib bench (ARGS=lrn, step, input, shards, towers, sliders; default: all)
	@for what in $(if $(ARGS),1,lrn step input shards towers "sliders --where-possible"); do \
		$(RUN) -m alexnet_lib bench $(if $(ARGS),$(ARGS),$$what) || exit 1; done

environment: ## make or refresh .venv from requirements.lock, and nothing else
	@if [ -z "$(PYTHON)" ] || ! $(PYTHON) -c '$(NEW_ENOUGH)' 2>/dev/null; then \
		echo "The course needs Python 3.11 or later; '$(if $(PYTHON),$(PYTHON),python3)' is not." >&2; \
		echo "Install one, then name it: make lab PYTHON=/path/to/python3.12" >&2; exit 1; fi
	@$(PYTHON) -m alexnet_lib.cli.bootstrap --venv "$(VENV)"

lock: ## pin every package anew (needs uv; ARGS=--upgrade, or "--upgrade-package torch")
	$(UV) pip compile pyproject.toml --extra test --universal --python-version 3.11 \
		--no-annotate --custom-compile-command "make lock" \
		--output-file requirements.lock --quiet $(ARGS)
