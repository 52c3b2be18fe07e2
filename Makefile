# One machine is enough: Debian 12 or later, or Ubuntu; root, or a user with sudo. Every target may be repeated.
BIN := .venv/bin
BED := python3 -m tests.bed

.PHONY: demo test lint types fresh bench chaos soak conformance oracle clean

demo: .venv/ready           ## the story of the README, on a real engine, in about a minute
	@$(BIN)/python -m tests.demo

test: .venv/ready           ## everything: style, types, layers, tests, tests on a real engine
	@$(BIN)/python -m tests.suite

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/ready
	$(BIN)/mypy

fresh: .venv/ready          ## the README's commands in clean systems: Debian 12 and 13, root and a user
	@$(BIN)/python -m tests.newcomer

bench: .venv/ready          ## the same work on stackd, docker compose and bare engine calls; writes docs/performance.md
	@$(BED) --name bench up --only busybox
	@$(BED) --name bench exec -- $(CURDIR)/$(BIN)/python -m tests.bench --write
	@$(BED) --name bench clean

chaos: .venv/ready          ## ten minutes of faults on a real engine: kills, freezes, edits, a bad wire, a full disk; then quiet
	@$(BIN)/python -m tests.chaos --seconds 600

soak: .venv/ready           ## SEEDS stories of the simulation on all processors: make soak SEEDS=20000
	@$(BIN)/python -m tests.sim --soak $(or $(SEEDS),20000)

conformance: .venv/ready    ## the Compose files under CORPUS against the real docker compose: make conformance CORPUS=DIR
	@$(BIN)/python -m tests.conformance $(CORPUS)

oracle: .venv/ready         ## EXAMPLES generated projects, and every key with every kind of value, against docker compose
	ORACLE_EXAMPLES=$(or $(EXAMPLES),5000) $(BIN)/python -m pytest -q tests/oracle/test_generated.py
	$(BIN)/python -m tests.oracle.probe

clean:                      ## the bed's engine and what it stored, and the environment
	$(BED) clean
	rm -rf .venv

.venv/ready: pyproject.toml tests/oracle/requirements.txt .ci/setup
	@sh .ci/setup
