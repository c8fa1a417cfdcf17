# shellcheck shell=bash disable=SC2034
# Sourced by quickstart.sh and study.sh: what the recipes need for the tiny model, beside their inputs.
export MAX_PIXELS=12544    # the first look: 112 x 112 pixels, 16 image tokens
export OMP_NUM_THREADS=1   # the tiny matrices gain nothing from threads, which only wait for each other
tiny=(--torch_dtype float32 --gradient_checkpointing false --check_model false --report_to none
    --gradient_accumulation_steps 1 --logging_steps 10 --dataloader_num_workers 1 --save_total_limit 1)
tiny_sft=("${tiny[@]}" --learning_rate 5e-4 --per_device_train_batch_size 8 --warmup_ratio 0.02 --num_train_epochs 1)
tiny_grpo=("${tiny[@]}" --per_device_train_batch_size 16 --use_vllm false)

# quietly LOG COMMAND ...: run it, showing the end of its output only if it fails.
quietly() {
    if ! "${@:2}" >"$1" 2>&1; then
        tail -n 30 "$1" >&2
        echo "${0##*/}: this failed: ${*:2}; the whole log is $1" >&2
        exit 1
    fi
}
