#!/usr/bin/env bash
# SFT of both queries, Qwen2.5-VL-7B, all parameters, the paper's learning rate and batch.
#
#   hardware  4 GPUs of 80 GB;  memory 36 GiB a GPU;  disk 360 GB: three checkpoints with optimiser state
#   hours     the paper: 35.3 for all three stages on 4 A100
#   input     DATA: records (.jsonl or .parquet);  MODEL (Qwen/Qwen2.5-VL-7B-Instruct)
#   options   PURPOSE (sft): sft_joint, explain, ground or verdict for the comparisons; and those of shell/common.sh
#   output    OUT (output/7b/sft): checkpoint-N; started again, it goes on from the last
#   next      grpo_query1.sh
MODEL=${MODEL:-Qwen/Qwen2.5-VL-7B-Instruct} OUT=${OUT:-output/7b/sft}
GPUS=${GPUS:-4} DEEPSPEED=${DEEPSPEED-zero3} DISK=${DISK:-360}
# shellcheck source-path=SCRIPTDIR source=../common.sh
source "$(dirname "$0")/../common.sh"
begin
train swift sft "${stage[@]}" "${machine[@]}" --dataset "$DATA:${PURPOSE:-sft}" \
    --learning_rate "${LEARNING_RATE:-2e-5}" --tuner_type full --freeze_llm false --freeze_vit false \
    --freeze_aligner false --save_steps 200 "${resume[@]}" "$@"
