# `make help` lists the targets. A suite of your own is run with `perfsuite`, not with make.

PYTHON ?= python3
BIN    := .venv/bin
READY  := .venv/.installed-run-dev-tensorrt-rtx
DEMO   := reports/demo
VERIFY := reports/verify
STAGES := reports/stages
PRUNE  := reports/prune
HALVES := reports/torch-pruning
BINARY := reports/binary

.PHONY: help setup demo check test verify bench pictures clean docs story
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 10

setup: $(READY)  ## make .venv and install perfsuite with all that a processor and development need

# Again only when the dependencies change: the sources themselves are installed in place.
$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; say which: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[run,dev,tensorrt-rtx]'
	touch $@

demo: setup  ## fetch CIFAR-10, run benchmarks/demo.toml anew, print the table and the verdicts, write the page
	$(BIN)/perfsuite data get cifar10
	rm -rf $(DEMO)
	$(BIN)/perfsuite run benchmarks/demo.toml -o $(DEMO) --html

check: setup  ## lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check  ## what CI runs: the checks and all tests but the long proof
	$(BIN)/python -m pytest -n 3 --dist loadfile

# Blood cells, of which benchmarks/stages.toml and prune.toml speak: beside this checkout, unless somebody says.
verify: export PERFSUITE_BCCD ?= $(abspath $(wildcard ../shared/data/bccd))

verify: setup  ## the long proof, and hours of training if the cache has none; needs BCCD; goes on where cut short
	$(BIN)/perfsuite data get cifar10
	$(BIN)/perfsuite run benchmarks/verify.toml -o $(VERIFY) $(if $(wildcard $(VERIFY)/run.jsonl),--resume)
	$(BIN)/perfsuite run benchmarks/stages.toml -o $(STAGES) $(if $(wildcard $(STAGES)/run.jsonl),--resume)
	$(BIN)/perfsuite run benchmarks/prune.toml -o $(PRUNE) $(if $(wildcard $(PRUNE)/run.jsonl),--resume)
	$(BIN)/perfsuite run benchmarks/torch_pruning.toml -o $(HALVES) $(if $(wildcard $(HALVES)/run.jsonl),--resume)
	$(BIN)/perfsuite run benchmarks/binary.toml -o $(BINARY) $(if $(wildcard $(BINARY)/run.jsonl),--resume)
	$(BIN)/python -m pytest -m verify --timeout=0
	$(BIN)/python tests/mutation/run.py

bench: setup  ## what perfsuite itself costs, after `make demo`; leave the machine alone meanwhile
	$(BIN)/python benchmarks/overhead.py
	@artifact="$$($(BIN)/python benchmarks/artifact.py $(DEMO) 'vgg16-cifar10/fp32/openvino/*')" \
		&& $(BIN)/python benchmarks/versus_benchmark_app.py "$$artifact"

pictures: setup  ## after `make demo`: README's pictures of its page; another run: RUN=reports/mine
	$(BIN)/python benchmarks/pictures.py $(or $(RUN),$(DEMO))

docs: setup  ## make the site of all pages in site/, strictly: each link leads somewhere
	$(BIN)/python -m mkdocs build --strict --quiet
	@echo "site/index.html"

# Blood cells, of which the page tells: beside this checkout, unless somebody says.
story: export PERFSUITE_BCCD ?= $(abspath $(wildcard ../shared/data/bccd))

story: setup  ## write the outputs of docs/story.md anew, by running its commands; leave the machine alone meanwhile
	$(BIN)/python benchmarks/story.py

clean:  ## remove .venv and everything that tools left; runs and the cache stay
	rm -rf .venv build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache mutants
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
