#!/usr/bin/env bash
# GRPO, stage 2: query 2 earns accuracy and BLEU, after a first reply that is rolled out and not trained on.
#
#   input   MODEL: grpo_query1.sh's OUT;  DATA: records.jsonl or records.parquet;  OUT: folder for checkpoints
#   options REWARDS ("zoomin_accuracy zoomin_bleu"); MAX_PIXELS, NPROC_PER_NODE; any `swift rlhf` argument after the
#           script's name, which wins over what stands here
#   next    detect.sh with MODEL=$OUT
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "$0")/common.sh"
need MODEL DATA OUT MAX_PIXELS
read -ra rewards <<<"${REWARDS:-zoomin_accuracy zoomin_bleu}"
swift rlhf --rlhf_type grpo "${stage[@]}" --model "$(latest "$MODEL")" --dataset "$DATA:query2" --output_dir "$OUT" \
    --multi_turn_scheduler zoomin_query2 --reward_funcs "${rewards[@]}" \
    --learning_rate 1e-5 --per_device_train_batch_size 1 --num_generations 2 "$@"
