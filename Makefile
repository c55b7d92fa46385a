# make demo     see the library at work
# make test     run all tests, those of the library on both transports; ARGS="..." goes to pytest.
#               With CI=true they run on the installed wheel, otherwise on the source
# make coverage print the lines and branches that the tests of the library leave out; ARGS as above
# make mutate   change the code in small ways and list the changes that no test notices; COUNT=400,
#               and the SEED of an earlier run draws the same ones again
# make fuzz     nonsense for replies, then random edits, as long as you like; ENGINE=dynoxide DURATION=3600
# make lint     check style, types, layers and shape
# make engines  fetch the engines that the tests run on, and build the TypeScript peer
# make bench    measure against other clients, and write the tables and the picture of
#               docs/performance.md; PYTHON=python3.13 measures on that one, beside what is there
# make golden   write the golden files anew, after a change of what is stored

PYTHON ?= python3
# The tests of a wheel run in a copy of the tree that lacks the source, which nothing can import then.
ifeq ($(CI),true)
VENV := .venv-wheel
TREE := build/tree
PACKAGED := $(shell find thrivecalc_models -name __pycache__ -prune -o -print)
else
VENV := .venv
TREE := .
EDITABLE := --editable
endif
# Each Python has an environment of its own, so that all of them can be measured.
BENCH := .venv-bench-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
BIN := $(VENV)/bin
TESTER := "$(CURDIR)/$(BIN)/python"
PYTEST := cd $(TREE) && $(TESTER) -m pytest
ENGINES := .engines
# For make fuzz: simulation, moto, dynamodb-local or dynoxide; how long; and the first seed.
ENGINE ?= simulation
DURATION ?= 60
SEED ?= 0
# For make mutate: how many changes, and how many processes at a time.
COUNT ?= 400
JOBS ?= 2

.DELETE_ON_ERROR:
.PHONY: demo test coverage mutate fuzz lint engines bench golden clean build/tree

demo: $(VENV)/.local
	@$(BIN)/python examples/quickstart.py

test: $(VENV)/.test engines $(TREE)
	@{ failed=; \
	($(PYTEST) --part command $(ARGS)) || failed=yes; \
	($(PYTEST) --part faults $(ARGS)) || failed=yes; \
	($(PYTEST) --part faults --transport botocore $(ARGS)) || failed=yes; \
	test -z "$$failed"; } > $(VENV)/beside.txt 2>&1 & beside=$$!; failed=; \
	($(PYTEST) --part base $(ARGS)) || failed=yes; \
	($(PYTEST) --part base --transport botocore $(ARGS)) || failed=yes; \
	echo "And beside that the tests of the command thrivecalc, and those of faults:"; \
	wait $$beside || failed=yes; cat $(VENV)/beside.txt; test -z "$$failed"

coverage: $(VENV)/.test engines $(TREE)
	@cd $(TREE); $(TESTER) -m coverage run -m pytest --part library $(ARGS) || failed=yes; \
	$(TESTER) -m coverage report && test -z "$$failed"

mutate: $(VENV)/.mutate
	$(BIN)/python -m tests.support.mutate --count $(COUNT) --jobs $(JOBS) \
		$(if $(filter file,$(origin SEED)),,--seed $(SEED))

fuzz: $(VENV)/.test engines
	$(BIN)/python tests/support/fuzz_replies.py --engine $(ENGINE) --seconds $(DURATION) --seed $(SEED)
	$(BIN)/python tests/support/fuzz_edits.py --engine $(ENGINE) --seconds $(DURATION) --seed $(SEED)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python -p tests/typing
	$(BIN)/lint-imports
	$(BIN)/python -m tests.support.measures

engines: $(ENGINES)/dynamodb-local/.fetched $(ENGINES)/dynoxide/.fetched $(ENGINES)/typescript/.fetched

bench: $(BENCH)/.installed
	$(BENCH)/bin/python -m benchmarks --write

golden: $(VENV)/.test engines
	$(BIN)/python -m tests.golden

clean:
	rm -rf .venv .venv-wheel .venv-bench-* $(ENGINES) build *.egg-info

# The environment with the extra of that name, for which the file is the mark.
$(VENV)/.%: setup.cfg pyproject.toml $(PACKAGED)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12")'
	@echo "Installing the library with its extra '$*' into $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@rm -rf build/lib # from which setuptools would put modules into the wheel that are no more
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(EDITABLE) ".[$*]"
	@touch $@

build/tree:
	@rm -rf $@ && mkdir -p $@
	@cp -R $(filter-out thrivecalc_models build dist %.egg-info,$(wildcard *)) .ci $@
	@ln -s "$(CURDIR)/$(ENGINES)" $@/$(ENGINES)

$(BENCH)/.installed: setup.cfg pyproject.toml benchmarks/requirements.txt
	@echo "Installing what is measured into $(BENCH) ..."
	@$(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade \
		--editable ".[fast]" --requirement benchmarks/requirements.txt
	@touch $@

$(ENGINES)/dynamodb-local/.fetched: tests/engines/pom.xml
	@tests/engines/fetch.sh dynamodb-local $(@D)

$(ENGINES)/dynoxide/.fetched: tests/engines/package.json tests/engines/package-lock.json
	@tests/engines/fetch.sh dynoxide $(@D)

$(ENGINES)/typescript/.fetched: $(wildcard tests/typescript/*.json tests/typescript/src/*.ts)
	@tests/engines/fetch.sh typescript $(@D)
