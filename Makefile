# Everything a user or a developer runs. `make demo` and `make test` need only Python >= 3.11 and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
# What every run of the tests leaves: the name and the text of each failure, also of one that does not come back.
REPORTS ?= .reports

.DEFAULT_GOAL := help
.PHONY: help demo test test-versions test-oldest mutants lint format site s3-server servers test-servers chart control-plane page content install image crash bench bench-peers fuzz backlog soak torture truth docs lock clean

help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --no-deps: a lock names everything. Without it pip asks anew what an extra (`coverage[toml]`) needs, takes the newest
# release there is, and then refuses it for want of a hash: the day of such a release nothing installs any more.
$(VENV)/.runtime: requirements/runtime.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("audit-forwarder needs Python 3.11 or newer; run make with PYTHON=/path/to/python3.11") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the locked dependencies into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/runtime.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/build.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.lock
	@echo "installing the locked development tools into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.lock
	@touch $@

demo: $(VENV)/.runtime ## run the whole way of an event on this machine, with faults; ARGS=--keep stays up
	@$(BIN)/audit-forwarder demo $(ARGS)

# Many tests wait for a daemon or a server: four processes leave a sixth of two cores idle, six have work for them.
test: $(VENV)/.dev ## run every test that needs only PyPI
	@$(BIN)/python -m pytest -n 6 -m "not servers and not long and not packaging" --junitxml=$(REPORTS)/$(notdir $(VENV)).xml $(ARGS)

# What a version of Python or of a library breaks, it breaks for every row of a table and in the first examples: the many have
# their run with `make test`. So have tests whose cost is many starts, kills or faults, one after another, and which speak to
# neither in a way of their own (the second lists).
FEW := --hypothesis-profile=versions --rows=3

# What a version of Python can break. What speaks to people and to other libraries is tried with another version than 3.11 by
# `make test-oldest`.
VERSIONS ?= 3.12 3.13
ACROSS := $(addprefix tests/,archive config daemon delivery formats net normalize observe polling preflight records simulator sinks sources \
  spool test_registry.py) \
  $(addprefix --ignore=tests/,daemon/test_switches.py daemon/test_spool_changes.py daemon/test_restore.py daemon/test_sites.py \
  daemon/test_page.py daemon/test_removed_files.py formats/test_template_properties.py polling/test_walks_end.py \
  polling/test_shares_properties.py records/test_related.py records/test_no_leak.py sinks/archive/test_kill.py \
  sinks/archive/test_deleting.py sinks/syslog/test_habits.py sources/workspace/test_every_reading.py \
  sources/workspace/test_faults.py sources/jira/test_windows.py sources/confluence/test_records.py)

# What speaks to a library that others choose the version of.
OLDEST := $(addprefix tests/,admin archive cli config formats net observe simulator sinks test_doctor.py test_registry.py) \
  $(addprefix --ignore=tests/,cli/test_reconcile_command.py cli/test_archive_import.py cli/test_import_command.py \
  formats/test_template_properties.py sinks/archive/test_kill.py sinks/archive/test_deleting.py sinks/file/test_crash.py \
  admin/test_investigate_pages.py \
  sinks/syslog/test_habits.py)

# `investigate` speaks to DuckDB, whose oldest release is the newest one as long as both locks name the same.
ifneq (1,$(shell grep -hoE '^duckdb==[0-9.]+' requirements/oldest.lock requirements/runtime.lock | sort -u | wc -l))
OLDEST += tests/investigate
endif

test-versions: ## the tests again with each other Python that is found here, one after the other
	@for version in $(VERSIONS); do \
	  if python=$$(.ci/find-python $$version); then \
	    echo "with Python $$version, $$python" && \
	    $(MAKE) --no-print-directory test PYTHON="$$python" VENV=.venv-$$version ARGS="$(FEW) $(ACROSS) $(ARGS)" || exit 1; \
	  else echo "NOT TESTED WITH PYTHON $$version: none is found on PATH or with pyenv"; fi; \
	done

# With the version of Python that has no run of its own, where it is found.
.venv-oldest/.dev: requirements/oldest.lock requirements/build.lock pyproject.toml
	@test -x .venv-oldest/bin/python || "$$(.ci/find-python 3.12 || command -v $(PYTHON))" -m venv .venv-oldest
	@echo "installing the oldest dependencies that are supported into .venv-oldest (once)"
	@for lock in oldest build; do .venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/$$lock.lock || exit 1; done
	@.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

test-oldest: .venv-oldest/.dev ## the tests again with the oldest release of each dependency that pyproject.toml allows
	@.venv-oldest/bin/python --version
	@.venv-oldest/bin/python -m pytest -n 6 -m "not servers and not long and not packaging" --junitxml=$(REPORTS)/.venv-oldest.xml $(FEW) $(OLDEST) $(ARGS)

lint: $(VENV)/.dev ## ruff, mypy --strict, import-linter, codespell
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/codespell forwarder simulator sinks tests docs bench README.md CONTRIBUTING.md CHANGELOG.md

