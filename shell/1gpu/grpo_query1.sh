#!/usr/bin/env bash
# GRPO, stage 1, LoRA on one GPU, Qwen2.5-VL-3B or 7B: query 1 earns a valid verdict tag and IoU.
#
#   hardware  1 GPU of 24 GB for 3B, of 40 GB for 7B;  memory 10 GiB (3B), 19 GiB (7B) to train, 14 or 31 GiB while the
#             weights go to vLLM, which then takes 85% of the GPU; 32 GiB of host memory keep what sleeps;  disk 30 GB
#   hours     not measured
#   input     DATA;  MODEL (output/1gpu/sft): sft.sh's OUT
#   options   REWARDS ("zoomin_format zoomin_iou"); and those of shell/common.sh
#   output    OUT (output/1gpu/grpo1): checkpoint-N (started again, it goes on from the last), merged: the whole model
#   next      grpo_query2.sh
MODEL=${MODEL:-output/1gpu/sft} OUT=${OUT:-output/1gpu/grpo1}
GPUS=${GPUS:-1} DISK=${DISK:-30}
# shellcheck source-path=SCRIPTDIR source=../common.sh
source "$(dirname "$0")/../common.sh"
begin
read -ra rewards <<<"${REWARDS:-zoomin_format zoomin_iou}"
rollout=(--use_vllm true --vllm_mode colocate --sleep_level 1 --offload_model true --vllm_gpu_memory_utilization 0.85
    --vllm_max_model_len 8192 --vllm_limit_mm_per_prompt '{"image": 7, "video": 0}')
if [ "${ROLLOUT:-vllm}" != vllm ] || [ "$GPUS" = 0 ]; then rollout=(--use_vllm false); fi
train swift rlhf --rlhf_type grpo "${stage[@]}" "${machine[@]}" --dataset "$DATA:query1" \
    --reward_funcs "${rewards[@]}" --learning_rate "${LEARNING_RATE:-1e-4}" \
    --num_generations "${GENERATIONS:-2}" --max_completion_length "${TOKENS:-1024}" "${rollout[@]}" \
    --tuner_type lora --gradient_accumulation_steps 2 --save_steps 200 "${resume[@]}" "$@"
merge
