# shellcheck shell=bash disable=SC2034
# Sourced by the recipes: what each of them needs from its caller.
set -euo pipefail

# need NAME ...: stop with one clear line unless these variables are set.
need() {
    for name in "$@"; do
        if [ -z "${!name:-}" ]; then
            echo "${0##*/}: set $name; the head of $0 says to what" >&2
            exit 2
        fi
    done
}

# latest FOLDER: its newest checkpoint-N, or the name itself where there is none (a model folder, a hub's name).
latest() {
    local found
    found=$(find "$1" -maxdepth 1 -name 'checkpoint-*' 2>/dev/null | sort -V | tail -n 1) || true
    echo "${found:-$1}"
}

# What all three stages share: the package, the model's kind, and all parameters trained, vision encoder and projector too.
stage=(--custom_register_path swift_zoomin --model_type qwen2_5_vl --template zoomin --tuner_type full
    --freeze_llm false --freeze_vit false --freeze_aligner false --add_version false --save_only_model true)
