#!/usr/bin/env bash
# SFT of both queries with LoRA on one GPU, Qwen2.5-VL-3B or 7B.
#
#   hardware  1 GPU of 24 GB;  memory 10 GiB (3B), 19 GiB (7B);  disk 30 GB: adapters, and the merged model
#   hours     not measured
#   input     DATA: records (.jsonl or .parquet);  MODEL (Qwen/Qwen2.5-VL-3B-Instruct)
#   options   PURPOSE (sft); and those of shell/common.sh
#   output    OUT (output/1gpu/sft): checkpoint-N (started again, it goes on from the last), merged: the whole model
#   next      grpo_query1.sh
MODEL=${MODEL:-Qwen/Qwen2.5-VL-3B-Instruct} OUT=${OUT:-output/1gpu/sft}
GPUS=${GPUS:-1} DISK=${DISK:-30}
# shellcheck source-path=SCRIPTDIR source=../common.sh
source "$(dirname "$0")/../common.sh"
begin
train swift sft "${stage[@]}" "${machine[@]}" --dataset "$DATA:${PURPOSE:-sft}" \
    --learning_rate "${LEARNING_RATE:-1e-4}" --tuner_type lora \
    --save_steps 200 "${resume[@]}" "$@"
merge
