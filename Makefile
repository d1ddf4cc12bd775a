# make book      execute every notebook at its defaults and render the book to _build/html
# make test      unit tests, structure tests, nbval on book/, golden numbers
# make nb        open the notebooks in JupyterLab
# make refresh   write the executed outputs back into book/
# make tables    run the notebooks that params/longer.yml names (4 to 5 hours), store their tables in book/<part>/data
# make checkpoints  train the shipped models again (15 to 45 minutes), with recipe and SHA-256
# make sweep     many runs of one notebook, as a file says: make sweep FILE=sweeps/tiny.yml
# make book-offline  the rendered book as one zip and one PDF, in _build/offline (COMMITTED=1: the outputs kept in git, nothing is run)
# make student   copies of the notebooks without solutions and outputs, in _build/student (beside it, where somebody worked there), and
#                the same for nbgrader, in _build/nbgrader
# make grade     grade a folder of submitted notebooks: make grade FOLDER=submissions OUT=grades.csv
# make slides    slides for each hour, in _build/slides; they need no network
# make lint      ruff (notebooks included), formatting, spelling
# make bench     the kernels beside their peers
# make clean     remove the build products, not what you had written to _build yourself (make distclean: the environment as well)
#
# Each target prepares .venv by itself. Variables: PROFILE=smoke|longer|paper (parameters from params/), STRICT=1 (a warning of the
# rendering is an error), JOBS=1 (notebooks at a time; without it as many as cores, one thread each), PYTHON=python3.12 (interpreter for a new .venv).

