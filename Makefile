# Paired Seeds. `make` lists the commands.

comma := ,
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

STUDY ?= quickstart
# The first suitable one makes .venv; an update keeps its Python. Each is called once, since a pyenv shim may fail.
PYTHON ?= .venv/bin/python python3.11 python3.12 python3.13 python3
SUITABLE := 3.11 3.12 3.13
VERSION := import sys; print("%d.%d" % sys.version_info[:2])
INSTALLED := $(patsubst .venv/.installed-%,%,$(wildcard .venv/.installed-cpu .venv/.installed-gpu))
SET ?= $(or $(INSTALLED),$(if $(shell command -v nvidia-smi),gpu,cpu))
STAMP := .venv/.installed-$(SET)
OTHERS := $(filter-out $(STAMP),$(wildcard .venv/.installed-*))
BIN := $(if $(filter conda,$(ENV)),$(CONDA_PREFIX)/bin,.venv/bin)
RUN := $(BIN)/python -W ignore
# Ends a sweep whose `make` was killed and could not pass the signal on.
BOUND = $(BIN)/python -m lib.processes $$PPID 15

.PHONY: help quickstart env doctor data models parity plan settings bench cost sweep status accept prune tensorboard report archive verify rehearsal in-rehearsal lab test test-all test-slurm lint notebooks clean

help: ## list the commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'
	@echo
	@echo "  STUDY is one of: $(basename $(notdir $(wildcard params/studies/*.yaml)))  (default: quickstart)"

quickstart: env ## train ResNet-20 on scikit-learn's digits, and export report/quickstart.html and .pdf
	@$(MAKE) data DATASET=digits
	@$(MAKE) parity STUDY=quickstart
	@$(MAKE) sweep STUDY=quickstart
	@$(MAKE) report STUDY=quickstart

env: $(if $(filter conda,$(ENV)),,$(STAMP)) ## install into .venv, with the versions for this machine [SET=gpu or cpu] [ENV=conda]

# Another set or another Python is cleared first, since two cuDNN wheels own the same files. The CPU set has no use for
# Triton, which PyPI's torch brings, and Triton 3.7 crashes a process that has loaded TensorFlow (TensorFlow issue 124205).
$(STAMP): pyproject.toml requirements.lock requirements-$(SET).lock
	@had=$$(.venv/bin/python -c '$(VERSION)' 2>/dev/null) || had=none; \
	for one in $(PYTHON); do \
	    version=$$("$$one" -c '$(VERSION)' 2>/dev/null) || continue; \
	    case " $(SUITABLE) " in *" $$version "*) \
	        clear=$(if $(OTHERS),--clear); [ "$$had" = "$$version" ] || clear=--clear; \
	        exec "$$one" -m venv $$clear .venv;; \
	    esac; \
	    found="$${found:+$$found, }$$one is $$version"; \
	done; \
	echo "error: Python 3.11, 3.12 or 3.13 is needed, and $${found:-none of $(PYTHON) runs}: get one with" \
	    "'uv python install 3.12' or 'conda create -n python312 python=3.12 && conda activate python312'," \
	    "or name yours: make env PYTHON=/path/to/python3.12" >&2; exit 1
	@echo "installing the $(SET) set into .venv (some minutes the first time)"
	@$(BIN)/pip install --quiet --editable '.[$(if $(filter gpu,$(SET)),gpu$(comma))dev]' --constraint requirements.lock --constraint requirements-$(SET).lock
	@$(if $(filter cpu,$(SET)),$(BIN)/pip uninstall -qq --yes triton)
	@touch $@
	@$(RUN) -m lib.doctor

doctor: env ## check this environment and this machine [OPTIONS=--json]
	@$(RUN) -m lib.doctor $(OPTIONS)

data: env ## prepare a dataset: DATASET=cifar10 [SOURCE=an archive or a folder on disk]
	@$(RUN) -m lib.data $(or $(DATASET),$(error DATASET is missing: make data DATASET=digits, or another row of lib/study/datasets.py)) $(if $(SOURCE),--source "$(SOURCE)")

PART = $(strip $(MODEL:%=--model %) $(RUNG:%=--rung %) $(SIZE:%=--size %) $(REFERENCE:%=--reference %) $(if $(FRESH),--fresh))

parity: env ## compare the two implementations: [MODEL=resnet50] [RUNG=gradients] [SIZE=64] [REFERENCE=keras] [FRESH=1], or a study's chapter: STUDY=stage1
	@$(if $(filter file,$(origin STUDY)),$(RUN) -m lib.parity $(PART),$(if $(PART),$(error parity takes STUDY, or $(PART), not both),$(RUN) -m lib.report $(STUDY) --chapter 02_parity))

models: env ## list the models with their sizes, and check that each builds and trains: [MODEL=resnest50d]
	@$(RUN) -m lib.bench.models $(MODEL)

# Some of a study's runs, which of them a sweep makes again, and how many at a time, or where.
SOME = --only "$(ONLY)" --rerun "$(RERUN)" $(if $(RETRY_FAILED),--retry-failed) $(JOBS:%=--at-once %) $(PROFILE:%=--profile %)

