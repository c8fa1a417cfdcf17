#!/usr/bin/env bash
# GRPO, stage 1, Qwen2.5-VL-32B or Qwen3-VL-32B: query 1 earns a valid verdict tag and IoU. The paper's rate and two
# generations.
#
#   hardware  8 GPUs of 80 GB;  memory 8 GiB a GPU to train (Qwen3-VL: 7), 44 to roll out with vLLM's 50%; 750 GiB of
#             host memory for weights and optimiser: with --deepspeed zero3 78 GiB a GPU leave no room (70 with
#             --beta 0);  disk 1450 GB
#   hours     the paper: 42.6 for all three stages on 8 A100, and at least 600 GB of GPU memory for GRPO
#   input     DATA;  MODEL (output/32b/sft): sft.sh's OUT
#   options   GPUS (8; 0: a CPU), DISK (1450: GB that must be free), MAX_PIXELS (MODEL's, else 262144);
#             MODEL_TYPE (MODEL's); DRY_RUN=1 shows the command; arguments go to swift, and win over those below
#   output    OUT (output/32b/grpo1): checkpoint-N; started again, it goes on from the last
#   next      grpo_query2.sh
MODEL=${MODEL:-output/32b/sft} OUT=${OUT:-output/32b/grpo1}
GPUS=${GPUS:-8} DISK=${DISK:-1450}
if [ "$GPUS" = 0 ]; then # a CPU, whose one process takes both replies of a group; arguments after the name still win
    set -- --torch_dtype float32 --gradient_checkpointing false --deepspeed "" --use_vllm false \
        --per_device_train_batch_size 2 "$@"
fi
# shellcheck source-path=SCRIPTDIR source=../common.sh
source "$(dirname "$0")/../common.sh"
check MODEL DATA OUT
start_or_resume swift rlhf --rlhf_type grpo --custom_register_path swift_zoomin \
    --model "$(weights "$MODEL")" --model_type "$MODEL_TYPE" --template zoomin --dataset "$DATA:query1" \
    --reward_funcs zoomin_format zoomin_iou zoomin_watch_{regions,covered,cut} --reward_weights 1 1 0 0 0 \
    --num_generations 2 --max_completion_length 1024 \
    --use_vllm true --vllm_mode colocate --vllm_gpu_memory_utilization 0.5 --vllm_tensor_parallel_size 8 \
    --sleep_level 1 --move_model_batches 16 \
    --vllm_max_model_len 8192 --vllm_limit_mm_per_prompt '{"image": 7, "video": 0}' \
    --tuner_type full --freeze_llm false --freeze_vit false --freeze_aligner false \
    --torch_dtype bfloat16 --deepspeed zero3_offload --learning_rate 1e-5 --num_train_epochs 1 \
    --per_device_train_batch_size 1 --gradient_accumulation_steps 1 --save_steps 200 --save_total_limit 2 \
    --output_dir "$OUT" --add_version false "$@"
