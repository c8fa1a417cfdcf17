#!/usr/bin/env bash
# Detection and evaluation of annotated images, Qwen2.5-VL-7B.
#
#   hardware  1 GPU of 40 GB or more (the paper: one A100 of 40 GB);  memory 90% of each GPU, which is vLLM's habit
#   hours     the paper: 8.94 s an image
#   input     DATA: records.jsonl of held-out images;  MODEL (output/7b/grpo2): a stage's OUT
#   options   GPUS (1; 0: a CPU), DISK (1: GB that must be free), MAX_PIXELS (MODEL's, else 262144);
#             MODEL_TYPE (MODEL's); DRY_RUN=1 shows the commands; arguments go to `zoomin detect`, and win over those below
#   output    OUT (output/7b/detect): predictions.jsonl (started again, it goes on where it stopped), metrics.json, table.*
#   next      nothing
MODEL=${MODEL:-output/7b/grpo2} OUT=${OUT:-output/7b/detect}
GPUS=${GPUS:-1} DISK=${DISK:-1}
if [ "$GPUS" = 0 ]; then # a CPU; arguments after the name still win
    set -- --engine transformers "$@"
fi
# shellcheck source-path=SCRIPTDIR source=../common.sh
source "$(dirname "$0")/../common.sh"
check MODEL DATA OUT
# status 3: some image has no answer, which counts as wrong
run zoomin detect "$DATA" --model "$(weights "$MODEL")" --out "$OUT/predictions.jsonl" \
    --engine vllm --gpus "$((GPUS ? GPUS : 1))" --max-new-tokens 1024 "$@" || [ $? = 3 ]
run zoomin evaluate "$DATA" "$OUT/predictions.jsonl" --out "$OUT" || [ $? = 3 ] # 3: no verdict at all
