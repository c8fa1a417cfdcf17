#!/usr/bin/env bash
# SFT of both queries, with the paper's learning rate.
#
#   input   MODEL: model folder or hub name;  DATA: records.jsonl or records.parquet;  OUT: folder for checkpoints
#   options PURPOSE (sft): sft_joint, explain, ground or verdict for the comparisons; MAX_PIXELS, NPROC_PER_NODE; any
#           `swift sft` argument after the script's name, which wins over what stands here
#   next    grpo_query1.sh with MODEL=$OUT
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "$0")/common.sh"
need MODEL DATA OUT MAX_PIXELS
swift sft "${stage[@]}" --model "$(latest "$MODEL")" --dataset "$DATA:${PURPOSE:-sft}" --output_dir "$OUT" \
    --learning_rate 2e-5 --per_device_train_batch_size 1 "$@"
