# make demo    set up, build the runtime, bundle the demo model, ask it, show it a picture
# make test    set up and run the tests
# make families  ask servers of the models of all families, not of a few as `make test` does
# make clients  ask the produced server by the client libraries that programs use; installs them
# make programs  the same by programs from npm: Codex, Claude Code, opencode, Continue …
# make check   format, lint and types
# make fuzz    damage untrusted input for SECONDS (60), to find crashes; findings are kept
# make readme  put the live help texts into docs/options.md
# make stub    only build the runtime
# make dist    wheels in dist/, with which nobody needs a compiler to bundle; `make demo` uses them then
# make clean   remove what was built here (the compiled engine stays in the user's cache)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := build/demo
SETUP := $(VENV)/set-up

.PHONY: demo test families clients programs check fuzz readme stub dist clean

# With the wheels of `make dist`, or of a release, nothing is compiled.
WHEELS := $(wildcard dist/modelembed*.whl)
ifeq ($(WHEELS),)
BUNDLING := $(BIN)
READY := $(SETUP)
else
BUNDLING := build/wheels/bin
READY := build/wheels/set-up
endif

build/wheels/set-up: $(WHEELS)
	@echo "== installing the wheels in dist"
	@$(PYTHON) -m venv build/wheels
	@build/wheels/bin/python -m pip install --quiet --disable-pip-version-check --force-reinstall $(WHEELS)
	@touch $@

demo: $(READY)
	@mkdir -p build
	@echo "== bundling models/demo.gguf into $(DEMO) (the first time may build the runtime: 1 minute, its Python 10)"
	@$(BUNDLING)/modelembed bundle models/demo.gguf --mmproj models/eye/mmproj-demo.gguf -o $(DEMO) --force --set temp=0
	@echo "== asking it: What is the capital of France?"
	@$(DEMO) "What is the capital of France?"
	@echo "== showing it models/eye/drawing.png: What do you see?"
	@$(DEMO) "What do you see?" --image models/eye/drawing.png
	@echo "== now chat with it yourself: ./$(DEMO)"

test: $(SETUP)
	@$(PYTHON) tools/prerequisites.py --tests
	@echo "== testing (the first time builds the runtime, its Python and all of it for ARM: up to 40 minutes; then about 20)"
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

families: $(SETUP)
	@echo "== asking servers of the models of all families; about 15 minutes"
	@MODELEMBED_TEST_ALL_FAMILIES=1 $(BIN)/python -m pytest -q tests/e2e/test_families_served.py

BESIDE := tests/e2e/clients/test_llama_index.py tests/e2e/clients/test_smolagents.py
clients: $(SETUP)
	@echo "== installing client libraries and asking the server by them; about 4 minutes"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[build,dev,docs,clients]'
	@MODELEMBED_TEST_EVERY_CLIENT=1 $(BIN)/python -m pytest -q tests/e2e/clients tests/e2e/test_server_openai.py \
	  $(BESIDE:%=--ignore=%)
	@echo "== the same by clients that want an older openai, which is put beside"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --target build/clients \
	  'llama-index-llms-openai-like>=0.8,<1' 'smolagents[openai]>=1.26,<2'
	@MODELEMBED_TEST_EVERY_CLIENT=1 PYTHONPATH=build/clients $(BIN)/python -m pytest -q $(BESIDE)

programs: $(SETUP)
	@echo "== installing programs from npm (1.5 GB) and asking the server by them; about 10 minutes"
	@mkdir -p build/programs && cp tests/e2e/programs/package.json build/programs/
	@npm install --prefix build/programs --no-fund --no-audit --loglevel error
	@MODELEMBED_TEST_EVERY_PROGRAM=1 $(BIN)/python -m pytest -q tests/e2e/programs

check: $(SETUP)
	@echo "== checking format, lint and types; usually half a minute, the first time a minute"
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

SECONDS ?= 60
SEED ?=
TARGETS ?=
fuzz: $(SETUP)
	@echo "== damaging untrusted input for $(SECONDS) seconds"
	@cd tests && ../$(BIN)/python -m fuzz $(SECONDS) $(TARGETS) $(if $(SEED),--seed $(SEED))

readme: $(SETUP)
	@echo "== putting the live help texts into docs/options.md; a few seconds"
	@$(BIN)/python tools/readme.py

stub: $(SETUP)
	@echo "== building the runtime; 1 minute, the first time 10 more for its Python, nothing to do where it is in the cache"
	@$(BIN)/modelembed stub

dist: $(SETUP)
	@echo "== making wheels in dist; 1 minute, the first time up to 40 for what they contain"
	@$(BIN)/python tools/dist.py dist

# The engine is compiled before the rest is installed: the package index has its source only.
$(SETUP): pyproject.toml $(wildcard bundler/engine/*.py bundler/engine/*/*.py) runtime/weights/byte_planes.c runtime/sandbox/restriction.c runtime/search/search.c $(wildcard runtime/model/cpp/* runtime/first_stage/*)
	@$(PYTHON) tools/prerequisites.py
	@echo "== setting up $(VENV) (the first time compiles the engine: 18 minutes on 2 cores)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m bundler.engine
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[build,dev,docs]'
	@touch $@

clean:
	@echo "== removing $(VENV) and build; the user's cache stays"
	rm -rf $(VENV) build
