# shellcheck shell=bash
# Sourced by the recipes: one line instead of a failed run, going on after a stop, and merging. No flag of swift's that
# says how to train stands here: those are in the recipes.
#
#   replaced VARIABLE ARG ...   stops with one line where a variable of old is set
#   check NAME ...              stops with one line and writes nothing where something is missing; else says what the
#                               files of DATA give away of their labels
#   start_or_resume COMMAND ... runs a training, from OUT's last checkpoint where there is one
#   merge_lora                  makes OUT/merged of the last checkpoint's LoRA
#   weights FOLDER              what is to be loaded of it
#
# After `check`, MODEL_TYPE is MODEL's, as ms-swift wants to be told.
#
# Every recipe takes from its environment: MODEL, DATA, OUT; MAX_PIXELS (that of the checkpoint in OUT that it goes on
# from, else what MODEL was trained with, else 262144: 512 x 512; left alone where IMAGE_MAX_TOKEN_NUM says it);
# MODEL_TYPE (what MODEL's folder says, else its name unless it is set); GPUS (0: a CPU, for which the recipe adds
# arguments), DISK (GB that must be free); DRY_RUN=1 prints the commands instead of running them. Arguments after the
# script's name go to swift, and win over what stands in the recipe.
set -euo pipefail
given=("$@") # after the script's name
recipe=$(basename "$(dirname "$0")")/$(basename "$0")

stop() { # WORDS ...
    echo "$recipe: $*" >&2
    exit 2
}

run() { # COMMAND ...
    if [ -n "${DRY_RUN:-}" ]; then
        printf '%q ' "$@"
        echo
    else
        "$@"
    fi
}

# newest FOLDER: its last whole checkpoint-N, if any; trainer_state.json is written after everything else.
newest() {
    local state
    state=$(find -H "${1%/}" -path "${1%/}/checkpoint-*/trainer_state.json" 2>/dev/null | sort -V | tail -n 1) || true
    if [ -n "$state" ]; then dirname "$state"; fi
}

# weights FOLDER: what to load of it: a merged LoRA, the last checkpoint, or the folder (or hub name) itself.
weights() {
    local last
    last=$(newest "$1")
    if [ -e "$1/merged/config.json" ]; then echo "$1/merged"; else echo "${last:-$1}"; fi
}

# trained_pixels FOLDER: the MAX_PIXELS that a checkpoint says it was trained with; nothing where it does not say.
trained_pixels() {
    if [ ! -d "$1" ] || ! command -v python >/dev/null; then return; fi
    python -c 'import sys
try:
    from swift_zoomin.checkpoints import CheckpointError, trained_max_pixels
except ImportError:  # what is missing is said below
    sys.exit()
try:
    pixels = trained_max_pixels(sys.argv[2])
except CheckpointError as error:
    print(f"{sys.argv[1]}: {error}", file=sys.stderr)
    sys.exit(2)
if pixels:
    print(pixels)' "$recipe" "$1"
}

# model_type MODEL: as ms-swift wants to be told, for it tells several from a folder; nothing where it cannot be known.
model_type() {
    if ! command -v python >/dev/null; then return; fi
    python -c 'import sys
try:
    from swift_zoomin.checkpoints import CheckpointError, model_type_of
except ImportError:  # what is missing is said below
    sys.exit()
try:
    print(model_type_of(sys.argv[2]) or "")
except CheckpointError as error:
    print(f"{sys.argv[1]}: MODEL={error}", file=sys.stderr)
    sys.exit(2)' "$recipe" "$1"
}

gpus_here() {
    if [ -n "${CUDA_VISIBLE_DEVICES+set}" ]; then
        tr ',' '\n' <<<"$CUDA_VISIBLE_DEVICES" | grep -c . || true
    else
        nvidia-smi -L 2>/dev/null | grep -c '^GPU' || true
    fi
}

