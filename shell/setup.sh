#!/usr/bin/env bash
# Make .venv with everything this project needs: the GPU stack where nvidia-smi finds a GPU, else the CPU stack.
#
#   needs    Python 3.11 or 3.12; network for the packages; 6 GB of disk (CPU), 15 GB (GPU)
#   options  PYTHON: the interpreter to use;  STACK: cpu or gpu, to override the choice
#   output   .venv; run again it does nothing until pyproject.toml, the constraints or this file change
#   next     shell/quickstart.sh or shell/test.sh
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${STACK:-}" ]; then
    if nvidia-smi -L >/dev/null 2>&1; then STACK=gpu; else STACK=cpu; fi
fi

stamp=.venv/installed-$STACK-$(cat pyproject.toml "constraints-$STACK.txt" shell/setup.sh | sha256sum | cut -c1-16)
if [ -e "$stamp" ]; then exit 0; fi

fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' >/dev/null 2>&1; }
if [ -z "${PYTHON:-}" ]; then
    for PYTHON in python3.12 python3.11 python3 ""; do
        if [ -n "$PYTHON" ] && fits "$PYTHON"; then break; fi
    done
fi
if [ -z "$PYTHON" ] || ! fits "$PYTHON"; then
    echo "setup: no Python 3.11 or 3.12 found; install one, or name it: PYTHON=/path/to/python3.12 bash shell/setup.sh" >&2
    exit 1
fi

echo "setup: installing the $STACK stack into .venv with $("$PYTHON" --version)"
rm -rf .venv
"$PYTHON" -m venv .venv
if ! PIP_CONSTRAINT=constraints-$STACK.txt .venv/bin/python -m pip install --quiet --editable ".[$STACK,test]"; then
    echo "setup: pip could not install the $STACK stack (its message is above)." >&2
    echo "setup: vLLM's CPU build wants torch's CPU build; pip must be able to find that, for instance in a folder of" >&2
    echo "setup: wheels: PIP_FIND_LINKS=/path/to/wheels bash shell/setup.sh" >&2
    exit 1
fi

# Where torch is a CPU build and torchvision is not, torchvision's compiled operators cannot load, and importing it
# fails because their schemas are missing. Declare them in this environment, before torchvision is imported.
if ! .venv/bin/python -c 'import torchvision' >/dev/null 2>&1; then
    site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    cp shell/torchvision_schemas.py "$site/"
    echo 'import torchvision_schemas' >"$site/torchvision_schemas.pth"
    .venv/bin/python -c 'import torchvision'
fi
# vLLM's CPU build brings two packages that may not load either, and `import swift` would try them.
for package in torchaudio torchcodec; do
    if ! .venv/bin/python -c "import $package" >/dev/null 2>&1; then
        .venv/bin/python -m pip uninstall --quiet --yes "$package"
    fi
done
touch "$stamp"
