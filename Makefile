# Posthouse: every command sets up what it needs first. Python packages come from uv.lock, into .venv.

PYTHON ?= python3
BIN := .venv/bin
UV_VERSION := 0.13.9
UV := .venv/uv/bin/uv
READY := .venv/ready
.DEFAULT_GOAL := help
.PHONY: help run test check bench crash bench-large proto lock
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

run: $(READY) ## start Posthouse in one process on SQLite and send a first mail through it; Ctrl-C ends it
	@exec $(BIN)/python -m posthouse.cli serve --welcome

test: $(READY) ## install and start the services that the tests need, and run every test
	@$(BIN)/python scripts/services run --only postfix,postgres,elasticsearch,exim,promtool,rabbitmq,redis,node -- $(BIN)/pytest -n 3 --dist worksteal

check: $(READY) ## format, lint, types, imports, and the state diagram
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python scripts/diagram.py --check

bench: $(READY) ## measure each deployment: accept, delivery, bulk, memory, logs of 1,000,000, and its parts
	@TMPDIR=/var/tmp $(BIN)/python scripts/services run --only postfix,wrk,postgres,redis,rabbitmq,elasticsearch -- $(BIN)/python -m benchmarks

crash: $(READY) ## kill, stop and cut off every part of every deployment under load, and write what came of it into docs/guarantees.md
	@TMPDIR=/var/tmp $(BIN)/python scripts/services run --only postgres,redis,elasticsearch,rabbitmq -- $(BIN)/python -m tests.crash --write docs/guarantees.md

bench-large: $(READY) ## measure logs of 10,000,000 mails: hours, 50 GB of disk in /var/tmp
	@TMPDIR=/var/tmp $(BIN)/python scripts/services run --only postgres -- $(BIN)/python -m benchmarks logs_large logs_shared_large

proto: $(READY) ## write posthouse/proto anew from records.proto
	$(BIN)/python scripts/proto.py

lock: $(UV) ## bring uv.lock up to date with pyproject.toml
	$(UV) lock

$(READY): pyproject.toml uv.lock | $(UV)
	@echo "Installing the Python packages of uv.lock into .venv"
	@UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy $(UV) sync --frozen --all-extras --quiet --python $(BIN)/python
	@touch $@

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Posthouse needs Python 3.11 or newer; name one: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up .venv with $$($(PYTHON) --version) and uv $(UV_VERSION)"
	@test -x $(BIN)/python || $(PYTHON) -m venv --without-pip .venv
	@$(PYTHON) -m venv .venv/uv || { rm -rf .venv/uv; echo "Install Python's venv module (Debian: python3-venv)"; exit 1; }
	@.venv/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) || { rm -rf .venv/uv; exit 1; }
