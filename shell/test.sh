#!/usr/bin/env bash
# Set up, lint, check types and run the tests: all of them, or with `unit` those that take a moment each: they neither
# load nor run ms-swift, nor start a browser or a server for long, nor bear the mark `slow`.
#
#   bash shell/test.sh         # everything
#   bash shell/test.sh unit    # 1 minute on 2 cores, once installed and checked
#
#   needs   what setup.sh needs; 12 GB of memory; Chromium, which is installed where it is missing (as root, on Debian)
#   hours   0.5 on 2 cores, installation included
set -euo pipefail
cd "$(dirname "$0")/.."
tests=(--numprocesses 2 --dist loadfile) # a file's tests share what is made for them
case "$#:${1:-}" in
    0:) ;;
    1:unit)
        # Marks leave out what is imported already: a folder that is not collected is never imported.
        tests+=(--ignore tests/ms_swift -m)
        tests+=("not swift and not vllm and not sandbox and not browser and not server and not slow")
        ;;
    *) echo "test.sh: $*; expected nothing, or unit" >&2 && exit 2 ;;
esac
bash shell/setup.sh
# The browser tests open pages in Debian's Chromium.
if [ "$#" -eq 0 ] && ! command -v chromium >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
fi
export PATH="$PWD/.venv/bin:$PATH"
ruff check .
ruff format --check .
mypy
python -m pytest "${tests[@]}"
