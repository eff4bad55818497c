# make setup              a virtual environment in .venv with the CPU build of PyTorch
# make setup TORCH=cuda   the same with PyPI's own build (CUDA on Linux); TORCH=cu126, rocm6.4, xpu, ... takes that
#                         folder of download.pytorch.org/whl. The choice is remembered until another is given.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

# An empty file .venv/.setup-BUILD says which build of PyTorch is set up, and since when.
TORCH       ?= $(or $(patsubst $(VENV)/.setup-%,%,$(firstword $(wildcard $(VENV)/.setup-*))),cpu)
TORCH_INDEX ?= https://download.pytorch.org/whl/$(TORCH)
STAMP       := $(VENV)/.setup-$(TORCH)
VERSION     := $(shell sed -n 's/^torch==//p' constraints.txt)
PIP         := $(BIN)/python -m pip --disable-pip-version-check install -qq -c constraints.txt

# OpenMP threads that spin while they wait are ruinous on a busy machine.
# Each process of the tests has one thread, and all of them collect the same tests in the same order. Each begins with a
# row of its own, so that what a module makes for its tests is made once, and takes from another's when it is done.
# Bytecode is kept, whatever the shell says: processes that tests start would compile the package again and again.
TEST := OMP_WAIT_POLICY=passive PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE= \
    $(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist worksteal

.PHONY: setup demo test slow lint golden docs bench clean

setup: $(STAMP)
	@:

# A stamp of 2000 marks the build that is under way, so a run that is cut off is taken up again. Another build starts
# with a new environment: to pip, 2.13.0+cpu would do for 2.13.0.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make setup PYTHON=...")'
	@$(if $(filter-out $@,$(wildcard $(VENV)/.setup-*)),rm -rf $(VENV))
	@$(PYTHON) -m venv $(VENV)
	@rm -f $(VENV)/.setup-*; touch -t 200001010000 $@
	@echo "Installing PyTorch $(VERSION) ($(TORCH)) and the rest into $(VENV): a few minutes at the first time"
	@$(install_torch)
	@$(PIP) -e '.[dev,docs]'
	@touch $@

# A build like 2.13.0+cpu is asked for by name: first where pip looks anyway (a local mirror, a folder of wheels), then
# with PyTorch's own index. Where neither has the CPU build, PyPI's is taken: it works, but on Linux it brings CUDA.
define install_torch
case "$(TORCH)-$$(uname)" in \
    cuda-*|cpu-Darwin) $(PIP) torch==$(VERSION);; \
    *) $(PIP) "torch==$(VERSION)+$(TORCH)" 2>/dev/null \
       || $(PIP) --timeout 15 --retries 2 --extra-index-url $(TORCH_INDEX) "torch==$(VERSION)+$(TORCH)" \
       || { test $(TORCH) = cpu && echo "No CPU build within reach: taking PyPI's (several GB on Linux)" \
            && $(PIP) torch==$(VERSION); };; \
esac
endef

demo: setup
	@$(BIN)/sphinx-x demo --out runs/demo.png  # and runs/demo-answers.png

# ALL=1: the slow ones as well, all in one run, which starts its processes once and keeps them busy to the end.
test: setup
	@$(TEST) $(if $(ALL),-m "" --durations=30)

slow: setup
	@$(TEST) -m slow --durations=30

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

# Look at the difference before it is committed: golden files are what people have found right.
golden: setup
	@UPDATE_GOLDEN=1 $(TEST) -m golden
	@git --no-pager diff --stat -- tests/golden 2>/dev/null || true

docs: setup
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo "The docs are in site/index.html"

bench: setup
	@$(BIN)/python benchmarks/run.py

clean:
	rm -rf $(VENV) dist build site .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +
