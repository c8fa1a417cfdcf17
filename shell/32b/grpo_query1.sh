#!/usr/bin/env bash
# GRPO, stage 1, Qwen2.5-VL-32B: query 1 earns a valid verdict tag and IoU. The paper's rate and two generations.
#
#   hardware  8 GPUs of 80 GB;  memory 8 GiB a GPU to train, 44 to roll out with vLLM's 50%; 750 GiB of host memory for
#             weights and optimiser: with DEEPSPEED=zero3 78 GiB a GPU leave no room (70 with --beta 0);  disk 1450 GB
#   hours     the paper: 42.6 for all three stages on 8 A100, and at least 600 GB of GPU memory for GRPO
#   input     DATA;  MODEL (output/32b/sft): sft.sh's OUT
#   options   REWARDS ("zoomin_format zoomin_iou"); and those of shell/common.sh
#   output    OUT (output/32b/grpo1): checkpoint-N; started again, it goes on from the last
#   next      grpo_query2.sh
MODEL=${MODEL:-output/32b/sft} OUT=${OUT:-output/32b/grpo1}
GPUS=${GPUS:-8} DEEPSPEED=${DEEPSPEED-zero3_offload} DISK=${DISK:-1450}
# shellcheck source-path=SCRIPTDIR source=../common.sh
source "$(dirname "$0")/../common.sh"
begin
read -ra rewards <<<"${REWARDS:-zoomin_format zoomin_iou}"
rollout=(--use_vllm true --vllm_mode colocate --sleep_level 1 --vllm_gpu_memory_utilization 0.5
    --vllm_tensor_parallel_size 8 --move_model_batches 16
    --vllm_max_model_len 8192 --vllm_limit_mm_per_prompt '{"image": 7, "video": 0}')
if [ "${ROLLOUT:-vllm}" != vllm ] || [ "$GPUS" = 0 ]; then rollout=(--use_vllm false); fi
train swift rlhf --rlhf_type grpo "${stage[@]}" "${machine[@]}" --dataset "$DATA:query1" \
    --reward_funcs "${rewards[@]}" --learning_rate "${LEARNING_RATE:-1e-5}" \
    --num_generations "${GENERATIONS:-2}" --max_completion_length "${TOKENS:-1024}" "${rollout[@]}" \
    --tuner_type full --freeze_llm false --freeze_vit false --freeze_aligner false \
    --save_steps 200 "${resume[@]}" "$@"
