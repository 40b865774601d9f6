# SGD Notes.  `make book` and `make test` are all that a fresh machine needs: Python 3.11 or newer
# and make.  `make help` lists the rest.

PYTHON     ?= python3
REPOSITORY ?=
BRANCH     ?= main
JOBS       ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

VENV  := .venv
BIN   := $(VENV)/bin
PAGE  := _build/html/index.html
NBVAL := --nbval --nbval-current-env --nbval-cell-timeout=120

# The solved problem sets, which a public copy of this repository need not have.
SOLVED := $(wildcard exercises/source)

# What an instructor may give on the command line.
COURSE    ?= course
EXERCISES ?= exercises
GRADING   := PYTHONPATH=exercises $(BIN)/python -m grading
DECIDED    = --set "$(PS)" --course "$(COURSE)" --exercises "$(EXERCISES)" \
             $(if $(DUE),--due "$(DUE)") $(if $(LATE),--late "$(LATE)")

# What a page is made of, and therefore what a change of makes the book stale.
SOURCES := _config.yml _toc.yml $(VENV)/requirements.lock book lectures sgdnotes

export REPOSITORY BRANCH
export PYTHONUTF8 := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# A person's own settings of pip and Python must not leak into the project's environment.
export PIP_USER := 0
unexport PIP_TARGET PIP_PREFIX PIP_ROOT PIP_CONSTRAINT PIP_REQUIRE_HASHES PIP_NO_DEPS PIP_DRY_RUN
unexport PYTHONPATH PYTHONHOME

MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help book test env lint check execute pages serve lock vendor measure train clean assignment grade marking mutants companion

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  make book REPOSITORY=https://host/you/fork BRANCH=main"
	@echo "                   adds launch and source buttons for that repository"
	@echo "  STRICT=1 or CI=true makes a check that cannot run a failure"

