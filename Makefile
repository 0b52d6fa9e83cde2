# Every target sets up .venv by itself. RECIPE says what to run; ARGS are passed on (ARGS="--device cpu finetune.rank=8").
RECIPE ?= recipes/quickstart.yaml
PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help setup plan finetune compare sweep report lint check test coverage test-gpu bench soak-serve fuzz-serve bench-gpu gpu-acceptance base-model docs freeze lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY) ## install into .venv, pinned by constraints.txt

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] <= (3, 13); sys.exit(None if ok else "Python 3.11 to 3.13 is needed, this is " + sys.version.split()[0] + "; say: make PYTHON=python3.12")'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@echo "installing into .venv (once, one to three minutes)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt torch
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(READY)

plan: $(READY) ## what a recipe would do, and what is here already
	@$(BIN)/loralift plan $(RECIPE) $(ARGS)

finetune: $(READY) ## train the adapters of RECIPE
	@$(BIN)/loralift finetune $(RECIPE) $(ARGS)

compare: $(READY) ## compare base and tuned, and write the report
	@$(BIN)/loralift compare $(RECIPE) $(ARGS)

sweep: $(READY) ## the same for a recipe with a sweep
	@$(BIN)/loralift sweep $(RECIPE) $(ARGS)

report: $(READY) ## print the report again
	@$(BIN)/loralift report $(RECIPE) $(ARGS)

lint: $(READY) ## ruff, mypy, everything shipped loads
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/loralift check

check: lint ## the same, and the fast tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m 'not slow and not gpu'

test: $(READY) ## all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m 'not gpu'

coverage: $(READY) ## the same, with the lines that no test runs; takes up to twice as long
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m 'not gpu' --cov=pipeline --cov-report=term:skip-covered --cov-fail-under=90

test-gpu: $(READY) ## the tests that need a CUDA device
	$(BIN)/python -m pytest -m gpu

bench: $(READY) ## time preparing, training, answers, statistics, a large page and all arms (half an hour); writes benchmarks/results/
	$(BIN)/python -m benchmarks.prepare
	$(BIN)/python -m benchmarks.quickstart
	$(BIN)/python -m benchmarks.training_peers
	$(BIN)/python -m benchmarks.answers
	$(BIN)/python -m benchmarks.statistics
	$(BIN)/python -m benchmarks.verdicts
	$(BIN)/python -m benchmarks.slices
	$(BIN)/python -m benchmarks.page
	$(BIN)/python -m benchmarks.arms

soak-serve: $(READY) ## serve eight clients for ten minutes whose adapters come and go, and check every answer
	$(BIN)/python -m benchmarks.soak_serve

fuzz-serve: $(READY) ## send 2,000 malformed requests to a server (schemathesis, installed for it)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[fuzz]'
	$(BIN)/python -m benchmarks.fuzz_serve

bench-gpu: $(READY) ## a 7B shape with random weights on TRAIN and HELDOUT (ViGGO's JSON lines), beside the estimate
	$(BIN)/python -m benchmarks.real_shape $(TRAIN) $(HELDOUT) $(ARGS)

gpu-acceptance: $(READY) ## all that only a CUDA device can show, in ten minutes; writes benchmarks/results/
	$(BIN)/python -m benchmarks.acceptance $(ARGS)

base-model: $(READY) ## pretrain the embedded base again (about 90 minutes on one core)
	$(BIN)/python -m pipeline.quickstart.pretrain

docs: $(READY) ## write the generated parts of README.md and docs/ again
	$(BIN)/python -m pipeline.docs

freeze: $(READY) ## record the code of the expensive stages (raise VERSION first)
	FREEZE=1 $(BIN)/python -m pytest -q tests/test_versions.py

lock: $(READY) ## pin the packages that are installed now
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu//; /@/d; /^loralift/d' >constraints.txt

clean: ## remove .venv and everything that was made from recipes
	rm -rf .venv data/*/*--* data/*/.*--* data/gate checkpoints/*--* checkpoints/.*--* checkpoints/.resume checkpoints/.tracked
