#!/usr/bin/env bash
# GRPO, stage 1: query 1 earns a valid verdict tag and IoU. The paper's learning rate and two generations.
#
#   input   MODEL: sft.sh's OUT;  DATA: records.jsonl or records.parquet;  OUT: folder for checkpoints
#   options REWARDS ("zoomin_format zoomin_iou"); MAX_PIXELS, NPROC_PER_NODE; any `swift rlhf` argument after the
#           script's name, which wins over what stands here
#   next    grpo_query2.sh with MODEL=$OUT
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "$0")/common.sh"
need MODEL DATA OUT MAX_PIXELS
read -ra rewards <<<"${REWARDS:-zoomin_format zoomin_iou}"
swift rlhf --rlhf_type grpo "${stage[@]}" --model "$(latest "$MODEL")" --dataset "$DATA:query1" --output_dir "$OUT" \
    --reward_funcs "${rewards[@]}" --learning_rate 1e-5 --per_device_train_batch_size 1 --num_generations 2 "$@"
