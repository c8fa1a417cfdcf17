#!/usr/bin/env bash
# GRPO, stage 2, LoRA on one GPU, Qwen2.5-VL-3B or 7B: query 2 earns accuracy and BLEU, after a first reply that
# is rolled out and not trained on.
#
#   hardware  1 GPU of 24 GB for 3B, of 40 GB for 7B;  memory 10 GiB (3B), 19 GiB (7B) to train, 14 or 31 GiB while the
#             weights go to vLLM, which then takes 85% of the GPU; 32 GiB of host memory keep what sleeps;  disk 30 GB
#   hours     not measured
#   input     DATA;  MODEL (output/1gpu/grpo1): grpo_query1.sh's OUT
#   options   GPUS (1; 0: a CPU), DISK (30: GB that must be free), MAX_PIXELS (MODEL's, else 262144);
#             MODEL_TYPE (MODEL's); DRY_RUN=1 shows the command; arguments go to swift, and win over those below
#   output    OUT (output/1gpu/grpo2): checkpoint-N (started again, it goes on from the last), merged: the whole model
#   next      ../7b/detect.sh, on this GPU too
MODEL=${MODEL:-output/1gpu/grpo1} OUT=${OUT:-output/1gpu/grpo2}
GPUS=${GPUS:-1} DISK=${DISK:-30}
if [ "$GPUS" = 0 ]; then # a CPU; arguments after the name still win
    set -- --torch_dtype float32 --gradient_checkpointing false --use_vllm false "$@"
fi
# shellcheck source-path=SCRIPTDIR source=../common.sh
source "$(dirname "$0")/../common.sh"
check MODEL DATA OUT
start_or_resume swift rlhf --rlhf_type grpo --custom_register_path swift_zoomin \
    --model "$(weights "$MODEL")" --model_type "$MODEL_TYPE" --template zoomin --dataset "$DATA:query2" \
    --reward_funcs zoomin_accuracy zoomin_bleu zoomin_watch_{second_look,regions,covered,changed,corrected,cut} \
    --reward_weights 1 1 0 0 0 0 0 0 --multi_turn_scheduler zoomin_query2 \
    --num_generations 2 --max_completion_length 1024 \
    --use_vllm true --vllm_mode colocate --vllm_gpu_memory_utilization 0.85 --sleep_level 1 --offload_model true \
    --vllm_max_model_len 8192 --vllm_limit_mm_per_prompt '{"image": 7, "video": 0}' \
    --tuner_type lora --torch_dtype bfloat16 --learning_rate 1e-4 --num_train_epochs 1 \
    --per_device_train_batch_size 1 --gradient_accumulation_steps 2 --save_steps 200 --save_total_limit 2 \
    --output_dir "$OUT" --add_version false "$@"
merge_lora
