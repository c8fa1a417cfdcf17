# shellcheck shell=bash
# Sourced by quickstart.sh and the studies: the recipes of shell/7b, with the sizes and the machine of the tiny model.
# The first look has 4 x 4 image tokens: 112 x 112 pixels for Qwen2.5-VL, 128 x 128 with FAMILY=qwen3_vl.
if [ "${FAMILY:-qwen2_5_vl}" = qwen3_vl ]; then export MAX_PIXELS=16384; else export MAX_PIXELS=12544; fi
export OMP_NUM_THREADS=1   # the tiny matrices gain nothing from threads, which only wait for each other
export DISK=1
if nvidia-smi -L >/dev/null 2>&1; then export GPUS=1; else export GPUS=0; fi
tiny=(--torch_dtype float32 --gradient_checkpointing false --deepspeed "" --report_to none --logging_steps 10
    --dataloader_num_workers 1)

tiny_sft() { # [swift sft's arguments]
    bash shell/7b/sft.sh "${tiny[@]}" --learning_rate 5e-4 --per_device_train_batch_size 8 --warmup_ratio 0.02 "$@"
}
tiny_grpo() { # query1 or query2, [swift rlhf's arguments]
    bash "shell/7b/grpo_$1.sh" "${tiny[@]}" --use_vllm false --per_device_train_batch_size 16 "${@:2}"
}
tiny_detect() { # [zoomin detect's arguments]
    bash shell/7b/detect.sh --engine transformers --concurrency 100 "$@"
}

# quietly LOG COMMAND ...: run it, showing the end of its output only if it fails.
quietly() {
    if ! "${@:2}" >"$1" 2>&1; then
        tail -n 30 "$1" >&2
        echo "${0##*/}: this failed: ${*:2}; the whole log is $1" >&2
        exit 1
    fi
}
