#!/usr/bin/env bash
# Detection and evaluation of annotated images, Qwen2.5-VL-7B.
#
#   hardware  1 GPU of 40 GB or more (the paper: one A100 of 40 GB);  memory 90% of each GPU, which is vLLM's habit
#   hours     the paper: 8.94 s an image
#   input     DATA: records.jsonl of held-out images;  MODEL (output/7b/grpo2): a stage's OUT
#   options   ENGINE (vllm; transformers on a CPU); any `zoomin detect` argument; and those of shell/common.sh
#   output    OUT (output/7b/detect): predictions.jsonl (started again, it goes on where it stopped), metrics.json
#   next      nothing
MODEL=${MODEL:-output/7b/grpo2} OUT=${OUT:-output/7b/detect}
GPUS=${GPUS:-1} DISK=${DISK:-1}
# shellcheck source-path=SCRIPTDIR source=../common.sh
source "$(dirname "$0")/../common.sh"
check MODEL DATA OUT
engine=(--engine "${ENGINE:-vllm}" --gpus "$GPUS")
if [ "$GPUS" = 0 ]; then engine=(--engine "${ENGINE:-transformers}"); fi
run zoomin detect "$DATA" --model "$(weights "$MODEL")" --out "$OUT/predictions.jsonl" "${engine[@]}" \
    --max-new-tokens "${TOKENS:-1024}" "$@" || [ $? = 3 ] # 3: what has no answer counts as wrong
run zoomin evaluate "$DATA" "$OUT/predictions.jsonl" --out "$OUT/metrics.json" || [ $? = 3 ] # 3: no verdict at all