# The environment is made anew when the lock file changes, and the project is installed again when
# pyproject.toml changes or the folder has moved.  Contents are compared, not dates.
env: ## make the virtual environment, if it is missing or stale
	@if ! { [ -x $(BIN)/python ] && cmp -s requirements.lock $(VENV)/requirements.lock; }; then \
	  $(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.exit(f"SGD Notes needs Python 3.11 or newer, and this is {v}. Name another one: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)' || exit 1; \
	  echo "Making the environment in $(VENV) (about a minute)"; \
	  rm -f $(VENV)/requirements.lock $(VENV)/project; \
	  $(PYTHON) -m venv --clear $(VENV) || { echo "python3 -m venv failed; on Debian or Ubuntu: apt-get install python3-venv"; exit 1; }; \
	  $(BIN)/python -m pip install --quiet -r requirements.lock || exit 1; \
	  cp requirements.lock $(VENV)/requirements.lock; \
	fi
	@if ! { pwd; cat pyproject.toml; } | cmp -s - $(VENV)/project; then \
	  $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e . || exit 1; \
	  { pwd; cat pyproject.toml; } > $(VENV)/project; \
	fi

# Always from nothing: an incremental build hides failures.
book: env ## build the book and print where it is
	@fingerprint=$$({ find $(SOURCES) -type f ! -path '*/__pycache__/*' ! -path '*/.ipynb_checkpoints/*' \
	    | LC_ALL=C sort | xargs cksum; echo "$(REPOSITORY) $(BRANCH)"; } | cksum); \
	if [ -f $(PAGE) ] && [ "$$fingerprint" = "$$(cat _build/fingerprint 2>/dev/null)" ]; then \
	  echo "The book is up to date: $(CURDIR)/$(PAGE)"; \
	else \
	  echo "Building the book"; \
	  rm -rf _build && mkdir -p _build && \
	  if $(BIN)/python $(BIN)/jupyter-book build . -q -W -n --keep-going > _build/log 2>&1; then \
	    echo "$$fingerprint" > _build/fingerprint; \
	    echo "The book is ready: $(CURDIR)/$(PAGE)"; \
	  else \
	    cat _build/log; echo "The book did not build; the lines above say why."; exit 1; \
	  fi; \
	fi

test: env ## run every check that this machine can run
	@failed=; \
	$(MAKE) lint || failed="$$failed lint"; \
	$(MAKE) book || failed="$$failed book"; \
	$(MAKE) check || failed="$$failed check"; \
	if [ -n "$$failed" ]; then echo "make test failed:$$failed"; exit 1; fi

lint: env ## check style and types
	@echo "Style and types"
	@failed=0; \
	$(BIN)/python -m ruff check --quiet . || failed=1; \
	$(BIN)/python -m ruff format --check --quiet . || { echo "ruff format would change files: run $(BIN)/ruff format"; failed=1; }; \
	$(BIN)/python -m mypy --no-error-summary || failed=1; \
	exit $$failed

check: env ## run pytest alone, on the book as it is built
	@echo "Tests, notebooks and pages"
	@$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile $(NBVAL) tests lectures $(SOLVED)

execute: env ## execute the lectures again, in place
	@$(BIN)/python tools/execute.py

pages: env ## write the pages and pictures that are made from the library
	@$(BIN)/python tools/pages.py
	@$(BIN)/python tools/cover.py

measure: env ## measure the timing tables that lectures plot
	@$(BIN)/python tools/measure.py

train: env ## train the classifiers of digits that lectures attack
	@$(BIN)/python tools/train.py

serve: book ## serve the book on this machine, port 8000
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html 8000

assignment: env ## make the student version of a set: PS=ps1 [SEED=2027] [DUE=...] [LATE=...]
	@$(if $(PS),,echo "Say which set: make assignment PS=ps1"; exit 2;) \
	$(GRADING) assignment $(DECIDED) $(if $(SEED),--seed "$(SEED)")

grade: env ## grade what came back: PS=ps1 SUBMISSIONS=folder [DUE=...] [LATE=...]
	@$(if $(and $(PS),$(SUBMISSIONS)),,echo "Say what to grade: make grade PS=ps1 SUBMISSIONS=folder"; exit 2;) \
	$(GRADING) grade $(DECIDED) --jobs "$(JOBS)" $(if $(TIMEOUT),--timeout "$(TIMEOUT)") \
	  $(if $(TOTAL),--total "$(TOTAL)") $(if $(MEMORY),--memory "$(MEMORY)") "$(SUBMISSIONS)"

marking: env ## open nbgrader's form to mark written answers by hand, in the browser
	@cd "$(COURSE)" && PATH="$(abspath $(BIN)):$$PATH" "$(abspath $(BIN))/python" -m jupyter_server \
	  --ServerApp.default_url=/formgrader --ServerApp.open_browser=True

mutants: env ## try right and wrong solutions on the tests of the problem sets: [PS=ps1]
	@$(GRADING) check --exercises "$(EXERCISES)" $(PS)

companion: env ## split a public and a private copy off the repository: FOLDER=...
	@$(if $(FOLDER),,echo "Say where: make companion FOLDER=../split"; exit 2;) \
	$(GRADING) companion "$(FOLDER)"

# uv is needed here only, so it lives in an environment of its own that is thrown away.
lock: ## choose versions again and write requirements.lock
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	$(PYTHON) -m venv "$$folder" && "$$folder/bin/python" -m pip install --quiet uv && \
	"$$folder/bin/uv" pip compile --quiet --universal --python-version 3.11 \
	  --extra lectures --extra book --extra grading --extra test \
	  --upgrade --no-emit-index-url --no-emit-find-links --no-header pyproject.toml -o requirements.lock && \
	echo "requirements.lock is written; now run make test"

vendor: env ## fetch the browser code and fonts again (needs npm)
	@$(BIN)/python tools/vendor.py

clean: ## remove the environment, the book and all caches
	@rm -rf $(VENV) _build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