format: $(VENV)/.dev ## let ruff write the code the one way
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

s3-server: $(VENV)/.dev ## build the servers of the tests for S3, Azure and Google's cloud, once; needs Go and npm
	@$(BIN)/python -m tests.servers.azurite
	@$(BIN)/python -m tests.servers.gcs
	@$(BIN)/python -m tests.servers.s3

servers: $(VENV)/.dev ## install and start a real Elasticsearch, OpenSearch, rsyslog and syslog-ng on loopback
	@$(BIN)/python -m tests.servers start $(ARGS)

test-servers: $(VENV)/.dev ## the tests on real servers (installs and starts them)
	@$(BIN)/python -m pytest -n 2 --dist loadgroup -m servers tests/real_servers $(ARGS)

chart: $(VENV)/.dev ## the helm chart: linted, rendered, held against the schemas of Kubernetes
	@$(BIN)/python -m pytest -m packaging tests/helm $(ARGS)

content: $(VENV)/.dev ## the alerts and the dashboard, by promtool and a real Prometheus
	@$(BIN)/python -m pytest -m packaging tests/content $(ARGS)

page: $(VENV)/.dev ## the page in a real Chromium (Debian's), by day, by night and on a phone; pictures in .reports/page
	@$(BIN)/python -m pytest -n 2 -m packaging tests/browser $(ARGS)

install: $(VENV)/.dev ## every documented way to install, from nothing, each timed; what makes a release checked
	@$(BIN)/python -m pytest -m packaging tests/install -s $(ARGS)

control-plane: $(VENV)/.dev ## the chart in a real control plane, built with Go once, in a quarter of an hour
	@$(BIN)/python -m tests.control_plane.programs
	@$(BIN)/python -m pytest -m packaging tests/control_plane $(ARGS)

image: $(VENV)/.dev ## build the container image without an engine and try it (root, on Debian)
	@$(BIN)/python -m pytest -m packaging tests/image $(ARGS)

crash: $(VENV)/.dev ## the long crash test: 200 kill -9
	@$(BIN)/python -m pytest -m long tests/crash $(ARGS)

torture: $(VENV)/.dev ## rounds of faults everywhere, all sinks at once; ARGS="--rounds 500 --seed 1"
	@$(BIN)/python -m tests.torture $(ARGS)

truth: $(VENV)/.dev ## plants gaps and judges what is said of each; ARGS="--gaps 500 --seed 1"
	@$(BIN)/python -m tests.truth $(ARGS)

mutants: $(VENV)/.dev ## small wrong changes to the core: do the tests notice; ARGS="--sample 200"
	@$(BIN)/python -m tests.mutants $(ARGS)

bench: $(VENV)/.dev ## CPU per event, spool bytes per event, memory, start-up; each beside its floor or aim
	@$(BIN)/python -m bench $(ARGS)

bench-peers: $(VENV)/.dev ## what others cost beside us, in one run; ARGS=--write makes docs/performance.md of it (Go, Debian)
	@$(BIN)/python -m bench.peers $(ARGS)

fuzz: $(VENV)/.dev ## damaged bytes for every parser of foreign ones; ARGS="--minutes 30 --target pages"
	@$(BIN)/python -m tests.fuzz $(ARGS)

backlog: $(VENV)/.dev ## a sink dead for a day beside one that is well, then drained; ARGS="--events 36000000"
	@$(BIN)/python -m bench.outage $(ARGS)

soak: $(VENV)/.dev ## an hour of load and faults: nothing lost, nothing grows; ARGS="--minutes 60 --events 10000000"
	@$(BIN)/python -m bench.soak $(ARGS)

$(VENV)-site/.done: requirements/site.lock
	@test -x $(VENV)-site/bin/python || $(PYTHON) -m venv $(VENV)-site
	@$(VENV)-site/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/site.lock
	@touch $@

site: $(VENV)-site/.done ## the documents as a site, in dist/site; every link must lead somewhere
	@$(VENV)-site/bin/python -m docs.site dist/site

docs: $(VENV)/.dev ## write docs/reference again from the code
	@$(BIN)/python -m docs.generate

lock: ## resolve the dependencies again (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate pyproject.toml --extra archive --extra investigate -o requirements/runtime.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate requirements/build.in -o requirements/build.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --no-deps requirements/packaging.in -o requirements/packaging.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate requirements/browser.in -o requirements/browser.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate requirements/image.in -o requirements/image.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate requirements/release.in -o requirements/release.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate requirements/site.in -o requirements/site.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate pyproject.toml --extra archive --extra investigate --group dev -o requirements/dev.lock
	uv pip compile -q --universal --python-version 3.11 --resolution lowest-direct --no-emit-index-url --no-header --no-annotate pyproject.toml --extra archive --extra investigate -o .oldest.in
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -c .oldest.in pyproject.toml --extra archive --extra investigate --group test -o requirements/oldest.lock
	rm .oldest.in

clean: ## remove what make made
	rm -rf .venv .venv-* .reports .mutants .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
