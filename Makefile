# Every command of OneSeek. `make demo` and `make test` start from a bare machine.
# CLUSTER=embedded (default) | kind | existing; existing needs KUBECONFIG and ONESEEK_REGISTRY.
SHELL := /bin/bash -o pipefail
.DEFAULT_GOAL := help
export CLUSTER ?= embedded
DEV := PYTHONPATH=dev python3 -m oneseek_dev
PYTHON3 := command -v python3 >/dev/null || { echo "Python 3.11 or newer is needed: apt-get install python3"; exit 2; }
PY := .venv/bin/python
TEST_CLUSTER := test

.NOTPARALLEL: # what is made first is looked at first: the preflight
.PHONY: help demo test check clean-cache emulator-check unit lint dashboard dashboard-test screenshots chart-test readers readers-test test-cluster cluster-test hostile-test runtime-test stories timed-stories models dev-test rbac manifests manifests-check cluster images url down openapi reference docs docs-check structure prove bench venv requirements

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

demo: ## From a bare machine to a freshly trained, certified, promoted model that answers (FRESH=1: once more, from nothing)
	@$(PYTHON3) && $(DEV).preflight demo
	@$(DEV).demo

url: ## Base URL of the demo model
	@$(DEV) url oneseek-demo/oneseek-7b-zero

cluster: ## The local cluster, with images and the operator installed, for your own use (NETWORK_POLICIES=enforced)
	@$(PYTHON3) && $(DEV).preflight cluster
	@$(DEV) prepare && $(DEV) up $(if $(NETWORK_POLICIES),--enforce) && $(DEV).install

images: ## Build the images that changed and hand them to the demo's cluster if it runs
	@$(DEV) images

down: ## Remove the demo and test clusters and everything of theirs
	@$(DEV) --name demo down && $(DEV) --name $(TEST_CLUSTER) down

clean-cache: ## Remove what is kept for all checkouts (programs, images); the clusters must be down
	@$(DEV) cache clean

preflight-%:
	@$(PYTHON3) && $(DEV).preflight $*

check: lint unit ## Formatting, lint, types, import contracts and unit tests

STAGES := emulator-check lint unit chart-test readers-test dev-test hostile-test runtime-test dashboard-test test-cluster stories timed-stories
test: preflight-test venv ## All tests, on real pods; ends with the seconds of each stage
	@$(DEV).stages $(STAGES)

emulator-check: venv
	@PYTHONPATH=dev:tests $(PY) -m support.firestore

lint: venv manifests-check docs-check ## Formatting, lint, types, import contracts, the documentation site
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/lint-imports
	@$(DEV) dashboard check

unit: venv ## Unit tests: no cluster, no model
	$(PY) -m pytest tests/unit tests/legacy -q -n 2

hostile-test: venv ## Hostile and good artifacts
	$(PY) -m pytest tests/hostile -q -n 2

runtime-test: venv ## Training, engine, sidecar and records as real processes on a tiny real model
	@$(DEV) tools
	$(PY) -m pytest tests/runtime tests/records -q

dashboard: ## The dashboard's files, for a sidecar that runs from source (images build their own)
	@$(DEV) dashboard

dashboard-test: venv ## The dashboard in a real Chromium, before a real sidecar
	@$(DEV) dashboard browser
	$(PY) -m pytest tests/dashboard -q

screenshots: venv ## The pictures in docs/screenshots, of the real page
	@$(DEV) dashboard browser
	PYTHONPATH=core:runtime:tests $(PY) -m support.screenshots

chart-test: venv ## The chart, rendered by helm
	@$(DEV) tools
	$(PY) -m pytest tests/chart -q

readers: venv ## Record the objects of every phase again, and docs/reference/readers.md
	PYTHONPATH=dev:tests $(PY) -m support.readers

readers-test: venv ## What kstatus, kubectl, Helm, Flux and Argo CD make of every phase
	@$(DEV) tools
	$(PY) -m pytest tests/readers -q

dev-test: venv ## The local cluster itself: up, kill, up, down, nothing left
	$(PY) -m pytest tests/dev -q -m 'not prove'

