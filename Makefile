# Two commands set everything up by themselves: `make demo` and `make test`. ARGS is handed on.
.DEFAULT_GOAL := help
PY := .venv/bin/python
STAMP := .venv/.installed
ARGS ?=
# Compiled modules are kept, whatever the environment says: tests and demo start many processes that import the same.
unexport PYTHONDONTWRITEBYTECODE

help:  ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

# One shell script holds the search for an interpreter and the installation; the stamp makes it run once.
$(STAMP): pyproject.toml constraints.txt .python-version .ci/env
	@sh .ci/env

env: $(STAMP)  ## prepare .venv with every extra and tool in it

demo: $(STAMP)  ## the whole path in one command, no hardware
	@.venv/bin/rdaq demo $(ARGS)

test: $(STAMP)  ## all tests, with the coverage of src
	@$(PY) tests/lib/compiled.py
	@$(PY) -m coverage erase
	@rc=0; $(PY) -m coverage run -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS) || rc=$$?; \
	 if [ $$rc = 1 ]; then rc=0; \
	   echo "--- what failed, once more by itself: a test that passes now is unsteady, which is a defect to report ---"; \
	   $(PY) -m coverage run -m pytest --last-failed $(ARGS) || rc=$$?; fi; \
	 $(PY) -m coverage combine -q; $(PY) -m coverage report || rc=1; exit $$rc

check: $(STAMP)  ## lint, types, layers, module sizes
	@$(PY) -m ruff check . && $(PY) -m ruff format --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports --no-cache
	@$(PY) tests/module_sizes.py

bench: $(STAMP)  ## measure the figures, write docs/reference/figures.md
	@$(PY) -m benchmarks $(ARGS)

proto: $(STAMP)  ## generate the messages of wire/daq.proto anew
	@cd src && ../$(PY) -m grpc_tools.protoc -I . --python_out=. --pyi_out=. --grpc_python_out=. rdaq_ophyd/wire/daq.proto

docs: $(STAMP)  ## build the documentation, a warning is an error
	@$(PY) -m sphinx -W --keep-going -q -b html docs docs/_build/html && echo "docs/_build/html/index.html"

test-deps:  ## programs from outside Python that some tests use (Debian packages; needs root or sudo)
	@sh .ci/test-deps

clean:  ## remove what make made
	@rm -rf .venv .cache .coverage* docs/_build .mypy_cache .ruff_cache .pytest_cache

.PHONY: help env demo test check bench proto docs test-deps clean
