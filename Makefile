# Every command works on a machine with Python >= 3.11 and make alone: the first one makes .venv and installs into it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PROTO := $(sort $(wildcard proto/helmholtz/v1/*.proto))
OPEN_INFERENCE_PROTO := proto/inference/v2/open_inference.proto

.PHONY: demo serve test check fmt types generate bench chaos clean

demo: $(INSTALLED)
	$(BIN)/helmholtz demo

serve: $(INSTALLED)
	exec $(BIN)/helmholtz serve

# What computes side by side, one thread each; what starts processes and measures times has the machine to itself.
SIDE_BY_SIDE := tests/zoo tests/conformance tests/models_registry
test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 $(SIDE_BY_SIDE)
	$(BIN)/pytest -q $(addprefix --ignore=,$(SIDE_BY_SIDE))

# Static, and under two minutes: style, types, import contracts, generated files, architecture.
check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) --no-print-directory types
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest -q tests/architecture

types: $(INSTALLED)
	@$(BIN)/mypy > .mypy_output 2>&1; status=$$?; cat .mypy_output; \
	grep -Eq 'in [1-9][0-9]* source files|checked [1-9][0-9]* source files' .mypy_output \
	  || { echo 'mypy checked no file'; status=1; }; rm -f .mypy_output; exit $$status

fmt: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# protoc writes where the import path of its input says: service/rpc/v1 and service/open_inference/v2.
generate: $(INSTALLED)
	$(BIN)/python -m grpc_tools.protoc -I service/rpc/v1=proto/helmholtz/v1 \
	  --python_out=. --pyi_out=. --grpc_python_out=. $(PROTO)
	$(BIN)/python -m grpc_tools.protoc -I service/open_inference/v2=proto/inference/v2 \
	  --python_out=. --pyi_out=. --grpc_python_out=. $(OPEN_INFERENCE_PROTO)
	$(BIN)/python -m service.rest.export_openapi docs/openapi.json

# All tables of docs/results, or one: make bench NAME=exact_references
BENCHMARKS := sequential_sampling autoregressive flows flow_speed flow_compile flow_corrections time_to_accuracy learning_from_data exact_references samplers reference_routes temperature_scan serving
bench: $(INSTALLED)
	for name in $(or $(NAME),$(BENCHMARKS)); do $(BIN)/python -m benchmarks.$$name || exit 1; done

# The full kill tests; their short form is in `make test`.
chaos: $(INSTALLED)
	HELMHOLTZ_CHAOS=full $(BIN)/pytest -m chaos

clean:
	rm -rf $(VENV) .benchmarks .mypy_cache .ruff_cache .pytest_cache *.egg-info

$(INSTALLED): pyproject.toml constraints.txt
	@echo 'Installing into $(VENV) (once)...'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[server,dev]'
	@touch $@
