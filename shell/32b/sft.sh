#!/usr/bin/env bash
# SFT of both queries, Qwen2.5-VL-32B, all parameters, the paper's learning rate and batch.
#
#   hardware  8 GPUs of 80 GB;  memory 70 GiB a GPU;  disk 1450 GB: three checkpoints with optimiser state
#   hours     the paper: 42.6 for all three stages on 8 A100, and at least 600 GB of GPU memory for GRPO
#   input     DATA: records (.jsonl or .parquet);  MODEL (Qwen/Qwen2.5-VL-32B-Instruct)
#   options   PURPOSE (sft): sft_joint, explain, ground or verdict for the comparisons; and those of shell/common.sh
#   output    OUT (output/32b/sft): checkpoint-N; started again, it goes on from the last
#   next      grpo_query1.sh
MODEL=${MODEL:-Qwen/Qwen2.5-VL-32B-Instruct} OUT=${OUT:-output/32b/sft}
GPUS=${GPUS:-8} DEEPSPEED=${DEEPSPEED-zero3} DISK=${DISK:-1450}
# shellcheck source-path=SCRIPTDIR source=../common.sh
source "$(dirname "$0")/../common.sh"
begin
train swift sft "${stage[@]}" "${machine[@]}" --dataset "$DATA:${PURPOSE:-sft}" \
    --learning_rate "${LEARNING_RATE:-2e-5}" --tuner_type full --freeze_llm false --freeze_vit false \
    --freeze_aligner false --save_steps 200 "${resume[@]}" "$@"