SHELL := /bin/bash
PYTHON ?= python3
PROFILE ?= laptop
STRICT ?=
ifeq ($(origin JOBS),undefined)
JOBS := $(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
endif
FILE ?=
FOLDER ?=
OUT ?= grades.csv
COMMITTED ?=
VENV := .venv
PY := $(VENV)/bin/python
# The library of this folder, also in a copied folder whose .venv still names the one it was copied from.
export PYTHONPATH := $(CURDIR)/lib$(if $(PYTHONPATH),:$(PYTHONPATH))
ifneq (,$(and $(findstring :,$(CURDIR)),$(filter-out help clean distclean,$(or $(MAKECMDGOALS),help))))
$(error $(CURDIR): this path has a colon, which neither venv nor PYTHONPATH can hold; move the folder or call it otherwise)
endif
# $(call quoted,NAME): the value of a variable as one word for the shell, whatever is in it
quoted = $(shell printf %q '$(subst ','\'',$(value $(1)))')
# What cannot be begun is said in one line, before anything runs.
settings = --profile=$(call quoted,PROFILE) --strict=$(call quoted,STRICT) --jobs=$(call quoted,JOBS)
checked = $(PY) -m separations.book check $(settings)
# $(call snakemake,TARGET,PROFILE); the target comes first, since --quiet and --config take all that follows
snakemake = $(PY) -m snakemake $(1) --quiet all --config profile=$(2) strict=$(call quoted,STRICT) jobs=$(call quoted,JOBS)

# The stamp carries a checksum of what is to be installed: a changed requirement installs again, a touched file does not.
WANTED := $(shell cat requirements.txt constraints.txt pyproject.toml | cksum | tr ' ' '-')
WANTED_DEV := $(shell cat requirements-dev.txt constraints.txt | cksum | tr ' ' '-')
WANTED_BENCH := $(shell cat benchmarks/requirements.txt constraints.txt 2>/dev/null | cksum | tr ' ' '-')
STAMP := $(VENV)/.installed-$(WANTED)
STAMP_DEV := $(VENV)/.installed-dev-$(WANTED_DEV)
STAMP_BENCH := $(VENV)/.installed-bench-$(WANTED_BENCH)
asked_for_jobs = $(filter-out undefined default file,$(origin JOBS))
BUSY := $(VENV)/.installing
INSTALL := $(PY) -m pip install --disable-pip-version-check --quiet -c constraints.txt

.PHONY: help book book-offline test nb refresh tables checkpoints sweep student grade slides lint bench clean distclean env here
.DELETE_ON_ERROR:
.NOTPARALLEL:

help:
	@sed -n '1,18s/^# \{0,1\}//p' Makefile

env: here

# The library is found by a path file in .venv. Its path is relative, so it holds in a copied or moved folder too, and no installer runs, for
# that of setuptools takes `{x}` in the name of a folder for a variable. A .venv that is only linked here belongs to another folder
# and stays as it is; targets of make find the library by PYTHONPATH.
LIBRARY_IS_HERE := import os, sys, separations as s; sys.exit(not os.path.samefile(os.path.dirname(s.__file__), "lib/separations"))
LIBRARY := import os, sysconfig; site = sysconfig.get_path("purelib"); open(os.path.join(site, "00_separations.pth"), "w").write(os.path.relpath("lib", site) + "\n")
here: $(STAMP)
	@[ -L $(VENV) ] || $(PY) -I -c '$(LIBRARY_IS_HERE)' 2>/dev/null || { echo "make: $(VENV) was made for another folder, from now on it uses the library of this one"; \
	$(PY) -I -c '$(LIBRARY)' || echo "make: that failed; outside of make set PYTHONPATH=lib" >&2; }

# A .venv that an interrupted installation left half done is removed: nothing in it can be trusted. One that somebody else made is not ours
# to remove.
$(STAMP):
	@command -v "$(PYTHON)" >/dev/null || { echo "make: no $(PYTHON) found. Install Python 3.11 or newer (Debian, Ubuntu: apt install python3 python3-venv), or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is `"$(PYTHON)" --version 2>&1`; Python 3.11 or newer is needed. Name one: make PYTHON=python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { echo "make: $(PYTHON) has no venv with pip. Debian, Ubuntu: apt install python3-venv" >&2; exit 1; }
	@if [ -e $(BUSY) ] || { [ -e $(VENV) ] && ! $(PY) -m pip --version >/dev/null 2>&1; }; then \
	if ! ls $(VENV)/.install* >/dev/null 2>&1; then echo "make: $(VENV) has no pip and was not made by make: move it away, or install pip there" >&2; exit 1; fi; \
	echo "make: $(VENV) is not whole, it is made anew"; rm -rf $(VENV); fi
	@[ -e $(PY) ] || { echo "make: creating $(VENV)"; mkdir -p $(VENV) && touch $(BUSY) && "$(PYTHON)" -m venv $(VENV); }
	@touch $(BUSY)
	@echo "make: installing what requirements.txt asks for, at the versions of constraints.txt (the first time takes some minutes)"
	@$(INSTALL) -r requirements.txt
	@$(PY) -I -c '$(LIBRARY)'
	@rm -f $(VENV)/.installed-[0-9]* && touch $@ && rm -f $(BUSY)

$(STAMP_DEV): $(STAMP)
	@$(INSTALL) -r requirements-dev.txt
	@rm -f $(VENV)/.installed-dev-* && touch $@

$(STAMP_BENCH): $(STAMP)
	@if [ -f benchmarks/requirements.txt ]; then $(INSTALL) -r benchmarks/requirements.txt || echo "make: some peers could not be installed; the table leaves them out"; fi
	@rm -f $(VENV)/.installed-bench-* && touch $@

book: here
	@$(checked)
	@$(call snakemake,all,$(call quoted,PROFILE)) || { $(PY) -m separations.book finish --profile $(call quoted,PROFILE); exit 1; }
	@$(PY) -m separations.book where --profile $(call quoted,PROFILE)

# With COMMITTED=1 nothing is executed: the pages show the outputs that the notebooks carry.
book-offline: $(if $(COMMITTED),here,book)
	@$(if $(COMMITTED),$(PY) -m separations.book render --committed)
	@$(PY) -m separations.book offline --profile $(call quoted,PROFILE) $(if $(COMMITTED),--committed)

test: here
	@$(checked)
	@$(call snakemake,tests,$(call quoted,PROFILE)) || { echo "make test: failed, see above" >&2; exit 1; }
	@echo "All tests pass; what did not change since they last passed was not run again (make clean forgets that)."

refresh: here
	@$(checked)
	@$(call snakemake,notebooks,laptop) || { $(PY) -m separations.book finish; exit 1; }
	@$(PY) -m separations.book refresh

# Stored is what succeeded, also where another notebook failed. A cell may take two hours.
tables: here
	@$(checked)
	@status=0; $(call snakemake,tables,longer) tables=store timeout=7200 || status=1; \
	$(PY) -m separations.book.store_tables --profile longer || status=1; exit $$status

checkpoints: here
	@$(PY) -m separations.shipped_models

# Without JOBS as many runs at a time as there is room for.
sweep: here
	@[ -n $(call quoted,FILE) ] || { echo "make: name the sweep: make sweep FILE=sweeps/tiny.yml" >&2; exit 2; }
	@$(PY) -m separations.book check $(if $(asked_for_jobs),--jobs=$(call quoted,JOBS))
	@$(PY) -m separations.sweep run $(call quoted,FILE) $(if $(asked_for_jobs),--jobs $(call quoted,JOBS))

nb: here
	@$(PY) -c 'import jupyterlab' 2>/dev/null || { echo "make: installing JupyterLab"; $(INSTALL) 'jupyterlab>=4,<5'; }
	@$(PY) -m jupyterlab --notebook-dir=book

student: here
	@$(PY) -m separations.classroom student

# Variables: FOLDER (of submissions), OUT (the table; pages for students go beside it), JOBS (answers at a time).
grade: here
	@[ -n $(call quoted,FOLDER) ] || { echo "make: name the folder: make grade FOLDER=submissions OUT=grades.csv" >&2; exit 2; }
	@$(PY) -m separations.classroom grade --folder $(call quoted,FOLDER) --out $(call quoted,OUT) --jobs $(call quoted,JOBS)

slides: here
	@$(PY) -m separations.classroom slides

lint: here $(STAMP_DEV)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m codespell_lib

bench: here $(STAMP_BENCH)
	@$(PY) benchmarks/run.py --threads 1 2
	@$(PY) benchmarks/candidates.py
	@$(PY) benchmarks/loss_gap.py
	@$(PY) benchmarks/networks.py
	@$(PY) benchmarks/transformer.py
	@$(PY) benchmarks/stacked_transformers.py --threads 1 2
	@$(PY) benchmarks/patch_scores.py
	@$(PY) benchmarks/sweeps.py

# Student editions stay, for somebody may have worked in them, and so does what somebody put there, as by --out _build/mine; a linked
# _build is only unlinked.
PRODUCTS := runs render check sweeps tests evidence stage 'stage-*' slides html 'html-*' '.html*.old' .render.lock 'benchmark*.json'
clean:
	@if [ -L _build ]; then rm -f _build; fi
	@if [ -d _build ]; then find _build -mindepth 1 -maxdepth 1 '(' -name runs $(PRODUCTS:%=-o -name %) ')' -exec rm -rf {} +; \
	rmdir _build 2>/dev/null || echo "make: kept in _build: $$(ls -A _build | tr '\n' ' ')"; fi
	rm -rf .snakemake .pytest_cache .ruff_cache

distclean: clean
	rm -rf $(VENV) lib/separations.egg-info
