#!/usr/bin/env bash
# Set up, lint, check types and run all tests. Tests that need a GPU run where there is one.
#
#   needs   what setup.sh needs; 8 GB of memory
#   hours   0.5 on 2 cores, installation included
#   options are passed to pytest: bash shell/test.sh -m "not swift and not vllm"
set -euo pipefail
cd "$(dirname "$0")/.."
bash shell/setup.sh
export PATH="$PWD/.venv/bin:$PATH"
ruff check .
ruff format --check .
mypy
python -m pytest "$@"