test-cluster: venv
	@$(DEV) --name $(TEST_CLUSTER) prepare && $(DEV) --name $(TEST_CLUSTER) up --enforce
	@$(DEV).install --name $(TEST_CLUSTER) --set huggingFace.endpoint=http://hub.oneseek-hub.svc.cluster.local:8000

cluster-test: test-cluster stories timed-stories ## Stories on a real API server and real pods

stories: venv # side by side, on the cluster that `make test-cluster` starts
	$(PY) -m pytest tests/cluster -q -n 4 --dist loadfile --no-loadscope-reorder -m 'not prove and not serial'

timed-stories: venv # whose seconds and load are asserted: one at a time
	@PYTHONPATH=dev:tests $(PY) -m support.firestore summary
	$(PY) -m pytest tests/cluster -q -m serial

models: venv ## Try every class of base models that transformers has, and write docs/reference/models.md (resumes from .local/models.jsonl)
	PYTHONPATH=tests $(PY) -m support.survey

rbac: venv ## After the cluster suite: what our accounts are granted and never used, and tests/golden/rbac_used.txt
	@PYTHONPATH=tests $(PY) -m support.rbac

manifests: venv ## Generate crds/ and the chart's copy from the types
	$(PY) -m oneseek_core.api crds charts/oneseek/templates

manifests-check: venv
	@scratch=$$(mktemp -d) && mkdir $$scratch/chart && $(PY) -m oneseek_core.api $$scratch $$scratch/chart \
	 && for file in crds/*.yaml; do diff -u $$file $$scratch/$$(basename $$file) \
	 && diff -u charts/oneseek/templates/crd-$$(basename $$file) $$scratch/chart/crd-$$(basename $$file) \
	 || { echo "generated files are stale: run 'make manifests' and commit"; rm -rf $$scratch; exit 1; }; done; rm -rf $$scratch

openapi: venv ## Generate docs/openapi.json and docs/reference/routes.md from the route table
	PYTHONPATH=core:runtime $(PY) -m oneseek_runtime.sidecar.api.openapi > docs/openapi.json
	PYTHONPATH=core:runtime:tests $(PY) -m support.recorded

reference: venv ## Generate docs/reference from the types (fields of both kinds) and the plugin's parser
	PYTHONPATH=core:runtime:tests $(PY) -m support.reference

export NO_MKDOCS_2_WARNING := 1
docs: venv ## The documentation site, served at http://127.0.0.1:8000 and built again at each change
	.venv/bin/mkdocs serve

docs-check: venv
	@.venv/bin/mkdocs build 2>&1 | { grep -v '^INFO' || true; } # not --quiet: it does not count warnings

structure: venv ## How the code is laid out, in figures: modules, lines, packages, circles; also docs/explanation/structure.md
	PYTHONPATH=tests $(PY) -m support.structure

prove: preflight-prove test-cluster ## Long proofs, on real pods too; result files under docs/proofs/ (PROOF="flips kills" for some)
	PYTHONPATH=dev $(PY) -m oneseek_dev.prove $(PROOF)

bench: venv ## Interleaved comparisons; result files under docs/benchmarks/
	$(PY) -m pytest tests/bench -q -s

venv: .venv/.installed ## The development environment
.venv/.installed: requirements/dev.txt pyproject.toml
	@command -v python3 >/dev/null || { echo "python3 (3.11 or newer) is missing: apt-get install python3 python3-venv"; exit 1; }
	@python3 -c 'import ensurepip' 2>/dev/null || apt-get install -y -qq python3-venv >/dev/null
	python3 -m venv .venv && .venv/bin/pip install --quiet uv==0.13.9
	.venv/bin/uv pip install --quiet --compile-bytecode --require-hashes -r requirements/dev.txt
	.venv/bin/uv pip install --quiet --no-deps -e .
	@touch $@

requirements: venv ## Pin again what pyproject.toml asks for
	for extra in operator runtime firestore; do .venv/bin/uv pip compile -q --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --extra $$extra pyproject.toml -o requirements/$$extra.txt; done
	.venv/bin/uv pip compile -q --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --extra sidecar pyproject.toml -o requirements/slim.txt
	.venv/bin/uv pip compile -q --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --extra operator --extra plugin --extra firestore --extra runtime --extra dev pyproject.toml -o requirements/dev.txt
