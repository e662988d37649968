# Everything a newcomer and the CI need. Works with uv where it is installed, else with python3 -m venv and pip.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOCK := requirements.lock

.PHONY: demo check code quick test test-slow lint golden new-rule sources fuzz bench docs picture lock clean

demo: $(STAMP)
	$(BIN)/deliv demo --format text -o demo-report.html

# While you work, in a minute: style, types and imports, and beside them the tests that need no program of the system, run
# no whole command and wait for nothing.
check: $(STAMP)
	$(MAKE) --no-print-directory -j 2 code quick

quick: $(STAMP)
	$(BIN)/python -m pytest -q -m "not slow and not system and not long" $(PARALLEL)

code: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Before a commit, in six minutes: of what takes long a sample, the same each time. TESTS is handed to pytest:
# make test TESTS=tests/test_fuzz.py
test: $(STAMP)
	$(BIN)/python -m pytest -m "not slow" $(or $(TESTS),$(PARALLEL))

# What is left over: kills at every step, all of the corpus, every page in every width, large inputs; and each property with
# all of its examples, others each time.
test-slow: $(STAMP)
	$(BIN)/python -m pytest -m "slow or hypothesis" --hypothesis-profile=whole $(or $(TESTS),$(PARALLEL))

# A process for each core and two more; one that is done takes over tests of the others.
PARALLEL := -n auto --dist worksteal

lint: code
	$(BIN)/python .ci/licences.py --check
	$(BIN)/python .ci/advisories.py

# The reports of tests/golden and those shown in docs/, written anew after a change that is meant. Read the difference
# before you commit it.
golden: $(STAMP)
	$(BIN)/python -m tests.renew_golden
	$(BIN)/python .ci/docs.py --write
	git --no-pager diff --stat -- tests/golden docs

# A rule to fill in, and its cases: make new-rule ID=SPF-099; of a new group with TOPIC=FILE too.
new-rule: $(STAMP)
	@$(BIN)/python .ci/new_rule.py "$(ID)" $(TOPIC)

# The pages that receivers' statements rest on, read again: which quotes stand, which passages changed. Needs the network,
# so that no CI runs it. WRITE=1 keeps the digests of today, once what changed was read and the rules put right.
sources: $(STAMP)
	$(BIN)/python .ci/sources.py $(if $(WRITE),--write)

# Inputs of grammars and mutated ones for every reader of outside octets, for FUZZ seconds; then every text that could keep
# one busy. What is interesting is kept in fuzz-corpus/, and the next run starts from it as well.
# DELIV_CORPUS=FOLDER adds real mails and archives to start from.
# INPUTS=N runs so many inputs instead, and no more; with SEED, the same ones each time in a clone without fuzz-corpus/.
FUZZ ?= 600
SEED ?= 1
fuzz: $(STAMP)
ifdef INPUTS
	$(BIN)/python -m tests.fuzz --inputs $(INPUTS) --seed $(SEED)
else
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ)
	$(BIN)/python -m tests.fuzz.guided --seconds $(FUZZ)
	DELIV_EVERY_TEXT=1 $(BIN)/python -m pytest tests/test_hostile.py tests/core/protocols/test_dmarc_hostile.py
endif

# Every measurement of docs/performance.md, beside the peers, which are installed into an environment of their own.
# ONLY=fleet runs one script of benchmarks/; QUICK=1 only shows that each runs, with tiny sizes.
BENCH_VENV ?= .venv-bench
bench:
	$(MAKE) VENV=$(BENCH_VENV) LOCK=benchmarks/requirements.lock $(BENCH_VENV)/.installed
	$(BENCH_VENV)/bin/python -m benchmarks $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

# The generated parts of the documentation, and the rules as a static site (begin at site/index.html).
docs: $(STAMP)
	$(BIN)/python .ci/docs.py --write
	$(BIN)/python .ci/licences.py
	rm -rf site
	$(BIN)/deliv docs -o site

# The picture of the README, from the report of the demo.
picture: $(STAMP)
	$(BIN)/python .ci/screenshot.py --write

# Versions are pinned with hashes; the index is whatever the machine is set up to use. The locks for running and for
# building hold the same versions as that for working on deliv; setuptools builds dkimpy, which has no wheel.
COMPILE := uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11
lock:
	$(COMPILE) pyproject.toml --group dev -o requirements.lock
	$(COMPILE) --no-annotate pyproject.toml -c requirements.lock -o deliverability/data/requirements-run.lock
	printf 'hatchling\nsetuptools\n' | \
	  $(COMPILE) --no-annotate - -c requirements.lock -o deliverability/data/requirements-build.lock
	$(COMPILE) --no-annotate pyproject.toml --group dev --group benchmark -c requirements.lock -o benchmarks/requirements.lock
	echo pip-audit | $(COMPILE) --no-annotate - -o .ci/advisories.lock
	printf 'build\ncheck-jsonschema\nhadolint-bin\nhatchling\npre-commit\ntwine\nzizmor\n' | \
	  $(COMPILE) --no-annotate - -o .ci/linters.lock

$(STAMP): $(LOCK) pyproject.toml
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --allow-existing --python $(PYTHON) $(VENV) && \
	  VIRTUAL_ENV=$(VENV) uv pip install --quiet --require-hashes -r $(LOCK) && \
	  VIRTUAL_ENV=$(VENV) uv pip install --quiet --no-deps --no-build-isolation -e . ; \
	else \
	  $(PYTHON) -m venv $(VENV) && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK) && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	fi
	@touch $(STAMP)

clean:
	rm -rf $(VENV) $(BENCH_VENV) .venv-advisories fuzz-found fuzz-corpus build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache demo-report.html site
