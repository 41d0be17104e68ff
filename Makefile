# `make demo` and `make test` are all that a machine with Python 3.11 to 3.13 needs:
# each makes .venv, installs what it needs there, and runs. A second time nothing is
# installed and no network is used. Another Python: make clean test PYTHON=python3.12

usable = import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON = $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c '$(usable)' >/dev/null 2>&1 && echo $$python && break; done)

# The same exact versions for what is installed and for what builds it.
install = PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
	.venv/bin/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo lint test bench clean

# The default simulation: a NetCDF file and a figure.
demo: .venv/demo
	@.venv/bin/python -m experiments.run

# Form and common mistakes; `.venv/bin/ruff format` and `ruff check --fix` mend most of them.
lint: .venv/test
	@.venv/bin/ruff format --quiet --check .
	@.venv/bin/ruff check --quiet .

# The whole suite, or one part of it: make test T=tests/filters
test: lint
	@.venv/bin/python -m pytest -n 2 $(T)

# This project beside its peers, side by side.
bench: .venv/bench
	@.venv/bin/python -m benchmarks

.venv/demo: extras =
.venv/test: extras = [test]
.venv/bench: extras = [bench]
.venv/demo .venv/test .venv/bench: pyproject.toml constraints.txt | .venv/bin/pip
	@echo 'Installing scansim$(extras) in .venv ...'
	@$(install) --editable '.$(extras)'
	@touch $@

# The last file that venv writes: if it is there, the environment is whole.
.venv/bin/pip:
	@python='$(PYTHON)'; "$${python:-false}" -c '$(usable)' 2>/dev/null || { \
		echo 'This needs Python 3.11, 3.12 or 3.13 with its venv module: make $(MAKECMDGOALS) PYTHON=...' >&2; \
		exit 1; }
	@$(PYTHON) -m venv .venv

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