plan: env ## list the runs that a sweep would start, their hours and disk: STUDY=stage1 [ONLY="framework=keras seed=42"] [JOBS=2] [RERUN=code] [RETRY_FAILED=1] [PROFILE=slurm], or the resolved settings: OPTIONS=--settings
	@$(RUN) -m lib.sweep plan $(STUDY) $(SOME) $(or $(OPTIONS),--measure)

settings: env ## list every setting with its choices and its default
	@$(RUN) -m lib.study.listing

bench: export STUDY := $(if $(filter file,$(origin STUDY)),bench,$(STUDY))
bench: env ## measure the speed of training beside other loops, and export report/bench.html: [STUDY=bench-pytorch] [QUICK=1]
	@exec $(BOUND) $(RUN) -m lib.bench $(STUDY) $(if $(QUICK),--quick)
	@$(MAKE) report

cost: env ## estimate the GPU hours and disk of a study: STUDY=stage2 [OPTIONS="--tflops 12"]
	@$(RUN) -m lib.bench.cost $(STUDY) $(OPTIONS)

sweep: env ## train the pending runs: STUDY=stage1 [ONLY="framework=keras seed=42"] [JOBS=2] [RERUN=code] [RETRY_FAILED=1] [FAIL_FAST=1] [PROFILE=slurm] [OPTIONS="for Snakemake"]
	@exec $(BOUND) $(RUN) -m lib.sweep run $(STUDY) $(SOME) $(if $(FAIL_FAST),--fail-fast) $(OPTIONS)

status: env ## show the state of each run, and how far it is: STUDY=stage1 [ONLY="framework=keras seed=42"] [OPTIONS=--json]
	@$(RUN) -m lib.sweep status $(STUDY) --only "$(ONLY)" $(OPTIONS)

accept: env ## declare runs made by other code equivalent, which the report then says: STUDY=stage1 [ONLY="model=resnet20"] REASON="why"
	@$(RUN) -m lib.sweep accept $(STUDY) --only "$(ONLY)" --reason "$(REASON)"

prune: env ## list what no run needs: runs that no study names, unfinished trainings of done runs [YES=1 removes it]
	@$(RUN) -m lib.sweep.pruning $(if $(YES),--yes)

tensorboard: env ## show the event files of a study's runs in a browser: STUDY=stage1 [OPTIONS="--port 6007"]
	@exec $(RUN) -m lib.sweep.tensorboard $(STUDY) $(OPTIONS)

report: env ## execute the chapters and export report/STUDY.html and .pdf: STUDY=stage1
	@$(RUN) -m lib.report $(STUDY)

archive: env ## write report/STUDY.zip: all that an up-to-date report is made from, with checksums: STUDY=stage1
	@$(RUN) -m lib.report.archive $(STUDY)

verify: env ## check an archive, make its report again without training, and compare: ARCHIVE=report/stage1.zip
	@$(RUN) -m lib.report.verify $(or $(ARCHIVE),$(error ARCHIVE is missing: make verify ARCHIVE=report/stage1.zip))

rehearsal: env ## run the 180 cells of stage 2 in miniature, in the folder rehearsal/: STUDY=rehearsal-36 for 36 of them
	@$(RUN) -m lib.sweep.rehearsal
	@$(MAKE) in-rehearsal STUDY=$(or $(filter rehearsal%,$(STUDY)),rehearsal)

in-rehearsal: export PAIRED_ROOT := $(CURDIR)/rehearsal
in-rehearsal:
	@for dataset in cifar10 cifar100 tiny_imagenet; do $(RUN) -m lib.data $$dataset; done
	@-exec $(BOUND) $(RUN) -m lib.sweep run $(STUDY)
	@$(RUN) -m lib.report $(STUDY)
	@$(RUN) -m lib.sweep plan $(STUDY) | grep "; 0 to run"

lab: env ## open the chapters in JupyterLab
	$(BIN)/jupyter lab --notebook-dir .

# A few processes, each with one test file at a time. They share the cores: a thread each is enough for small networks.
PYTEST := OMP_NUM_THREADS=1 $(RUN) -m pytest -n auto --maxprocesses 4 --dist loadfile

test: env ## lint, then the tests
	@$(MAKE) lint
	$(PYTEST)

test-all: env ## lint, then all tests, including those that take many minutes
	@$(MAKE) lint
	$(PYTEST) -m "thorough or not thorough"

test-slurm: env ## set up a real SLURM on this machine, train across two nodes of which one dies, and take it down
	PAIRED_TEST_SLURM=1 OMP_NUM_THREADS=1 $(RUN) -m pytest -s tests/test_slurm.py

lint: env ## run ruff: style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

notebooks: env ## write the .ipynb half of each chapter from its .py half, without outputs
	@for chapter in notebooks/*.py; do $(BIN)/jupytext --quiet --update --to ipynb "$$chapter"; done
	@$(BIN)/jupyter nbconvert --log-level=ERROR --clear-output --inplace notebooks/*.ipynb

clean: ## remove caches; the environment, data, runs and reports stay
	rm -rf .snakemake .pytest_cache .ruff_cache *.egg-info
	find lib tests notebooks -name __pycache__ -prune -exec rm -rf {} +
