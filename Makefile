# The front door. Needs Debian (or a relative of it), make and Python 3.11 to 3.13; everything else it gets by itself,
# without root, into .venv/ and .state/.

PYTHON ?= python3
ARGS ?=
WORKERS ?= 2

BIN := .venv/bin
# Most tests wait for a real program rather than compute. Tests of a file share its servers, so they stay together.
PYTEST := $(BIN)/pytest --numprocesses $(WORKERS) --dist loadscope --no-loadscope-reorder
GET := $(PYTHON) scripts/get_debian.py
DEBIAN := .state/debian

.DEFAULT_GOAL := help
.PHONY: audit bench dist faults faults-bugs format fuzz help hostile images lint lock docs pictures run simulation site soak test test-all \
	test-all-parts test-browser test-packages test-parts venv

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

run: ## start Orthanc, and with it the service, send a demonstration study, stay until Ctrl-C
	@$(PYTHON) scripts/make_venv.py
	@$(BIN)/python scripts/run.py $(ARGS)

test: venv test-parts ## run the tests of every day (ARGS="-k name" for some)
	$(PYTEST) -m "not slow" $(ARGS)

test-all: venv test-parts test-all-parts ## the same, and what is too slow for every day
	$(PYTEST) $(ARGS)

test-browser: venv test-parts test-all-parts ## only what needs a browser: OHIF in three versions, Orthanc's own pages
	$(PYTEST) tests/browser $(ARGS)

test-packages: venv ## only the wheel, the sdist and the images of docker/ (needs root; no Docker engine)
	$(BIN)/pytest tests/distribution tests/images $(ARGS)

images: ## build the images of docker/ without a Docker engine, into .state/images (needs root)
	$(PYTHON) scripts/build_images.py $(ARGS)

venv: ## build .venv from the lock file; instant when it is there
	@$(PYTHON) scripts/make_venv.py --dev

test-parts:
	@for suite in bookworm trixie sid; do \
		$(GET) --suite $$suite --into $(DEBIAN)/$$suite-orthanc orthanc orthanc-dicomweb orthanc-python || exit 1; done
	@$(GET) --suite trixie --into $(DEBIAN)/trixie-postgresql postgresql-17
	@$(GET) --suite trixie --into $(DEBIAN)/trixie-orthanc-postgresql \
		orthanc orthanc-dicomweb orthanc-python orthanc-postgresql
	@$(GET) --suite bookworm --into $(DEBIAN)/bookworm-dicom3tools dicom3tools
	@$(GET) --suite bookworm --into $(DEBIAN)/bookworm-plastimatch plastimatch
	@$(PYTHON) scripts/get_browser.py
	@$(PYTHON) scripts/get_ohif.py 3.13.2
	@$(PYTHON) scripts/get_node.py tests/readers .state/node/readers

test-all-parts:
	@$(PYTHON) scripts/get_ohif.py
	-@$(PYTHON) scripts/get_pyradiomics.py

pictures: venv test-parts ## take the pictures of docs/pictures anew, in OHIF and on the pages of the service
	$(BIN)/pytest tests/browser/ohif tests/browser/test_pictures.py -k "every_voxel or seen_on_its_image" --pictures docs/pictures

bench: venv test-parts ## how fast, against named peers, as ratios (FULL=1 for all cases, CASES=S,M for some)
	PYTHONPATH=scripts $(BIN)/python -m bench.run $(if $(FULL),--full) $(if $(CASES),--cases $(CASES))

lint: venv ## style, types, who may import whom, and the links of docs/
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy scripts
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory site

site: venv ## build docs/ as pages to browse into .state/site; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

AUDIT := .state/audit

$(AUDIT)/.built: requirements/audit.lock
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet --require-hashes --requirement requirements/audit.lock
	touch $@

audit: $(AUDIT)/.built ## known vulnerabilities of what is locked, and the bill of materials (.state/sbom.json)
	$(PYTHON) scripts/audit.py $(AUDIT)/bin .state/sbom.json

fuzz: venv ## fuzz the readers (N=100000 SEED=1; guided by coverage where atheris installs)
	-$(BIN)/python -m pip install --quiet --no-deps --require-hashes --requirement requirements/fuzz.lock
	$(BIN)/python -m tests.fuzz.run --runs $(or $(N),100000) --seed $(or $(SEED),1) $(ARGS)

hostile: venv test-parts ## hostile files through a real Orthanc (N=2000 SEED=1)
	PYTHONPATH=tests:scripts $(BIN)/python -m tests.hostile.through_orthanc --files $(or $(N),2000) --seed $(or $(SEED),1)

soak: venv test-parts ## N=5000 small masks through one service: its memory, and a SEG for each
	$(BIN)/python tests/soak.py --masks $(or $(N),5000)

faults: venv test-parts ## break everything around N=500 masks (SEED=1, SETUP=sqlite, race or postgres), and count what is lost
	@$(BIN)/python -m tests.faults --masks $(or $(N),500) --seed $(or $(SEED),1) --setup $(or $(SETUP),sqlite) $(ARGS)

faults-bugs: venv test-parts ## build bugs into our own code, one at a time: each has to be seen
	@$(BIN)/python -m tests.faults.bugs $(ARGS)

simulation: venv ## N=100000 histories of the service in memory (SEED=1)
	@$(BIN)/python -m tests.faults.simulation --histories $(or $(N),100000) --seed $(or $(SEED),1) $(ARGS)

docs: venv ## write the generated pages of docs/
	$(BIN)/python scripts/make_docs.py

dist: venv ## build the wheel and the sdist into dist/
	$(BIN)/python -m hatchling build

format: venv ## mend the style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The lock files name no address: whichever index pip is set up with must serve the very files of these hashes.
UV := .state/uv/bin/uv
COMPILE_ONLY := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-strip-extras --no-emit-index-url --no-emit-find-links --no-header
COMPILE := $(COMPILE_ONLY) pyproject.toml --extra radiomics

$(UV):
	$(PYTHON) -m venv .state/uv
	.state/uv/bin/python -m pip install --quiet uv

lock: $(UV) ## write requirements/*.lock anew (ARGS=--upgrade for newer versions)
	$(COMPILE) $(ARGS) --group build --output-file requirements/run.lock
	$(COMPILE) $(ARGS) --group dev --constraint requirements/run.lock --output-file requirements/dev.lock
	$(COMPILE_ONLY) $(ARGS) --group audit --output-file requirements/audit.lock
	$(COMPILE_ONLY) $(ARGS) --group fuzz --output-file requirements/fuzz.lock
	$(COMPILE_ONLY) $(ARGS) --group pyradiomics --constraint requirements/run.lock --output-file requirements/pyradiomics.lock
	! grep -nE 'https?://|file://' requirements/*.lock