# replaced VARIABLE ARGUMENT ...: stop where such a variable is set: an argument has replaced it, and nothing reads it.
replaced() {
    while [ $# -gt 0 ]; do
        [ -z "${!1+set}" ] || stop "$1 is no option any more; unset it, and give $2 after the recipe's name"
        shift 2
    done
}

# is_limited_in_tokens: whether the environment or --model_kwargs says how many tokens an image has at most.
is_limited_in_tokens() {
    [ -n "${IMAGE_MAX_TOKEN_NUM:-}" ] || [[ ${given[*],,} == *image_max_token_num* ]]
}

# check NAME ...: stop unless these variables are set, and what they and GPUS and DISK ask for is here. Writes nothing.
# Leaves the first GPUS of the visible GPUS visible: ms-swift would spread one process over all there are.
check() {
    local name type home used free visible
    replaced LEARNING_RATE --learning_rate BATCH --per_device_train_batch_size STEPS --max_steps \
        GENERATIONS --num_generations TOKENS "--max_completion_length (detect.sh: --max-new-tokens)" \
        REWARDS --reward_funcs DEEPSPEED --deepspeed ROLLOUT "--use_vllm false" ENGINE --engine \
        PURPOSE "--dataset FILE:PURPOSE"
    for name in "$@"; do [ -n "${!name:-}" ] || stop "set $name; the head of shell/$recipe says to what"; done
    for name in swift zoomin; do # before the package is asked of MODEL
        [ -n "${DRY_RUN:-}" ] || command -v $name >/dev/null ||
            stop "no $name here; activate the environment: source .venv/bin/activate"
    done
    if [ -z "${MAX_PIXELS:-}" ] && ! is_limited_in_tokens; then
        MAX_PIXELS=$(trained_pixels "$(newest "${OUT:-}")") # a run that goes on keeps its limit
        MAX_PIXELS=${MAX_PIXELS:-$(trained_pixels "$(weights "$MODEL")")}
        export MAX_PIXELS=${MAX_PIXELS:-262144}
    fi
    if [ -d "$MODEL" ] || [ -z "${MODEL_TYPE:-}" ]; then # a folder knows better
        type=$(model_type "$(weights "$MODEL")")
        MODEL_TYPE=${type:-${MODEL_TYPE:-}}
    fi
    if [[ $(basename "$MODEL") == *[Tt]hinking* ]]; then
        echo "$recipe: MODEL=$MODEL was made to think first; here it is trained and asked without thinking" >&2
    fi
    if [ -n "${DRY_RUN:-}" ]; then
        MODEL_TYPE=${MODEL_TYPE:-qwen2_5_vl} # the model may not be here yet
        return
    fi
    if [ -n "${DATA:-}" ] && [ ! -s "$DATA" ]; then
        stop "DATA=$DATA: no such file, or it is empty; expected a file that ends in .jsonl or .parquet"
    fi
    if [ ! -d "$MODEL" ]; then
        [[ $MODEL =~ ^[^/.]+/[^/]+$ && ! -d ${MODEL%/*} ]] || stop "MODEL=$MODEL: no such folder;" \
            "expected a model's folder, an earlier stage's OUT, or a name like Qwen/NAME"
        [ -n "$MODEL_TYPE" ] || stop "MODEL=$MODEL: the name does not say of which family it is; give its folder," \
            "or set MODEL_TYPE to the model_type of its config.json"
    fi
    [ "$(gpus_here)" -ge "$GPUS" ] || stop "GPUS=$GPUS wanted, $(gpus_here) found; set GPUS, or CUDA_VISIBLE_DEVICES"
    visible=${CUDA_VISIBLE_DEVICES-$(seq -s , 0 $((GPUS - 1)))}
    CUDA_VISIBLE_DEVICES=$([ "$GPUS" = 0 ] || cut -d , -f "1-$GPUS" <<<"$visible")
    export CUDA_VISIBLE_DEVICES
    home=${OUT:-.}
    until [ -d "$home" ]; do home=$(dirname "$home"); done
    [ -w "$home" ] || stop "OUT=${OUT:-}: $home cannot be written to"
    free=$(($(df --output=avail --block-size=1 "$home" | tail -n 1) / 1000000000))
    used=0
    if [ -d "${OUT:-}" ]; then used=$(($(du -sH --block-size=1 "$OUT" | cut -f 1) / 1000000000)); fi
    [ $((free + used)) -ge "$DISK" ] ||
        stop "OUT=${OUT:-}: $free GB free there, $((DISK - used)) GB needed; set OUT elsewhere, or DISK"
    # What files give away, in one line. What is wrong with the records, the run itself says and refuses.
    if [ -n "${DATA:-}" ]; then zoomin check --gate "$DATA" 2>/dev/null || [ $? != 130 ]; fi # 130: interrupted
}

# one_process_a_gpu: as ms-swift wants to be told; also of a machine's only GPU where other machines take part.
one_process_a_gpu() {
    unset NPROC_PER_NODE
    if [ "$GPUS" -gt 1 ] || { [ "$GPUS" = 1 ] && [ -n "${NNODES:-}" ]; }; then export NPROC_PER_NODE=$GPUS; fi
}

# is_last_step CHECKPOINT: whether the training that wrote it had come to its end.
is_last_step() {
    python -c 'import json, sys
state = json.load(open(sys.argv[1] + "/trainer_state.json"))
sys.exit(state["global_step"] < state["max_steps"])' "$1"
}

# is_flag NAME WORD: whether it is this flag (a pattern) in any way that ms-swift reads: --a_b, --a-b, --a_b=value.
is_flag() {
    local flag=${2%%=*}
    # shellcheck disable=SC2053  # a pattern
    [[ $2 == --* && ${flag//-/_} == __$1 ]]
}

# is_given NAME: whether this flag is among the arguments after the script's name.
is_given() {
    local word
    for word in "${given[@]}"; do
        if is_flag "$1" "$word"; then return; fi
    done
    return 1
}

# is_without_vllm ARGUMENTS ...: whether their last --use_vllm says no, in any of the ways that ms-swift reads.
is_without_vllm() {
    local word before='' said=''
    for word in "$@"; do
        if [[ $before != *=* ]] && is_flag use_vllm "$before"; then said=$word; fi
        if [[ $word == *=* ]] && is_flag use_vllm "$word"; then said=${word#*=}; fi
        before=$word
    done
    [[ ${said,,} =~ ^(no|false|f|n|0)$ ]]
}

# leave_out NAMES COMMAND ...: sets `command`, a local variable of its caller's, to the same words without these flags
# (a pattern) and their values.
leave_out() {
    local word leaving=
    command=()
    for word in "${@:2}"; do
        if [[ $word == --* ]]; then leaving=; fi
        if is_flag "$1" "$word"; then leaving=yes; fi
        if [ -z "$leaving" ]; then command+=("$word"); fi
    done
}

# start_or_resume swift sft|rlhf ARGUMENTS ...: run it. Where OUT has a checkpoint, the run goes on from the last one;
# where that is the last step, nothing is run. What is added stands before ARGUMENTS, so that they win.
start_or_resume() {
    local last command added=()
    last=$(newest "$OUT")
    if [ -n "$last" ] && is_last_step "$last"; then
        echo "$recipe: $last is the last step; nothing to train (to train on, set MODEL=$OUT and another OUT)"
        return
    fi
    if [ -n "$last" ]; then
        echo "$recipe: going on from $last"
        added=(--resume_from_checkpoint "$last")
    fi
    # ms-swift would ask the hub whether this folder is its newest copy of a model.
    if [ -d "$MODEL" ]; then added+=(--check_model false); fi
    command=("$1" "$2" "${added[@]}" "${@:3}")
    # ms-swift refuses both: vLLM's flags with --use_vllm false, and weights of the recipe's rewards for others.
    if is_without_vllm "$@"; then leave_out 'vllm_*' "${command[@]}"; fi
    if is_given reward_funcs && ! is_given reward_weights; then leave_out reward_weights "${command[@]}"; fi
    one_process_a_gpu
    run "${command[@]}"
}

# merge_lora: the last checkpoint's LoRA into its model, as OUT/merged: what `weights` picks.
merge_lora() {
    if [ ! -e "$OUT/merged" ]; then
        run swift export --adapters "$(weights "$OUT")" --merge_lora true --output_dir "$OUT/merging" --exist_ok true
        run mv "$OUT/merging" "$OUT/merged"
    fi
}
