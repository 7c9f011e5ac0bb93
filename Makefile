# make venv        install what running needs into .venv
# make quickstart  generate streets, train, measure and predict; see runs/quickstart
# make quickstart-midas  the same of relative depth, on rooms; see runs/quickstart_midas
# make reproduce   a row of the published table: DATA=/path/to/kitti ROW=ms_640x192 [PUBLISHED=1]
# make bench       measure speed: a table, and runs/bench/result.json
# make test        install what tests need as well, check the style and run all tests
# Another Python than python3:  make venv PYTHON=python3.11

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-for-tests

# Which Paddle: the one for NVIDIA GPUs where one works, else the one of requirements.txt.
# Another one:  make venv PADDLE="paddlepaddle-gpu==3.3.1"
PADDLE ?= $(shell sed -n "s/^paddlepaddle/paddlepaddle$$(nvidia-smi >/dev/null 2>&1 && echo -gpu)/p" requirements.txt)
# Current builds for GPUs come from Paddle's own index only.
GPU_INDEX ?= https://www.paddlepaddle.org.cn/packages/stable/cu126/
IS_GPU = $(findstring -gpu,$(PADDLE))

CHECK_PYTHON := import sys; sys.version_info >= (3, 9) or sys.exit( \
	"error: Python 3.9 or newer is needed, this is " + sys.version.split()[0] + \
	"; name another, as in: make venv PYTHON=python3.11")

.PHONY: venv venv-test quickstart quickstart-midas reproduce bench test lint FORCE

venv: $(STAMP)

venv-test: $(TEST_STAMP)

# Installs again only when the requirements change, or another Paddle is asked for.
$(STAMP): requirements.txt requirements-cpu.txt $(if $(filter command,$(origin PADDLE)),FORCE)
	@command -v $(PYTHON) >/dev/null || { \
		echo "error: there is no $(PYTHON); name another, as in: make venv PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c '$(CHECK_PYTHON)'
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	@echo "Paddle: $(PADDLE) from $(if $(IS_GPU),$(GPU_INDEX),the package index that pip is set to)"
	@$(BIN)/python -m pip uninstall -qq --yes $(if $(IS_GPU),paddlepaddle,paddlepaddle-gpu)
	grep -v '^paddlepaddle' requirements.txt > $(VENV)/requirements-other.txt
	$(BIN)/python -m pip install --disable-pip-version-check $(if $(IS_GPU),--extra-index-url $(GPU_INDEX)) \
		"$(PADDLE)" -r $(VENV)/requirements-other.txt -r requirements-cpu.txt
	@touch $(STAMP)

# The engines, the page and its browser's driver, the linter.
$(TEST_STAMP): $(STAMP) requirements-test.txt requirements-engines.txt requirements-heic.txt requirements-web.txt
	$(BIN)/python -m pip install --disable-pip-version-check -r $(VENV)/requirements-other.txt -r requirements-test.txt
	@touch $(TEST_STAMP)

quickstart: venv
	$(BIN)/python -m tools.quickstart

quickstart-midas: venv
	$(BIN)/python -m tools.quickstart_midas

reproduce: venv
	$(BIN)/python -m tools.reproduce $(if $(ROW),--row $(ROW),--list) $(if $(DATA),--data_path "$(DATA)") \
		$(if $(PUBLISHED),--published) $(if $(SEED),--seed $(SEED))

bench: venv-test
	$(BIN)/python -m benchmarks.bench $(if $(REFERENCE),--reference "$(REFERENCE)")

test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal --max-worker-restart 0

lint: venv-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
