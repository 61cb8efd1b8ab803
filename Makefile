# make demo   installs into .venv and runs the main job (the Hubble deep field, implicit gradient)
# make test   installs into .venv and runs the tests
# make check  lint, types and the direction of imports
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: demo test check bench clean

demo: $(INSTALLED)
	$(BIN)/python -m experiments.deblur

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist worksteal --durations 10

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks.core
	$(BIN)/python -m benchmarks.lab
	$(BIN)/python -m benchmarks.faults
	$(BIN)/python -m benchmarks.auto
	$(BIN)/python -m benchmarks.bilevel
	$(BIN)/python -m benchmarks.least_squares
	$(BIN)/python -m benchmarks.sparse
	$(BIN)/python -m benchmarks.imaging

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,bench]'
	touch $(INSTALLED)

clean:
	rm -rf .venv .jax_cache .pytest_cache .ruff_cache build
