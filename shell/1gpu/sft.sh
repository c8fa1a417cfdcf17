#!/usr/bin/env bash
# SFT of both queries with LoRA on one GPU, Qwen2.5-VL-3B or 7B.
#
#   hardware  1 GPU of 24 GB;  memory 10 GiB (3B), 19 GiB (7B);  disk 30 GB: adapters, and the merged model
#   hours     not measured
#   input     DATA: records (.jsonl or .parquet);  MODEL (Qwen/Qwen2.5-VL-3B-Instruct)
#   options   GPUS (1; 0: a CPU), DISK (30: GB that must be free), MAX_PIXELS (MODEL's, else 262144);
#             MODEL_TYPE (MODEL's); DRY_RUN=1 shows the command; arguments go to swift, and win over those below:
#             --dataset FILE:PURPOSE for the comparisons, with sft_joint, explain, ground or verdict as PURPOSE
#   output    OUT (output/1gpu/sft): checkpoint-N (started again, it goes on from the last), merged: the whole model
#   next      grpo_query1.sh
MODEL=${MODEL:-Qwen/Qwen2.5-VL-3B-Instruct} OUT=${OUT:-output/1gpu/sft}
GPUS=${GPUS:-1} DISK=${DISK:-30}
if [ "$GPUS" = 0 ]; then # a CPU; arguments after the name still win
    set -- --torch_dtype float32 --gradient_checkpointing false "$@"
fi
# shellcheck source-path=SCRIPTDIR source=../common.sh
source "$(dirname "$0")/../common.sh"
check MODEL DATA OUT
start_or_resume swift sft --custom_register_path swift_zoomin \
    --model "$(weights "$MODEL")" --model_type "$MODEL_TYPE" --template zoomin --dataset "$DATA:sft" \
    --tuner_type lora --torch_dtype bfloat16 --learning_rate 1e-4 --num_train_epochs 1 \
    --per_device_train_batch_size 1 --gradient_accumulation_steps 1 --save_steps 200 --save_total_limit 2 \
    --output_dir "$OUT" --add_version false "$@"
merge_lora
