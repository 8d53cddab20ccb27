# `make help` lists the targets. Each does its own set-up in .venv; a stamp makes sure it happens once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
# Sums depend on the number of threads, so one thread per process; two processes use two cores.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1

PRESET ?= smoke
OUT ?= results
WORKERS ?= 0
ifeq ($(origin DATA),undefined)
DATA := $(value DEFECTBENCH_DATA)
endif
# What users give may hold spaces, quotes and dollars: $(call quoted,NAME) is the variable as one word of the shell.
QUOTE := '
quoted = '$(subst $(QUOTE),'\'',$(value $(1)))'
RUN = $(BIN)/defectbench run --preset $(call quoted,PRESET) --out $(call quoted,OUT) --on local --workers $(call quoted,WORKERS) $(if $(value DATA),--data $(call quoted,DATA))

.DEFAULT_GOAL := help
.PHONY: help setup check format test reproduce reproduce-papers reproduce-table5 results docs bench clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

setup: $(STAMP) ## prepare .venv and nothing else

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,detection]'
# ultralytics asks for opencv-python, whose window system a bare machine lacks; headless is the same module without it.
	$(BIN)/python -m pip uninstall --quiet --yes opencv-python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps opencv-python-headless
	@touch $@

reproduce-table5: $(STAMP) ## run every paper's Table 5; PRESET=smoke|small|paper DATA=folder
	$(RUN) $(patsubst benchmarks/%.yaml,%,$(wildcard benchmarks/*/table5.yaml))

reproduce-papers: $(STAMP) ## run every table of every paper, each fit once however many tables ask for it
	$(RUN) $(filter-out house/%,$(patsubst benchmarks/%.yaml,%,$(wildcard benchmarks/*/*.yaml)))

reproduce: $(STAMP) ## one table: PAPER=dcdgan_c TABLE=4 PRESET=small DATA=/datasets
	@test -n $(call quoted,PAPER) -a -n $(call quoted,TABLE) || { echo "give PAPER and TABLE, e.g. make reproduce PAPER=dcdgan_c TABLE=4 (see: defectbench list tables)"; exit 2; }
	$(RUN) $(if $(value PAPER),$(call quoted,PAPER)/)$(if $(wildcard benchmarks/$(PAPER)/table$(TABLE).yaml),table$(TABLE),$(call quoted,TABLE))

check: $(STAMP) ## format, lint, types and the fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -m "not slow" --numprocesses 2 --dist worksteal

format: $(STAMP) ## format and mend what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: $(STAMP) ## everything that CI runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest --numprocesses 2 --dist worksteal

results: $(STAMP) ## write every CSV, Markdown table and the leaderboard again from results/records
	$(BIN)/defectbench collect --out $(call quoted,OUT)

docs: $(STAMP) ## draw the pictures and tables of docs/ again
	$(BIN)/python docs/make.py

bench: $(STAMP) ## the performance benchmarks: ratios in one run
	$(BIN)/python -m benchmarks.performance

clean: ## remove .venv, caches and unfinished work; results/ stays
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
