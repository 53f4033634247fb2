# Every target is one line of what to run; how to install is in scripts/setup.
.DEFAULT_GOAL := help
.NOTPARALLEL:
# Programs that the tests start by the hundred would compile all they import, each time.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help setup run test test-fast test-slow check bench docs lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

setup: .setup-run ## install what is missing

run: setup ## build, boot and push examples/debian.tdl; ONCE=1 stops afterwards
	@.venv/bin/python -m imagefactory.cli.demo $(if $(ONCE),--once)

test: .setup-test check ## everything that this machine can run
	@.venv/bin/pytest -rs -n 2 -m "not slow"

test-fast: check ## what needs no root, network or QEMU
	@.venv/bin/pytest -rs -n 2 -m "not integration and not slow"

test-slow: .setup-test .setup-foreign ## what takes minutes each
	@.venv/bin/pytest -rs -m slow

check: .setup-check ## formatting, lint, types, import floors
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

bench: .setup-bench ## measure builds, formats, targets and the API, beside other programs
	@.venv/bin/python -m benchmarks

docs: .setup-docs ## the documentation site, into site/
	@.venv/bin/sphinx-build --quiet --fail-on-warning docs site

lock: .setup-check ## resolve requirements/*.txt anew
	@scripts/lock

clean: ## remove what builds and tests left in this folder
	@rm -rf build dist site .coverage htmlcov .*_cache
	@# What ordinary users built belongs in part to their subordinate ids.
	@rm -rf .cache 2>/dev/null || unshare --map-root-user --map-auto rm -rf .cache

SETUPS := .setup-run .setup-test .setup-foreign .setup-bench .setup-check .setup-docs
.PHONY: $(SETUPS)
$(SETUPS): .setup-%:
	@scripts/setup $*
