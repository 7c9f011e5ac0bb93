# make venv        install what running needs into .venv
# make quickstart  generate streets, train, measure and predict; see runs/quickstart
# make quickstart-midas  the same of relative depth, on rooms; see runs/quickstart_midas
# make reproduce   a row of the published table: DATA=/path/to/kitti ROW=ms_640x192 [PUBLISHED=1]
# make bench       measure speed: a table, and runs/bench/result.json [ONLY="demo loader"]
# make test        install what tests need as well, check the style and run all tests
# Another Python than python3:  make venv PYTHON=python3.11

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-for-tests

# Which Paddle: tools/choose_paddle.py chooses by the machine. Another one:
#   make venv PADDLE="paddlepaddle-gpu==3.3.1" [GPU_INDEX=address of a package index]
PADDLE ?=
GPU_INDEX ?=
PADDLE_FILE := $(VENV)/requirements-paddle.txt

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
	@$(BIN)/python tools/choose_paddle.py --asked "$(PADDLE)" --index "$(GPU_INDEX)" > $(PADDLE_FILE)
	@$(BIN)/python -m pip uninstall -qq --yes \
		$$(grep -q -- -gpu $(PADDLE_FILE) && echo paddlepaddle || echo paddlepaddle-gpu)
	grep -v '^paddlepaddle' requirements.txt > $(VENV)/requirements-other.txt
	$(BIN)/python -m pip install --disable-pip-version-check \
		-r $(PADDLE_FILE) -r $(VENV)/requirements-other.txt -r requirements-cpu.txt
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
	$(BIN)/python -m benchmarks.bench $(if $(ONLY),--only $(ONLY)) $(if $(REFERENCE),--reference "$(REFERENCE)")

test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal --max-worker-restart 0

lint: venv-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/vermin --quiet --violations --no-tips --target=3.9- .
