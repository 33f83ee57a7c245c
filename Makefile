# The front door. Needs Debian (or a relative of it), make and Python 3.11 to 3.13; everything else it gets by itself,
# without root, into .venv/ and .state/.

PYTHON ?= python3
ARGS ?=

BIN := .venv/bin
GET := $(PYTHON) scripts/get_debian.py
DEBIAN := .state/debian

.DEFAULT_GOAL := help
.PHONY: help run test test-all venv test-parts lint docs format lock

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

run: ## start Orthanc, and with it the service, send a demonstration study, stay until Ctrl-C
	@$(PYTHON) scripts/make_venv.py
	@$(BIN)/python scripts/run.py $(ARGS)

test: venv test-parts ## run every test (ARGS="-k name" for some)
	$(BIN)/pytest $(ARGS)

test-all: test ## the same, and what is too slow for every day (nothing yet)

venv: ## build .venv from the lock file; instant when it is there
	@$(PYTHON) scripts/make_venv.py --dev

test-parts:
	@for suite in bookworm trixie sid; do \
		$(GET) --suite $$suite --into $(DEBIAN)/$$suite-orthanc orthanc orthanc-dicomweb orthanc-python || exit 1; done
	@$(GET) --suite bookworm --into $(DEBIAN)/bookworm-dicom3tools dicom3tools

lint: venv ## style, types, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy scripts
	$(BIN)/lint-imports

docs: venv ## write the generated pages of docs/
	$(BIN)/python scripts/make_docs.py

format: venv ## mend the style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The lock files name no address: whichever index pip is set up with must serve the very files of these hashes.
UV := .state/uv/bin/uv
COMPILE := $(UV) pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header

$(UV):
	$(PYTHON) -m venv .state/uv
	.state/uv/bin/python -m pip install --quiet uv

lock: $(UV) ## write requirements/*.lock anew (ARGS=--upgrade for newer versions)
	$(COMPILE) $(ARGS) --group build --output-file requirements/run.lock
	$(COMPILE) $(ARGS) --group dev --constraint requirements/run.lock --output-file requirements/dev.lock
	! grep -nE 'https?://|file://' requirements/*.lock
